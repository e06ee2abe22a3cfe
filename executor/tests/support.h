/* SPDX-License-Identifier: MIT */
/* What the executor's tests share: pools, "the same from a thread and from a task", a little sync. */
#ifndef MOIRAI_EXECUTOR_TEST_SUPPORT_H
#define MOIRAI_EXECUTOR_TEST_SUPPORT_H

#include <moirai/core/atomic.h>
#include <moirai/core/os.h>
#include <moirai/core/park.h>
#include <moirai/executor.h>
#include <stdlib.h>

#include "tap.h"

/* Sanitizers and valgrind make everything slower; the loops shrink, the claims stay. */
#if MOIRAI_ASAN || MOIRAI_TSAN
#define HEAVY 1
#else
#define HEAVY 0
#endif

/* Long enough that a loaded machine does not time out by itself, short enough for a hanging test. */
#define PATIENCE_NS (20 * MOIRAI_S)

static inline moirai_executor *pool_new(unsigned workers)
{
	moirai_executor *executor = NULL;
	moirai_executor_attr attr = {.size = sizeof(attr), .workers = workers};
	int rc = moirai_executor_create(&executor, &attr);
	if (rc < 0) {
		printf("# no pool of %u workers: %s\n", workers, moirai_strerror(rc));
		exit(1);
	}
	return executor;
}

struct in_task {
	void (*run)(moirai_executor *);
	moirai_executor *executor;
};

static inline void in_task_main(void *arg)
{
	struct in_task *job = arg;
	job->run(job->executor);
}

/* Runs the checks on the calling thread, then in a task of the pool. */
static inline void from_thread_and_task(void (*run)(moirai_executor *), moirai_executor *executor)
{
	run(executor);
	struct in_task job = {.run = run, .executor = executor};
	moirai_task *task = NULL;
	REQUIRE(moirai_spawn(executor, NULL, in_task_main, &job, &task) == 0);
	CHECK(moirai_task_join(task, NULL) == 0);
}

/* --- a gate: tasks park on it until it is opened --- */

struct gate {
	uint32_t open;
	uint32_t waiting;   /* that have arrived */
	uint32_t passed;    /* that saw it open */
	uint32_t cancelled; /* that were sent away */
};

static inline void gate_wait(void *arg)
{
	struct gate *gate = arg;
	moirai_fetch_add_relaxed(&gate->waiting, 1u);
	while (moirai_load_acquire(&gate->open) == 0) {
		if (moirai_park(&gate->open, 0, MOIRAI_NEVER) == -ECANCELED) {
			moirai_fetch_add_relaxed(&gate->cancelled, 1u);
			return;
		}
	}
	moirai_fetch_add_relaxed(&gate->passed, 1u);
}

static inline void gate_open(struct gate *gate)
{
	moirai_store_release(&gate->open, 1u);
	moirai_unpark(&gate->open, UINT32_MAX);
}

/* Waits until *counter has reached n; false after PATIENCE_NS. From a thread or a task. */
static inline bool await_count(const uint32_t *counter, uint32_t n)
{
	uint64_t deadline = moirai_deadline_after(PATIENCE_NS);
	while (moirai_load_acquire(counter) < n) {
		if (moirai_now() > deadline)
			return false;
		moirai_sleep_for(100 * MOIRAI_US);
	}
	return true;
}

/* Waits until the task is in the state; false after PATIENCE_NS. */
static inline bool await_state(const moirai_task *task, moirai_task_state state)
{
	uint64_t deadline = moirai_deadline_after(PATIENCE_NS);
	while (moirai_task_status(task) != state) {
		if (moirai_now() > deadline)
			return false;
		moirai_sleep_for(100 * MOIRAI_US);
	}
	return true;
}

#endif
