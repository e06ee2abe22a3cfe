/* SPDX-License-Identifier: MIT */
/*
 * The life of a task. Design note.
 *
 * State: one word, bits DONE, WAITER, DETACHED, CANCEL, NEVER_RAN below, the generation of the cell
 * above. Before the task is queued its spawner stores it; afterwards it changes by RMW only, each bit
 * is set once and none is cleared. DONE is set by the worker that ends the task; WAITER and DETACHED
 * by the owner of the handle; CANCEL by anybody who may use the handle, by the deadline or the token.
 *
 * Who frees the cell
 *   - spawned detached (TASK_NO_HANDLE): the worker, at the end; nobody else knows the cell.
 *   - otherwise two parties, the worker's DONE and the owner's DETACHED, meet in one word: whoever
 *     comes second frees. A joiner waits for DONE and frees; the worker finds no DETACHED then.
 * DONE is the worker's last access to the cell: after it only the address is used, as the name under
 * which the joiner waits. A stray unpark of a reused cell is a wake-up for no reason, which every
 * waiter takes into account. A cell's memory stays mapped as long as the pool.
 *
 * Joining without waiting: a task that has not started and lies at the bottom of the joiner's own
 * deque is taken back and called on the joiner's stack: no RMW, no switch. The joiner waits for
 * exactly this task, so whatever deadlock there is would be there serially too. A test for stack
 * room bounds the depth. The caller's frame is linked to the child's: cancelling the joiner reaches
 * the child then, because the joiner can come back only after it.
 *
 * Cancel: set CANCEL (RMW), heavy fence, read `phase`. Queued: the worker that starts the task reads
 * the word after it has stored the phase, or its first park does (fiber_cancelled). Running: the
 * fiber's park is ended, if its present task is really the cancelled one; the fiber may have gone on
 * to another task, and fiber_cancelled() says no then.
 *
 * Cost: join of a finished task is one load; a finish with handle one RMW; detached none.
 */
#include "private.h"

#include <string.h>

/* Room that a child called in place must find below the joiner: a quarter of the default stack. */
#define INLINE_ROOM_BYTES ((ptrdiff_t)16 * 1024)

MOIRAI_NOINLINE void task_put_slow(struct worker *worker, struct moirai_task *task)
{
	struct pool *pool = task_pool(task);
	struct slab *cells = NULL, *sides = NULL; /* our own in that pool, if we have any */
	if (worker != NULL && worker->pool == pool) {
		cells = &worker->cells;
		sides = &worker->sides;
	} else {
		struct foreign *foreign = foreign_known(pool);
		if (foreign != NULL) {
			cells = &foreign->cells;
			sides = &foreign->sides;
		}
	}
	if (MOIRAI_UNLIKELY(task->flags & TASK_SIDE))
		cell_put(sides, &task->side->cell);
	cell_put(cells, &task->cell);
}

void task_finish(struct worker *worker, struct moirai_task *task, uint32_t bits)
{
	if (MOIRAI_UNLIKELY(task->flags & TASK_SIDE)) {
		side_disarm(task);      /* parks while its token's callback runs elsewhere: */
		worker = worker_self(); /* this may be another worker now */
	}
	MOIRAI_OBSERVE(MOIRAI_EVENT_FINISH, task);
	if (task->flags & TASK_NO_HANDLE) {
		task_put(worker, task);
	} else {
		MOIRAI_NOISE();
		/*
		 * acq_rel: release pairs with the acquire of the joiner (the result, what the task did);
		 * acquire pairs with the release in detach. The last access to the cell. The bits are not
		 * set yet, so adding sets them: one instruction where OR would be a loop.
		 */
		uint32_t old = moirai_fetch_add_acq_rel(&task->state, TASK_DONE | bits);
		if (old & TASK_WAITER)
			moirai_unpark(&task->state, UINT32_MAX);
		if (old & TASK_DETACHED)
			task_put(worker, task);
	}
	/* release: pairs with the acquire in quiescent(); what the task did is seen by a drain. */
	moirai_store_release(&worker->finished, worker->finished + 1);
}

/* --- join --- */

/*
 * Takes the task back from the own deque's bottom and calls it here. Returns the worker on which it
 * ended, or NULL when it does not lie there.
 */
