/* SPDX-License-Identifier: MIT */
/* Park, for fibers, under every schedule: the locked bucket over the switch, deadlines, cancels. */
#include "model_park.h"

static uint32_t *A, *B; /* words in different buckets */
static int message;     /* plain */
static int results[4];  /* plain, read after the joins */
static struct mini_fiber fibers[3];
static uint64_t deadline;
#define SOME_DAY (MOIRAI_NEVER - 1) /* when the timer fires */

static void set_up(void)
{
	A = word_in(0, 0);
	B = word_in(1, 0);
	model_name(A, "A");
	model_name(B, "B");
	deadline = MOIRAI_NEVER;
	for (unsigned i = 0; i < 3; i++)
		mini_init(&fibers[i]);
}

static void tear_down(void)
{
	model_join_all();
	check_lot_is_empty();
}

/* --- wake --- */

static void wait_for_a(void *arg)
{
	mini_enter(arg);
	while (moirai_load_acquire(A) == 0) {
		int rc = moirai_park(A, 0, MOIRAI_NEVER);
		MODEL_CHECK(rc == 0 || rc == -EAGAIN);
	}
	MODEL_CHECK(MOIRAI_RD(message) == 1);
}

static void open_a(unsigned count)
{
	MOIRAI_WR(message) = 1;
	moirai_store_release(A, 1);
	moirai_unpark(A, count);
}

static void wake(void)
{
	set_up();
	model_thread(wait_for_a, &fibers[0]);
	open_a(1);
	tear_down();
}

static void wake_two(void)
{
	set_up();
	model_thread(wait_for_a, &fibers[0]);
	model_thread(wait_for_a, &fibers[1]);
	open_a(UINT32_MAX);
	tear_down();
}

static void ping(void *arg)
{
	mini_enter(arg);
	moirai_store_release(A, 1);
	moirai_unpark(A, 1);
	while (moirai_load_acquire(B) == 0)
		(void)moirai_park(B, 0, MOIRAI_NEVER);
}

static void pong(void *arg)
{
	mini_enter(arg);
	while (moirai_load_acquire(A) == 0)
		(void)moirai_park(A, 0, MOIRAI_NEVER);
	moirai_store_release(B, 1);
	moirai_unpark(B, 1);
}

static void ping_pong(void)
{
	set_up();
	model_thread(ping, &fibers[0]);
	model_thread(pong, &fibers[1]);
	tear_down();
}

/* --- deadlines --- */

static void park_on_a(void *arg)
{
	struct mini_fiber *f = arg;
	mini_enter(f);
	results[f - fibers] = moirai_park(A, 0, deadline);
}

static void fire(void *arg)
{
	mini_timer_fire(arg);
}

static void wake_or_deadline(void)
{
	set_up();
	deadline = SOME_DAY;
	model_thread(park_on_a, &fibers[0]);
	model_thread(fire, &fibers[0]);
	unsigned woken = 0;
	/* The timer may have fired before it was armed: then only this loop ends the wait. */
	while ((woken = moirai_unpark(A, 1)) == 0 && results[0] == 0 && !model_choose(2))
		moirai_os_yield();
	moirai_store_release(A, 1);
	woken += moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(woken == (results[0] == 0));
	MODEL_CHECK(results[0] == 0 || results[0] == -ETIMEDOUT || results[0] == -EAGAIN);
}

static void park_twice(void *arg)
{
	struct mini_fiber *f = arg;
	mini_enter(f);
	results[0] = moirai_park(A, 0, SOME_DAY);
	results[1] = moirai_park(B, 0, MOIRAI_NEVER);
}

static void wait_until_armed_and_fire(void *arg)
{
	mini_timer_wait_and_fire(arg);
}

/* The timer of the first park must never end the second one. */
static void a_deadline_ends_its_own_park(void)
{
	set_up();
	model_thread(park_twice, &fibers[0]);
	model_thread(fire, &fibers[0]);
	moirai_store_release(A, 1);
	moirai_unpark(A, 1);
	while (moirai_unpark(B, 1) == 0)
		moirai_os_yield();
	tear_down();
	MODEL_CHECK(results[1] == 0);
}

/* Armed, fired: the park ends, whether the deadline comes before, in or after the queueing. */
static void a_deadline_always_ends_a_park(void)
{
	set_up();
	deadline = SOME_DAY;
	model_thread(park_on_a, &fibers[0]);
	wait_until_armed_and_fire(&fibers[0]);
	tear_down();
	MODEL_CHECK(results[0] == -ETIMEDOUT);
}

/* --- cancel --- */

