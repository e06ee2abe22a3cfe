/* SPDX-License-Identifier: MIT */
/* A worker: its thread, its memory, and who is calling. The loop is in loop.c. */
#include <moirai/core/alloc.h>

#include "private.h"

/* Late wake-ups of naps and timers cost latency: 50 us is Linux's default. */
#define TIMER_SLACK_NS 1000

THREAD_LOCAL struct worker *self;

MOIRAI_NOINLINE struct worker *worker_self(void)
{
	__asm__ volatile(""); /* not pure: a task may have moved since the last call */
	return self;
}

MOIRAI_NOINLINE void worker_self_set(struct worker *worker)
{
	self = worker;
}

int worker_init(struct pool *pool, uint32_t index)
{
	struct worker *worker = &pool->workers[index];
	worker->pool = pool;
	worker->index = index;
	worker->context = (moirai__context){.ops = &fiber_context_ops, .worker = (int32_t)index};
	worker->cells.class = &pool->cell_class;
	worker->sides.class = &pool->side_class;
	moirai__queues_init(&worker->queues, &pool->items);
	int rc = timers_init(&worker->timers);
	if (rc < 0)
		return rc;
	uint32_t others = pool->worker_count - 1;
	if (others > 0) {
		worker->victims = moirai_alloc_zeroed(others, sizeof(*worker->victims));
		if (worker->victims == NULL)
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < others; i++)
		worker->victims[i].queues_ =
			&pool->workers[(index + 1 + i) % pool->worker_count].queues;
	moirai__search_init(&worker->search, &worker->queues, &worker->sleeper, &pool->idle,
		&pool->injector, &loop_search_ops, &pool->tuning, worker, worker->victims, others,
		index + 1);
	worker->overflow.memory = moirai_alloc(MOIRAI__OVERFLOW_STACK);
	if (worker->overflow.memory == NULL)
		return -ENOMEM;
	/* The first stack now, so that the thread cannot fail. */
	worker->successor = fiber_fresh(worker);
	return worker->successor != NULL ? 0 : -ENOMEM;
}

void worker_fini(struct worker *worker)
{
	if (worker->pool == NULL)
		return;                /* never initialised */
	if (worker->successor != NULL) /* its thread was never started */
		moirai__stack_put(&worker->pool->stacks, &worker->stacks, &worker->successor->base);
	moirai__stack_cache_drain(&worker->pool->stacks, &worker->stacks);
	moirai__queues_fini(&worker->queues);
	timers_fini(&worker->timers);
	slab_fini(&worker->cells);
	slab_fini(&worker->sides);
	moirai_free(worker->victims);
	moirai_free(worker->overflow.memory);
}

void worker_main(void *arg)
{
	struct worker *worker = arg;
	struct pool *pool = worker->pool;
	(void)moirai_os_timer_slack(TIMER_SLACK_NS);
	if (pool->cpus != NULL) {
		moirai_cpuset set = {0};
		moirai_cpuset_add(&set, pool->cpus[worker->index % pool->cpus_count]);
		(void)moirai_os_affinity_set(&set); /* a processor that went away: run anywhere */
	}
	(void)moirai__overflow_enter(&worker->overflow);
	worker_self_set(worker);
	moirai__fiber_native_init(&worker->native.base);
	struct fiber *first = worker->successor;
	worker->successor = NULL;
	worker->current = first;
	worker->context.fiber = &first->park;
	moirai__context_set(&worker->context);
	MOIRAI_OBSERVE(MOIRAI_EVENT_WORKER_START, worker);

	/* release: pairs with the acquire in create. */
	moirai_fetch_add_release(&pool->started, 1u);
	moirai_unpark(&pool->started, 1);

	fiber_switch(worker, &worker->native, first);
	worker->successor = NULL; /* the last park's: it lies in some cache */

	MOIRAI_OBSERVE(MOIRAI_EVENT_WORKER_STOP, worker);
	moirai__context_set(NULL);
	worker_self_set(NULL);
	moirai__fiber_native_fini(&worker->native.base);
	moirai__overflow_leave(&worker->overflow);
}
