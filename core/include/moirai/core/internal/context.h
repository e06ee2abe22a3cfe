/* SPDX-License-Identifier: MIT */
/*
 * Unstable. What park needs to know of whoever calls it: a plain thread has no context; a worker
 * of an executor has one, and the fiber that it runs right now is in it.
 *
 * The one rule: a fiber never makes itself visible; its successor does. `leave` therefore gets a
 * ticket, and whoever runs next on this worker hands it back by moirai__park_left(), once the
 * fiber's stack is saved. Most tickets are the lock of the bucket in which the fiber's node already
 * stands: nothing between `prepare` and moirai__park_left() may block, allocate or park.
 */
#ifndef MOIRAI_CORE_INTERNAL_CONTEXT_H
#define MOIRAI_CORE_INTERNAL_CONTEXT_H

#include <moirai/core/base.h>
#include <moirai/core/internal/wait_node.h>

MOIRAI_BEGIN_DECLS

struct moirai__context;
struct moirai_ctx; /* <moirai/core/task.h> */

/* What a fiber that leaves owes to park. Opaque; copied as it is. */
typedef uintptr_t moirai__park_ticket;

typedef struct moirai__context_ops {
	/*
	 * 1. Before a bucket is locked: everything that may block or allocate. Chooses the successor,
	 * takes a stack for it, arms the timer when deadline_ns is not MOIRAI_NEVER: it is to call
	 * moirai__park_timeout(node), and may do so at once. 0, or a negative errno that park returns
	 * as it is: -ECANCELED, -ENOMEM, or -EAGAIN for "not now": the caller of park looks at its word
	 * again. The fiber stays on this worker.
	 */
	int (*prepare)(struct moirai__context *context, struct moirai__wait_node *node,
		uint64_t deadline_ns);
	/* 2a. Park refuses after all (no bucket is locked): undo 1, wait out a timer that fires. */
	void (*abandon)(struct moirai__context *context, struct moirai__wait_node *node);
	/*
	 * 2b. Switch away; the successor calls moirai__park_left(ticket) before anything else. Returns
	 * when somebody has called ready() for the fiber and a worker, perhaps another, has picked it up.
	 */
	void (*leave)(struct moirai__context *context, struct moirai__wait_node *node,
		moirai__park_ticket ticket);
	/* 3. After 2b, in the fiber, if there was a deadline: disarm the timer (waits out its firing). */
	void (*resumed)(struct moirai__wait_node *node);
	/*
	 * Any thread, no lock of park held: put the fiber into a run queue. Exactly once per `leave`,
	 * and never before its ticket is handed back. Must not park.
	 */
	void (*ready)(struct moirai__parker *fiber);
	/*
	 * Must a park of this fiber's present task end with -ECANCELED (cancelled and not masked, or
	 * the executor shuts down)? Called with a bucket locked, by the fiber itself or by a canceller
	 * while the fiber is parked: loads only.
	 */
	bool (*cancelled)(struct moirai__parker *fiber);
	/*
	 * Fills every field of *ctx for the task that runs on this context now. 0, or -ENOENT when none
	 * does. Called on the context's own thread; may not park. NULL: not supported.
	 */
	int (*describe)(struct moirai__context *context, struct moirai_ctx *ctx);
} moirai__context_ops;

/*
 * Park's share of a fiber. The executor embeds it in its own fiber (MOIRAI_CONTAINER_OF leads back),
 * in memory that stays a fiber for ever (type-stable): a late canceller may look at it at any time.
 * Zeroed is valid; `ops` is set before the fiber first parks.
 */
typedef struct moirai__parker {
	const moirai__context_ops *ops;
	struct moirai__parker *ready_next_; /* links those that one unpark wakes */
	const uint32_t *parked_at_;         /* atomic: where node_ is queued, NULL: nowhere */
	moirai__claim claim_;              /* of its park_any */
	moirai__wait_node node_;           /* of its park, or of the first case of its park_any */
} moirai__parker;

/* One per worker thread, inside the executor's worker. */
typedef struct moirai__context {
	const moirai__context_ops *ops;
	moirai__parker *fiber; /* the fiber that runs on this worker now; NULL: park blocks the thread */
	int32_t worker;       /* its index in the executor: for observers and logs */
	int32_t reserved_;
} moirai__context;

/**
 * The calling thread's context, NULL on a plain thread. A call, never inlined: a task may resume on
 * another thread, and compilers cache the addresses of thread-locals. Never keep the result over
 * anything that may park.
 */
MOIRAI_API moirai__context *moirai__context_current(void);

/** Sets the calling thread's context: a worker when it starts and when it ends (NULL). */
MOIRAI_API void moirai__context_set(moirai__context *context);

/**
 * Called by the successor of a fiber that left, first of all, when the fiber's stack is saved.
 * Releases the bucket (or publishes the park_any, and makes the fiber ready at once if it has been
 * claimed meanwhile). From here on the fiber may run elsewhere.
 */
MOIRAI_API void moirai__park_left(moirai__park_ticket ticket);

/**
 * The deadline of the park that `prepare` announced has passed. true: the fiber was taken out of its
 * queue and the CALLER has to make it ready (after its own locks, if it likes); false: somebody else
 * was faster, or the park has not begun and will be refused. Between prepare and the end of abandon or
 * resumed only: the caller holds the lock under which those disarm the timer. Order: that lock,
 * then a bucket's.
 */
MOIRAI_API bool moirai__park_timeout(struct moirai__wait_node *node);

/**
 * Ends the park of one fiber with -ECANCELED, if it is parked and ops->cancelled() says so; set that
 * sticky flag first. A park that begins at the same moment sees the flag and refuses. Returns 1 when
 * the fiber was parked and has been made ready, else 0. Any thread; costs a heavy fence.
 */
MOIRAI_API int moirai__park_cancel(moirai__parker *fiber);

/**
 * Ends the parks of all fibers for which match() is true (called with a bucket locked: loads only);
 * ops->cancelled() must be true for them already, so that nobody parks behind the sweep. Returns how
 * many were made ready. Visits every bucket: for shutdown.
 */
MOIRAI_API size_t moirai__park_cancel_all(bool (*match)(moirai__parker *fiber, void *arg), void *arg);

MOIRAI_END_DECLS

#endif
