/* SPDX-License-Identifier: MIT */
/*
 * Unstable. The lock of core's own control paths: one word, three states (0 free, 1 held, 2 held
 * and somebody may sleep). It blocks the thread, never the task, so a section must be short and
 * must neither park nor call foreign code that could; everything above core takes its locks from
 * park. A thread that cannot get it spins for a moment and then sleeps in the kernel, so a holder
 * that lost its processor is no busy loop, whatever the scheduling class. All-zero is free.
 *
 * The word is the lock; the kernel queue hangs on its address. Source: Drepper, "Futexes are
 * tricky", mutex 3.
 */
#ifndef MOIRAI_CORE_INTERNAL_LOCK_H
#define MOIRAI_CORE_INTERNAL_LOCK_H

#include <moirai/core/atomic.h>
#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

typedef struct moirai__lock {
	uint32_t word_;
} moirai__lock;

/** The slow half of acquire, called by it alone. */
MOIRAI_API void moirai__lock_slow(moirai__lock *lock);
/** The slow half of release, called by it alone. */
MOIRAI_API void moirai__unlock_slow(moirai__lock *lock);

/** Takes the lock; about 5 ns when it is free. Not recursive. */
static inline void moirai__lock_acquire(moirai__lock *lock)
{
	uint32_t found = 0;
	/* acquire: pairs with the release of the previous holder. */
	if (MOIRAI_UNLIKELY(!moirai_cas_acquire(&lock->word_, &found, 1)))
		moirai__lock_slow(lock);
}

/** Gives it back. The lock's memory may be freed by whoever takes it next. */
static inline void moirai__lock_release(moirai__lock *lock)
{
	/* release: pairs with the acquire of the next holder. */
	if (MOIRAI_UNLIKELY(moirai_exchange_release(&lock->word_, 0) == 2))
		moirai__unlock_slow(lock);
}

MOIRAI_END_DECLS

#endif
