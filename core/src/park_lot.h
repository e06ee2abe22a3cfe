/* SPDX-License-Identifier: MIT */
/*
 * The parking lot: buckets, their locks and their queues, inlined into the paths that park.
 *
 * Bucket lock
 *
 *   lock_      0 free, 1 held. By CAS in, by a plain store out.
 *   sleepers_  threads that wait for the lock in the system. Changed by themselves, by RMW.
 *
 *   acquire:  1. CAS lock_ 0 -> 1.  2. Else spin and yield, bounded; most holders leave within 100
 *   ns.
 *             3. sleepers_ += 1; heavy fence.  4. CAS again; while it fails sleep on lock_ == 1.
 *             5. sleepers_ -= 1.
 *   release:  1. lock_ = 0.  2. Light fence.  3. sleepers_ != 0: wake one.
 *
 * No lost wake-up. A sleeper sees lock_ == 1 after its heavy fence. Take the holder H that stored
 * that 1: if H's light fence comes before the heavy one, H's store of 0 is visible to the
 * sleeper's step 4, which contradicts the 1; so it comes after, and H's step 3 sees sleepers_ >= 1
 * and wakes. The sleeper stays counted until it owns the lock, hence the same holds for every
 * later holder whose 1 keeps it asleep.
 *
 * The usual lock of three states takes an RMW to release. This one takes a plain store and a load
 * of the line that the holder owns anyway, so park costs one RMW and unpark another. The load
 * comes after the release: legal because a bucket is never freed, which is why mutexes cannot have
 * it (the form "S" of a biased unlock). The price is a heavy fence per thread that really sleeps
 * here.
 *
 * The holder may be a fiber that has left: its successor releases (park.c). So nobody may count on
 * the identity of the holder, and a thread that finds the lock held must not spin without bound.
 *
 * Queue. Two levels: the bucket's list of groups (one per address), and the FIFO of each group
 * behind its head. A thousand waiters on one address do not slow another address in the same
 * bucket (Go retrofitted this to its semaphores; parking_lot has one level). Doubly linked,
 * because deadlines leave from the middle.
 *
 * Source: parking_lot (A. Sanchez, after WebKit's WTF::ParkingLot, F. Pizlo 2015); Linux futex.
 */
#ifndef MOIRAI_SRC_PARK_LOT_H
#define MOIRAI_SRC_PARK_LOT_H

#include <moirai/core/atomic.h>
#include <moirai/core/internal/park.h>

/* 4096 buckets are 256 KiB of zeroed pages that are touched as needed: 10^4 waiters at no cost. */
#ifndef MOIRAI__PARK_INITIAL_BITS
#define MOIRAI__PARK_INITIAL_BITS 12
#endif

/* Published whole and never freed: a late locker may still hold a pointer to an older one. */
struct park_table {
	moirai__bucket *buckets;
	struct park_table *previous;
	unsigned bits; /* log2 of the number of buckets */
};

extern struct park_table *park_table_current;

/* A ticket with this bit names a fiber whose park_any is to be published, else a locked bucket. */
#define PARK_TICKET_ANY ((moirai__park_ticket)1)
void park_any_left(moirai__parker *fiber);

void park_bucket_acquire_slow(moirai__bucket *bucket);
void park_bucket_wake(moirai__bucket *bucket);

/* Do fibers and wakers read the clock when they begin to wait? Threads, about to sleep, always do. */
extern uint32_t park_record_since; /* atomic */

static inline uint64_t park_since(void)
{
	/* Relaxed: a switch for reports. */
	return MOIRAI_UNLIKELY(moirai_load_relaxed(&park_record_since)) ? moirai_now() : 0;
}

/* Locks every bucket there is, in order, and returns the table. For growth and shutdown. */
struct park_table *park_lock_all(void);
void park_unlock_all(struct park_table *table);

static inline size_t park_table_count(const struct park_table *table)
{
	return (size_t)1 << table->bits;
}

