/* SPDX-License-Identifier: MIT */
/* Unstable. Fault injection: tests make the k-th allocation, mapping, thread or call fail. */
#ifndef MOIRAI_CORE_INTERNAL_FAULT_H
#define MOIRAI_CORE_INTERNAL_FAULT_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

typedef enum moirai_fault_kind {
	MOIRAI_FAULT_ALLOC = 1,
	MOIRAI_FAULT_MAP = 2,
	MOIRAI_FAULT_THREAD = 4,
	MOIRAI_FAULT_SYSCALL = 8,
	MOIRAI_FAULT_ANY = 15,
} moirai_fault_kind;

/** From now on the nth (1 = the next) fault point of the kinds in the mask fails, once. 0 disarms. */
MOIRAI_API void moirai__fault_arm(unsigned kinds, uint64_t nth);

/** Fault points passed since arming, and whether the armed one was reached. */
MOIRAI_API uint64_t moirai__fault_passed(bool *fired);

/** A fault point: true when it must fail. One relaxed load when nothing is armed. */
MOIRAI_API bool moirai__fault(moirai_fault_kind kind);

MOIRAI_END_DECLS

#endif
