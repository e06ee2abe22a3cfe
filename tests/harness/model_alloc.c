/* SPDX-License-Identifier: MIT */
/*
 * moirai_alloc() and its family under the tester.
 *
 * Design. Blocks are cut from an arena in address order and never reused within an execution, so a
 * freed address stays recognisable. Each granule of the arena knows its block: every atomic access
 * and every marked plain access is checked in constant time for
 *
 *   use after free       also when the stale pointer was only compared-and-swapped through;
 *   unpublished memory   the access does not happen after the allocation: the pointer travelled
 *                        by a store that does not release, or a load that does not acquire;
 *   out of bounds        a granule of nobody stands behind each block.
 *
 * Freeing asks that every access by others happens before: a reclamation that is only "late enough"
 * in this schedule is a finding in every schedule. Contents are filled with a pattern at both ends
 * of a block's life, so that accesses nobody marked go wrong loudly and deterministically.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model_internal.h"
#include <moirai/core/alloc.h>
#include <moirai/core/os.h>

#define FILL_FRESH 0xA5
#define FILL_FREED 0xDD
#define FILL_LIMIT 65536 /* of a block are filled: enough for what anybody allocates here */

void model_alloc_init(struct model *m)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	size_t granules = MODEL_ARENA / MODEL_GRANULE;
	m->arena = mmap(NULL, MODEL_ARENA, PROT_READ | PROT_WRITE, flags, -1, 0);
	m->granule =
		mmap(NULL, granules * sizeof(m->granule[0]), PROT_READ | PROT_WRITE, flags, -1, 0);
	m->mappings = mmap(NULL, MODEL_MAPPINGS, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (m->arena == MAP_FAILED || m->granule == MAP_FAILED || m->mappings == MAP_FAILED) {
		perror("model: mmap");
		_exit(2);
	}
}

void model_reset_alloc(struct model *m)
{
	if (m->arena_used)
		memset(m->granule, 0, m->arena_used / MODEL_GRANULE * sizeof(m->granule[0]));
	if (m->mapped)
		madvise(m->mappings, m->mapped, MADV_DONTNEED);
	m->arena_used = 0;
	m->mapped = 0;
	m->blocks = m->blocks_live = 0;
	m->os_random = 0x9E3779B97F4A7C15ull;
}

static struct block *block_of(struct model *m, uintptr_t address)
{
	size_t offset = address - (uintptr_t)m->arena;
	if (offset >= MODEL_ARENA)
		return NULL;
	unsigned number = m->granule[offset / MODEL_GRANULE];
	return number ? &m->block[number - 1] : NULL;
}

static bool in_arena(const struct model *m, uintptr_t address)
{
	return address - (uintptr_t)m->arena < MODEL_ARENA;
}

/* Called for every access that the tester sees. */
void model_access(struct model *m, const volatile void *p, unsigned size)
{
	uintptr_t address = (uintptr_t)p;
	if (MOIRAI_LIKELY(!in_arena(m, address))) {
		if (MOIRAI_UNLIKELY(address < 4096))
			model_fail("access through a null pointer (%p)", (const void *)address);
		return;
	}
	struct block *b = block_of(m, address);
	if (!b || address + size > b->address + b->size)
		model_fail("access out of bounds at %s", model_where(m, p));
	if (b->freed)
		model_fail("use after free of %s by thread %d; freed by thread %d at step %u",
			model_where(m, p), m->self, b->freer, b->freed_step);
	const struct thread *t = &m->thread[m->self];
	if (b->owner != m->self && t->current.clock[b->owner] < b->owner_stamp)
		model_fail(
			"access to unpublished memory %s: not ordered after its allocation by thread %d",
			model_where(m, p), b->owner);
	b->access_stamp[m->self] = m->now[m->self];
}

static bool allocation_fails(struct model *m)
{
	if (m->alloc_fails >= m->scenario.alloc_fails)
		return false;
	unsigned suggestion = !model_recorded(m) && (model_random(m) & 7) == 0;
	if (!model_decide(m, 2, suggestion))
		return false;
	m->alloc_fails++;
	if (m->tracing)
		model_trace(m, "this allocation fails");
	return true;
}

static void *allocate(size_t size, size_t alignment)
{
	struct model *m = model_state;
	if (size == 0 || !m || !m->running || allocation_fails(m))
		return NULL;
	if (alignment < MODEL_GRANULE)
		alignment = MODEL_GRANULE;
	size_t start = (m->arena_used + alignment - 1) & ~(alignment - 1);
	size_t end = start + ((size + MODEL_GRANULE - 1) & ~(size_t)(MODEL_GRANULE - 1));
	if (size > MODEL_ARENA || end + MODEL_GRANULE > MODEL_ARENA || m->blocks >= MODEL_BLOCKS)
		model_fail("the arena is full (%u blocks, %zu bytes)", m->blocks, m->arena_used);
	struct block *b = &m->block[m->blocks++];
	memset(b, 0, sizeof(*b));
	b->address = (uintptr_t)m->arena + start;
	b->size = size;
	b->alignment = alignment;
	b->owner = (uint8_t)m->self;
	b->owner_stamp = m->now[m->self];
	for (size_t g = start / MODEL_GRANULE; g < end / MODEL_GRANULE; g++)
		m->granule[g] = (uint16_t)m->blocks;
	m->arena_used = end + MODEL_GRANULE; /* the granule of nobody */
	m->blocks_live++;
	memset((void *)b->address, FILL_FRESH, size < FILL_LIMIT ? size : FILL_LIMIT);
	if (m->tracing)
		model_trace(m, "alloc block#%u (%zu bytes)", m->blocks, size);
	return (void *)b->address;
}

