/* SPDX-License-Identifier: MIT */
/*
 * Reading the machine.
 *
 * A group (core, cache, package) is named by a key while it is read: the lowest online processor
 * that shares it, or the number the kernel gives. At the end keys become dense numbers in order of
 * appearance. That makes the result independent of the kernel's numbering (siblings side by side or
 * half a machine apart), of gaps left by offline processors, and harmless when files contradict
 * one another: a processor belongs to exactly one group of each kind, whatever they say.
 *
 * What is missing is assumed, from the inside out: no siblings, the own L2 per core, one last-level
 * cache per node and package, one package, one node.
 */
#include "topology.h"

#include <errno.h>
#include <string.h>

#include <moirai/core/alloc.h>
#include <moirai/utils/affinity.h>

#include "detail.h"
#include "sysfs.h"

#define SYS_CPU  "sys/devices/system/cpu"
#define SYS_NODE "sys/devices/system/node"

/* Caches of a processor are index0 .. index9: no machine has more levels and kinds. */
#define CACHE_INDEXES 10
#define KEY_NONE      UINT32_MAX

/* The lowest online processor of the set, if the set holds the processor itself. */
static uint32_t topology_lowest(
	const moirai_topology *t, const moirai_cpuset *set, uint32_t cpu, uint32_t otherwise)
{
	if (!moirai_cpuset_has(set, cpu))
		return otherwise;
	for (unsigned i = 0; i < t->info_.cpus; i++)
		if (moirai_cpuset_has(set, t->cpus_[i].cpu))
			return t->cpus_[i].cpu;
	return otherwise;
}

static void topology_read_core(moirai_topology *t, const char *root, moirai_topology_cpu *c)
{
	moirai_cpuset set;
	long package = -1;
	/* The older name first: it exists in every kernel, the newer one since 5.3. */
	if (moirai_sysfs_cpus(root, &set, SYS_CPU "/cpu%u/topology/thread_siblings_list", c->cpu) <
			0 &&
		moirai_sysfs_cpus(root, &set, SYS_CPU "/cpu%u/topology/core_cpus_list", c->cpu) <
			0) {
		t->info_.complete = false;
		memset(&set, 0, sizeof(set));
	}
	c->core = topology_lowest(t, &set, c->cpu, c->cpu);
	/* -1 is what some virtual machines say for "I do not know". */
	if (moirai_sysfs_number(
		    root, &package, SYS_CPU "/cpu%u/topology/physical_package_id", c->cpu) < 0)
		t->info_.complete = false;
	c->package = package < 0 ? 0 : (uint32_t)package;
}

/* The unified or data caches of level 2, and of the highest level above it. */
static void topology_read_caches(moirai_topology *t, const char *root, moirai_topology_cpu *c)
{
	long level, highest = 2;
	c->l2 = c->l3 = KEY_NONE;
	for (int i = 0; i < CACHE_INDEXES; i++) {
		char type[32];
		moirai_cpuset set;
		if (moirai_sysfs_number(
			    root, &level, SYS_CPU "/cpu%u/cache/index%d/level", c->cpu, i) < 0)
			continue;
		if (level < 2 ||
			moirai_sysfs_text(root, type, sizeof(type),
				SYS_CPU "/cpu%u/cache/index%d/type", c->cpu, i) < 0 ||
			strcmp(type, "Instruction") == 0 ||
			moirai_sysfs_cpus(root, &set,
				SYS_CPU "/cpu%u/cache/index%d/shared_cpu_list", c->cpu, i) < 0)
			continue;
		if (level == 2) {
			c->l2 = topology_lowest(t, &set, c->cpu, KEY_NONE);
		} else if (level > highest) {
			highest = level;
			c->l3 = topology_lowest(t, &set, c->cpu, KEY_NONE);
		}
	}
	if (c->l2 == KEY_NONE)
		c->l2 = c->core;
	t->info_.complete &= c->l3 != KEY_NONE;
}

/* The relative speed: what the kernel says, else by the highest clock; scaled to 1024 later. */
static uint32_t topology_read_capacity(const char *root, unsigned cpu)
{
	long value;
	if (moirai_sysfs_number(root, &value, SYS_CPU "/cpu%u/cpu_capacity", cpu) < 0 &&
		moirai_sysfs_number(root, &value, SYS_CPU "/cpu%u/cpufreq/cpuinfo_max_freq", cpu) <
			0)
		return 0;
	return value > 0 && value < INT32_MAX ? (uint32_t)value : 0;
}

