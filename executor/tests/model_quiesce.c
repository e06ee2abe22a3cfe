/* SPDX-License-Identifier: MIT */
/*
 * The end of a pool under every schedule: a drain returns only when all that was accepted has
 * finished, and it does return; once the pool is closed nothing more is accepted.
 *
 * Real are quiesce.c, spawn_foreign() and foreign_settle(). Workers are threads that count.
 */
#include "model.h"

#include "private.h"

#include "planted_quiesce.h"

/* --- what stands around them --- */

static struct worker workers[2];
static struct pool pool = {.worker_count = 2, .workers = workers, .id = 1};
static struct moirai__segment segment;
static struct moirai__producer producer = {.tail_segment_ = &segment};
static struct foreign record = {.producer = &producer};
static int data[2];

int moirai_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
	return moirai_load_acquire(word) != expected
		       ? -EAGAIN
		       : moirai_os_futex_wait(word, expected, deadline_ns);
}

unsigned moirai_unpark(const uint32_t *word, unsigned count)
{
	return (unsigned)moirai_os_futex_wake(word, count);
}

size_t moirai__injector_accepted(const struct moirai__injector *injector)
{
	(void)injector;
	return moirai_load_acquire(&producer.tail_);
}

struct worker *worker_self(void)
{
	return NULL;
}

struct pool *blocking_pool(void)
{
	return NULL;
}

void moirai__os_at_fork_child(void (*fn)(void))
{
	(void)fn;
}

/* Never reached here. */
void worker_self_set(struct worker *worker)
{
	(void)worker;
}
void moirai__context_set(moirai__context *context)
{
	(void)context;
}
struct cell *cell_get_slow(struct slab *slab, int *error)
{
	(void)slab;
	*error = -ENOMEM;
	return NULL;
}
void cell_put_remote(struct cell *cell)
{
	(void)cell;
}
void slab_fini(struct slab *slab)
{
	(void)slab;
}
int side_attach(struct slab *sides, struct moirai_task *task, const moirai_task_attr *attr)
{
	(void)sides, (void)task, (void)attr;
	return 0;
}
int side_arm(struct moirai_task *task)
{
	(void)task;
	return 0;
}
void side_disarm(struct moirai_task *task)
{
	(void)task;
}
int moirai_task_attr_read(moirai_task_attr *out, const moirai_task_attr *attr)
{
	*out = *attr;
	return 0;
}
int moirai_os_thread_exit_hook(void (*fn)(void *), void *slot)
{
	(void)fn, (void)slot;
	return 0;
}
int moirai__injector_join(struct moirai__injector *injector, struct moirai__producer **out)
{
	(void)injector, (void)out;
	return -ENOMEM;
}
int moirai__producer_push_slow(struct moirai__producer *p, uintptr_t item)
{
	(void)p, (void)item;
	return -ENOMEM;
}
int moirai__deque_push_slow(struct moirai__deque *deque, uintptr_t item)
{
	(void)deque, (void)item;
	return -ENOMEM;
}
bool moirai__idle_notify_slow(struct moirai__idle *idle)
{
	(void)idle;
	return false;
}
bool moirai__idle_poke_slow(struct moirai__idle *idle)
{
	(void)idle;
	return false;
}
void task_put_slow(struct worker *worker, struct moirai_task *task)
{
	(void)worker, (void)task;
}
void moirai__park_left(moirai__park_ticket ticket)
{
	(void)ticket;
}
void fiber_post_slow(struct worker *worker, enum post post, uintptr_t arg)
{
	(void)worker, (void)post, (void)arg;
}
void moirai__stack_spill(struct moirai__stack_pool *stacks, struct moirai__stack_cache *cache,
	moirai__stack_class size_class)
{
	(void)stacks, (void)cache, (void)size_class;
}
void moirai__stack_retire(struct moirai__fiber *f)
{
	(void)f;
}
void moirai__fiber_leave_slow(struct moirai__fiber *from)
{
	(void)from;
}
void moirai__fiber_enter_slow(struct moirai__fiber *self)
{
	(void)self;
}

/* --- draining --- */

static void finish(unsigned worker)
{
	MOIRAI_WR(data[worker]) = 1; /* what its task did */
	moirai_store_release(&workers[worker].finished, workers[worker].finished + 1);
}

/* A worker that ends its only task and runs out of work. */
static void one_task(void *arg)
{
	finish((unsigned)(uintptr_t)arg);
	quiesce_check(&pool);
}

