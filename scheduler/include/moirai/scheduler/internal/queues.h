/* SPDX-License-Identifier: MIT */
/*
 * Unstable. All queues of one worker: five deques by priority, the yield queue, and the order in
 * which it picks from them. src/queues.c has the design note.
 */
#ifndef MOIRAI_SCHEDULER_INTERNAL_QUEUES_H
#define MOIRAI_SCHEDULER_INTERNAL_QUEUES_H

#include <moirai/core/task.h>
#include <moirai/scheduler/internal/deque.h>
#include <moirai/scheduler/internal/injector.h>
#include <moirai/scheduler/internal/yield_queue.h>

MOIRAI_BEGIN_DECLS

/* Every 64th pick looks elsewhere first: a mask, and rare enough to cost nothing. */
#define MOIRAI__PICK_PERIOD 64u

/* A deque's number: 0 is the most urgent. */
static inline unsigned moirai__level(int priority)
{
	return (unsigned)(MOIRAI_PRIORITY_CRITICAL - priority);
}
#define MOIRAI__LEVEL_NORMAL 2u

/* What the queues must know about items; given once per executor. */
struct moirai__item_ops {
	unsigned (*level)(uintptr_t item); /* 0 ... MOIRAI_PRIORITY_LEVELS - 1 */
};

struct moirai__queues {
	struct moirai__deque deque_[MOIRAI_PRIORITY_LEVELS];
	struct moirai__yield_queue yielded_;
	/* Owner's plain stores; others read them as hints. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) uint32_t levels_; /* bit l: deque_[l] may hold something */
	uint32_t pick_;       /* picks so far */
	uint32_t age_;        /* the level whose old end has the next turn */
	size_t spawned_;      /* spawns so far, for quiescence */
	const struct moirai__item_ops *ops_;
	moirai_scheduler_stats stats_; /* owner writes, relaxed */
};

/** Prepares caller's memory. Allocates nothing: rings come with the first push. */
MOIRAI_API void moirai__queues_init(
	struct moirai__queues *queues, const struct moirai__item_ops *ops);

/** Frees the rings. Everything is empty and nobody uses it. */
MOIRAI_API void moirai__queues_fini(struct moirai__queues *queues);

/** Owner: gives oversized rings back. Before a real sleep. */
MOIRAI_API void moirai__queues_trim(struct moirai__queues *queues);

/** Owner: room for `count` more items at the level; later pushes of as many cannot fail. -ENOMEM. */
static inline int moirai__queues_reserve(
	struct moirai__queues *queues, unsigned level, unsigned count)
{
	return moirai__deque_reserve(&queues->deque_[level], count);
}

/* Owner: adds to one of its own counters, which others may read. */
static MOIRAI_ALWAYS_INLINE void moirai__count(uint64_t *counter, uint64_t n)
{
	/* Relaxed load and store, no read-modify-write: we are the only writer. */
	moirai_store_relaxed(counter, moirai_load_relaxed(counter) + n);
}

/** Owner: queues an item at its level. -ENOMEM: it is not in. */
static MOIRAI_ALWAYS_INLINE int moirai__queues_push(
	struct moirai__queues *queues, unsigned level, uintptr_t item)
{
	int rc = moirai__deque_push(&queues->deque_[level], item);
	if (MOIRAI_UNLIKELY(rc < 0))
		return rc;
	/* Relaxed: a hint; sleepers read the deques themselves. */
	uint32_t levels = moirai_load_relaxed(&queues->levels_);
	if (!(levels >> level & 1))
		moirai_store_relaxed(&queues->levels_, levels | 1u << level);
	return 0;
}

/**
 * Owner: counts a spawn; BEFORE the item is pushed, so that a thief's finished count never
 * overtakes it. Take it back with moirai__queues_unspawn() when the push fails.
 */
static MOIRAI_ALWAYS_INLINE void moirai__queues_spawned(struct moirai__queues *queues)
{
	/* Relaxed: the release of the push that follows publishes it. */
	moirai_store_relaxed(&queues->spawned_, moirai_load_relaxed(&queues->spawned_) + 1);
}

static inline void moirai__queues_unspawn(struct moirai__queues *queues)
{
	moirai_store_relaxed(&queues->spawned_, moirai_load_relaxed(&queues->spawned_) - 1);
}

/** Owner: the youngest item of the most urgent level, 0 when all deques are empty. */
static MOIRAI_ALWAYS_INLINE uintptr_t moirai__queues_pop(struct moirai__queues *queues)
{
	uint32_t levels = moirai_load_relaxed(&queues->levels_);
	for (uint32_t left = levels; left; left &= left - 1) {
		unsigned level = (unsigned)__builtin_ctz(left);
		uintptr_t item = moirai__deque_pop(&queues->deque_[level]);
		if (MOIRAI_LIKELY(item))
			return item;
		/* Only if it is bare: a thief may claim too much and hide what it leaves to others. */
		if (MOIRAI_LIKELY(moirai__deque_is_bare(&queues->deque_[level]))) {
			levels &= ~(1u << level);
			moirai_store_relaxed(&queues->levels_, levels);
		}
	}
	return 0;
}

