/* SPDX-License-Identifier: MIT */
/*
 * The pool as a whole: building, stopping, taking down. Design note.
 *
 * Phases only grow: open, draining, cancelling, stopped. Storing a phase is followed by
 * foreign_settle(), after which every foreign thread obeys it; tasks read it at each spawn, start
 * and park.
 *
 *   draining    foreign spawns are refused; tasks go on spawning.
 *   cancelling  all spawns are refused, tasks that have not started complete as "never ran", each
 *               park that is not masked ends with -ECANCELED: fiber_cancelled() says so from the
 *               store on, and a sweep over the parking lot ends those that stand there already.
 *   stopped     after the last task: workers leave their loops. Only destroy gets here.
 *
 *   forked      the child of a fork: everything is refused, see foreign.c.
 *
 * Destroy: drain; wait for visitors, that is foreign wakers on their way out; stop; join the
 * threads; free. Nobody parks with a pointer into the pool after the drain.
 */
#include <moirai/core/alloc.h>
#include <string.h>

#include "private.h"

/* Waiters that the parking lot serves well as it is: eight per bucket of its first table. */
#define WAITERS_AT_START 32768
#define SPIN_ROUNDS_MAX  100000
#define BLOCKING_LIMIT   4096
/* A worker's own stack holds two frames; sanitizers put more on it. */
/* An attribute of some later version may be larger than ours, within reason: we look at all of it. */
#define ATTR_SIZE_MAX 4096
#define WORKER_STACK_BYTES (MOIRAI_ASAN || MOIRAI_TSAN ? 0 : (size_t)128 * 1024)

static unsigned item_level(uintptr_t item)
{
	return item_is_fiber(item) ? item_fiber(item)->level : ((struct moirai_task *)item)->level;
}

static uintptr_t *item_next(uintptr_t item)
{
	return item_is_fiber(item) ? &item_fiber(item)->base.next
				   : &((struct moirai_task *)item)->cell.link;
}

/* --- attributes --- */

static int read_attr(moirai_executor_attr *out, const moirai_executor_attr *attr)
{
	memset(out, 0, sizeof(*out));
	if (attr != NULL) {
		size_t size = attr->size != 0 ? attr->size : sizeof(*attr);
		if (size < sizeof(attr->size) + sizeof(attr->workers) || size > ATTR_SIZE_MAX)
			return -EINVAL;
		for (size_t i = sizeof(*out); i < size; i++)
			if (((const unsigned char *)attr)[i] != 0)
				return -EINVAL; /* a newer program asks for what we do not know */
		memcpy(out, attr, size < sizeof(*out) ? size : sizeof(*out));
	}
	if (out->workers == 0)
		out->workers = moirai_os_cpus_usable();
	if (out->workers > MOIRAI_EXECUTOR_WORKERS_MAX)
		return -EINVAL;
	if ((out->cpus == NULL) != (out->cpus_count == 0))
		return -EINVAL;
	if (out->tasks_max == 0)
		out->tasks_max = MOIRAI_EXECUTOR_TASKS_MAX;
	if (out->blocking_max == 0)
		out->blocking_max = MOIRAI_EXECUTOR_BLOCKING_MAX;
	if (out->blocking_idle_ns == 0)
		out->blocking_idle_ns = MOIRAI_EXECUTOR_BLOCKING_IDLE_NS;
	if (out->tasks_max > MOIRAI_EXECUTOR_TASKS_MAX || out->parked_max > UINT32_MAX ||
		out->blocking_max > BLOCKING_LIMIT || out->spin_rounds > SPIN_ROUNDS_MAX)
		return -EINVAL;
	return 0;
}

static void describe_fiber(const struct moirai__fiber *base, const char **name, uint64_t *id)
{
	const struct fiber *fiber =
		MOIRAI_CONTAINER_OF((struct moirai__fiber *)(uintptr_t)base, struct fiber, base);
	const struct moirai_task *task = fiber->task;
	*name = NULL;
	*id = 0;
	if (task == NULL)
		return;
	*id = task_id(task);
	if (task->flags & TASK_SIDE && task->side->name[0])
		*name = task->side->name;
}

