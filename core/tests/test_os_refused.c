/* SPDX-License-Identifier: MIT */
/*
 * Linux as it is elsewhere: each test forbids some system calls to a child (seccomp) and uses what is
 * left. So the ways that this kernel never takes are walked too.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moirai/core/atomic.h>
#include <moirai/core/os.h>

#define SKIPPED             77
#define MADV_GUARD_INSTALL_ 102

/* From now on the call fails with `error`; with an advice, only the madvise() that asks for it. */
static void refuse(unsigned call, unsigned error, unsigned advice)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, advice, 0, advice ? 1 : 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {MOIRAI_ARRAY_SIZE(filter), filter};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
		_exit(SKIPPED);
}

/* Runs fn in a child; its failed CHECKs are printed there and counted here. */
static void in_child(void (*fn)(void))
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		alarm(60);
		tap_failures_ = 0;
		fn();
		fflush(stdout);
		exit(tap_failures_ ? 1 : 0); /* exit(): coverage is written */
	}
	int status = -1;
	CHECK(waitpid(child, &status, 0) == child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		SKIP("no seccomp here");
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool readable(const char *byte)
{
	int ends[2];
	if (pipe(ends) != 0)
		return false;
	bool ok = write(ends[1], byte, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return ok;
}

static moirai_os_guard_kind guard_and_look(size_t count)
{
	size_t page = moirai_os_page_size(), stride = 4 * page;
	moirai_os_guard_kind kind = MOIRAI_OS_GUARD_NONE;
	char *memory = NULL;
	CHECK(moirai_os_map((void **)&memory, count * stride, page, MOIRAI_OS_MAP_RESERVE) == 0);
	if (!memory)
		return kind;
	CHECK(moirai_os_guard(memory, page, stride, count, &kind) == 0);
	for (size_t i = 0; i < count; i += 1 + count / 40) {
		CHECK(readable(memory + i * stride) == (kind == MOIRAI_OS_GUARD_NONE));
		CHECK(readable(memory + i * stride + page));
	}
	CHECK(moirai_os_unmap(memory, count * stride) == 0);
	return kind;
}

static void guard_without_markers(void)
{
	refuse(SYS_madvise, EINVAL, MADV_GUARD_INSTALL_);
	CHECK(guard_and_look(1) == MOIRAI_OS_GUARD_PROTECT);
	/* More in all than the process may have; each mapping gives its share back. */
	for (int i = 0; i < 8; i++)
		CHECK(guard_and_look(5000) == MOIRAI_OS_GUARD_PROTECT);
	CHECK(guard_and_look(100000) == MOIRAI_OS_GUARD_NONE);
	CHECK(guard_and_look(1000) == MOIRAI_OS_GUARD_PROTECT);
}

static void guards_are_protected_where_there_are_no_markers(void)
{
	in_child(guard_without_markers);
}

static void fail_in_the_middle(void)
{
	/* The counter lets them through, the system does not: all or nothing. */
	refuse(SYS_madvise, EINVAL, MADV_GUARD_INSTALL_);
	refuse(SYS_mprotect, ENOMEM, 0);
	CHECK(guard_and_look(10) == MOIRAI_OS_GUARD_NONE);
}

static void guards_that_the_system_refuses_are_none(void)
{
	in_child(fail_in_the_middle);
}

static void guard_without_batches(void)
{
	moirai_os_guard_kind before = guard_and_look(1);
	refuse(SYS_pidfd_open, EPERM, 0);
	CHECK(guard_and_look(1000) == before);
	CHECK(guard_and_look(1000) == before);
}

static void guards_need_no_batch(void)
{
	in_child(guard_without_batches);
}

static void guard_with_a_refused_batch(void)
{
	moirai_os_guard_kind before = guard_and_look(1);
	refuse(SYS_process_madvise, EPERM, 0);
	CHECK(guard_and_look(1000) == before);
}

static void refused_batch_is_done_one_by_one(void)
{
	in_child(guard_with_a_refused_batch);
}

static void random_without_getrandom(void)
{
	unsigned char first[512] = {0}, second[512] = {0};
	refuse(SYS_getrandom, ENOSYS, 0);
	CHECK(moirai_os_random(first, sizeof(first)) == 0);
	CHECK(moirai_os_random(second, sizeof(second)) == 0);
	CHECK(memcmp(first, second, sizeof(first)) != 0);
	refuse(SYS_openat, ENOENT, 0);
	CHECK(moirai_os_random(first, sizeof(first)) == -EIO);
}

static void random_bytes_come_from_the_device_of_old(void)
{
	in_child(random_without_getrandom);
}

static void discard_locked(void)
{
	size_t page = moirai_os_page_size();
	char *memory = NULL;
	CHECK(moirai_os_map((void **)&memory, 2 * page, page, 0) == 0);
	if (!memory || mlock(memory, 2 * page) != 0)
		_exit(SKIPPED);
	memset(memory, 1, 2 * page);
	int rc = moirai_os_discard(memory, page);
	CHECK(rc == 0 || rc == -EINVAL); /* kernels before 5.18 cannot */
	CHECK(rc != 0 || memory[0] == 0);
	CHECK(memory[page] == 1);
}

static void locked_pages_are_discarded_too(void)
{
	in_child(discard_locked);
}

static void see_one_processor(void)
{
	refuse(SYS_sched_getaffinity, EPERM, 0);
	moirai_cpuset set;
	CHECK(moirai_os_affinity_get(&set) == -EPERM);
	CHECK(moirai_os_cpus_usable() == 1);
}

static void unknown_mask_means_one_processor(void)
{
	in_child(see_one_processor);
}

static void do_nothing(void *arg)
{
}

static void start_nothing(void)
{
	moirai_os_thread thread;
	refuse(SYS_clone, EAGAIN, 0);
#ifdef SYS_clone3
	refuse(SYS_clone3, EAGAIN, 0);
#endif
	CHECK(moirai_os_thread_create(&thread, NULL, do_nothing, NULL) == -EAGAIN);
}

static void refused_thread_is_an_error(void)
{
	in_child(start_nothing);
}

TAP_MAIN(TEST(guards_are_protected_where_there_are_no_markers),
	TEST(guards_that_the_system_refuses_are_none), TEST(guards_need_no_batch),
	TEST(refused_batch_is_done_one_by_one), TEST(random_bytes_come_from_the_device_of_old),
	TEST(locked_pages_are_discarded_too), TEST(unknown_mask_means_one_processor),
	TEST(refused_thread_is_an_error))
