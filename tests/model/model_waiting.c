/* SPDX-License-Identifier: MIT */
/*
 * Planted bugs in things that wait: a futex mutex, a flag, a semaphore with time-outs, a condition,
 * two locks in two orders, a spin loop. The finding is mostly "deadlock or lost wake-up".
 */
#include <errno.h>

#include "model.h"
#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/os.h>

/* --- a three-state mutex (Drepper): 0 free, 1 locked, 2 locked and perhaps somebody waits --- */

enum {
	BUG_MUTEX_EXPECTED = 1, /* waits while the word is 1, after having made it 2 */
	BUG_MUTEX_ONE,          /* a woken waiter takes the lock with 1: the third is forgotten */
	BUG_MUTEX_RELAXED,      /* unlock does not release */
	BUG_MUTEX_STORE,        /* lock is a load and a store */
	BUG_MUTEX_WAKE_EARLY,   /* wakes before it publishes that the lock is free */
};

static uint32_t mutex[2];
static int shared;

static void lock_slow(uint32_t *m)
{
	uint32_t mine = model_bug(BUG_MUTEX_ONE) ? 1 : 2;
	if (moirai_exchange_acquire(m, 2) == 0)
		return;
	for (;;) {
		moirai_os_futex_wait(m, model_bug(BUG_MUTEX_EXPECTED) ? 1 : 2, MOIRAI_NEVER);
		if (moirai_exchange_acquire(m, mine) == 0)
			return;
		mine = 2;
	}
}

static void lock(uint32_t *m)
{
	uint32_t free_word = 0;
	if (model_bug(BUG_MUTEX_STORE) && moirai_load_acquire(m) == 0)
		moirai_store_relaxed(m, 1);
	else if (!moirai_cas_acquire(m, &free_word, 1))
		lock_slow(m);
}

static void unlock(uint32_t *m)
{
	if (model_bug(BUG_MUTEX_WAKE_EARLY)) {
		if (moirai_load_relaxed(m) == 2)
			moirai_os_futex_wake(m, 1);
		moirai_store_release(m, 0);
		return;
	}
	uint32_t old = model_bug(BUG_MUTEX_RELAXED) ? moirai_exchange_relaxed(m, 0)
						    : moirai_exchange_release(m, 0);
	if (old == 2)
		moirai_os_futex_wake(m, 1);
}

static void mutex_user(void *arg)
{
	lock(&mutex[0]);
	MOIRAI_WR(shared)++;
	unlock(&mutex[0]);
}

static void run_mutex(int threads)
{
	model_name(&mutex[0], "mutex");
	model_name(&shared, "shared");
	for (int i = 1; i < threads; i++)
		model_thread(mutex_user, NULL);
	mutex_user(NULL);
	model_join_all();
	MODEL_CHECK(shared == threads);
	MODEL_CHECK(moirai_load_relaxed(&mutex[0]) == 0);
}

static void mutex_of_two(void)
{
	run_mutex(2);
}

static void mutex_of_three(void)
{
	run_mutex(3);
}

static void mutex_of_four(void)
{
	run_mutex(4);
}

/* --- two locks; 1: taken in two orders --- */

static void both(int first, int second)
{
	lock(&mutex[first]);
	lock(&mutex[second]);
	MOIRAI_WR(shared)++;
	unlock(&mutex[second]);
	unlock(&mutex[first]);
}

static void both_other(void *arg)
{
	/* A number that is no planted bug of the mutex. */
	if (model_bug(100))
		both(1, 0);
	else
		both(0, 1);
}

static void lock_order(void)
{
	model_thread(both_other, NULL);
	both(0, 1);
	model_join_all();
}

/* --- a flag that one waits for --- */

enum {
	BUG_FLAG_CHECK_OUTSIDE = 1, /* sleeps without the futex's own check of the word */
	BUG_FLAG_WAKE_FIRST,        /* wakes, then sets the flag */
	BUG_FLAG_NO_WAKE_WHEN_SEEN, /* wakes only if it sees a waiter, without a fence between */
	BUG_FLAG_NO_LOOP,           /* takes any return of the wait for the event */
};

