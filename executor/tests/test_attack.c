/* SPDX-License-Identifier: MIT */
/*
 * Windows that a test of the API alone does not meet: a task whose end has to wait, pinned tasks
 * that take turns, a park that is given up with a pinned task in hand. Looks into the pool's memory
 * where the claim is about one worker and not about their sum.
 */
#include <moirai/core/cancel.h>
#include <moirai/core/internal/park.h>
#include <moirai/core/observer.h>

#include "../src/private.h"
#include "support.h"

static void flag_set(uint32_t *flag)
{
	moirai_store_release(flag, 1u);
}

/* Without leaving the processor to the runtime: the worker stays taken. */
static bool flag_spin(const uint32_t *flag)
{
	uint64_t deadline = moirai_deadline_after(PATIENCE_NS);
	while (!moirai_load_acquire(flag)) {
		if (moirai_now() > deadline)
			return false;
		moirai_os_yield();
	}
	return true;
}

/* --- pinned tasks take turns --- */

enum { TURNS = 200, PINNED = 3 };

static uint32_t turns[PINNED];
static uint32_t turns_stop;

static bool all_had_turns(void)
{
	for (unsigned i = 0; i < PINNED; i++)
		if (moirai_load_relaxed(&turns[i]) < TURNS)
			return false;
	return true;
}

static void take_turns(void *arg)
{
	uint32_t *mine = arg;
	while (!moirai_load_relaxed(&turns_stop)) {
		moirai_fetch_add_relaxed(mine, 1u);
		moirai_yield();
	}
}

static void pinned_yielders_take_turns(void)
{
	moirai_executor *executor = pool_new(1);
	moirai_task_attr attr = {.size = sizeof(attr), .flags = MOIRAI_TASK_PINNED};
	moirai_task *task[PINNED];
	for (unsigned i = 0; i < PINNED; i++)
		REQUIRE(moirai_spawn(executor, &attr, take_turns, &turns[i], &task[i]) == 0);
	uint64_t deadline = moirai_deadline_after(5 * MOIRAI_S);
	while (!all_had_turns() && moirai_now() < deadline)
		moirai_os_sleep(MOIRAI_MS);
	CHECK(all_had_turns());
	moirai_store_relaxed(&turns_stop, 1u);
	for (unsigned i = 0; i < PINNED; i++)
		CHECK(moirai_task_join(task[i], NULL) == 0);
	CHECK(moirai_executor_destroy(executor) == 0);
}

/* --- a pinned task that was picked for nothing --- */

struct pinned {
	struct gate gate;
	int home;
	int after;
	uint32_t done;
};

static void stay_here(void *arg)
{
	struct pinned *self = arg;
	self->home = moirai_executor_worker();
	gate_wait(&self->gate);
	self->after = moirai_executor_worker();
	flag_set(&self->done);
}

