/* SPDX-License-Identifier: MIT */
/*
 * Design note: the injector.
 *
 * What it is. The door for threads that are no workers. A foreign thread that spawns gets a queue of
 * its own: a list of pages, one writer, many readers. What a foreign thread unparks goes on an
 * intrusive, locked list instead, because an unpark must not need memory.
 *
 * States of a producer's queue. [head_, tail_) lies there; tail_ is written by its thread alone (or
 * under push_lock_ when it is shared), head_, head_segment_ and head_index_ under lock_ by consumers.
 * tail_ never goes back: it is also the count of everything accepted, for quiescence.
 *
 * Protocol.
 *  push  1. last segment full: take the spare one or allocate, link it (release)   2. store the word
 *        3. tail_ + 1 (release). The caller then notifies the idle word.
 *  take  1. lock (try)   2. read tail_ (acquire)   3. copy up to half; a segment that is used up goes
 *        to the spare place, or is freed when that is taken   4. head_ (release)   5. unlock, and only
 *        then push what was copied to one's own queues.
 *  join  under the injector's lock: a queue without owner, or a new one: producer_[count_], count_ + 1
 *        (release).   leave: the queue stays, with its items, for the next thread.
 *
 * Why a consumer never follows a missing link. It steps to the next segment only with tail_ beyond
 * the end of this one, and tail_ was released after the link.
 *
 * Why nothing is overlooked before sleep. The rescan reads count_ and every tail_ (acquire) after its
 * fence; a push that it does not see comes after it and sees the sleeper (idle.c). New producers
 * publish count_ before their first push, so the same holds for them.
 *
 * Fairness. Consumers begin at another producer each time, and every other time at the awakened.
 *
 * Price. Push: two stores, no read-modify-write; 5-10 ns with a processor of its own. A page per 511
 * items in flight. 64 threads have their own queue, each one line for a searcher; the others share
 * one behind a lock.
 *
 * Refused. One MPMC queue or one locked list (60-190 ns with a preempted lock holder); Michael and
 * Scott (a CAS and a node per item); freeing a queue when its thread ends (needs reclamation; thread
 * churn would pay for it).
 */
#include <moirai/scheduler/internal/injector.h>

#include <errno.h>
#include <string.h>

#include <moirai/core/alloc.h>
#include <moirai/core/internal/noise.h>

MOIRAI_STATIC_ASSERT(sizeof(struct moirai__segment) == (MOIRAI__SEGMENT_WORDS + 1) * sizeof(void *),
	"a segment is a page on 64-bit machines");

void moirai__injector_init(struct moirai__injector *injector, moirai__next_fn *next)
{
	memset(injector, 0, sizeof(*injector));
	injector->next_ = next;
}

static void producer_free(struct moirai__producer *producer)
{
	if (!producer)
		return;
	struct moirai__segment *segment = producer->head_segment_;
	while (segment) {
		struct moirai__segment *next = segment->next_;
		moirai_free(segment);
		segment = next;
	}
	moirai_free(producer->spare_);
	moirai_free(producer);
}

static struct moirai__producer *producer_new(void)
{
	struct moirai__producer *producer =
		moirai_alloc_aligned(sizeof(*producer), MOIRAI_CACHELINE);
	if (!producer)
		return NULL;
	memset(producer, 0, sizeof(*producer));
	producer->head_segment_ = moirai_alloc(sizeof(struct moirai__segment));
	if (!producer->head_segment_) {
		moirai_free(producer);
		return NULL;
	}
	producer->head_segment_->next_ = NULL;
	producer->tail_segment_ = producer->head_segment_;
	producer->owned_ = true;
	return producer;
}

void moirai__injector_fini(struct moirai__injector *injector)
{
	for (uint32_t i = 0; i < injector->count_; i++)
		producer_free(injector->producer_[i]);
	memset(injector, 0, sizeof(*injector));
}

/* Under the lock: a queue without owner, or the shared one when it exists. */
static struct moirai__producer *producer_reuse(struct moirai__injector *injector)
{
	uint32_t count = moirai_load_relaxed(&injector->count_);
	for (uint32_t i = 0; i < count; i++) {
		struct moirai__producer *producer = injector->producer_[i];
		if (producer->shared_)
			return producer;
		if (!producer->owned_) {
			producer->owned_ = true;
			return producer;
		}
	}
	return NULL;
}

