/* SPDX-License-Identifier: MIT */
/* All pools of the process, and which region an address lies in: for the overflow report. */
#ifndef MOIRAI_ASYNC_SRC_REGISTRY_H
#define MOIRAI_ASYNC_SRC_REGISTRY_H

#include <moirai/async/internal/stack.h>

void moirai__stack_registry_add(struct moirai__stack_pool *pool);
void moirai__stack_registry_remove(struct moirai__stack_pool *pool);

/* The block of the index'th region, carved or not. */
struct moirai__fiber *moirai__stack_block(const struct moirai__stack_pool *pool,
	const struct moirai__stack_slab *slab, uint32_t index);

/*
 * The fiber in whose guard page, or in the page below whose stack, the address lies; NULL: none.
 * Async-signal-safe: takes no lock.
 */
const struct moirai__fiber *moirai__stack_guard_owner(
	const void *address, const struct moirai__stack_pool **pool);

#endif
