/* SPDX-License-Identifier: MIT */
/*
 * The operating system, as far as the library needs it. Nothing outside core/src/os_*.c calls the
 * system for threads, waiting, clocks or memory, so a port is one file and the deterministic tester
 * can stand in for all of it. Results are 0 or a negative errno value; errno itself is never used.
 */
#ifndef MOIRAI_CORE_OS_H
#define MOIRAI_CORE_OS_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

/* --- waiting; called by core/src/park.c and the executor's idle workers alone --- */

/**
 * Sleeps while *word == expected, until a wake, the absolute monotonic deadline_ns (MOIRAI_NEVER:
 * none) or a signal. 0: woken, perhaps for no reason; -EAGAIN: *word differed; -ETIMEDOUT.
 */
MOIRAI_API int moirai_os_futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/**
 * Wakes up to `count` threads that wait on the address. The address is a name: it is not read, and
 * memory that is gone is no error. Returns the number woken where the system tells it, else 0.
 */
MOIRAI_API int moirai_os_futex_wake(const uint32_t *word, uint32_t count);

/** Gives the processor to another ready thread. */
MOIRAI_API void moirai_os_yield(void);

/** Sleeps the calling thread for at least duration_ns. For start-up code and tests, never workers. */
MOIRAI_API void moirai_os_sleep(uint64_t duration_ns);

/* --- clocks --- */

/** CLOCK_MONOTONIC or its like, in ns. */
MOIRAI_API uint64_t moirai_os_clock(void);

/** The processor's time stamp counter, or moirai_os_clock() where there is none usable. */
MOIRAI_API uint64_t moirai_os_ticks(void);

/** Ticks per second of moirai_os_ticks(); measured once, a few ms on the first call. */
MOIRAI_API uint64_t moirai_os_ticks_per_second(void);

/** Wall-clock time: ns since 1970-01-01 00:00 UTC. It may jump; for time stamps only. */
MOIRAI_API uint64_t moirai_os_clock_wall(void);

/** CPU time that the calling thread has used, in ns. */
MOIRAI_API uint64_t moirai_os_thread_cpu(void);

/* --- threads --- */

typedef struct moirai_os_thread {
	uintptr_t handle_;
} moirai_os_thread;

typedef struct moirai_os_thread_attr {
	const char *name;        /* at most 15 bytes are kept; may be NULL */
	size_t stack_size_bytes; /* 0: the system's default */
} moirai_os_thread_attr;

/**
 * Starts fn(arg) on a new thread. attr may be NULL; a stack size below the system's least is raised.
 * The thread has all signals blocked but the profiler's and those that an instruction raises: signals
 * go to the application's own threads. -EAGAIN or -ENOMEM when the system refuses, -EINVAL.
 */
MOIRAI_API int moirai_os_thread_create(moirai_os_thread *thread, const moirai_os_thread_attr *attr,
	void (*fn)(void *arg), void *arg);

/** Waits until the thread has returned and releases it. Once per thread. */
MOIRAI_API int moirai_os_thread_join(moirai_os_thread thread);

/* How many exit hooks a thread may have: each component that keeps something per thread needs one. */
#define MOIRAI_OS_EXIT_HOOKS_MAX 16

/**
 * fn(slot) is called by the calling thread when it ends, the last hook first; any thread, foreign
 * ones too, but not the one that returns from main(). -ENOSPC beyond MOIRAI_OS_EXIT_HOOKS_MAX, -ENOMEM.
 */
MOIRAI_API int moirai_os_thread_exit_hook(void (*fn)(void *slot), void *slot);

/** A number that names the calling thread while it lives; never 0. */
MOIRAI_API uint64_t moirai_os_thread_id(void);

/** The bounds of the calling thread's stack: [*low, *high). -ENOTSUP where they cannot be had. */
MOIRAI_API int moirai_os_thread_stack(void **low, void **high);

/** Asks for timed sleeps that are late by at most slack_ns (50 us by default on Linux). */
MOIRAI_API int moirai_os_timer_slack(uint64_t slack_ns);

/* --- processors --- */

/* A set of logical processors, by their number in the system. */
#define MOIRAI_CPUS_MAX 1024
typedef struct moirai_cpuset {
	uint64_t bits_[MOIRAI_CPUS_MAX / 64];
} moirai_cpuset;

