/* SPDX-License-Identifier: MIT */
/*
 * Unstable. Schedule noise: a build that makes rare interleavings common.
 *
 * MOIRAI_NOISE() stands at the points where a race would show: before and after a publication,
 * between a check and the sleep that relies on it, before the last access to something shared. It is
 * nothing at all, except in a build with -DMOIRAI_NOISE (Meson: -Dnoise=true): there it pauses,
 * yields or sleeps for some microseconds, at random. The seed is printed once; MOIRAI_NOISE_SEED in
 * the environment sets it. The deterministic tester explores every schedule by itself and needs none.
 *
 * Only between statements whose locals do not hold thread-local addresses (nothing parks here, but
 * the point may stand where something else does), never under a spin lock.
 */
#ifndef MOIRAI_CORE_INTERNAL_NOISE_H
#define MOIRAI_CORE_INTERNAL_NOISE_H

#include <moirai/core/base.h>

#if defined(MOIRAI_NOISE) && !defined(MOIRAI_MODEL)

/* The build's switch and the point share a name: the switch has done its work now. */
#undef MOIRAI_NOISE
#define MOIRAI_NOISE() moirai__noise()

MOIRAI_BEGIN_DECLS

/** One point of noise. Any thread. */
MOIRAI_API void moirai__noise(void);

MOIRAI_END_DECLS

#else

#undef MOIRAI_NOISE
#define MOIRAI_NOISE() ((void)0)

#endif

#endif
