/* SPDX-License-Identifier: MIT */
/*
 * Plans are made by a greedy choice, one worker after the other: `spread` takes the processor whose
 * core, node and caches have the fewest workers so far, `compact` walks the machine in the order of
 * its tree. Loads are counted in the plan itself, so nothing is allocated.
 */
#include <moirai/utils/affinity.h>

#include <errno.h>
#include <string.h>

#include "cpulist.h"
#include "detail.h"

int moirai_affinity_parse(const char *text, moirai_affinity_policy *policy, const char **list)
{
	moirai_cpuset set;
	if (!text || !policy || !list)
		return -EINVAL;
	for (moirai_affinity_policy p = MOIRAI_AFFINITY_NONE; p < MOIRAI_AFFINITY_LIST; p++) {
		if (strcmp(text, moirai_affinity_name(p)) == 0) {
			*policy = p;
			*list = NULL;
			return 0;
		}
	}
	int status = moirai_cpulist_parse(text, &set);
	if (status < 0)
		return status;
	if (moirai_cpuset_count(&set) == 0)
		return utils_detail(
			-EINVAL, "an affinity is none, spread, compact or a list of processors");
	*policy = MOIRAI_AFFINITY_LIST;
	*list = text;
	return 0;
}

const char *moirai_affinity_name(moirai_affinity_policy policy)
{
	static const char *const names[] = {"none", "spread", "compact", "list"};
	return (unsigned)policy < MOIRAI_ARRAY_SIZE(names) ? names[policy] : "?";
}

/* Workers planned so far in the groups of every processor; a group number is below the maximum. */
typedef struct affinity_load {
	uint32_t cpu[MOIRAI_CPUS_MAX];
	uint32_t core[MOIRAI_CPUS_MAX];
	uint32_t l2[MOIRAI_CPUS_MAX];
	uint32_t l3[MOIRAI_CPUS_MAX];
	uint32_t package[MOIRAI_CPUS_MAX];
	uint32_t node[MOIRAI_NODES_MAX];
} affinity_load;

/* The first difference decides: an unused processor, an unused core, then evenly from above. */
static bool affinity_emptier(
	const affinity_load *load, const moirai_topology_cpu *a, const moirai_topology_cpu *b)
{
	const uint32_t of_a[] = {load->cpu[a->cpu], load->core[a->core], load->package[a->package],
		load->node[a->node], load->l3[a->l3], load->l2[a->l2], 1024 - a->capacity};
	const uint32_t of_b[] = {load->cpu[b->cpu], load->core[b->core], load->package[b->package],
		load->node[b->node], load->l3[b->l3], load->l2[b->l2], 1024 - b->capacity};
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(of_a); i++)
		if (of_a[i] != of_b[i])
			return of_a[i] < of_b[i];
	return false; /* equal: the lower number, which came first */
}

static void affinity_spread(const moirai_topology *t, unsigned workers, int32_t *cpus)
{
	affinity_load load = {0};
	for (unsigned w = 0; w < workers; w++) {
		const moirai_topology_cpu *best = NULL, *c;
		for (unsigned i = 0; (c = moirai_topology_cpu_at(t, i)); i++)
			if (c->usable && (!best || affinity_emptier(&load, c, best)))
				best = c;
		cpus[w] = (int32_t)best->cpu;
		load.cpu[best->cpu]++;
		load.core[best->core]++;
		load.l2[best->l2]++;
		load.l3[best->l3]++;
		load.package[best->package]++;
		load.node[best->node]++;
	}
}

/* The order of the tree; the number last, so that it is total. */
static int affinity_tree_order(const moirai_topology_cpu *a, const moirai_topology_cpu *b)
{
	const uint32_t of_a[] = {a->package, a->node, a->l3, a->l2, a->core, a->smt, a->cpu};
	const uint32_t of_b[] = {b->package, b->node, b->l3, b->l2, b->core, b->smt, b->cpu};
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(of_a); i++)
		if (of_a[i] != of_b[i])
			return of_a[i] < of_b[i] ? -1 : 1;
	return 0;
}

/* The usable processor next after `previous` in the tree's order; NULL starts. */
static const moirai_topology_cpu *affinity_next(
	const moirai_topology *t, const moirai_topology_cpu *previous)
{
	const moirai_topology_cpu *best = NULL, *c;
	for (unsigned i = 0; (c = moirai_topology_cpu_at(t, i)); i++)
		if (c->usable && (!previous || affinity_tree_order(previous, c) < 0) &&
			(!best || affinity_tree_order(c, best) < 0))
			best = c;
	return best;
}

static void affinity_compact(const moirai_topology *t, unsigned workers, int32_t *cpus)
{
	const moirai_topology_cpu *c = NULL;
	for (unsigned w = 0; w < workers; w++) {
		c = affinity_next(t, c);
		if (!c)
			c = affinity_next(t, NULL);
		cpus[w] = (int32_t)c->cpu;
	}
}

static int affinity_check(const moirai_topology *t, unsigned cpu)
{
	const moirai_topology_cpu *c = moirai_topology_cpu_find(t, cpu);
	if (!c)
		return utils_detail(-ENODEV, "processor %u is not online", cpu);
	if (!c->usable)
		return utils_detail(-ENODEV, "processor %u is not in the mask of the process", cpu);
	return 0;
}

/* The whole list is checked, also what lies behind the last worker. */
static int affinity_list(
	const moirai_topology *t, const char *list, unsigned workers, int32_t *cpus)
{
	unsigned w = 0, named = 0;
	for (const char *at = list; at;) {
		cpulist_range range;
		int status = moirai_cpulist_next(list, &at, &range);
		if (status < 0)
			return status;
		if (status == 0)
			break;
		for (unsigned cpu = range.first; cpu <= range.last; cpu += range.step, named++) {
			if ((status = affinity_check(t, cpu)) < 0)
				return status;
			if (w < workers)
				cpus[w++] = (int32_t)cpu;
		}
	}
	if (named == 0)
		return utils_detail(-EINVAL, "the list of processors is empty");
	for (; w < workers; w++)
		cpus[w] = cpus[w - named];
	return 0;
}

int moirai_affinity_plan(const moirai_topology *topology, moirai_affinity_policy policy,
	const char *list, unsigned workers, int32_t *cpus)
{
	if (!topology || !cpus || workers == 0)
		return -EINVAL;
	switch (policy) {
	case MOIRAI_AFFINITY_NONE:
		for (unsigned w = 0; w < workers; w++)
			cpus[w] = MOIRAI_AFFINITY_ANY;
		return 0;
	case MOIRAI_AFFINITY_SPREAD:
		affinity_spread(topology, workers, cpus);
		return 0;
	case MOIRAI_AFFINITY_COMPACT:
		affinity_compact(topology, workers, cpus);
		return 0;
	case MOIRAI_AFFINITY_LIST:
		return list ? affinity_list(topology, list, workers, cpus) : -EINVAL;
	default:
		return utils_detail(-EINVAL, "%d is no affinity policy", (int)policy);
	}
}
