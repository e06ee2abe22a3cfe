/* SPDX-License-Identifier: MIT */
/*
 * Stack pools. See stack.h for the layout of a region.
 *
 * States of a region: uncarved (never touched) -> carved and free in a cache or in the slab ->
 * out -> free ... It is never uncarved or unmapped again while the pool lives, so whoever holds an
 * old pointer to a fiber block reads a fiber block.
 *
 *  1. A class's address space is reserved at its first use. A reservation that the system refuses
 *     is halved until it fits, and once more then: the rest of the process wants to live as well.
 *  2. Guards are installed GUARD_BATCH regions at a time; blocks are written CARVE_BATCH at a time,
 *     for each touches a page.
 *  3. Free stacks move between a cache and its slab in chains, half a cache at a time: the lock is
 *     taken once in 32 stacks. The cache keeps its warmer half.
 *  4. More than warm_max free stacks in a slab: the memory of the chain that comes in next is given
 *     back, but for the top pages with the blocks.
 *
 * Where a guard page costs mappings (no guard markers), moirai_os_guard() refuses to spend too many.
 * Regions without a guard have MOIRAI__FIBER_CANARY: the words below the stack are zero, as the system gave them, and
 * are looked at whenever the fiber is left or freed. Zero needs no write: a canary of another value
 * would double the memory of a parked fiber.
 *
 * The lock of a slab protects everything in it. `base` and `carved` are also read without it, by
 * the overflow report and by walkers: `carved` is stored with release after the blocks are written.
 */
#include <moirai/async/internal/stack.h>
#include <moirai/core/atomic.h>
#include <moirai/core/internal/lock.h>

#include <errno.h>
#include <stdlib.h>

#include "registry.h"
#include "sanitizer.h"

#define GUARD_BATCH      64
#define CARVE_BATCH      4
#define CHAIN_LENGTH     (MOIRAI__STACK_CACHE_MAX / 2)
#define COLOURS          16
#define CANARY_WORDS     8
#define WARM_MAX_DEFAULT 4096

#if UINTPTR_MAX > 0xffffffffu && !defined(_WIN32)
/* 4, 64, 16 and 16 GiB of address space; a process has 128 TiB. */
static const uint32_t regions_default[] = {1u << 18, 1u << 20, 1u << 16, 1u << 14};
#else
/* Little address space, or a system that charges for reservations: 64 to 128 MiB. */
static const uint32_t regions_default[] = {1u << 12, 1u << 11, 1u << 8, 1u << 6};
#endif
static const size_t region_bytes_default[] = {16u << 10, 64u << 10, 256u << 10, 1024u << 10};
MOIRAI_STATIC_ASSERT(MOIRAI_ARRAY_SIZE(regions_default) == MOIRAI__STACK_CLASSES, "one per class");

static size_t block_room(const struct moirai__stack_pool *pool)
{
	return (pool->attr.block_size + 63) & ~(size_t)63;
}

struct moirai__fiber *moirai__stack_block(const struct moirai__stack_pool *pool,
	const struct moirai__stack_slab *slab, uint32_t index)
{
	size_t colour = (size_t)(index % COLOURS) * MOIRAI_CACHELINE;
	char *end = slab->base + (size_t)(index + 1) * slab->region_bytes;
	return (struct moirai__fiber *)(void *)(end - colour - block_room(pool));
}

bool moirai__stack_canary_intact(const struct moirai__fiber *fiber)
{
	const uintptr_t *word = (const uintptr_t *)(void *)fiber->stack_low;
	uintptr_t found = 0;
	for (unsigned i = 1; i <= CANARY_WORDS; i++)
		found |= word[-(int)i];
	return !found;
}

void moirai__stack_retire(struct moirai__fiber *fiber)
{
	if (fiber->flags & MOIRAI__FIBER_CANARY)
		MOIRAI_ASSERT(moirai__stack_canary_intact(fiber));
	fiber->flags &= (uint8_t)~MOIRAI__FIBER_FP;
	moirai__sanitizer_fiber_close(fiber);
}