static int init_parts(struct pool *pool, const moirai_executor_attr *attr)
{
	pool->tuning = (moirai_scheduler_tuning){
		.search_rounds = attr->spin_rounds,
		.nap_ns = attr->nap_ns,
		.lone_ns = attr->lone_ns,
		.payoff_ns = attr->pay_ns,
	};
	int rc = moirai_scheduler_tuning_check(&pool->tuning);
	if (rc < 0)
		return rc;
	rc = moirai__stack_class_for(attr->stack_size_bytes, &pool->stack_class);
	if (rc < 0)
		return rc;
	moirai__stack_attr stacks = {
		.block_size = sizeof(struct fiber),
		.describe = describe_fiber,
	};
	stacks.regions_max[pool->stack_class] = (uint32_t)attr->parked_max;
	rc = moirai__stack_pool_init(&pool->stacks, &stacks);
	if (rc < 0)
		return rc;
	pool->items.level = item_level;
	pool->waiters_reserved = WAITERS_AT_START;
	pool->cell_class = (struct cell_class){
		.size_bytes = sizeof(struct moirai_task), .cells_max = attr->tasks_max};
	pool->side_class =
		(struct cell_class){.size_bytes = SIDE_BYTES, .cells_max = attr->tasks_max};
	/* A limit below one chunk would forbid everything. */
	if (pool->cell_class.cells_max < CELLS_PER_CHUNK)
		pool->cell_class.cells_max = pool->side_class.cells_max = CELLS_PER_CHUNK;
	moirai__idle_init(&pool->idle, &pool->tuning);
	moirai__injector_init(&pool->injector, item_next);
	pool->blocking.max = attr->blocking_max;
	pool->blocking.idle_ns = attr->blocking_idle_ns;
	return 0;
}

/* --- threads --- */

/* "NAME-3"; the system keeps 15 bytes, so the number must come early. */
static void thread_name(char *buffer, const char *name, uint32_t index)
{
	char digits[12];
	unsigned n = 0;
	do
		digits[n++] = (char)('0' + index % 10);
	while ((index /= 10) != 0);
	size_t length = strnlen(name, 14 - n);
	memcpy(buffer, name, length);
	buffer[length++] = '-';
	while (n > 0)
		buffer[length++] = digits[--n];
	buffer[length] = 0;
}

static void stop_workers(struct pool *pool, uint32_t count)
{
	/* release: pairs with the acquire in search_quit(). */
	moirai_store_release(&pool->phase, (uint32_t)POOL_STOPPED);
	moirai__idle_wake_all(&pool->idle);
	(void)moirai__idle_poke(&pool->idle);
	for (uint32_t i = 0; i < count; i++)
		(void)moirai_os_thread_join(pool->workers[i].thread);
}

static int start_workers(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->worker_count; i++) {
		char name[32];
		thread_name(name, pool->name, i);
		int rc = moirai_os_thread_create(&pool->workers[i].thread,
			&(moirai_os_thread_attr){
				.name = name, .stack_size_bytes = WORKER_STACK_BYTES},
			worker_main, &pool->workers[i]);
		if (rc < 0) {
			stop_workers(pool, i);
			return rc;
		}
	}
	/* acquire: pairs with the release in worker_main(). */
	for (uint32_t seen; (seen = moirai_load_acquire(&pool->started)) < pool->worker_count;)
		(void)moirai_park(&pool->started, seen, MOIRAI_NEVER);
	return 0;
}

static void free_pool(struct pool *pool)
{
	for (uint32_t i = 0; pool->workers != NULL && i < pool->worker_count; i++)
		worker_fini(&pool->workers[i]);
	foreign_fini(pool);
	moirai__injector_fini(&pool->injector);
	moirai__stack_pool_fini(&pool->stacks);
	moirai_free(pool->workers);
	moirai_free(pool->cpus);
	moirai_free(pool);
}

