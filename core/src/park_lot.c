/* SPDX-License-Identifier: MIT */
/*
 * The parking lot's cold side: the sleeping half of the bucket lock, and the exported forms of
 * what park_lot.h inlines. The protocols are described there.
 */
#include "park_lot.h"

#include <errno.h>
#include <moirai/core/os.h>

/*
 * Waiting for a bucket: 12 rounds of up to 32 pauses are 2-8 us, longer than any critical section
 * here; then the holder has been preempted, and yielding lets it go on. Then sleep.
 */
#define LOCK_SPIN_ROUNDS     12
#define LOCK_YIELDS          4
#define LOCK_SPIN_PAUSES_MAX 32u

static bool lock_try(moirai__bucket *bucket)
{
	uint32_t free = 0;
	/* acquire: pairs with the release in park_bucket_release(). */
	return moirai_cas_acquire(&bucket->lock_, &free, 1);
}

#ifdef MOIRAI_MODEL
/* The tester tries every moment to come: waiting a little is nothing new to it. */
static bool lock_spin(moirai__bucket *bucket)
{
	return lock_try(bucket);
}
#else
static bool lock_spin(moirai__bucket *bucket)
{
	unsigned pauses = 1;
	for (unsigned round = 0; round < LOCK_SPIN_ROUNDS; round++) {
		for (unsigned i = 0; i < pauses; i++)
			moirai_cpu_relax();
		if (pauses < LOCK_SPIN_PAUSES_MAX)
			pauses *= 2;
		if (moirai_load_relaxed(&bucket->lock_) == 0 && lock_try(bucket))
			return true;
	}
	for (unsigned i = 0; i < LOCK_YIELDS; i++) {
		moirai_os_yield();
		if (lock_try(bucket))
			return true;
	}
	return false;
}
#endif

MOIRAI_COLD void park_bucket_acquire_slow(moirai__bucket *bucket)
{
	if (lock_spin(bucket))
		return;
	/* Relaxed: ordered by the fence. */
	moirai_fetch_add_relaxed(&bucket->sleepers_, 1);
	/*
	 * heavy: pairs with the light fence in park_bucket_release(). If that one comes first, the CAS
	 * below sees the 0; if ours comes first, the holder sees us and wakes.
	 */
	moirai_fence_heavy();
	while (!lock_try(bucket))
		moirai_os_futex_wait(&bucket->lock_, 1, MOIRAI_NEVER);
	/* Relaxed: a releaser that still counts us makes one system call too many. */
	moirai_fetch_sub_relaxed(&bucket->sleepers_, 1);
}

MOIRAI_COLD void park_bucket_wake(moirai__bucket *bucket)
{
	moirai_os_futex_wake(&bucket->lock_, 1);
}

moirai__bucket *moirai__bucket_lock(const void *address)
{
	return park_lock(address);
}

void moirai__bucket_unlock(moirai__bucket *bucket)
{
	park_bucket_release(bucket);
}

void moirai__bucket_lock_pair(
	const void *a, const void *b, moirai__bucket **first, moirai__bucket **second)
{
	for (;;) {
		/* acquire: pairs with the release in moirai_park_reserve(). */
		struct park_table *table = moirai_load_acquire(&park_table_current);
		moirai__bucket *of_a = park_table_bucket(table, a),
			       *of_b = park_table_bucket(table, b);
		/* In the order of the array, as everybody who holds two. */
		park_bucket_acquire(of_a < of_b ? of_a : of_b);
		if (of_a != of_b)
			park_bucket_acquire(of_a < of_b ? of_b : of_a);
		*first = of_a;
		*second = of_b;
		/* Relaxed: as in park_lock(). */
		if (MOIRAI_LIKELY(moirai_load_relaxed(&park_table_current) == table))
			return;
		moirai__bucket_unlock_pair(of_a, of_b);
	}
}

void moirai__bucket_unlock_pair(moirai__bucket *first, moirai__bucket *second)
{
	park_bucket_release(first);
	if (second != first)
		park_bucket_release(second);
}

moirai__wait_node *moirai__bucket_first(moirai__bucket *bucket, const void *address)
{
	return park_group(bucket, address);
}

bool park_take_any(moirai__claim *claim, uint32_t outcome, moirai__wakes *wakes)
{
	moirai__parker *fiber = claim->fiber;
	uint32_t was = park_claim(claim, outcome);
	/* FORMING: it is awake still and will see the outcome before it sleeps. */
	if (was == MOIRAI__CLAIM_PARKED && fiber)
		park_wakes_add_fiber(wakes, fiber);
	else if (was == MOIRAI__CLAIM_PARKED)
		park_wakes_add(wakes, NULL, &claim->word);
	return was != 0;
}

bool moirai__node_take(
	moirai__bucket *bucket, moirai__wait_node *node, uint32_t reason, moirai__wakes *wakes)
{
	MOIRAI_DEBUG_ASSERT(park_is_queued(moirai_load_relaxed(&node->state)));
	MOIRAI_ASSERT(reason <= MOIRAI__NODE_REASON_MAX);
	return park_take(bucket, node, reason, wakes);
}

void moirai__node_move(
	moirai__bucket *from, moirai__wait_node *node, moirai__bucket *to, const uint32_t *address)
{
	park_remove(from, node);
	/* Relaxed: whoever looks for the node by its address checks it under the lock. */
	moirai_store_relaxed(&node->address, address);
	moirai__parker *fiber = park_fiber_of(node);
	if (fiber && node == &fiber->node_) { /* of a park_any: its first case */
		park_set_parked_at(fiber, address);
	}
	park_push(to, node);
}

void moirai__wakes_fire(moirai__wakes *wakes)
{
	for (moirai__parker *fiber = wakes->fibers_, *next; fiber; fiber = next) {
		next = fiber->ready_next_;
		fiber->ops->ready(fiber);
	}
	for (unsigned i = 0; i < wakes->count_; i++) {
		if (wakes->entries_[i].wake)
			wakes->entries_[i].wake(wakes->entries_[i].arg);
		else
			moirai_os_futex_wake(wakes->entries_[i].arg, 1);
	}
}

void moirai__bucket_unlock_fire(moirai__bucket *bucket, moirai__wakes *wakes)
{
	park_bucket_release(bucket);
	park_fire(wakes);
}
