/* SPDX-License-Identifier: MIT */
/*
 * Unstable. Where stacks come from: a pool with one slab of address space per size class.
 *
 *   region, aligned to its size (16 KiB, 64 KiB, 256 KiB, 1 MiB)
 *   +-------------+--------------------------------------+-------------+----------+
 *   | guard, 4 KiB|                   stack, grows down  | fiber block | colour   |
 *   +-------------+--------------------------------------+-------------+----------+
 *   ^ base        ^ stack_low                 stack_high ^              (index % 16) * 64 bytes
 *
 * The block, the entry's arguments and the first frames share the top page: a parked fiber costs
 * one page. Colouring spreads the blocks over the sets of the L1 cache. Regions are carved in index
 * order and never unmapped while the pool lives: fiber blocks are type-stable.
 */
#ifndef MOIRAI_ASYNC_INTERNAL_STACK_H
#define MOIRAI_ASYNC_INTERNAL_STACK_H

#include <moirai/async/internal/fiber.h>
#include <moirai/core/internal/lock.h>
#include <moirai/core/os.h>

MOIRAI_BEGIN_DECLS

typedef enum moirai__stack_class {
	MOIRAI__STACK_16K,
	MOIRAI__STACK_64K, /* the default */
	MOIRAI__STACK_256K,
	MOIRAI__STACK_1M,
	MOIRAI__STACK_CLASSES,
} moirai__stack_class;

/* A block must leave room for frames in the top page. */
#define MOIRAI__FIBER_BLOCK_MAX 1024

typedef struct moirai__stack_attr {
	size_t block_size; /* of the embedder's struct; 0: struct moirai__fiber; at most the above */
	/* Wished number of regions per class; 0: the default, at most MOIRAI_STACKS_MAX of the
	 * environment. Halved until the address space fits. */
	uint32_t regions_max[MOIRAI__STACK_CLASSES];
	uint32_t warm_max; /* free stacks that keep their memory, per class; 0: 4096 */
	bool no_guards;    /* canaries only */
	/* For the overflow report, in a signal handler: the name (may be NULL) and number to print. */
	void (*describe)(const struct moirai__fiber *fiber, const char **name, uint64_t *id);
} moirai__stack_attr;

/* One class of a pool. */
struct moirai__stack_slab {
	char *base; /* set once, under the lock */
	size_t region_bytes;
	uint32_t regions_max; /* that the reservation holds */
	uint32_t carved;      /* under the lock; regions [0, carved) hold fiber blocks */
	uint32_t guarded;     /* regions that have a guard page */
	uint8_t guard_kind;   /* moirai_os_guard_kind of the last batch */
	uint8_t batch_flags;  /* of the regions in the last batch of guards */
	moirai__lock lock;
	struct moirai__fiber *batches; /* free stacks: a list of chains */
	uint32_t free;                 /* stacks in those chains */
	uint64_t discards;             /* stacks whose memory was given back so far */
};

struct moirai__stack_pool {
	struct moirai__stack_slab slabs[MOIRAI__STACK_CLASSES];
	moirai__stack_attr attr;
	size_t page_bytes;
	struct moirai__stack_pool
		*next; /* all pools of the process: the overflow report looks there */
};

/* Free stacks of one owner (a worker), the warmest first. One thread at a time; zeroed is valid. */
struct moirai__stack_cache {
	struct moirai__fiber *head[MOIRAI__STACK_CLASSES];
	uint32_t count[MOIRAI__STACK_CLASSES];
};

/** Fills *pool; reserves nothing yet. attr may be NULL. -EINVAL: block_size too large. */
MOIRAI_API int moirai__stack_pool_init(
	struct moirai__stack_pool *pool, const moirai__stack_attr *attr);

/** Unmaps everything. No stack is in use, no pointer to a block is followed any more. */
MOIRAI_API void moirai__stack_pool_fini(struct moirai__stack_pool *pool);

/** The slow side of moirai__stack_get(). */
MOIRAI_API int moirai__stack_refill(struct moirai__stack_pool *pool,
	struct moirai__stack_cache *cache, moirai__stack_class size_class);

/** The slow side of moirai__stack_put(): hands the colder half to the pool. */
MOIRAI_API void moirai__stack_spill(struct moirai__stack_pool *pool,
	struct moirai__stack_cache *cache, moirai__stack_class size_class);

