/* SPDX-License-Identifier: MIT */
/* The scheduler's public vocabulary: how much a thief takes, the constants, the statistics. */
#ifndef MOIRAI_SCHEDULER_TYPES_H
#define MOIRAI_SCHEDULER_TYPES_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

/** How much a thief takes of what it finds, of at most 32 items. */
typedef enum moirai_steal_amount {
	MOIRAI_STEAL_HALF = 0,    /* half, rounded up: the default; spreads work in log2(n) steals */
	MOIRAI_STEAL_ONE = 1,     /* for few, long tasks */
	MOIRAI_STEAL_QUARTER = 2, /* a quarter, rounded up: for many thieves around one source */
} moirai_steal_amount;

/** The constants of the scheduler. Zero means the default; moirai_scheduler_tuning_default() fills. */
typedef struct moirai_scheduler_tuning {
	uint32_t steal_amount;     /* moirai_steal_amount */
	uint32_t search_rounds;    /* looks at everybody before a worker sleeps; 60: about 45 us */
	uint32_t useless_rounds;   /* the same for a worker whose searches do not pay; 4: about 2 us */
	uint32_t useless_limit;    /* searches without gain after which that holds; 3 */
	uint32_t nap_looks;        /* looks after each nap of the watcher; 3 */
	uint32_t nap_limit;        /* naps without movement after which the watcher really sleeps; 4 */
	uint32_t foreign_hard;     /* foreign items in a nap that make the next one unpokeable; 8 */
	uint32_t fence_return;     /* idle notifications after which fences become cheap again; 4096 */
	uint64_t lone_ns;          /* age at which a worker's only item may be stolen; 2000 */
	uint64_t payoff_ns;        /* loot that keeps a thief busy for less than this was useless; 3000 */
	uint64_t nap_ns;           /* one nap of the watcher: the bound on late discovery; 40,000 */
	uint64_t often_ns;         /* sleeps closer than this count as frequent; 100,000 */
} moirai_scheduler_tuning;

/** Fills *tuning with the defaults: measured on a 2-core Zen 5 virtual machine. Never fails. */
MOIRAI_API void moirai_scheduler_tuning_default(moirai_scheduler_tuning *tuning);

/** Replaces zeros by defaults. -EINVAL: an unknown amount or a value beyond its limit; unchanged. */
MOIRAI_API int moirai_scheduler_tuning_check(moirai_scheduler_tuning *tuning);

/** What one worker's scheduling has done so far. Counters only grow. */
typedef struct moirai_scheduler_stats {
	uint64_t picks;         /* times it chose what to run next */
	uint64_t spawned;       /* items that its tasks spawned */
	uint64_t steals_tried;  /* victims that looked worth it */
	uint64_t steals_won;    /* of them, those that gave anything */
	uint64_t steals_items;  /* items so gained */
	uint64_t injected;      /* items taken from outside */
	uint64_t sleeps;        /* real sleeps */
	uint64_t wakes;         /* sleepers that it woke */
	uint64_t naps;          /* short sleeps as the watcher */
	uint64_t pokes;         /* naps that it cut short */
} moirai_scheduler_stats;

MOIRAI_END_DECLS

#endif
