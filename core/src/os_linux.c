/* SPDX-License-Identifier: MIT */
/* The OS layer on Linux, any libc: what os_unix.c leaves open and what Linux does better. */
#include <moirai/core/os.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/internal/fault.h>

#ifdef MOIRAI_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#else
#define VALGRIND_DISABLE_ERROR_REPORTING ((void)0)
#define VALGRIND_ENABLE_ERROR_REPORTING  ((void)0)
#endif

#include "os_internal.h"

/* Newer than the oldest headers that we build with. The numbers are part of the kernel's ABI. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
/* A libc's compiler wrapper may hide the kernel's headers. */
#define MEMBARRIER_PRIVATE_EXPEDITED          (1 << 3)
#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED (1 << 4)
#define FUTEX_WAKE                            1
#define FUTEX_WAIT_BITSET                     9
#define FUTEX_PRIVATE_FLAG                    128
#define FUTEX_BITSET_MATCH_ANY                0xFFFFFFFFu

const char *moirai_os_name(void)
{
	return "linux";
}

/* The kernel's answer as ours. */
static int status_of(long rc)
{
	return rc < 0 ? -errno : 0;
}

/* --- waiting --- */

/*
 * The kernel's own idea of the time, whatever the libc's time_t is: two longs for the old call, and
 * 64 bits for the call that 32-bit systems have since Linux 5.1.
 */
struct kernel_time {
	long seconds;
	long nanoseconds;
};
struct kernel_time64 {
	int64_t seconds;
	int64_t nanoseconds;
};

/* MATCH_ANY with WAIT_BITSET: an ordinary wait, but until an absolute monotonic time. */
#define WAIT_OP (FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG)

static long futex_wait_call(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
	if (deadline_ns == MOIRAI_NEVER)
		return syscall(
			SYS_futex, word, WAIT_OP, expected, NULL, NULL, FUTEX_BITSET_MATCH_ANY);
	uint64_t seconds = deadline_ns / MOIRAI_S;
	long nanoseconds = (long)(deadline_ns % MOIRAI_S);
#ifdef SYS_futex_time64
	struct kernel_time64 wide = {(int64_t)seconds, nanoseconds};
	long rc = syscall(
		SYS_futex_time64, word, WAIT_OP, expected, &wide, NULL, FUTEX_BITSET_MATCH_ANY);
	if (rc == 0 || errno != ENOSYS)
		return rc;
#endif
	if (seconds > INT32_MAX && sizeof(long) == 4)
		seconds = INT32_MAX; /* wakes early, after 68 years of uptime */
	struct kernel_time until = {(long)seconds, nanoseconds};
	return syscall(SYS_futex, word, WAIT_OP, expected, &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

int moirai_os_futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
	if (moirai__fault(MOIRAI_FAULT_WAIT))
		return 0; /* as after a signal */
	if (futex_wait_call(word, expected, deadline_ns) == 0)
		return 0;
	/* EINTR is a wake-up for no reason. Nothing else can happen to a valid aligned word. */
	return errno == ETIMEDOUT || errno == EAGAIN ? -errno : 0;
}

int moirai_os_futex_wake(const uint32_t *word, uint32_t count)
{
	/* The kernel's count is signed. EFAULT: the address is gone, and so is everybody on it. */
	int most = count > INT32_MAX ? INT32_MAX : (int)count;
	/* The address is a name: valgrind is not to ask what memory stands behind it. */
	VALGRIND_DISABLE_ERROR_REPORTING;
	long woken = most ? syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, most) : 0;
	VALGRIND_ENABLE_ERROR_REPORTING;
	return woken > 0 ? (int)woken : 0;
}

/* --- threads --- */

/* The kernel's number of this thread, kept because asking costs a system call. */
static __thread uint64_t thread_id_cache;

static void forget_thread_id(void)
{
	thread_id_cache = 0;
}

__attribute__((constructor)) static void watch_forks(void)
{
	moirai__os_at_fork_child(forget_thread_id);
}

/* noinline: a caller that parks in between may go on as another thread. */
MOIRAI_NOINLINE uint64_t moirai_os_thread_id(void)
{
	if (!thread_id_cache)
		thread_id_cache = (uint64_t)syscall(SYS_gettid);
	return thread_id_cache;
}

void moirai__os_thread_name(const char *name)
{
	prctl(PR_SET_NAME, name, 0, 0, 0);
}

int moirai_os_thread_stack(void **low, void **high)
{
	pthread_attr_t attributes;
	void *base;
	size_t size_bytes;
	if (!low || !high)
		return -EINVAL;
	if (pthread_getattr_np(pthread_self(), &attributes) != 0)
		return -ENOTSUP;
	int error = pthread_attr_getstack(&attributes, &base, &size_bytes);
	pthread_attr_destroy(&attributes);
	if (error)
		return -ENOTSUP;
	*low = base;
	*high = (char *)base + size_bytes;
	return 0;
}

int moirai_os_timer_slack(uint64_t slack_ns)
{
	/* Zero would mean the default of 50 us. */
	uint64_t ns = slack_ns ? slack_ns : 1;
	if (ns > LONG_MAX)
		ns = LONG_MAX;
	return status_of(prctl(PR_SET_TIMERSLACK, (unsigned long)ns, 0, 0, 0));
}