static void a_cancel_always_ends_a_park(void)
{
	set_up();
	model_thread(park_on_a, &fibers[0]);
	mini_cancel(&fibers[0]);
	tear_down();
	MODEL_CHECK(results[0] == -ECANCELED);
}

static void cancel(void *arg)
{
	mini_cancel(arg);
}

static void cancel_or_wake(void)
{
	set_up();
	model_thread(park_on_a, &fibers[0]);
	model_thread(cancel, &fibers[0]);
	unsigned woken = moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(woken == (results[0] == 0));
	MODEL_CHECK(results[0] == 0 || results[0] == -ECANCELED);
}

static void park_on_a_then_b(void *arg)
{
	mini_enter(arg);
	results[0] = moirai_park(A, 0, MOIRAI_NEVER);
	results[1] = moirai_park(B, 0, MOIRAI_NEVER);
}

/* A canceller that still thinks of the first park must not miss the second one. */
static void cancel_follows_the_fiber(void)
{
	set_up();
	model_thread(park_on_a_then_b, &fibers[0]);
	model_thread(cancel, &fibers[0]);
	moirai_store_release(A, 1);
	moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(results[1] == -ECANCELED);
}

static void park_on_a_then_masked(void *arg)
{
	struct mini_fiber *f = arg;
	mini_enter(f);
	results[0] = moirai_park(A, 0, MOIRAI_NEVER);
	MOIRAI_WR(f->masked) = 1;
	results[1] = moirai_park(B, 0, MOIRAI_NEVER);
	MOIRAI_WR(f->masked) = 0;
}

static void open_b(void *arg)
{
	(void)arg;
	moirai_store_release(B, 1);
	moirai_unpark(B, 1);
}

/* Only the look at the mask, under the lock, tells the parks apart. */
static void cancel_respects_a_mask(void)
{
	set_up();
	model_thread(park_on_a_then_masked, &fibers[0]);
	model_thread(open_b, NULL);
	mini_cancel(&fibers[0]);
	moirai_store_release(A, 1);
	moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(results[1] == 0 || results[1] == -EAGAIN);
}

/* A canceller that holds the bucket of an earlier park must not take the fiber for parked there. */
static void park_to_and_fro(void *arg)
{
	mini_enter(arg);
	results[0] = moirai_park(A, 0, MOIRAI_NEVER);
	results[1] = moirai_park(B, 0, MOIRAI_NEVER);
	results[2] = moirai_park(A, 0, MOIRAI_NEVER);
}

static void wake_a_then_b(void *arg)
{
	(void)arg;
	(void)moirai_unpark(A, 1);
	(void)moirai_unpark(B, 1);
}

static void cancel_follows_to_and_fro(void)
{
	set_up();
	model_thread(park_to_and_fro, &fibers[0]);
	model_thread(wake_a_then_b, NULL);
	mini_cancel(&fibers[0]);
	tear_down();
	MODEL_CHECK(results[2] == -ECANCELED);
}

/* --- requeue --- */

static void requeue_a_to_b(void *arg)
{
	(void)arg;
	(void)moirai_unpark_requeue(A, 0, 0, B, 1);
}

static void requeue_or_cancel(void)
{
	set_up();
	model_thread(park_on_a, &fibers[0]);
	model_thread(requeue_a_to_b, NULL);
	mini_cancel(&fibers[0]);
	tear_down();
	MODEL_CHECK(results[0] == -ECANCELED);
}

static void requeue_or_deadline(void)
{
	set_up();
	deadline = SOME_DAY;
	model_thread(park_on_a, &fibers[0]);
	model_thread(requeue_a_to_b, NULL);
	wait_until_armed_and_fire(&fibers[0]);
	tear_down();
	MODEL_CHECK(results[0] == -ETIMEDOUT);
}

/* --- shutdown --- */

static bool of_the_executor(moirai__parker *parker, void *arg)
{
	(void)arg;
	return moirai_load_relaxed(&mini_of(parker)->cancelled) != 0;
}

static void shut_down(void)
{
	for (unsigned i = 0; i < 2; i++)
		moirai_store_relaxed(&fibers[i].cancelled, 1);
	moirai__park_cancel_all(of_the_executor, NULL);
}

static void shutdown_ends_all_parks(void)
{
	set_up();
	model_thread(park_on_a, &fibers[0]);
	model_thread(park_on_a, &fibers[1]);
	shut_down();
	tear_down();
	MODEL_CHECK(results[0] == -ECANCELED && results[1] == -ECANCELED);
}

static void requeue_b_to_a(void *arg)
{
	(void)arg;
	(void)moirai_unpark_requeue(B, 0, 0, A, 1);
}