__attribute__((weak)) void *moirai_alloc(size_t size_bytes)
{
	return allocate(size_bytes, MODEL_GRANULE);
}

__attribute__((weak)) void *moirai_alloc_aligned(size_t size_bytes, size_t alignment)
{
	return allocate(size_bytes, alignment);
}

__attribute__((weak)) void *moirai_alloc_zeroed(size_t count, size_t size_bytes)
{
	size_t total;
	if (__builtin_mul_overflow(count, size_bytes, &total))
		return NULL;
	void *p = allocate(total, MODEL_GRANULE);
	if (p)
		memset(p, 0, total);
	return p;
}

__attribute__((weak)) void *moirai_realloc(void *pointer, size_t size_bytes)
{
	if (!pointer)
		return moirai_alloc(size_bytes);
	struct block *b = block_of(model_state, (uintptr_t)pointer);
	if (!b || b->address != (uintptr_t)pointer || b->freed)
		model_fail("realloc of what is not a live block: %p", pointer);
	void *fresh = allocate(size_bytes, b->alignment);
	if (!fresh)
		return NULL;
	memcpy(fresh, pointer, size_bytes < b->size ? size_bytes : b->size);
	moirai_free(pointer);
	return fresh;
}

/* Everybody else's accesses, and the allocation, must happen before. */
static void check_free(struct model *m, const struct block *b)
{
	const struct view *v = &m->thread[m->self].current;
	const void *p = (const void *)b->address;
	if (b->owner != m->self && v->clock[b->owner] < b->owner_stamp)
		model_fail(
			"free of unpublished memory %s by thread %d", model_where(m, p), m->self);
	for (int i = 0; i < m->threads; i++)
		if (i != m->self && v->clock[i] < b->access_stamp[i])
			model_fail(
				"free of %s by thread %d is not ordered after an access by thread %d",
				model_where(m, p), m->self, i);
}

__attribute__((weak)) void moirai_free(void *pointer)
{
	struct model *m = model_state;
	if (!pointer)
		return;
	struct block *b = block_of(m, (uintptr_t)pointer);
	if (!b || b->address != (uintptr_t)pointer)
		model_fail("free of what was not allocated: %s", model_where(m, pointer));
	if (b->freed)
		model_fail("double free of %s by thread %d; freed by thread %d at step %u",
			model_where(m, pointer), m->self, b->freer, b->freed_step);
	check_free(m, b);
	b->freed = true;
	b->freer = (uint8_t)m->self;
	b->freed_step = m->step;
	m->blocks_live--;
	memset(pointer, FILL_FREED, b->size < FILL_LIMIT ? b->size : FILL_LIMIT);
	if (m->tracing)
		model_trace(m, "free %s", model_where(m, pointer));
}

__attribute__((weak)) void moirai_alloc_stats_get(moirai_alloc_stats *stats)
{
	const struct model *m = model_state;
	*stats = (moirai_alloc_stats){m->blocks, m->blocks - m->blocks_live, 0};
	for (unsigned i = 0; i < m->blocks; i++)
		if (!m->block[i].freed)
			stats->live_bytes += m->block[i].size;
}

size_t model_blocks_live(void)
{
	return model_state->blocks_live;
}

void model_check_leaks(struct model *m)
{
	if (m->blocks_live == 0 || m->scenario.leaks_allowed)
		return;
	for (unsigned i = 0; i < m->blocks; i++)
		if (!m->block[i].freed)
			model_fail(
				"leak: %u blocks are live at the end, the first is block#%u (%zu bytes)",
				m->blocks_live, i + 1, m->block[i].size);
}

/* ------------------------------------------------------------------ mappings: unchecked memory */

__attribute__((weak)) int moirai_os_map(
	void **address, size_t size_bytes, size_t alignment, unsigned flags)
{
	struct model *m = model_state;
	(void)flags;
	if (size_bytes == 0 || (size_bytes | alignment) % moirai_os_page_size())
		return -EINVAL;
	if (allocation_fails(m))
		return -ENOMEM;
	uintptr_t base = (uintptr_t)m->mappings;
	size_t start = ((base + m->mapped + alignment - 1) & ~(uintptr_t)(alignment - 1)) - base;
	if (size_bytes > MODEL_MAPPINGS || start > MODEL_MAPPINGS - size_bytes)
		return -ENOMEM;
	m->mapped = start + size_bytes;
	*address = m->mappings + start;
	return 0;
}

__attribute__((weak)) int moirai_os_unmap(void *address, size_t size_bytes)
{
	(void)address;
	(void)size_bytes;
	return 0;
}

__attribute__((weak)) int moirai_os_discard(void *address, size_t size_bytes)
{
	memset(address, 0, size_bytes);
	return 0;
}

__attribute__((weak)) int moirai_os_guard(void *address, size_t guard_bytes, size_t stride_bytes,
	size_t count, moirai_os_guard_kind *kind)
{
	(void)address;
	(void)guard_bytes;
	(void)stride_bytes;
	(void)count;
	*kind = MOIRAI_OS_GUARD_NONE;
	return 0;
}

__attribute__((weak)) size_t moirai_os_page_size(void)
{
	return 4096;
}
