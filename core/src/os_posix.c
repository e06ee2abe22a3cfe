/* SPDX-License-Identifier: MIT */
/*
 * The portable OS layer: POSIX threads and nothing else. For systems without a file of their own,
 * and tested on Linux by -Dos=posix.
 *
 * Waiting on an address. 64 buckets, chosen by a hash of the address; each has a mutex and a list
 * of waiters, which live on the waiters' stacks and hold a condition each.
 *   wait: lock the bucket; word != expected -> -EAGAIN; queue; sleep until `woken` or the deadline;
 *         if not woken, leave the queue; unlock.
 *   wake: lock; take up to count waiters of this address off the queue, first come first served,
 *         set `woken` and signal; unlock.
 * No lost wake-up: a waker changes the word before it locks the bucket. If the waiter's section
 * comes first, the waker finds it in the queue; if the waker's comes first, the lock's edge shows
 * the waiter the new word, and it does not sleep. A waiter's frame outlives the signal, because the
 * waiter needs the bucket's mutex to return and the waker holds it while it signals.
 * fork(): all buckets are taken before and released after, so that the child finds them whole; the
 * waiters in its copy of the queues do not exist there and are dropped.
 */
#include <moirai/core/os.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/internal/fault.h>

#include "os_internal.h"

const char *moirai_os_name(void)
{
	return "posix";
}

/* --- waiting --- */

#define BUCKET_BITS 6 /* 64 buckets: a collision costs a wake-up of nobody, no more */

struct waiter {
	const uint32_t *word;
	struct waiter *next;
	pthread_cond_t woken_up;
	bool woken;
};

static struct bucket {
	pthread_mutex_t mutex;
	struct waiter *first;
	struct waiter **end; /* where the next one is hung */
} buckets[1 << BUCKET_BITS];

static pthread_once_t buckets_once = PTHREAD_ONCE_INIT;

static void lock_all_buckets(void)
{
	for (unsigned i = 0; i < MOIRAI_ARRAY_SIZE(buckets); i++)
		pthread_mutex_lock(&buckets[i].mutex);
}

static void unlock_all_buckets(void)
{
	for (unsigned i = MOIRAI_ARRAY_SIZE(buckets); i-- > 0;)
		pthread_mutex_unlock(&buckets[i].mutex);
}

static void make_buckets(void)
{
	for (unsigned i = 0; i < MOIRAI_ARRAY_SIZE(buckets); i++) {
		pthread_mutex_init(&buckets[i].mutex, NULL);
		buckets[i].first = NULL;
		buckets[i].end = &buckets[i].first;
	}
}

static void renew_buckets(void)
{
	/* Our one thread holds all the locks: unlock them, then forget who waited. */
	unlock_all_buckets();
	make_buckets();
}

static void start_buckets(void)
{
	make_buckets();
	pthread_atfork(lock_all_buckets, unlock_all_buckets, renew_buckets);
}

static struct bucket *lock_bucket(const uint32_t *word)
{
	pthread_once(&buckets_once, start_buckets);
	uint64_t hash = (uint64_t)(uintptr_t)word * 0x9E3779B97F4A7C15ull; /* Fibonacci hashing */
	struct bucket *bucket = &buckets[hash >> (64 - BUCKET_BITS)];
	pthread_mutex_lock(&bucket->mutex);
	return bucket;
}

static void unhang(struct bucket *bucket, struct waiter **link)
{
	struct waiter *waiter = *link;
	*link = waiter->next;
	if (!*link)
		bucket->end = link;
}

static void init_condition(pthread_cond_t *condition)
{
#ifdef __APPLE__
	pthread_cond_init(condition, NULL);
#else
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
#endif
}

/* 0 or a positive errno, as pthread_cond_timedwait(). Sleeps of more than 10^8 s end early. */
static int sleep_on(struct waiter *waiter, struct bucket *bucket, uint64_t deadline_ns)
{
	if (deadline_ns == MOIRAI_NEVER)
		return pthread_cond_wait(&waiter->woken_up, &bucket->mutex);
	uint64_t now = moirai_os_clock();
	if (deadline_ns <= now)
		return ETIMEDOUT;
	uint64_t left = deadline_ns - now;
	bool far = left > 100000000 * MOIRAI_S;
	if (far)
		left = 100000000 * MOIRAI_S;
#ifdef __APPLE__
	uint64_t until = left;
#else
	uint64_t until = now + left;
#endif
	struct timespec time = {(time_t)(until / MOIRAI_S), (long)(until % MOIRAI_S)};
#ifdef __APPLE__
	int error = pthread_cond_timedwait_relative_np(&waiter->woken_up, &bucket->mutex, &time);
#else
	int error = pthread_cond_timedwait(&waiter->woken_up, &bucket->mutex, &time);
#endif
	return far && error == ETIMEDOUT ? 0 : error;
}