/* Fibonacci hashing: the golden ratio spreads addresses that differ in few bits. */
static inline moirai__bucket *park_table_bucket(const struct park_table *table, const void *address)
{
	uint64_t hash = (uint64_t)(uintptr_t)address * 0x9E3779B97F4A7C15ull;
	return &table->buckets[hash >> 1 >> (63 - table->bits)]; /* two shifts: bits may be 0 */
}

static MOIRAI_ALWAYS_INLINE void park_bucket_acquire(moirai__bucket *bucket)
{
	uint32_t free = 0;
	/* acquire: pairs with the release in park_bucket_release(); what the last holder did. */
	if (MOIRAI_UNLIKELY(!moirai_cas_acquire(&bucket->lock_, &free, 1)))
		park_bucket_acquire_slow(bucket);
}

static MOIRAI_ALWAYS_INLINE void park_bucket_release(moirai__bucket *bucket)
{
	/* release: pairs with the acquire of whoever locks next. */
	moirai_store_release(&bucket->lock_, 0);
	/*
	 * light: pairs with the heavy fence in park_bucket_acquire_slow(). If ours comes first, the
	 * sleeper sees the 0; if the heavy one comes first, we see the sleeper.
	 */
	moirai_fence_light();
	if (MOIRAI_UNLIKELY(moirai_load_relaxed(&bucket->sleepers_) != 0))
		park_bucket_wake(bucket);
}

/* Locks the bucket of an address, wherever the table stands by then. */
static MOIRAI_ALWAYS_INLINE moirai__bucket *park_lock(const void *address)
{
	for (;;) {
		/* acquire: pairs with the release in moirai_park_reserve(); the table's contents. */
		struct park_table *table = moirai_load_acquire(&park_table_current);
		moirai__bucket *bucket = park_table_bucket(table, address);
		park_bucket_acquire(bucket);
		/*
		 * Relaxed: a table is replaced with all its buckets locked, so if that has happened, the
		 * lock that we hold was released after it, and we see it.
		 */
		if (MOIRAI_LIKELY(moirai_load_relaxed(&park_table_current) == table))
			return bucket;
		park_bucket_release(bucket);
	}
}

/*
 * Locks the bucket in which a node stands, if it stands anywhere. A requeue may move it while we
 * wait for the lock: it stores the new address under the locks of both buckets, so an address that
 * is still the same under the lock is right for as long as we hold it.
 */
static inline moirai__bucket *park_lock_node(const moirai__wait_node *node)
{
	for (;;) {
		/* Relaxed: a name to lock by, checked again below. */
		const uint32_t *address = moirai_load_relaxed(&node->address);
		moirai__bucket *bucket = park_lock(address);
		if (MOIRAI_LIKELY(moirai_load_relaxed(&node->address) == address))
			return bucket;
		park_bucket_release(bucket);
	}
}

/* --- the queue; the bucket is locked --- */

static inline moirai__wait_node *park_group(const moirai__bucket *bucket, const void *address)
{
	moirai__wait_node *head = MOIRAI_RD(bucket->head_);
	/* Relaxed: changed under this lock only while the node stands in this bucket. */
	while (head && moirai_load_relaxed(&head->address) != address)
		head = MOIRAI_RD(head->group_next);
	return head;
}

static inline void park_group_link(moirai__bucket *bucket, moirai__wait_node *head)
{
	moirai__wait_node *first = MOIRAI_RD(bucket->head_);
	MOIRAI_WR(head->group_prev) = NULL;
	MOIRAI_WR(head->group_next) = first;
	if (first)
		MOIRAI_WR(first->group_prev) = head;
	MOIRAI_WR(bucket->head_) = head;
}

static inline void park_group_unlink(moirai__bucket *bucket, moirai__wait_node *head)
{
	moirai__wait_node *next = MOIRAI_RD(head->group_next), *prev = MOIRAI_RD(head->group_prev);
	if (next)
		MOIRAI_WR(next->group_prev) = prev;
	if (prev)
		MOIRAI_WR(prev->group_next) = next;
	else
		MOIRAI_WR(bucket->head_) = next;
}

