/* SPDX-License-Identifier: MIT */
/*
 * The slow halves of core's own lock (internal/lock.h).
 *
 * States of the word: 0 free; 1 held, nobody sleeps; 2 held, somebody may sleep. The holder alone
 * takes it to 0; whoever wants it takes 0 to 1 or 2, and 1 to 2.
 *
 * 1. A thread that has waited once takes the lock as 2, for it cannot know whether others sleep.
 * 2. It sleeps only while the word is 2: the kernel compares under its own lock.
 * 3. The release that finds 2 wakes one sleeper, which goes to 1.
 *
 * No wake-up is lost: a sleeper has stored 2 before it sleeps. Either the release exchanges that 2
 * away and wakes, or it came before the 2, and then the sleeper's exchange finds 0 and has the
 * lock. A waker that comes late wakes an address, not memory.
 *
 * Cost: 1 RMW each way when free; one superfluous wake per contended episode. Spins briefly first:
 * sections here are tens of nanoseconds, a sleep is tens of microseconds.
 */
#include <moirai/core/internal/lock.h>

#include <moirai/core/os.h>

/* About the length of a few sections; more only burns what the holder may need. */
#ifndef LOCK_SPINS
#define LOCK_SPINS 32
#endif

MOIRAI_COLD void moirai__lock_slow(moirai__lock *lock)
{
	for (unsigned i = 0; i < LOCK_SPINS; i++) {
		moirai_cpu_relax();
		uint32_t found = 0;
		/* relaxed: only to avoid a failing CAS. acquire: pairs with the release of the holder. */
		if (moirai_load_relaxed(&lock->word_) == 0 &&
			moirai_cas_acquire(&lock->word_, &found, 1))
			return;
	}
	/* acquire: pairs with the release of the holder, when the value found is 0. */
	while (moirai_exchange_acquire(&lock->word_, 2) != 0)
		moirai_os_futex_wait(&lock->word_, 2, UINT64_MAX);
}

MOIRAI_COLD void moirai__unlock_slow(moirai__lock *lock)
{
	moirai_os_futex_wake(&lock->word_, 1);
}
