/* SPDX-License-Identifier: MIT */
/* Stack pools: layout, guards, canaries, caches, memory given back, and no memory at all. */
#include <moirai/async/internal/stack.h>
#include <moirai/core/internal/fault.h>

#include <errno.h>
#include <stdlib.h>

#ifndef _WIN32
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "tap.h"

static void classes_are_chosen_by_size(void)
{
	moirai__stack_class c;
	CHECK(moirai__stack_class_for(0, &c) == 0 && c == MOIRAI__STACK_64K);
	CHECK(moirai__stack_class_for(1, &c) == 0 && c == MOIRAI__STACK_16K);
	CHECK(moirai__stack_class_for(16384, &c) == 0 && c == MOIRAI__STACK_16K);
	CHECK(moirai__stack_class_for(16385, &c) == 0 && c == MOIRAI__STACK_64K);
	CHECK(moirai__stack_class_for(200000, &c) == 0 && c == MOIRAI__STACK_256K);
	CHECK(moirai__stack_class_for(1 << 20, &c) == 0 && c == MOIRAI__STACK_1M);
	CHECK(moirai__stack_class_for((1 << 20) + 1, &c) == -EINVAL);
}

static void block_sizes_are_checked(void)
{
	struct moirai__stack_pool pool;
	moirai__stack_attr attr = {.block_size = MOIRAI__FIBER_BLOCK_MAX + 1};
	CHECK(moirai__stack_pool_init(&pool, &attr) == -EINVAL);
	attr.block_size = sizeof(struct moirai__fiber) - 1;
	CHECK(moirai__stack_pool_init(&pool, &attr) == -EINVAL);
	moirai__stack_pool_fini(NULL);
	memset(&pool, 0, sizeof(pool));
	moirai__stack_pool_fini(&pool);
}

static void regions_are_aligned_coloured_and_disjoint(void)
{
	enum { N = 40 };
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache = {0};
	moirai__stack_attr attr = {.block_size = 300};
	REQUIRE(moirai__stack_pool_init(&pool, &attr) == 0);
	for (unsigned c = 0; c < MOIRAI__STACK_CLASSES; c++) {
		struct moirai__fiber *fibers[N];
		size_t region = pool.slabs[c].region_bytes;
		for (unsigned i = 0; i < N; i++) {
			struct moirai__fiber *f =
				moirai__stack_get(&pool, &cache, (moirai__stack_class)c);
			REQUIRE(f);
			uintptr_t base = (uintptr_t)f->stack_low & ~(uintptr_t)(region - 1);
			CHECK((uintptr_t)f->stack_low == base + pool.page_bytes);
			CHECK(f->stack_high == (char *)f);
			CHECK((uintptr_t)f % MOIRAI_CACHELINE == 0);
			CHECK((uintptr_t)f + 320 + f->index % 16 * 64 == base + region);
			CHECK(f->stack_class == c);
			CHECK(moirai__stack_pool_at(&pool, (moirai__stack_class)c, f->index) == f);
			for (unsigned k = 0; k < i; k++)
				CHECK(fibers[k] != f && fibers[k]->index != f->index);
			fibers[i] = f;
		}
		for (unsigned i = 0; i < N; i++)
			moirai__stack_put(&pool, &cache, fibers[i]);
		CHECK(!moirai__stack_pool_at(&pool, (moirai__stack_class)c, 1000));
	}
	moirai__stack_pool_fini(&pool);
}

static void the_warmest_stack_comes_first(void)
{
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache = {0};
	REQUIRE(moirai__stack_pool_init(&pool, NULL) == 0);
	struct moirai__fiber *a = moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K);
	struct moirai__fiber *b = moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K);
	REQUIRE(a && b);
	moirai__stack_put(&pool, &cache, a);
	moirai__stack_put(&pool, &cache, b);
	CHECK(moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K) == b);
	CHECK(moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K) == a);
	moirai__stack_pool_fini(&pool);
}

static void stacks_move_between_caches_and_are_used_again(void)
{
	enum { N = 1000 };
	struct moirai__stack_pool pool;
	struct moirai__stack_cache mine = {0}, theirs = {0};
	moirai__stack_stats stats;
	struct moirai__fiber **all = calloc(N, sizeof(*all));
	REQUIRE(all);
	REQUIRE(moirai__stack_pool_init(&pool, NULL) == 0);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < N; i++)
			REQUIRE((all[i] = moirai__stack_get(&pool, &mine, MOIRAI__STACK_16K)) !=
				NULL);
		for (unsigned i = 0; i < N; i++)
			moirai__stack_put(&pool, &theirs, all[i]);
		CHECK(theirs.count[MOIRAI__STACK_16K] <= MOIRAI__STACK_CACHE_MAX);
	}
	moirai__stack_cache_drain(&pool, &mine);
	moirai__stack_cache_drain(&pool, &theirs);
	moirai__stack_pool_stats(&pool, MOIRAI__STACK_16K, &stats);
	CHECK(stats.carved == stats.free);
	CHECK(stats.carved <= N + 5 * 2 * MOIRAI__STACK_CACHE_MAX);
	moirai__stack_pool_fini(&pool);
	free(all);
}

