/* SPDX-License-Identifier: MIT */
/*
 * Unstable. The FIFO of a worker's yielders. Its owner works in a *biased section*: a plain store,
 * a light fence and a load instead of a lock; a thief pays a lock and a heavy fence.
 * src/yield_queue.c has the design note.
 */
#ifndef MOIRAI_SCHEDULER_INTERNAL_YIELD_QUEUE_H
#define MOIRAI_SCHEDULER_INTERNAL_YIELD_QUEUE_H

#include <moirai/core/internal/noise.h>
#include <moirai/scheduler/internal/spin.h>
#include <moirai/scheduler/types.h>

MOIRAI_BEGIN_DECLS

/* Items of the first ring, allocated by the first push or reserve: 512 bytes. */
#ifndef MOIRAI__YIELD_QUEUE_FIRST
#define MOIRAI__YIELD_QUEUE_FIRST 64
#endif
/* A ring this large or larger is given back when the worker goes to sleep with an empty queue. */
#define MOIRAI__YIELD_QUEUE_LARGE 4096
/* Looks of a thief at a busy section before it gives up; every 64th gives the processor away. */
#ifndef MOIRAI__YIELD_QUEUE_PATIENCE
#define MOIRAI__YIELD_QUEUE_PATIENCE 1024
#endif
/* The item whose memory a yield prefetches, and the one whose descriptor it does (5000 fibers: 12 %). */
#define MOIRAI__YIELD_PREFETCH_NEAR 4
#define MOIRAI__YIELD_PREFETCH_FAR  8

struct moirai__yield_queue {
	/* Written by the owner inside its section, by a thief inside its own. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) uint32_t busy_; /* the owner is in its section */
	uint32_t size_;                                  /* of the ring, a power of two; 0: none */
	uint32_t head_;                                  /* index of the oldest item */
	uint32_t tail_;                                  /* index after the youngest item */
	uintptr_t *ring_;
	/* Written by thieves. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) uint32_t want_; /* a thief is in its section or waits for it */
	struct moirai__spin lock_;
};

/** Frees the ring. The queue is empty and nobody uses it; zeroed memory is a valid queue. */
MOIRAI_API void moirai__yield_queue_fini(struct moirai__yield_queue *queue);

/** Owner: makes room for `count` more, so that as many pushes cannot fail. -ENOMEM: no change. */
MOIRAI_API int moirai__yield_queue_reserve(struct moirai__yield_queue *queue, uint32_t count);

/** Owner: gives a ring back that is much too large and empty. For workers about to sleep. */
MOIRAI_API void moirai__yield_queue_trim(struct moirai__yield_queue *queue);

/* Owner, the cold way into the section: waits for the thieves and holds their lock instead. */
MOIRAI_API void moirai__yield_queue_enter_slow(struct moirai__yield_queue *queue);

/**
 * Any other thread: takes half of the items, at most `max`, into items[], oldest first, and returns
 * their number; 0 too when another thief is at work or the owner does not leave its section.
 * Never from inside a section of the same queue. One heavy fence.
 */
MOIRAI_API unsigned moirai__yield_queue_steal(
	struct moirai__yield_queue *queue, uintptr_t *items, unsigned max, moirai_steal_amount amount);

/** Items in it, or a moment ago: any thread, a hint. */
static inline uint32_t moirai__yield_queue_count(const struct moirai__yield_queue *queue)
{
	/* Head before tail, so that the difference is never negative: both only grow. acquire: pairs
	 * with the release of head_ in pop and steal. */
	uint32_t head = moirai_load_acquire(&queue->head_);
	/* acquire: pairs with the release of tail_ in push; who counts the item sees it. */
	return moirai_load_acquire(&queue->tail_) - head;
}

/* Owner: true when it entered as the thieves' lock holder, to be told to leave(). */
static MOIRAI_ALWAYS_INLINE bool moirai__yield_queue_enter(struct moirai__yield_queue *queue)
{
	moirai_store_relaxed(&queue->busy_, 1u);
	/*
	 * Pairs with the heavy fence in steal(). If our store comes first, the thief sees busy_ and
	 * waits; if its fence comes first, we see want_ and step back.
	 */
	moirai_fence_light();
	MOIRAI_NOISE();
	/* acquire: pairs with the release of want_ = 0 in steal(); the thief's section lies before us. */
	if (MOIRAI_LIKELY(!moirai_load_acquire(&queue->want_)))
		return false;
	moirai__yield_queue_enter_slow(queue);
	return true;
}