static void a_drain_sees_the_last_of_two(void)
{
	producer.tail_ = 2; /* accepted before anything else */
	model_thread(one_task, (void *)0);
	model_thread(one_task, (void *)1);
	MODEL_CHECK(quiesce_wait(&pool, MOIRAI_NEVER) == 0);
	MODEL_CHECK(MOIRAI_RD(data[0]) == 1 && MOIRAI_RD(data[1]) == 1);
	MODEL_CHECK(moirai_load_relaxed(&pool.drainers) == 0);
	model_join_all();
}

static uint32_t handed;

/* Its task spawns one that the other worker runs. */
static void parent(void *arg)
{
	(void)arg;
	moirai__queues_spawned(&workers[0].queues);
	moirai_store_release(&handed, 1u); /* the push */
	finish(0);
	quiesce_check(&pool);
}

static void child(void *arg)
{
	(void)arg;
	if (!moirai_load_acquire(&handed)) {
		/* The parent itself runs it in the end. */
		quiesce_check(&pool);
		while (!moirai_load_acquire(&handed))
			moirai_cpu_relax();
	}
	finish(1);
	quiesce_check(&pool);
}

static void a_drain_waits_for_what_a_task_spawned(void)
{
	producer.tail_ = 1;
	model_thread(parent, NULL);
	model_thread(child, NULL);
	MODEL_CHECK(quiesce_wait(&pool, MOIRAI_NEVER) == 0);
	MODEL_CHECK(MOIRAI_RD(data[0]) == 1 && MOIRAI_RD(data[1]) == 1);
	model_join_all();
}

static void drain_too(void *arg)
{
	(void)arg;
	MODEL_CHECK(quiesce_wait(&pool, MOIRAI_NEVER) == 0);
}

static void two_drains_both_return(void)
{
	producer.tail_ = 1;
	pool.worker_count = 1;
	model_thread(one_task, (void *)0);
	model_thread(drain_too, NULL);
	drain_too(NULL);
	model_join_all();
}

/* --- closing --- */

static struct moirai_task cells[3];
static unsigned accepted;

static void nothing(void *arg)
{
	(void)arg;
}

static void spawn_twice(void *arg)
{
	(void)arg;
	known[0] = (struct known){.pool_id = 1, .foreign = &record};
	for (int i = 0; i < 2; i++) {
		int rc = moirai_spawn(&pool.base, NULL, nothing, NULL, NULL);
		MODEL_CHECK(rc == 0 || rc == -ECANCELED);
		accepted += rc == 0;
	}
}

static void close_meets_spawn(void)
{
	pool.base.spawner = &spawn_ops;
	pool.foreigners = &record;
	record.cells.free = &cells[0].cell;
	cells[0].cell.link = (uintptr_t)&cells[1].cell;
	cells[1].cell.link = (uintptr_t)&cells[2].cell;
	model_thread(spawn_twice, NULL);
	moirai_store_release(&pool.phase, (uint32_t)POOL_DRAINING);
	foreign_settle(&pool);
	size_t closed = moirai__injector_accepted(&pool.injector);
	size_t items = 0; /* what a worker could take by now: plain reads race with a late push */
	for (size_t i = 0; i < closed; i++)
		items += MOIRAI_RD(segment.item_[i]) != 0;
	model_join_all();
	MODEL_CHECK(items == closed);
	MODEL_CHECK(moirai__injector_accepted(&pool.injector) == closed);
	MODEL_CHECK(accepted == closed);
	model_count(closed == 0 ? "none" : closed == 1 ? "one" : "two");
}

MODEL_MAIN(MODEL_CLEAN(a_drain_sees_the_last_of_two, .limit = 1000000),
	MODEL_CLEAN(a_drain_waits_for_what_a_task_spawned), MODEL_CLEAN(two_drains_both_return),
	MODEL_CLEAN(close_meets_spawn, .exhaust = true),
	MODEL_CLEAN(close_meets_spawn, .symmetric_fences = true),
	MODEL_FINDS(a_drain_sees_the_last_of_two, 1, ""),
	MODEL_FINDS(a_drain_sees_the_last_of_two, 2, "", .symmetric_fences = true),
	MODEL_FINDS(a_drain_sees_the_last_of_two, 3, ""),
	MODEL_FINDS(a_drain_sees_the_last_of_two, 4, "race"),
	MODEL_FINDS(a_drain_sees_the_last_of_two, 5, ""),
	MODEL_FINDS(a_drain_sees_the_last_of_two, 6, ""),
	MODEL_FINDS(close_meets_spawn, 7, "", .symmetric_fences = true),
	MODEL_FINDS(close_meets_spawn, 8, ""), MODEL_FINDS(close_meets_spawn, 9, ""),
	MODEL_FINDS(close_meets_spawn, 10, ""))
