/* SPDX-License-Identifier: MIT */
/*
 * Design note: the deque of a worker.
 *
 * What it is. Dijkstra's and Frigo's THE protocol ("The implementation of the Cilk-5 multithreaded
 * language", PLDI 1998) with two changes: the victim's fence is a light one, its heavy partner is
 * paid by the thief once per *batch*; and the index up to which thieves have claimed (claim_) is
 * another one than the index up to which they have copied (head_).
 *
 * States. Slots [head_, claim_) are being copied by the thief that holds lock_; [claim_, bottom_)
 * are the items; outside the lock head_ == claim_ <= bottom_, but for the owner's pop in progress,
 * which may stand one below claim_ for a moment. bottom_, ring_ and size_ are written by the owner
 * (ring_ and size_ under lock_), claim_ and head_ by whoever holds lock_.
 *
 * Invariant. Every item between claim_ and bottom_ is taken exactly once; a slot is reused only
 * after its item was copied.
 *
 * Protocol.
 *  push  1. room? compare with head_ (acquire)   2. store the slot   3. bottom_ + 1 (release).
 *  pop   1. bottom_ - 1   2. light fence   3. claim_ <= bottom_: ours. Otherwise: lock, look again,
 *        take it or put bottom_ back.
 *  steal 1. lock (try)   2. claim_ + k   3. heavy fence   4. read bottom_ again and shrink k
 *        5. copy   6. head_ = claim_ (release)   7. unlock, and only then push the loot elsewhere.
 *  grow  allocate, lock, copy, swap, unlock, free. Thieves read ring_ and size_ under the lock only.
 *
 * Why exactly once. pop.1-3 and steal.2-4 are Dekker's pattern. If the owner's store of bottom_
 * comes before the thief's fence, the thief shrinks its claim below the owner's item. If the fence
 * comes first, the owner reads the claim and waits for the lock, after which the claim is final. The
 * early look of pop (claim_ beyond the last item: empty) needs no fence: a claim that reaches beyond
 * the last item is shrunk to bottom_ at most, which then is what the owner left it at: the thief
 * takes everything. A *stale* overshoot can hide an item for as long as a store takes to
 * arrive; the thief's search_end, a read-modify-write of the idle word after its claim, and the
 * owner's before it sleeps bound that: one of the two sees the other (idle.c).
 *
 * Why no slot is reused too soon. push compares with head_, which moves after the copy (release and
 * acquire). Comparing with claim_ instead hands the slot out while the thief reads it.
 *
 * Why push the loot after unlocking. Two thieves that grow each other's ring under each other's
 * lock wait for ever; so steal copies out and the caller pushes.
 *
 * Price. Owner: no fence, no read-modify-write, the last item included (Chase-Lev needs a CAS
 * there). Thief: two lock operations and one heavy fence, 0.4 to 9 us, for up to 32 items; Chase-Lev
 * with asymmetric fences needs one per item.
 *
 * Refused. Chase-Lev (see price, and its ring cannot shrink without reclamation); a single top index
 * (slot reuse); stealing into the thief's ring directly (deadlock above).
 */
#include <moirai/scheduler/internal/deque.h>

#include <errno.h>

#include <moirai/core/alloc.h>

/* Half of the index space: the signed difference of two indices must tell their order. */
#define DEQUE_SIZE_MAX ((size_t)1 << (sizeof(size_t) * 8 - 5))

/* Owner: a ring of `size` slots in place of the old one, which goes to *old. */
static void ring_swap(struct moirai__deque *deque, uintptr_t *ring, size_t size, uintptr_t **old)
{
	moirai__spin_take(&deque->lock_);
	size_t bottom = moirai_load_relaxed(&deque->bottom_);
	/* Relaxed: head_ changes under this lock only. */
	for (size_t i = moirai_load_relaxed(&deque->head_); i != bottom; i++)
		MOIRAI_WR(ring[i & (size - 1)]) = MOIRAI_RD(deque->ring_[i & (deque->size_ - 1)]);
	*old = deque->ring_;
	MOIRAI_WR(deque->ring_) = ring;
	MOIRAI_WR(deque->size_) = size;
	moirai__spin_drop(&deque->lock_);
}