int moirai__injector_join(struct moirai__injector *injector, struct moirai__producer **producer)
{
	moirai__spin_take(&injector->lock_);
	*producer = producer_reuse(injector);
	moirai__spin_drop(&injector->lock_);
	if (*producer)
		return 0;
	struct moirai__producer *fresh = producer_new(); /* not under the lock */
	if (!fresh)
		return -ENOMEM;
	moirai__spin_take(&injector->lock_);
	*producer = producer_reuse(injector);
	if (!*producer) {
		uint32_t count = moirai_load_relaxed(&injector->count_);
		fresh->shared_ = count == MOIRAI__PRODUCERS_OWN;
		injector->producer_[count] = fresh;
		/* release: pairs with the acquire of count_ in take() and any(). */
		moirai_store_release(&injector->count_, count + 1);
		*producer = fresh;
		fresh = NULL;
	}
	moirai__spin_drop(&injector->lock_);
	producer_free(fresh);
	return 0;
}

void moirai__injector_leave(struct moirai__injector *injector, struct moirai__producer *producer)
{
	moirai__spin_take(&injector->lock_); /* hands the producer's plain fields over */
	if (!producer->shared_)
		producer->owned_ = false;
	moirai__spin_drop(&injector->lock_);
}

/* The producer's thread: an empty last segment. */
static int segment_append(struct moirai__producer *producer)
{
	/* acquire: pairs with the release in segment_retire(); its readers are done with it. */
	struct moirai__segment *segment = moirai_exchange_acquire(&producer->spare_, NULL);
	if (!segment)
		segment = moirai_alloc(sizeof(*segment));
	if (!segment)
		return -ENOMEM;
	moirai_store_relaxed(&segment->next_, NULL);
	/* release: pairs with the acquire of next_ in item_next(). */
	moirai_store_release(&producer->tail_segment_->next_, segment);
	producer->tail_segment_ = segment;
	producer->tail_index_ = 0;
	return 0;
}

static int push_one(struct moirai__producer *producer, uintptr_t item)
{
	if (producer->tail_index_ == MOIRAI__SEGMENT_WORDS) {
		int rc = segment_append(producer);
		if (rc < 0)
			return rc;
	}
	MOIRAI_WR(producer->tail_segment_->item_[producer->tail_index_]) = item;
	producer->tail_index_++;
	moirai_store_release(&producer->tail_, moirai_load_relaxed(&producer->tail_) + 1);
	return 0;
}

int moirai__producer_push_slow(struct moirai__producer *producer, uintptr_t item)
{
	if (!producer->shared_)
		return push_one(producer, item);
	moirai__spin_take(&producer->push_lock_);
	int rc = push_one(producer, item);
	moirai__spin_drop(&producer->push_lock_);
	return rc;
}

void moirai__injector_ready(struct moirai__injector *injector, uintptr_t item)
{
	MOIRAI_WR(*injector->next_(item)) = 0;
	moirai__spin_take(&injector->ready_lock_);
	if (injector->ready_tail_)
		MOIRAI_WR(*injector->next_(injector->ready_tail_)) = item;
	else
		injector->ready_head_ = item;
	injector->ready_tail_ = item;
	/* release: pairs with the acquire in any(). */
	moirai_store_release(
		&injector->ready_count_, moirai_load_relaxed(&injector->ready_count_) + 1);
	moirai__spin_drop(&injector->ready_lock_);
}

/* Consumer, under lock_: a used-up segment returns to its producer. */
static void segment_retire(struct moirai__producer *producer, struct moirai__segment *segment)
{
	struct moirai__segment *none = NULL;
	/* release: pairs with the acquire in segment_append(). */
	if (!moirai_cas_release(&producer->spare_, &none, segment))
		moirai_free(segment);
}

/* Consumer, under lock_, with an item there. */
static uintptr_t item_next(struct moirai__producer *producer)
{
	if (producer->head_index_ == MOIRAI__SEGMENT_WORDS) {
		struct moirai__segment *used = producer->head_segment_;
		/* acquire: pairs with the release of next_ in segment_append(). */
		producer->head_segment_ = moirai_load_acquire(&used->next_);
		producer->head_index_ = 0;
		segment_retire(producer, used);
	}
	uintptr_t item = MOIRAI_RD(producer->head_segment_->item_[producer->head_index_]);
	producer->head_index_++;
	return item;
}

