/* SPDX-License-Identifier: MIT */
/*
 * Allocation: a block in front of which we note what the allocator must hear again when it is freed.
 *
 *     base                         pointer = base + max(16, alignment)
 *     | ... | size | alignment | check | user's bytes
 *
 * The note costs 16 bytes, and as much as the alignment when that is larger (who wants whole aligned
 * pages takes moirai_os_map()). `check` is made of the address and the size: a second free, a pointer
 * that is not ours, or a note that was overwritten ends in a panic instead of a damaged heap.
 *
 * The counters are striped: a thread keeps to one of 16 lines, so two threads seldom share a line and
 * the locked instruction stays in the own cache (about 5 ns). Counters owned by one thread would
 * cost less but need a registry of threads; allocation is not on a hot path of this library, and
 * these counters exist to prove that.
 */
#include <moirai/core/alloc.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <malloc.h>
#endif

#include <moirai/core/atomic.h>
#include <moirai/core/internal/fault.h>

#define ALIGNMENT_MIN 16
#define ALIGNMENT_MAX (1u << 20) /* more is a mapping's business */

struct note {
	size_t size_bytes;
	uint32_t alignment;
	uint32_t check;
};
MOIRAI_STATIC_ASSERT(sizeof(struct note) <= ALIGNMENT_MIN, "the note fits before every block");

/* --- the C library's allocator --- */

static void *libc_alloc(void *self, size_t size_bytes, size_t alignment)
{
#ifdef _WIN32
	return _aligned_malloc(size_bytes, alignment);
#else
	void *pointer;
	if (alignment <= _Alignof(max_align_t))
		return malloc(size_bytes);
	return posix_memalign(&pointer, alignment, size_bytes) == 0 ? pointer : NULL;
#endif
}

static void libc_free(void *self, void *pointer, size_t size_bytes, size_t alignment)
{
#ifdef _WIN32
	_aligned_free(pointer);
#else
	free(pointer);
#endif
}

static const moirai_allocator libc_allocator = {libc_alloc, libc_free, NULL};
static moirai_allocator allocator = {libc_alloc, libc_free, NULL};

/* --- statistics --- */

#define STRIPES 16 /* 1 KiB; beyond 16 threads that allocate at once lines are shared */

struct stripe {
	uint64_t allocations;
	uint64_t frees;
	uint64_t live_bytes; /* modulo 2^64: another stripe may have counted the allocation */
} MOIRAI_ALIGNED(MOIRAI_CACHELINE);

static struct stripe stripes[STRIPES];

/* noinline: a thread-local's address must not live over a park. */
static MOIRAI_NOINLINE struct stripe *my_stripe(void)
{
	static uint32_t threads;
	static __thread uint32_t number; /* 1 + the stripe */
	if (MOIRAI_UNLIKELY(!number))
		number = 1 + moirai_fetch_add_relaxed(&threads, 1) % STRIPES;
	return &stripes[number - 1];
}

/* Relaxed, all of them: statistics order nothing. */
static void count_alloc(size_t size_bytes)
{
	struct stripe *mine = my_stripe();
	moirai_fetch_add_relaxed(&mine->allocations, 1);
	moirai_fetch_add_relaxed(&mine->live_bytes, (uint64_t)size_bytes);
}

static void count_free(size_t size_bytes)
{
	struct stripe *mine = my_stripe();
	moirai_fetch_add_relaxed(&mine->frees, 1);
	moirai_fetch_sub_relaxed(&mine->live_bytes, (uint64_t)size_bytes);
}

void moirai_alloc_stats_get(moirai_alloc_stats *stats)
{
	*stats = (moirai_alloc_stats){0};
	for (unsigned i = 0; i < STRIPES; i++) {
		stats->allocations += moirai_load_relaxed(&stripes[i].allocations);
		stats->frees += moirai_load_relaxed(&stripes[i].frees);
		stats->live_bytes += moirai_load_relaxed(&stripes[i].live_bytes);
	}
}

/* --- blocks --- */

static uint32_t check_of(const void *pointer, size_t size_bytes)
{
	uint64_t mixed = ((uint64_t)(uintptr_t)pointer ^ (uint64_t)size_bytes << 17) *
		0x9E3779B97F4A7C15ull;
	return (uint32_t)(mixed >> 32) | 1; /* never 0, which marks a freed block */
}

static struct note *note_of(void *pointer)
{
	struct note *note = (struct note *)pointer - 1;
	MOIRAI_ASSERT(note->check == check_of(pointer, note->size_bytes) &&
		      "a pointer of moirai_alloc() that is not freed yet");
	return note;
}

void *moirai_alloc_aligned(size_t size_bytes, size_t alignment)
{
	bool power = alignment && (alignment & (alignment - 1)) == 0 && alignment <= ALIGNMENT_MAX;
	if (size_bytes == 0 || !power || moirai__fault(MOIRAI_FAULT_ALLOC))
		return NULL;
	if (alignment < ALIGNMENT_MIN)
		alignment = ALIGNMENT_MIN;
	if (size_bytes > PTRDIFF_MAX - 2 * (size_t)ALIGNMENT_MAX)
		return NULL;
	char *base = allocator.alloc(allocator.self, size_bytes + alignment, alignment);
	if (!base)
		return NULL;
	char *pointer = base + alignment;
	((struct note *)(void *)pointer)[-1] =
		(struct note){size_bytes, (uint32_t)alignment, check_of(pointer, size_bytes)};
	count_alloc(size_bytes);
	return pointer;
}

void *moirai_alloc(size_t size_bytes)
{
	return moirai_alloc_aligned(size_bytes, ALIGNMENT_MIN);
}

void *moirai_alloc_zeroed(size_t count, size_t size_bytes)
{
	size_t total;
	if (__builtin_mul_overflow(count, size_bytes, &total))
		return NULL;
	void *pointer = moirai_alloc(total);
	return pointer ? memset(pointer, 0, total) : NULL;
}

void *moirai_realloc(void *pointer, size_t size_bytes)
{
	if (!pointer)
		return moirai_alloc(size_bytes);
	const struct note *note = note_of(pointer);
	void *grown = moirai_alloc_aligned(size_bytes, note->alignment);
	if (!grown)
		return NULL;
	memcpy(grown, pointer, size_bytes < note->size_bytes ? size_bytes : note->size_bytes);
	moirai_free(pointer);
	return grown;
}

void moirai_free(void *pointer)
{
	if (!pointer)
		return;
	struct note *note = note_of(pointer);
	size_t size_bytes = note->size_bytes, alignment = note->alignment;
	note->check = 0;
	count_free(size_bytes);
	allocator.free(
		allocator.self, (char *)pointer - alignment, size_bytes + alignment, alignment);
}

int moirai_allocator_set(const moirai_allocator *wanted)
{
	if (!wanted)
		wanted = &libc_allocator;
	if (!wanted->alloc || !wanted->free)
		return -EINVAL;
	moirai_alloc_stats stats;
	moirai_alloc_stats_get(&stats);
	if (stats.allocations != stats.frees)
		return -EBUSY;
	allocator = *wanted;
	return 0;
}