static void memory_goes_back_above_the_watermark(void)
{
	enum { N = 500 };
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache = {0};
	moirai__stack_attr attr = {.warm_max = 100};
	moirai__stack_stats stats;
	struct moirai__fiber *all[N];
	unsigned cold = 0;
	REQUIRE(moirai__stack_pool_init(&pool, &attr) == 0);
	for (unsigned i = 0; i < N; i++) {
		REQUIRE((all[i] = moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K)) != NULL);
		memset(all[i]->stack_low, 0x5a, 4096);
		all[i]->owner = all[i];
	}
	for (unsigned i = 0; i < N; i++)
		moirai__stack_put(&pool, &cache, all[i]);
	moirai__stack_cache_drain(&pool, &cache);
	moirai__stack_pool_stats(&pool, MOIRAI__STACK_64K, &stats);
	CHECK(stats.free == stats.carved);
	for (unsigned i = 0; i < N; i++) {
		CHECK(all[i]->owner == all[i]); /* the blocks stay */
		cold += all[i]->stack_low[100] == 0;
	}
	CHECK(cold == stats.discards);
	CHECK(cold >= N - 100 - 2 * MOIRAI__STACK_CACHE_MAX && cold < N);
	moirai__stack_pool_fini(&pool);
}

static void a_class_can_be_exhausted(void)
{
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache = {0};
	moirai__stack_attr attr = {.regions_max = {[MOIRAI__STACK_64K] = 6}};
	struct moirai__fiber *f, *last = NULL;
	unsigned n = 0;
	REQUIRE(moirai__stack_pool_init(&pool, &attr) == 0);
	for (; (f = moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K)) != NULL; n++)
		last = f;
	CHECK(n == 6);
	REQUIRE(last);
	moirai__stack_put(&pool, &cache, last);
	CHECK(moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K) == last);
	moirai__stack_pool_fini(&pool);
}

static void a_refused_reservation_is_halved(void)
{
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache = {0};
	moirai__stack_attr attr = {.regions_max = {64, 64, 64, 64}};
	moirai__stack_stats stats;
	REQUIRE(moirai__stack_pool_init(&pool, &attr) == 0);
	moirai__fault_arm(MOIRAI_FAULT_MAP, 1);
	CHECK(moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K) != NULL);
	moirai__fault_arm(0, 0);
	/* Once because it was refused, once more to leave room. */
	moirai__stack_pool_stats(&pool, MOIRAI__STACK_64K, &stats);
	CHECK(stats.regions_max == 16);
	CHECK(stats.reserved_bytes == 16 * pool.slabs[MOIRAI__STACK_64K].region_bytes);
	moirai__stack_pool_fini(&pool);
}

static void the_environment_bounds_the_defaults(void)
{
#ifndef _WIN32
	struct moirai__stack_pool pool;
	setenv("MOIRAI_STACKS_MAX", "321", 1);
	REQUIRE(moirai__stack_pool_init(&pool, NULL) == 0);
	unsetenv("MOIRAI_STACKS_MAX");
	CHECK(pool.attr.regions_max[MOIRAI__STACK_64K] == 321);
	moirai__stack_pool_fini(&pool);
#else
	SKIP("no setenv");
#endif
}

static void no_memory_is_an_error_and_can_pass(void)
{
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache = {0};
	moirai__stack_attr attr = {.regions_max = {1, 1, 1, 1}};
	REQUIRE(moirai__stack_pool_init(&pool, &attr) == 0);
	moirai__fault_arm(MOIRAI_FAULT_MAP, 1);
	CHECK(moirai__stack_refill(&pool, &cache, MOIRAI__STACK_64K) == -ENOMEM);
	moirai__fault_arm(0, 0);
	CHECK(moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K) != NULL);
	moirai__stack_pool_fini(&pool);
}

static void a_guard_that_cannot_be_had_becomes_a_canary(void)
{
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache = {0};
	moirai__stack_stats stats;
	REQUIRE(moirai__stack_pool_init(&pool, NULL) == 0);
	moirai__fault_arm(MOIRAI_FAULT_SYSCALL, 1);
	struct moirai__fiber *f = moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K);
	bool fired;
	moirai__fault_passed(&fired);
	moirai__fault_arm(0, 0);
	REQUIRE(f);
	moirai__stack_pool_stats(&pool, MOIRAI__STACK_64K, &stats);
	if (fired)
		CHECK((f->flags & MOIRAI__FIBER_CANARY) && stats.guarded == 0);
	else
		SKIP("this system's guards have no point of failure");
	moirai__stack_pool_fini(&pool);
}

