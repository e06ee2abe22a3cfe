/* SPDX-License-Identifier: MIT */
/* Waiting on an address: every answer, and no lost wake-up. */
#include "tap.h"

#include <errno.h>
#ifndef _WIN32
#include <signal.h>
#endif

#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/internal/fault.h>
#include <moirai/core/os.h>

static uint64_t soon(void)
{
	return moirai_deadline_after(5 * MOIRAI_MS);
}

static uint64_t patience(void)
{
	return moirai_deadline_after(20 * MOIRAI_S);
}

static void wait_refuses_another_value(void)
{
	uint32_t word = 7;
	CHECK(moirai_os_futex_wait(&word, 8, MOIRAI_NEVER) == -EAGAIN);
	CHECK(moirai_os_futex_wait(&word, 8, 0) == -EAGAIN);
}

static void wait_times_out_at_the_deadline_and_not_before(void)
{
	uint32_t word = 7;
	uint64_t deadline = soon();
	int rc;
	while ((rc = moirai_os_futex_wait(&word, 7, deadline)) == 0)
		;
	CHECK(rc == -ETIMEDOUT);
	CHECK(moirai_now() >= deadline);
}

static void deadline_in_the_past_never_blocks(void)
{
	uint32_t word = 7;
	CHECK(moirai_os_futex_wait(&word, 7, 0) == -ETIMEDOUT);
	CHECK(moirai_os_futex_wait(&word, 7, 1) == -ETIMEDOUT);
	CHECK(moirai_os_futex_wait(&word, 7, moirai_now()) == -ETIMEDOUT);
}

static void wake_of_nobody_wakes_nobody(void)
{
	uint32_t word = 0;
	CHECK(moirai_os_futex_wake(&word, 1) == 0);
	CHECK(moirai_os_futex_wake(&word, 0) == 0);
	CHECK(moirai_os_futex_wake(&word, UINT32_MAX) == 0);
}

/* A token passed to and fro: one lost wake-up and it stops for good. */
static struct {
	uint32_t turn;
	bool late;
	uint64_t deadline;
} ping;

static void pass_token(uint32_t me, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		/* acquire/release: the token hands the turn over. */
		while (moirai_load_acquire(&ping.turn) != me) {
			if (moirai_os_futex_wait(&ping.turn, !me, ping.deadline) == -ETIMEDOUT) {
				moirai_store_relaxed(&ping.late, true);
				return;
			}
		}
		moirai_store_release(&ping.turn, !me);
		moirai_os_futex_wake(&ping.turn, 1);
	}
}

static void pass_as_one(void *arg)
{
	pass_token(1, *(unsigned *)arg);
}

static void no_wake_up_is_lost(void)
{
	unsigned rounds = 3000;
	moirai_os_thread other;
	ping.turn = 0;
	ping.late = false;
	ping.deadline = patience();
	REQUIRE(moirai_os_thread_create(&other, NULL, pass_as_one, &rounds) == 0);
	pass_token(0, rounds);
	CHECK(moirai_os_thread_join(other) == 0);
	CHECK(!ping.late);
}

/* Several sleepers on one word, and one on a neighbour that must go on sleeping. */
static struct {
	uint32_t gate, neighbour, through;
	uint64_t deadline;
} crowd;

static void wait_at(const uint32_t *word)
{
	while (moirai_load_acquire(word) == 0)
		if (moirai_os_futex_wait(word, 0, crowd.deadline) == -ETIMEDOUT)
			return;
	moirai_fetch_add_relaxed(&crowd.through, 1);
}

static void wait_at_gate(void *arg)
{
	wait_at(&crowd.gate);
}

static void wait_next_door(void *arg)
{
	wait_at(&crowd.neighbour);
}

static void wake_all_reaches_all_on_the_word(void)
{
	enum { SLEEPERS = 5 };
	moirai_os_thread sleepers[SLEEPERS], neighbour;
	memset(&crowd, 0, sizeof(crowd));
	crowd.deadline = patience();
	REQUIRE(moirai_os_thread_create(&neighbour, NULL, wait_next_door, NULL) == 0);
	for (int i = 0; i < SLEEPERS; i++)
		REQUIRE(moirai_os_thread_create(&sleepers[i], NULL, wait_at_gate, NULL) == 0);
	moirai_os_sleep(10 * MOIRAI_MS);
	moirai_store_release(&crowd.gate, 1);
	int woken = moirai_os_futex_wake(&crowd.gate, UINT32_MAX);
	CHECK(woken >= 0 && woken <= SLEEPERS);
	for (int i = 0; i < SLEEPERS; i++)
		moirai_os_thread_join(sleepers[i]);
	CHECK(moirai_load_relaxed(&crowd.through) == SLEEPERS);
	moirai_store_release(&crowd.neighbour, 1);
	moirai_os_futex_wake(&crowd.neighbour, 1);
	moirai_os_thread_join(neighbour);
	CHECK(moirai_load_relaxed(&crowd.through) == SLEEPERS + 1);
}

static void spurious_wake_up_can_be_injected(void)
{
	uint32_t word = 0;
	bool fired;
	moirai__fault_arm(MOIRAI_FAULT_WAIT, 1);
	CHECK(moirai_os_futex_wait(&word, 0, MOIRAI_NEVER) == 0);
	CHECK(moirai__fault_passed(&fired) == 1 && fired);
	moirai__fault_arm(0, 0);
}

#ifndef _WIN32
/* A storm of signals on a sleeper: each is at most a wake-up for no reason, never an error. */
static uint32_t storm_stop, storm_hits;

static void on_signal(int number)
{
	moirai_fetch_add_relaxed(&storm_hits, 1);
}

static void sleep_in_storm(void *arg)
{
	sigset_t open;
	sigemptyset(&open);
	sigaddset(&open, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &open, NULL);
	uint32_t word = 0;
	uint64_t deadline = moirai_deadline_after(60 * MOIRAI_MS), before = moirai_now();
	int rc;
	while ((rc = moirai_os_futex_wait(&word, 0, deadline)) == 0)
		;
	CHECK(rc == -ETIMEDOUT && moirai_now() >= deadline);
	moirai_os_sleep(20 * MOIRAI_MS);
	CHECK(moirai_now() - before >= 80 * MOIRAI_MS);
	moirai_store_release(&storm_stop, 1);
}

static void signals_neither_fail_a_wait_nor_shorten_a_sleep(void)
{
	struct sigaction action, old;
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	sigaction(SIGUSR1, &action, &old);
	moirai_os_thread sleeper;
	storm_stop = storm_hits = 0;
	REQUIRE(moirai_os_thread_create(&sleeper, NULL, sleep_in_storm, NULL) == 0);
	while (!moirai_load_acquire(&storm_stop)) {
		pthread_kill((pthread_t)sleeper.handle_, SIGUSR1);
		moirai_os_sleep(200 * MOIRAI_US);
	}
	moirai_os_thread_join(sleeper);
	sigaction(SIGUSR1, &old, NULL);
	CHECK(moirai_load_relaxed(&storm_hits) > 0);
}
#else
static void signals_neither_fail_a_wait_nor_shorten_a_sleep(void)
{
	SKIP("no signals here");
}
#endif

TAP_MAIN(TEST(wait_refuses_another_value), TEST(wait_times_out_at_the_deadline_and_not_before),
	TEST(deadline_in_the_past_never_blocks), TEST(wake_of_nobody_wakes_nobody),
	TEST(no_wake_up_is_lost), TEST(wake_all_reaches_all_on_the_word),
	TEST(spurious_wake_up_can_be_injected),
	TEST(signals_neither_fail_a_wait_nor_shorten_a_sleep))
