/* SPDX-License-Identifier: MIT */
/*
 * The worker's loop. Design note.
 *
 * The loop runs on a fiber's stack. A task is called from it as a function: no stack, no switch. If
 * the task parks, this frame stays behind with it, and the worker goes on in another loop on another
 * stack; when the task comes back, perhaps on another worker, this frame goes on where it stood and
 * becomes that worker's loop. So a loop frame belongs to a stack, not to a worker: the worker is
 * read again in each turn.
 *
 * A loop whose next item is a fiber has no use for its own stack any more: the successor frees it.
 *
 * Order of work: moirai__queues_pick() (most urgent deque, youngest first; then the yield queue;
 * every 64th time timers, mail, injector and old ends first), then moirai__search_run().
 */
#include "private.h"

/* Stacks are touched top down; the first two lines hold what a resuming task needs. */
static MOIRAI_ALWAYS_INLINE void start(
	struct worker *worker, struct fiber *fiber, struct moirai_task *task)
{
	uint32_t state =
		moirai_load_relaxed(&task->state); /* relaxed: cancel looks again, see task.c */
	if (MOIRAI_UNLIKELY(state & TASK_CANCEL ||
			    moirai_load_relaxed(&worker->pool->phase) >= POOL_CANCELLING)) {
		if (task == &foreign_fork_trap)
			moirai_panic(__FILE__, __LINE__, "a task returned in the child of a fork");
		moirai__count(&worker->cancelled, 1);
		task_finish(worker, task, TASK_NEVER_RAN);
		return;
	}
	moirai_task_fn fn = task->fn;
	void *arg = task->arg;
	task->result = NULL;
	MOIRAI_WR(task->cell.link) = (uintptr_t)fiber;
	/* release: pairs with the acquire in task_cancel(), which follows the link. */
	moirai_store_release(&task->phase, (uint8_t)PHASE_RUNNING);
	fiber->task = task;
	fiber->level = task->level;
	if (MOIRAI_UNLIKELY(task->flags & TASK_PIN)) {
		fiber->pinned = true;
		fiber->home = worker;
	}
	MOIRAI_OBSERVE(MOIRAI_EVENT_START, task);
	fn(arg);
	fiber->task = NULL;
	fiber->pinned = false;
	fiber->mask = 0;
	task_finish(worker_of(fiber), task, 0);
}

/* The loop's stack is of no use any more: on to a fiber that is ready. */
static MOIRAI_ALWAYS_INLINE MOIRAI_NORETURN void resume(
	struct worker *worker, struct fiber *from, struct fiber *to)
{
	worker->post = POST_FREE;
	worker->post_arg = (uintptr_t)from;
	to->base.owner = worker;
	worker->current = to;
	worker->context.fiber = &to->park;
	moirai__fiber_exit(&from->base, &to->base);
}

void loop_main(void *arg)
{
	struct fiber *fiber = arg;
	fiber_post(worker_of(fiber));
	for (;;) {
		struct worker *worker = worker_of(fiber); /* a task may have come back elsewhere */
		uintptr_t item = worker->handed;
		if (item)
			worker->handed = 0;
		else
			item = loop_pick(worker);
		if (MOIRAI_UNLIKELY(!item)) {
			quiesce_check(worker->pool);
			enum moirai__found found = moirai__search_run(&worker->search, &item);
			if (found == MOIRAI__FOUND_EXTRA)
				continue;
			if (found == MOIRAI__FOUND_QUIT)
				resume(worker, fiber, &worker->native);
		}
		if (item_is_fiber(item))
			resume(worker, fiber, item_fiber(item));
		start(worker, fiber, (struct moirai_task *)item);
	}
}

uintptr_t loop_pick(struct worker *worker)
{
	return moirai__queues_pick(&worker->queues, loop_elsewhere, worker);
}

void loop_queue(struct worker *worker, uintptr_t item)
{
	if (item_is_fiber(item) && MOIRAI_UNLIKELY(item_fiber(item)->pinned)) {
		fiber_mail_back(worker, item_fiber(item)); /* not where others steal */
		return;
	}
	unsigned level =
		item_is_fiber(item) ? item_fiber(item)->level : ((struct moirai_task *)item)->level;
	/* Without memory for a larger ring the injector takes it: its link lies in the item. */
	if (MOIRAI_UNLIKELY(moirai__queues_push(&worker->queues, level, item) < 0))
		moirai__injector_ready(&worker->pool->injector, item);
}