/** Hands everything that the cache holds to the pool: when a worker ends. */
MOIRAI_API void moirai__stack_cache_drain(
	struct moirai__stack_pool *pool, struct moirai__stack_cache *cache);

/** What sanitizers and canaries must know when a stack comes back. Private to put. */
MOIRAI_API void moirai__stack_retire(struct moirai__fiber *fiber);

/* A cache keeps at most this many stacks of a class; it refills and spills half of it. */
#define MOIRAI__STACK_CACHE_MAX 64

/**
 * A stack for moirai__fiber_prepare(), or NULL when the class is exhausted or memory is short. Does
 * not block; maps memory on a class's first use. The caller owns the cache.
 */
static MOIRAI_ALWAYS_INLINE struct moirai__fiber *moirai__stack_get(struct moirai__stack_pool *pool,
	struct moirai__stack_cache *cache, moirai__stack_class size_class)
{
	struct moirai__fiber *fiber = cache->head[size_class];
	if (MOIRAI_UNLIKELY(!fiber)) {
		if (moirai__stack_refill(pool, cache, size_class) < 0)
			return NULL;
		fiber = cache->head[size_class];
	}
	cache->head[size_class] = (struct moirai__fiber *)fiber->next;
	cache->count[size_class]--;
#ifdef MOIRAI_DEBUG
	fiber->words.sp = fiber; /* in use, for the check in put */
#endif
	return fiber;
}

/** Gives back a stack that nobody runs on and nobody will switch to. Not from the stack itself. */
static MOIRAI_ALWAYS_INLINE void moirai__stack_put(struct moirai__stack_pool *pool,
	struct moirai__stack_cache *cache, struct moirai__fiber *fiber)
{
	moirai__stack_class size_class = (moirai__stack_class)fiber->stack_class;
	if (MOIRAI_ASAN || MOIRAI_TSAN || MOIRAI_UNLIKELY(fiber->flags))
		moirai__stack_retire(fiber);
	MOIRAI_DEBUG_ASSERT(fiber->words.sp != NULL); /* or it is given back twice */
	fiber->words.sp = NULL; /* tells debuggers that it is free */
	fiber->next = (uintptr_t)cache->head[size_class];
	cache->head[size_class] = fiber;
	if (MOIRAI_UNLIKELY(++cache->count[size_class] > MOIRAI__STACK_CACHE_MAX))
		moirai__stack_spill(pool, cache, size_class);
}

/** The smallest class with at least this much stack; 0: the default. -EINVAL when there is none. */
MOIRAI_API int moirai__stack_class_for(size_t stack_bytes, moirai__stack_class *size_class);

/** The `index`th carved block of a class, or NULL: to walk over all fibers, parked ones included. */
MOIRAI_API struct moirai__fiber *moirai__stack_pool_at(
	const struct moirai__stack_pool *pool, moirai__stack_class size_class, uint32_t index);

typedef struct moirai__stack_stats {
	uint64_t reserved_bytes; /* address space */
	uint32_t regions_max;
	uint32_t carved; /* ever used */
	uint32_t free;   /* in the pool; caches hold some more */
	uint32_t guarded;
	moirai_os_guard_kind guard_kind;
	uint64_t discards;
} moirai__stack_stats;

/** Figures of one class; approximate while others run. */
MOIRAI_API void moirai__stack_pool_stats(struct moirai__stack_pool *pool,
	moirai__stack_class size_class, moirai__stack_stats *stats);

/**
 * Overflow report: from now on a hit on a guard page by the calling thread prints "task 'name' (id)
 * overflowed its 64 KiB stack" before the process dies as it would have died. Installs the handler
 * once per process (the previous one is chained) and an alternate signal stack for this thread, in
 * the caller's memory of MOIRAI__OVERFLOW_STACK bytes. leave() takes it off again, same thread.
 */
#define MOIRAI__OVERFLOW_STACK 32768 /* a signal frame with AVX-512 and AMX state takes 11 KiB */
struct moirai__overflow_thread {
	void *memory;
	uintptr_t previous[3]; /* the thread's former alternate stack */
};
MOIRAI_API int moirai__overflow_enter(struct moirai__overflow_thread *thread);
MOIRAI_API void moirai__overflow_leave(struct moirai__overflow_thread *thread);

MOIRAI_END_DECLS

#endif