static MOIRAI_ALWAYS_INLINE struct worker *run_inline(
	struct worker *worker, struct moirai_task *task)
{
	if (worker == NULL || task->flags & TASK_PIN)
		return NULL;
	struct moirai__deque *deque = &worker->queues.deque_[task->level];
	if (moirai__deque_peek(deque) != (uintptr_t)task)
		return NULL;
	struct fiber *fiber = worker->current;
	if ((char *)__builtin_frame_address(0) - fiber->base.stack_low < INLINE_ROOM_BYTES)
		return NULL;
	/* relaxed: only whoever is to run it cares; see start() in loop.c. */
	if (moirai_load_relaxed(&task->state) & TASK_CANCEL ||
		moirai_load_relaxed(&worker->pool->phase) >= POOL_CANCELLING)
		return NULL;
	uintptr_t item = moirai__deque_pop(deque);
	if (MOIRAI_UNLIKELY(item != (uintptr_t)task)) {
		if (item)
			loop_queue(worker, item); /* a thief took ours; this is the one above */
		return NULL;
	}
	struct frame frame = {.task = fiber->task, .outer = fiber->outer, .mask = fiber->mask};
	moirai_task_fn fn = task->fn;
	void *arg = task->arg;
	task->result = NULL;
	MOIRAI_WR(task->cell.link) = (uintptr_t)fiber;
	moirai_store_release(&task->phase, (uint8_t)PHASE_RUNNING); /* as in start() */
	fiber->outer = &frame;
	fiber->mask = 0;
	fiber->task = task;
	MOIRAI_OBSERVE(MOIRAI_EVENT_START, task);
	fn(arg);
	fiber->task = frame.task;
	fiber->outer = frame.outer;
	fiber->mask = frame.mask;
	if (MOIRAI_UNLIKELY(task->flags & TASK_SIDE))
		side_disarm(task);
	MOIRAI_OBSERVE(MOIRAI_EVENT_FINISH, task);
	worker = worker_of(fiber); /* the child may have parked */
	moirai__count(&worker->inlined, 1);
	/* release: as in task_finish(). */
	moirai_store_release(&worker->finished, worker->finished + 1);
	return worker;
}

/* Waits for DONE; the last load of the word was an acquire. */
static MOIRAI_NOINLINE int wait_done(struct moirai_task *task, uint64_t deadline_ns)
{
	/* acquire, here and below: pairs with the release in task_finish(). */
	uint32_t state = moirai_load_acquire(&task->state);
	while (!(state & TASK_DONE)) {
		if (!(state & TASK_WAITER)) {
			/* relaxed: the bit says "unpark me" and publishes nothing else. */
			if (moirai_cas_weak_relaxed(&task->state, &state, state | TASK_WAITER))
				state |= TASK_WAITER;
			else
				state = moirai_load_acquire(&task->state);
			continue;
		}
		MOIRAI_NOISE();
		int rc = moirai_park(&task->state, state, deadline_ns);
		state = moirai_load_acquire(&task->state);
		if (MOIRAI_UNLIKELY((rc == -ETIMEDOUT || rc == -ECANCELED || rc == -ENOMEM) &&
				    !(state & TASK_DONE)))
			return rc == -ECANCELED ? -EINTR : rc;
	}
	return 0;
}

/* The task has finished and the handle is given back. */
static MOIRAI_ALWAYS_INLINE int reap(
	struct worker *worker, struct moirai_task *task, void **result, uint32_t state)
{
	if (result != NULL)
		*result = state & TASK_NEVER_RAN ? NULL : task->result;
	task_put(worker, task);
	return state & TASK_NEVER_RAN ? -ECANCELED : 0;
}

/* Is the caller the task, or a child that the task called while it joined? It would wait for ever. */
static bool joins_itself(const struct moirai_task *task)
{
	struct worker *worker = worker_self();
	if (worker == NULL)
		return false;
	const struct fiber *fiber = worker->current;
	if (fiber->task == task)
		return true;
	for (const struct frame *frame = fiber->outer; frame != NULL; frame = frame->outer)
		if (frame->task == task)
			return true;
	return false;
}

/* The task was neither finished nor at hand. */
static MOIRAI_NOINLINE int join_slow(struct moirai_task *task, void **result, uint64_t deadline_ns)
{
	if (MOIRAI_UNLIKELY(joins_itself(task)))
		return -EDEADLK;
	if (pool_forked(task_pool(task)))
		return -ENOTSUP;
	int rc = wait_done(task, deadline_ns);
	if (MOIRAI_UNLIKELY(rc < 0))
		return rc;
	return reap(worker_self(), task, result, moirai_load_acquire(&task->state)); /* as below */
}

int moirai_task_join(moirai_task *task, void **result)
{
	if (MOIRAI_UNLIKELY(task == NULL))
		return -EINVAL;
	struct worker *worker = worker_self();
	uint32_t state = moirai_load_acquire(&task->state); /* pairs with task_finish() */
	if (state & TASK_DONE)
		return reap(worker, task, result, state);
	worker = run_inline(worker, task);
	if (MOIRAI_LIKELY(worker != NULL))
		return reap(worker, task, result, 0);
	return join_slow(task, result, MOIRAI_NEVER);
}

int moirai_task_join_until(moirai_task *task, void **result, uint64_t deadline_ns)
{
	if (MOIRAI_UNLIKELY(task == NULL))
		return -EINVAL;
	uint32_t state = moirai_load_acquire(&task->state); /* pairs with task_finish() */
	if (state & TASK_DONE)
		return reap(worker_self(), task, result, state);
	/* Never called in place unless the deadline is none: a child could not keep it. */
	return deadline_ns == MOIRAI_NEVER ? moirai_task_join(task, result)
					   : join_slow(task, result, deadline_ns);
}

