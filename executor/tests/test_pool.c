/* SPDX-License-Identifier: MIT */
/* The pool as a whole: creation, limits, drain, shutdown, several pools, foreign threads. */
#include "support.h"

static void nothing(void *arg)
{
	(void)arg;
}

static void count(void *arg)
{
	moirai_fetch_add_relaxed((uint32_t *)arg, 1u);
}

static void wrong_attributes_are_refused(void)
{
	moirai_executor *ex = NULL;
	CHECK(moirai_executor_create(NULL, NULL) == -EINVAL);
	moirai_executor_attr attr = {.workers = MOIRAI_EXECUTOR_WORKERS_MAX + 1};
	CHECK(moirai_executor_create(&ex, &attr) == -EINVAL);
	attr = (moirai_executor_attr){.size = UINT32_MAX}; /* is not looked at that far */
	CHECK(moirai_executor_create(&ex, &attr) == -EINVAL);
	attr = (moirai_executor_attr){.stack_size_bytes = 1u << 30};
	CHECK(moirai_executor_create(&ex, &attr) == -EINVAL);
	attr = (moirai_executor_attr){.cpus_count = 1};
	CHECK(moirai_executor_create(&ex, &attr) == -EINVAL);
	attr = (moirai_executor_attr){.tasks_max = UINT64_MAX};
	CHECK(moirai_executor_create(&ex, &attr) == -EINVAL);
	attr = (moirai_executor_attr){.blocking_max = UINT32_MAX};
	CHECK(moirai_executor_create(&ex, &attr) == -EINVAL);
	attr = (moirai_executor_attr){.size = 1};
	CHECK(moirai_executor_create(&ex, &attr) == -EINVAL);
	CHECK(ex == NULL);
	CHECK(moirai_executor_destroy(NULL) == 0);
	CHECK(moirai_executor_shutdown(NULL, MOIRAI_SHUTDOWN_DRAIN, 0) == -EINVAL);
	CHECK(moirai_executor_drain(NULL, 0) == -EINVAL);
	CHECK(moirai_executor_workers(NULL) == 0);
	moirai_executor_stats stats = {0};
	CHECK(moirai_executor_stats_get(NULL, &stats) == -EINVAL);
}

static void an_older_program_may_pass_a_shorter_struct(void)
{
	moirai_executor *ex = NULL;
	moirai_executor_attr attr = {.size = 8, .workers = 3, .spin_rounds = UINT32_MAX};
	REQUIRE(moirai_executor_create(&ex, &attr) == 0);
	CHECK(moirai_executor_workers(ex) == 3);
	CHECK(moirai_executor_destroy(ex) == 0);
	struct {
		moirai_executor_attr attr;
		uint32_t later;
	} newer = {.attr = {.size = sizeof(newer), .workers = 1}};
	REQUIRE(moirai_executor_create(&ex, &newer.attr) == 0);
	CHECK(moirai_executor_destroy(ex) == 0);
	newer.later = 1;
	CHECK(moirai_executor_create(&ex, &newer.attr) == -EINVAL);
}

static void the_default_uses_what_the_process_may(void)
{
	moirai_executor *ex = NULL;
	REQUIRE(moirai_executor_create(&ex, NULL) == 0);
	CHECK(moirai_executor_workers(ex) == moirai_os_cpus_usable());
	CHECK(moirai_executor_destroy(ex) == 0);
}

static void every_attribute_is_accepted(void)
{
	moirai_executor *ex = NULL;
	uint32_t cpus[] = {0};
	moirai_executor_attr attr = {.size = sizeof(attr),
		.workers = 2,
		.name = "a-long-name-of-a-pool",
		.cpus = cpus,
		.cpus_count = 1,
		.stack_size_bytes = 100 * 1024,
		.tasks_max = 10000,
		.parked_max = 1000,
		.blocking_max = 2,
		.spin_rounds = 5,
		.blocking_idle_ns = MOIRAI_MS,
		.nap_ns = MOIRAI_MS,
		.lone_ns = MOIRAI_MS,
		.pay_ns = MOIRAI_MS};
	REQUIRE(moirai_executor_create(&ex, &attr) == 0);
	uint32_t ran = 0;
	for (int i = 0; i < 100; i++)
		CHECK(moirai_spawn(ex, NULL, count, &ran, NULL) == 0);
	CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0);
	CHECK(ran == 100);
	CHECK(moirai_executor_destroy(ex) == 0);
}

