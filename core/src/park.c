/* SPDX-License-Identifier: MIT */
/*
 * Park and unpark on one word.
 *
 * States of a node (wait_node.h) and who changes them:
 *
 *   IDLE -> INIT                 the owner, before anybody knows the node
 *   INIT -> QUEUED               the owner, bucket locked, together with the link
 *   INIT -> TIMED_OUT            the timer of a fiber, bucket locked
 *   QUEUED -> SLEEPING           a thread, by CAS, before it enters the futex
 *   QUEUED | SLEEPING -> WOKEN   a waker        \
 *                     -> TIMED_OUT the deadline  > bucket locked, together with the unlink
 *                     -> CANCELLED a canceller  /
 *
 * So the bucket's lock decides who ends a park: whoever holds it and finds the node queued. For
 * fibers all of it is plain stores; the one RMW of a park is the lock, and so is the one of an
 * unpark. A claim word in each waiter instead (as park_any has) was measured at 5 ns more on each
 * side.
 *
 * park, a thread
 *   1. Lock the bucket; *word != expected: unlock, -EAGAIN.
 *   2. QUEUED, link, unlock.
 *   3. CAS QUEUED -> SLEEPING; if it fails the wake-up is there already and neither side makes a
 *      system call. Sleep until the state is WOKEN.
 *   4. At the deadline lock the bucket of node.address: still queued: unlink, -ETIMEDOUT. Else a
 *      waker was first: 0, so that a permit or a hand-off never vanishes.
 *
 * park, a fiber
 *   1. INIT, address; ops->prepare(): successor chosen, timer armed.
 *   2. Lock the bucket. The word differs: refuse. Announce: parked_at = word, light fence. The
 *      task is cancelled or the timer was faster: refuse.
 *   3. QUEUED, link, ops->leave(): THE BUCKET STAYS LOCKED over the switch, and the successor
 *      releases it. Nobody can find the node before the stack is saved: no "parking" state, no
 *      second RMW.
 *   4. Back: ops->resumed() disarms the timer, the state says why.
 *
 * unpark: lock, take up to 16 threads or 64 fibers, unlock, wake them; again while there are more.
 * What is woken was copied before the state changed: a thread's node is a stack frame that may be
 * gone.
 *
 * No lost wake-up. The waker changes the word and then locks the bucket; the waiter looks at the
 * word and links itself in one critical section of the same bucket. If the waiter's section is
 * first, the waker finds the node. If it is second, the lock's edge shows it the new word, and it
 * refuses.
 *
 * Cancel. The flag is set first; heavy fence; then the canceller reads parked_at, locks that
 * bucket and looks again: the same address under its lock means that the fiber is there. If it
 * read an old parked_at, its heavy fence came before the fiber's light one in step 2, and the
 * fiber sees the flag. The node's address and state will not do for that: "address == A" and
 * "state == QUEUED" can come from two different parks, at A and at B, while only A is locked. (The
 * tester found it.)
 *
 * Timer. It works under a lock of the executor that abandon() and resumed() take too: that keeps
 * the park alive while it fires. Order of locks: the executor's, then the bucket's.
 */
#include "park_lot.h"

#include <errno.h>
#include <moirai/core/internal/noise.h>
#include <moirai/core/observer.h>
#include <moirai/core/os.h>

uint32_t park_record_since;

static int validate(
	const uint32_t *word, uint32_t expected, const moirai__park_hooks *hooks, void *arg)
{
	if (hooks)
		return hooks->validate(word, arg);
	/* acquire: pairs with the caller's release that changed the word: it may go on at once. */
	return moirai_load_acquire(word) == expected ? 0 : -EAGAIN;
}

static void enqueue(moirai__bucket *bucket, moirai__wait_node *node, unsigned flags)
{
	/* Relaxed: published by the bucket's lock, as the links are. */
	moirai_store_relaxed(&node->state, MOIRAI__NODE_QUEUED);
	if (flags & MOIRAI__PARK_FRONT)
		park_push_front(bucket, node);
	else
		park_push(bucket, node);
}

/* --- threads --- */

/* At its deadline; 0 when a waker was faster. */
static int thread_give_up(moirai__wait_node *node)
{
	int rc = 0;
	moirai__bucket *bucket = park_lock_node(node);
	if (park_is_queued(moirai_load_relaxed(&node->state))) {
		park_give_up(bucket, node, MOIRAI__NODE_TIMED_OUT);
		rc = -ETIMEDOUT;
	}
	park_bucket_release(bucket);
	return rc;
}

