/* SPDX-License-Identifier: MIT */
/*
 * Deadlines. Design note.
 *
 * One wheel per worker, under a lock that any thread may take: a task arms on the worker it runs on
 * and may disarm on another. `next` is the moment before which the wheel has nothing to do; others
 * read it without the lock.
 *
 * Who fires: every worker looks at its own wheel and at one other on each 64th pick, and at all of
 * them while it searches; the keeper (idle.h) sleeps no longer than the earliest of all. So neither
 * a worker in a long task nor a sleeping pool delays a deadline beyond those bounds.
 *
 * Firing holds the wheel's lock while it touches what the deadline belongs to, and disarm takes the
 * same lock: after it the memory is the owner's again. Fibers that are to run go to their queues
 * after the unlock; until then nobody but us can resume them. Order of locks: wheel, then bucket.
 *
 * Cost: arm + disarm about 20 ns, of which two uncontended locks are half. Refused: one heap for
 * all workers (contended, 100 ns and more with 10,000 pending).
 */
#include "private.h"

/* A tick is 4 us: deadlines are rounded up to it. Naps and futexes are late by more. */
#define TICK_SHIFT 12
/* Deadlines handled in one lock hold. */
#define BATCH 32

int timers_init(struct timers *timers)
{
	timers->next = MOIRAI_NEVER;
	return moirai__timer_wheel_init(&timers->wheel, TICK_SHIFT, moirai_now());
}

void timers_fini(struct timers *timers)
{
	moirai__timer_wheel_fini(&timers->wheel);
}

int timers_arm(
	struct pool *pool, struct timers *timers, struct deadline *deadline, uint64_t deadline_ns)
{
	moirai__spin_take(&timers->lock);
	int rc = moirai__timer_start(&timers->wheel, &deadline->timer, deadline_ns);
	bool first = false;
	uint64_t next = MOIRAI_NEVER;
	if (rc == 0) {
		deadline->home = timers;
		next = moirai__timer_wheel_next(&timers->wheel);
		first = next < moirai_load_relaxed(&timers->next); /* written under our lock */
		if (first)
			/* seq_cst: pairs with search_earliest(); the keeper sees it or we see the keeper. */
			moirai_store_seq_cst(&timers->next, next);
	}
	moirai__spin_drop(&timers->lock);
	if (first)
		moirai__idle_deadline(&pool->idle, next);
	return rc;
}

void timers_disarm(struct deadline *deadline)
{
	struct timers *timers = deadline->home;
	MOIRAI_NOISE();
	moirai__spin_take(&timers->lock);
	(void)moirai__timer_cancel(&timers->wheel, &deadline->timer);
	if (timers->wheel.pending_ == 0)
		moirai_store_relaxed(
			&timers->next, MOIRAI_NEVER); /* too early would only wake for nothing */
	moirai__spin_drop(&timers->lock);
	deadline->home = NULL;
}

void timers_fire(struct worker *worker, struct timers *timers, uint64_t now_ns)
{
	if (moirai_load_relaxed(&timers->next) > now_ns) /* relaxed: late news, late firing */
		return;
	size_t count;
	do {
		struct moirai__timer *due[BATCH];
		struct fiber *ready[BATCH];
		size_t ready_count = 0;
		if (!moirai__spin_try(&timers->lock))
			return; /* somebody arms, disarms or fires; whoever sleeps looks again before */
		count = moirai__timer_wheel_expire(&timers->wheel, now_ns, due, BATCH);
		for (size_t i = 0; i < count; i++) {
			struct deadline *deadline =
				MOIRAI_CONTAINER_OF(due[i], struct deadline, timer);
			MOIRAI_OBSERVE(MOIRAI_EVENT_TIMER, deadline);
			struct fiber *fiber = deadline->fire(deadline);
			if (fiber != NULL)
				ready[ready_count++] = fiber;
		}
		moirai_store_relaxed(&timers->next, moirai__timer_wheel_next(&timers->wheel));
		moirai__spin_drop(&timers->lock);
		moirai__count(&worker->fired, count);
		for (size_t i = 0; i < ready_count; i++)
			fiber_ready(&ready[i]->park);
	} while (count == BATCH);
}