static int refuse(const uint32_t *word, void *arg)
{
	(void)word;
	(void)arg;
	return -EAGAIN;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* In a task: one pinned child; a scene when both are on the same worker. */
static void give_up_with_it_in_hand(moirai_executor *executor, unsigned *scenes, unsigned *left)
{
	static const moirai__park_hooks hooks = {.validate = refuse};
	static const uint32_t word;
	struct pinned pinned = {.home = -1};
	moirai_task_attr attr = {.size = sizeof(attr), .flags = MOIRAI_TASK_PINNED};
	moirai_task *task;
	REQUIRE(moirai_spawn(executor, &attr, stay_here, &pinned, &task) == 0);
	CHECK(await_state(task, MOIRAI_TASK_PARKED));
	bool set = moirai_executor_worker() == pinned.home;
	gate_open(&pinned.gate);
	if (set) {
		/* The 64th look takes it out of the mailbox; the park does not take place. */
		for (unsigned i = 0; i < 256; i++)
			(void)moirai__park_queued(&word, &hooks, NULL, 0, MOIRAI_NEVER);
		/* Something to wake a thief for; then nothing but work. */
		(void)moirai_spawn(executor, NULL, nothing, NULL, NULL);
		uint64_t until = moirai_deadline_after(2 * MOIRAI_MS);
		while (moirai_now() < until && !moirai_load_acquire(&pinned.done))
			moirai_os_yield();
	}
	CHECK(moirai_task_join(task, NULL) == 0);
	*scenes += set;
	*left += pinned.after != pinned.home;
}

static void give_up_main(void *executor)
{
	unsigned scenes = 0, left = 0;
	for (unsigned i = 0; i < 200 && scenes < 20; i++)
		give_up_with_it_in_hand(executor, &scenes, &left);
	printf("# %u scenes, %u left their worker\n", scenes, left);
	CHECK(scenes > 0);
	CHECK(left == 0);
}

static void a_pinned_task_that_was_picked_for_nothing_stays(void)
{
	moirai_executor *executor = pool_new(2);
	moirai_task *task;
	REQUIRE(moirai_spawn(executor, NULL, give_up_main, executor, &task) == 0);
	CHECK(moirai_task_join(task, NULL) == 0);
	CHECK(moirai_executor_destroy(executor) == 0);
}

/* --- a task whose end has to wait for a callback --- */

static struct {
	moirai_executor *executor;
	moirai_cancel *token;
	moirai_task *victim;
	uint32_t taker_runs, cancelling, hog_runs, release, ended;
	int began_on, ended_on;
} scene;

static void on_event(void *self, moirai_event kind, const void *object, int worker)
{
	(void)self;
	if (object != scene.victim)
		return;
	if (kind == MOIRAI_EVENT_FINISH) {
		scene.ended_on = worker;
	} else { /* the callback of the token, on the canceller's thread */
		flag_set(&scene.cancelling);
		(void)flag_spin(&scene.hog_runs);
		moirai_os_sleep(20 * MOIRAI_MS);
	}
}

static void hog(void *arg)
{
	(void)arg;
	flag_set(&scene.hog_runs);
	(void)flag_spin(&scene.release);
}

/* Keeps the other worker from the hog. */
static void taker(void *arg)
{
	(void)arg;
	flag_set(&scene.taker_runs);
	(void)flag_spin(&scene.hog_runs);
}

static void victim(void *arg)
{
	(void)arg;
	(void)flag_spin(&scene.taker_runs);
	scene.began_on = moirai_executor_worker();
	(void)moirai_spawn(scene.executor, NULL, hog, NULL, NULL);
	(void)flag_spin(&scene.cancelling);
}

static void canceller(void *arg)
{
	(void)arg;
	(void)moirai_cancel_request(scene.token, 0);
}

static void a_task_whose_end_waited_is_counted_where_it_ended(void)
{
	static const moirai_observer observer = {
		.mask = MOIRAI_EVENT_BIT(MOIRAI_EVENT_CANCEL) |
			MOIRAI_EVENT_BIT(MOIRAI_EVENT_FINISH),
		.event = on_event,
	};
	int rc = moirai_observer_attach(&observer);
	if (rc == -ENOTSUP)
		return;
	REQUIRE(rc == 0);
	scene.executor = pool_new(2);
	REQUIRE(moirai_cancel_create(&scene.token, NULL) == 0);
	REQUIRE(moirai_spawn(scene.executor, NULL, taker, NULL, NULL) == 0);
	moirai_task_attr attr = {.size = sizeof(attr), .cancel = scene.token};
	REQUIRE(moirai_spawn(scene.executor, &attr, victim, NULL, &scene.victim) == 0);
	REQUIRE(flag_spin(&scene.taker_runs));
	moirai_os_thread thread;
	moirai_os_sleep(5 * MOIRAI_MS); /* the handle and the registration are there */
	REQUIRE(moirai_os_thread_create(&thread, NULL, canceller, NULL) == 0);
	REQUIRE(flag_spin(&scene.hog_runs));
	struct pool *pool = pool_of(scene.executor);
	uint64_t before = moirai_load_acquire(&pool->workers[scene.began_on].finished);
	CHECK(moirai_task_join(scene.victim, NULL) == 0);
	moirai_os_sleep(20 * MOIRAI_MS); /* it is counted after the joiner is told */
	uint64_t after = moirai_load_acquire(&pool->workers[scene.began_on].finished);
	printf("# began on %d, ended on %d\n", scene.began_on, scene.ended_on);
	CHECK(scene.ended_on != scene.began_on);
	CHECK(after == before);
	flag_set(&scene.release);
	CHECK(moirai_os_thread_join(thread) == 0);
	CHECK(moirai_executor_destroy(scene.executor) == 0);
	moirai_cancel_destroy(scene.token);
	CHECK(moirai_observer_detach(&observer) == 0);
}

TAP_MAIN(TEST(pinned_yielders_take_turns), TEST(a_pinned_task_that_was_picked_for_nothing_stays),
	TEST(a_task_whose_end_waited_is_counted_where_it_ended))