#if !defined(_WIN32) && !MOIRAI_ASAN && !MOIRAI_TSAN
/* Runs fn(arg) in a child; the signal that killed it, 0 if none, -status if it left by itself. */
static int death_of(void (*fn)(void *), void *arg)
{
	int status;
	fflush(stdout);
	pid_t pid = fork();
	if (!pid) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		fn(arg);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void writes_below(void *arg)
{
	struct moirai__fiber *f = arg;
	((volatile char *)f->stack_low)[-1] = 1;
}

static void writes_lowest(void *arg)
{
	struct moirai__fiber *f = arg;
	((volatile char *)f->stack_low)[0] = 1;
}

static void frees_with_broken_canary(void *arg)
{
	struct moirai__fiber *f = arg;
	((volatile char *)f->stack_low)[-3] = 1;
	moirai__stack_retire(f);
}
#endif

static void the_page_below_the_stack_is_watched(void)
{
#if !defined(_WIN32) && !MOIRAI_ASAN && !MOIRAI_TSAN
	struct moirai__stack_pool pool;
	for (int guards = 0; guards < 2; guards++) {
		moirai__stack_attr attr = {.no_guards = !guards};
		struct moirai__stack_cache cache = {0};
		REQUIRE(moirai__stack_pool_init(&pool, &attr) == 0);
		for (unsigned i = 0; i < 70; i++) { /* more than one batch */
			struct moirai__fiber *f =
				moirai__stack_get(&pool, &cache, MOIRAI__STACK_16K);
			REQUIRE(f);
			if (i % 23)
				continue;
			CHECK(death_of(writes_lowest, f) == 0);
			if (f->flags & MOIRAI__FIBER_CANARY)
				CHECK(death_of(frees_with_broken_canary, f) == SIGABRT);
			else
				CHECK(death_of(writes_below, f) == SIGSEGV ||
					death_of(writes_below, f) == SIGBUS);
		}
		moirai__stack_stats stats;
		moirai__stack_pool_stats(&pool, MOIRAI__STACK_16K, &stats);
		CHECK(guards || stats.guarded == 0);
		moirai__stack_pool_fini(&pool);
	}
#else
	SKIP("needs fork and plain signals");
#endif
}

#if defined(__linux__) && !MOIRAI_ASAN && !MOIRAI_TSAN
#define NO_LIMIT 77 /* emulators ignore it */

static void in_little_space(void *arg)
{
	struct rlimit limit = {1u << 30, 1u << 30};
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache = {0};
	moirai__stack_stats stats;
	void *too_much;
	(void)arg;
	if (setrlimit(RLIMIT_AS, &limit) ||
		moirai_os_map(&too_much, 3u << 30, 4096, MOIRAI_OS_MAP_RESERVE) == 0)
		_exit(NO_LIMIT);
	if (moirai__stack_pool_init(&pool, NULL) < 0)
		abort();
	for (unsigned c = 0; c < MOIRAI__STACK_CLASSES; c++) {
		if (!moirai__stack_get(&pool, &cache, (moirai__stack_class)c))
			abort();
		moirai__stack_pool_stats(&pool, (moirai__stack_class)c, &stats);
		if (stats.reserved_bytes > 1u << 29 || stats.regions_max < 4)
			abort();
	}
	void *rest = malloc(16u << 20); /* and the process can still live */
	if (!rest)
		abort();
	free(rest);
}
#endif

static void the_pool_fits_into_a_small_address_space(void)
{
#if defined(__linux__) && !MOIRAI_ASAN && !MOIRAI_TSAN
	int rc = death_of(in_little_space, NULL);
	if (rc == -NO_LIMIT)
		SKIP("RLIMIT_AS has no effect here");
	CHECK(rc == 0);
#else
	SKIP("needs RLIMIT_AS");
#endif
}

TAP_MAIN(TEST(classes_are_chosen_by_size), TEST(block_sizes_are_checked),
	TEST(regions_are_aligned_coloured_and_disjoint), TEST(the_warmest_stack_comes_first),
	TEST(stacks_move_between_caches_and_are_used_again),
	TEST(memory_goes_back_above_the_watermark), TEST(a_class_can_be_exhausted),
	TEST(a_refused_reservation_is_halved), TEST(the_environment_bounds_the_defaults),
	TEST(no_memory_is_an_error_and_can_pass), TEST(a_guard_that_cannot_be_had_becomes_a_canary),
	TEST(the_page_below_the_stack_is_watched), TEST(the_pool_fits_into_a_small_address_space))