static void topology_scale_capacity(moirai_topology *t)
{
	uint64_t highest = 0;
	for (unsigned i = 0; i < t->info_.cpus; i++)
		highest = t->cpus_[i].capacity > highest ? t->cpus_[i].capacity : highest;
	for (unsigned i = 0; i < t->info_.cpus; i++) {
		uint64_t own = t->cpus_[i].capacity;
		t->cpus_[i].capacity = own ? (uint32_t)(own * 1024 / highest) : 1024;
	}
}

/* The row of distances of a node, in the order of the online nodes. */
static void topology_read_distances(
	moirai_topology *t, const char *root, const moirai_cpuset *online, unsigned index)
{
	char text[8192];
	unsigned column = 0;
	const char *p = text;
	if (moirai_sysfs_text(root, text, sizeof(text), SYS_NODE "/node%u/distance",
		    t->node_number_[index]) < 0)
		return;
	for (unsigned node = 0; node < MOIRAI_CPUS_MAX && *p; node++) {
		unsigned value = 0;
		if (!moirai_cpuset_has(online, node))
			continue;
		while (*p == ' ')
			p++;
		for (; *p >= '0' && *p <= '9'; p++)
			value = value < 60000 ? value * 10 + (unsigned)(*p - '0') : value;
		/* A node without processors has a column and no index. */
		if (column < t->info_.nodes && t->node_number_[column] == node) {
			if (value >= NODE_DISTANCE_LOCAL && value < UINT16_MAX)
				t->node_distance_[index][column] = (uint16_t)value;
			column++;
		}
		if (*p != ' ')
			break;
	}
}

static unsigned topology_claim(moirai_topology *t, const moirai_cpuset *set, uint32_t node)
{
	unsigned claimed = 0;
	for (unsigned i = 0; i < t->info_.cpus; i++) {
		moirai_topology_cpu *c = &t->cpus_[i];
		if (c->node == KEY_NONE && moirai_cpuset_has(set, c->cpu)) {
			c->node = node;
			claimed++;
		}
	}
	return claimed;
}

static void topology_read_nodes(moirai_topology *t, const char *root)
{
	moirai_cpuset online, set;
	if (moirai_sysfs_cpus(root, &online, SYS_NODE "/online") < 0)
		memset(&online, 0, sizeof(online));
	for (unsigned node = 0; node < MOIRAI_CPUS_MAX; node++) {
		/* A machine has at most MOIRAI_NODES_MAX of them here: the rest joins the last one. */
		unsigned index = t->info_.nodes;
		if (!moirai_cpuset_has(&online, node) ||
			moirai_sysfs_cpus(root, &set, SYS_NODE "/node%u/cpulist", node) < 0)
			continue;
		if (index == MOIRAI_NODES_MAX) {
			topology_claim(t, &set, index - 1);
			t->info_.complete = false;
		} else if (topology_claim(t, &set, index) > 0) {
			t->node_number_[index] = (uint16_t)node;
			t->info_.nodes++;
		}
	}
	if (t->info_.nodes == 0) {
		t->info_.nodes = 1;
		t->info_.complete = false;
	}
	for (unsigned i = 0; i < t->info_.cpus; i++)
		if (t->cpus_[i].node == KEY_NONE)
			t->cpus_[i].node = 0;
	for (unsigned i = 0; i < t->info_.nodes; i++)
		for (unsigned j = 0; j < t->info_.nodes; j++)
			t->node_distance_[i][j] =
				i == j ? NODE_DISTANCE_LOCAL : NODE_DISTANCE_REMOTE;
	for (unsigned i = 0; i < t->info_.nodes; i++)
		topology_read_distances(t, root, &online, i);
}

/* Without a last-level cache in the files: one for each part of a package on a node. */
static void topology_assume_l3(moirai_topology *t)
{
	for (unsigned i = 0; i < t->info_.cpus; i++) {
		moirai_topology_cpu *c = &t->cpus_[i];
		for (unsigned j = 0; c->l3 == KEY_NONE; j++)
			if (t->cpus_[j].node == c->node && t->cpus_[j].package == c->package)
				c->l3 = t->cpus_[j].cpu;
	}
}

/* Replaces the keys in the field at `offset` by dense numbers in order of appearance. */
static unsigned topology_number(moirai_topology *t, size_t offset)
{
	uint32_t keys[MOIRAI_CPUS_MAX];
	unsigned count = 0;
	for (unsigned i = 0; i < t->info_.cpus; i++) {
		uint32_t *field = (uint32_t *)(void *)((char *)&t->cpus_[i] + offset);
		unsigned k = 0;
		while (k < count && keys[k] != *field)
			k++;
		if (k == count)
			keys[count++] = *field;
		*field = k;
	}
	return count;
}