static int wait_in_queue(struct bucket *bucket, struct waiter *self, uint64_t deadline_ns)
{
	self->next = NULL;
	*bucket->end = self;
	bucket->end = &self->next;
	int error = 0;
	while (!self->woken && error != ETIMEDOUT)
		error = sleep_on(self, bucket, deadline_ns);
	if (self->woken)
		return 0;
	struct waiter **link = &bucket->first;
	while (*link != self)
		link = &(*link)->next;
	unhang(bucket, link);
	return -ETIMEDOUT;
}

int moirai_os_futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
	if (moirai__fault(MOIRAI_FAULT_WAIT))
		return 0;
	struct waiter self = {.word = word, .woken = false};
	struct bucket *bucket = lock_bucket(word);
	int rc = -EAGAIN;
	/* relaxed: the bucket's lock orders it after the change of whoever woke before us. */
	if (moirai_load_relaxed(word) == expected) {
		init_condition(&self.woken_up);
		rc = wait_in_queue(bucket, &self, deadline_ns);
		pthread_cond_destroy(&self.woken_up);
	}
	pthread_mutex_unlock(&bucket->mutex);
	return rc;
}

int moirai_os_futex_wake(const uint32_t *word, uint32_t count)
{
	int woken = 0;
	struct bucket *bucket = lock_bucket(word);
	struct waiter **link = &bucket->first;
	while (*link && count > 0) {
		struct waiter *waiter = *link;
		if (waiter->word != word) {
			link = &waiter->next;
			continue;
		}
		unhang(bucket, link);
		waiter->woken = true;
		pthread_cond_signal(&waiter->woken_up);
		count--;
		woken++;
	}
	pthread_mutex_unlock(&bucket->mutex);
	return woken;
}

/* --- threads --- */

MOIRAI_NOINLINE uint64_t moirai_os_thread_id(void)
{
	static __thread char anchor; /* no two live threads have it at one address */
	return (uint64_t)(uintptr_t)&anchor;
}

void moirai__os_thread_name(const char *name)
{
	/* pthread_setname_np() has another signature on every system. */
}

int moirai_os_thread_stack(void **low, void **high)
{
	return low && high ? -ENOTSUP : -EINVAL;
}

int moirai_os_timer_slack(uint64_t slack_ns)
{
	return -ENOTSUP;
}

/* --- barrier --- */

int moirai__os_barrier_register(void)
{
	return -ENOSYS;
}

int moirai__os_barrier(void)
{
	return -ENOSYS;
}

/* --- processors --- */

int moirai_os_affinity_get(moirai_cpuset *set)
{
	if (!set)
		return -EINVAL;
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	*set = (moirai_cpuset){{0}};
	for (long cpu = 0; cpu < count && cpu < MOIRAI_CPUS_MAX; cpu++)
		moirai_cpuset_add(set, (unsigned)cpu);
	return count > 0 ? 0 : -ENOTSUP;
}

int moirai_os_affinity_set(const moirai_cpuset *set)
{
	return set ? -ENOTSUP : -EINVAL;
}

int moirai_os_cpu_current(void)
{
	return -ENOTSUP;
}

unsigned moirai_os_cpus_usable(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	return count > 0 ? (unsigned)count : 1;
}

/* --- memory --- */

int moirai__os_map_flags(unsigned flags)
{
#ifdef MAP_NORESERVE
	if (flags & MOIRAI_OS_MAP_RESERVE)
		return MAP_NORESERVE;
#endif
	return 0;
}

void moirai__os_map_advise(void *address, size_t size_bytes, unsigned flags)
{
}

int moirai_os_discard(void *address, size_t size_bytes)
{
	/* MADV_DONTNEED only promises zeroes on Linux: map fresh pages over the old ones. */
	if (!address || size_bytes % moirai_os_page_size() != 0)
		return -EINVAL;
	int flags =
		MAP_PRIVATE | MAP_ANON | MAP_FIXED | moirai__os_map_flags(MOIRAI_OS_MAP_RESERVE);
	if (size_bytes == 0)
		return 0;
	void *same = mmap(address, size_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	return same == MAP_FAILED ? -ENOMEM : 0;
}

size_t moirai__os_guards_max(void)
{
	return 8192; /* unknown limits: as many as half of what Linux allows by default */
}

int moirai__os_guard_markers(char *address, size_t guard_bytes, size_t stride_bytes, size_t count)
{
	return -ENOTSUP;
}

/* --- random --- */

int moirai_os_random(void *buffer, size_t size_bytes)
{
	unsigned char *at = buffer;
	if (!buffer && size_bytes)
		return -EINVAL;
	if (moirai__fault(MOIRAI_FAULT_SYSCALL))
		return -EIO;
	int file = open("/dev/urandom", O_RDONLY);
	if (file < 0)
		return -EIO;
	while (size_bytes > 0) {
		ssize_t n = read(file, at, size_bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		at += n;
		size_bytes -= (size_t)n;
	}
	close(file);
	return size_bytes == 0 ? 0 : -EIO;
}