int moirai_task_try_join(moirai_task *task, void **result)
{
	if (MOIRAI_UNLIKELY(task == NULL))
		return -EINVAL;
	uint32_t state = moirai_load_acquire(&task->state); /* pairs with task_finish() */
	return state & TASK_DONE ? reap(worker_self(), task, result, state) : -EAGAIN;
}

int moirai_task_wait_until(moirai_task *task, uint64_t deadline_ns)
{
	if (MOIRAI_UNLIKELY(task == NULL))
		return -EINVAL;
	if (moirai_load_acquire(&task->state) & TASK_DONE) /* pairs with task_finish() */
		return 0;
	if (joins_itself(task))
		return -EDEADLK;
	if (pool_forked(task_pool(task)))
		return -ENOTSUP;
	return wait_done(task, deadline_ns);
}

int moirai_task_detach(moirai_task *task)
{
	if (MOIRAI_UNLIKELY(task == NULL))
		return -EINVAL;
	MOIRAI_NOISE();
	/* acq_rel: what we did with the handle happens before the cell is reused, and the reverse. */
	uint32_t old = moirai_fetch_add_acq_rel(&task->state, TASK_DETACHED);
	if (old & TASK_DONE)
		task_put(worker_self(), task);
	return 0;
}

/* --- cancel, status --- */

int task_cancel(struct moirai_task *task)
{
	/* acq_rel: what the canceller did before is seen by fiber_cancelled(). */
	uint32_t old = moirai_fetch_or_acq_rel(&task->state, TASK_CANCEL);
	if (old & TASK_DONE)
		return -EALREADY;
	if (old & TASK_CANCEL)
		return 0;
	MOIRAI_OBSERVE(MOIRAI_EVENT_CANCEL, task);
	/*
	 * Pairs with the light fence of a park between queueing its node and asking cancelled(). If our
	 * bit comes first, that park refuses; if its node comes first, we see the phase and end it.
	 */
	moirai_fence_heavy();
	/* acquire: pairs with the release in start(); the link is the fiber then. */
	if (moirai_load_acquire(&task->phase) == PHASE_RUNNING)
		(void)moirai__park_cancel(&((struct fiber *)MOIRAI_RD(task->cell.link))->park);
	return 0;
}

int moirai_task_cancel(moirai_task *task)
{
	return task != NULL ? task_cancel(task) : -EINVAL;
}

moirai_task_state moirai_task_status(const moirai_task *task)
{
	if (task == NULL)
		return MOIRAI_TASK_DONE;
	/* acquire: whoever reads "done" sees what the task did. */
	uint32_t state = moirai_load_acquire(&task->state);
	if (state & TASK_DONE)
		return state & TASK_NEVER_RAN ? MOIRAI_TASK_CANCELLED : MOIRAI_TASK_DONE;
	if (moirai_load_acquire(&task->phase) == PHASE_QUEUED)
		return MOIRAI_TASK_QUEUED;
	/* The fiber may run another task by now: a stale answer, as any is. Its memory stays a fiber. */
	const struct fiber *fiber = (const struct fiber *)task->cell.link;
	return moirai_load_relaxed(&fiber->parked) ? MOIRAI_TASK_PARKED : MOIRAI_TASK_RUNNING;
}

moirai_task_id task_id(const struct moirai_task *task)
{
	uint64_t generation =
		moirai_load_relaxed(&task->state) >> TASK_BITS; /* constant while in use */
	return generation << 40 | cell_number(&task->cell);
}

moirai_task_id moirai_task_id_of(const moirai_task *task)
{
	return task != NULL ? task_id(task) : 0;
}

size_t moirai_task_name(const moirai_task *task, char *buffer, size_t size_bytes)
{
	const char *name = task != NULL && task->flags & TASK_SIDE ? task->side->name : "";
	size_t length = strlen(name);
	if (buffer != NULL && size_bytes > 0) {
		size_t copied = length < size_bytes ? length : size_bytes - 1;
		memcpy(buffer, name, copied);
		buffer[copied] = 0;
	}
	return length;
}

static int ops_cancel(moirai_executor *executor, moirai_task *task)
{
	(void)executor;
	return moirai_task_cancel(task);
}

static int ops_status(moirai_executor *executor, const moirai_task *task, moirai_task_state *state)
{
	(void)executor;
	*state = moirai_task_status(task);
	return 0;
}

static int ops_wait(moirai_executor *executor, moirai_task *task, uint64_t deadline_ns)
{
	(void)executor;
	int rc = moirai_task_wait_until(task, deadline_ns);
	return rc == -EINTR ? -ECANCELED : rc;
}

const moirai_manager_ops task_ops = {
	.cancel = ops_cancel,
	.status = ops_status,
	.wait = ops_wait,
};