static void park_on_b(void *arg)
{
	struct mini_fiber *f = arg;
	mini_enter(f);
	results[f - fibers] = moirai_park(B, 0, deadline);
}

/* A requeue must not carry a fiber behind the back of the sweep. */
static void nobody_escapes_a_shutdown(void)
{
	set_up();
	model_thread(park_on_b, &fibers[0]);
	model_thread(requeue_b_to_a, NULL);
	shut_down();
	tear_down();
	MODEL_CHECK(results[0] == -ECANCELED);
}

/* A fiber of another executor keeps its park. */
static void shutdown_spares_strangers(void)
{
	set_up();
	model_thread(park_on_a, &fibers[0]);
	model_thread(park_on_a, &fibers[2]);
	shut_down();
	while (moirai_unpark(A, 1) == 0)
		moirai_os_yield();
	tear_down();
	MODEL_CHECK(results[0] == -ECANCELED || results[0] == 0);
	MODEL_CHECK(results[2] == 0);
}

/* --- several words --- */

static void park_on_a_or_b(void *arg)
{
	struct mini_fiber *f = arg;
	moirai_park_case cases[2] = {{A, 0}, {B, 0}};
	mini_enter(f);
	results[f - fibers] = moirai_park_any(cases, 2, deadline);
}

static unsigned woken_b;

static void store_and_unpark_b(void *arg)
{
	(void)arg;
	moirai_store_release(B, 1);
	woken_b = moirai_unpark(B, 1);
}

/* Both words change: one wake-up is consumed, or it withdraws and none is. */
static void any_is_woken_once(void)
{
	set_up();
	model_thread(park_on_a_or_b, &fibers[0]);
	model_thread(store_and_unpark_b, NULL);
	moirai_store_release(A, 1);
	unsigned woken_a = moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(woken_a == (results[0] == 0) && woken_b == (results[0] == 1));
	MODEL_CHECK(woken_a + woken_b == 1 || results[0] == -EAGAIN);
}

static void any_and_a_plain_waiter(void)
{
	set_up();
	model_thread(park_on_a_or_b, &fibers[0]);
	model_thread(park_on_b, &fibers[1]);
	unsigned on_a = 0, on_b = 0;
	/* One permit on each word: two waiters, and each gets one, however they meet. */
	while ((on_a += moirai_unpark(A, 1)) == 0 && results[0] != 1)
		moirai_os_yield();
	while (on_a + on_b < 2) {
		on_b += moirai_unpark(B, 1);
		moirai_os_yield();
	}
	tear_down();
	MODEL_CHECK(on_a == 1 && on_b == 1 && results[0] == 0 && results[1] == 0);
}

static void a_deadline_always_ends_an_any(void)
{
	set_up();
	deadline = SOME_DAY;
	model_thread(park_on_a_or_b, &fibers[0]);
	wait_until_armed_and_fire(&fibers[0]);
	tear_down();
	MODEL_CHECK(results[0] == -ETIMEDOUT);
}

static void any_or_deadline(void)
{
	set_up();
	deadline = SOME_DAY;
	model_thread(park_on_a_or_b, &fibers[0]);
	model_thread(wait_until_armed_and_fire, &fibers[0]);
	unsigned woken = moirai_unpark(B, 1);
	tear_down();
	MODEL_CHECK(woken == (results[0] == 1));
	MODEL_CHECK(results[0] == 1 || results[0] == -ETIMEDOUT);
}

static void a_cancel_always_ends_an_any(void)
{
	set_up();
	model_thread(park_on_a_or_b, &fibers[0]);
	mini_cancel(&fibers[0]);
	tear_down();
	MODEL_CHECK(results[0] == -ECANCELED);
}

static void any_or_cancel(void)
{
	set_up();
	model_thread(park_on_a_or_b, &fibers[0]);
	model_thread(cancel, &fibers[0]);
	unsigned woken = moirai_unpark(B, 1);
	tear_down();
	MODEL_CHECK(woken == (results[0] == 1));
	MODEL_CHECK(results[0] == 1 || results[0] == -ECANCELED);
}

static void any_then_park(void *arg)
{
	moirai_park_case cases[2] = {{A, 0}, {B, 0}};
	mini_enter(arg);
	results[0] = moirai_park_any(cases, 2, MOIRAI_NEVER);
	results[1] = moirai_park(B, 0, MOIRAI_NEVER);
}