static uint32_t flag, generation, waiters;

static void setter(void *arg)
{
	MOIRAI_WR(shared) = 1;
	if (model_bug(BUG_FLAG_WAKE_FIRST))
		moirai_os_futex_wake(&flag, UINT32_MAX);
	moirai_store_release(&flag, 1);
	if (model_bug(BUG_FLAG_WAKE_FIRST))
		return;
	if (model_bug(BUG_FLAG_CHECK_OUTSIDE)) {
		moirai_os_futex_wake(&generation, UINT32_MAX);
		return;
	}
	if (!model_bug(BUG_FLAG_NO_WAKE_WHEN_SEEN))
		moirai_fence_seq_cst(); /* pairs with the one in the waiter: one of us sees the other */
	if (moirai_load_relaxed(&waiters))
		moirai_os_futex_wake(&flag, UINT32_MAX);
}

static void wait_for_flag(void)
{
	moirai_store_relaxed(&waiters, 1);
	if (!model_bug(BUG_FLAG_NO_WAKE_WHEN_SEEN))
		moirai_fence_seq_cst(); /* pairs with the one in setter() */
	while (!moirai_load_acquire(&flag)) {
		/* The outside check: `generation` never changes, so the wake can fall in between. */
		if (model_bug(BUG_FLAG_CHECK_OUTSIDE))
			moirai_os_futex_wait(&generation, 0, MOIRAI_NEVER);
		else
			moirai_os_futex_wait(&flag, 0, MOIRAI_NEVER);
		if (model_bug(BUG_FLAG_NO_LOOP))
			break;
	}
}

static void one_shot_flag(void)
{
	model_name(&flag, "flag");
	model_name(&waiters, "waiters");
	model_name(&shared, "shared");
	model_thread(setter, NULL);
	wait_for_flag();
	MODEL_CHECK(MOIRAI_RD(shared) == 1);
	model_join_all();
}

/* --- a semaphore: permits are handed to a waiter by number; who times out may have got one --- */

static uint32_t semaphore, grants[2];
static uint32_t got;

static void poster(void *arg)
{
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t waiting = 1;
		/* A grant to whoever is registered, else a permit for later. */
		if (moirai_cas_acq_rel(&grants[i], &waiting, 2))
			moirai_os_futex_wake(&grants[i], 1);
		else
			moirai_fetch_add_release(&semaphore, 1);
	}
}

static bool take_permit(void)
{
	uint32_t seen = moirai_load_relaxed(&semaphore);
	while (seen > 0)
		if (moirai_cas_weak_acquire(&semaphore, &seen, seen - 1))
			return true;
	return false;
}

static int acquire(uint32_t *grant, uint64_t deadline_ns)
{
	if (take_permit())
		return 0;
	moirai_store_release(grant, 1);
	while (moirai_load_acquire(grant) != 2) {
		if (moirai_os_futex_wait(grant, 1, deadline_ns) != -ETIMEDOUT)
			continue;
		uint32_t waiting = 1;
		/* Withdraw; if that fails the grant came first and is ours. 1: it is thrown away. */
		if (moirai_cas_acq_rel(grant, &waiting, 0) || model_bug(1))
			return -ETIMEDOUT;
	}
	return 0;
}

static void timed_taker(void *arg)
{
	if (acquire(&grants[0], moirai_deadline_after(1000)) == 0)
		moirai_fetch_add_relaxed(&got, 1);
}

static void semaphore_conserves_permits(void)
{
	model_thread(poster, NULL);
	model_thread(timed_taker, NULL);
	if (acquire(&grants[1], moirai_deadline_after(1000)) == 0)
		moirai_fetch_add_relaxed(&got, 1);
	model_join_all();
	MODEL_CHECK(got + semaphore == 2);
}

