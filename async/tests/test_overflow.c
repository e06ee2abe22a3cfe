/* SPDX-License-Identifier: MIT */
/* The overflow report, in children that die of it. */
#include <moirai/async.h>
#include <moirai/async/internal/stack.h>

#include <errno.h>
#include <stdlib.h>

#include "tap.h"

#if !defined(_WIN32) && !MOIRAI_ASAN && !MOIRAI_TSAN

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char said[4096];

/* Runs fn in a child, keeps what it said on stderr; the signal that killed it, -status if none. */
static int death_of(void (*fn)(void))
{
	int ends[2], status;
	size_t length = 0;
	ssize_t n;
	fflush(stdout);
	if (pipe(ends))
		return -1;
	pid_t pid = fork();
	if (!pid) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		dup2(ends[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(ends[1]);
	while ((n = read(ends[0], said + length, sizeof(said) - 1 - length)) > 0)
		length += (size_t)n;
	said[length] = 0;
	close(ends[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static bool is_segv(int death)
{
	return death == SIGSEGV || death == SIGBUS;
}

static MOIRAI_NOINLINE int recurse(volatile char *above)
{
	volatile char frame[256];
	frame[0] = above[0];
	return above[0] ? recurse(frame) + frame[0] : 0;
}

static void *recurses(moirai_coroutine *self, void *arg)
{
	volatile char top[1] = {1};
	(void)self;
	(void)arg;
	return (void *)(intptr_t)recurse(top);
}

static void overflow(void)
{
	moirai_coroutine_attr attr = {.name = "bottomless", .stack_bytes = 16384};
	moirai_coroutine *c;
	if (moirai_overflow_report_enable() < 0 ||
		moirai_coroutine_create(&c, &attr, recurses, NULL) < 0)
		_exit(9);
	(void)moirai_coroutine_resume(c, NULL, NULL);
}

static void an_overflow_is_told_by_name(void)
{
	int death = death_of(overflow);
	if (!is_segv(death) && !strstr(said, "moirai__stack_canary_intact"))
		DIAG("death %d, said: %s", death, said);
	CHECK(is_segv(death));
	CHECK(strstr(said, "task 'bottomless' (id 0) overflowed its 16 KiB stack"));
}

static volatile int *volatile nowhere = (volatile int *)16;

static void plain_fault(void)
{
	if (moirai_overflow_report_enable() < 0)
		_exit(9);
	*nowhere = 1;
}

static void other_faults_are_left_alone(void)
{
	CHECK(is_segv(death_of(plain_fault)));
	CHECK(!strstr(said, "overflow"));
}

static void raised(void)
{
	if (moirai_overflow_report_enable() < 0)
		_exit(9);
	raise(SIGSEGV);
}

static void a_raised_signal_kills_as_well(void)
{
	CHECK(death_of(raised) == SIGSEGV);
	CHECK(!strstr(said, "overflow"));
}

static void on_former(int signal_number)
{
	(void)signal_number;
	_exit(33);
}

static void former_handler(void)
{
	struct sigaction action;
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_former;
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	overflow();
}

static void the_former_handler_is_called_next(void)
{
	CHECK(death_of(former_handler) == -33);
	CHECK(strstr(said, "bottomless"));
}

static void thread_main(void *arg)
{
	(void)arg;
	overflow();
}

static void in_thread(void)
{
	moirai_os_thread thread;
	if (moirai_os_thread_create(&thread, NULL, thread_main, NULL) == 0)
		moirai_os_thread_join(thread);
}

static void each_thread_enables_its_own(void)
{
	CHECK(is_segv(death_of(in_thread)));
	CHECK(strstr(said, "bottomless"));
}

static void enable_and_disable_restore_the_alternate_stack(void)
{
	stack_t before, during, after;
	CHECK(sigaltstack(NULL, &before) == 0);
	CHECK(moirai_overflow_report_enable() == 0);
	CHECK(moirai_overflow_report_enable() == 0);
	CHECK(sigaltstack(NULL, &during) == 0);
	CHECK(during.ss_sp != before.ss_sp && during.ss_size >= MOIRAI__OVERFLOW_STACK);
	moirai_overflow_report_disable();
	moirai_overflow_report_disable();
	CHECK(sigaltstack(NULL, &after) == 0);
	CHECK((after.ss_flags & SS_DISABLE) == (before.ss_flags & SS_DISABLE));
	CHECK((after.ss_flags & SS_DISABLE) || after.ss_sp == before.ss_sp);
}

TAP_MAIN(TEST(an_overflow_is_told_by_name), TEST(other_faults_are_left_alone),
	TEST(a_raised_signal_kills_as_well), TEST(the_former_handler_is_called_next),
	TEST(each_thread_enables_its_own), TEST(enable_and_disable_restore_the_alternate_stack))

#else

static void an_overflow_is_told_by_name(void)
{
#ifdef _WIN32
	CHECK(moirai_overflow_report_enable() == -ENOTSUP);
	moirai_overflow_report_disable();
#endif
	SKIP("no signals here, or the sanitizer's own report");
}

TAP_MAIN(TEST(an_overflow_is_told_by_name))

#endif
