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
 * The counters are written by their owner alone: a thread claims one of 64 lines with its first
 * allocation and gives it back by an exit hook, so counting costs a load and a store, and no locked
 * instruction. Threads that find no free line, and hooks that allocate after the line was given back,
 * share the last line and pay for an RMW. A line keeps its sums over its owners: the release of the
 * old one and the acquire of the new one order them.
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
#include <moirai/core/observer.h>
#include <moirai/core/os.h>

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

#define LINES 64 /* 4 KiB; more threads than that seldom allocate at once */

struct line {
	/* owner */
	uint64_t allocations;
	uint64_t frees;
	uint64_t live_bytes; /* modulo 2^64: another line may have counted the allocation */
	/* claimers */
	uint32_t owned;
} MOIRAI_ALIGNED(MOIRAI_CACHELINE);

static struct line lines[LINES + 1];
static struct line *const shared_line = &lines[LINES];
static __thread struct line *own_line; /* NULL: not asked for yet */

static void give_line_back(void *slot)
{
	struct line *line = slot;
	own_line = shared_line;
	/* release: pairs with the acquire in claim_line(); the next owner goes on with our sums. */
	moirai_store_release(&line->owned, 0);
}

static MOIRAI_COLD struct line *claim_line(void)
{
	own_line = shared_line; /* for the case that the hook allocates */
	for (size_t i = 0; i < LINES; i++) {
		uint32_t owned = 0;
		/* acquire: pairs with the release in give_line_back(). */
		if (moirai_load_relaxed(&lines[i].owned) ||
			!moirai_cas_acquire(&lines[i].owned, &owned, 1))
			continue;
		if (moirai_os_thread_exit_hook(give_line_back, &lines[i]) == 0)
			own_line = &lines[i];
		else
			moirai_store_release(&lines[i].owned, 0);
		break;
	}
	return own_line;
}

/* Relaxed, all of them: statistics order nothing. */
static inline void count(const struct line *line, uint64_t *counter, uint64_t amount)
{
	if (MOIRAI_LIKELY(line != shared_line))
		moirai_store_relaxed(counter, moirai_load_relaxed(counter) + amount);
	else
		moirai_fetch_add_relaxed(counter, amount);
}

/* noinline: a thread-local's address must not live over a park. */
static MOIRAI_NOINLINE void count_alloc(size_t size_bytes)
{
	struct line *mine = own_line ? own_line : claim_line();
	count(mine, &mine->allocations, 1);
	count(mine, &mine->live_bytes, (uint64_t)size_bytes);
}

static MOIRAI_NOINLINE void count_free(size_t size_bytes)
{
	struct line *mine = own_line ? own_line : claim_line();
	count(mine, &mine->frees, 1);
	count(mine, &mine->live_bytes, -(uint64_t)size_bytes);
}

void moirai_alloc_stats_get(moirai_alloc_stats *stats)
{
	*stats = (moirai_alloc_stats){0};
	for (size_t i = 0; i <= LINES; i++) {
		stats->allocations += moirai_load_relaxed(&lines[i].allocations);
		stats->frees += moirai_load_relaxed(&lines[i].frees);
		stats->live_bytes += moirai_load_relaxed(&lines[i].live_bytes);
	}
}

/* --- blocks --- */

static uint32_t check_of(const void *pointer, size_t size_bytes)
{
	uint64_t mixed =
		((uint64_t)(uintptr_t)pointer ^ (uint64_t)size_bytes << 17) * 0x9E3779B97F4A7C15ull;
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
	MOIRAI_OBSERVE(MOIRAI_EVENT_ALLOC, pointer);
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
	MOIRAI_OBSERVE(MOIRAI_EVENT_FREE, pointer);
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
