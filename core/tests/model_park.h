/* SPDX-License-Identifier: MIT */
/*
 * What the models of park share: words in chosen buckets, and a miniature executor.
 *
 * A fiber is a model thread with a context: `leave` marks its stack as saved, acts as its own
 * successor, and blocks on a private word until `ready`. `ready` checks that the stack was saved,
 * and the tester that this is no race. Deadlines are fired by a timer, a model thread of its own,
 * under the lock that abandon() and resumed() take as well.
 */
#ifndef MOIRAI_CORE_TESTS_MODEL_PARK_H
#define MOIRAI_CORE_TESTS_MODEL_PARK_H

#include "model.h"

#include <errno.h>

#include <moirai/core/atomic.h>
#include <moirai/core/internal/park.h>
#include <moirai/core/os.h>
#include <moirai/core/park.h>

/* Bugs of executors: see park.bugs for those of park. */
enum {
	BUG_PUBLISHED_BEFORE_SAVED = 30, /* the ticket is handed back before the switch */
	BUG_TIMER_NOT_WAITED_FOR = 31,   /* resumed() does not wait out a firing timer */
	BUG_CANCEL_AFTER_LOOKING = 32,   /* the flag is set after the canceller's visit */
};

/* --- words --- */

/* A word in bucket 0 or 1, of two; the k-th there. */
static uint32_t word_pool[32];

static inline uint32_t *word_in(size_t bucket, unsigned k)
{
	static const uint64_t golden = 0x9E3779B97F4A7C15ull;
	for (unsigned i = 0; i < 32; i++)
		if (((uint64_t)(uintptr_t)&word_pool[i] * golden) >> 63 == bucket && k-- == 0)
			return &word_pool[i];
	model_fail("no word in bucket %zu", bucket);
}

/* --- fibers --- */

struct mini_fiber {
	moirai__context context;
	moirai__parker parker;
	uint32_t run;       /* atomic: 1 = ready */
	uint32_t cancelled; /* atomic, sticky */
	uint32_t masked;    /* plain, the fiber's own */
	bool saved;         /* plain: nobody uses the stack */
	/* The timer. */
	uint32_t timer_lock; /* atomic */
	bool armed;
	uint32_t armed_signal; /* atomic: has been armed */
	moirai__wait_node *node;
};

static struct mini_fiber *mini_of_thread[MODEL_THREADS_MAX];

moirai__context *moirai__context_current(void)
{
	struct mini_fiber *f = mini_of_thread[model_self()];
	return f ? &f->context : NULL;
}

static inline struct mini_fiber *mini_of(moirai__parker *parker)
{
	return MOIRAI_CONTAINER_OF(parker, struct mini_fiber, parker);
}

static inline void mini_timer_lock(struct mini_fiber *f)
{
	uint32_t free = 0;
	while (!moirai_cas_acquire(&f->timer_lock, &free, 1)) {
		moirai_os_futex_wait(&f->timer_lock, 1, MOIRAI_NEVER);
		free = 0;
	}
}

static inline void mini_timer_unlock(struct mini_fiber *f)
{
	moirai_store_release(&f->timer_lock, 0);
	moirai_os_futex_wake(&f->timer_lock, 1);
}

static inline int mini_prepare(
	struct moirai__context *context, moirai__wait_node *node, uint64_t deadline_ns)
{
	struct mini_fiber *f = mini_of(context->fiber);
	if (deadline_ns == MOIRAI_NEVER)
		return 0;
	mini_timer_lock(f);
	MOIRAI_WR(f->armed) = true;
	MOIRAI_WR(f->node) = node;
	mini_timer_unlock(f);
	moirai_store_release(&f->armed_signal, 1);
	moirai_os_futex_wake(&f->armed_signal, 1);
	return 0;
}

static inline void mini_disarm(struct mini_fiber *f)
{
	if (model_bug(BUG_TIMER_NOT_WAITED_FOR)) {
		MOIRAI_WR(f->armed) = false;
		return;
	}
	mini_timer_lock(f);
	MOIRAI_WR(f->armed) = false;
	mini_timer_unlock(f);
}

