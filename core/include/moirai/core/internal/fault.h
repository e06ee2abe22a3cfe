/* SPDX-License-Identifier: MIT */
/* Unstable. Fault injection: tests make the k-th allocation, mapping, thread or call fail. */
#ifndef MOIRAI_CORE_INTERNAL_FAULT_H
#define MOIRAI_CORE_INTERNAL_FAULT_H

#include <moirai/core/atomic.h>

MOIRAI_BEGIN_DECLS

typedef enum moirai_fault_kind {
	MOIRAI_FAULT_ALLOC = 1,
	MOIRAI_FAULT_MAP = 2,
	MOIRAI_FAULT_THREAD = 4,
	MOIRAI_FAULT_SYSCALL = 8,
	MOIRAI_FAULT_ANY = 15,  /* every failure */
	MOIRAI_FAULT_WAIT = 16, /* a futex wait returns at once, as after a signal: no failure */
} moirai_fault_kind;

/**
 * From now on the nth (1 = the next) fault point of the kinds in the mask fails, once; nth 0 only
 * counts them; kinds 0 disarms. While no other thread is inside the library.
 */
MOIRAI_API void moirai__fault_arm(unsigned kinds, uint64_t nth);

/** Fault points passed since arming, and whether the armed one was reached. */
MOIRAI_API uint64_t moirai__fault_passed(bool *fired);

#ifdef MOIRAI_MODEL

/* The tester's side. */
bool moirai__fault(moirai_fault_kind kind);

#else

/* Private: the armed kinds, and what happens at a point of such a kind. */
MOIRAI_API extern uint32_t moirai__fault_kinds;
MOIRAI_API MOIRAI_COLD bool moirai__fault_slow(moirai_fault_kind kind);

/** A fault point: true when it must fail. One relaxed load when nothing is armed. */
static inline bool moirai__fault(moirai_fault_kind kind)
{
	/* relaxed: who arms sees to it that the threads meant notice (it starts them afterwards). */
	if (MOIRAI_LIKELY(!(moirai_load_relaxed(&moirai__fault_kinds) & (uint32_t)kind)))
		return false;
	return moirai__fault_slow(kind);
}

#endif

MOIRAI_END_DECLS

#endif
