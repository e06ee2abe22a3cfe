/* SPDX-License-Identifier: MIT */
/* What must still work in the child of a fork(), while other threads of the parent wait and work. */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sys/resource.h>
#if defined(__linux__) && __has_include(<linux/seccomp.h>) && !defined(MOIRAI_TEST_EMULATED)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#define HAVE_SECCOMP 1
#else
#define HAVE_SECCOMP 0
#endif

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/internal/fault.h>
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

static bool exits_with_0(void (*fn)(void))
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		alarm(20);
		fn();
		_exit(0);
	}
	int status = -1;
	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void need_symmetric_fences(void)
{
	moirai__fault_arm(0, 0);
	moirai_fence_heavy();
	moirai_fence_light();
	if (!moirai__fence_symmetric)
		_exit(1);
}

static void refused_membarrier_makes_the_fences_symmetric(void)
{
	if (strcmp(moirai_os_name(), "linux") != 0)
		SKIP("no membarrier in this OS layer");
	moirai__fault_arm(MOIRAI_FAULT_SYSCALL, 1);
	CHECK(exits_with_0(need_symmetric_fences)); /* the child chooses anew */
	moirai__fault_arm(0, 0);
}

#if HAVE_SECCOMP
static void forbid_membarrier(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {MOIRAI_ARRAY_SIZE(filter), filter};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
		_exit(77);
}

static void sandbox_then_fence(void)
{
	forbid_membarrier();
	/* Those who start in the sandbox have symmetric fences. */
	if (!exits_with_0(need_symmetric_fences))
		_exit(1);
	/* Those who were asymmetric before it must not go on. */
	if (moirai__fence_symmetric)
		_exit(0);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		moirai__fence_symmetric = false;
		close(2);
		moirai_fence_heavy();
		_exit(0);
	}
	int status = 0;
	waitpid(child, &status, 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		_exit(2);
}

static void sandbox_without_membarrier_is_noticed(void)
{
	if (strcmp(moirai_os_name(), "linux") != 0)
		SKIP("no membarrier in this OS layer");
	CHECK(exits_with_0(sandbox_then_fence));
}
#else
static void sandbox_without_membarrier_is_noticed(void)
{
	SKIP("no seccomp here");
}
#endif

#if MOIRAI_ASAN || MOIRAI_TSAN || defined(MOIRAI_TEST_EMULATED)
static void full_address_space_is_an_error_and_no_crash(void)
{
	SKIP("needs the address space for itself");
}
#else
static void exhaust(void)
{
	const size_t size = 64u << 20;
	struct rlimit limit = {32u << 20, 32u << 20};
	moirai_os_thread thread;
	void *memory = NULL;
	if (setrlimit(RLIMIT_AS, &limit) != 0)
		_exit(1);
	if (moirai_os_map(&memory, size, 1u << 21, MOIRAI_OS_MAP_RESERVE) != -ENOMEM || memory)
		_exit(2);
	if (moirai_alloc(size) || moirai_alloc_zeroed(1, size) || moirai_alloc_aligned(size, 4096))
		_exit(3);
	moirai_os_thread_attr big = {.stack_size_bytes = size};
	int rc = moirai_os_thread_create(&thread, &big, answer, NULL);
	if (rc != -EAGAIN && rc != -ENOMEM)
		_exit(4);
	moirai_alloc_stats stats;
	moirai_alloc_stats_get(&stats);
	if (stats.live_bytes != 0)
		_exit(5);
}

static void full_address_space_is_an_error_and_no_crash(void)
{
	CHECK(exits_with_0(exhaust));
}
#endif

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
	while (size < sizeof(text) - 1 &&
		(n = read(ends[0], text + size, sizeof(text) - 1 - size)) > 0)
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
	TEST(refused_membarrier_makes_the_fences_symmetric),
	TEST(sandbox_without_membarrier_is_noticed),
	TEST(full_address_space_is_an_error_and_no_crash),
	TEST(panic_says_where_and_what_and_aborts), TEST(long_panic_is_cut_and_null_is_no_crash))