/* Another node of the group becomes its head. */
static inline void park_group_behead(
	moirai__bucket *bucket, moirai__wait_node *head, moirai__wait_node *heir)
{
	moirai__wait_node *next = MOIRAI_RD(head->group_next), *prev = MOIRAI_RD(head->group_prev);
	MOIRAI_WR(heir->group_next) = next;
	MOIRAI_WR(heir->group_prev) = prev;
	MOIRAI_WR(heir->tail) = MOIRAI_RD(head->tail);
	if (next)
		MOIRAI_WR(next->group_prev) = heir;
	if (prev)
		MOIRAI_WR(prev->group_next) = heir;
	else
		MOIRAI_WR(bucket->head_) = heir;
}

static inline void park_push(moirai__bucket *bucket, moirai__wait_node *node)
{
	moirai__wait_node *head = park_group(bucket, moirai_load_relaxed(&node->address));
	MOIRAI_WR(node->next) = NULL;
	if (!head) {
		MOIRAI_WR(node->prev) = NULL;
		MOIRAI_WR(node->tail) = node;
		park_group_link(bucket, node);
		return;
	}
	moirai__wait_node *last = MOIRAI_RD(head->tail);
	MOIRAI_WR(node->prev) = last;
	MOIRAI_WR(last->next) = node;
	MOIRAI_WR(head->tail) = node;
}

static inline void park_push_front(moirai__bucket *bucket, moirai__wait_node *node)
{
	moirai__wait_node *head = park_group(bucket, moirai_load_relaxed(&node->address));
	if (!head) {
		park_push(bucket, node);
		return;
	}
	MOIRAI_WR(node->prev) = NULL;
	MOIRAI_WR(node->next) = head;
	MOIRAI_WR(head->prev) = node;
	park_group_behead(bucket, head, node);
}

static inline void park_remove(moirai__bucket *bucket, moirai__wait_node *node)
{
	moirai__wait_node *next = MOIRAI_RD(node->next), *prev = MOIRAI_RD(node->prev);
	if (prev) { /* behind the head */
		MOIRAI_WR(prev->next) = next;
		if (next)
			MOIRAI_WR(next->prev) = prev;
		else
			MOIRAI_WR(park_group(bucket, moirai_load_relaxed(&node->address))->tail) =
				prev;
	} else if (next) { /* the head of many */
		MOIRAI_WR(next->prev) = NULL;
		park_group_behead(bucket, node, next);
	} else { /* alone */
		park_group_unlink(bucket, node);
	}
}

/* --- claiming and waking --- */

static inline bool park_is_queued(uint32_t state)
{
	return state == MOIRAI__NODE_QUEUED || state == MOIRAI__NODE_SLEEPING;
}

static inline void park_wakes_add_fiber(moirai__wakes *wakes, moirai__parker *fiber)
{
	fiber->ready_next_ = NULL;
	if (wakes->last_)
		wakes->last_->ready_next_ = fiber;
	else
		wakes->fibers_ = fiber;
	wakes->last_ = fiber;
	wakes->fiber_count_++;
}

static inline void park_wakes_add(moirai__wakes *wakes, void (*wake)(void *arg), void *arg)
{
	wakes->entries_[wakes->count_].wake = wake;
	wakes->entries_[wakes->count_].arg = arg;
	wakes->count_++;
}

/*
 * parked_at_ becomes and ceases to be the address of a bucket's word under that bucket's lock
 * only. So a canceller that holds the lock and reads that address knows where the fiber is; no
 * stale value and no later park of the same fiber can fool it. (The node's own address and state
 * cannot tell: both may change between two looks, by parks elsewhere, under other locks.)
 */
static MOIRAI_ALWAYS_INLINE void park_set_parked_at(moirai__parker *fiber, const uint32_t *address)
{
	moirai_store_relaxed(&fiber->parked_at_, address); /* Read under the lock. */
}

/* The fiber's half of the race with moirai__park_cancel(): after it, the fiber looks at its flag. */
static MOIRAI_ALWAYS_INLINE void park_announce(moirai__parker *fiber, const uint32_t *address)
{
	park_set_parked_at(fiber, address);
	/*
	 * light: pairs with the heavy fence in moirai__park_cancel(). If ours comes first, the
	 * canceller sees the address and waits for our bucket; if the heavy one comes first, we see
	 * the flag.
	 */
	moirai_fence_light();
}

