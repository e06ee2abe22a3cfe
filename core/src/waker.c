/* SPDX-License-Identifier: MIT */
/*
 * The waiter that is a function.
 *
 * Its node is a single-word one (park.c): whoever holds the bucket's lock and finds it queued,
 * decides. A waker takes it out, copies function and argument under the lock, and calls after the
 * unlock. So
 *
 *   - unregister and the wake-up exclude each other: exactly one of them finds the node queued;
 *   - when unregister returns, nobody touches the node again, whatever it returned: the last touch
 *     of a waker is under the lock that unregister has passed. The node may be reused or freed;
 *   - when it returns 0, the call of the function may still be to come. `arg` is not covered: its
 *     owner learns from the call itself that it is over.
 *
 * To wait in unregister for a call in progress was refused: it would block, and deadlock inside
 * the call.
 */
#include "park_lot.h"

#include <errno.h>

int moirai_waker_register(moirai_waker *waker, const uint32_t *word, uint32_t expected,
	void (*wake)(void *arg), void *arg)
{
	if (!waker || !word || !wake)
		return -EINVAL;
	moirai__wait_node *node = &waker->node_;
	moirai__bucket *bucket = park_lock(word);
	/* acquire: pairs with the caller's release that changed the word. */
	if (moirai_load_acquire(word) != expected) {
		park_bucket_release(bucket);
		return -EAGAIN;
	}
	node->kind = MOIRAI__WAIT_WAKER;
	node->flags = 0;
	node->hooks = NULL;
	node->wake = wake;
	node->arg = arg;
	node->since_ns = park_since();
	/* Relaxed: published by the bucket's lock. */
	moirai_store_relaxed(&node->address, word);
	moirai_store_relaxed(&node->state, MOIRAI__NODE_QUEUED);
	park_push(bucket, node);
	park_bucket_release(bucket);
	return 0;
}

int moirai_waker_unregister(moirai_waker *waker)
{
	if (!waker)
		return 0;
	moirai__wait_node *node = &waker->node_;
	/* Relaxed: the caller's own registration, or none. */
	if (!moirai_load_relaxed(&node->address))
		return 0;
	moirai__bucket *bucket = park_lock_node(node);
	/* Relaxed: under the lock. */
	bool queued = moirai_load_relaxed(&node->state) == MOIRAI__NODE_QUEUED;
	if (queued) {
		park_remove(bucket, node);
		moirai_store_relaxed(&node->state, MOIRAI__NODE_IDLE);
	}
	park_bucket_release(bucket);
	return queued;
}