static inline void moirai_cpuset_add(moirai_cpuset *set, unsigned cpu)
{
	if (cpu < MOIRAI_CPUS_MAX)
		set->bits_[cpu / 64] |= 1ull << (cpu % 64);
}

static inline bool moirai_cpuset_has(const moirai_cpuset *set, unsigned cpu)
{
	return cpu < MOIRAI_CPUS_MAX && (set->bits_[cpu / 64] >> (cpu % 64) & 1);
}

static inline unsigned moirai_cpuset_count(const moirai_cpuset *set)
{
	unsigned n = 0;
	for (unsigned i = 0; i < MOIRAI_CPUS_MAX / 64; i++)
		n += (unsigned)__builtin_popcountll(set->bits_[i]);
	return n;
}

/** The processors that the calling thread may run on. */
MOIRAI_API int moirai_os_affinity_get(moirai_cpuset *set);

/** Restricts the calling thread; -EINVAL when no processor of the set may be used. */
MOIRAI_API int moirai_os_affinity_set(const moirai_cpuset *set);

/** The processor that the caller runs on right now, or -ENOTSUP. */
MOIRAI_API int moirai_os_cpu_current(void);

/**
 * How many threads may run at once: the affinity mask, bounded by the cgroup's CPU quota rounded
 * up (v1 and v2, every level of the hierarchy). At least 1. Reads files, some 100 us: for start-up.
 */
MOIRAI_API unsigned moirai_os_cpus_usable(void);

/* --- memory --- */

/** Size of a page in bytes; a power of two. */
MOIRAI_API size_t moirai_os_page_size(void);

typedef enum moirai_os_map_flags {
	MOIRAI_OS_MAP_RESERVE = 1, /* address space only; pages are committed as they are touched */
	MOIRAI_OS_MAP_NOHUGE = 2,  /* never backed by huge pages */
} moirai_os_map_flags;

/**
 * Maps zeroed private memory of size_bytes (a multiple of the page size) aligned to `alignment` (a
 * power of two, at least a page). *address receives it. -ENOMEM, -EINVAL.
 */
MOIRAI_API int moirai_os_map(void **address, size_t size_bytes, size_t alignment, unsigned flags);

/** Returns a mapping of moirai_os_map() whole. -EINVAL when it cannot be one. */
MOIRAI_API int moirai_os_unmap(void *address, size_t size_bytes);

/** Gives the pages' memory back; they read as zero afterwards. Marker guards stay. -EINVAL. */
MOIRAI_API int moirai_os_discard(void *address, size_t size_bytes);

typedef enum moirai_os_guard_kind {
	MOIRAI_OS_GUARD_NONE,
	MOIRAI_OS_GUARD_MARKER, /* MADV_GUARD_INSTALL: costs no mapping */
	MOIRAI_OS_GUARD_PROTECT, /* mprotect: each guard splits a mapping, vm.max_map_count is the limit */
} moirai_os_guard_kind;

/**
 * Makes `count` ranges of guard_bytes at address, address + stride_bytes, ... fault on access: by
 * guard markers where the kernel has them, else by protection. *kind receives how: all of them or
 * none, and none is no error: protected guards are limited to a quarter of vm.max_map_count in the
 * process, and beyond that the caller uses canaries. A guard goes when its mapping is unmapped.
 * -ENOMEM (kernel memory; some markers may be set), -EINVAL.
 */
MOIRAI_API int moirai_os_guard(void *address, size_t guard_bytes, size_t stride_bytes, size_t count,
	moirai_os_guard_kind *kind);

/** Fills buffer with random bytes from the system, fit for keys. -EIO. */
MOIRAI_API int moirai_os_random(void *buffer, size_t size_bytes);

/**
 * Writes the whole buffer to a file descriptor, over signals and partial writes. 0 or -errno; safe in
 * a signal handler.
 */
MOIRAI_API int moirai_os_write(int fd, const void *buffer, size_t size_bytes);

/** "linux", "posix" or "windows": which os_*.c this is. */
MOIRAI_API const char *moirai_os_name(void);

MOIRAI_END_DECLS

#endif
