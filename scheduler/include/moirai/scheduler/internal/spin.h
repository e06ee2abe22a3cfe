/* SPDX-License-Identifier: MIT */
/*
 * Unstable. The spin lock of the scheduler's slow paths: it guards a few dozen instructions and is
 * never held over anything that blocks or allocates. More threads than processors is a normal case,
 * so a waiter gives its processor away after MOIRAI__SPIN_LOOKS looks.
 */
#ifndef MOIRAI_SCHEDULER_INTERNAL_SPIN_H
#define MOIRAI_SCHEDULER_INTERNAL_SPIN_H

#include <moirai/core/atomic.h>
#include <moirai/core/os.h>

MOIRAI_BEGIN_DECLS

/* About 10 us of pauses: several times the longest section, much less than a time slice. */
#define MOIRAI__SPIN_LOOKS 500

struct moirai__spin {
	uint32_t held_;
};

/** Takes the lock if it is free. Never blocks. */
static inline bool moirai__spin_try(struct moirai__spin *lock)
{
	/* Relaxed: only a hint, so that waiters read a shared line instead of writing it. */
	if (moirai_load_relaxed(&lock->held_))
		return false;
	/* acquire: pairs with the release in moirai__spin_drop() of the holder before us. */
	return !moirai_exchange_acquire(&lock->held_, 1u);
}

/** Takes the lock; spins, then yields the processor between looks. */
static inline void moirai__spin_take(struct moirai__spin *lock)
{
	for (unsigned spins = 0; !moirai__spin_try(lock); spins++) {
		moirai_cpu_relax();
		if (spins >= MOIRAI__SPIN_LOOKS) {
			moirai_os_yield();
			spins = 0;
		}
	}
}

/** Gives the lock back. */
static inline void moirai__spin_drop(struct moirai__spin *lock)
{
	/* release: pairs with the acquire in moirai__spin_try(); publishes the section. */
	moirai_store_release(&lock->held_, 0u);
}

MOIRAI_END_DECLS

#endif
