/* SPDX-License-Identifier: MIT */
/* Threads, their names, stacks and ends. */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#ifndef _WIN32
#include <pthread.h>
#include <signal.h>
#endif
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/internal/fault.h>
#include <moirai/core/os.h>

static bool on_linux(void)
{
	return strcmp(moirai_os_name(), "linux") == 0;
}

static void run(const moirai_os_thread_attr *attr, void (*fn)(void *arg), void *arg)
{
	moirai_os_thread thread;
	REQUIRE(moirai_os_thread_create(&thread, attr, fn, arg) == 0);
	CHECK(moirai_os_thread_join(thread) == 0);
}

static void note_id(void *arg)
{
	*(uint64_t *)arg = moirai_os_thread_id();
	CHECK(moirai_os_thread_id() == *(uint64_t *)arg);
}

static void thread_runs_and_has_its_own_id(void)
{
	uint64_t other = 0;
	run(NULL, note_id, &other);
	CHECK(other != 0 && moirai_os_thread_id() != 0);
	CHECK(other != moirai_os_thread_id());
}

static void bad_arguments_are_refused(void)
{
	moirai_os_thread thread;
	CHECK(moirai_os_thread_create(NULL, NULL, note_id, NULL) == -EINVAL);
	CHECK(moirai_os_thread_create(&thread, NULL, NULL, NULL) == -EINVAL);
	moirai_os_thread_attr huge = {.stack_size_bytes = SIZE_MAX};
	int rc = moirai_os_thread_create(&thread, &huge, note_id, NULL);
	CHECK(rc == -EINVAL || rc == -ENOMEM || rc == -EAGAIN);
	void *bound;
	CHECK(moirai_os_thread_stack(NULL, &bound) == -EINVAL);
	CHECK(moirai_os_thread_stack(&bound, NULL) == -EINVAL);
	CHECK(moirai_os_thread_exit_hook(NULL, NULL) == -EINVAL);
}

static void failed_creation_leaks_nothing(void)
{
	moirai_os_thread thread;
	uint64_t id = 0;
	moirai_alloc_stats before, after;
	moirai_alloc_stats_get(&before);
	moirai__fault_arm(MOIRAI_FAULT_THREAD, 1);
	CHECK(moirai_os_thread_create(&thread, NULL, note_id, &id) == -EAGAIN);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	CHECK(moirai_os_thread_create(&thread, NULL, note_id, &id) == -ENOMEM);
	moirai__fault_arm(0, 0);
	moirai_os_thread_attr huge = {.stack_size_bytes = SIZE_MAX - (64u << 20)};
	CHECK(moirai_os_thread_create(&thread, &huge, note_id, &id) < 0);
	moirai_alloc_stats_get(&after);
	CHECK(after.live_bytes == before.live_bytes);
	CHECK(id == 0);
}

static void check_stack(void *arg)
{
	void *low = NULL, *high = NULL;
	MOIRAI_MAYBE_UNUSED char here;
	int rc = moirai_os_thread_stack(&low, &high);
	if (rc == -ENOTSUP)
		return;
	CHECK(rc == 0);
	size_t wanted = *(size_t *)arg, size = (size_t)((char *)high - (char *)low);
#if !MOIRAI_ASAN /* its locals may live on a stack of its own */
	CHECK(&here >= (char *)low && &here < (char *)high);
#endif
	CHECK(size + 65536 >= wanted);
}

static void stack_has_the_size_asked_for(void)
{
	size_t sizes[] = {1, 256 * 1024, 1024 * 1024 + 1};
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(sizes); i++) {
		moirai_os_thread_attr attr = {.stack_size_bytes = sizes[i]};
		run(&attr, check_stack, &sizes[i]);
	}
	size_t none = 0;
	check_stack(&none);
	if (on_linux()) {
		void *low, *high;
		CHECK(moirai_os_thread_stack(&low, &high) == 0);
	}
}

#ifdef __linux__
static void check_name(void *arg)
{
	char name[17] = {0};
	prctl(PR_GET_NAME, name, 0, 0, 0);
	CHECK(strcmp(name, arg) == 0);
}

static void name_is_kept_up_to_15_bytes(void)
{
	if (!on_linux())
		SKIP("this OS layer does not name threads");
	char short_one[] = "worker 7", cut[] = "fifteen-bytes-o";
	moirai_os_thread_attr attr = {.name = "worker 7"};
	run(&attr, check_name, short_one);
	attr.name = "fifteen-bytes-of-a-name";
	run(&attr, check_name, cut);
}
#else
static void name_is_kept_up_to_15_bytes(void)
{
	SKIP("no way to read the name back");
}
#endif