static void the_limit_of_tasks_is_an_error(void)
{
	moirai_executor *ex = NULL;
	moirai_executor_attr attr = {.size = sizeof(attr), .workers = 1, .tasks_max = 1023};
	REQUIRE(moirai_executor_create(&ex, &attr) == 0);
	struct gate gate = {0};
	int accepted = 0, rc = 0;
	while ((rc = moirai_spawn(ex, NULL, gate_wait, &gate, NULL)) == 0 && accepted < 5000)
		accepted++;
	CHECK(rc == -EAGAIN);
	CHECK(accepted == 1023);
	gate_open(&gate);
	CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0);
	CHECK(gate.passed == (uint32_t)accepted);
	CHECK(moirai_spawn(ex, NULL, nothing, NULL, NULL) == 0); /* cells have come back */
	CHECK(moirai_executor_destroy(ex) == 0);
}

static void spawn_and_join_one(void *arg)
{
	moirai_task *task = NULL;
	int *rc = arg;
	*rc = moirai_spawn(moirai_executor_current(), NULL, nothing, NULL, &task);
	if (*rc == 0)
		*rc = moirai_task_join(task, NULL);
}

/* Cells come in blocks, one block to each thread that spawns: the first must not take them all. */
static void a_small_limit_leaves_cells_for_each_thread(void)
{
	moirai_executor *ex = NULL;
	moirai_executor_attr attr = {.size = sizeof(attr), .workers = 1, .tasks_max = 1};
	REQUIRE(moirai_executor_create(&ex, &attr) == 0);
	moirai_task *task = NULL;
	int rc = 1;
	REQUIRE(moirai_spawn(ex, NULL, spawn_and_join_one, &rc, &task) == 0);
	CHECK(moirai_task_join(task, NULL) == 0);
	CHECK(rc == 0);
	CHECK(moirai_executor_destroy(ex) == 0);
}

static void the_limit_of_stacks_only_delays(void)
{
	moirai_executor *ex = NULL;
	moirai_executor_attr attr = {.size = sizeof(attr), .workers = 2, .parked_max = 64};
	REQUIRE(moirai_executor_create(&ex, &attr) == 0);
	uint32_t slept = 0;
	for (int i = 0; i < 500; i++)
		CHECK(moirai_spawn(ex, NULL, count, &slept, NULL) == 0);
	struct gate gate = {0};
	for (int i = 0; i < 40; i++)
		CHECK(moirai_spawn(ex, NULL, gate_wait, &gate, NULL) == 0);
	CHECK(await_count(&gate.waiting, 40));
	gate_open(&gate);
	CHECK(moirai_executor_destroy(ex) == 0);
	CHECK(slept == 500);
	CHECK(gate.passed == 40);
}

/* --- drain and shutdown --- */

static void tree(void *arg)
{
	uintptr_t depth = (uintptr_t)arg & 15;
	uint32_t *leaves = (uint32_t *)((uintptr_t)arg & ~(uintptr_t)15);
	if (depth == 0) {
		moirai_fetch_add_relaxed(leaves, 1u);
		return;
	}
	for (int i = 0; i < 2; i++) {
		int rc = moirai_spawn(moirai_executor_current(), NULL, tree,
			(void *)((uintptr_t)leaves | (depth - 1)), NULL);
		CHECK(rc == 0);
	}
}

static void drain_waits_for_what_tasks_spawn(void)
{
	static uint32_t leaves MOIRAI_ALIGNED(16);
	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		moirai_executor *ex = pool_new(workers);
		for (int round = 0; round < 10; round++) {
			leaves = 0;
			REQUIRE(moirai_spawn(ex, NULL, tree, (void *)((uintptr_t)&leaves | 8),
					NULL) == 0);
			CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0);
			CHECK(leaves == 256);
			CHECK(moirai_executor_drain(ex, 0) == 0); /* nothing left: no wait */
		}
		leaves = 0;
		REQUIRE(moirai_spawn(ex, NULL, tree, (void *)((uintptr_t)&leaves | 8), NULL) == 0);
		CHECK(moirai_executor_destroy(ex) == 0);
		CHECK(leaves == 256);
	}
}

