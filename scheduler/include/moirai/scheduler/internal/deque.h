/* SPDX-License-Identifier: MIT */
/*
 * Unstable. The deque of a worker: its owner pushes and pops at the bottom without a fence and
 * without a read-modify-write, thieves take batches from the top and pay for both sides.
 * src/deque.c has the design note.
 *
 * An item is a non-zero word; the deque does not look behind it.
 */
#ifndef MOIRAI_SCHEDULER_INTERNAL_DEQUE_H
#define MOIRAI_SCHEDULER_INTERNAL_DEQUE_H

#include <moirai/core/internal/noise.h>
#include <moirai/scheduler/internal/spin.h>
#include <moirai/scheduler/types.h>

MOIRAI_BEGIN_DECLS

/* Items of the first ring, allocated by the first push: 512 bytes, so that an idle worker is small.
 * (The tester crosses such limits with tiny values of its own.) */
#ifndef MOIRAI__DEQUE_FIRST
#define MOIRAI__DEQUE_FIRST 64
#endif
/* A ring this large or larger is given back when the worker goes to sleep with an empty deque. */
#ifndef MOIRAI__DEQUE_LARGE
#define MOIRAI__DEQUE_LARGE 4096
#endif
/* Items that one steal may take: beyond it the fence is paid for and the copy dominates. */
#define MOIRAI__STEAL_MAX 32

/*
 * [head_, claim_) is being copied by the thief that holds the lock, [claim_, bottom_) are the items.
 * Without a thief head_ == claim_. Indices only grow (modulo 2^N) but for pops.
 */
struct moirai__deque {
	/* Written by the owner. bottom_ is read by thieves; ring_ and mask_ under the lock only. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) size_t bottom_;
	uintptr_t *ring_; /* NULL until the first push */
	size_t size_;     /* of the ring, a power of two; 0: no ring */
	/* Written under lock_, by thieves and rarely by the owner. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) size_t claim_;
	size_t head_;
	struct moirai__spin lock_;
};

/** Frees the ring. The deque is empty and nobody uses it; zeroed memory is a valid deque. */
MOIRAI_API void moirai__deque_fini(struct moirai__deque *deque);

/**
 * Owner: makes room for `count` more items, so that the next `count` pushes cannot fail.
 * -ENOMEM: nothing has changed. May allocate.
 */
MOIRAI_API int moirai__deque_reserve(struct moirai__deque *deque, size_t count);

/** Owner: gives a ring back that is much too large and empty. For workers about to sleep. */
MOIRAI_API void moirai__deque_trim(struct moirai__deque *deque);

/* Owner, cold halves of push and pop. */
MOIRAI_API int moirai__deque_push_slow(struct moirai__deque *deque, uintptr_t item);
MOIRAI_API uintptr_t moirai__deque_pop_slow(struct moirai__deque *deque, size_t bottom);

/**
 * Owner: takes the oldest item, 0 when there is none or a thief is at work. No fence. For fairness:
 * whoever only pops at the bottom starves what lies at the top.
 */
MOIRAI_API uintptr_t moirai__deque_take_oldest(struct moirai__deque *deque);

/**
 * Any other thread: takes up to `max` (at most MOIRAI__STEAL_MAX) of the oldest items, as `amount`
 * says, into items[], oldest first. Returns their number; 0 too when another thief is at work.
 * One heavy fence for the whole batch.
 */
MOIRAI_API unsigned moirai__deque_steal(struct moirai__deque *victim, uintptr_t *items,
	unsigned max, moirai_steal_amount amount);

/** Items in it, or a moment ago: any thread, a hint. */
static inline size_t moirai__deque_count(const struct moirai__deque *deque)
{
	/* acquire: pairs with the release of bottom_ in push; a sleeper that sees it sees the item. */
	size_t bottom = moirai_load_acquire(&deque->bottom_);
	ptrdiff_t count = (ptrdiff_t)(bottom - moirai_load_relaxed(&deque->claim_));
	return count > 0 ? (size_t)count : 0;
}

/**
 * Owner: nothing lies in it and no thief is at work. Unlike a count of 0 it does not believe a claim,
 * which may reach beyond what the thief will keep.
 */
static MOIRAI_ALWAYS_INLINE bool moirai__deque_is_bare(const struct moirai__deque *deque)
{
	/* Relaxed: bottom_ is ours, and an old head_ says "not yet". */
	return moirai_load_relaxed(&deque->bottom_) == moirai_load_relaxed(&deque->head_);
}

/** Owner: puts an item at the bottom. -ENOMEM: it is not in. May allocate when the ring is full. */
static MOIRAI_ALWAYS_INLINE int moirai__deque_push(struct moirai__deque *deque, uintptr_t item)
{
	size_t bottom = moirai_load_relaxed(&deque->bottom_); /* our own store */
	size_t size = MOIRAI_RD(deque->size_);
	/* acquire: pairs with the release of head_ in steal(); the thief has copied what lay there. */
	if (MOIRAI_UNLIKELY(bottom - moirai_load_acquire(&deque->head_) >= size))
		return moirai__deque_push_slow(deque, item);
	MOIRAI_WR(MOIRAI_RD(deque->ring_)[bottom & (size - 1)]) = item;
	MOIRAI_NOISE();
	/* release: pairs with the acquire of bottom_ in steal(); publishes the slot and the task. */
	moirai_store_release(&deque->bottom_, bottom + 1);
	return 0;
}

/** Owner: takes the youngest item, 0 when there is none. Spins only while a thief has it claimed. */
static MOIRAI_ALWAYS_INLINE uintptr_t moirai__deque_pop(struct moirai__deque *deque)
{
	size_t bottom = moirai_load_relaxed(&deque->bottom_) - 1;
	/* Relaxed: empty, or claimed up to here by a thief that will keep it. */
	if ((ptrdiff_t)(moirai_load_relaxed(&deque->claim_) - bottom) > 0)
		return 0;
	/* release: pairs with the acquire in steal(); who reads this bottom_ sees the slots below it. */
	moirai_store_release(&deque->bottom_, bottom);
	MOIRAI_NOISE();
	/*
	 * Pairs with the heavy fence in steal(). If our store comes first, the thief reads the new
	 * bottom_ and shrinks its claim; if its fence comes first, we read its claim below.
	 */
	moirai_fence_light();
	if (MOIRAI_LIKELY((ptrdiff_t)(moirai_load_relaxed(&deque->claim_) - bottom) <= 0))
		return MOIRAI_RD(MOIRAI_RD(deque->ring_)[bottom & (MOIRAI_RD(deque->size_) - 1)]);
	return moirai__deque_pop_slow(deque, bottom);
}

/** Owner: the youngest item without taking it; 0 when there is none. A thief may take it any time. */
static inline uintptr_t moirai__deque_peek(const struct moirai__deque *deque)
{
	size_t bottom = moirai_load_relaxed(&deque->bottom_) - 1;
	if ((ptrdiff_t)(moirai_load_relaxed(&deque->claim_) - bottom) > 0)
		return 0;
	return MOIRAI_RD(deque->ring_[bottom & (deque->size_ - 1)]);
}

MOIRAI_END_DECLS

#endif
