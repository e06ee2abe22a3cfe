/* SPDX-License-Identifier: MIT */
/*
 * Unstable. How work enters from threads that are no workers: one segmented single-producer queue
 * per foreign thread for what it spawns, and one intrusive list for what it wakes.
 * src/injector.c has the design note.
 */
#ifndef MOIRAI_SCHEDULER_INTERNAL_INJECTOR_H
#define MOIRAI_SCHEDULER_INTERNAL_INJECTOR_H

#include <moirai/scheduler/internal/spin.h>

MOIRAI_BEGIN_DECLS

/* Words of a segment: with its link it is one page. */
#ifndef MOIRAI__SEGMENT_WORDS
#define MOIRAI__SEGMENT_WORDS 511
#endif
/* Threads with a queue of their own; each costs a searcher one line to look at. */
#ifndef MOIRAI__PRODUCERS_OWN
#define MOIRAI__PRODUCERS_OWN 64
#endif
/* One more, locked, for all threads beyond. */
#define MOIRAI__PRODUCERS_MAX (MOIRAI__PRODUCERS_OWN + 1)
/* Items that one take may return: enough to pay for the lock, few enough to leave some to others. */
#define MOIRAI__TAKE_MAX 32

struct moirai__segment {
	struct moirai__segment *next_;
	uintptr_t item_[MOIRAI__SEGMENT_WORDS];
};

struct moirai__producer {
	/* Written by the producer. tail_ counts everything ever accepted here. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) size_t tail_;
	struct moirai__segment *tail_segment_;
	uint32_t tail_index_; /* next free word of tail_segment_ */
	bool shared_;         /* several threads push, under push_lock_ */
	bool owned_;          /* a thread has it; under the injector's lock */
	struct moirai__spin push_lock_;
	/* Written by consumers, under lock_ (head_ is read by everybody). */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) size_t head_;
	struct moirai__segment *head_segment_;
	uint32_t head_index_;
	struct moirai__spin lock_;
	/* An emptied segment on its way back to the producer. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) struct moirai__segment *spare_;
};

/* Where the link of an item lies: what is unparked from outside must be queued without memory. */
typedef uintptr_t *moirai__next_fn(uintptr_t item);

struct moirai__injector {
	/* Read by everybody, written when a thread comes or goes. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) uint32_t count_; /* of producer_[] */
	struct moirai__spin lock_;
	moirai__next_fn *next_;
	struct moirai__producer *producer_[MOIRAI__PRODUCERS_MAX];
	/* Whose turn it is; consumers, relaxed. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) uint32_t turn_;
	/* The intrusive list of the awakened. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) size_t ready_count_;
	uintptr_t ready_head_;
	uintptr_t ready_tail_;
	struct moirai__spin ready_lock_;
};

/** Prepares caller's memory; `next` finds the link word of an item. Allocates nothing. */
MOIRAI_API void moirai__injector_init(struct moirai__injector *injector, moirai__next_fn *next);

/** Frees all queues. They are empty and no producer is used any more. Zeroed is fine. */
MOIRAI_API void moirai__injector_fini(struct moirai__injector *injector);

/**
 * Gives the calling foreign thread its queue: one that an ended thread left, a new one, or beyond
 * MOIRAI__PRODUCERS_OWN threads the shared one. -ENOMEM. Once per thread and injector.
 */
MOIRAI_API int moirai__injector_join(
	struct moirai__injector *injector, struct moirai__producer **producer);

/** The thread ends: its queue, with all that lies in it, waits for the next thread. */
MOIRAI_API void moirai__injector_leave(
	struct moirai__injector *injector, struct moirai__producer *producer);

/* Cold halves of push. */
MOIRAI_API int moirai__producer_push_slow(struct moirai__producer *producer, uintptr_t item);

/**
 * The producer's thread: hands an item in; the caller notifies the idle word afterwards. -ENOMEM
 * before anything is accepted. No read-modify-write, no lock; allocates a page per 511 items unless
 * a spare one has come back.
 */
static MOIRAI_ALWAYS_INLINE int moirai__producer_push(
	struct moirai__producer *producer, uintptr_t item)
{
	if (MOIRAI_UNLIKELY(producer->shared_))
		return moirai__producer_push_slow(producer, item);
	uint32_t index =
		producer->tail_index_; /* not before: of a shared one it is under push_lock_ */
	if (MOIRAI_UNLIKELY(index == MOIRAI__SEGMENT_WORDS))
		return moirai__producer_push_slow(producer, item);
	MOIRAI_WR(producer->tail_segment_->item_[index]) = item;
	producer->tail_index_ = index + 1;
	/* release: pairs with the acquire of tail_ in take(); publishes the word and the task. */
	moirai_store_release(&producer->tail_, moirai_load_relaxed(&producer->tail_) + 1);
	return 0;
}

/**
 * Any thread: queues what was unparked. Cannot fail: the link lies in the item. The caller notifies.
 */
MOIRAI_API void moirai__injector_ready(struct moirai__injector *injector, uintptr_t item);

/**
 * Any worker: moves up to `max` (at most MOIRAI__TAKE_MAX) items into items[], oldest first, and
 * returns their number. `sharers` workers share: no more than a fair part of the awakened is taken,
 * and half of a producer's queue. 0 too when other consumers are at work everywhere.
 */
MOIRAI_API unsigned moirai__injector_take(
	struct moirai__injector *injector, uintptr_t *items, unsigned max, unsigned sharers);

/** True when something lies there. Any thread; for the rescan before sleep, after its fence. */
MOIRAI_API bool moirai__injector_any(const struct moirai__injector *injector);

/** Items that lie there, or lay there a moment ago. Any thread. */
MOIRAI_API size_t moirai__injector_count(const struct moirai__injector *injector);

/**
 * Items ever accepted from producers (modulo 2^N; the awakened do not count). Quiescence: read all
 * `finished` counters first, with acquire, then this and the workers' spawned counters; equal sums
 * mean that everything accepted before has ended.
 */
MOIRAI_API size_t moirai__injector_accepted(const struct moirai__injector *injector);

MOIRAI_END_DECLS

#endif
