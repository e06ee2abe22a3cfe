/* SPDX-License-Identifier: MIT */
/* Unstable. The bound of the observer's table of threads. */
#ifndef MOIRAI_CORE_INTERNAL_OBSERVER_H
#define MOIRAI_CORE_INTERNAL_OBSERVER_H

/*
 * Threads that can emit at once, a line each: the most workers of a pool and as many others again
 * would be a rare process; their events beyond it are dropped and counted. Tests make it smaller.
 */
#ifndef MOIRAI__OBSERVER_SLOTS
#define MOIRAI__OBSERVER_SLOTS 1024
#endif

#endif
