/* SPDX-License-Identifier: MIT */
/*
 * What the running task asks for: yield, sleep, its own name and fate.
 *
 * A yield between two yielders is one biased section of the yield queue: take the oldest, append
 * ourselves, switch; the successor closes the section, so that no thief sees us before our stack is
 * saved. The slow way (something more urgent is queued, the 64th pick, a thief at work, a pinned task)
 * picks as the loop does and lets the successor queue us.
 */
#include <moirai/core/park.h>

#include "private.h"

/* The stack a few turns ahead, and the block of the fiber some more ahead. */
static MOIRAI_ALWAYS_INLINE void prefetch(uintptr_t near_item, uintptr_t far_item)
{
	const char *stack = item_fiber(near_item)->base.words.sp;
	__builtin_prefetch(stack);
	__builtin_prefetch(stack + MOIRAI_CACHELINE);
	__builtin_prefetch(item_fiber(far_item));
}

static MOIRAI_NOINLINE void yield_slow(struct worker *worker, struct fiber *fiber)
{
	uintptr_t item = loop_pick(worker);
	if (!item)
		item = loop_elsewhere(worker);
	if (!item)
		return;
	if (!fiber->pinned && moirai__yield_queue_reserve(&worker->queues.yielded_, 1) < 0) {
		loop_put_back(worker, item);
		return;
	}
	struct fiber *to;
	if (item_is_fiber(item)) {
		to = item_fiber(item);
	} else {
		to = fiber_fresh(worker);
		if (to == NULL) {
			loop_put_back(worker, item);
			return;
		}
		worker->handed = item;
	}
	worker->post = fiber->pinned ? POST_HOME : POST_YIELD;
	worker->post_arg = (uintptr_t)fiber;
	moirai__count(&worker->yields, 1);
	MOIRAI_NOISE();
	fiber_switch(worker, fiber, to);
}

void moirai_yield(void)
{
	struct worker *worker = worker_self();
	if (MOIRAI_UNLIKELY(worker == NULL)) {
		moirai_os_yield();
		return;
	}
	struct fiber *fiber = worker->current;
	uintptr_t item = MOIRAI_LIKELY(!fiber->pinned) ? moirai__queues_yield(&worker->queues,
								 fiber_item(fiber), prefetch)
						       : 0;
	if (MOIRAI_UNLIKELY(!item)) {
		yield_slow(worker, fiber);
		return;
	}
	worker->post = POST_CLOSE;
	moirai__count(&worker->yields, 1);
	MOIRAI_NOISE();
	fiber_switch(worker, fiber, item_fiber(item));
}

int moirai_sleep_until(uint64_t deadline_ns)
{
	const uint32_t word = 0; /* nobody ever changes it */
	for (;;) {
		int rc = moirai_park(&word, 0, deadline_ns);
		if (rc == -ETIMEDOUT)
			return 0;
		if (rc == -ECANCELED)
			return rc;
		if (deadline_ns != MOIRAI_NEVER && moirai_now() >= deadline_ns)
			return 0;
	}
}

int moirai_sleep_for(uint64_t duration_ns)
{
	return duration_ns != 0 ? moirai_sleep_until(moirai_deadline_after(duration_ns)) : 0;
}

moirai_task *moirai_task_current(void)
{
	struct worker *worker = worker_self();
	return worker != NULL ? worker->current->task : NULL;
}

int moirai_task_return(void *result)
{
	moirai_task *task = moirai_task_current();
	if (task == NULL)
		return -EPERM;
	task->result = result;
	return 0;
}

bool moirai_cancelled(void)
{
	struct worker *worker = worker_self();
	if (worker == NULL)
		return false;
	struct fiber *fiber = worker->current;
	uint32_t mask = fiber->mask;
	fiber->mask = 0;
	bool cancelled = fiber_cancelled(&fiber->park);
	fiber->mask = mask;
	return cancelled;
}

void moirai_cancel_mask(void)
{
	struct worker *worker = worker_self();
	if (worker != NULL)
		worker->current->mask++;
}

void moirai_cancel_unmask(void)
{
	struct worker *worker = worker_self();
	if (worker == NULL)
		return;
	MOIRAI_ASSERT(worker->current->mask > 0);
	worker->current->mask--;
}
