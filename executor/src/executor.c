/* SPDX-License-Identifier: MIT */
/* What any executor can be asked, and what only the pool can tell. */
#include <string.h>

#include "private.h"

int moirai_executor_destroy(moirai_executor *executor)
{
	if (executor == NULL)
		return 0;
	if (executor->control == NULL || executor->control->destroy == NULL)
		return -ENOTSUP;
	return executor->control->destroy(executor);
}

int moirai_executor_shutdown(
	moirai_executor *executor, moirai_shutdown_mode mode, uint64_t deadline_ns)
{
	if (executor == NULL)
		return -EINVAL;
	if (executor->control == NULL || executor->control->shutdown == NULL)
		return -ENOTSUP;
	return executor->control->shutdown(executor, mode, deadline_ns);
}

int moirai_executor_drain(moirai_executor *executor, uint64_t deadline_ns)
{
	if (executor == NULL)
		return -EINVAL;
	if (executor->control == NULL || executor->control->drain == NULL)
		return -ENOTSUP;
	return executor->control->drain(executor, deadline_ns);
}

unsigned moirai_executor_workers(const moirai_executor *executor)
{
	if (executor == NULL || executor->control == NULL || executor->control->workers == NULL)
		return 0;
	return executor->control->workers(executor);
}

moirai_executor *moirai_executor_current(void)
{
	struct worker *worker = worker_self();
	return worker != NULL ? &worker->pool->base : NULL;
}

int moirai_executor_worker(void)
{
	struct worker *worker = worker_self();
	return worker != NULL ? (int)worker->index : -1;
}

static void add_worker(moirai_executor_stats *sum, struct worker *worker)
{
	moirai_scheduler_stats stats;
	moirai__queues_stats(&worker->queues, &stats);
	sum->spawned += moirai_load_relaxed(&worker->queues.spawned_);
	sum->finished += moirai_load_relaxed(&worker->finished);
	sum->cancelled += moirai_load_relaxed(&worker->cancelled);
	sum->parks += moirai_load_relaxed(&worker->parks);
	sum->yields += moirai_load_relaxed(&worker->yields);
	sum->inlined += moirai_load_relaxed(&worker->inlined);
	sum->timers += moirai_load_relaxed(&worker->fired);
	sum->steals += stats.steals_won;
	sum->sleeps += stats.sleeps;
	sum->naps += stats.naps;
}

int moirai_executor_stats_get(const moirai_executor *executor, moirai_executor_stats *stats)
{
	if (executor == NULL || stats == NULL || !executor_is_pool(executor))
		return -EINVAL;
	size_t size = stats->size != 0 ? stats->size : sizeof(*stats);
	struct pool *pool = pool_of(executor);
	moirai_executor_stats sum = {.size = (uint32_t)size, .workers = pool->worker_count};
	for (uint32_t i = 0; i < pool->worker_count; i++)
		add_worker(&sum, &pool->workers[i]);
	sum.spawned += moirai__injector_accepted(&pool->injector);
	sum.cells = moirai_load_relaxed(&pool->cell_class.cells);
	moirai__stack_stats stacks;
	moirai__stack_pool_stats(&pool->stacks, pool->stack_class, &stacks);
	sum.stacks = stacks.carved;
	moirai__spin_take(&pool->blocking.lock);
	sum.blocking = pool->blocking.jobs;
	sum.spares = pool->blocking.live;
	moirai__spin_drop(&pool->blocking.lock);
	memcpy(stats, &sum, size < sizeof(sum) ? size : sizeof(sum));
	return 0;
}
