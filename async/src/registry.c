/* SPDX-License-Identifier: MIT */
/*
 * The list of all stack pools. Changed under a lock; walked without one by the signal handler of
 * the overflow report, in a process that is about to die: pools are pushed at the head with
 * release, and one that is removed keeps its `next` until its owner reuses the memory.
 */
#include "registry.h"

#include <moirai/core/atomic.h>
#include <moirai/core/internal/lock.h>

static struct moirai__stack_pool *pools;
static moirai__lock pools_lock;

void moirai__stack_registry_add(struct moirai__stack_pool *pool)
{
	moirai__lock_acquire(&pools_lock);
	pool->next = pools;
	moirai_store_release(&pools, pool); /* release: pairs with the acquire in guard_owner */
	moirai__lock_release(&pools_lock);
}

void moirai__stack_registry_remove(struct moirai__stack_pool *pool)
{
	moirai__lock_acquire(&pools_lock);
	struct moirai__stack_pool **link = &pools;
	while (*link != pool)
		link = &(*link)->next;
	moirai_store_release(link, pool->next); /* release: as in add */
	moirai__lock_release(&pools_lock);
}

const struct moirai__fiber *moirai__stack_guard_owner(
	const void *address, const struct moirai__stack_pool **pool)
{
	/* acquire: pairs with the releases above; the pool is filled */
	for (struct moirai__stack_pool *p = moirai_load_acquire(&pools); p; p = p->next) {
		for (unsigned i = 0; i < MOIRAI__STACK_CLASSES; i++) {
			struct moirai__stack_slab *slab = &p->slabs[i];
			/* acquire: pairs with the release in slab_reserve() */
			const char *base = moirai_load_acquire(&slab->base);
			size_t offset = (size_t)((uintptr_t)address - (uintptr_t)base);
			if (!base || offset >= slab->regions_max * slab->region_bytes)
				continue;
			if (offset % slab->region_bytes >= p->page_bytes)
				return NULL;
			*pool = p;
			return moirai__stack_pool_at(
				p, (moirai__stack_class)i, (uint32_t)(offset / slab->region_bytes));
		}
	}
	return NULL;
}