static int thread_wait(moirai__wait_node *node, uint64_t deadline_ns)
{
	uint32_t state = MOIRAI__NODE_QUEUED;
	MOIRAI_NOISE();
	/* acquire, if it fails: pairs with the release in park_take(). */
	if (moirai_cas_acq_rel(&node->state, &state, MOIRAI__NODE_SLEEPING))
		state = MOIRAI__NODE_SLEEPING;
	while (state == MOIRAI__NODE_SLEEPING) {
		int rc = moirai_os_futex_wait(&node->state, MOIRAI__NODE_SLEEPING, deadline_ns);
		if (rc == -ETIMEDOUT && thread_give_up(node) < 0)
			return -ETIMEDOUT;
		/* acquire: pairs with the release in park_take(). */
		state = moirai_load_acquire(&node->state);
	}
	return (int)MOIRAI__NODE_REASON(state);
}

static int park_thread(const uint32_t *word, uint32_t expected, const moirai__park_hooks *hooks,
	void *arg, unsigned flags, uint64_t deadline_ns)
{
	moirai__wait_node node;
	MOIRAI_OBSERVE(MOIRAI_EVENT_PARK, word);
	node.kind = MOIRAI__WAIT_THREAD;
	node.flags = 0;
	node.hooks = hooks;
	node.arg = arg;
	moirai_store_relaxed(&node.address, word);
	moirai__bucket *bucket = park_lock(word);
	int rc = validate(word, expected, hooks, arg);
	if (rc < 0) {
		park_bucket_release(bucket);
		return rc;
	}
	node.since_ns = moirai_now();
	enqueue(bucket, &node, flags);
	park_bucket_release(bucket);
	return thread_wait(&node, deadline_ns);
}

/* --- fibers --- */

static bool fiber_cancelled(moirai__parker *fiber)
{
	return fiber->ops->cancelled(fiber);
}

/* The deadline has passed before it began: validate and undo, in one step, and never leave. */
static int fiber_refuse_late(const uint32_t *word, uint32_t expected,
	const moirai__park_hooks *hooks, void *arg, moirai__parker *fiber)
{
	moirai__bucket *bucket = park_lock(word);
	int rc = validate(word, expected, hooks, arg);
	if (rc == 0) {
		rc = fiber_cancelled(fiber) ? -ECANCELED : -ETIMEDOUT;
		if (hooks && hooks->gave_up)
			hooks->gave_up(bucket, word, arg);
	}
	park_bucket_release(bucket);
	return rc;
}

/* May it wait? The bucket is locked. A "yes" of validate() that does not stand is taken back. */
static int fiber_check(moirai__bucket *bucket, moirai__parker *fiber, uint32_t expected)
{
	moirai__wait_node *node = &fiber->node_;
	const uint32_t *word = moirai_load_relaxed(&node->address);
	int rc = validate(word, expected, node->hooks, node->arg);
	if (MOIRAI_UNLIKELY(rc < 0))
		return rc;
	park_announce(fiber, word);
	if (MOIRAI_UNLIKELY(fiber_cancelled(fiber)))
		rc = -ECANCELED;
	else if (MOIRAI_UNLIKELY(moirai_load_relaxed(&node->state) == MOIRAI__NODE_TIMED_OUT))
		rc = -ETIMEDOUT;
	if (MOIRAI_LIKELY(rc == 0))
		return 0;
	park_set_parked_at(fiber, NULL);
	if (node->hooks && node->hooks->gave_up)
		node->hooks->gave_up(bucket, word, node->arg);
	return rc;
}

static int fiber_result(const moirai__wait_node *node)
{
	/* Relaxed: the run queue handed the fiber over after the state was stored. */
	uint32_t state = moirai_load_relaxed(&node->state);
	if (MOIRAI_LIKELY(MOIRAI__NODE_STATE(state) == MOIRAI__NODE_WOKEN))
		return (int)MOIRAI__NODE_REASON(state);
	MOIRAI_ASSERT(state == MOIRAI__NODE_TIMED_OUT || state == MOIRAI__NODE_CANCELLED);
	return state == MOIRAI__NODE_TIMED_OUT ? -ETIMEDOUT : -ECANCELED;
}

static void fiber_node_init(
	moirai__parker *fiber, const uint32_t *word, const moirai__park_hooks *hooks, void *arg)
{
	moirai__wait_node *node = &fiber->node_;
	/* Relaxed: others look at it under a bucket's lock, and act on QUEUED only. */
	moirai_store_relaxed(&node->state, MOIRAI__NODE_INIT);
	node->kind = MOIRAI__WAIT_FIBER;
	node->flags = 0;
	node->fiber = fiber;
	node->hooks = hooks;
	node->arg = arg;
	moirai_store_relaxed(&node->address, word);
}

