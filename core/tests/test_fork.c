/* SPDX-License-Identifier: MIT */
/* What must still work in the child of a fork(), while other threads of the parent wait and work. */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/os.h>

static uint32_t gate, stop;

static void wait_at_gate(void *arg)
{
	while (moirai_load_acquire(&stop) == 0)
		moirai_os_futex_wait(&gate, 0, moirai_deadline_after(20 * MOIRAI_MS));
}

static void keep_waking(void *arg)
{
	while (moirai_load_acquire(&stop) == 0) {
		moirai_os_futex_wake(&gate, 1);
		moirai_os_yield();
	}
}

static uint32_t child_word;

MOIRAI_MAYBE_UNUSED static void answer(void *arg)
{
	moirai_store_release(&child_word, 1);
	moirai_os_futex_wake(&child_word, 1);
}

/* In the child: 0 when everything works, else the number of the first thing that does not. */
static int use_everything(uint64_t parent_id)
{
	uint32_t word = 0;
	if (moirai_os_futex_wait(&word, 1, MOIRAI_NEVER) != -EAGAIN)
		return 1;
	if (moirai_os_futex_wait(&word, 0, moirai_deadline_after(MOIRAI_MS)) == -EAGAIN)
		return 2;
	if (strcmp(moirai_os_name(), "linux") == 0 && moirai_os_thread_id() == parent_id)
		return 3;
	moirai_fence_heavy();
	/* Neither TSan nor qemu-user lets a child of a threaded process start threads. */
#if !MOIRAI_TSAN && !defined(MOIRAI_TEST_EMULATED)
	moirai_os_thread thread;
	if (moirai_os_thread_create(&thread, NULL, answer, NULL) != 0)
		return 4;
	while (moirai_load_acquire(&child_word) == 0)
		moirai_os_futex_wait(&child_word, 0, moirai_deadline_after(MOIRAI_S));
	if (moirai_os_thread_join(thread) != 0)
		return 5;
#endif
	void *block = moirai_alloc(100);
	if (!block)
		return 6;
	moirai_free(block);
	return 0;
}

static void child_can_wait_wake_fence_and_start_threads(void)
{
	moirai_os_thread sleeper, waker;
	REQUIRE(moirai_os_thread_create(&sleeper, NULL, wait_at_gate, NULL) == 0);
	REQUIRE(moirai_os_thread_create(&waker, NULL, keep_waking, NULL) == 0);
	uint64_t id = moirai_os_thread_id();
	for (int round = 0; round < 20; round++) {
		fflush(stdout);
		pid_t child = fork();
		if (child == 0) {
			alarm(20);
			_exit(use_everything(id));
		}
		int status = -1;
		CHECK(waitpid(child, &status, 0) == child);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			DIAG("status 0x%x", (unsigned)status);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	moirai_store_release(&stop, 1);
	moirai_os_thread_join(sleeper);
	moirai_os_thread_join(waker);
	CHECK(moirai_os_thread_id() == id);
}

/* What the program writes to its standard error output before it dies. */
static void panic_says_where_and_what_and_aborts(void)
{
	int ends[2];
	char text[1024] = {0};
	REQUIRE(pipe(ends) == 0);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], 2);
		int two = 2;
		MOIRAI_ASSERT(two == 2);
		MOIRAI_ASSERT(two + two == 5);
		_exit(0);
	}
	close(ends[1]);
	size_t size = 0;
	ssize_t n;
	while (size < sizeof(text) - 1 && (n = read(ends[0], text + size, sizeof(text) - 1 - size)) > 0)
		size += (size_t)n;
	close(ends[0]);
	int status = 0;
	waitpid(child, &status, 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CHECK(strstr(text, "test_fork.c:") && strstr(text, "two + two == 5"));
	CHECK(strncmp(text, "moirai: ", 8) == 0 && strchr(text, '\n'));
}

static void long_panic_is_cut_and_null_is_no_crash(void)
{
	static char much[5000];
	memset(much, 'x', sizeof(much) - 1);
	for (int i = 0; i < 2; i++) {
		fflush(stdout);
		pid_t child = fork();
		if (child == 0) {
			close(2);
			moirai_panic(i ? NULL : much, -5, i ? NULL : much);
		}
		int status = 0;
		waitpid(child, &status, 0);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

TAP_MAIN(TEST(child_can_wait_wake_fence_and_start_threads),
	TEST(panic_says_where_and_what_and_aborts), TEST(long_panic_is_cut_and_null_is_no_crash))
