/* SPDX-License-Identifier: MIT */
/*
 * How a task comes in. Design note.
 *
 * From a task of the pool: cell from the worker's slab, three stores, count, push on the worker's
 * deque, one look at the idle word. No RMW, no fence, no lock.
 *
 * From any other thread: the same with the slab and the queue of the thread's record (foreign.c),
 * inside a *biased section*: busy = 1, light fence, read the phase. Whoever closes the pool stores
 * the phase, makes a heavy fence and waits until nobody is busy: after that no spawn is accepted
 * that its count of tasks does not see. So nothing accepted is lost, and the producer pays two plain
 * stores.
 *
 * Order: the spawn is counted before the item is visible, so that finished never overtakes spawned
 * (quiesce.c). The handle is stored before as well: the task may run at once.
 */
#include "private.h"

#include <string.h>

/* What to start, as it was asked for. */
struct request {
	const moirai_task_attr *attr; /* NULL: the defaults; else checked */
	moirai_task_fn fn;
	void *arg;
	const void *data; /* to be copied into the cell; NULL: arg is passed */
	size_t size_bytes;
	bool detached;
};

static bool needs_side(const moirai_task_attr *attr)
{
	return attr->name != NULL || attr->cost_ns != 0 || attr->deadline_ns != 0 ||
	       attr->cancel != NULL || attr->user != NULL || attr->trace_id != 0;
}

static MOIRAI_ALWAYS_INLINE void fill(
	struct moirai_task *task, moirai_task_fn fn, void *arg, unsigned level, unsigned flags)
{
	task->fn = fn;
	task->arg = arg;
	/* relaxed: the push publishes it. The next generation of the cell, no bits. */
	uint32_t generation = (moirai_load_relaxed(&task->state) >> TASK_BITS) + 1;
	if (MOIRAI_UNLIKELY(generation << TASK_BITS == 0))
		generation = 1; /* an id is never 0 */
	moirai_store_relaxed(&task->state, generation << TASK_BITS);
	moirai_store_relaxed(&task->phase, (uint8_t)PHASE_QUEUED);
	task->level = (uint8_t)level;
	task->flags = (uint8_t)flags;
}

/* A task of the given slabs, ready to be queued; NULL: see *error. */
static MOIRAI_NOINLINE struct moirai_task *make(
	struct slab *cells, struct slab *sides, const struct request *request, int *error)
{
	const moirai_task_attr *attr = request->attr;
	struct cell *cell = cell_get(cells, error);
	if (cell == NULL)
		return NULL;
	struct moirai_task *task = MOIRAI_CONTAINER_OF(cell, struct moirai_task, cell);
	unsigned flags = request->detached ? TASK_NO_HANDLE : 0;
	if (attr != NULL && attr->flags & MOIRAI_TASK_PINNED)
		flags |= TASK_PIN;
	fill(task, request->fn, request->arg, moirai__level(attr ? attr->priority : 0), flags);
	uint64_t *payload = task->payload;
	if (attr != NULL && needs_side(attr)) {
		*error = side_attach(sides, task, attr);
		if (*error < 0) {
			cell_put(cells, cell);
			return NULL;
		}
		payload = task->side->payload;
	}
	if (request->data != NULL) {
		memcpy(payload, request->data, request->size_bytes);
		task->arg = payload;
	}
	*error = task->flags & TASK_SIDE ? side_arm(task) : 0;
	if (*error < 0) {
		cell_put(sides, &task->side->cell);
		cell_put(cells, cell);
		return NULL;
	}
	return task;
}

/* Undoes make(): the queue had no memory for the task. */
static void unmake(struct slab *cells, struct slab *sides, struct moirai_task *task)
{
	if (task->flags & TASK_SIDE) {
		side_disarm(task);    /* may park: */
		cells = sides = NULL; /* they may be another worker's now */
		cell_put(sides, &task->side->cell);
	}
	cell_put(cells, &task->cell);
}

static MOIRAI_ALWAYS_INLINE int queue_local(struct worker *worker, struct moirai_task *task)
{
	moirai__queues_spawned(&worker->queues);
	MOIRAI_OBSERVE(MOIRAI_EVENT_SPAWN, task);
	MOIRAI_NOISE();
	int rc = moirai__queues_push(&worker->queues, task->level, (uintptr_t)task);
	if (MOIRAI_UNLIKELY(rc < 0)) {
		moirai__queues_unspawn(&worker->queues);
		return rc;
	}
	moirai__idle_notify(&worker->pool->idle);
	return 0;
}

static MOIRAI_NOINLINE int spawn_local(
	struct worker *worker, const struct request *request, moirai_task **handle)
{
	int rc = -ENOMEM;
	struct moirai_task *task = make(&worker->cells, &worker->sides, request, &rc);
	if (task == NULL)
		return rc;
	moirai_task *before = NULL;
	if (handle != NULL) {
		before = *handle;
		*handle = task;
	}
	rc = queue_local(worker, task);
	if (MOIRAI_UNLIKELY(rc < 0)) {
		unmake(&worker->cells, &worker->sides, task);
		if (handle != NULL)
			*handle = before;
	}
	return rc;
}

