/* SPDX-License-Identifier: MIT */
/* The part of the OS layer that POSIX alone provides: shared by os_linux.c and os_posix.c. */
#include <moirai/core/os.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/internal/fault.h>

#include "os_internal.h"

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

/* --- clocks, yield, sleep --- */

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts = {0};
	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * MOIRAI_S + (uint64_t)ts.tv_nsec;
}

uint64_t moirai_os_clock(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t moirai_os_clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

uint64_t moirai_os_thread_cpu(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void moirai_os_yield(void)
{
	sched_yield();
}

void moirai_os_sleep(uint64_t duration_ns)
{
	/* time_t may have 32 bits: longer sleeps are made of pieces. */
	const uint64_t piece_ns = 1000000 * MOIRAI_S;
	while (duration_ns > 0) {
		uint64_t ns = duration_ns < piece_ns ? duration_ns : piece_ns;
		struct timespec left = {(time_t)(ns / MOIRAI_S), (long)(ns % MOIRAI_S)};
		/* A signal ends the call early; `left` then holds what remains. */
		while (nanosleep(&left, &left) != 0 && errno == EINTR)
			;
		duration_ns -= ns;
	}
}

/* --- threads --- */

struct thread_start {
	void (*fn)(void *arg);
	void *arg;
	char name[16]; /* empty: none */
};

static void *thread_main(void *pointer)
{
	struct thread_start start = *(struct thread_start *)pointer;
	moirai_free(pointer);
	if (start.name[0])
		moirai__os_thread_name(start.name);
	start.fn(start.arg);
	return NULL;
}

static int set_stack_size(pthread_attr_t *attributes, size_t size_bytes)
{
	size_t page = moirai_os_page_size();
	long least = sysconf(_SC_THREAD_STACK_MIN);
	if (least < 16384)
		least = 16384;
	if (size_bytes < (size_t)least)
		size_bytes = (size_t)least;
	if (size_bytes > SIZE_MAX - page)
		return EINVAL;
	return pthread_attr_setstacksize(attributes, (size_bytes + page - 1) & ~(page - 1));
}

/*
 * Our threads leave the application's signals to the application's threads: a signal handler that
 * runs on a worker would run on a fiber's small stack and in the middle of any task. The signals
 * that a thread raises by its own instruction stay open, and so does the profiler's.
 */
static void worker_signals(sigset_t *set)
{
	static const int open[] = {
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
	sigfillset(set);
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(open); i++)
		sigdelset(set, open[i]);
}

static int start_thread(pthread_t *handle, size_t stack_size_bytes, struct thread_start *start)
{
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);
	if (error)
		return error;
	if (stack_size_bytes)
		error = set_stack_size(&attributes, stack_size_bytes);
	if (!error) {
		/* A thread inherits the mask of its creator. */
		sigset_t workers, mine;
		worker_signals(&workers);
		pthread_sigmask(SIG_BLOCK, &workers, &mine);
		error = pthread_create(handle, &attributes, thread_main, start);
		pthread_sigmask(SIG_SETMASK, &mine, NULL);
	}
	pthread_attr_destroy(&attributes);
	return error;
}

int moirai_os_thread_create(moirai_os_thread *thread, const moirai_os_thread_attr *attr,
	void (*fn)(void *arg), void *arg)
{
	MOIRAI_STATIC_ASSERT(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread handle is a word");
	if (!thread || !fn)
		return -EINVAL;
	if (moirai__fault(MOIRAI_FAULT_THREAD))
		return -EAGAIN;
	struct thread_start *start = moirai_alloc(sizeof(*start));
	if (!start)
		return -ENOMEM;
	*start = (struct thread_start){.fn = fn, .arg = arg};
	if (attr && attr->name)
		memcpy(start->name, attr->name, strnlen(attr->name, sizeof(start->name) - 1));

	pthread_t handle;
	int error = start_thread(&handle, attr ? attr->stack_size_bytes : 0, start);
	if (error) {
		moirai_free(start);
		return -error;
	}
	thread->handle_ = (uintptr_t)handle;
	return 0;
}

int moirai_os_thread_join(moirai_os_thread thread)
{
	return -pthread_join((pthread_t)thread.handle_, NULL);
}

/* --- exit hooks --- */

struct exit_hooks {
	unsigned count;
	struct {
		void (*fn)(void *slot);
		void *slot;
	} hooks[MOIRAI_OS_EXIT_HOOKS_MAX];
};

static __thread struct exit_hooks exit_hooks;
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static int exit_error;

/* The key's value is the thread's list: set by the first hook, which makes the system call us. */
static void run_exit_hooks(void *list)
{
	struct exit_hooks *mine = list;
	while (mine->count > 0) {
		unsigned last = --mine->count;
		mine->hooks[last].fn(mine->hooks[last].slot);
	}
}

static void make_exit_key(void)
{
	exit_error = pthread_key_create(&exit_key, run_exit_hooks);
}

/* noinline: a thread-local's address must not live over a park. */
MOIRAI_NOINLINE int moirai_os_thread_exit_hook(void (*fn)(void *slot), void *slot)
{
	struct exit_hooks *mine = &exit_hooks;
	if (!fn)
		return -EINVAL;
	if (mine->count == MOIRAI_OS_EXIT_HOOKS_MAX)
		return -ENOSPC;
	pthread_once(&exit_once, make_exit_key);
	if (exit_error || pthread_setspecific(exit_key, mine) != 0)
		return -ENOMEM;
	mine->hooks[mine->count].fn = fn;
	mine->hooks[mine->count].slot = slot;
	mine->count++;
	return 0;
}

/* --- memory --- */

size_t moirai_os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static bool page_multiple(size_t bytes)
{
	return bytes > 0 && (bytes & (moirai_os_page_size() - 1)) == 0;
}

int moirai_os_map(void **address, size_t size_bytes, size_t alignment, unsigned flags)
{
	size_t page = moirai_os_page_size();
	bool power = alignment >= page && (alignment & (alignment - 1)) == 0;
	if (!address || !page_multiple(size_bytes) || !power ||
		(flags & ~(unsigned)(MOIRAI_OS_MAP_RESERVE | MOIRAI_OS_MAP_NOHUGE)))
		return -EINVAL;
	/* The system aligns to a page: take more and give the ends back. */
	size_t slack = alignment - page;
	if (size_bytes > SIZE_MAX - slack || moirai__fault(MOIRAI_FAULT_MAP))
		return -ENOMEM;
	char *base = mmap(NULL, size_bytes + slack, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | moirai__os_map_flags(flags), -1, 0);
	if (base == MAP_FAILED)
		return -ENOMEM; /* the arguments are right: it is a lack of something */
	size_t before = (size_t)(-(uintptr_t)base & (alignment - 1));
	if (before)
		munmap(base, before);
	if (slack - before)
		munmap(base + before + size_bytes, slack - before);
	*address = base + before;
	moirai__os_map_advise(*address, size_bytes, flags);
	return 0;
}

/*
 * Guards by protection. Each splits a mapping in three, and the process has a limit of mappings:
 * a counter keeps ours below a share of it. A mapping's guards are given back with it as long as
 * the table of mappings below has room; what it cannot hold stays counted, which is safe.
 */
#define GUARDED_MAPPINGS_MAX 256

static struct {
	uint32_t lock;
	size_t guards; /* all that are counted, those outside the table too */
	struct {
		const char *first; /* NULL: free */
		size_t guards;
	} mappings[GUARDED_MAPPINGS_MAX];
} protected_;

static void protected_lock(void)
{
	uint32_t expected = 0;
	/* acquire: pairs with the release in protected_unlock(). */
	while (!moirai_cas_acquire(&protected_.lock, &expected, 1)) {
		expected = 0;
		sched_yield();
	}
}

static void protected_unlock(void)
{
	/* release: pairs with the acquire in protected_lock(). */
	moirai_store_release(&protected_.lock, 0);
}

static bool reserve_protected(const char *first, size_t count)
{
	size_t most = moirai__os_guards_max();
	protected_lock();
	bool fits = count <= most && protected_.guards <= most - count;
	if (fits) {
		moirai_store_relaxed(&protected_.guards, protected_.guards + count);
		for (size_t i = 0; i < GUARDED_MAPPINGS_MAX; i++) {
			if (!protected_.mappings[i].first) {
				protected_.mappings[i].first = first;
				protected_.mappings[i].guards = count;
				break;
			}
		}
	}
	protected_unlock();
	return fits;
}

static void release_protected(const char *low, const char *high)
{
	/* Relaxed: whoever unmaps has a happens-before edge from who installed the guards. */
	if (moirai_load_relaxed(&protected_.guards) == 0)
		return;
	protected_lock();
	for (size_t i = 0; i < GUARDED_MAPPINGS_MAX; i++) {
		const char *first = protected_.mappings[i].first;
		if (first && first >= low && first < high) {
			size_t left = protected_.guards - protected_.mappings[i].guards;
			moirai_store_relaxed(&protected_.guards, left);
			protected_.mappings[i].first = NULL;
		}
	}
	protected_unlock();
}

/* A child may have been copied while another thread held the lock. */
static void free_protected_lock(void)
{
	moirai_store_relaxed(&protected_.lock, 0);
}

__attribute__((constructor)) static void watch_forks_for_guards(void)
{
	moirai__os_at_fork_child(free_protected_lock);
}

int moirai_os_unmap(void *address, size_t size_bytes)
{
	if (!address || !page_multiple(size_bytes))
		return -EINVAL;
	if (munmap(address, size_bytes) != 0)
		return -errno;
	release_protected(address, (char *)address + size_bytes);
	return 0;
}

static moirai_os_guard_kind protect_guards(char *first, size_t bytes, size_t stride, size_t count)
{
	if (!reserve_protected(first, count))
		return MOIRAI_OS_GUARD_NONE;
	size_t done = 0;
	while (done < count && mprotect(first + done * stride, bytes, PROT_NONE) == 0)
		done++;
	if (done == count)
		return MOIRAI_OS_GUARD_PROTECT;
	/* The system's limit came first: all or nothing, so that the caller knows what it has. */
	while (done-- > 0)
		mprotect(first + done * stride, bytes, PROT_READ | PROT_WRITE);
	release_protected(first, first + 1);
	return MOIRAI_OS_GUARD_NONE;
}

int moirai_os_guard(void *address, size_t guard_bytes, size_t stride_bytes, size_t count,
	moirai_os_guard_kind *kind)
{
	if (!address || !kind || count == 0 || !page_multiple(guard_bytes) ||
		(count > 1 && (!page_multiple(stride_bytes) || stride_bytes < guard_bytes)))
		return -EINVAL;
	*kind = MOIRAI_OS_GUARD_NONE;
	if (moirai__fault(MOIRAI_FAULT_SYSCALL))
		return -ENOMEM;
	int rc = moirai__os_guard_markers(address, guard_bytes, stride_bytes, count);
	if (rc == 0)
		*kind = MOIRAI_OS_GUARD_MARKER;
	else if (rc == -ENOTSUP)
		*kind = protect_guards(address, guard_bytes, stride_bytes, count);
	return rc == -ENOTSUP ? 0 : rc;
}

/* --- the rest --- */

void moirai__os_at_fork_child(void (*fn)(void))
{
	pthread_atfork(NULL, NULL, fn);
}

int moirai_os_write(int fd, const void *buffer, size_t size_bytes)
{
	const char *at = buffer;
	if (!buffer && size_bytes)
		return -EINVAL;
	while (size_bytes > 0) {
		ssize_t n = write(fd, at, size_bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		size_bytes -= (size_t)n;
	}
	return 0;
}
