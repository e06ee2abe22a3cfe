/* SPDX-License-Identifier: MIT */
/*
 * Unstable. The parking lot from inside, for the primitives that decide and release under the lock
 * of a bucket: a plain futex pair would cost them an RMW after the release, or a lost bit.
 *
 * Rules: a bucket's lock is short; nobody parks, allocates, unparks or calls back under it. Two
 * buckets are locked by moirai__bucket_lock_pair() only. After moirai__node_take() the node belongs
 * to the past: it may be a stack frame that is gone.
 */
#ifndef MOIRAI_CORE_INTERNAL_PARK_H
#define MOIRAI_CORE_INTERNAL_PARK_H

#include <moirai/core/base.h>
#include <moirai/core/park.h>
#include <moirai/core/internal/context.h>

MOIRAI_BEGIN_DECLS

/* A line each. All-zero is empty and unlocked. */
typedef struct MOIRAI_ALIGNED(MOIRAI_CACHELINE) moirai__bucket {
	uint32_t lock_;     /* atomic: 0 free, 1 held */
	uint32_t sleepers_; /* atomic: threads that wait for the lock in the system */
	struct moirai__wait_node *head_; /* the groups */
	/* For primitives; under the lock. */
	uint64_t fair_at_ns; /* when a lock of this bucket is next handed over instead of released */
	uint32_t random;
} moirai__bucket;

/** Locks the bucket of an address, which is a name: it is not read. Any thread or task. */
MOIRAI_API moirai__bucket *moirai__bucket_lock(const void *address);

/** Locks the buckets of two addresses; *first and *second may come out the same. */
MOIRAI_API void moirai__bucket_lock_pair(
	const void *a, const void *b, moirai__bucket **first, moirai__bucket **second);

/** Releases a bucket; another thread than the one that locked it may do so. */
MOIRAI_API void moirai__bucket_unlock(moirai__bucket *bucket);

/** Releases what moirai__bucket_lock_pair() locked. */
MOIRAI_API void moirai__bucket_unlock_pair(moirai__bucket *first, moirai__bucket *second);

/** The longest waiter of the address, NULL for none. The bucket is the address's, and locked. */
MOIRAI_API moirai__wait_node *moirai__bucket_first(moirai__bucket *bucket, const void *address);

/* The wake-ups that are due when the bucket is released. */
#define MOIRAI__WAKES_MAX 16 /* threads and callbacks in one lock hold: 256 bytes of stack */
#define MOIRAI__WAKES_FIBERS_MAX 64 /* bounds how long a bucket stays locked */
typedef struct moirai__wakes {
	unsigned count_;        /* of entries_ */
	unsigned fiber_count_;
	moirai__parker *fibers_; /* linked by ready_next_ */
	moirai__parker *last_;
	struct {
		void (*wake)(void *arg); /* NULL: arg is the futex of a thread */
		void *arg;
	} entries_[MOIRAI__WAKES_MAX];
} moirai__wakes;

static inline void moirai__wakes_init(moirai__wakes *wakes)
{
	wakes->count_ = wakes->fiber_count_ = 0;
	wakes->fibers_ = wakes->last_ = NULL;
}

/** No room for one more: release the bucket, fire, and start again. */
static inline bool moirai__wakes_full(const moirai__wakes *wakes)
{
	return wakes->count_ == MOIRAI__WAKES_MAX || wakes->fiber_count_ == MOIRAI__WAKES_FIBERS_MAX;
}

/**
 * Takes a node out of its queue and claims its waiter; `reason` (at most MOIRAI__NODE_REASON_MAX) is
 * what its park_queued() returns. true: one waiter will wake up, by `wakes`. false: it is the node of
 * a park_any that somebody has chosen already; it is gone from the queue, no wake-up was spent: go
 * on with the next. Everything that the waiter is to see must have been stored before.
 */
MOIRAI_API bool moirai__node_take(
	moirai__bucket *bucket, moirai__wait_node *node, uint32_t reason, moirai__wakes *wakes);

/** Moves a queued node to the end of the queue of another address; both buckets are locked. */
MOIRAI_API void moirai__node_move(moirai__bucket *from, moirai__wait_node *node, moirai__bucket *to,
	const uint32_t *address);

/** Releases the bucket, then wakes. */
MOIRAI_API void moirai__bucket_unlock_fire(moirai__bucket *bucket, moirai__wakes *wakes);

/** Wakes; no bucket is locked. */
MOIRAI_API void moirai__wakes_fire(moirai__wakes *wakes);

/* What a primitive has to say when one of its waiters comes and goes. Called with the bucket locked. */
typedef struct moirai__park_hooks {
	/*
	 * May it wait? 0, or a negative errno that moirai__park_queued() returns. Whatever it stores
	 * (a "somebody waits" bit) becomes true together with the node. Called once per park.
	 */
	int (*validate)(const uint32_t *word, void *arg);
	/*
	 * validate() said 0, but the waiter gave up (deadline, cancel) and nobody has woken it. `node` is
	 * out of the queue; address is where it stood, after requeues. Undo what validate() stored if
	 * moirai__bucket_first() says that nobody is left. On any thread. May be NULL.
	 */
	void (*gave_up)(moirai__bucket *bucket, const uint32_t *address, void *arg);
} moirai__park_hooks;

#define MOIRAI__PARK_FRONT 1u /* queue in front: a woken waiter that lost the race */

/**
 * Waits on a word, by a primitive's own rules. Returns the waker's reason (>= 0), what validate()
 * said, -ETIMEDOUT or -ECANCELED. hooks and arg stay valid until it returns. A deadline that has
 * passed already still runs validate() and gave_up().
 */
MOIRAI_API int moirai__park_queued(const uint32_t *word, const moirai__park_hooks *hooks, void *arg,
	unsigned flags, uint64_t deadline_ns);

/* --- looking in from outside --- */

typedef struct moirai__park_waiter {
	const uint32_t *address;
	moirai__wait_kind kind;
	moirai__parker *fiber; /* NULL unless kind is MOIRAI__WAIT_FIBER */
	bool any;             /* one word of several */
	uint64_t since_ns;    /* 0: not recorded */
} moirai__park_waiter;

/**
 * Calls visit() for every queued node, bucket by bucket, with the bucket locked: look and copy, do
 * not wait. Not a snapshot: who moves meanwhile may be seen twice or not at all. For reports.
 */
MOIRAI_API void moirai__park_visit(void (*visit)(const moirai__park_waiter *, void *), void *arg);

/** Records since when fibers and wakers wait, too (a clock read each). Off by default. */
MOIRAI_API void moirai__park_timestamps(bool on);

/** How many buckets there are now. */
MOIRAI_API size_t moirai__park_buckets(void);

/**
 * In the child of a fork, before it uses the library: forgets all waiters, who live in the parent
 * only, and frees every bucket. The calling thread is the only one.
 */
MOIRAI_API void moirai__park_reset_after_fork(void);

MOIRAI_END_DECLS

#endif
