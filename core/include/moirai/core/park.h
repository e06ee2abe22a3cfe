/* SPDX-License-Identifier: MIT */
/*
 * Park: the one place where anybody waits. A user-space futex for threads, tasks and callbacks.
 *
 * The waiters of a word stand in a queue that is found by hashing the word's address (a parking
 * lot). They live on the waiters' own stacks: blocking allocates nothing, and whatever waits needs
 * four bytes of its own. The protocol, its proof and its price are in core/DESIGN.md.
 */
#ifndef MOIRAI_CORE_PARK_H
#define MOIRAI_CORE_PARK_H

#include <moirai/core/base.h>
#include <moirai/core/clock.h>

MOIRAI_BEGIN_DECLS

/**
 * Waits while *word == expected: the calling task leaves its worker, a plain thread sleeps.
 *
 *   0           unparked (the word may be anything by now: check again)
 *   -EAGAIN     *word was not `expected`
 *   -ETIMEDOUT  deadline_ns (absolute, monotonic; MOIRAI_NEVER for none) passed
 *   -ECANCELED  the calling task is cancelled or its executor shuts down
 *
 * Never allocates. A caller in a task may come back on another thread.
 */
MOIRAI_API int moirai_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/**
 * Wakes up to `count` of those who wait on the address, the longest first. Returns how many. The
 * word is not read: it may be freed memory. Change the word before. Any thread or task, no signal
 * handler; never blocks beyond a bucket's lock.
 */
MOIRAI_API unsigned moirai_unpark(const uint32_t *word, unsigned count);

/**
 * Wakes up to `wake` waiters of `from` and moves up to `move` of the others to the end of `to`'s
 * queue, all in one step, if *from == expected (else -EAGAIN). Returns the number woken.
 */
MOIRAI_API int moirai_unpark_requeue(const uint32_t *from, uint32_t expected, unsigned wake,
	const uint32_t *to, unsigned move);

#define MOIRAI_PARK_CASES_MAX 64

typedef struct moirai_park_case {
	const uint32_t *word;
	uint32_t expected;
} moirai_park_case;

/**
 * Waits on up to MOIRAI_PARK_CASES_MAX words at once. Returns the index of the case that was
 * unparked, -EAGAIN when a word differed at once, -ETIMEDOUT, -ECANCELED, or -EINVAL for n out of
 * range. Exactly one wake-up is consumed. Uses about 100 bytes of stack per case.
 */
MOIRAI_API int moirai_park_any(const moirai_park_case *cases, unsigned n, uint64_t deadline_ns);

/* A waiter that is a callback: no stack, no thread. The memory is the caller's. */
typedef struct moirai_waker moirai_waker;

/**
 * Allocates what `waiters` simultaneous waiters need to stay cheap (a bucket per eight). Called by
 * pools when they grow, never by park. 0 or -ENOMEM.
 */
MOIRAI_API int moirai_park_reserve(size_t waiters);

MOIRAI_END_DECLS

#endif
