/* SPDX-License-Identifier: MIT */
/*
 * Design note: the yield queue.
 *
 * What it is. A FIFO ring whose critical section is *biased* to its owner: the owner enters by a
 * plain store, a light fence and a load; a thief by a lock, a store, a heavy fence and a wait
 * (Dice, Moir, Scherer: "Quickly reacquirable locks", 2003; Kawachiya et al., OOPSLA 2002).
 *
 * States. busy_ = 1: the owner is inside. want_ = 1: a thief, holding lock_, is inside or waits for
 * busy_ to fall. The owner that meets want_ = 1 steps back and enters as a holder of lock_ instead.
 *
 * Invariant. head_, tail_, ring_, size_ and the slots change inside a section; at most one of owner
 * and thieves is inside.
 *
 * Protocol.
 *  owner  1. busy_ = 1   2. light fence   3. want_ == 0: inside; otherwise busy_ = 0 (release), lock.
 *         4. leave: busy_ = 0 (release) or unlock.
 *  thief  1. lock (try)   2. want_ = 1   3. heavy fence   4. wait for busy_ == 0 (acquire), at most
 *         MOIRAI__YIELD_QUEUE_PATIENCE looks   5. take   6. want_ = 0 (release)   7. unlock.
 *  yield  owner 1-3, take the oldest, append itself, switch; the SUCCESSOR does 4.
 *
 * Why exclusive. 1-3 of both are Dekker's pattern: if the owner's store comes before the thief's
 * fence, the thief sees busy_; otherwise the owner sees want_, or the 0 stored after the thief's
 * section, with acquire.
 *
 * Why the section stays open over the switch. The yielder must not be seen before its stack is
 * saved; only its successor knows that it is. With the section open no thief can look, so one
 * section serves for the take and the append, and no number of items changes: no notification.
 *
 * Why it ends. The owner never waits inside. A thief waits a bounded time: an owner that lost its
 * processor inside the section costs it a failed steal. enter_slow waits for the lock only, whose
 * holder waits for busy_, which is 0 by then.
 *
 * Price. Owner: two plain stores and a load. A yield between two fibers costs 5 ns with it, 9 with
 * separate sections, 18 with a lock.
 *
 * Refused. A second deque with the yielder at the old end (a CAS per yield: 33 against 10 ns); the
 * LIFO deque itself (the yielder would be next).
 */
#include <moirai/scheduler/internal/yield_queue.h>

#include <errno.h>

#include <moirai/core/alloc.h>

/* Indices are 32 bits; a quarter of them bounds the yielders of one worker. */
#define YIELD_QUEUE_SIZE_MAX ((uint32_t)1 << 30)

void moirai__yield_queue_enter_slow(struct moirai__yield_queue *queue)
{
	/* release: pairs with the acquire of busy_ in steal(): we were inside, and did nothing. */
	moirai_store_release(&queue->busy_, 0u);
	moirai__spin_take(&queue->lock_);
}

int moirai__yield_queue_reserve(struct moirai__yield_queue *queue, uint32_t count)
{
	uint32_t held = moirai_load_relaxed(&queue->tail_) - moirai_load_relaxed(&queue->head_);
	uint32_t size = queue->size_ ? queue->size_ : MOIRAI__YIELD_QUEUE_FIRST;
	if (count > YIELD_QUEUE_SIZE_MAX || held > YIELD_QUEUE_SIZE_MAX - count)
		return -ENOMEM;
	while (size < held + count)
		size *= 2;
	if (size == queue->size_)
		return 0;
	uintptr_t *ring = moirai_alloc(size * sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	bool locked = moirai__yield_queue_enter(queue);
	uint32_t tail = moirai_load_relaxed(&queue->tail_);
	for (uint32_t i = moirai_load_relaxed(&queue->head_); i != tail; i++)
		MOIRAI_WR(ring[i & (size - 1)]) = MOIRAI_RD(queue->ring_[i & (queue->size_ - 1)]);
	uintptr_t *old = queue->ring_;
	MOIRAI_WR(queue->ring_) = ring;
	MOIRAI_WR(queue->size_) = size;
	moirai__yield_queue_leave(queue, locked);
	moirai_free(old);
	return 0;
}

void moirai__yield_queue_trim(struct moirai__yield_queue *queue)
{
	if (queue->size_ < MOIRAI__YIELD_QUEUE_LARGE)
		return;
	uintptr_t *old = NULL;
	bool locked = moirai__yield_queue_enter(queue);
	if (moirai_load_relaxed(&queue->head_) == moirai_load_relaxed(&queue->tail_)) {
		old = queue->ring_;
		MOIRAI_WR(queue->ring_) = NULL;
		MOIRAI_WR(queue->size_) = 0;
	}
	moirai__yield_queue_leave(queue, locked);
	moirai_free(old);
}

/* Thief, step 4: true when the owner is outside and stays there as long as want_ is set. */
static bool owner_is_out(struct moirai__yield_queue *queue)
{
	for (unsigned looks = 0; looks < MOIRAI__YIELD_QUEUE_PATIENCE; looks++) {
		/* acquire: pairs with the release of busy_ = 0; the owner's section lies before ours. */
		if (!moirai_load_acquire(&queue->busy_))
			return true;
		if (looks % 64 == 63)
			moirai_os_yield();
		else
			moirai_cpu_relax();
	}
	return false;
}

/* Thief, step 5: inside the section. */
static unsigned take_items(struct moirai__yield_queue *queue, uintptr_t *items, unsigned max,
	moirai_steal_amount amount)
{
	uint32_t head = moirai_load_relaxed(&queue->head_);
	uint32_t there = moirai_load_relaxed(&queue->tail_) - head;
	uint32_t share = amount == MOIRAI_STEAL_ONE       ? there > 0
			 : amount == MOIRAI_STEAL_QUARTER ? there / 4 + (there % 4 != 0)
							  : there / 2 + there % 2;
	if (share > max)
		share = max;
	for (uint32_t i = 0; i < share; i++)
		items[i] = MOIRAI_RD(
			MOIRAI_RD(queue->ring_)[(head + i) & (MOIRAI_RD(queue->size_) - 1)]);
	/* release: pairs with the acquire in count(). */
	moirai_store_release(&queue->head_, head + share);
	return share;
}

unsigned moirai__yield_queue_steal(struct moirai__yield_queue *queue, uintptr_t *items,
	unsigned max, moirai_steal_amount amount)
{
	if (!max || !moirai__yield_queue_count(queue) || !moirai__spin_try(&queue->lock_))
		return 0;
	moirai_store_relaxed(&queue->want_, 1u);
	/*
	 * Pairs with the light fence in enter(). If our store comes first, the owner sees want_ and
	 * steps back; if its store of busy_ comes first, we see that and wait.
	 */
	moirai_fence_heavy();
	MOIRAI_NOISE();
	unsigned taken = owner_is_out(queue) ? take_items(queue, items, max, amount) : 0;
	/* release: pairs with the acquire of want_ in enter(); our section lies before the owner's. */
	moirai_store_release(&queue->want_, 0u);
	moirai__spin_drop(&queue->lock_);
	return taken;
}

void moirai__yield_queue_fini(struct moirai__yield_queue *queue)
{
	moirai_free(queue->ring_);
	*queue = (struct moirai__yield_queue){.busy_ = 0};
}