void loop_put_back(struct worker *worker, uintptr_t item)
{
	loop_queue(worker, item);
	/* A sleeper may have looked while it was in our hands. */
	moirai__idle_notify(&worker->pool->idle);
}

/* --- what the scheduler asks --- */

/* Fires the wheels of all workers: one may sit in a long task. */
static void search_timers(void *arg)
{
	struct worker *worker = arg;
	struct pool *pool = worker->pool;
	uint64_t now = 0;
	for (uint32_t i = 0; i < pool->worker_count; i++) {
		struct timers *timers = &pool->workers[i].timers;
		uint64_t next =
			moirai_load_relaxed(&timers->next); /* relaxed: seen late is fired late */
		if (next == MOIRAI_NEVER)
			continue;
		if (now == 0)
			now = moirai_now();
		if (next <= now)
			timers_fire(worker, timers, now);
	}
}

uintptr_t loop_elsewhere(void *arg)
{
	struct worker *worker = arg;
	struct pool *pool = worker->pool;
	/* The own wheel, and in turns one of the others, whose worker may be busy. */
	struct timers *own = &worker->timers;
	struct timers *other = &pool->workers[worker->fire_turn].timers;
	worker->fire_turn = worker->fire_turn + 1 < pool->worker_count ? worker->fire_turn + 1 : 0;
	if (moirai_load_relaxed(&own->next) != MOIRAI_NEVER ||
		moirai_load_relaxed(&other->next) != MOIRAI_NEVER) {
		uint64_t now = moirai_now();
		timers_fire(worker, own, now);
		if (other != own)
			timers_fire(worker, other, now);
	}
	/* In turns: pinned tasks that yield to one another would keep the injector out for ever. */
	worker->mail_turn = !worker->mail_turn;
	uintptr_t item = worker->mail_turn ? fiber_mail(worker) : 0;
	if (item)
		return item;
	item = moirai__queues_drain(&worker->queues, &pool->injector, pool->worker_count);
	/* A sleeper may have looked while the batch was in our hands. */
	if (item)
		moirai__idle_notify(&pool->idle);
	else if (!worker->mail_turn)
		item = fiber_mail(worker);
	return item;
}

static bool search_extra(void *arg, uint64_t now_ns, bool *pending)
{
	struct worker *worker = arg;
	(void)now_ns;
	(void)pending;
	if (worker->handed)
		return true;
	worker->handed = fiber_mail(worker);
	return worker->handed != 0;
}

static bool search_any(void *arg)
{
	struct worker *worker = arg;
	struct pool *pool = worker->pool;
	/* acquire: pairs with the release in mail_push(). */
	if (worker->mail != NULL || moirai_load_acquire(&worker->mailbox) != NULL ||
		moirai__injector_any(&pool->injector))
		return true;
	for (uint32_t i = 0; i < pool->worker_count; i++)
		if (moirai__queues_any(&pool->workers[i].queues))
			return true;
	return false;
}

static bool search_quit(void *arg)
{
	/* acquire: pairs with the release in destroy. */
	return moirai_load_acquire(&((struct worker *)arg)->pool->phase) == POOL_STOPPED;
}

static uint64_t search_earliest(void *arg)
{
	struct pool *pool = ((struct worker *)arg)->pool;
	uint64_t earliest = MOIRAI_NEVER;
	for (uint32_t i = 0; i < pool->worker_count; i++) {
		/* seq_cst: pairs with the store in timers_arm(); either we see it or it sees the keeper. */
		uint64_t next = moirai_load_seq_cst(&pool->workers[i].timers.next);
		earliest = next < earliest ? next : earliest;
	}
	return earliest;
}

const struct moirai__search_ops loop_search_ops = {
	.idle = {.any = search_any, .quit = search_quit, .earliest = search_earliest},
	.timers = search_timers,
	.extra = search_extra,
};