static int park_fiber(moirai__context *context, const uint32_t *word, uint32_t expected,
	const moirai__park_hooks *hooks, void *arg, unsigned flags, uint64_t deadline_ns)
{
	moirai__parker *fiber = context->fiber;
	const moirai__context_ops *ops = context->ops;
	moirai__wait_node *node = &fiber->node_;
	if (deadline_ns != MOIRAI_NEVER && deadline_ns <= moirai_now())
		return fiber_refuse_late(word, expected, hooks, arg, fiber);
	MOIRAI_OBSERVE(MOIRAI_EVENT_PARK, word);
	fiber_node_init(fiber, word, hooks, arg);
	int rc = ops->prepare(context, node, deadline_ns);
	if (MOIRAI_UNLIKELY(rc < 0))
		return rc;
	MOIRAI_NOISE();
	moirai__bucket *bucket = park_lock(word);
	rc = fiber_check(bucket, fiber, expected);
	if (rc < 0) {
		park_bucket_release(bucket);
		ops->abandon(context, node);
		return rc;
	}
	node->since_ns = park_since();
	enqueue(bucket, node, flags);
	MOIRAI_NOISE(); /* Nobody may find the node yet, however long this takes. */
	ops->leave(context, node, (moirai__park_ticket)bucket);
	if (MOIRAI_UNLIKELY(deadline_ns != MOIRAI_NEVER))
		ops->resumed(node);
	return fiber_result(node);
}

static int park_on(const uint32_t *word, uint32_t expected, const moirai__park_hooks *hooks,
	void *arg, unsigned flags, uint64_t deadline_ns)
{
	moirai__context *context = moirai__context_current();
	if (context && context->fiber)
		return park_fiber(context, word, expected, hooks, arg, flags, deadline_ns);
	return park_thread(word, expected, hooks, arg, flags, deadline_ns);
}

int moirai_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
	if (MOIRAI_UNLIKELY(!word))
		return -EINVAL;
	/* acquire: as in validate(); a look before anything is prepared for. */
	if (moirai_load_acquire(word) != expected)
		return -EAGAIN;
	int rc = park_on(word, expected, NULL, NULL, 0, deadline_ns);
	return rc > 0 ? 0 : rc;
}

int moirai__park_queued(const uint32_t *word, const moirai__park_hooks *hooks, void *arg,
	unsigned flags, uint64_t deadline_ns)
{
	MOIRAI_ASSERT(word && hooks && hooks->validate);
	return park_on(word, 0, hooks, arg, flags, deadline_ns);
}

void moirai__park_left(moirai__park_ticket ticket)
{
	if (MOIRAI_LIKELY(!(ticket & PARK_TICKET_ANY)))
		park_bucket_release((moirai__bucket *)ticket);
	else
		park_any_left((moirai__parker *)(ticket & ~PARK_TICKET_ANY));
}

/* --- wakers --- */

unsigned moirai_unpark(const uint32_t *word, unsigned count)
{
	unsigned woken = 0;
	bool more = count != 0;
	while (more) {
		moirai__wakes wakes;
		moirai__wait_node *node = NULL;
		moirai__wakes_init(&wakes);
		moirai__bucket *bucket = park_lock(word);
		while (woken < count && !moirai__wakes_full(&wakes) &&
			(node = park_group(bucket, word)))
			woken += park_take(bucket, node, 0, &wakes);
		more = woken < count && node;
		park_bucket_release(bucket);
		MOIRAI_NOISE();
		park_fire(&wakes);
	}
	if (woken)
		MOIRAI_OBSERVE(MOIRAI_EVENT_UNPARK, word);
	return woken;
}

/* Moves up to `count` waiters that stand behind the first `skip`; both buckets are locked. */
static void move_behind(moirai__bucket *from, const uint32_t *word, unsigned skip,
	moirai__bucket *to, const uint32_t *target, unsigned count)
{
	moirai__wait_node *node = park_group(from, word), *next;
	for (; node && skip; skip--)
		node = MOIRAI_RD(node->next);
	for (; node && count; node = next, count--) {
		next = MOIRAI_RD(node->next);
		moirai__node_move(from, node, to, target);
	}
}

int moirai_unpark_requeue(
	const uint32_t *from, uint32_t expected, unsigned wake, const uint32_t *to, unsigned move)
{
	moirai__wakes wakes;
	moirai__wait_node *node = NULL;
	moirai__bucket *source, *target;
	unsigned woken = 0;
	if (!from || !to)
		return -EINVAL;
	moirai__wakes_init(&wakes);
	moirai__bucket_lock_pair(from, to, &source, &target);
	/* acquire: as in validate(). */
	if (moirai_load_acquire(from) != expected) {
		moirai__bucket_unlock_pair(source, target);
		return -EAGAIN;
	}
	while (woken < wake && !moirai__wakes_full(&wakes) && (node = park_group(source, from)))
		woken += park_take(source, node, 0, &wakes);
	if (from != to)
		move_behind(source, from, wake - woken, target, to, move);
	moirai__bucket_unlock_pair(source, target);
	park_fire(&wakes);
	/* Those that did not fit into one hold stand in front of whoever came after it. */
	if (node && woken < wake)
		woken += moirai_unpark(from, wake - woken);
	return (int)woken;
}

void moirai__park_timestamps(bool on)
{
	moirai_store_relaxed(&park_record_since, on ? 1u : 0u);
}