/* --- carving --- */

static int slab_reserve(struct moirai__stack_slab *slab, uint32_t wished)
{
	size_t alignment = slab->region_bytes;
	uint32_t most = (uint32_t)((SIZE_MAX / 4) / slab->region_bytes < UINT32_MAX
					   ? (SIZE_MAX / 4) / slab->region_bytes
					   : UINT32_MAX);
	uint32_t regions = wished < most ? wished : most;
	if (regions > moirai__sanitizer_regions_max())
		regions = moirai__sanitizer_regions_max();
	bool refused = false;
	void *base = NULL;
	for (; regions; regions /= 2) {
		size_t bytes = regions * slab->region_bytes;
		/* Whatever the error is: emulators answer oddly to what they think is too large. */
		if (moirai_os_map(&base, bytes, alignment,
			    MOIRAI_OS_MAP_RESERVE | MOIRAI_OS_MAP_NOHUGE)) {
			refused = true;
			continue;
		}
		if (!refused || regions == 1)
			break;
		/* It fits, but may have taken the last there was: leave as much as we take. */
		moirai_os_unmap(base, bytes);
		refused = false;
	}
	if (!regions)
		return -ENOMEM;
	slab->regions_max = regions;
	/* release: pairs with the acquire in moirai__stack_pool_find(); publishes regions_max */
	moirai_store_release(&slab->base, (char *)base);
	return 0;
}

/* Gives regions [first, first + count) their guards: how many got one, all or none. */
static uint32_t slab_guard(struct moirai__stack_pool *pool, struct moirai__stack_slab *slab,
	uint32_t first, uint32_t count)
{
	moirai_os_guard_kind kind = MOIRAI_OS_GUARD_NONE;
	if (pool->attr.no_guards)
		return 0;
	char *base = slab->base + (size_t)first * slab->region_bytes;
	if (moirai_os_guard(base, pool->page_bytes, slab->region_bytes, count, &kind) < 0)
		return 0;
	slab->guard_kind = (uint8_t)kind;
	return kind == MOIRAI_OS_GUARD_NONE ? 0 : count;
}

static struct moirai__fiber *region_carve(struct moirai__stack_pool *pool,
	struct moirai__stack_slab *slab, uint32_t index, uint8_t flags)
{
	struct moirai__fiber *fiber = moirai__stack_block(pool, slab, index);
	char *base = slab->base + (size_t)index * slab->region_bytes;
	fiber->stack_low = base + pool->page_bytes;
	fiber->stack_high = (char *)fiber;
	fiber->index = index;
	fiber->stack_class = (uint8_t)(slab - pool->slabs);
	fiber->flags = flags;
	moirai__sanitizer_stack_carved(fiber);
	return fiber;
}

/* A chain of at most CARVE_BATCH new stacks, or an error. Under the lock. */
static int slab_carve(struct moirai__stack_pool *pool, struct moirai__stack_slab *slab,
	struct moirai__fiber **chain)
{
	uint32_t first = slab->carved;
	if (!slab->base) {
		int rc = slab_reserve(slab, pool->attr.regions_max[slab - pool->slabs]);
		if (rc < 0)
			return rc;
	}
	if (first == slab->regions_max)
		return -ENOMEM;
	if (first % GUARD_BATCH == 0) {
		uint32_t rest = slab->regions_max - first;
		uint32_t got =
			slab_guard(pool, slab, first, rest < GUARD_BATCH ? rest : GUARD_BATCH);
		moirai_store_relaxed(&slab->guarded, slab->guarded + got); /* relaxed: a figure */
		slab->batch_flags = got ? 0 : MOIRAI__FIBER_CANARY;
	}
	uint32_t end =
		first + CARVE_BATCH < slab->regions_max ? first + CARVE_BATCH : slab->regions_max;
	for (uint32_t i = end; i-- > first;) {
		struct moirai__fiber *fiber = region_carve(pool, slab, i, slab->batch_flags);
		fiber->next = (uintptr_t)*chain;
		*chain = fiber;
	}
	/* release: pairs with the acquire in moirai__stack_pool_at(); publishes the blocks */
	moirai_store_release(&slab->carved, end);
	return (int)(end - first);
}