static int init_workers(struct pool *pool, const moirai_executor_attr *attr)
{
	if (attr->cpus != NULL) {
		pool->cpus = moirai_alloc_zeroed(attr->cpus_count, sizeof(*pool->cpus));
		if (pool->cpus == NULL)
			return -ENOMEM;
		memcpy(pool->cpus, attr->cpus, attr->cpus_count * sizeof(*pool->cpus));
		pool->cpus_count = attr->cpus_count;
	}
	size_t bytes = attr->workers * sizeof(*pool->workers);
	pool->workers = moirai_alloc_aligned(bytes, _Alignof(struct worker));
	if (pool->workers == NULL)
		return -ENOMEM;
	memset(pool->workers, 0, bytes);
	pool->worker_count = attr->workers;
	for (uint32_t i = 0; i < pool->worker_count; i++) {
		int rc = worker_init(pool, i);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int moirai_executor_create(moirai_executor **executor, const moirai_executor_attr *attr)
{
	moirai_executor_attr read;
	if (executor == NULL)
		return -EINVAL;
	int rc = read_attr(&read, attr);
	if (rc < 0)
		return rc;
	struct pool *pool = moirai_alloc_aligned(sizeof(*pool), _Alignof(struct pool));
	if (pool == NULL)
		return -ENOMEM;
	memset(pool, 0, sizeof(*pool));
	pool->base = (moirai_executor){
		.spawner = &spawn_ops, .manager = &task_ops, .control = &pool_ops};
	const char *name = read.name != NULL ? read.name : "moirai";
	memcpy(pool->name, name, strnlen(name, sizeof(pool->name) - 1));
	rc = init_parts(pool, &read);
	if (rc < 0) {
		moirai_free(pool);
		return rc;
	}
	moirai_cancel_mask(); /* a task that creates a pool must not give up half way */
	rc = init_workers(pool, &read);
	if (rc == 0)
		rc = start_workers(pool);
	moirai_cancel_unmask();
	if (rc < 0) {
		free_pool(pool);
		return rc;
	}
	registry_add(pool);
	*executor = &pool->base;
	return 0;
}

/* --- ending --- */

static void phase_raise(struct pool *pool, uint32_t phase)
{
	uint32_t seen = moirai_load_relaxed(&pool->phase);
	while (seen < phase)
		/* acq_rel: pairs with the acquire in fiber_cancelled(). */
		if (moirai_cas_weak_acq_rel(&pool->phase, &seen, phase))
			break;
}

/* Would the caller wait for itself? */
static bool is_inside(const struct pool *pool)
{
	struct worker *worker = worker_self();
	return (worker != NULL && worker->pool == pool) || blocking_pool() == pool;
}

static bool must_end(moirai__parker *parker, void *pool)
{
	return MOIRAI_CONTAINER_OF(parker, struct fiber, park)->pool == pool &&
	       fiber_cancelled(parker);
}

static int pool_shutdown(moirai_executor *executor, moirai_shutdown_mode mode, uint64_t deadline_ns)
{
	struct pool *pool = pool_of(executor);
	if (mode != MOIRAI_SHUTDOWN_DRAIN && mode != MOIRAI_SHUTDOWN_CANCEL)
		return -EINVAL;
	if (is_inside(pool))
		return -EDEADLK;
	if (pool_forked(pool))
		return -ENOTSUP;
	phase_raise(pool, mode == MOIRAI_SHUTDOWN_DRAIN ? POOL_DRAINING : POOL_CANCELLING);
	MOIRAI_NOISE();
	foreign_settle(pool); /* its heavy fence orders the phase before the sweep as well */
	if (moirai_load_relaxed(&pool->phase) >= POOL_CANCELLING)
		(void)moirai__park_cancel_all(must_end, pool);
	return quiesce_wait(pool, deadline_ns);
}

static int pool_drain(moirai_executor *executor, uint64_t deadline_ns)
{
	struct pool *pool = pool_of(executor);
	if (pool_forked(pool))
		return -ENOTSUP;
	return is_inside(pool) ? -EDEADLK : quiesce_wait(pool, deadline_ns);
}

static unsigned pool_workers(const moirai_executor *executor)
{
	return pool_of(executor)->worker_count;
}

/* acquire: pairs with the release by which the last of them leaves. It is on its way out: no wait. */
static void await_zero(uint32_t *word)
{
	while (moirai_load_acquire(word) != 0)
		moirai_os_yield();
}

static int pool_destroy(moirai_executor *executor)
{
	struct pool *pool = pool_of(executor);
	if (is_inside(pool))
		return -EDEADLK;
	if (pool_forked(pool))
		return -ENOTSUP;
	moirai_cancel_mask(); /* there is no half of a destroy */
	(void)pool_shutdown(executor, MOIRAI_SHUTDOWN_DRAIN, MOIRAI_NEVER);
	moirai_cancel_unmask();
	await_zero(&pool->visitors);
	await_zero(&pool->drainers);
	stop_workers(pool, pool->worker_count);
	blocking_fini(&pool->blocking);
	registry_remove(pool);
	free_pool(pool);
	return 0;
}

const moirai_control_ops pool_ops = {
	.shutdown = pool_shutdown,
	.drain = pool_drain,
	.workers = pool_workers,
	.destroy = pool_destroy,
};