int moirai__deque_reserve(struct moirai__deque *deque, size_t count)
{
	size_t held = moirai_load_relaxed(&deque->bottom_) - moirai_load_acquire(&deque->head_);
	size_t size = deque->size_ ? deque->size_ : MOIRAI__DEQUE_FIRST;
	if (count > DEQUE_SIZE_MAX || held > DEQUE_SIZE_MAX - count)
		return -ENOMEM;
	while (size < held + count)
		size *= 2;
	if (size == deque->size_)
		return 0;
	uintptr_t *ring = moirai_alloc(size * sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	uintptr_t *old;
	ring_swap(deque, ring, size, &old);
	moirai_free(old);
	return 0;
}

int moirai__deque_push_slow(struct moirai__deque *deque, uintptr_t item)
{
	int rc = moirai__deque_reserve(deque, 1);
	if (rc < 0)
		return rc;
	return moirai__deque_push(deque, item);
}

uintptr_t moirai__deque_pop_slow(struct moirai__deque *deque, size_t bottom)
{
	uintptr_t item = 0;
	moirai__spin_take(&deque->lock_);
	/* The claim is final now: no thief is at work. */
	if ((ptrdiff_t)(moirai_load_relaxed(&deque->claim_) - bottom) <= 0)
		item = MOIRAI_RD(deque->ring_[bottom & (deque->size_ - 1)]);
	else /* release: as in pop(); a thief that reads this bottom_ sees the slots below. */
		moirai_store_release(&deque->bottom_, bottom + 1);
	moirai__spin_drop(&deque->lock_);
	return item;
}

void moirai__deque_trim(struct moirai__deque *deque)
{
	if (deque->size_ < MOIRAI__DEQUE_LARGE || moirai__deque_count(deque))
		return;
	moirai__spin_take(&deque->lock_);
	uintptr_t *old = NULL;
	if (moirai_load_relaxed(&deque->head_) == moirai_load_relaxed(&deque->bottom_)) {
		old = deque->ring_;
		MOIRAI_WR(deque->ring_) = NULL;
		MOIRAI_WR(deque->size_) = 0;
	}
	moirai__spin_drop(&deque->lock_);
	moirai_free(old);
}

uintptr_t moirai__deque_take_oldest(struct moirai__deque *deque)
{
	if (!moirai__deque_count(deque) || !moirai__spin_try(&deque->lock_))
		return 0;
	uintptr_t item = 0;
	size_t claim = moirai_load_relaxed(&deque->claim_);
	/* No fence: bottom_ is our own, and the lock keeps everybody else from claim_. */
	if ((ptrdiff_t)(moirai_load_relaxed(&deque->bottom_) - claim) > 0) {
		item = MOIRAI_RD(deque->ring_[claim & (deque->size_ - 1)]);
		moirai_store_relaxed(&deque->claim_, claim + 1);
		moirai_store_relaxed(&deque->head_, claim + 1); /* relaxed: we are who reuses it */
	}
	moirai__spin_drop(&deque->lock_);
	return item;
}

/* How many of `there` items a thief takes. */
static unsigned share_of(size_t there, unsigned max, moirai_steal_amount amount)
{
	size_t share = amount == MOIRAI_STEAL_ONE       ? 1
		       : amount == MOIRAI_STEAL_QUARTER ? there / 4 + (there % 4 != 0)
							: there / 2 + there % 2;
	if (max > MOIRAI__STEAL_MAX)
		max = MOIRAI__STEAL_MAX;
	return share < max ? (unsigned)share : max;
}

/* Steps 2 to 4, under the lock: claims up to `want` items and returns how many are really ours. */
static unsigned claim_items(struct moirai__deque *victim, size_t claim, unsigned want)
{
	moirai_store_relaxed(&victim->claim_, claim + want);
	/*
	 * Pairs with the light fence in pop(). If our claim comes first, the owner reads it and comes
	 * for the lock; if its store of bottom_ comes first, we read that now.
	 */
	moirai_fence_heavy();
	MOIRAI_NOISE();
	/* acquire: pairs with the releases of bottom_; we see the slots below it. */
	ptrdiff_t there = (ptrdiff_t)(moirai_load_acquire(&victim->bottom_) - claim);
	if (there >= (ptrdiff_t)want)
		return want;
	want = there > 0 ? (unsigned)there : 0;
	/* Relaxed: the owner that saw the larger claim waits for the lock. */
	moirai_store_relaxed(&victim->claim_, claim + want);
	return want;
}

unsigned moirai__deque_steal(struct moirai__deque *victim, uintptr_t *items, unsigned max,
	moirai_steal_amount amount)
{
	if (!max || !moirai__deque_count(victim) || !moirai__spin_try(&victim->lock_))
		return 0;
	unsigned taken = 0;
	size_t claim = moirai_load_relaxed(&victim->claim_);
	/* Relaxed: it is read again after the fence. */
	ptrdiff_t there = (ptrdiff_t)(moirai_load_relaxed(&victim->bottom_) - claim);
	if (there > 0) {
		taken = claim_items(victim, claim, share_of((size_t)there, max, amount));
		const uintptr_t *ring = MOIRAI_RD(victim->ring_);
		size_t mask = MOIRAI_RD(victim->size_) - 1;
		MOIRAI_NOISE();
		for (unsigned i = 0; i < taken; i++)
			items[i] = MOIRAI_RD(ring[(claim + i) & mask]);
		/* release: pairs with the acquire of head_ in push(); the copies are done. */
		moirai_store_release(&victim->head_, claim + taken);
	}
	moirai__spin_drop(&victim->lock_);
	return taken;
}

void moirai__deque_fini(struct moirai__deque *deque)
{
	moirai_free(deque->ring_);
	*deque = (struct moirai__deque){.bottom_ = 0};
}
