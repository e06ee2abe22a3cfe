/* SPDX-License-Identifier: MIT */
/*
 * A spin lock for sections of some ten instructions that are entered once per batch: pool lists and
 * slab growth. Never held over a switch. It spins a little, then lets others run: the holder may
 * have been preempted, and more threads than processors is a normal case.
 */
#ifndef MOIRAI_ASYNC_SRC_SPIN_H
#define MOIRAI_ASYNC_SRC_SPIN_H

#include <moirai/core/atomic.h>
#include <moirai/core/os.h>

#define MOIRAI__SPIN_PAUSES 200

static inline void moirai__spin_lock(uint32_t *lock)
{
	for (unsigned n = 0;; n++) {
		/* relaxed: only a hint not to take the line away from the holder. The acquire pairs with
		 * the release in moirai__spin_unlock(). */
		if (!moirai_load_relaxed(lock) && !moirai_exchange_acquire(lock, 1))
			return;
		if (n < MOIRAI__SPIN_PAUSES)
			moirai_cpu_relax();
		else
			moirai_os_yield();
	}
}

static inline void moirai__spin_unlock(uint32_t *lock)
{
	moirai_store_release(lock, 0); /* release: pairs with the acquire in moirai__spin_lock() */
}

#endif
