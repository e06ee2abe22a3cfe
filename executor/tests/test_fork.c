/* SPDX-License-Identifier: MIT */
/* The child of a fork has the pool's memory but not its threads: it is told so, it does not hang. */
#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

static void nothing(void *arg)
{
	(void)arg;
}

/* How the child ended: its exit code, or -1. */
static int wait_for(pid_t child)
{
	int status = 0;
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* In the child; the number of the first check that failed. */
static int refused(moirai_executor *ex, moirai_task *waiting)
{
	moirai_task *task = NULL;
	if (moirai_spawn(ex, NULL, nothing, NULL, &task) != -ENOTSUP || task != NULL)
		return 1;
	if (moirai_task_join(waiting, NULL) != -ENOTSUP)
		return 2;
	if (moirai_task_wait_until(waiting, MOIRAI_NEVER) != -ENOTSUP)
		return 3;
	if (moirai_executor_drain(ex, MOIRAI_NEVER) != -ENOTSUP)
		return 4;
	if (moirai_executor_shutdown(ex, MOIRAI_SHUTDOWN_CANCEL, MOIRAI_NEVER) != -ENOTSUP)
		return 5;
	if (moirai_executor_destroy(ex) != -ENOTSUP)
		return 6;
	if (moirai_executor_current() != NULL || moirai_task_current() != NULL)
		return 7;
	if (moirai_sleep_for(MOIRAI_MS) != 0)
		return 8;
	/* A pool of its own works. */
	moirai_executor *own = NULL;
	moirai_executor_attr attr = {.size = sizeof(attr), .workers = 2};
	if (moirai_executor_create(&own, &attr) != 0)
		return 9;
	if (moirai_spawn(own, NULL, nothing, NULL, &task) != 0 || moirai_task_join(task, NULL) != 0)
		return 10;
	if (moirai_executor_destroy(own) != 0)
		return 11;
	return 0;
}

static void the_child_of_a_fork_is_refused(void)
{
	if (MOIRAI_TSAN)
		SKIP("ThreadSanitizer starts no threads after a fork");
	moirai_executor *ex = pool_new(2);
	struct gate gate = {0};
	moirai_task *task = NULL;
	REQUIRE(moirai_spawn(ex, NULL, gate_wait, &gate, &task) == 0);
	CHECK(await_state(task, MOIRAI_TASK_PARKED));
	fflush(stdout);
	pid_t child = fork();
	REQUIRE(child >= 0);
	if (child == 0)
		_exit(refused(ex, task));
	CHECK(wait_for(child) == 0);
	gate_open(&gate);
	CHECK(moirai_task_join(task, NULL) == 0); /* the parent's pool has not noticed */
	CHECK(moirai_executor_destroy(ex) == 0);
}

struct forking {
	moirai_executor *ex;
	moirai_task *waiting;
	int code;
};

static void fork_in_task(void *arg)
{
	struct forking *forking = arg;
	pid_t child = fork();
	REQUIRE(child >= 0);
	if (child == 0)
		_exit(refused(forking->ex, forking->waiting));
	forking->code = wait_for(child);
}

static void a_task_may_fork_and_exit(void)
{
	if (MOIRAI_TSAN)
		SKIP("ThreadSanitizer starts no threads after a fork");
	struct gate gate = {0};
	struct forking forking = {.ex = pool_new(2), .code = -2};
	moirai_task *task = NULL;
	REQUIRE(moirai_spawn(forking.ex, NULL, gate_wait, &gate, &forking.waiting) == 0);
	CHECK(await_state(forking.waiting, MOIRAI_TASK_PARKED));
	REQUIRE(moirai_spawn(forking.ex, NULL, fork_in_task, &forking, &task) == 0);
	CHECK(moirai_task_join(task, NULL) == 0);
	CHECK(forking.code == 0);
	gate_open(&gate);
	CHECK(moirai_task_join(forking.waiting, NULL) == 0);
	CHECK(moirai_executor_destroy(forking.ex) == 0);
}

TAP_MAIN(TEST(the_child_of_a_fork_is_refused), TEST(a_task_may_fork_and_exit))