static void drain_keeps_its_deadline(void)
{
	moirai_executor *ex = pool_new(2);
	struct gate gate = {0};
	REQUIRE(moirai_spawn(ex, NULL, gate_wait, &gate, NULL) == 0);
	CHECK(moirai_executor_drain(ex, moirai_deadline_after(3 * MOIRAI_MS)) == -ETIMEDOUT);
	CHECK(moirai_executor_drain(ex, 0) == -ETIMEDOUT);
	REQUIRE(moirai_spawn(ex, NULL, nothing, NULL, NULL) == 0); /* it is still open */
	CHECK(moirai_executor_shutdown(ex, MOIRAI_SHUTDOWN_DRAIN,
		      moirai_deadline_after(3 * MOIRAI_MS)) == -ETIMEDOUT);
	CHECK(moirai_spawn(ex, NULL, nothing, NULL, NULL) == -ECANCELED); /* now it is not */
	gate_open(&gate);
	CHECK(moirai_executor_shutdown(ex, MOIRAI_SHUTDOWN_DRAIN, MOIRAI_NEVER) == 0);
	CHECK(gate.passed == 1);
	CHECK(moirai_executor_shutdown(ex, (moirai_shutdown_mode)7, MOIRAI_NEVER) == -EINVAL);
	CHECK(moirai_executor_destroy(ex) == 0);
}

static void try_to_end_my_pool(void *arg)
{
	moirai_executor *ex = arg;
	CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == -EDEADLK);
	CHECK(moirai_executor_shutdown(ex, MOIRAI_SHUTDOWN_CANCEL, MOIRAI_NEVER) == -EDEADLK);
	CHECK(moirai_executor_destroy(ex) == -EDEADLK);
}

static void a_task_cannot_end_its_own_pool(void)
{
	moirai_executor *ex = pool_new(1);
	moirai_task *task = NULL;
	REQUIRE(moirai_spawn(ex, NULL, try_to_end_my_pool, ex, &task) == 0);
	CHECK(moirai_task_join(task, NULL) == 0);
	CHECK(moirai_executor_destroy(ex) == 0);
}

struct tally {
	uint32_t ready;
	uint32_t cancelled;
	uint32_t cleaned;
	uint32_t refused;
};

static void wait_for_the_end(void *arg)
{
	struct tally *tally = arg;
	uint32_t n = moirai_fetch_add_relaxed(&tally->ready, 1u);
	uint64_t deadline = n % 2 ? MOIRAI_NEVER : moirai_deadline_after(3600 * MOIRAI_S);
	if (moirai_sleep_until(deadline) == -ECANCELED)
		moirai_fetch_add_relaxed(&tally->cancelled, 1u);
	if (moirai_spawn(moirai_executor_current(), NULL, nothing, NULL, NULL) == -ECANCELED)
		moirai_fetch_add_relaxed(&tally->refused, 1u);
	moirai_cancel_mask(); /* a clean-up may still wait */
	if (moirai_sleep_for(100 * MOIRAI_US) == 0)
		moirai_fetch_add_relaxed(&tally->cleaned, 1u);
	moirai_cancel_unmask();
}

static void shutdown_ends_every_wait(void)
{
	for (unsigned workers = 1; workers <= 4; workers *= 2) {
		enum { COUNT = 500 };
		moirai_executor *ex = pool_new(workers);
		struct tally tally = {0};
		for (int i = 0; i < COUNT; i++)
			REQUIRE(moirai_spawn(ex, NULL, wait_for_the_end, &tally, NULL) == 0);
		CHECK(await_count(&tally.ready, COUNT));
		CHECK(moirai_executor_shutdown(ex, MOIRAI_SHUTDOWN_CANCEL, MOIRAI_NEVER) == 0);
		CHECK(tally.cancelled == COUNT);
		CHECK(tally.refused == COUNT);
		CHECK(tally.cleaned == COUNT);
		CHECK(moirai_executor_destroy(ex) == 0);
	}
}

static void hold_worker(void *arg)
{
	struct gate *gate = arg;
	moirai_fetch_add_relaxed(&gate->waiting, 1u);
	while (moirai_load_acquire(&gate->open) == 0)
		moirai_os_yield();
}

static void shutdown_completes_what_never_ran(void)
{
	enum { COUNT = 100 };
	moirai_executor *ex = pool_new(1);
	struct gate gate = {0};
	uint32_t ran = 0;
	moirai_task *tasks[COUNT], *holder = NULL;
	REQUIRE(moirai_spawn(ex, NULL, hold_worker, &gate, &holder) == 0);
	CHECK(await_count(&gate.waiting, 1));
	for (int i = 0; i < COUNT; i++)
		REQUIRE(moirai_spawn(ex, NULL, count, &ran, &tasks[i]) == 0);
	CHECK(moirai_executor_shutdown(ex, MOIRAI_SHUTDOWN_CANCEL,
		      moirai_deadline_after(2 * MOIRAI_MS)) == -ETIMEDOUT);
	gate_open(&gate);
	for (int i = 0; i < COUNT; i++)
		CHECK(moirai_task_join(tasks[i], NULL) == -ECANCELED); /* joiners wake */
	CHECK(moirai_task_join(holder, NULL) == 0);
	CHECK(moirai_executor_shutdown(ex, MOIRAI_SHUTDOWN_CANCEL, MOIRAI_NEVER) == 0);
	moirai_executor_stats stats = {.size = sizeof(stats)};
	CHECK(moirai_executor_stats_get(ex, &stats) == 0);
	CHECK(stats.spawned == COUNT + 1 && stats.finished == COUNT + 1 &&
		stats.cancelled == COUNT);
	CHECK(moirai_executor_destroy(ex) == 0);
	CHECK(ran == 0);
}

