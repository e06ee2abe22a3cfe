/* SPDX-License-Identifier: MIT */
/*
 * A miniature executor: a "fiber" is a thread with a context. It leaves by marking its stack as
 * saved, acting as its own successor and blocking on a private word until it is made ready;
 * ready() checks that the stack was saved, and that nobody else made it ready. One thread fires
 * the deadlines. So park's way of fibers is tested without an executor.
 */
#ifndef MOIRAI_CORE_TESTS_MINI_EXECUTOR_H
#define MOIRAI_CORE_TESTS_MINI_EXECUTOR_H

#include "tap.h"

#include <errno.h>

#include <moirai/core/atomic.h>
#include <moirai/core/internal/park.h>
#include <moirai/core/os.h>
#include <moirai/core/park.h>

#define MINI_FIBERS_MAX 64

struct mini_fiber {
	moirai__context context;
	moirai__parker parker;
	moirai_os_thread thread;
	void (*fn)(struct mini_fiber *fiber);
	void *arg;
	int result;
	uint32_t run, saved;                /* atomic */
	uint32_t cancelled, masked;         /* atomic */
	int refuses;                        /* prepare() says so, unless 0 */
	uint32_t prepared, abandoned, left; /* counted by the fiber */
	/* Under the timer's lock. */
	bool armed;
	uint64_t deadline_ns;
	moirai__wait_node *node;
};

static struct mini_fiber mini_fibers[MINI_FIBERS_MAX];
static unsigned mini_count;
static uint32_t mini_timer_lock_, mini_timer_stop; /* atomic */
static moirai_os_thread mini_timer_thread;

static inline struct mini_fiber *mini_of(moirai__parker *parker)
{
	return MOIRAI_CONTAINER_OF(parker, struct mini_fiber, parker);
}

static inline void mini_timer_lock(void)
{
	uint32_t free = 0;
	while (!moirai_cas_acquire(&mini_timer_lock_, &free, 1)) {
		moirai_os_yield();
		free = 0;
	}
}

static inline void mini_timer_unlock(void)
{
	moirai_store_release(&mini_timer_lock_, 0);
}

static int mini_prepare(
	struct moirai__context *context, moirai__wait_node *node, uint64_t deadline_ns)
{
	struct mini_fiber *f = mini_of(context->fiber);
	CHECK(node == &f->parker.node_);
	if (f->refuses)
		return -f->refuses;
	f->prepared++;
	if (deadline_ns == MOIRAI_NEVER)
		return 0;
	mini_timer_lock();
	f->armed = true;
	f->deadline_ns = deadline_ns;
	f->node = node;
	mini_timer_unlock();
	return 0;
}

static void mini_disarm(struct mini_fiber *f)
{
	mini_timer_lock();
	f->armed = false;
	mini_timer_unlock();
}

static void mini_abandon(struct moirai__context *context, moirai__wait_node *node)
{
	(void)node;
	mini_of(context->fiber)->abandoned++;
	mini_disarm(mini_of(context->fiber));
}

static void mini_leave(
	struct moirai__context *context, moirai__wait_node *node, moirai__park_ticket ticket)
{
	(void)node;
	struct mini_fiber *f = mini_of(context->fiber);
	f->left++;
	moirai_store_relaxed(&f->saved, 1);
	moirai__park_left(ticket);
	while (moirai_load_acquire(&f->run) == 0)
		moirai_os_futex_wait(&f->run, 0, MOIRAI_NEVER);
	moirai_store_relaxed(&f->run, 0);
	moirai_store_relaxed(&f->saved, 0);
}

static void mini_resumed(moirai__wait_node *node)
{
	mini_disarm(mini_of(MOIRAI_CONTAINER_OF(node, moirai__parker, node_)));
}

static void mini_ready(moirai__parker *parker)
{
	struct mini_fiber *f = mini_of(parker);
	CHECK(moirai_load_relaxed(&f->saved) == 1);
	CHECK(moirai_exchange_acq_rel(&f->run, 1) == 0);
	moirai_os_futex_wake(&f->run, 1);
}

static bool mini_cancelled(moirai__parker *parker)
{
	struct mini_fiber *f = mini_of(parker);
	return moirai_load_relaxed(&f->cancelled) && !moirai_load_relaxed(&f->masked);
}

static const moirai__context_ops mini_ops = {
	.prepare = mini_prepare,
	.abandon = mini_abandon,
	.leave = mini_leave,
	.resumed = mini_resumed,
	.ready = mini_ready,
	.cancelled = mini_cancelled,
};

static void mini_timer_run(void *arg)
{
	(void)arg;
	while (!moirai_load_acquire(&mini_timer_stop)) {
		moirai__parker *due[MINI_FIBERS_MAX];
		unsigned n = 0;
		mini_timer_lock();
		for (unsigned i = 0; i < mini_count; i++) {
			struct mini_fiber *f = &mini_fibers[i];
			if (!f->armed || f->deadline_ns > moirai_now())
				continue;
			f->armed = false;
			if (moirai__park_timeout(f->node))
				due[n++] = &f->parker;
		}
		mini_timer_unlock();
		for (unsigned i = 0; i < n; i++)
			mini_ready(due[i]);
		moirai_os_sleep(50 * MOIRAI_US);
	}
}

static void mini_run(void *arg)
{
	struct mini_fiber *f = arg;
	moirai__context_set(&f->context);
	CHECK(moirai__context_current() == &f->context);
	f->fn(f);
	moirai__context_set(NULL);
}

/* Starts `count` fibers and the timer. */
static inline void mini_start(unsigned count, void (*fn)(struct mini_fiber *), void *arg)
{
	mini_count = count;
	moirai_store_release(&mini_timer_stop, 0);
	for (unsigned i = 0; i < count; i++) {
		struct mini_fiber *f = &mini_fibers[i];
		memset(f, 0, sizeof(*f));
		f->context.ops = f->parker.ops = &mini_ops;
		f->context.fiber = &f->parker;
		f->fn = fn;
		f->arg = arg;
	}
	/* The timer reads every fiber: only now. */
	CHECK(moirai_os_thread_create(&mini_timer_thread, NULL, mini_timer_run, NULL) == 0);
	for (unsigned i = 0; i < count; i++)
		CHECK(moirai_os_thread_create(
			      &mini_fibers[i].thread, NULL, mini_run, &mini_fibers[i]) == 0);
}

static inline void mini_join(void)
{
	for (unsigned i = 0; i < mini_count; i++)
		CHECK(moirai_os_thread_join(mini_fibers[i].thread) == 0);
	moirai_store_release(&mini_timer_stop, 1);
	CHECK(moirai_os_thread_join(mini_timer_thread) == 0);
}

static inline int mini_cancel(struct mini_fiber *f)
{
	moirai_store_release(&f->cancelled, 1);
	return moirai__park_cancel(&f->parker);
}

/* --- looking in --- */

struct mini_census {
	const uint32_t *address; /* NULL: any */
	unsigned n;
};

static void mini_count_one(const moirai__park_waiter *waiter, void *arg)
{
	struct mini_census *census = arg;
	census->n += !census->address || waiter->address == census->address;
}

static inline unsigned waiters_of(const uint32_t *address)
{
	struct mini_census census = {.address = address};
	moirai__park_visit(mini_count_one, &census);
	return census.n;
}

/* Until so many stand in the queue of the address; the test's time limit bounds it. */
static inline void wait_for_waiters(const uint32_t *address, unsigned n)
{
	while (waiters_of(address) != n)
		moirai_os_sleep(50 * MOIRAI_US);
}

#endif