static inline void mini_abandon(struct moirai__context *context, moirai__wait_node *node)
{
	(void)node;
	mini_disarm(mini_of(context->fiber));
}

static inline void mini_leave(
	struct moirai__context *context, moirai__wait_node *node, moirai__park_ticket ticket)
{
	(void)node;
	struct mini_fiber *f = mini_of(context->fiber);
	if (model_bug(BUG_PUBLISHED_BEFORE_SAVED))
		moirai__park_left(ticket);
	MOIRAI_WR(f->saved) = true;
	if (!model_bug(BUG_PUBLISHED_BEFORE_SAVED))
		moirai__park_left(ticket);
	while (moirai_load_acquire(&f->run) == 0)
		moirai_os_futex_wait(&f->run, 0, MOIRAI_NEVER);
	moirai_store_relaxed(&f->run, 0);
	MOIRAI_WR(f->saved) = false;
}

static inline void mini_resumed(moirai__wait_node *node)
{
	mini_disarm(mini_of(MOIRAI_CONTAINER_OF(node, moirai__parker, node_)));
}

static inline void mini_ready(moirai__parker *parker)
{
	struct mini_fiber *f = mini_of(parker);
	MODEL_CHECK(MOIRAI_RD(f->saved));
	MODEL_CHECK(moirai_exchange_acq_rel(&f->run, 1) == 0);
	moirai_os_futex_wake(&f->run, 1);
}

static inline bool mini_cancelled(moirai__parker *parker)
{
	struct mini_fiber *f = mini_of(parker);
	/* Relaxed: park promises that its locks and fences are enough. */
	return moirai_load_relaxed(&f->cancelled) && !MOIRAI_RD(f->masked);
}

static const moirai__context_ops mini_ops = {
	.prepare = mini_prepare,
	.abandon = mini_abandon,
	.leave = mini_leave,
	.resumed = mini_resumed,
	.ready = mini_ready,
	.cancelled = mini_cancelled,
};

/* The calling model thread is this fiber from now on. */
static inline void mini_enter(struct mini_fiber *f)
{
	mini_of_thread[model_self()] = f;
}

static inline void mini_init(struct mini_fiber *f)
{
	f->context.ops = f->parker.ops = &mini_ops;
	f->context.fiber = &f->parker;
}

/* Fires the timer of a fiber once, if it is armed. */
static inline void mini_timer_fire(struct mini_fiber *f)
{
	bool mine = false;
	mini_timer_lock(f);
	if (MOIRAI_RD(f->armed)) {
		MOIRAI_WR(f->armed) = false;
		mine = moirai__park_timeout(MOIRAI_RD(f->node));
	}
	mini_timer_unlock(f);
	if (mine)
		mini_ready(&f->parker);
}

/* The same, once it has been armed. */
static inline void mini_timer_wait_and_fire(struct mini_fiber *f)
{
	while (moirai_load_acquire(&f->armed_signal) == 0)
		moirai_os_futex_wait(&f->armed_signal, 0, MOIRAI_NEVER);
	mini_timer_fire(f);
}

static inline int mini_cancel(struct mini_fiber *f)
{
	int rc;
	if (model_bug(BUG_CANCEL_AFTER_LOOKING)) {
		rc = moirai__park_cancel(&f->parker);
		moirai_store_relaxed(&f->cancelled, 1);
		return rc;
	}
	moirai_store_relaxed(&f->cancelled, 1);
	return moirai__park_cancel(&f->parker);
}

/* --- checks --- */

static inline void count_queued(const moirai__park_waiter *waiter, void *arg)
{
	(void)waiter;
	++*(unsigned *)arg;
}

/* At the end of a scenario, when all have come home. */
static inline void check_lot_is_empty(void)
{
	unsigned queued = 0;
	moirai__park_visit(count_queued, &queued);
	MODEL_CHECK(queued == 0);
}

/* Writes over the stack below the caller, where the frame of its last park was. */
static __attribute__((noinline, unused)) void scribble(void)
{
	uint64_t frame[48];
	for (unsigned i = 0; i < 48; i++)
		MOIRAI_WR(frame[i]) = 0;
	__asm__ volatile("" ::"r"(frame) : "memory");
}

#endif
