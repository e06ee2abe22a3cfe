/* SPDX-License-Identifier: MIT */
/*
 * Unstable. A worker without work: where it looks, how long, when it steals, naps and sleeps.
 * Policy only; src/search.c has the design note.
 */
#ifndef MOIRAI_SCHEDULER_INTERNAL_SEARCH_H
#define MOIRAI_SCHEDULER_INTERNAL_SEARCH_H

#include <moirai/scheduler/internal/idle.h>
#include <moirai/scheduler/internal/queues.h>

MOIRAI_BEGIN_DECLS

/* Another worker, as a thief sees it: from the nearest to the farthest. */
struct moirai__victim {
	struct moirai__queues *queues_;
	uint32_t distance_;   /* equal distances form a class; the thief starts anywhere in it */
	uint32_t epoch_;      /* private to the search: the search that saw seen_ */
	uint64_t seen_;       /* signature when its lone item was first met */
	uint64_t seen_ns_;
};

/* The executor's side. All run on the worker's thread. NULL where marked optional. */
struct moirai__search_ops {
	struct moirai__idle_ops idle;
	/* Fires due timers; may put items on the worker's own queues. */
	void (*timers)(void *arg);
	/* Optional: other sources (slots of fork-join, a reactor). True: it holds something, which
	 * the caller of search_run() then runs. *pending: there is something that cannot be had yet;
	 * waited_ns tells for how long that has been so. */
	bool (*extra)(void *arg, uint64_t waited_ns, bool *pending);
};

enum moirai__found {
	MOIRAI__FOUND_ITEM,  /* *item is to be run */
	MOIRAI__FOUND_EXTRA, /* extra() returned true: run what it holds */
	MOIRAI__FOUND_QUIT,  /* idle.quit said so and nothing is left here */
};

/* Per worker. Zeroed, then moirai__search_init(). */
struct moirai__search {
	struct moirai__queues *queues_; /* the worker's own */
	struct moirai__sleeper *sleeper_;
	struct moirai__idle *idle_;
	struct moirai__injector *injector_;
	const struct moirai__search_ops *ops_;
	const moirai_scheduler_tuning *tuning_;
	void *arg_;
	struct moirai__victim *victims_; /* sorted by distance_ */
	uint32_t victim_count_;
	/* The state of the policy. */
	uint32_t random_;
	uint32_t epoch_;
	uint32_t useless_;  /* searches in a row that did not pay */
	bool hard_;         /* the next nap may not be poked */
	uint64_t loot_ns_;  /* when the last loot was taken; 0: it has been judged */
};

/** Prepares *search; all pointers stay valid while it is used. seed: any number. */
MOIRAI_API void moirai__search_init(struct moirai__search *search, struct moirai__queues *queues,
	struct moirai__sleeper *sleeper, struct moirai__idle *idle, struct moirai__injector *injector,
	const struct moirai__search_ops *ops, const moirai_scheduler_tuning *tuning, void *arg,
	struct moirai__victim *victims, uint32_t victim_count, uint32_t seed);

/**
 * The worker has nothing of its own: looks everywhere, naps, sleeps, until there is something.
 * Blocks the thread. Allocates only when loot makes the own ring grow.
 */
MOIRAI_API enum moirai__found moirai__search_run(struct moirai__search *search, uintptr_t *item);

MOIRAI_END_DECLS

#endif