/* The two kinds of parks share the fiber's node: a canceller may come in between. */
static void cancel_follows_from_an_any_to_a_park(void)
{
	set_up();
	model_thread(any_then_park, &fibers[0]);
	model_thread(cancel, &fibers[0]);
	moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(results[1] == -ECANCELED);
}

static void shutdown_ends_an_any(void)
{
	set_up();
	model_thread(park_on_a_or_b, &fibers[0]);
	model_thread(requeue_b_to_a, NULL);
	shut_down();
	tear_down();
	MODEL_CHECK(results[0] == -ECANCELED);
}

#include "model_limits.h"

MODEL_MAIN(MODEL_CLEAN(wake, EXHAUST), MODEL_FINDS(wake, 2, "lost wake-up"),
	MODEL_FINDS(wake, BUG_PUBLISHED_BEFORE_SAVED, "race"), MODEL_CLEAN(wake_two, QUICK),
	MODEL_CLEAN(ping_pong, QUICK), MODEL_CLEAN(wake_or_deadline, QUICK),
	MODEL_CLEAN(a_deadline_ends_its_own_park, QUICK),
	MODEL_FINDS(a_deadline_ends_its_own_park, BUG_TIMER_NOT_WAITED_FOR, ""),
	MODEL_CLEAN(a_deadline_always_ends_a_park, EXHAUST),
	MODEL_FINDS(wake_or_deadline, 10, ""),
	MODEL_FINDS(a_deadline_always_ends_a_park, 4, "lost wake-up"),
	MODEL_FINDS(a_deadline_always_ends_a_park, 13, "queued == 0"),
	MODEL_CLEAN(a_cancel_always_ends_a_park, EXHAUST),
	MODEL_FINDS(a_cancel_always_ends_a_park, 3, "lost wake-up"),
	MODEL_FINDS(a_cancel_always_ends_a_park, 9, "lost wake-up"),
	MODEL_FINDS(a_cancel_always_ends_a_park, BUG_CANCEL_AFTER_LOOKING, "lost wake-up"),
	MODEL_CLEAN(cancel_or_wake, QUICK), MODEL_FINDS(cancel_or_wake, 13, ""),
	MODEL_CLEAN(cancel_follows_the_fiber, QUICK),
	MODEL_FINDS(cancel_follows_the_fiber, 9, "lost wake-up"),
	MODEL_FINDS(cancel_follows_the_fiber, 26, "", DEEP),
	MODEL_FINDS(cancel_follows_the_fiber, 27, ""),
	MODEL_CLEAN(cancel_follows_to_and_fro, QUICK), MODEL_CLEAN(cancel_respects_a_mask, QUICK),
	MODEL_FINDS(cancel_respects_a_mask, 8, "check failed"),
	MODEL_CLEAN(requeue_or_cancel, QUICK), MODEL_FINDS(requeue_or_cancel, 28, ""),
	MODEL_CLEAN(requeue_or_deadline, QUICK), MODEL_FINDS(requeue_or_deadline, 14, ""),
	MODEL_CLEAN(shutdown_ends_all_parks, QUICK),
	MODEL_FINDS(shutdown_ends_all_parks, 3, "lost wake-up"),
	MODEL_CLEAN(nobody_escapes_a_shutdown, QUICK),
	MODEL_FINDS(nobody_escapes_a_shutdown, 11, "lost wake-up"),
	MODEL_CLEAN(shutdown_spares_strangers, QUICK), MODEL_CLEAN(any_is_woken_once, QUICK),
	MODEL_FINDS(any_is_woken_once, 19, "check failed"),
	MODEL_FINDS(any_is_woken_once, 20, "race"),
	MODEL_FINDS(any_is_woken_once, 21, "lost wake-up"),
	MODEL_CLEAN(any_and_a_plain_waiter, QUICK), MODEL_FINDS(any_and_a_plain_waiter, 19, ""),
	MODEL_CLEAN(a_deadline_always_ends_an_any, EXHAUST),
	MODEL_FINDS(a_deadline_always_ends_an_any, 22, "queued == 0"),
	MODEL_CLEAN(any_or_deadline, QUICK), MODEL_FINDS(any_or_deadline, 19, "check failed"),
	MODEL_CLEAN(a_cancel_always_ends_an_any, EXHAUST),
	MODEL_FINDS(a_cancel_always_ends_an_any, 9, "lost wake-up"),
	MODEL_CLEAN(any_or_cancel, QUICK), MODEL_CLEAN(cancel_follows_from_an_any_to_a_park, QUICK),
	MODEL_FINDS(cancel_follows_from_an_any_to_a_park, 9, "lost wake-up"),
	MODEL_CLEAN(shutdown_ends_an_any, QUICK))
