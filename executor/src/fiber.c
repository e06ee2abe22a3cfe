/* SPDX-License-Identifier: MIT */
/*
 * How a task leaves its worker and comes back. Design note.
 *
 * What: the operations that park (core) calls for a caller that runs on a fiber, and the
 * post-action. executor/DESIGN.md tells the protocol; here is why each step stands where it does.
 *
 *   1. prepare: everything that may fail, block or allocate, before a bucket is locked: arm the
 *      deadline, choose the successor, take a stack for it if it is no fiber itself.
 *   2. leave: nothing but the switch. The ticket, mostly the lock of the bucket in which our node
 *      already stands, is the worker's post-action; the successor hands it back when our stack is
 *      saved. Until then nobody can find the node, so nobody can resume a running stack.
 *   3. resumed: perhaps on another worker. Disarm the deadline; that waits out a firing.
 *   4. ready: by whoever took the node out of its queue. From there on the fiber is an item.
 *
 * Invariant: a fiber is in exactly one place: current of one worker, the node of one bucket (or on
 * its way from there to a queue in the hands of one waker), one queue, or free in one stack cache.
 *
 * The worker is read again from the fiber after every switch (worker_of), never kept.
 *
 * A foreign waker counts itself as a visitor before the fiber becomes visible and takes the count
 * back as its last access to the pool: the fiber may end, the pool be drained and destroyed while
 * the waker is still on its way out. Destroy waits for visitors. Before the fiber is visible the
 * pool cannot go, because the fiber's task has not finished.
 *
 * Cost: park + unpark between two tasks about 20 ns each way; a fresh stack costs 5 ns more.
 */
#include "private.h"

/* A waiter that can get no stack or no timer goes on as if woken for no reason; it checks again. */
static int unable(uint64_t deadline_ns)
{
	moirai_os_yield();
	return deadline_ns != MOIRAI_NEVER && moirai_now() >= deadline_ns ? -ETIMEDOUT : -EAGAIN;
}

static struct fiber *fire_park(struct deadline *deadline)
{
	struct fiber *fiber = MOIRAI_CONTAINER_OF(deadline, struct fiber, deadline);
	return moirai__park_timeout(&fiber->park.node_) ? fiber : NULL;
}

/* More stacks than ever before: more waiters may stand in the parking lot at once. */
static MOIRAI_COLD void reserve_buckets(struct pool *pool, uint32_t index)
{
	uint32_t wanted = 2 * index;
	if (moirai_park_reserve(wanted) == 0) /* without memory it only gets slower */
		moirai_store_relaxed(&pool->waiters_reserved, wanted);
}

struct fiber *fiber_fresh(struct worker *worker)
{
	struct pool *pool = worker->pool;
	struct moirai__fiber *base =
		moirai__stack_get(&pool->stacks, &worker->stacks, pool->stack_class);
	if (MOIRAI_UNLIKELY(base == NULL))
		return NULL;
	struct fiber *fiber = MOIRAI_CONTAINER_OF(base, struct fiber, base);
	/* relaxed: two that notice at once both reserve, which does no harm. */
	if (MOIRAI_UNLIKELY(base->index >= moirai_load_relaxed(&pool->waiters_reserved)))
		reserve_buckets(pool, base->index);
	fiber->park.ops = &fiber_context_ops;
	fiber->pool = pool;
	fiber->task = NULL;
	fiber->outer = NULL;
	fiber->mask = 0;
	fiber->pinned = false;
	moirai__fiber_prepare(base, loop_main, fiber);
	return fiber;
}

static void return_stack(struct worker *worker, struct fiber *fiber)
{
	moirai__stack_put(&worker->pool->stacks, &worker->stacks, &fiber->base);
}