/* May a thread that is no worker spawn? While the pool drains only its own spare threads may. */
static bool admitted(struct pool *pool)
{
	uint32_t phase = moirai_load_relaxed(&pool->phase); /* relaxed: the fences decide */
	return MOIRAI_LIKELY(phase == POOL_OPEN) ||
	       (phase == POOL_DRAINING && blocking_pool() == pool);
}

static MOIRAI_NOINLINE int spawn_foreign(
	struct pool *pool, const struct request *request, moirai_task **handle)
{
	int rc = -ENOMEM;
	struct foreign *foreign = foreign_self(pool, &rc);
	if (foreign == NULL)
		return rc;
	moirai_store_relaxed(&foreign->busy, 1u);
	/*
	 * Pairs with the heavy fence in foreign_settle(). If our store comes first, the closer waits
	 * for us; if its fence comes first, we see its phase.
	 */
	moirai_fence_light();
	if (MOIRAI_UNLIKELY(!admitted(pool))) {
		rc = pool_forked(pool) ? -ENOTSUP : -ECANCELED;
		goto leave;
	}
	MOIRAI_NOISE();
	struct moirai_task *task = make(&foreign->cells, &foreign->sides, request, &rc);
	if (MOIRAI_UNLIKELY(task == NULL))
		goto leave;
	moirai_task *before = NULL;
	if (handle != NULL) {
		before = *handle;
		*handle = task;
	}
	MOIRAI_OBSERVE(MOIRAI_EVENT_SPAWN, task);
	rc = moirai__producer_push(foreign->producer, (uintptr_t)task);
	if (MOIRAI_UNLIKELY(rc < 0)) {
		unmake(&foreign->cells, &foreign->sides, task);
		if (handle != NULL)
			*handle = before;
		goto leave;
	}
	moirai__idle_notify(&pool->idle);
	(void)moirai__idle_poke(&pool->idle);
leave:
	/* release: pairs with the acquire in foreign_settle(); the last access to the pool. */
	moirai_store_release(&foreign->busy, 0u);
	return rc;
}

static MOIRAI_NOINLINE int spawn_slow(struct pool *pool, struct worker *worker,
	const moirai_task_attr *attr, struct request *request, moirai_task **handle)
{
	moirai_task_attr read;
	if (attr != NULL) {
		int rc = moirai_task_attr_read(&read, attr);
		if (rc < 0)
			return rc;
		request->attr = &read;
		if (read.flags & MOIRAI_TASK_DETACHED)
			handle = NULL;
	}
	request->detached = handle == NULL;
	if (worker == NULL || worker->pool != pool)
		return spawn_foreign(pool, request, handle);
	if (moirai_load_relaxed(&pool->phase) >= POOL_CANCELLING) /* relaxed: see pool_spawn() */
		return -ECANCELED;
	return spawn_local(worker, request, handle);
}

static int pool_spawn(moirai_executor *executor, const moirai_task_attr *attr, moirai_task_fn fn,
	void *arg, moirai_task **handle)
{
	struct pool *pool = pool_of(executor);
	struct worker *worker = worker_self();
	int rc = -ENOMEM;
	if (MOIRAI_UNLIKELY(worker == NULL || worker->pool != pool || attr != NULL)) {
		struct request request = {.fn = fn, .arg = arg};
		return spawn_slow(pool, worker, attr, &request, handle);
	}
	/* relaxed: we are an unfinished task, the pool waits for us whatever we read. */
	if (MOIRAI_UNLIKELY(moirai_load_relaxed(&pool->phase) >= POOL_CANCELLING))
		return -ECANCELED;
	struct cell *cell = cell_get(&worker->cells, &rc);
	if (MOIRAI_UNLIKELY(cell == NULL))
		return rc;
	struct moirai_task *task = MOIRAI_CONTAINER_OF(cell, struct moirai_task, cell);
	fill(task, fn, arg, MOIRAI__LEVEL_NORMAL, handle != NULL ? 0 : TASK_NO_HANDLE);
	moirai_task *before = NULL;
	if (handle != NULL) {
		before = *handle;
		*handle = task;
	}
	rc = queue_local(worker, task);
	if (MOIRAI_UNLIKELY(rc < 0)) {
		cell_put(&worker->cells, cell);
		if (handle != NULL)
			*handle = before;
	}
	return rc;
}

int moirai_spawn_copy(moirai_executor *executor, const moirai_task_attr *attr, moirai_task_fn fn,
	const void *data, size_t size_bytes, moirai_task **task)
{
	if (executor == NULL || fn == NULL || (data == NULL && size_bytes > 0) ||
		size_bytes > MOIRAI_TASK_PAYLOAD_MAX)
		return -EINVAL;
	if (!executor_is_pool(executor))
		return -ENOTSUP;
	static const char nothing;
	struct request request = {
		.fn = fn,
		.data = data != NULL ? data : &nothing,
		.size_bytes = size_bytes,
	};
	return spawn_slow(pool_of(executor), worker_self(), attr, &request, task);
}

bool executor_is_pool(const moirai_executor *executor)
{
	return executor->spawner == &spawn_ops;
}

const moirai_spawner_ops spawn_ops = {.spawn = pool_spawn};
