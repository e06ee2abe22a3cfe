/* SPDX-License-Identifier: MIT */
/* What a task asks for while it runs: yield, sleep, blocking calls; the same from a thread. */
#include <moirai/core/observer.h>

#include "support.h"

static moirai_executor *pool; /* two workers */

/* --- yield --- */

struct turns {
	uint32_t next;
	uint32_t mine; /* how often it found that another one had been there */
};

static void take_turns(void *arg)
{
	struct turns *turns = arg;
	for (int i = 0; i < 200; i++) {
		uint32_t before = moirai_fetch_add_relaxed(&turns->next, 1u);
		moirai_yield();
		if (moirai_load_relaxed(&turns->next) != before + 1)
			moirai_fetch_add_relaxed(&turns->mine, 1u);
	}
}

static void yield_lets_others_run(void)
{
	moirai_executor *one = pool_new(1);
	struct turns turns = {0};
	moirai_task *tasks[3];
	for (int i = 0; i < 3; i++)
		REQUIRE(moirai_spawn(one, NULL, take_turns, &turns, &tasks[i]) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(moirai_task_join(tasks[i], NULL) == 0);
	CHECK(turns.next == 600);
	CHECK(turns.mine > 300); /* all but the tail, where one is alone */
	moirai_executor_stats stats = {.size = sizeof(stats)};
	CHECK(moirai_executor_stats_get(one, &stats) == 0);
	CHECK(stats.yields > 300);
	CHECK(moirai_executor_destroy(one) == 0);
}

static void check_yield_alone(moirai_executor *ex)
{
	(void)ex;
	for (int i = 0; i < 1000; i++)
		moirai_yield();
}

static void yield_alone_returns(void)
{
	from_thread_and_task(check_yield_alone, pool);
}

/* --- sleep --- */

static void check_sleep(moirai_executor *ex)
{
	(void)ex;
	uint64_t start = moirai_now();
	CHECK(moirai_sleep_for(0) == 0);
	CHECK(moirai_sleep_until(0) == 0);
	CHECK(moirai_sleep_until(start) == 0);
	for (int i = 1; i <= 5; i++) {
		uint64_t deadline = moirai_deadline_after((uint64_t)i * 300 * MOIRAI_US);
		CHECK(moirai_sleep_until(deadline) == 0);
		CHECK(moirai_now() >= deadline); /* never early */
	}
}

static void sleep_is_never_early(void)
{
	from_thread_and_task(check_sleep, pool);
}

struct sleeper {
	uint64_t deadline;
	uint32_t *done;
	uint32_t rank;
};

static void sleep_until(void *arg)
{
	struct sleeper *sleeper = arg;
	CHECK(moirai_sleep_until(sleeper->deadline) == 0);
	CHECK(moirai_now() >= sleeper->deadline);
	sleeper->rank = moirai_fetch_add_relaxed(sleeper->done, 1u);
}

static void sleepers_wake_in_the_order_of_their_deadlines(void)
{
	enum { COUNT = 64 };
	static struct sleeper sleepers[COUNT];
	moirai_task *tasks[COUNT];
	moirai_executor *one = pool_new(1);
	uint32_t done = 0;
	uint64_t base = moirai_deadline_after(20 * MOIRAI_MS);
	for (unsigned i = 0; i < COUNT; i++) {
		sleepers[i] = (struct sleeper){
			.deadline = base + (i * 37 % COUNT) * MOIRAI_MS, .done = &done};
		REQUIRE(moirai_spawn(one, NULL, sleep_until, &sleepers[i], &tasks[i]) == 0);
	}
	for (unsigned i = 0; i < COUNT; i++)
		CHECK(moirai_task_join(tasks[i], NULL) == 0);
	CHECK(done == COUNT);
	CHECK(moirai_executor_destroy(one) == 0);
}

static void beside_a_long_task(void *arg)
{
	struct gate *gate = arg;
	moirai_fetch_add_relaxed(&gate->waiting, 1u);
	while (moirai_load_acquire(&gate->open) == 0)
		moirai_cpu_relax();
}

static void a_long_task_delays_nobody_elses_deadline(void)
{
	/* The deadline stands in the wheel of a worker that is busy when it passes. */
	struct gate gate = {0};
	uint32_t done = 0;
	struct sleeper sleeper = {.deadline = moirai_deadline_after(10 * MOIRAI_MS), .done = &done};
	moirai_task *busy = NULL, *asleep = NULL;
	REQUIRE(moirai_spawn(pool, NULL, sleep_until, &sleeper, &asleep) == 0);
	CHECK(await_state(asleep, MOIRAI_TASK_PARKED) || done);
	REQUIRE(moirai_spawn(pool, NULL, beside_a_long_task, &gate, &busy) == 0);
	CHECK(await_count(&done, 1));
	gate_open(&gate);
	CHECK(moirai_task_join(busy, NULL) == 0);
	CHECK(moirai_task_join(asleep, NULL) == 0);
}

/* --- blocking --- */

struct outside {
	uint32_t calls;
	uint32_t inside_at_once, most;
	moirai_executor *pool;
};

static void block_a_while(void *arg)
{
	struct outside *outside = arg;
	uint32_t now = moirai_fetch_add_relaxed(&outside->inside_at_once, 1u) + 1;
	uint32_t most = moirai_load_relaxed(&outside->most);
	while (now > most && !moirai_cas_relaxed(&outside->most, &most, now))
		;
	CHECK(moirai_task_current() == NULL || moirai_executor_current() == outside->pool);
	moirai_os_sleep(2 * MOIRAI_MS);
	moirai_fetch_sub_relaxed(&outside->inside_at_once, 1u);
	moirai_fetch_add_relaxed(&outside->calls, 1u);
}

static void check_blocking(moirai_executor *ex)
{
	struct outside outside = {.pool = ex};
	CHECK(moirai_blocking(NULL, NULL) == -EINVAL);
	for (int i = 0; i < 3; i++)
		CHECK(moirai_blocking(block_a_while, &outside) == 0);
	CHECK(outside.calls == 3);
}

static void blocking_calls_the_function_once(void)
{
	from_thread_and_task(check_blocking, pool);
}

static void call_blocking(void *arg)
{
	CHECK(moirai_blocking(block_a_while, arg) == 0);
}

static void blocked_calls_do_not_stall_the_pool(void)
{
	enum { COUNT = 12 };
	moirai_executor *ex = NULL;
	moirai_executor_attr attr = {.size = sizeof(attr), .workers = 1, .blocking_max = 4};
	REQUIRE(moirai_executor_create(&ex, &attr) == 0);
	struct outside outside = {.pool = ex};
	moirai_task *tasks[COUNT];
	for (int i = 0; i < COUNT; i++)
		REQUIRE(moirai_spawn(ex, NULL, call_blocking, &outside, &tasks[i]) == 0);
	struct gate open = {.open = 1};
	moirai_task *quick = NULL; /* runs beside them on the only worker */
	REQUIRE(moirai_spawn(ex, NULL, gate_wait, &open, &quick) == 0);
	CHECK(moirai_task_join(quick, NULL) == 0);
	for (int i = 0; i < COUNT; i++)
		CHECK(moirai_task_join(tasks[i], NULL) == 0);
	CHECK(outside.calls == COUNT);
	CHECK(outside.most <= 4);
	CHECK(outside.most >= 2);
	moirai_executor_stats stats = {.size = sizeof(stats)};
	CHECK(moirai_executor_stats_get(ex, &stats) == 0);
	CHECK(stats.blocking == COUNT);
	CHECK(stats.spares <= 4);
	CHECK(moirai_executor_destroy(ex) == 0);
}

static void idle_spare_threads_end(void)
{
	moirai_executor *ex = NULL;
	moirai_executor_attr attr = {
		.size = sizeof(attr), .workers = 1, .blocking_idle_ns = 2 * MOIRAI_MS};
	REQUIRE(moirai_executor_create(&ex, &attr) == 0);
	struct outside outside = {.pool = ex};
	moirai_executor_stats stats = {.size = sizeof(stats)};
	for (int round = 0; round < 3; round++) {
		moirai_task *task = NULL;
		REQUIRE(moirai_spawn(ex, NULL, call_blocking, &outside, &task) == 0);
		CHECK(moirai_task_join(task, NULL) == 0);
		uint64_t deadline = moirai_deadline_after(PATIENCE_NS);
		do {
			moirai_os_sleep(MOIRAI_MS);
			CHECK(moirai_executor_stats_get(ex, &stats) == 0);
		} while (stats.spares > 0 && moirai_now() < deadline);
		CHECK(stats.spares == 0);
	}
	CHECK(outside.calls == 3);
	CHECK(moirai_executor_destroy(ex) == 0);
}

static void spawn_from_spare(void *arg)
{
	moirai_executor *ex = *(moirai_executor **)arg;
	CHECK(moirai_executor_current() == NULL);
	struct gate gate = {.open = 1};
	moirai_task *task = NULL;
	REQUIRE(moirai_spawn(ex, NULL, gate_wait, &gate, &task) == 0);
	CHECK(moirai_task_join(task, NULL) == 0);
	CHECK(gate.passed == 1);
	CHECK(moirai_executor_drain(ex, 0) == -EDEADLK);
	CHECK(moirai_executor_destroy(ex) == -EDEADLK);
}

static void call_spawn_from_spare(void *arg)
{
	CHECK(moirai_blocking(spawn_from_spare, arg) == 0);
}

static void a_blocking_call_may_use_its_pool(void)
{
	moirai_task *task = NULL;
	REQUIRE(moirai_spawn(pool, NULL, call_spawn_from_spare, &pool, &task) == 0);
	CHECK(moirai_task_join(task, NULL) == 0);
}

static void cancel_other(void *arg)
{
	moirai_task *self = *(moirai_task **)arg;
	CHECK(moirai_task_cancel(self) == 0);
	moirai_os_sleep(2 * MOIRAI_MS);
	*(moirai_task **)arg = NULL;
}

static void block_and_be_cancelled(void *arg)
{
	(void)arg;
	moirai_task *self = moirai_task_current();
	CHECK(moirai_blocking(cancel_other, &self) == 0); /* waited for although we are cancelled */
	CHECK(self == NULL);
	CHECK(moirai_sleep_for(MOIRAI_S) == -ECANCELED);
}

static void a_blocking_call_is_waited_for_after_a_cancel(void)
{
	moirai_task *task = NULL;
	REQUIRE(moirai_spawn(pool, NULL, block_and_be_cancelled, NULL, &task) == 0);
	CHECK(moirai_task_join(task, NULL) == 0);
}

/* --- who am I --- */

static void look_around(void *arg)
{
	moirai_executor *ex = arg;
	CHECK(moirai_executor_current() == ex);
	CHECK(moirai_executor_worker() >= 0 && moirai_executor_worker() < 2);
	CHECK(moirai_task_current() != NULL);
	CHECK(moirai_task_status(moirai_task_current()) == MOIRAI_TASK_RUNNING);
	CHECK(!moirai_cancelled());
}

static void a_task_knows_where_it_is(void)
{
	CHECK(moirai_executor_current() == NULL);
	CHECK(moirai_executor_worker() == -1);
	CHECK(!moirai_cancelled());
	moirai_cancel_mask(); /* nothing on a thread */
	moirai_cancel_unmask();
	moirai_task *task = NULL;
	REQUIRE(moirai_spawn(pool, NULL, look_around, pool, &task) == 0);
	CHECK(moirai_task_join(task, NULL) == 0);
}

/* --- observers --- */

static uint32_t events[MOIRAI_EVENT_KINDS];

static void note_event(void *self, moirai_event kind, const void *object, int worker)
{
	(void)object;
	(void)worker;
	moirai_fetch_add_relaxed(&((uint32_t *)self)[kind], 1u);
}

static void observers_hear_of_every_task(void)
{
	enum { COUNT = 100 };
	moirai_observer observer = {.mask = MOIRAI_EVENT_ALL, .event = note_event, .self = events};
	int rc = moirai_observer_attach(&observer);
	if (rc == -ENOTSUP)
		SKIP("built without observers");
	REQUIRE(rc == 0);
	struct gate gate = {.open = 1};
	moirai_task *tasks[COUNT];
	moirai_executor *ex = pool_new(2);
	for (int i = 0; i < COUNT; i++)
		REQUIRE(moirai_spawn(ex, NULL, gate_wait, &gate, &tasks[i]) == 0);
	for (int i = 0; i < COUNT; i++)
		CHECK(moirai_task_join(tasks[i], NULL) == 0);
	CHECK(moirai_executor_destroy(ex) == 0);
	CHECK(moirai_observer_detach(&observer) == 0);
	CHECK(events[MOIRAI_EVENT_SPAWN] == COUNT);
	CHECK(events[MOIRAI_EVENT_START] == COUNT);
	CHECK(events[MOIRAI_EVENT_FINISH] == COUNT);
	CHECK(events[MOIRAI_EVENT_WORKER_START] == 2);
	CHECK(events[MOIRAI_EVENT_WORKER_STOP] == 2);
}

static void open_pool(void)
{
	pool = pool_new(2);
}

static void close_pool(void)
{
	CHECK(moirai_executor_destroy(pool) == 0);
}

TAP_MAIN(TEST(open_pool), TEST(yield_lets_others_run), TEST(yield_alone_returns),
	TEST(sleep_is_never_early), TEST(sleepers_wake_in_the_order_of_their_deadlines),
	TEST(a_long_task_delays_nobody_elses_deadline), TEST(blocking_calls_the_function_once),
	TEST(blocked_calls_do_not_stall_the_pool), TEST(idle_spare_threads_end),
	TEST(a_blocking_call_may_use_its_pool), TEST(a_blocking_call_is_waited_for_after_a_cancel),
	TEST(a_task_knows_where_it_is), TEST(observers_hear_of_every_task), TEST(close_pool))