static int context_prepare(
	struct moirai__context *context, struct moirai__wait_node *node, uint64_t deadline_ns)
{
	struct worker *worker = MOIRAI_CONTAINER_OF(context, struct worker, context);
	struct fiber *fiber = worker->current;
	(void)node;
	/* Park has looked at the clock just before, and asks cancelled() when it has its bucket. */
	if (deadline_ns != MOIRAI_NEVER) {
		fiber->deadline.fire = fire_park;
		int rc = timers_arm(worker->pool, &worker->timers, &fiber->deadline, deadline_ns);
		if (MOIRAI_UNLIKELY(rc < 0))
			return unable(deadline_ns);
	}
	uintptr_t item = loop_pick(worker);
	if (MOIRAI_LIKELY(item_is_fiber(item))) {
		worker->successor = item_fiber(item);
		worker->successor_fresh = false;
		return 0;
	}
	struct fiber *fresh = fiber_fresh(worker);
	if (MOIRAI_UNLIKELY(fresh == NULL)) {
		if (item)
			loop_put_back(worker, item);
		if (deadline_ns != MOIRAI_NEVER)
			timers_disarm(&fiber->deadline);
		return unable(deadline_ns);
	}
	worker->successor = fresh;
	worker->successor_fresh = true;
	worker->handed = item;
	return 0;
}

static void context_abandon(struct moirai__context *context, struct moirai__wait_node *node)
{
	struct worker *worker = MOIRAI_CONTAINER_OF(context, struct worker, context);
	(void)node;
	uintptr_t item = worker->successor_fresh ? worker->handed : fiber_item(worker->successor);
	if (worker->successor_fresh)
		return_stack(worker, worker->successor);
	worker->handed = 0;
	if (item)
		loop_put_back(worker, item);
	if (worker->current->deadline.home != NULL)
		timers_disarm(&worker->current->deadline);
}

static void context_leave(
	struct moirai__context *context, struct moirai__wait_node *node, moirai__park_ticket ticket)
{
	struct worker *worker = MOIRAI_CONTAINER_OF(context, struct worker, context);
	struct fiber *fiber = worker->current;
	(void)node;
	moirai__count(&worker->parks, 1);
	moirai_store_relaxed(&fiber->parked, true); /* relaxed: a hint for status */
	worker->post = POST_LEFT;
	worker->post_arg = ticket;
	MOIRAI_NOISE();
	fiber_switch(worker, fiber, worker->successor);
	moirai_store_relaxed(&fiber->parked, false);
}

static void context_resumed(struct moirai__wait_node *node)
{
	timers_disarm(&MOIRAI_CONTAINER_OF(node, struct fiber, park.node_)->deadline);
}

bool fiber_cancelled(moirai__parker *parker)
{
	struct fiber *fiber = MOIRAI_CONTAINER_OF(parker, struct fiber, park);
	if (MOIRAI_UNLIKELY(fiber->mask != 0))
		return false;
	/* acquire: pairs with the release of phase in shutdown; relaxed would do, the bucket orders. */
	if (MOIRAI_UNLIKELY(moirai_load_acquire(&fiber->pool->phase) >= POOL_CANCELLING))
		return true;
	struct moirai_task *task = fiber->task;
	for (struct frame *outer = fiber->outer; task != NULL; outer = outer->outer) {
		/* acquire: pairs with the RMW in task_cancel(); what the canceller did before is seen. */
		if (moirai_load_acquire(&task->state) & TASK_CANCEL)
			return true;
		if (outer == NULL || outer->mask != 0)
			return false;
		task = outer->task;
	}
	return false;
}

/* --- ready --- */

/* Pushes a pinned fiber to its worker's mailbox. Any thread. */
static void mail_push(struct worker *home, struct fiber *fiber)
{
	struct fiber *head = moirai_load_relaxed(&home->mailbox);
	do {
		fiber->base.next = (uintptr_t)head;
		/* release: pairs with the acquire exchange in fiber_mail(); publishes the fiber. */
	} while (!moirai_cas_weak_release(&home->mailbox, &head, fiber));
}

/* The same from outside: its worker may sleep. */
static void mail(struct fiber *fiber)
{
	struct pool *pool = fiber->pool;
	mail_push(fiber->home, fiber);
	/*
	 * Pairs with the fence in moirai__idle_sleep(): its rescan sees the mail, or we see it listed.
	 * Whoever sleeps gets up; only `home` finds something, the others go to sleep again.
	 */
	moirai_fence_seq_cst();
	moirai__idle_wake_all(&pool->idle);
	(void)moirai__idle_poke(&pool->idle);
}

