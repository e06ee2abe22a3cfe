/* SPDX-License-Identifier: MIT */
/*
 * Unstable. Deadlines: a hierarchical wheel whose buckets are arrays of {deadline, timer}.
 *
 * One owner at a time: the caller locks. Deadlines are absolute monotonic ns and are rounded up to
 * the tick: a timer is never early and at most one tick late, plus what the caller adds by calling
 * expire() late. Start and cancel take O(1), expiry amortised O(1) per level crossed.
 *
 * Timers are intrusive, 16 bytes, and belong to the caller; a pending one must stay where it is.
 * After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, with arrays in the
 * place of lists: a cascade then reads memory in order instead of chasing pointers.
 */
#ifndef MOIRAI_ASYNC_INTERNAL_TIMER_WHEEL_H
#define MOIRAI_ASYNC_INTERNAL_TIMER_WHEEL_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

#define MOIRAI__TIMER_SLOTS     64
#define MOIRAI__TIMER_LEVELS    10 /* 60 bits of ticks: with the shortest tick all 64-bit deadlines */
#define MOIRAI__TIMER_SHIFT_MIN 5  /* 32 ns */
#define MOIRAI__TIMER_SHIFT_MAX 30 /* 1.07 s */

struct moirai__timer_entry;
struct moirai__timer_chunk;

/* All zero: not pending. */
struct moirai__timer {
	struct moirai__timer_entry *entry_; /* NULL: not pending */
	uint32_t bucket_;                   /* level * 64 + slot */
};

struct moirai__timer_bucket {
	struct moirai__timer_chunk *tail_; /* the only chunk that is not full */
	uint32_t used_;                    /* entries in the tail */
};

struct moirai__timer_wheel {
	uint64_t tick_;  /* everything up to this tick has been delivered or stands in its slot */
	unsigned shift_; /* a tick is 2^shift ns */
	uint64_t occupied_[MOIRAI__TIMER_LEVELS]; /* one bit per non-empty bucket */
	struct moirai__timer_bucket buckets_[MOIRAI__TIMER_LEVELS * MOIRAI__TIMER_SLOTS];
	uint64_t pending_;
	uint64_t pending_max_; /* for so many the chunks suffice, however they are distributed */
	uint64_t chunks_;      /* owned */
	struct moirai__timer_chunk *spare_;
	struct moirai__timer_block *blocks_; /* the memory they are cut from */
};

/**
 * Starts an empty wheel at now_ns with ticks of 2^tick_shift ns (10: 1 us, 20: 1 ms).
 * Allocates nothing. -EINVAL: shift out of range.
 */
MOIRAI_API int moirai__timer_wheel_init(
	struct moirai__timer_wheel *wheel, unsigned tick_shift, uint64_t now_ns);

/** Frees the wheel's memory; pending timers are forgotten. NULL and zeroed are fine. */
MOIRAI_API void moirai__timer_wheel_fini(struct moirai__timer_wheel *wheel);

/**
 * Starts a timer that is not pending. A deadline in the past is delivered by the next expire().
 * -ENOMEM: not started; only here does the wheel allocate, and not in steady state. Start and cancel: about 10 ns.
 */
MOIRAI_API MOIRAI_MUST_CHECK int moirai__timer_start(
	struct moirai__timer_wheel *wheel, struct moirai__timer *timer, uint64_t deadline_ns);

/** Stops a timer. true: it was pending and will not be delivered; false: it was not. */
MOIRAI_API bool moirai__timer_cancel(
	struct moirai__timer_wheel *wheel, struct moirai__timer *timer);

static inline bool moirai__timer_is_pending(const struct moirai__timer *timer)
{
	return timer->entry_ != NULL;
}

/**
 * Takes up to `max` timers whose deadline has come out of the wheel and into due[], in the order of
 * their ticks; returns how many. Fewer than max: there are no more. They are not pending any more
 * and may be started again at once. A now_ns smaller than an earlier one counts as that one.
 */
MOIRAI_API size_t moirai__timer_wheel_expire(
	struct moirai__timer_wheel *wheel, uint64_t now_ns, struct moirai__timer **due, size_t max);

/**
 * When expire() must be called next, MOIRAI_NEVER (UINT64_MAX) for never. May be earlier than the
 * first deadline (a coarse level must be cascaded), never later than its tick.
 */
MOIRAI_API uint64_t moirai__timer_wheel_next(const struct moirai__timer_wheel *wheel);

MOIRAI_END_DECLS

#endif
