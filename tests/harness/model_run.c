/* SPDX-License-Identifier: MIT */
/*
 * The loop over executions.
 *
 * Design. Before each execution the program's own .data and .bss are copied back from a snapshot,
 * so that a scenario may use static variables and the algorithms' tables as they are. Only the main
 * program's segment is copied: the C library's state, and the tester's (one mapping), live on.
 *
 * A crash (SIGSEGV and its like) in a scenario is a finding: the handler jumps back here.
 */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "model_internal.h"

#define GUARD  4096
#define STACKS ((size_t)MODEL_THREADS_MAX * MODEL_STACK)

/* ------------------------------------------------------------------ snapshot */

/* Outside .data: set before the snapshot is taken and never changed. */
static struct {
	char *start, *copy;
	size_t size;
} image;

extern char __data_start[] __attribute__((weak));
extern char _end[] __attribute__((weak));

/* The writable segment of the main program, behind what the linker made read-only. */
static int find_segment(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	uintptr_t *range = arg;
	uintptr_t relro_end = 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO)
			relro_end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
				    info->dlpi_phdr[i].p_memsz;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		if (p->p_type != PT_LOAD || !(p->p_flags & PF_W))
			continue;
		range[0] = info->dlpi_addr + p->p_vaddr;
		range[1] = range[0] + p->p_memsz;
		if (relro_end > range[0] && relro_end <= range[1])
			range[0] = (relro_end + 4095) & ~(uintptr_t)4095;
	}
	return 1; /* the first object is the program */
}

static void take_snapshot(void)
{
	uintptr_t range[2] = {0, 0};
	dl_iterate_phdr(find_segment, range);
	/* The linker's own names leave out the procedure table, which is cheaper to keep resolved. */
	uintptr_t first = (uintptr_t)__data_start, last = (uintptr_t)_end;
	if (first >= range[0] && last <= range[1] && first < last) {
		range[0] = first;
		range[1] = last;
	}
	image.start = (char *)range[0];
	image.size = range[1] - range[0];
	image.copy = mmap(
		NULL, image.size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (image.copy == MAP_FAILED) {
		perror("model: mmap");
		exit(2);
	}
	memcpy(image.copy, image.start, image.size);
}

/* ------------------------------------------------------------------ one execution */

static void on_crash(int number, siginfo_t *info, void *context)
{
	(void)context;
	struct model *m = model_state;
	if (!m->running) {
		signal(number, SIG_DFL);
		raise(number);
		return;
	}
	model_tls_leave(m);
	m->running = false;
	m->verdict = VERDICT_FOUND;
	size_t in_stacks = (size_t)((char *)info->si_addr - m->stacks);
	bool overflow = in_stacks < STACKS && in_stacks % MODEL_STACK < GUARD;
	snprintf(m->why, sizeof(m->why), "crash: signal %d (%s) in thread %d at address %p%s",
		number, strsignal(number), m->self, info->si_addr,
		overflow ? ": stack overflow" : "");
	siglongjmp(m->crash, 1);
}

static void catch_crashes(void)
{
	static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
	stack_t stack = {.ss_size = 65536};
	stack.ss_sp = mmap(
		NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaltstack(&stack, NULL);
	struct sigaction action = {
		.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(numbers); i++)
		sigaction(numbers[i], &action, NULL);
}

static void body(void *arg)
{
	(void)arg;
	model_state->scenario.run();
}

static void spread_priorities(struct model *m)
{
	for (unsigned i = 0; i < MOIRAI_ARRAY_SIZE(m->pct_change); i++)
		m->pct_change[i] = 1 + (unsigned)(model_random(m) % m->pct_span);
}

static void execute(struct model *m, uint64_t seed)
{
	memcpy(image.start, image.copy, image.size);
	model_reset_threads(m);
	model_reset_memory(m);
	model_reset_alloc(m);
	m->names = 0;
	m->verdict = VERDICT_CLEAN;
	m->random = (seed + 0x9E3779B97F4A7C15ull) * 0xD1342543DE82EF95ull | 1;
	for (int i = 0; i < 3; i++)
		model_random(m);
	if (m->mode == MODE_PCT)
		spread_priorities(m);
	m->running = true;
	if (sigsetjmp(m->crash, 0) == 0)
		model_start(m, body, NULL);
	m->running = false;
	m->executions++;
	m->steps_total += m->step;
	m->pruned += m->verdict == VERDICT_PRUNED;
}

/* Raises the last choice that has an alternative. false: there is none, all is seen. */
static bool next_branch(struct model *m)
{
	m->tape_length = m->tape_at;
	while (m->tape_length > 0) {
		struct choice *last = &m->tape[m->tape_length - 1];
		if (last->taken + 1u < last->count) {
			last->taken++;
			return true;
		}
		m->tape_length--;
	}
	return false;
}

static double seconds_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* How long an execution is, roughly: PCT spreads its priority changes over that. */
static unsigned measure_span(struct model *m)
{
	m->mode = MODE_REPLAY;
	m->tape_length = 0;
	execute(m, 0);
	return m->step + m->step / 2 + 4;
}

struct outcome model_search(struct model *m, enum mode mode)
{
	struct outcome o = {.seed = m->scenario.seed};
	double start = seconds_now();
	if (mode == MODE_PCT)
		m->pct_span = measure_span(m);
	m->mode = mode;
	m->executions = m->pruned = m->points = m->switches = m->steps_total = 0;
	m->tape_length = 0;
	while (o.executions < m->scenario.limit) {
		if (mode != MODE_DFS)
			m->tape_length = 0;
		execute(m, o.seed);
		o.executions++;
		o.found = m->verdict == VERDICT_FOUND;
		if (o.found)
			break;
		if (mode == MODE_DFS && !next_branch(m)) {
			o.exhausted = true;
			break;
		}
		o.seed++;
	}
	o.seconds = seconds_now() - start;
	return o;
}

/* Steps of a long execution that are printed without --trace. */
#define TRACE_STEPS 300

/* Runs the tape of the last execution again, printing what happens. */
void model_replay(struct model *m, bool whole)
{
	m->trace_from = !whole && m->step > TRACE_STEPS ? m->step - TRACE_STEPS : 0;
	if (m->trace_from)
		printf("# the first %u steps are left out; --trace shows them\n", m->trace_from);
	m->mode = MODE_REPLAY;
	m->tape_length = m->tape_at > m->tape_length ? m->tape_at : m->tape_length;
	m->tracing = true;
	execute(m, 0);
	m->tracing = false;
	if (m->verdict == VERDICT_FOUND)
		printf("# => %s\n", m->why);
	else
		printf("# => nothing found\n");
}

/* ------------------------------------------------------------------ the state */

void model_set_up(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	struct model *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, flags, -1, 0);
	char *stacks = mmap(NULL, STACKS, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (m == MAP_FAILED || stacks == MAP_FAILED) {
		perror("model: mmap");
		exit(2);
	}
	m->stacks = stacks;
	for (size_t i = 0; i < STACKS; i += MODEL_STACK)
		mprotect(stacks + i, GUARD, PROT_NONE);
	model_alloc_init(m);
	model_state = m;
	model_tls_init(m);
	catch_crashes();
	take_snapshot();
	/* The copy must know itself: it is written over `image` before each execution. */
	memcpy(image.copy, image.start, image.size);
}