static unsigned take_from(struct moirai__producer *producer, uintptr_t *items, unsigned max)
{
	if (moirai_load_relaxed(&producer->tail_) == moirai_load_relaxed(&producer->head_) ||
		!moirai__spin_try(&producer->lock_))
		return 0;
	size_t head = moirai_load_relaxed(&producer->head_);
	/* acquire: pairs with the release of tail_ in push; words and links below it are there. */
	size_t there = moirai_load_acquire(&producer->tail_) - head;
	unsigned taken = there / 2 + 1 < max ? (unsigned)(there / 2 + 1) : max;
	if (taken > there)
		taken = (unsigned)there;
	for (unsigned i = 0; i < taken; i++)
		items[i] = item_next(producer);
	MOIRAI_NOISE();
	/* release: pairs with the acquire of head_ in count(). */
	moirai_store_release(&producer->head_, head + taken);
	moirai__spin_drop(&producer->lock_);
	return taken;
}

static unsigned take_ready(
	struct moirai__injector *injector, uintptr_t *items, unsigned max, unsigned sharers)
{
	if (!moirai_load_relaxed(&injector->ready_count_) ||
		!moirai__spin_try(&injector->ready_lock_))
		return 0;
	size_t there = moirai_load_relaxed(&injector->ready_count_);
	size_t share = there / sharers + 1;
	unsigned taken = 0;
	while (taken < max && taken < share && taken < there) {
		uintptr_t item = injector->ready_head_;
		injector->ready_head_ = MOIRAI_RD(*injector->next_(item));
		items[taken++] = item;
	}
	if (!injector->ready_head_)
		injector->ready_tail_ = 0;
	moirai_store_release(&injector->ready_count_, there - taken);
	moirai__spin_drop(&injector->ready_lock_);
	return taken;
}

unsigned moirai__injector_take(
	struct moirai__injector *injector, uintptr_t *items, unsigned max, unsigned sharers)
{
	if (max > MOIRAI__TAKE_MAX)
		max = MOIRAI__TAKE_MAX;
	if (!sharers)
		sharers = 1;
	/* Relaxed and without a read-modify-write: two consumers with the same turn do no harm. */
	uint32_t turn = moirai_load_relaxed(&injector->turn_);
	/* acquire: pairs with the release in join(); the producers below it are there. */
	uint32_t count = moirai_load_acquire(&injector->count_);
	unsigned taken = turn & 1 ? take_ready(injector, items, max, sharers) : 0;
	for (uint32_t i = 0; i < count && !taken; i++)
		taken = take_from(injector->producer_[(turn / 2 + i) % count], items, max);
	if (!taken && !(turn & 1))
		taken = take_ready(injector, items, max, sharers);
	if (taken)
		moirai_store_relaxed(&injector->turn_, turn + 1);
	return taken;
}

bool moirai__injector_any(const struct moirai__injector *injector)
{
	/* acquire: pairs with the release in injector_ready(). */
	if (moirai_load_acquire(&injector->ready_count_))
		return true;
	uint32_t count = moirai_load_acquire(&injector->count_); /* as in take() */
	for (uint32_t i = 0; i < count; i++) {
		const struct moirai__producer *producer = injector->producer_[i];
		/* acquire: pairs with the release of tail_ in push. */
		if (moirai_load_acquire(&producer->tail_) != moirai_load_relaxed(&producer->head_))
			return true;
	}
	return false;
}

size_t moirai__injector_count(const struct moirai__injector *injector)
{
	size_t sum = moirai_load_relaxed(&injector->ready_count_);
	uint32_t count = moirai_load_acquire(&injector->count_); /* as in take() */
	for (uint32_t i = 0; i < count; i++) {
		const struct moirai__producer *producer = injector->producer_[i];
		/* Head before tail: the difference is never negative. acquire: see take_from(). */
		size_t head = moirai_load_acquire(&producer->head_);
		sum += moirai_load_acquire(&producer->tail_) - head;
	}
	return sum;
}

size_t moirai__injector_accepted(const struct moirai__injector *injector)
{
	size_t sum = 0;
	uint32_t count = moirai_load_acquire(&injector->count_); /* as in take() */
	for (uint32_t i = 0; i < count; i++)
		/* acquire: pairs with the release of tail_; what was accepted is seen. */
		sum += moirai_load_acquire(&injector->producer_[i]->tail_);
	return sum;
}