#ifndef _WIN32
static void check_signals(void *arg)
{
	sigset_t blocked;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	CHECK(sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGTERM) == 1);
	CHECK(sigismember(&blocked, SIGSEGV) == 0 && sigismember(&blocked, SIGPROF) == 0);
}

static void thread_leaves_signals_to_the_application(void)
{
	sigset_t before, after;
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	run(NULL, check_signals, NULL);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	CHECK(sigismember(&before, SIGINT) == sigismember(&after, SIGINT));
}
#else
static void thread_leaves_signals_to_the_application(void)
{
	SKIP("no signals here");
}
#endif

static unsigned hooks_set, hooks_run, hook_order[MOIRAI_OS_EXIT_HOOKS_MAX + 2];

static void hook(void *slot)
{
	hook_order[hooks_run++] = *(unsigned *)slot;
}

static unsigned numbers[MOIRAI_OS_EXIT_HOOKS_MAX + 1];

static void hook_from_a_hook(void *slot)
{
	hook(slot);
	CHECK(moirai_os_thread_exit_hook(hook, &numbers[7]) == 0);
}

static void set_hooks(void *arg)
{
	hooks_set = 0;
	/* Core has taken one for the thread's first allocation. */
	while (moirai_os_thread_exit_hook(
		       hooks_set ? hook : hook_from_a_hook, &numbers[hooks_set]) == 0)
		hooks_set++;
	CHECK(hooks_set >= MOIRAI_OS_EXIT_HOOKS_MAX - 2 && hooks_set <= MOIRAI_OS_EXIT_HOOKS_MAX);
	CHECK(moirai_os_thread_exit_hook(hook, &numbers[0]) == -ENOSPC);
	CHECK(hooks_run == 0);
}

static void exit_hooks_run_last_first_in_any_thread(void)
{
	for (unsigned i = 0; i < MOIRAI_ARRAY_SIZE(numbers); i++)
		numbers[i] = i;
	for (int round = 0; round < 2; round++) {
		hooks_run = 0;
		run(NULL, set_hooks, NULL);
		CHECK(hooks_run == hooks_set + 1);
		for (unsigned i = 0; i < hooks_set; i++)
			CHECK(hook_order[i] == hooks_set - 1 - i);
		CHECK(hook_order[hooks_set] == 7);
	}
}

static void set_slack(void *arg)
{
	int rc = moirai_os_timer_slack(1000);
	CHECK(rc == (on_linux() ? 0 : -ENOTSUP));
#ifdef __linux__
	if (rc == 0) {
		CHECK(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 1000);
		CHECK(moirai_os_timer_slack(0) == 0);
		CHECK(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 1);
		CHECK(moirai_os_timer_slack(UINT64_MAX) == 0);
	}
#endif
}

static void timer_slack_is_set_for_the_thread(void)
{
#ifdef __linux__
	if (on_linux() && prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) <= 0)
		SKIP("the kernel does not tell the slack");
#endif
	run(NULL, set_slack, NULL);
}

static void burn(void *arg)
{
	uint64_t before = moirai_os_thread_cpu(), *spent = arg;
	uint64_t until = moirai_deadline_after(10 * MOIRAI_S);
	while ((*spent = moirai_os_thread_cpu() - before) < 30 * MOIRAI_MS && moirai_now() < until)
		;
}

static void thread_cpu_counts_work_and_not_sleep(void)
{
	uint64_t spent = 0, before = moirai_os_thread_cpu();
	run(NULL, burn, &spent);
	CHECK(spent >= 30 * MOIRAI_MS);
	/* We have only waited for it. Windows counts whole clock ticks. */
	CHECK(moirai_os_thread_cpu() - before < spent);
}

TAP_MAIN(TEST(thread_runs_and_has_its_own_id), TEST(bad_arguments_are_refused),
	TEST(failed_creation_leaks_nothing), TEST(stack_has_the_size_asked_for),
	TEST(name_is_kept_up_to_15_bytes), TEST(thread_leaves_signals_to_the_application),
	TEST(exit_hooks_run_last_first_in_any_thread), TEST(timer_slack_is_set_for_the_thread),
	TEST(thread_cpu_counts_work_and_not_sleep))