/* --- chains: a chain's length is in its head's words.pc, the next chain in words.frame --- */

static void chain_push(
	struct moirai__stack_slab *slab, struct moirai__fiber *chain, uint32_t length)
{
	chain->words.pc = (void *)(uintptr_t)length;
	chain->words.frame = slab->batches;
	slab->batches = chain;
	/* relaxed: read without the lock for the watermark and for figures only */
	moirai_store_relaxed(&slab->free, slab->free + length);
}

static int chain_pop(struct moirai__stack_slab *slab, struct moirai__fiber **chain)
{
	*chain = slab->batches;
	if (!*chain)
		return 0;
	uint32_t length = (uint32_t)(uintptr_t)(*chain)->words.pc;
	slab->batches = (*chain)->words.frame;
	moirai_store_relaxed(&slab->free, slab->free - length); /* relaxed: as above */
	return (int)length;
}

int moirai__stack_refill(struct moirai__stack_pool *pool, struct moirai__stack_cache *cache,
	moirai__stack_class size_class)
{
	struct moirai__stack_slab *slab = &pool->slabs[size_class];
	struct moirai__fiber *chain = NULL;
	moirai__lock_acquire(&slab->lock);
	int got = chain_pop(slab, &chain);
	if (!got)
		got = slab_carve(pool, slab, &chain);
	moirai__lock_release(&slab->lock);
	if (got <= 0)
		return got < 0 ? got : -ENOMEM;
	cache->head[size_class] = chain;
	cache->count[size_class] = (uint32_t)got;
	return 0;
}

/* Gives the stacks' memory back, but for the pages with the blocks. */
static uint32_t chain_discard(const struct moirai__stack_pool *pool, struct moirai__fiber *chain)
{
	uint32_t n = 0;
	for (struct moirai__fiber *f = chain; f; f = (struct moirai__fiber *)f->next) {
		uintptr_t end = (uintptr_t)f & ~(uintptr_t)(pool->page_bytes - 1);
		n += moirai_os_discard(f->stack_low, end - (uintptr_t)f->stack_low) == 0;
	}
	return n;
}

static void chain_give(struct moirai__stack_pool *pool, moirai__stack_class size_class,
	struct moirai__fiber *chain, uint32_t length)
{
	struct moirai__stack_slab *slab = &pool->slabs[size_class];
	uint32_t discards = 0;
	/* relaxed: a watermark; the chain is still ours, so no lock is held over the system calls */
	if (moirai_load_relaxed(&slab->free) >= pool->attr.warm_max)
		discards = chain_discard(pool, chain);
	moirai__lock_acquire(&slab->lock);
	slab->discards += discards;
	chain_push(slab, chain, length);
	moirai__lock_release(&slab->lock);
}

void moirai__stack_spill(struct moirai__stack_pool *pool, struct moirai__stack_cache *cache,
	moirai__stack_class size_class)
{
	struct moirai__fiber *last = cache->head[size_class];
	for (unsigned i = 1; i < CHAIN_LENGTH; i++)
		last = (struct moirai__fiber *)last->next;
	struct moirai__fiber *chain = (struct moirai__fiber *)last->next;
	uint32_t length = cache->count[size_class] - CHAIN_LENGTH;
	last->next = 0;
	cache->count[size_class] = CHAIN_LENGTH;
	chain_give(pool, size_class, chain, length);
}

void moirai__stack_cache_drain(struct moirai__stack_pool *pool, struct moirai__stack_cache *cache)
{
	for (unsigned i = 0; i < MOIRAI__STACK_CLASSES; i++) {
		if (cache->head[i])
			chain_give(pool, (moirai__stack_class)i, cache->head[i], cache->count[i]);
		cache->head[i] = NULL;
		cache->count[i] = 0;
	}
}

