/* SPDX-License-Identifier: MIT */
/*
 * Park: the one place where anybody waits. A user-space futex for threads, tasks and callbacks.
 *
 * The waiters of a word stand in a queue that is found by hashing the word's address (a parking
 * lot). They live on the waiters' own stacks: blocking allocates nothing, and whatever waits needs
 * four bytes of its own. The protocol, its proof and its price are in core/DESIGN.md.
 *
 * The use is always the same. The waiter: check the word, park on the value just seen, start again.
 * The other side: change the word, then unpark. Nothing is lost, because park looks at the word once
 * more in the step that queues the waiter, and unpark comes after the change.
 *
 *   while (moirai_load_acquire(&gate) == CLOSED)
 *           moirai_park(&gate, CLOSED, MOIRAI_NEVER);
 *
 *   moirai_store_release(&gate, OPEN);
 *   moirai_unpark(&gate, UINT_MAX);
 */
#ifndef MOIRAI_CORE_PARK_H
#define MOIRAI_CORE_PARK_H

#include <moirai/core/base.h>
#include <moirai/core/clock.h>
#include <moirai/core/internal/wait_node.h>

MOIRAI_BEGIN_DECLS

/**
 * Waits while *word == expected: the calling task leaves its worker, a plain thread sleeps.
 *
 *   0           unparked (the word may be anything by now: check again)
 *   -EAGAIN     *word was not `expected`, or the task could not leave its worker just now: check again
 *   -ENOMEM     a task found no stack for its worker to go on with
 *   -ETIMEDOUT  deadline_ns (absolute, monotonic; MOIRAI_NEVER for none) passed
 *   -ECANCELED  the calling task is cancelled or its executor shuts down
 *   -EINVAL     word is NULL
 *
 * When several apply: -EAGAIN before -ECANCELED before -ETIMEDOUT; a wake-up that came first is
 * never turned into an error. Never allocates. A caller in a task may come back on another thread.
 * A load when the word differs at once; else one RMW and a switch for a task, a system call for a thread.
 */
MOIRAI_API int moirai_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/**
 * Wakes up to `count` of those who wait on the address, the longest first. Returns how many. The
 * word is not read: it may be freed memory. Change the word before. Any thread or task, no signal
 * handler; never blocks beyond a bucket's lock. About 11 ns when nobody waits.
 */
MOIRAI_API unsigned moirai_unpark(const uint32_t *word, unsigned count);

/**
 * If *from == expected (else -EAGAIN), in one step: sets the `wake` longest waiters of `from` apart
 * and moves up to `move` of the next ones to the end of `to`'s queue; then wakes the former. Returns
 * how many were woken. -EINVAL when from or to is NULL. Any thread or task.
 */
MOIRAI_API int moirai_unpark_requeue(const uint32_t *from, uint32_t expected, unsigned wake,
	const uint32_t *to, unsigned move);

/* How many words one call may wait on: their nodes stand on the caller's stack. */
#define MOIRAI_PARK_CASES_MAX 64

typedef struct moirai_park_case {
	const uint32_t *word;
	uint32_t expected;
} moirai_park_case;

/**
 * Waits on up to MOIRAI_PARK_CASES_MAX words at once. Returns the index of the case that was
 * unparked, -EAGAIN when a word differed at once, -ETIMEDOUT, -ECANCELED, or -EINVAL for cases NULL,
 * a word NULL or n out of range. Exactly one wake-up is consumed, or none. Uses 6 KiB of stack.
 */
MOIRAI_API int moirai_park_any(const moirai_park_case *cases, unsigned n, uint64_t deadline_ns);

/* A waiter that is a function: no stack, no thread. Caller's memory; all-zero is "not registered". */
typedef struct moirai_waker {
	moirai__wait_node node_;
} moirai_waker;

/**
 * Queues the waker on a word if *word == expected: 0, else -EAGAIN (-EINVAL when an argument is
 * NULL). The first unpark that reaches it takes it out and calls wake(arg) once, on its own thread,
 * with no lock held; wake must not block and may register the waker again. The waker's memory stays
 * until then or until it is unregistered, and must not be registered already.
 */
MOIRAI_API int moirai_waker_register(moirai_waker *waker, const uint32_t *word, uint32_t expected,
	void (*wake)(void *arg), void *arg);

/**
 * 1: taken out, wake() will not be called. 0: it was not registered or has been taken: wake() has
 * been called, is running now or will be called any moment, so `arg` must live on until it has run,
 * while the waker itself may be reused at once. Exactly one of the two for each registration. Any
 * thread or task, also from within wake(); not while another thread registers the same waker.
 */
MOIRAI_API int moirai_waker_unregister(moirai_waker *waker);

/**
 * Allocates what `waiters` simultaneous waiters need to stay cheap (a bucket per eight, up to 2^20
 * buckets). Called by pools when they grow, never by park. 0 or -ENOMEM (then nothing changed). Any
 * thread; holds up all parking for the time it takes to re-hash the present waiters.
 */
MOIRAI_API int moirai_park_reserve(size_t waiters);

MOIRAI_END_DECLS

#endif