/* --- several pools, foreign threads --- */

struct two_pools {
	moirai_executor *other;
	uint32_t ran;
};

static void use_other_pool(void *arg)
{
	struct two_pools *pools = arg;
	for (int i = 0; i < 50; i++) {
		moirai_task *task = NULL;
		REQUIRE(moirai_spawn(pools->other, NULL, count, &pools->ran, &task) == 0);
		CHECK(moirai_task_join(task, NULL) == 0);
	}
	/* A task may own a pool of its own. */
	moirai_executor *own = pool_new(1);
	CHECK(moirai_spawn(own, NULL, count, &pools->ran, NULL) == 0);
	CHECK(moirai_executor_destroy(own) == 0);
}

static void pools_do_not_know_each_other(void)
{
	moirai_executor *a = pool_new(1), *b = pool_new(2);
	struct two_pools ab = {.other = b}, ba = {.other = a};
	moirai_task *in_a = NULL, *in_b = NULL;
	REQUIRE(moirai_spawn(a, NULL, use_other_pool, &ab, &in_a) == 0);
	REQUIRE(moirai_spawn(b, NULL, use_other_pool, &ba, &in_b) == 0);
	CHECK(moirai_task_join(in_a, NULL) == 0);
	CHECK(moirai_task_join(in_b, NULL) == 0);
	CHECK(ab.ran == 51 && ba.ran == 51);
	CHECK(moirai_executor_destroy(a) == 0);
	CHECK(moirai_executor_destroy(b) == 0);
}

static void one_thread_uses_many_pools(void)
{
	moirai_executor *pools[10];
	uint32_t ran = 0;
	for (int i = 0; i < 10; i++)
		pools[i] = pool_new(1);
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < 10; i++) {
			moirai_task *task = NULL;
			REQUIRE(moirai_spawn(pools[i], NULL, count, &ran, &task) == 0);
			CHECK(moirai_task_join(task, NULL) == 0);
		}
	CHECK(ran == 200);
	for (int i = 0; i < 10; i++)
		CHECK(moirai_executor_destroy(pools[i]) == 0);
}

struct foreign {
	moirai_executor *ex;
	uint32_t *ran;
};

static void foreign_thread(void *arg)
{
	struct foreign *foreign = arg;
	moirai_task *tasks[20];
	for (int i = 0; i < 20; i++)
		REQUIRE(moirai_spawn(foreign->ex, NULL, count, foreign->ran, &tasks[i]) == 0);
	for (int i = 0; i < 20; i++)
		CHECK(moirai_task_join(tasks[i], NULL) == 0);
	CHECK(moirai_spawn(foreign->ex, NULL, count, foreign->ran, NULL) == 0);
}

static void threads_come_and_go(void)
{
	enum { THREADS = 8, ROUNDS = 12 };
	moirai_executor *ex = pool_new(2);
	uint32_t ran = 0;
	struct foreign foreign = {.ex = ex, .ran = &ran};
	for (int round = 0; round < ROUNDS; round++) {
		moirai_os_thread threads[THREADS];
		for (int i = 0; i < THREADS; i++)
			REQUIRE(moirai_os_thread_create(
					&threads[i], NULL, foreign_thread, &foreign) == 0);
		for (int i = 0; i < THREADS; i++)
			CHECK(moirai_os_thread_join(threads[i]) == 0);
	}
	CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0);
	CHECK(ran == THREADS * ROUNDS * 21);
	moirai_executor_stats stats = {.size = sizeof(stats)};
	CHECK(moirai_executor_stats_get(ex, &stats) == 0);
	CHECK(stats.cells <= 1023 * (THREADS + 2)); /* records are adopted, not made anew */
	CHECK(moirai_executor_destroy(ex) == 0);
}

struct closing {
	moirai_executor *ex;
	uint32_t accepted, ran, stop;
};