/* --- a spin loop; 1: without a pause, so that nobody else need ever run --- */

static void spin_setter(void *arg)
{
	moirai_store_release(&flag, 1);
}

static void spinning_pauses(void)
{
	model_thread(spin_setter, NULL);
	while (!moirai_load_acquire(&flag))
		if (!model_bug(1))
			moirai_cpu_relax();
	model_join_all();
}

/* --- everybody spins politely and nobody ever writes; 1: the hand-over is forgotten --- */

static uint32_t turn;

static void turn_one(void *arg)
{
	while (moirai_load_acquire(&turn) != 1)
		moirai_cpu_relax();
	MOIRAI_WR(shared)++;
	if (!model_bug(1))
		moirai_store_release(&turn, 2);
}

static void taking_turns(void)
{
	model_thread(turn_one, NULL);
	MOIRAI_WR(shared)++;
	moirai_store_release(&turn, 1);
	while (moirai_load_acquire(&turn) != 2)
		moirai_cpu_relax();
	MODEL_CHECK(MOIRAI_RD(shared) == 2);
	model_join_all();
}

MODEL_MAIN(MODEL_CLEAN(mutex_of_two, .exhaust = true, .bound = MODEL_BOUND_NONE, .limit = 2000000),
	MODEL_CLEAN(mutex_of_three, .exhaust = true, .limit = 2000000, .bound = 3),
	MODEL_CLEAN(mutex_of_three, .exhaust = true, .limit = 2000000, .spurious = 1),
	MODEL_CLEAN(
		mutex_of_four, .modes = MODEL_PCT | MODEL_RANDOM, .limit = 500000, .spurious = 2),
	MODEL_FINDS(mutex_of_two, BUG_MUTEX_RELAXED, "data race on shared"),
	MODEL_FINDS(mutex_of_two, BUG_MUTEX_STORE, ""),
	MODEL_FINDS(mutex_of_two, BUG_MUTEX_EXPECTED, "step limit"),
	MODEL_FINDS(mutex_of_two, BUG_MUTEX_WAKE_EARLY, "lost wake-up"),
	MODEL_FINDS(mutex_of_three, BUG_MUTEX_ONE, "lost wake-up; thread"),
	MODEL_FINDS(mutex_of_four, BUG_MUTEX_ONE, "lost wake-up", .modes = MODEL_PCT),
	MODEL_FINDS(mutex_of_four, BUG_MUTEX_ONE, "lost wake-up", .modes = MODEL_RANDOM),
	MODEL_CLEAN(lock_order, .exhaust = true, .bound = 4),
	MODEL_FINDS(lock_order, 100, "deadlock"),
	MODEL_CLEAN(one_shot_flag, .exhaust = true, .bound = MODEL_BOUND_NONE, .spurious = 2),
	MODEL_FINDS(one_shot_flag, BUG_FLAG_CHECK_OUTSIDE, "lost wake-up"),
	MODEL_FINDS(one_shot_flag, BUG_FLAG_WAKE_FIRST, "lost wake-up; thread 0 waits on flag"),
	MODEL_FINDS(one_shot_flag, BUG_FLAG_NO_WAKE_WHEN_SEEN, "lost wake-up"),
	MODEL_FINDS(one_shot_flag, BUG_FLAG_NO_LOOP, "data race on shared", .spurious = 1),
	MODEL_CLEAN(semaphore_conserves_permits, .exhaust = true, .limit = 2000000),
	MODEL_FINDS(semaphore_conserves_permits, 1, "got + semaphore == 2"),
	MODEL_CLEAN(spinning_pauses, .exhaust = true, .bound = MODEL_BOUND_NONE),
	MODEL_FINDS(spinning_pauses, 1, "step limit"),
	MODEL_CLEAN(taking_turns, .exhaust = true, .bound = MODEL_BOUND_NONE),
	MODEL_FINDS(taking_turns, 1, "step limit"), )
