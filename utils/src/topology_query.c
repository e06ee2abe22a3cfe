/* SPDX-License-Identifier: MIT */
#include "topology.h"

#include <string.h>

void moirai_topology_get_info(const moirai_topology *topology, moirai_topology_info *info)
{
	*info = topology->info_;
}

const moirai_topology_cpu *moirai_topology_cpu_at(const moirai_topology *topology, unsigned index)
{
	return index < topology->info_.cpus ? &topology->cpus_[index] : NULL;
}

const moirai_topology_cpu *moirai_topology_cpu_find(const moirai_topology *topology, unsigned cpu)
{
	unsigned index = cpu < MOIRAI_CPUS_MAX ? topology->index_[cpu] : 0;
	return index ? &topology->cpus_[index - 1] : NULL;
}

const moirai_cpuset *moirai_topology_usable(const moirai_topology *topology)
{
	return &topology->usable_;
}

unsigned moirai_topology_parallelism(const moirai_topology *topology)
{
	unsigned quota = (topology->info_.quota_millicpus + 999) / 1000;
	return quota && quota < topology->info_.usable ? quota : topology->info_.usable;
}

int moirai_topology_node_number(const moirai_topology *topology, unsigned index)
{
	return index < topology->info_.nodes ? topology->node_number_[index] : -1;
}

unsigned moirai_topology_node_distance(const moirai_topology *topology, unsigned from, unsigned to)
{
	if (from >= topology->info_.nodes || to >= topology->info_.nodes)
		return UINT32_MAX;
	return topology->node_distance_[from][to];
}

unsigned moirai_topology_current_node(const moirai_topology *topology)
{
	int cpu = moirai_os_cpu_current();
	const moirai_topology_cpu *c =
		cpu < 0 ? NULL : moirai_topology_cpu_find(topology, (unsigned)cpu);
	return c ? c->node : 0;
}

static moirai_distance query_distance(const moirai_topology_cpu *a, const moirai_topology_cpu *b)
{
	if (a == b)
		return MOIRAI_DISTANCE_SAME;
	if (a->core == b->core)
		return MOIRAI_DISTANCE_SMT;
	if (a->l2 == b->l2)
		return MOIRAI_DISTANCE_L2;
	if (a->l3 == b->l3)
		return MOIRAI_DISTANCE_L3;
	return a->node == b->node ? MOIRAI_DISTANCE_NODE : MOIRAI_DISTANCE_REMOTE;
}

moirai_distance moirai_topology_distance(
	const moirai_topology *topology, unsigned cpu_a, unsigned cpu_b)
{
	const moirai_topology_cpu *a = moirai_topology_cpu_find(topology, cpu_a);
	const moirai_topology_cpu *b = moirai_topology_cpu_find(topology, cpu_b);
	return a && b ? query_distance(a, b) : MOIRAI_DISTANCE_REMOTE;
}

/* What a victim is sorted by, in one number: class, distance of the nodes, place after the thief. */
static uint64_t query_victim_key(const moirai_topology *t, const moirai_topology_cpu *thief,
	unsigned thief_place, unsigned place)
{
	const moirai_topology_cpu *victim = &t->cpus_[place];
	uint64_t hops = t->node_distance_[thief->node][victim->node];
	unsigned after = (place + t->info_.cpus - thief_place) % t->info_.cpus;
	return (uint64_t)query_distance(thief, victim) << 48 | hops << 16 | after;
}

/* Heapsort: in place, and never slower than n log n. */
static void query_sift(uint64_t *keys, unsigned count, unsigned at)
{
	for (unsigned child; (child = 2 * at + 1) < count; at = child) {
		child += child + 1 < count && keys[child + 1] > keys[child];
		if (keys[at] >= keys[child])
			return;
		uint64_t swap = keys[at];
		keys[at] = keys[child];
		keys[child] = swap;
	}
}

static void query_sort(uint64_t *keys, unsigned count)
{
	for (unsigned i = count / 2; i-- > 0;)
		query_sift(keys, count, i);
	for (unsigned end = count; end > 1;) {
		uint64_t swap = keys[0];
		keys[0] = keys[--end];
		keys[end] = swap;
		query_sift(keys, end, 0);
	}
}

unsigned moirai_topology_order(
	const moirai_topology *topology, unsigned cpu, uint32_t *others, unsigned capacity)
{
	uint64_t keys[MOIRAI_CPUS_MAX];
	const moirai_topology_cpu *thief = moirai_topology_cpu_find(topology, cpu);
	unsigned count = 0;
	if (!thief)
		thief = &topology->cpus_[0]; /* not online: from the machine's first processor */
	unsigned thief_place = (unsigned)(thief - topology->cpus_);
	for (unsigned i = 0; i < topology->info_.cpus; i++)
		if (topology->cpus_[i].usable && topology->cpus_[i].cpu != cpu)
			keys[count++] = query_victim_key(topology, thief, thief_place, i);
	query_sort(keys, count);
	for (unsigned i = 0; i < count && i < capacity; i++) {
		unsigned place =
			(unsigned)((keys[i] & 0xFFFF) + thief_place) % topology->info_.cpus;
		others[i] = topology->cpus_[place].cpu;
	}
	return count;
}

const char *moirai_distance_name(moirai_distance distance)
{
	static const char *const names[] = {"same", "smt", "l2", "l3", "node", "remote"};
	return (unsigned)distance < MOIRAI_ARRAY_SIZE(names) ? names[distance] : "?";
}