static void spawn_until_refused(void *arg)
{
	struct closing *closing = arg;
	while (!moirai_load_relaxed(&closing->stop)) {
		int rc = moirai_spawn(closing->ex, NULL, count, &closing->ran, NULL);
		if (rc == -ECANCELED)
			return;
		if (rc == 0)
			moirai_fetch_add_relaxed(&closing->accepted, 1u);
		else
			CHECK(rc == -EAGAIN);
	}
}

static void nothing_accepted_is_lost_at_shutdown(void)
{
	for (int round = 0; round < (HEAVY ? 10 : 40); round++) {
		struct closing closing = {.ex = pool_new(2)};
		moirai_os_thread threads[3];
		for (int i = 0; i < 3; i++)
			REQUIRE(moirai_os_thread_create(
					&threads[i], NULL, spawn_until_refused, &closing) == 0);
		moirai_os_sleep((uint64_t)(round % 7) * 50 * MOIRAI_US);
		CHECK(moirai_executor_shutdown(closing.ex, MOIRAI_SHUTDOWN_DRAIN, MOIRAI_NEVER) ==
			0);
		uint32_t ran = moirai_load_acquire(&closing.ran);
		for (int i = 0; i < 3; i++)
			CHECK(moirai_os_thread_join(threads[i]) == 0);
		CHECK(closing.accepted ==
			ran); /* nothing was accepted after the shutdown's return */
		CHECK(closing.ran == ran);
		CHECK(moirai_executor_destroy(closing.ex) == 0);
	}
}

static void an_idle_pool_sleeps(void)
{
	moirai_executor *ex = pool_new(2);
	uint32_t ran = 0;
	for (int i = 0; i < 100; i++)
		CHECK(moirai_spawn(ex, NULL, count, &ran, NULL) == 0);
	CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0);
	moirai_os_sleep(50 * MOIRAI_MS); /* time to fall asleep */
	moirai_executor_stats before = {.size = sizeof(before)}, after = before;
	CHECK(moirai_executor_stats_get(ex, &before) == 0);
	moirai_os_sleep(200 * MOIRAI_MS);
	CHECK(moirai_executor_stats_get(ex, &after) == 0);
	CHECK(after.sleeps == before.sleeps);
	CHECK(after.naps == before.naps);
	CHECK(moirai_spawn(ex, NULL, count, &ran, NULL) == 0);
	CHECK(await_count(&ran, 101));
	CHECK(moirai_executor_destroy(ex) == 0);
}

/* --- the tables of core --- */

static void the_pool_speaks_the_interfaces_of_core(void)
{
	moirai_executor *ex = pool_new(2);
	struct gate gate = {0};
	moirai_task *task = NULL;
	moirai_task_state state;
	CHECK(ex->control->workers(ex) == 2);
	REQUIRE(ex->spawner->spawn(ex, NULL, gate_wait, &gate, &task) == 0);
	CHECK(await_state(task, MOIRAI_TASK_PARKED));
	CHECK(ex->manager->status(ex, task, &state) == 0 && state == MOIRAI_TASK_PARKED);
	CHECK(ex->manager->wait(ex, task, 0) == -ETIMEDOUT);
	CHECK(ex->manager->cancel(ex, task) == 0);
	CHECK(ex->manager->wait(ex, task, MOIRAI_NEVER) == 0);
	CHECK(moirai_task_join(task, NULL) == 0);
	CHECK(ex->control->drain(ex, MOIRAI_NEVER) == 0);
	CHECK(ex->control->shutdown(ex, MOIRAI_SHUTDOWN_DRAIN, MOIRAI_NEVER) == 0);
	CHECK(ex->control->destroy(ex) == 0);
}

TAP_MAIN(TEST(wrong_attributes_are_refused), TEST(an_older_program_may_pass_a_shorter_struct),
	TEST(the_default_uses_what_the_process_may), TEST(every_attribute_is_accepted),
	TEST(the_limit_of_tasks_is_an_error), TEST(a_small_limit_leaves_cells_for_each_thread),
	TEST(the_limit_of_stacks_only_delays),
	TEST(drain_waits_for_what_tasks_spawn), TEST(drain_keeps_its_deadline),
	TEST(a_task_cannot_end_its_own_pool), TEST(shutdown_ends_every_wait),
	TEST(shutdown_completes_what_never_ran), TEST(pools_do_not_know_each_other),
	TEST(one_thread_uses_many_pools), TEST(threads_come_and_go),
	TEST(nothing_accepted_is_lost_at_shutdown), TEST(an_idle_pool_sleeps),
	TEST(the_pool_speaks_the_interfaces_of_core))
