/* SPDX-License-Identifier: MIT */
/* Which worker belongs on which processor. Decides only: pinning is moirai_os_affinity_set(). */
#ifndef MOIRAI_UTILS_AFFINITY_H
#define MOIRAI_UTILS_AFFINITY_H

#include <moirai/core/base.h>
#include <moirai/core/os.h>
#include <moirai/utils/topology.h>

MOIRAI_BEGIN_DECLS

typedef enum moirai_affinity_policy {
	MOIRAI_AFFINITY_NONE,    /* the kernel decides */
	MOIRAI_AFFINITY_SPREAD,  /* a core each before SMT siblings; over nodes and caches evenly */
	MOIRAI_AFFINITY_COMPACT, /* neighbours first: siblings, then the cache, then the node */
	MOIRAI_AFFINITY_LIST,    /* the processors of a list, in the order written */
} moirai_affinity_policy;

/* "Not pinned" in a plan. */
#define MOIRAI_AFFINITY_ANY (-1)

/**
 * Reads "none", "spread", "compact", or a list of processors such as "0-3,8,16-30:2" (a range with
 * a step). *list then is `text`, NULL for the others. -EINVAL with a detail for anything else.
 */
MOIRAI_API int moirai_affinity_parse(
	const char *text, moirai_affinity_policy *policy, const char **list);

/**
 * Plans `workers` workers: cpus[i] receives the processor of worker i, or MOIRAI_AFFINITY_ANY.
 * Only processors that the process may use are handed out; with more workers than processors they
 * are handed out again from the start. `list` is read for MOIRAI_AFFINITY_LIST alone.
 *
 * -EINVAL: no workers, unknown policy, a list that does not parse; -ENODEV: the list names a
 * processor that is not online or not in the mask (the detail says which). Does not allocate;
 * O(workers x processors).
 */
MOIRAI_API int moirai_affinity_plan(const moirai_topology *topology, moirai_affinity_policy policy,
	const char *list, unsigned workers, int32_t *cpus);

/** "none", "spread", "compact", "list"; "?" for what is no policy. */
MOIRAI_API const char *moirai_affinity_name(moirai_affinity_policy policy);

/**
 * Reads a list of processors ("0-3,8,16-30:2"; blanks around items; the empty text is the empty
 * set) into *set. -EINVAL: not a list; -ERANGE: a number of MOIRAI_CPUS_MAX or more. The detail
 * points at the column. *set is untouched on failure.
 */
MOIRAI_API int moirai_cpulist_parse(const char *text, moirai_cpuset *set);

/** Writes the set as "0-3,8". Like snprintf: returns the length of the whole text. */
MOIRAI_API size_t moirai_cpulist_format(const moirai_cpuset *set, char *buffer, size_t size_bytes);

MOIRAI_END_DECLS

#endif