/* --- the pool --- */

/* MOIRAI_STACKS_MAX in the environment bounds the defaults: where address space is dear. */
static uint32_t regions_wished(unsigned size_class)
{
	const char *text = getenv("MOIRAI_STACKS_MAX");
	unsigned long most = text ? strtoul(text, NULL, 10) : 0;
	uint32_t wished = regions_default[size_class];
	return most && most < wished ? (uint32_t)most : wished;
}

int moirai__stack_pool_init(struct moirai__stack_pool *pool, const moirai__stack_attr *attr)
{
	*pool = (struct moirai__stack_pool){.page_bytes = moirai_os_page_size()};
	if (attr)
		pool->attr = *attr;
	moirai__stack_attr *a = &pool->attr;
	if (!a->block_size)
		a->block_size = sizeof(struct moirai__fiber);
	if (a->block_size < sizeof(struct moirai__fiber) || a->block_size > MOIRAI__FIBER_BLOCK_MAX)
		return -EINVAL;
	if (!a->warm_max)
		a->warm_max = WARM_MAX_DEFAULT;
	for (unsigned i = 0; i < MOIRAI__STACK_CLASSES; i++) {
		if (!a->regions_max[i])
			a->regions_max[i] = regions_wished(i);
		size_t bytes = region_bytes_default[i];
		/* Large pages: a guard, a page for the block and two of stack at the least. */
		while (bytes < 4 * pool->page_bytes)
			bytes *= 2;
		pool->slabs[i].region_bytes = bytes;
	}
	moirai__stack_registry_add(pool);
	return 0;
}

void moirai__stack_pool_fini(struct moirai__stack_pool *pool)
{
	if (!pool || !pool->page_bytes)
		return;
	moirai__stack_registry_remove(pool);
	for (unsigned i = 0; i < MOIRAI__STACK_CLASSES; i++) {
		struct moirai__stack_slab *slab = &pool->slabs[i];
		for (uint32_t k = 0; k < slab->carved; k++)
			moirai__sanitizer_stack_gone(moirai__stack_block(pool, slab, k));
		if (slab->base)
			moirai_os_unmap(slab->base, slab->regions_max * slab->region_bytes);
	}
	*pool = (struct moirai__stack_pool){0};
}

int moirai__stack_class_for(size_t stack_bytes, moirai__stack_class *size_class)
{
	*size_class = MOIRAI__STACK_64K;
	if (!stack_bytes)
		return 0;
	for (unsigned i = 0; i < MOIRAI__STACK_CLASSES; i++) {
		if (stack_bytes <= region_bytes_default[i]) {
			*size_class = (moirai__stack_class)i;
			return 0;
		}
	}
	return -EINVAL;
}

struct moirai__fiber *moirai__stack_pool_at(
	const struct moirai__stack_pool *pool, moirai__stack_class size_class, uint32_t index)
{
	const struct moirai__stack_slab *slab = &pool->slabs[size_class];
	/* acquire: pairs with the release in slab_carve() */
	if (index >= moirai_load_acquire(&slab->carved))
		return NULL;
	return moirai__stack_block(pool, slab, index);
}

void moirai__stack_pool_stats(
	struct moirai__stack_pool *pool, moirai__stack_class size_class, moirai__stack_stats *stats)
{
	struct moirai__stack_slab *slab = &pool->slabs[size_class];
	moirai__lock_acquire(&slab->lock);
	*stats = (moirai__stack_stats){
		.reserved_bytes = (uint64_t)slab->regions_max * slab->region_bytes,
		.regions_max = slab->regions_max,
		.carved = slab->carved,
		.free = slab->free,
		.guarded = slab->guarded,
		.guard_kind = (moirai_os_guard_kind)slab->guard_kind,
		.discards = slab->discards,
	};
	moirai__lock_release(&slab->lock);
}
