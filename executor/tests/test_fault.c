/* SPDX-License-Identifier: MIT */
/* Every allocation, mapping and thread of the pool fails once: clean errors, no leak, still usable. */
#include "support.h"

#include "sweep.h"

static void count(void *arg)
{
	moirai_fetch_add_relaxed((uint32_t *)arg, 1u);
}

static void sleep_and_count(void *arg)
{
	moirai_yield();
	CHECK(moirai_sleep_for(50 * MOIRAI_US) == 0);
	count(arg);
}

static void block_and_count(void *arg)
{
	CHECK(moirai_blocking(count, arg) == 0); /* in place if there is no thread */
}

static int create_and_destroy(void *arg)
{
	moirai_executor *ex = NULL;
	moirai_executor_attr attr = {.size = sizeof(attr), .workers = *(uint32_t *)arg};
	int rc = moirai_executor_create(&ex, &attr);
	if (rc < 0) {
		CHECK(ex == NULL);
		return rc;
	}
	CHECK(moirai_executor_destroy(ex) == 0);
	return 0;
}

static void create_survives_every_failure(void)
{
	for (uint32_t workers = 1; workers <= 3; workers += 2)
		CHECK_SWEEP(MOIRAI_FAULT_ANY, create_and_destroy, &workers);
}

/* Spawns of all kinds from here; what was accepted runs, what was not says why. */
static int spawn_all_kinds(moirai_executor *ex, uint32_t *ran, uint32_t *accepted)
{
	static const moirai_task_fn fns[] = {count, sleep_and_count, block_and_count};
	moirai_task_attr named = {.size = sizeof(named),
		.name = "swept",
		.priority = MOIRAI_PRIORITY_HIGH,
		.deadline_ns = moirai_deadline_after(1000 * MOIRAI_S)};
	int error = 0;
	for (int i = 0; i < 12; i++) {
		moirai_task *task = NULL;
		bool handle = i % 2;
		int rc = moirai_spawn(
			ex, i % 4 == 3 ? &named : NULL, fns[i % 3], ran, handle ? &task : NULL);
		if (rc < 0) {
			CHECK(task == NULL);
			CHECK(rc == -ENOMEM);
			error = rc;
			continue;
		}
		++*accepted;
		if (handle)
			CHECK(moirai_task_join(task, NULL) == 0);
	}
	return error;
}

struct family {
	moirai_executor *ex;
	uint32_t ran, accepted;
	int error;
};

static void spawn_from_task(void *arg)
{
	struct family *family = arg;
	family->error = spawn_all_kinds(family->ex, &family->ran, &family->accepted);
}

static int spawn_and_finish(void *arg)
{
	struct family family = {0};
	moirai_executor_attr attr = {.size = sizeof(attr), .workers = 2};
	int rc = moirai_executor_create(&family.ex, &attr);
	if (rc < 0)
		return rc;
	if (*(bool *)arg) {
		moirai_task *task = NULL;
		rc = moirai_spawn(family.ex, NULL, spawn_from_task, &family, &task);
		if (rc == 0) {
			CHECK(moirai_task_join(task, NULL) == 0);
			rc = family.error;
		}
	} else {
		rc = spawn_all_kinds(family.ex, &family.ran, &family.accepted);
	}
	CHECK(moirai_executor_drain(family.ex, MOIRAI_NEVER) == 0);
	CHECK(family.ran == family.accepted);
	CHECK(moirai_executor_destroy(family.ex) == 0);
	return rc;
}

static void spawn_from_a_thread_survives_every_failure(void)
{
	bool from_task = false;
	CHECK_SWEEP(MOIRAI_FAULT_ALLOC | MOIRAI_FAULT_MAP | MOIRAI_FAULT_THREAD, spawn_and_finish,
		&from_task);
}

static void spawn_from_a_task_survives_every_failure(void)
{
	bool from_task = true;
	CHECK_SWEEP(MOIRAI_FAULT_ALLOC | MOIRAI_FAULT_MAP | MOIRAI_FAULT_THREAD, spawn_and_finish,
		&from_task);
}

/* A deque, a yield queue and a slab grow while memory fails now and then: nothing is lost. */
static void crowd(void *arg)
{
	struct family *family = arg;
	for (int i = 0; i < 300; i++) {
		int rc = moirai_spawn(
			family->ex, NULL, i % 2 ? count : sleep_and_count, &family->ran, NULL);
		if (rc == 0)
			family->accepted++;
		else
			CHECK(rc == -ENOMEM);
	}
}

static int crowded(void *arg)
{
	(void)arg;
	struct family family = {0};
	moirai_executor_attr attr = {.size = sizeof(attr), .workers = 2};
	int rc = moirai_executor_create(&family.ex, &attr);
	if (rc < 0)
		return rc;
	moirai_task *task = NULL;
	rc = moirai_spawn(family.ex, NULL, crowd, &family, &task);
	if (rc == 0) {
		CHECK(moirai_task_join(task, NULL) == 0);
		CHECK(moirai_executor_drain(family.ex, MOIRAI_NEVER) == 0);
		CHECK(family.ran == family.accepted);
		rc = family.accepted == 300 ? 0 : -ENOMEM;
	}
	CHECK(moirai_executor_destroy(family.ex) == 0);
	return rc;
}

static void growing_queues_survive_every_failure(void)
{
	CHECK_SWEEP(MOIRAI_FAULT_ALLOC | MOIRAI_FAULT_MAP, crowded, NULL);
}

/* Futex waits that return for no reason, as after a signal. */
static int with_stray_wakes(void *arg)
{
	return spawn_and_finish(arg);
}

static void waits_survive_stray_wakes(void)
{
	bool from_task = false;
	CHECK_SWEEP(MOIRAI_FAULT_WAIT, with_stray_wakes, &from_task);
}

TAP_MAIN(TEST(create_survives_every_failure), TEST(spawn_from_a_thread_survives_every_failure),
	TEST(spawn_from_a_task_survives_every_failure), TEST(growing_queues_survive_every_failure),
	TEST(waits_survive_stray_wakes))
