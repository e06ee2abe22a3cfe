/* SPDX-License-Identifier: MIT */
/*
 * Everything at once, on real threads: threads, fibers and wakers park on a few words, alone and
 * on several, with deadlines and cancels, while others unpark, requeue and grow the table. Each
 * unpark says how many it has woken, each park whether it was: both sums must be the same.
 */
#include "mini_executor.h"

#include <stdlib.h>

#define WORDS     6
#define THREADS   6
#define FIBERS    10
#define UNPARKERS 3
#define DURATION  (1500 * MOIRAI_MS)

static uint32_t words[WORDS];
static uint64_t given, got;         /* atomic */
static uint64_t timed_out, cancels; /* atomic */
static uint32_t stop, parking;      /* atomic; `parking`: waiters that have not gone home */
static uint64_t seed;

struct dice {
	uint64_t state;
};

static struct dice dice_of(uint64_t who)
{
	return (struct dice){(seed + who) * 0x9E3779B97F4A7C15ull | 1};
}

static unsigned roll(struct dice *dice, unsigned n)
{
	dice->state ^= dice->state << 13;
	dice->state ^= dice->state >> 7;
	dice->state ^= dice->state << 17;
	return (unsigned)(dice->state >> 33) % n;
}

static uint64_t some_deadline(struct dice *dice)
{
	switch (roll(dice, 4)) {
	case 0:
		return moirai_deadline_after(roll(dice, 200) * MOIRAI_US);
	case 1:
		return moirai_deadline_after(roll(dice, 20) * MOIRAI_US);
	case 2:
		return moirai_deadline_after(5 * MOIRAI_MS);
	default:
		return MOIRAI_NEVER;
	}
}

static int park_somehow(struct dice *dice)
{
	moirai_park_case cases[4];
	unsigned n = 1 + roll(dice, 4);
	for (unsigned i = 0; i < n; i++)
		cases[i] = (moirai_park_case){&words[roll(dice, WORDS)], 0};
	if (n == 1 || roll(dice, 2))
		return moirai_park(cases[0].word, 0, some_deadline(dice));
	return moirai_park_any(cases, n, some_deadline(dice));
}

static void tally(int rc)
{
	if (rc >= 0)
		moirai_fetch_add_relaxed(&got, 1);
	else if (rc == -ETIMEDOUT)
		moirai_fetch_add_relaxed(&timed_out, 1);
	else if (rc == -ECANCELED)
		moirai_fetch_add_relaxed(&cancels, 1);
	else
		CHECK(rc == 0); /* and nothing else */
}

static void thread_waits(void *arg)
{
	struct dice dice = dice_of((uintptr_t)arg);
	while (!moirai_load_acquire(&stop))
		tally(park_somehow(&dice));
	moirai_fetch_sub_release(&parking, 1);
}

static void fiber_waits(struct mini_fiber *f)
{
	struct dice dice = dice_of(100 + (uint64_t)(f - mini_fibers));
	while (!moirai_load_acquire(&stop)) {
		int rc = park_somehow(&dice);
		tally(rc);
		if (rc == -ECANCELED)
			moirai_store_relaxed(&f->cancelled, 0);
	}
	moirai_fetch_sub_release(&parking, 1);
}

static void called(void *arg)
{
	moirai_fetch_add_relaxed(&got, 1);
	moirai_store_release((uint32_t *)arg, 1);
}

static void wakers_wait(void *arg)
{
	struct dice dice = dice_of(200 + (uintptr_t)arg);
	while (!moirai_load_acquire(&stop)) {
		moirai_waker *waker = calloc(1, sizeof(*waker));
		uint32_t rang = 0;
		CHECK(waker && moirai_waker_register(
				       waker, &words[roll(&dice, WORDS)], 0, called, &rang) == 0);
		moirai_os_sleep(roll(&dice, 100) * MOIRAI_US);
		int removed = moirai_waker_unregister(waker);
		free(waker); /* Legal at once, whatever it said. */
		while (!removed && !moirai_load_acquire(&rang))
			moirai_os_yield(); /* `rang` must outlive the call. */
		CHECK(!removed || moirai_load_acquire(&rang) == 0);
	}
	moirai_fetch_sub_release(&parking, 1);
}

static void unpark_somehow(struct dice *dice)
{
	const uint32_t *word = &words[roll(dice, WORDS)], *to = &words[roll(dice, WORDS)];
	if (roll(dice, 3)) {
		moirai_fetch_add_relaxed(&given, moirai_unpark(word, 1 + roll(dice, 3)));
	} else {
		int woken = moirai_unpark_requeue(word, 0, roll(dice, 2), to, roll(dice, 3));
		CHECK(woken >= 0);
		moirai_fetch_add_relaxed(&given, (uint64_t)woken);
	}
}

static void unparks(void *arg)
{
	struct dice dice = dice_of(300 + (uintptr_t)arg);
	/* To the end, and on until all have gone home. */
	while (moirai_load_acquire(&parking)) {
		unpark_somehow(&dice);
		if (!moirai_load_acquire(&stop) && roll(&dice, 8) == 0)
			moirai_os_sleep(roll(&dice, 50) * MOIRAI_US);
		if (roll(&dice, 16) == 0)
			mini_cancel(&mini_fibers[roll(&dice, FIBERS)]);
	}
}

static void every_wake_up_is_counted_on_both_sides(void)
{
	moirai_os_thread threads[THREADS + 1 + UNPARKERS];
	const char *wish = getenv("MOIRAI_TEST_SEED");
	seed = wish ? strtoull(wish, NULL, 0) : moirai_now();
	DIAG("seed %llu", (unsigned long long)seed);
	moirai_store_relaxed(&parking, THREADS + 1 + FIBERS);
	mini_start(FIBERS, fiber_waits, NULL);
	for (uintptr_t i = 0; i < THREADS + 1 + UNPARKERS; i++) {
		void (*fn)(void *) = i < THREADS    ? thread_waits
				     : i == THREADS ? wakers_wait
						    : unparks;
		REQUIRE(moirai_os_thread_create(&threads[i], NULL, fn, (void *)i) == 0);
	}
	size_t buckets = moirai__park_buckets();
	for (unsigned i = 0; i < 5; i++) {
		moirai_os_sleep(DURATION / 5);
		CHECK(moirai_park_reserve(buckets * 8 << (i + 1) / 2) == 0);
	}
	moirai_store_release(&stop, 1);
	for (unsigned i = 0; i < THREADS + 1 + UNPARKERS; i++)
		CHECK(moirai_os_thread_join(threads[i]) == 0);
	mini_join();
	CHECK(waiters_of(NULL) == 0);
	DIAG("%llu woken, %llu timed out, %llu cancelled, %u buckets", (unsigned long long)got,
		(unsigned long long)timed_out, (unsigned long long)cancels, (unsigned)moirai__park_buckets());
	CHECK(got == given);
	CHECK(got > 0 && timed_out > 0 && cancels > 0);
}

TAP_MAIN(TEST(every_wake_up_is_counted_on_both_sides))