/*
 * Decides a park_any, once: who turns FORMING or PARKED into something else has won. Returns what
 * it was (PARKED: the winner has to wake it), or 0 for the losers.
 */
static inline uint32_t park_claim(moirai__claim *claim, uint32_t outcome)
{
	uint32_t state = moirai_load_relaxed(&claim->word);
	while (state == MOIRAI__CLAIM_FORMING || state == MOIRAI__CLAIM_PARKED) {
		/*
		 * acq_rel: release pairs with the acquire with which the waiter reads the outcome, what we
		 * did before is visible to it; acquire pairs with the release that published PARKED, the
		 * fiber's stack is saved.
		 */
		if (moirai_cas_acq_rel(&claim->word, &state, outcome))
			return state;
	}
	return 0;
}

/* Claims a park_any for a case, a deadline or a cancel. Its nodes are its own to unlink. */
bool park_take_any(moirai__claim *claim, uint32_t outcome, moirai__wakes *wakes);

static MOIRAI_ALWAYS_INLINE bool park_take(
	moirai__bucket *bucket, moirai__wait_node *node, uint32_t reason, moirai__wakes *wakes)
{
	const uint32_t woken = MOIRAI__NODE_WOKEN | reason << 8;
	park_remove(bucket, node);
	if (MOIRAI_UNLIKELY(node->flags & MOIRAI__NODE_ANY)) {
		/* Its owner passes this bucket's lock before it returns, so the node is still there. */
		moirai_store_relaxed(&node->state, woken);
		return park_take_any(
			node->claim, MOIRAI__NODE_WOKEN | (uint32_t)node->index << 8, wakes);
	}
	if (MOIRAI_LIKELY(node->kind == MOIRAI__WAIT_FIBER)) {
		/* Relaxed: read after ready() has handed the fiber over, or under this lock. */
		moirai_store_relaxed(&node->state, woken);
		park_set_parked_at(node->fiber, NULL);
		park_wakes_add_fiber(wakes, node->fiber);
		return true;
	}
	if (node->kind == MOIRAI__WAIT_WAKER) {
		void (*wake)(void *arg) = node->wake;
		void *arg = node->arg;
		moirai_store_relaxed(&node->state, woken); /* Read under this lock only. */
		park_wakes_add(wakes, wake, arg);
		return true;
	}
	/*
	 * release: pairs with the acquire in park_thread_wait(); the thread sees what we did. The
	 * frame with the node may be gone at once: only the address is used from here.
	 */
	uint32_t *futex = &node->state;
	if (moirai_exchange_release(futex, woken) == MOIRAI__NODE_SLEEPING)
		park_wakes_add(wakes, NULL, futex);
	return true;
}

/* NULL for what is no fiber's. */
static inline moirai__parker *park_fiber_of(const moirai__wait_node *node)
{
	if (node->kind != MOIRAI__WAIT_FIBER)
		return NULL;
	return node->flags & MOIRAI__NODE_ANY ? node->claim->fiber : node->fiber;
}

/* Its deadline or a cancel takes a single-word node out. */
static inline void park_give_up(moirai__bucket *bucket, moirai__wait_node *node, uint32_t outcome)
{
	const uint32_t *address = moirai_load_relaxed(&node->address);
	park_remove(bucket, node);
	/* Relaxed: read by the fiber after it was made ready, or under this lock. */
	moirai_store_relaxed(&node->state, outcome);
	if (node->kind == MOIRAI__WAIT_FIBER)
		park_set_parked_at(node->fiber, NULL);
	if (node->hooks && node->hooks->gave_up)
		node->hooks->gave_up(bucket, address, node->arg);
}

static MOIRAI_ALWAYS_INLINE void park_fire(moirai__wakes *wakes)
{
	if (MOIRAI_UNLIKELY(wakes->count_))
		moirai__wakes_fire(wakes);
	else
		for (moirai__parker *fiber = wakes->fibers_, *next; fiber; fiber = next) {
			next = fiber->ready_next_; /* ready() gives the fiber away */
			fiber->ops->ready(fiber);
		}
}

#endif