/**
 * Owner that searches: as pop, then the oldest yielder, but reads all queues and rebuilds the bitmap.
 */
MOIRAI_API uintptr_t moirai__queues_pop_any(struct moirai__queues *queues);

/** Owner: the old end of one level, round robin from the least urgent; 0 when there is nothing. */
MOIRAI_API uintptr_t moirai__queues_take_oldest(struct moirai__queues *queues);

/* The look elsewhere of every 64th pick: fire timers, then an item from outside or 0. */
typedef uintptr_t moirai__elsewhere_fn(void *arg);

/* Owner: the 64th pick. */
MOIRAI_API uintptr_t moirai__queues_pick_slow(
	struct moirai__queues *queues, moirai__elsewhere_fn *elsewhere, void *arg);

/**
 * Owner: what to run next, 0 when its own queues are empty. Most urgent level, youngest first, then
 * the yield queue; every 64th time `elsewhere(arg)` first, then in turns the old end of a level or
 * the yield queue.
 */
static MOIRAI_ALWAYS_INLINE uintptr_t moirai__queues_pick(
	struct moirai__queues *queues, moirai__elsewhere_fn *elsewhere, void *arg)
{
	uint32_t pick = moirai_load_relaxed(&queues->pick_) + 1;
	moirai_store_relaxed(&queues->pick_, pick); /* relaxed: a counter that thieves compare */
	if (MOIRAI_UNLIKELY(!(pick & (MOIRAI__PICK_PERIOD - 1))))
		return moirai__queues_pick_slow(queues, elsewhere, arg);
	uintptr_t item = moirai__queues_pop(queues);
	return MOIRAI_LIKELY(item) ? item : moirai__yield_queue_pop(&queues->yielded_);
}

/**
 * Owner, the fast yield of a fiber (no fork-join activity): appends `self` and returns the oldest
 * yielder with the yield queue's section OPEN (see moirai__yield_queue_swap). 0: take the slow way:
 * pick, then push `self` from the successor's post-action. Counts a pick.
 */
static MOIRAI_ALWAYS_INLINE uintptr_t moirai__queues_yield(
	struct moirai__queues *queues, uintptr_t self, moirai__prefetch_fn *prefetch)
{
	uint32_t pick = moirai_load_relaxed(&queues->pick_) + 1;
	if (MOIRAI_UNLIKELY(!(pick & (MOIRAI__PICK_PERIOD - 1)) ||
		    moirai_load_relaxed(&queues->levels_)))
		return 0; /* the slow way's pick counts */
	uintptr_t item = moirai__yield_queue_swap(&queues->yielded_, self, prefetch);
	if (MOIRAI_LIKELY(item))
		moirai_store_relaxed(&queues->pick_, pick);
	return item;
}

/** Any thread: items in the deques and the yield queue, a moment ago. Believes the bitmap. */
MOIRAI_API size_t moirai__queues_count(const struct moirai__queues *queues);

/** Any thread: whether anything lies here. Reads every queue, never the bitmap: for the rescan. */
MOIRAI_API bool moirai__queues_any(const struct moirai__queues *queues);

/** Any thread: changes whenever the owner picks or spawns. A thief compares it with an older one. */
static inline uint64_t moirai__queues_signature(const struct moirai__queues *queues)
{
	return (uint64_t)moirai_load_relaxed(&queues->pick_) << 32 |
		(uint32_t)moirai_load_relaxed(&queues->spawned_);
}

/**
 * Owner of `own`: steals a batch from another worker: the most urgent level first, then its yield
 * queue. Returns the oldest item and queues the rest at the same level here; 0 when there was
 * nothing or another thief was at work. Without memory for the rest it takes one. Counts.
 */
MOIRAI_API uintptr_t moirai__queues_steal(
	struct moirai__queues *victim, struct moirai__queues *own, moirai_steal_amount amount);

/**
 * Owner: takes a batch from outside, queues all but the oldest here and returns that; 0 when there
 * was nothing. What finds no room here goes back. A caller that is not counted as searching notifies
 * the idle word afterwards: a sleeper may have looked while the batch was in nobody's queue.
 */
MOIRAI_API uintptr_t moirai__queues_drain(
	struct moirai__queues *queues, struct moirai__injector *injector, unsigned sharers);

/** Any thread: the counters, approximate while the owner runs. */
MOIRAI_API void moirai__queues_stats(
	const struct moirai__queues *queues, moirai_scheduler_stats *stats);

MOIRAI_END_DECLS

#endif
