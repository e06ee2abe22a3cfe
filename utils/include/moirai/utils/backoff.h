/* SPDX-License-Identifier: MIT */
/*
 * Bounded exponential backoff between attempts: spin 1, 2, 4 ... 64 pauses, then yield the
 * processor, then tell the caller to park.
 *
 *   moirai_backoff b = MOIRAI_BACKOFF_INIT;
 *   while (!moirai_cas_weak_acquire(&word, &seen, next))
 *           if (moirai_backoff_step(&b)) return park_and_retry(...);
 */
#ifndef MOIRAI_UTILS_BACKOFF_H
#define MOIRAI_UTILS_BACKOFF_H

#include <moirai/core/atomic.h>
#include <moirai/core/base.h>
#include <moirai/core/os.h>

MOIRAI_BEGIN_DECLS

typedef struct moirai_backoff {
	uint32_t step_;
} moirai_backoff;
#define MOIRAI_BACKOFF_INIT \
	{                   \
		0           \
	}

/* Steps that spin: the seventh and last pauses 64 times, 2 to 4 us on x86 (a pause is up to 140
 * cycles since Skylake). Longer than a line takes to come from another socket, shorter than a
 * thread takes to wake. */
#define MOIRAI_BACKOFF_SPINS 7
/* Steps that yield, for a holder that lost its processor. */
#define MOIRAI_BACKOFF_YIELDS 4

/** Forgets: the next step is the shortest again. */
static inline void moirai_backoff_reset(moirai_backoff *backoff)
{
	backoff->step_ = 0;
}

/** Pauses longer each time; true once it is time to park (it goes on yielding if you do not). */
static inline bool moirai_backoff_step(moirai_backoff *backoff)
{
	uint32_t step = backoff->step_;
	if (step < MOIRAI_BACKOFF_SPINS) {
		for (uint32_t i = 0; i < 1u << step; i++)
			moirai_cpu_relax();
	} else {
		moirai_os_yield();
	}
	if (step == MOIRAI_BACKOFF_SPINS + MOIRAI_BACKOFF_YIELDS)
		return true;
	backoff->step_ = step + 1;
	return false;
}

MOIRAI_END_DECLS

#endif
