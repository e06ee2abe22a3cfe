/* SPDX-License-Identifier: MIT */
/*
 * Order mutation: every access that has an order, weakened one at a time.
 *
 * Design. A site is the return address of the hook's call, with the kind of access: the compiler may
 * have made several of one line in the source, and each is tried. First the scenario runs unchanged,
 * collecting sites and their orders; then once per mutant:
 *
 *   acquire, release        -> relaxed
 *   acq_rel                 -> acquire, and release
 *   seq_cst access          -> what a non-SC access of its kind would have
 *   acquire, release fence  -> none
 *   SC fence                -> acq_rel, and none
 *   light, heavy fence      -> none
 *
 * A compare-and-swap has two sites: its success and its failure.
 */
#include <link.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

#include "model_internal.h"

extern const ElfW(Ehdr) __ehdr_start __attribute__((weak, visibility("hidden")));

static const struct site *known(const struct model *m, uintptr_t address, uint8_t kind)
{
	for (unsigned i = 0; i < m->sites; i++)
		if (m->site[i].address == address && m->site[i].kind == kind)
			return &m->site[i];
	return NULL;
}

int model_mutate_slow(struct model *m, enum site_kind kind, int order, const void *site)
{
	uintptr_t address = (uintptr_t)site - (uintptr_t)&__ehdr_start;
	if (m->collecting) {
		if (order != __ATOMIC_RELAXED && m->sites < MODEL_SITES &&
			!known(m, address, (uint8_t)kind))
			m->site[m->sites++] = (struct site){address, (uint8_t)kind, (uint8_t)order};
		return order;
	}
	bool it = address == m->mutant.address && kind == m->mutant.kind;
	return it ? m->mutant_order : order;
}

/* Fills `weaker` with the orders to try instead; returns how many. */
unsigned model_mutants_of(const struct site *s, int weaker[2])
{
	if (s->kind == SITE_FENCE && s->order == __ATOMIC_SEQ_CST) {
		weaker[0] = __ATOMIC_ACQ_REL;
		weaker[1] = __ATOMIC_RELAXED;
		return 2;
	}
	weaker[0] = __ATOMIC_RELAXED;
	if (s->kind >= SITE_FENCE && s->order != __ATOMIC_ACQ_REL)
		return 1;
	if (s->order == __ATOMIC_ACQ_REL) {
		weaker[0] = __ATOMIC_ACQUIRE;
		weaker[1] = __ATOMIC_RELEASE;
		return 2;
	}
	if (s->order == __ATOMIC_SEQ_CST)
		weaker[0] = s->kind == SITE_LOAD    ? __ATOMIC_ACQUIRE
			    : s->kind == SITE_STORE ? __ATOMIC_RELEASE
						    : __ATOMIC_ACQ_REL;
	return 1;
}

const char *model_site_kind(const struct site *s)
{
	static const char *const names[] = {
		"load", "store", "rmw", "fence", "light fence", "heavy fence"};
	return names[s->kind];
}

/* Asks addr2line, which comes with the compiler, for a place in the source. */
void model_print_site(const struct site *s)
{
	char command[128], line[512] = "";
	/* One byte back: into the call, not behind it. */
	snprintf(command, sizeof(command), "addr2line -s -e /proc/%d/exe %#zx 2>/dev/null",
		(int)getpid(), (size_t)(s->address - 1));
	FILE *pipe = popen(command, "r");
	if (pipe) {
		if (!fgets(line, sizeof(line), pipe))
			line[0] = 0;
		pclose(pipe);
	}
	line[strcspn(line, "\n")] = 0;
	printf("%s", line[0] && line[0] != '?' ? line : "?");
	printf(" (+%#zx)", (size_t)s->address);
}