/* --- barrier --- */

int moirai__os_barrier_register(void)
{
	if (moirai__fault(MOIRAI_FAULT_SYSCALL))
		return -EPERM;
	return status_of(syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED, 0, 0));
}

int moirai__os_barrier(void)
{
	return status_of(syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0, 0));
}

/* --- memory --- */

int moirai__os_map_flags(unsigned flags)
{
	return flags & MOIRAI_OS_MAP_RESERVE ? MAP_NORESERVE : 0;
}

void moirai__os_map_advise(void *address, size_t size_bytes, unsigned flags)
{
	/* Only a wish: a kernel without huge pages refuses and has none to avoid. */
	if (flags & MOIRAI_OS_MAP_NOHUGE)
		madvise(address, size_bytes, MADV_NOHUGEPAGE);
}

int moirai_os_discard(void *address, size_t size_bytes)
{
	if (!address)
		return -EINVAL;
	if (madvise(address, size_bytes, MADV_DONTNEED) == 0)
		return 0;
	/* Under mlockall() the plain form is refused. */
	if (errno == EINVAL && madvise(address, size_bytes, MADV_DONTNEED_LOCKED) == 0)
		return 0;
	return -errno;
}

size_t moirai__os_guards_max(void)
{
	/* Two mappings a guard: a quarter of the limit in guards is half of the limit in mappings. */
	char text[32];
	long most = 65530; /* the kernel's default */
	int file = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	if (file >= 0) {
		ssize_t n = read(file, text, sizeof(text) - 1);
		close(file);
		if (n > 0) {
			text[n] = '\0';
			most = strtol(text, NULL, 10);
		}
	}
	return most > 0 ? (size_t)most / 4 : 0;
}

/*
 * 512 guards a call: 255 ns each, where a madvise() for each costs 380 (16,384 guards, Linux 6.18, a
 * Zen 5 class VM, 2026-11). Returns how many are certainly installed; the caller does the rest one
 * by one. Our own process by its pidfd: Linux 6.13 allows every advice there.
 */
static size_t install_batches(char *address, size_t guard_bytes, size_t stride_bytes, size_t count)
{
	enum { BATCH = 512, WORTH_A_PIDFD = 16 };
	static bool refused; /* by seccomp or valgrind: ask once */
	struct iovec ranges[BATCH];
	size_t done = 0;
	if (count < WORTH_A_PIDFD || moirai_load_relaxed(&refused))
		return 0;
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (pidfd < 0) {
		moirai_store_relaxed(&refused, true);
		return 0;
	}
	while (done < count) {
		size_t n = count - done < BATCH ? count - done : BATCH;
		for (size_t i = 0; i < n; i++)
			ranges[i] =
				(struct iovec){address + (done + i) * stride_bytes, guard_bytes};
		long bytes = syscall(SYS_process_madvise, pidfd, ranges, n, MADV_GUARD_INSTALL, 0);
		done += bytes > 0 ? (size_t)bytes / guard_bytes : 0;
		if (bytes != (long)(n * guard_bytes))
			break;
	}
	close(pidfd);
	return done;
}

/* An emulator (qemu-user) accepts every advice and heeds none: ask for one that does not exist. */
static bool advice_is_heeded(char *address, size_t size_bytes)
{
	const int no_such_advice = 0x7FFF;
	static uint32_t answer; /* 0: not asked yet, 1: yes, 2: no; racing callers agree */
	uint32_t known = moirai_load_relaxed(&answer);
	if (!known) {
		known = madvise(address, size_bytes, no_such_advice) != 0 ? 1 : 2;
		moirai_store_relaxed(&answer, known);
	}
	return known == 1;
}

int moirai__os_guard_markers(char *address, size_t guard_bytes, size_t stride_bytes, size_t count)
{
	if (!advice_is_heeded(address, guard_bytes))
		return -ENOTSUP;
	/* The first one tells whether this kernel knows markers. */
	if (madvise(address, guard_bytes, MADV_GUARD_INSTALL) != 0)
		return errno == ENOMEM ? -ENOMEM : -ENOTSUP;
	size_t done = 1;
	done += install_batches(address + stride_bytes, guard_bytes, stride_bytes, count - 1);
	for (; done < count; done++) {
		char *at = address + done * stride_bytes;
		if (madvise(at, guard_bytes, MADV_GUARD_INSTALL) != 0)
			return -errno;
	}
	return 0;
}

/* --- random --- */

static int random_from_device(unsigned char *at, size_t left)
{
	int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return -EIO;
	int rc = 0;
	while (left > 0 && rc == 0) {
		ssize_t n = read(file, at, left);
		if (n > 0) {
			at += n;
			left -= (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			rc = -EIO;
		}
	}
	close(file);
	return rc;
}

int moirai_os_random(void *buffer, size_t size_bytes)
{
	unsigned char *at = buffer;
	if (!buffer && size_bytes)
		return -EINVAL;
	if (moirai__fault(MOIRAI_FAULT_SYSCALL))
		return -EIO;
	while (size_bytes > 0) {
		long n = syscall(SYS_getrandom, at, size_bytes, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return random_from_device(
				at, size_bytes); /* refused: old kernel, seccomp */
		at += n;
		size_bytes -= (size_t)n;
	}
	return 0;
}
