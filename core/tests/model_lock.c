/* SPDX-License-Identifier: MIT */
/*
 * Core's own lock under the deterministic tester. Bugs: 1 the release is relaxed; 2 the acquire of the
 * slow path is relaxed; 3 a
 * waiter stores 1 instead of 2, which is not what it then sleeps on: it spins for ever.
 */
#include <moirai/core/atomic.h>

#include "model.h"

#undef moirai_exchange_release
#define moirai_exchange_release(p, v) \
	moirai__xchg(p, v, model_bug(1) ? __ATOMIC_RELAXED : __ATOMIC_RELEASE)
#undef moirai_exchange_acquire
#define moirai_exchange_acquire(p, v)                      \
	moirai__xchg(p, model_bug(3) ? 1u : (uint32_t)(v), \
		model_bug(2) ? __ATOMIC_RELAXED : __ATOMIC_ACQUIRE)
/* None: the spinning in front only hides the way behind it. */
static unsigned spins;
#define LOCK_SPINS spins
#include "../src/lock.c"

static moirai__lock lock;
static unsigned guarded;

static void add(void *arg)
{
	(void)arg;
	moirai__lock_acquire(&lock);
	MOIRAI_WR(guarded) = MOIRAI_RD(guarded) + 1;
	moirai__lock_release(&lock);
}

static void two_threads(void)
{
	model_thread(add, NULL);
	add(NULL);
	model_join_all();
	MODEL_CHECK(guarded == 2);
}

static void three_threads(void)
{
	model_thread(add, NULL);
	model_thread(add, NULL);
	add(NULL);
	model_join_all();
	MODEL_CHECK(guarded == 3);
}

MODEL_MAIN(MODEL_CLEAN(two_threads, .bound = 4, .exhaust = true, .spurious = 1),
	MODEL_CLEAN(three_threads, .modes = MODEL_DFS | MODEL_PCT),
	MODEL_FINDS(two_threads, 1, "race"), MODEL_FINDS(two_threads, 2, "race", .bound = 4),
	MODEL_FINDS(three_threads, 3, "step limit"))
