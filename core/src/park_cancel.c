/* SPDX-License-Identifier: MIT */
/*
 * The ends of a park that no waker brings: deadlines of fibers, cancels, shutdown.
 *
 * All of them go to the bucket of the node, lock it, look again and take the node out if it is
 * still queued (park.c has the states). A park_any is decided by its claim word instead
 * (park_any.c).
 *
 * The deadline of a thread is its own business: park.c, thread_give_up().
 */
#include "park_lot.h"

#include <errno.h>
#include <moirai/core/internal/noise.h>

bool moirai__park_timeout(moirai__wait_node *node)
{
	if (node->flags & MOIRAI__NODE_ANY)
		return park_claim(node->claim, MOIRAI__NODE_TIMED_OUT) == MOIRAI__CLAIM_PARKED;
	moirai__bucket *bucket = park_lock_node(node);
	uint32_t state = moirai_load_relaxed(&node->state);
	if (state == MOIRAI__NODE_QUEUED)
		park_give_up(bucket, node, MOIRAI__NODE_TIMED_OUT);
	else if (state == MOIRAI__NODE_INIT)
		moirai_store_relaxed(
			&node->state, MOIRAI__NODE_TIMED_OUT); /* Read under this lock. */
	park_bucket_release(bucket);
	return state == MOIRAI__NODE_QUEUED;
}

/* Takes a queued node of a fiber out with -ECANCELED; the bucket is locked. */
static bool fiber_cancel_queued(
	moirai__bucket *bucket, moirai__wait_node *node, moirai__wakes *wakes)
{
	if (node->flags & MOIRAI__NODE_ANY)
		return park_take_any(node->claim, MOIRAI__NODE_CANCELLED, wakes);
	park_give_up(bucket, node, MOIRAI__NODE_CANCELLED);
	park_wakes_add_fiber(wakes, node->fiber);
	return true;
}

/* The locked bucket in which the fiber is parked, NULL if it is not. */
static moirai__bucket *lock_fiber(const moirai__parker *fiber)
{
	for (;;) {
		/* Relaxed: a name to lock by, checked again below. */
		const uint32_t *address = moirai_load_relaxed(&fiber->parked_at_);
		if (!address)
			return NULL;
		moirai__bucket *bucket = park_lock(address);
		if (moirai_load_relaxed(&fiber->parked_at_) == address)
			return bucket;
		park_bucket_release(bucket);
	}
}

int moirai__park_cancel(moirai__parker *fiber)
{
	moirai__wakes wakes;
	bool cancelled = false;
	/* heavy: pairs with the light fence in park_announce(); both outcomes are told there. */
	moirai_fence_heavy();
	MOIRAI_NOISE();
	moirai__bucket *bucket = lock_fiber(fiber);
	if (!bucket)
		return 0;
	moirai__wakes_init(&wakes);
	/* It is in its park, so its task and its mask stay what they are. */
	if (fiber->ops->cancelled(fiber))
		cancelled = fiber_cancel_queued(bucket, &fiber->node_, &wakes);
	park_bucket_release(bucket);
	park_fire(&wakes);
	return cancelled;
}

static size_t bucket_cancel(moirai__bucket *bucket, bool (*match)(moirai__parker *fiber, void *arg),
	void *arg, moirai__wakes *wakes)
{
	size_t cancelled = 0;
	moirai__wait_node *head = MOIRAI_RD(bucket->head_), *next_head;
	for (; head; head = next_head) {
		moirai__wait_node *node = head, *next;
		next_head = MOIRAI_RD(head->group_next);
		for (; node; node = next) {
			next = MOIRAI_RD(node->next);
			moirai__parker *fiber = park_fiber_of(node);
			if (fiber && match(fiber, arg))
				cancelled += fiber_cancel_queued(bucket, node, wakes);
		}
	}
	return cancelled;
}

/*
 * With all buckets locked at once: a requeue cannot carry a fiber from a bucket that the sweep has
 * not reached into one that it has left. Whoever parks after it sees the flag, by the locks' edge.
 */
size_t moirai__park_cancel_all(bool (*match)(moirai__parker *fiber, void *arg), void *arg)
{
	moirai__wakes wakes;
	size_t cancelled = 0;
	moirai__wakes_init(&wakes); /* Fibers only: a list without end. */
	struct park_table *table = park_lock_all();
	for (size_t i = 0; i < park_table_count(table); i++)
		cancelled += bucket_cancel(&table->buckets[i], match, arg, &wakes);
	park_unlock_all(table);
	park_fire(&wakes);
	return cancelled;
}
