/* SPDX-License-Identifier: MIT */
/* The observer, compiled with a table of three slots, one for main: what happens to the third thread. */
#include <moirai/core/clock.h>
#include <moirai/core/observer.h>
#include <moirai/core/os.h>

#include "tap.h"

static uint32_t heard, parked, leave;

static void hear(void *self, moirai_event kind, const void *object, int worker)
{
	(void)self;
	(void)kind;
	(void)object;
	(void)worker;
	moirai_fetch_add_relaxed(&heard, 1);
}

static void emit_and_stay(void *arg)
{
	(void)arg;
	MOIRAI_OBSERVE(MOIRAI_EVENT_USER, NULL);
	moirai_fetch_add_relaxed(&parked, 1);
	while (!moirai_load_acquire(&leave))
		moirai_os_sleep(200 * MOIRAI_US);
	MOIRAI_OBSERVE(MOIRAI_EVENT_USER, NULL);
}

static void the_third_thread_loses_its_events_and_they_are_counted(void)
{
	moirai_observer observer = {MOIRAI_EVENT_BIT(MOIRAI_EVENT_USER), hear, NULL};
	moirai_observer_stats stats;
	moirai_os_thread threads[3];
	REQUIRE(moirai_observer_attach(&observer) == 0);
	for (unsigned i = 0; i < 3; i++) {
		REQUIRE(moirai_os_thread_create(&threads[i], NULL, emit_and_stay, NULL) == 0);
		while (moirai_load_relaxed(&parked) != i + 1)
			moirai_os_sleep(200 * MOIRAI_US);
	}
	moirai_observer_stats_get(&stats);
	CHECK(heard == 2 && stats.unslotted >= 1 && stats.threads == 3 && stats.threads_max == 3);
	/* When one of the two ends, its slot serves the next thread. */
	moirai_store_release(&leave, 1);
	for (int i = 0; i < 3; i++)
		moirai_os_thread_join(threads[i]);
	moirai_observer_stats_get(&stats);
	CHECK(stats.threads == 1);
	uint32_t before = heard;
	REQUIRE(moirai_os_thread_create(&threads[0], NULL, emit_and_stay, NULL) == 0);
	moirai_os_thread_join(threads[0]);
	CHECK(heard == before + 2);
	CHECK(moirai_observer_detach(&observer) == 0);
}

TAP_MAIN(TEST(the_third_thread_loses_its_events_and_they_are_counted))
