/* SPDX-License-Identifier: MIT */
/*
 * The machine, as the kernel describes it in sysfs: which logical processors share a core, a cache,
 * a NUMA node, how far the nodes are from one another, and what of it this process may use.
 *
 * A topology is a snapshot that never changes: read it from any thread. Where sysfs is missing
 * (another system, qemu, a bare container) every processor is its own core of one node, and
 * moirai_topology_info says so in `complete`.
 */
#ifndef MOIRAI_UTILS_TOPOLOGY_H
#define MOIRAI_UTILS_TOPOLOGY_H

#include <moirai/core/base.h>
#include <moirai/core/os.h>

MOIRAI_BEGIN_DECLS

typedef struct moirai_topology moirai_topology;

/* NUMA nodes that are told apart; what lies above is folded into the last. Linux allows 1024. */
#define MOIRAI_NODES_MAX 64

/* One logical processor. The groups are numbered densely from 0, by their lowest processor. */
typedef struct moirai_topology_cpu {
	uint32_t cpu;      /* its number in the system */
	uint32_t core;     /* who shares the execution units (SMT siblings) */
	uint32_t l2;       /* who shares the level-2 cache */
	uint32_t l3;       /* who shares the last-level cache */
	uint32_t package;  /* socket */
	uint32_t node;     /* NUMA node: an index into this topology's nodes */
	uint32_t smt;      /* rank within its core: 0 for the first sibling */
	uint32_t capacity; /* relative speed, 1024 for the fastest kind (hybrid machines) */
	bool usable;       /* in the mask of the process */
} moirai_topology_cpu;

typedef struct moirai_topology_info {
	unsigned cpus;   /* online */
	unsigned usable; /* of these, in the mask of the process; at least 1 */
	unsigned cores;  /* groups, over all that is online */
	unsigned l2;
	unsigned l3;
	unsigned packages;
	unsigned nodes;
	unsigned
		quota_millicpus; /* the cgroups' CPU quota in thousandths of a processor; 0: none */
	bool complete;           /* false: some of it was not described and is assumed */
} moirai_topology_info;

/* How far two processors are apart; the order of the values is the order of stealing. */
typedef enum moirai_distance {
	MOIRAI_DISTANCE_SAME,
	MOIRAI_DISTANCE_SMT,
	MOIRAI_DISTANCE_L2,
	MOIRAI_DISTANCE_L3,
	MOIRAI_DISTANCE_NODE,
	MOIRAI_DISTANCE_REMOTE,
} moirai_distance;
#define MOIRAI_DISTANCES 6

/**
 * Reads the topology. root NULL: this machine, and the mask of the calling thread. Else `root` is a
 * directory that holds `sys/` and `proc/` as a machine would (tests, other containers); the mask
 * is then Cpus_allowed_list of root/proc/self/status, or everything that is online.
 *
 * Missing, broken or contradicting files are no error: what they would have said is assumed.
 * -EINVAL: topology is NULL, root is empty or too long. -ENOMEM. Allocates; some ms on a machine of
 * 128 processors. Free with moirai_topology_destroy().
 */
MOIRAI_API int moirai_topology_create(moirai_topology **topology, const char *root);

/** Frees the topology; NULL is fine. */
MOIRAI_API void moirai_topology_destroy(moirai_topology *topology);

/** The totals. Never fails. */
MOIRAI_API void moirai_topology_get_info(
	const moirai_topology *topology, moirai_topology_info *info);

/** The index-th online processor by increasing number, or NULL. Valid while the topology lives. */
MOIRAI_API const moirai_topology_cpu *moirai_topology_cpu_at(
	const moirai_topology *topology, unsigned index);

/** The processor with this number, or NULL when it is not online. O(1). */
MOIRAI_API const moirai_topology_cpu *moirai_topology_cpu_find(
	const moirai_topology *topology, unsigned cpu);

/** The processors that the process may use. Valid while the topology lives. */
MOIRAI_API const moirai_cpuset *moirai_topology_usable(const moirai_topology *topology);

/**
 * How many threads make sense: the usable processors, bounded by the quota rounded up. At least 1.
 */
MOIRAI_API unsigned moirai_topology_parallelism(const moirai_topology *topology);

/** The system's number of the index-th node, or -1. */
MOIRAI_API int moirai_topology_node_number(const moirai_topology *topology, unsigned index);

/**
 * The firmware's relative distance between two nodes (by index): 10 is local, 20 twice as far.
 * UINT32_MAX for an index out of range.
 */
MOIRAI_API unsigned moirai_topology_node_distance(
	const moirai_topology *topology, unsigned from, unsigned to);

/** The class of distance of two processors; REMOTE when one of them is not online. O(1). */
MOIRAI_API moirai_distance moirai_topology_distance(
	const moirai_topology *topology, unsigned cpu_a, unsigned cpu_b);

/**
 * The usable processors other than `cpu`, nearest first; nodes by the firmware's distance; equals
 * by increasing number starting after `cpu` and wrapping, so that no two thieves try the same
 * victim first. Writes at most `capacity` of them and returns how many there are. Does not
 * allocate; O(n log n).
 */
MOIRAI_API unsigned moirai_topology_order(
	const moirai_topology *topology, unsigned cpu, uint32_t *others, unsigned capacity);

/** "same", "smt", "l2", "l3", "node", "remote"; "?" for what is no distance. */
MOIRAI_API const char *moirai_distance_name(moirai_distance distance);

/**
 * Draws the tree of packages, nodes, caches, cores and processors into buffer. Like snprintf: at
 * most size_bytes with the final 0, returns the length of the whole text.
 */
MOIRAI_API size_t moirai_topology_print(
	const moirai_topology *topology, char *buffer, size_t size_bytes);

/* --- NUMA memory --- */

/**
 * Whether memory can be placed on a node: the library was built with libnuma and the kernel agrees.
 * The topology does not need it.
 */
MOIRAI_API bool moirai_numa_available(void);

/** Whether this build links libnuma at all. */
MOIRAI_API bool moirai_numa_built(void);

/** The node of the processor that the caller runs on right now (an index), 0 when unknown. */
MOIRAI_API unsigned moirai_topology_current_node(const moirai_topology *topology);

MOIRAI_END_DECLS

#endif
