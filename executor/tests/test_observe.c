/* SPDX-License-Identifier: MIT */
/* What an attached observer hears of a pool at work. */
#include <moirai/core/observer.h>

#include "support.h"

#if MOIRAI_OBSERVER

static uint64_t heard[MOIRAI_EVENT_KINDS];

static void hear(void *self, moirai_event kind, const void *object, int worker)
{
	(void)self;
	(void)worker;
	if (object != NULL)
		moirai_fetch_add_relaxed(&heard[kind], 1u);
}

static uint64_t count_of(moirai_event kind)
{
	return moirai_load_relaxed(&heard[kind]);
}

/* Waits until the kind has been heard at least so often. */
static bool hears(moirai_event kind, uint64_t times)
{
	uint64_t deadline = moirai_deadline_after(PATIENCE_NS);
	while (count_of(kind) < times && moirai_now() < deadline)
		moirai_os_sleep(MOIRAI_MS);
	return count_of(kind) >= times;
}

static void every_step_of_a_task_is_reported(void)
{
	enum { TASKS = 100 };
	moirai_observer observer = {.mask = MOIRAI_EVENT_ALL, .event = hear};
	memset(heard, 0, sizeof(heard));
	REQUIRE(moirai_observer_attach(&observer) == 0);
	moirai_executor *ex = pool_new(2);
	struct gate gate = {0};
	for (int i = 0; i < TASKS; i++)
		REQUIRE(moirai_spawn(ex, NULL, gate_wait, &gate, NULL) == 0);
	CHECK(hears(MOIRAI_EVENT_PARK, TASKS));
	CHECK(hears(MOIRAI_EVENT_SLEEP, 2)); /* all wait: so do the workers */
	gate_open(&gate);
	CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0);
	CHECK(moirai_executor_destroy(ex) == 0);
	CHECK(moirai_observer_detach(&observer) == 0);
	CHECK(count_of(MOIRAI_EVENT_SPAWN) == TASKS);
	CHECK(count_of(MOIRAI_EVENT_START) == TASKS);
	CHECK(count_of(MOIRAI_EVENT_FINISH) == TASKS);
	CHECK(count_of(MOIRAI_EVENT_UNPARK) >= 1);
	CHECK(count_of(MOIRAI_EVENT_WAKE) >= 1);
	CHECK(count_of(MOIRAI_EVENT_WORKER_START) == 2);
	CHECK(count_of(MOIRAI_EVENT_WORKER_STOP) == 2);
	CHECK(count_of(MOIRAI_EVENT_ALLOC) >= 1);
	CHECK(count_of(MOIRAI_EVENT_FREE) >= 1);
}

static void spin(void *arg)
{
	uint64_t *ran = arg;
	uint64_t until = moirai_deadline_after(50 * MOIRAI_US);
	while (moirai_now() < until)
		moirai_cpu_relax();
	moirai_fetch_add_relaxed(ran, 1u);
}

static void spawn_many(void *arg)
{
	for (int i = 0; i < 200; i++)
		CHECK(moirai_spawn(moirai_executor_current(), NULL, spin, arg, NULL) == 0);
}

static void a_steal_is_reported(void)
{
	moirai_observer observer = {.mask = MOIRAI_EVENT_BIT(MOIRAI_EVENT_STEAL), .event = hear};
	memset(heard, 0, sizeof(heard));
	REQUIRE(moirai_observer_attach(&observer) == 0);
	moirai_executor *ex = pool_new(4);
	uint64_t ran = 0, deadline = moirai_deadline_after(PATIENCE_NS);
	do {
		CHECK(moirai_spawn(ex, NULL, spawn_many, &ran, NULL) == 0);
		CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0);
	} while (count_of(MOIRAI_EVENT_STEAL) == 0 && moirai_now() < deadline);
	moirai_executor_stats stats = {.size = sizeof(stats)};
	CHECK(moirai_executor_stats_get(ex, &stats) == 0);
	CHECK(moirai_executor_destroy(ex) == 0);
	CHECK(moirai_observer_detach(&observer) == 0);
	CHECK(count_of(MOIRAI_EVENT_STEAL) >= 1);
	CHECK(count_of(MOIRAI_EVENT_STEAL) >= stats.steals);
	CHECK(count_of(MOIRAI_EVENT_SPAWN) == 0); /* not asked for */
}

#else

static void every_step_of_a_task_is_reported(void)
{
	SKIP("built without the observer");
}

static void a_steal_is_reported(void)
{
	SKIP("built without the observer");
}

#endif

TAP_MAIN(TEST(every_step_of_a_task_is_reported), TEST(a_steal_is_reported))
