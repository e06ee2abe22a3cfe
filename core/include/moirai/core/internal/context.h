/* SPDX-License-Identifier: MIT */
/*
 * Unstable. What park needs to know of whoever calls it: a plain thread has no context; a worker
 * of an executor has one, and the fiber that it runs right now is in it.
 *
 * The one rule: a fiber never makes itself visible; its successor does. `leave` therefore gets the
 * lock of the bucket in which the fiber's node already stands, and whoever runs next on this worker
 * releases it (moirai__bucket_unlock), when the fiber's stack is saved.
 */
#ifndef MOIRAI_CORE_INTERNAL_CONTEXT_H
#define MOIRAI_CORE_INTERNAL_CONTEXT_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

struct moirai__context;
struct moirai__fiber;     /* the executor's; opaque here; its memory is type-stable */
struct moirai__wait_node; /* <moirai/core/internal/park.h> */
struct moirai__bucket;

typedef struct moirai__context_ops {
	/*
	 * 1. Before the bucket is locked: everything that may block or allocate. Chooses the successor,
	 * takes a stack for it, arms the timer when deadline_ns is not MOIRAI_NEVER. 0, or -ECANCELED
	 * when the task is cancelled or the executor shuts down, or -EAGAIN to make park try again.
	 */
	int (*prepare)(struct moirai__context *context, struct moirai__wait_node *node,
		uint64_t deadline_ns);
	/* 2a. Park refuses after all (nothing was queued; the bucket is unlocked): undo 1. */
	void (*abandon)(struct moirai__context *context, struct moirai__wait_node *node);
	/*
	 * 2b. Switch away with the bucket locked; the successor unlocks it. Returns when somebody has
	 * called ready() for the fiber and a worker, perhaps another, has picked it up.
	 */
	void (*leave)(struct moirai__context *context, struct moirai__wait_node *node,
		struct moirai__bucket *bucket);
	/* 3. After 2b, in the fiber: disarm the timer (waits out a firing in progress). */
	void (*resumed)(struct moirai__wait_node *node);
	/* Any thread, no lock held: put the fiber into a run queue. The fiber was left before. */
	void (*ready)(struct moirai__fiber *fiber);
	/* Is the fiber's task cancelled (and not masked)? Read with acquire by park's last check. */
	bool (*cancelled)(struct moirai__fiber *fiber);
} moirai__context_ops;

/* One per worker thread, inside the executor's worker. */
typedef struct moirai__context {
	const moirai__context_ops *ops;
	struct moirai__fiber *fiber; /* the fiber that runs on this worker now */
} moirai__context;

/**
 * The calling thread's context, NULL on a plain thread. A call, never inlined: a task may resume on
 * another thread, and compilers cache the addresses of thread-locals. Never keep the result over
 * anything that may park.
 */
MOIRAI_API moirai__context *moirai__context_current(void);

/** Sets the calling thread's context: a worker when it starts and when it ends (NULL). */
MOIRAI_API void moirai__context_set(moirai__context *context);

MOIRAI_END_DECLS

#endif
