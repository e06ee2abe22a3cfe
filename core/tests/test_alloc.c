/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#ifndef _WIN32
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/internal/fault.h>
#include <moirai/core/os.h>

static bool aligned(const void *pointer, size_t alignment)
{
	return (uintptr_t)pointer % alignment == 0;
}

static void blocks_are_aligned_and_separate(void)
{
	char *blocks[64];
	for (size_t i = 0; i < 64; i++) {
		blocks[i] = moirai_alloc(i + 1);
		REQUIRE(blocks[i] && aligned(blocks[i], 16));
		memset(blocks[i], (int)i, i + 1);
	}
	for (size_t i = 0; i < 64; i++) {
		CHECK(blocks[i][0] == (char)i && blocks[i][i] == (char)i);
		moirai_free(blocks[i]);
	}
}

static void any_power_of_two_up_to_a_mebibyte_aligns(void)
{
	for (size_t alignment = 1; alignment <= 1u << 20; alignment *= 2) {
		char *block = moirai_alloc_aligned(100, alignment);
		REQUIRE(block);
		CHECK(aligned(block, alignment) && aligned(block, 16));
		memset(block, 1, 100);
		moirai_free(block);
	}
	CHECK(moirai_alloc_aligned(8, 0) == NULL);
	CHECK(moirai_alloc_aligned(8, 3) == NULL);
	CHECK(moirai_alloc_aligned(8, 1u << 21) == NULL);
}

static void impossible_sizes_are_refused(void)
{
	CHECK(moirai_alloc(0) == NULL);
	CHECK(moirai_alloc(SIZE_MAX) == NULL);
	CHECK(moirai_alloc(SIZE_MAX - 15) == NULL);
	CHECK(moirai_alloc(PTRDIFF_MAX) == NULL);
	CHECK(moirai_alloc_zeroed(0, 8) == NULL);
	CHECK(moirai_alloc_zeroed(8, 0) == NULL);
	CHECK(moirai_alloc_zeroed(SIZE_MAX / 2 + 2, 2) == NULL); /* the product wraps to 2 */
	moirai_free(NULL);
}

static void zeroed_is_zero(void)
{
	for (int round = 0; round < 3; round++) {
		unsigned char *block = moirai_alloc_zeroed(100, 7);
		REQUIRE(block);
		for (size_t i = 0; i < 700; i++)
			CHECK(block[i] == 0);
		memset(block, 0xFF, 700); /* for the next round, if it gets this block */
		moirai_free(block);
	}
}

static void realloc_keeps_bytes_and_alignment(void)
{
	char *block = moirai_alloc_aligned(10, 256);
	REQUIRE(block);
	strcpy(block, "moirai");
	block = moirai_realloc(block, 10000);
	REQUIRE(block);
	CHECK(strcmp(block, "moirai") == 0 && aligned(block, 256));
	block = moirai_realloc(block, 7);
	REQUIRE(block);
	CHECK(strcmp(block, "moirai") == 0 && aligned(block, 256));
	CHECK(moirai_realloc(block, 0) == NULL);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	CHECK(moirai_realloc(block, 100) == NULL);
	moirai__fault_arm(0, 0);
	CHECK(strcmp(block, "moirai") == 0); /* still ours */
	moirai_free(block);
	block = moirai_realloc(NULL, 5);
	CHECK(block != NULL);
	moirai_free(block);
}

static void every_kind_of_allocation_can_be_made_to_fail(void)
{
	moirai_alloc_stats before, after;
	moirai_alloc_stats_get(&before);
	for (int kind = 0; kind < 4; kind++) {
		moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
		void *block = kind == 0   ? moirai_alloc(8)
			      : kind == 1 ? moirai_alloc_zeroed(1, 8)
			      : kind == 2 ? moirai_alloc_aligned(8, 64)
					  : moirai_realloc(NULL, 8);
		CHECK(block == NULL);
		bool fired;
		moirai__fault_passed(&fired);
		CHECK(fired);
	}
	moirai__fault_arm(0, 0);
	moirai_alloc_stats_get(&after);
	CHECK(memcmp(&before, &after, sizeof(before)) == 0);
}

static void statistics_follow_every_call(void)
{
	moirai_alloc_stats before, now;
	moirai_alloc_stats_get(&before);
	void *one = moirai_alloc(100), *two = moirai_alloc_aligned(1000, 4096);
	moirai_alloc_stats_get(&now);
	CHECK(now.allocations - before.allocations == 2);
	CHECK(now.live_bytes - before.live_bytes == 1100);
	moirai_free(one);
	moirai_free(two);
	moirai_alloc_stats_get(&now);
	CHECK(now.frees - before.frees == 2 && now.live_bytes == before.live_bytes);
}

static void free_what_is_given(void *arg)
{
	for (void **block = arg; *block; block++)
		moirai_free(*block);
}

static void a_block_may_be_freed_by_another_thread(void)
{
	enum { BLOCKS = 500, THREADS = 20 };
	static void *blocks[THREADS][BLOCKS + 1];
	moirai_os_thread threads[THREADS];
	moirai_alloc_stats before, after;
	moirai_alloc_stats_get(&before);
	for (int t = 0; t < THREADS; t++) {
		for (size_t i = 0; i < BLOCKS; i++)
			blocks[t][i] = moirai_alloc(i % 100 + 1);
		REQUIRE(moirai_os_thread_create(&threads[t], NULL, free_what_is_given, blocks[t]) ==
			0);
	}
	for (int t = 0; t < THREADS; t++)
		moirai_os_thread_join(threads[t]);
	moirai_alloc_stats_get(&after);
	CHECK(after.live_bytes == before.live_bytes);
	CHECK(after.allocations - before.allocations ==
		THREADS * (BLOCKS + 1)); /* 1: the thread's */
	CHECK(after.frees - before.frees == THREADS * (BLOCKS + 1));
}