static void topology_rank_siblings(moirai_topology *t)
{
	uint32_t seen[MOIRAI_CPUS_MAX] = {0};
	for (unsigned i = 0; i < t->info_.cpus; i++)
		t->cpus_[i].smt = seen[t->cpus_[i].core]++;
}

/* Which processors are online: the kernel's list, else the mask, else as many as are usable. */
static void topology_read_online(
	moirai_topology *t, const char *root, const moirai_cpuset *mask, moirai_cpuset *online)
{
	if ((moirai_sysfs_cpus(root, online, SYS_CPU "/online") == 0 ||
		    moirai_sysfs_cpus(root, online, SYS_CPU "/present") == 0) &&
		moirai_cpuset_count(online) > 0)
		return;
	t->info_.complete = false;
	*online = *mask;
	if (moirai_cpuset_count(online) == 0)
		for (unsigned i = 0; i < moirai_os_cpus_usable(); i++)
			moirai_cpuset_add(online, i);
}

/* The mask of the process; of a given root, what its /proc says. Empty: unknown. */
static void topology_read_mask(const char *root, bool machine, moirai_cpuset *mask)
{
	char text[16384];
	static const char label[] = "\nCpus_allowed_list:";
	memset(mask, 0, sizeof(*mask));
	if (machine) {
		if (moirai_os_affinity_get(mask) < 0)
			memset(mask, 0, sizeof(*mask));
		return;
	}
	if (moirai_sysfs_text(root, text, sizeof(text), "proc/self/status") < 0)
		return;
	char *list = strstr(text, label);
	if (!list)
		return;
	list += sizeof(label) - 1;
	list[strcspn(list, "\n")] = 0;
	if (moirai_cpulist_parse(list, mask) < 0)
		memset(mask, 0, sizeof(*mask));
}

static void topology_enter_cpus(
	moirai_topology *t, const moirai_cpuset *online, const moirai_cpuset *mask)
{
	for (unsigned cpu = 0; cpu < MOIRAI_CPUS_MAX; cpu++) {
		if (!moirai_cpuset_has(online, cpu))
			continue;
		moirai_topology_cpu *c = &t->cpus_[t->info_.cpus];
		c->cpu = cpu;
		c->node = KEY_NONE;
		c->usable = moirai_cpuset_has(mask, cpu);
		t->info_.usable += c->usable;
		t->index_[cpu] = (uint16_t)++t->info_.cpus;
	}
	/* A mask without any online processor is stale or from elsewhere: it says nothing. */
	for (unsigned i = 0; i < t->info_.cpus; i++) {
		t->cpus_[i].usable |= t->info_.usable == 0;
		if (t->cpus_[i].usable)
			moirai_cpuset_add(&t->usable_, t->cpus_[i].cpu);
	}
	t->info_.usable = moirai_cpuset_count(&t->usable_);
}

static void topology_read(moirai_topology *t, const char *root, bool machine)
{
	moirai_cpuset mask, online;
	t->info_.complete = true;
	topology_read_mask(root, machine, &mask);
	topology_read_online(t, root, &mask, &online);
	topology_enter_cpus(t, &online, &mask);
	topology_read_nodes(t, root);
	for (unsigned i = 0; i < t->info_.cpus; i++) {
		topology_read_core(t, root, &t->cpus_[i]);
		topology_read_caches(t, root, &t->cpus_[i]);
		t->cpus_[i].capacity = topology_read_capacity(root, t->cpus_[i].cpu);
	}
	topology_assume_l3(t);
	topology_scale_capacity(t);
	t->info_.cores = topology_number(t, offsetof(moirai_topology_cpu, core));
	t->info_.l2 = topology_number(t, offsetof(moirai_topology_cpu, l2));
	t->info_.l3 = topology_number(t, offsetof(moirai_topology_cpu, l3));
	t->info_.packages = topology_number(t, offsetof(moirai_topology_cpu, package));
	topology_rank_siblings(t);
	t->info_.quota_millicpus = moirai_cgroup_millicpus(root);
}

int moirai_topology_create(moirai_topology **topology, const char *root)
{
	if (!topology)
		return -EINVAL;
	*topology = NULL;
	if (root && (!*root || strlen(root) > SYSFS_ROOT_MAX))
		return utils_detail(-EINVAL,
			"the root of a topology is empty or longer than %d bytes", SYSFS_ROOT_MAX);
	moirai_topology *t = moirai_alloc_zeroed(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	/* "" + "/sys/..." is this machine. */
	topology_read(t, root ? root : "", !root);
	*topology = t;
	return 0;
}

void moirai_topology_destroy(moirai_topology *topology)
{
	moirai_free(topology);
}