static MOIRAI_ALWAYS_INLINE void moirai__yield_queue_leave(
	struct moirai__yield_queue *queue, bool locked)
{
	if (MOIRAI_UNLIKELY(locked))
		moirai__spin_drop(&queue->lock_);
	else /* release: pairs with the acquire of busy_ in steal(). */
		moirai_store_release(&queue->busy_, 0u);
}

/** Owner: appends an item. -ENOMEM: it is not in; never after a successful reserve. */
static inline int moirai__yield_queue_push(struct moirai__yield_queue *queue, uintptr_t item)
{
	/* Only we append, so a ring with room stays one with room. */
	uint32_t tail = moirai_load_relaxed(&queue->tail_);
	if (MOIRAI_UNLIKELY(tail - moirai_load_relaxed(&queue->head_) >= MOIRAI_RD(queue->size_))) {
		int rc = moirai__yield_queue_reserve(queue, 1);
		if (rc < 0)
			return rc;
	}
	bool locked = moirai__yield_queue_enter(queue);
	MOIRAI_WR(queue->ring_[tail & (queue->size_ - 1)]) = item;
	/* release: pairs with the acquire in count(). */
	moirai_store_release(&queue->tail_, tail + 1);
	moirai__yield_queue_leave(queue, locked);
	return 0;
}

/** Owner: takes the oldest item, 0 when there is none. */
static inline uintptr_t moirai__yield_queue_pop(struct moirai__yield_queue *queue)
{
	/* Relaxed: tail_ is ours; a stale head_ leads into the section, which looks again. */
	if (moirai_load_relaxed(&queue->head_) == moirai_load_relaxed(&queue->tail_))
		return 0;
	uintptr_t item = 0;
	bool locked = moirai__yield_queue_enter(queue);
	uint32_t head = moirai_load_relaxed(&queue->head_);
	if (head != moirai_load_relaxed(&queue->tail_)) {
		item = MOIRAI_RD(queue->ring_[head & (queue->size_ - 1)]);
		moirai_store_release(&queue->head_, head + 1);
	}
	moirai__yield_queue_leave(queue, locked);
	return item;
}

/* What swap() does for items that come up soon: touch their memory. Inlined; may do nothing. */
typedef void moirai__prefetch_fn(uintptr_t near_item, uintptr_t far_item);

/**
 * Owner, the fast yield: takes the oldest item and appends `self` in ONE section, and returns with
 * the section OPEN. Whoever runs next on this worker calls moirai__yield_queue_close() before
 * anything else; until then no thief can see `self`, whose stack is not saved yet.
 * 0: no section is open and nothing has changed (the queue is empty, or a thief wants it).
 */
static MOIRAI_ALWAYS_INLINE uintptr_t moirai__yield_queue_swap(
	struct moirai__yield_queue *queue, uintptr_t self, moirai__prefetch_fn *prefetch)
{
	moirai_store_relaxed(&queue->busy_, 1u);
	moirai_fence_light(); /* as in enter() */
	uint32_t head = moirai_load_relaxed(&queue->head_);
	uint32_t tail = moirai_load_relaxed(&queue->tail_);
	/* acquire: as in enter(). Before head_ is believed: a thief may just have moved it. */
	if (MOIRAI_UNLIKELY(moirai_load_acquire(&queue->want_)) ||
		(head = moirai_load_relaxed(&queue->head_)) == tail) {
		moirai_store_release(&queue->busy_, 0u); /* as in leave() */
		return 0;
	}
	uint32_t mask = queue->size_ - 1;
	uintptr_t item = MOIRAI_RD(queue->ring_[head & mask]);
	if (prefetch && tail - head > MOIRAI__YIELD_PREFETCH_FAR)
		prefetch(queue->ring_[(head + MOIRAI__YIELD_PREFETCH_NEAR) & mask],
			queue->ring_[(head + MOIRAI__YIELD_PREFETCH_FAR) & mask]);
	MOIRAI_WR(queue->ring_[tail & mask]) = self;
	moirai_store_release(&queue->tail_, tail + 1); /* as in push() */
	/*
	 * Taken after the append: nobody is notified of a fast yield, so a sleeper's rescan must never
	 * count 0 between the two. release: pairs with the acquire in count(), which sees tail_ then.
	 */
	moirai_store_release(&queue->head_, head + 1);
	return item;
}

/** The successor of a fast yield: closes the section that swap() left open. */
static MOIRAI_ALWAYS_INLINE void moirai__yield_queue_close(struct moirai__yield_queue *queue)
{
	moirai_store_release(&queue->busy_, 0u); /* as in leave() */
}

MOIRAI_END_DECLS

#endif