uintptr_t fiber_mail(struct worker *worker)
{
	if (MOIRAI_LIKELY(worker->mail == NULL)) {
		if (MOIRAI_LIKELY(moirai_load_relaxed(&worker->mailbox) == NULL))
			return 0;
		/* acquire: pairs with the release in mail_push(). The youngest comes first: turn it round. */
		struct fiber *list = moirai_exchange_acquire(&worker->mailbox, NULL);
		for (struct fiber *next; list != NULL; list = next) {
			next = (struct fiber *)list->base.next;
			fiber_mail_back(worker, list);
		}
	}
	struct fiber *first = worker->mail;
	worker->mail = (struct fiber *)first->base.next;
	return fiber_item(first);
}

void fiber_mail_back(struct worker *worker, struct fiber *fiber)
{
	fiber->base.next = (uintptr_t)worker->mail;
	worker->mail = fiber;
}

void fiber_ready(moirai__parker *parker)
{
	struct fiber *fiber = MOIRAI_CONTAINER_OF(parker, struct fiber, park);
	struct pool *pool = fiber->pool;
	struct worker *worker = worker_self();
	if (MOIRAI_LIKELY(worker != NULL && worker->pool == pool && !fiber->pinned)) {
		loop_queue(worker, fiber_item(fiber));
		moirai__idle_notify(&pool->idle);
		return;
	}
	/* relaxed: the fiber's own publication below orders it; the pool lives until then. */
	moirai_fetch_add_acquire(&pool->visitors, 1u);
	if (fiber->pinned) {
		mail(fiber);
	} else {
		moirai__injector_ready(&pool->injector, fiber_item(fiber));
		moirai__idle_notify(&pool->idle);
		(void)moirai__idle_poke(&pool->idle);
	}
	MOIRAI_NOISE();
	/* release: the last access; pairs with the acquire in destroy, which frees afterwards. */
	moirai_fetch_sub_release(&pool->visitors, 1u);
}

/* --- post-actions that are not hot --- */

MOIRAI_NOINLINE void fiber_post_slow(struct worker *worker, enum post post, uintptr_t arg)
{
	struct fiber *fiber = (struct fiber *)arg;
	switch (post) {
	case POST_YIELD: {
		int rc = moirai__yield_queue_push(&worker->queues.yielded_, fiber_item(fiber));
		MOIRAI_ASSERT(rc == 0); /* room was reserved before the switch */
		moirai__idle_notify(&worker->pool->idle);
		break;
	}
	case POST_HOME:
		mail_push(worker, fiber); /* our own: we are awake */
		break;
	default:
		break;
	}
}

static int context_describe(struct moirai__context *context, struct moirai_ctx *ctx)
{
	struct worker *worker = MOIRAI_CONTAINER_OF(context, struct worker, context);
	struct moirai_task *task = worker->current != NULL ? worker->current->task : NULL;
	if (task == NULL)
		return -ENOENT;
	struct side *side = task->flags & TASK_SIDE ? task->side : NULL;
	*ctx = (struct moirai_ctx){
		.id = task_id(task),
		.parent = side ? side->parent : 0,
		.executor = &worker->pool->base,
		.cancel = side ? side->cancel : NULL,
		.user = side ? side->user : NULL,
		.cost_ns = side ? side->cost_ns : 0,
		.deadline_ns = side ? side->deadline_ns : MOIRAI_NEVER,
		.trace_id = side ? side->trace_id : 0,
		.priority = MOIRAI_PRIORITY_CRITICAL - task->level,
		.worker = (int32_t)worker->index,
	};
	if (side)
		moirai_task_name_copy(ctx->name, side->name);
	return 0;
}

const moirai__context_ops fiber_context_ops = {
	.prepare = context_prepare,
	.abandon = context_abandon,
	.leave = context_leave,
	.resumed = context_resumed,
	.ready = fiber_ready,
	.cancelled = fiber_cancelled,
	.describe = context_describe,
};