static uint32_t leave;

static void allocate_among_many(void *arg)
{
	while (moirai_load_acquire(&leave) == 0)
		moirai_os_futex_wait(&leave, 0, UINT64_MAX);
	for (int i = 0; i < 200; i++)
		moirai_free(moirai_alloc(24));
}

/* More threads at once than there are lines of counters, twice: lines are shared and given on. */
static void counters_are_exact_for_any_number_of_threads(void)
{
	enum { THREADS = 100 };
	moirai_os_thread threads[THREADS];
	moirai_os_thread_attr small = {.stack_size_bytes = 65536};
	for (int round = 0; round < 2; round++) {
		moirai_alloc_stats before, after;
		unsigned started = 0;
		leave = 0;
		moirai_alloc_stats_get(&before);
		for (int t = 0; t < THREADS; t++)
			started += moirai_os_thread_create(&threads[started], &small,
					   allocate_among_many, NULL) == 0;
		moirai_store_release(&leave, 1);
		moirai_os_futex_wake(&leave, UINT32_MAX);
		for (unsigned t = 0; t < started; t++)
			moirai_os_thread_join(threads[t]);
		moirai_alloc_stats_get(&after);
		CHECK(started > 64);
		CHECK(after.live_bytes == before.live_bytes);
		CHECK(after.allocations - before.allocations >= started * 201ull);
		CHECK(after.allocations - before.allocations == after.frees - before.frees);
	}
}

/* An allocator that remembers what it was asked for. */
static struct {
	int alive;
	size_t size, alignment;
	bool agrees;
} asked;

static void *note_alloc(void *self, size_t size_bytes, size_t alignment)
{
	CHECK(self == &asked);
	asked.alive++;
	asked.size = size_bytes;
	asked.alignment = alignment;
	size_t rounded = (size_bytes + alignment - 1) / alignment * alignment;
#ifdef _WIN32
	return _aligned_malloc(rounded, alignment);
#else
	return aligned_alloc(alignment, rounded);
#endif
}

static void note_free(void *self, void *pointer, size_t size_bytes, size_t alignment)
{
	asked.alive--;
	asked.agrees = size_bytes == asked.size && alignment == asked.alignment &&
		       aligned(pointer, alignment);
#ifdef _WIN32
	_aligned_free(pointer);
#else
	free(pointer);
#endif
}

static void allocator_can_be_replaced_while_nothing_is_outstanding(void)
{
	moirai_allocator mine = {note_alloc, note_free, &asked}, broken = {note_alloc, NULL, NULL};
	void *held = moirai_alloc(1);
	CHECK(moirai_allocator_set(&mine) == -EBUSY);
	CHECK(moirai_allocator_set(NULL) == -EBUSY);
	moirai_free(held);
	CHECK(moirai_allocator_set(&broken) == -EINVAL);
	broken.alloc = NULL;
	broken.free = note_free;
	CHECK(moirai_allocator_set(&broken) == -EINVAL);

	REQUIRE(moirai_allocator_set(&mine) == 0);
	memset(&mine, 0, sizeof(mine)); /* the table was copied */
	for (size_t alignment = 16; alignment <= 4096; alignment *= 4) {
		void *block = moirai_alloc_aligned(100, alignment);
		CHECK(block && asked.alive == 1 && asked.size >= 100 &&
			asked.alignment >= alignment);
		CHECK(moirai_allocator_set(NULL) == -EBUSY);
		moirai_free(block);
		CHECK(asked.alive == 0 && asked.agrees);
	}
	CHECK(moirai_allocator_set(NULL) == 0);
	moirai_free(moirai_alloc(1));
	CHECK(asked.alive == 0 && asked.alignment == 4096);
}

#if !defined(_WIN32) && !MOIRAI_ASAN
/* Runs fn in a child whose stderr is closed; true if it died by abort(). */
static bool aborts(void (*fn)(void))
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		close(2);
		fn();
		_exit(0);
	}
	int status = 0;
	return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGABRT;
}

static void free_foreign(void)
{
	static char memory[64] MOIRAI_ALIGNED(16);
	moirai_free(memory + 32);
}

/* A pool that keeps what is freed, so that the second free reads memory that is still there. */
static char pool[1024] MOIRAI_ALIGNED(64);

static void *pool_alloc(void *self, size_t size_bytes, size_t alignment)
{
	return pool;
}

static void pool_free(void *self, void *pointer, size_t size_bytes, size_t alignment)
{
}

static void free_twice(void)
{
	moirai_allocator mine = {pool_alloc, pool_free, NULL};
	if (moirai_allocator_set(&mine) != 0)
		_exit(1);
	void *block = moirai_alloc(8);
	moirai_free(block);
	moirai_free(block);
}

static void misuse_panics_before_the_heap_is_damaged(void)
{
	CHECK(aborts(free_foreign));
	CHECK(aborts(free_twice));
}
#else
static void misuse_panics_before_the_heap_is_damaged(void)
{
	SKIP("needs fork() and a heap that is not watched");
}
#endif

TAP_MAIN(TEST(blocks_are_aligned_and_separate), TEST(any_power_of_two_up_to_a_mebibyte_aligns),
	TEST(impossible_sizes_are_refused), TEST(zeroed_is_zero),
	TEST(realloc_keeps_bytes_and_alignment), TEST(every_kind_of_allocation_can_be_made_to_fail),
	TEST(statistics_follow_every_call), TEST(a_block_may_be_freed_by_another_thread),
	TEST(counters_are_exact_for_any_number_of_threads),
	TEST(allocator_can_be_replaced_while_nothing_is_outstanding),
	TEST(misuse_panics_before_the_heap_is_damaged))
