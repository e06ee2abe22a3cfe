/* SPDX-License-Identifier: MIT */
#include <moirai/core/observer.h>

#include <errno.h>

#include <moirai/core/alloc.h>
#include <moirai/core/clock.h>
#include <moirai/core/internal/context.h>
#include <moirai/core/internal/observer.h>
#include <moirai/core/os.h>

#include "tap.h"

#if MOIRAI_OBSERVER

struct heard {
	moirai_observer observer;
	unsigned count, count_of[MOIRAI_EVENT_KINDS];
	const void *object;
	int worker;
};

static void hear(void *self, moirai_event kind, const void *object, int worker)
{
	struct heard *heard = self;
	heard->count++;
	heard->count_of[kind]++;
	heard->object = object;
	heard->worker = worker;
}

static void init(struct heard *heard, uint32_t mask)
{
	memset(heard, 0, sizeof(*heard));
	heard->observer = (moirai_observer){mask, hear, heard};
}

static int prepared;

static const void *prepare(const void *object)
{
	prepared++;
	return object;
}

static void nobody_attached_costs_no_argument(void)
{
	prepared = 0;
	CHECK(!MOIRAI_OBSERVED());
	MOIRAI_OBSERVE(MOIRAI_EVENT_USER, prepare(NULL));
	CHECK(prepared == 0);
}

static void a_subscriber_hears_what_it_asked_for(void)
{
	struct heard heard;
	int object;
	init(&heard, MOIRAI_EVENT_BIT(MOIRAI_EVENT_SPAWN) | MOIRAI_EVENT_BIT(MOIRAI_EVENT_USER));
	CHECK(moirai_observer_attach(&heard.observer) == 0);
	CHECK(MOIRAI_OBSERVED());
	for (int kind = 0; kind < MOIRAI_EVENT_KINDS; kind++)
		MOIRAI_OBSERVE((moirai_event)kind, &object);
	CHECK(heard.count == 2 && heard.object == &object && heard.worker == -1);
	CHECK(heard.count_of[MOIRAI_EVENT_SPAWN] == 1 && heard.count_of[MOIRAI_EVENT_USER] == 1);
	MOIRAI_OBSERVE((moirai_event)MOIRAI_EVENT_KINDS, &object);
	MOIRAI_OBSERVE((moirai_event)77, &object);
	CHECK(heard.count == 2);
	CHECK(moirai_observer_detach(&heard.observer) == 0);
	MOIRAI_OBSERVE(MOIRAI_EVENT_SPAWN, &object);
	CHECK(heard.count == 2 && !MOIRAI_OBSERVED());
}

static void the_worker_is_the_context_s(void)
{
	struct heard heard;
	moirai__context context = {.worker = 5};
	init(&heard, MOIRAI_EVENT_ALL);
	moirai_observer_attach(&heard.observer);
	moirai__context_set(&context);
	MOIRAI_OBSERVE(MOIRAI_EVENT_START, NULL);
	moirai__context_set(NULL);
	CHECK(heard.worker == 5);
	moirai_observer_detach(&heard.observer);
}

static void a_chain_holds_eight_each_once(void)
{
	struct heard heard[MOIRAI_OBSERVERS_MAX + 1];
	moirai_observer_stats stats;
	for (int i = 0; i <= MOIRAI_OBSERVERS_MAX; i++) {
		init(&heard[i], MOIRAI_EVENT_ALL);
		CHECK(moirai_observer_attach(&heard[i].observer) ==
			(i < MOIRAI_OBSERVERS_MAX ? 0 : -ENOSPC));
	}
	moirai_observer_stats_get(&stats);
	CHECK(stats.attached == MOIRAI_OBSERVERS_MAX && stats.threads >= 1);
	CHECK(stats.threads_max == MOIRAI__OBSERVER_SLOTS);
	CHECK(moirai_observer_attach(&heard[3].observer) == -EEXIST);
	MOIRAI_OBSERVE(MOIRAI_EVENT_USER, NULL);
	CHECK(moirai_observer_detach(&heard[3].observer) == 0);
	MOIRAI_OBSERVE(MOIRAI_EVENT_USER, NULL);
	for (int i = 0; i < MOIRAI_OBSERVERS_MAX; i++) {
		CHECK(heard[i].count == (i == 3 ? 1 : 2));
		CHECK(moirai_observer_detach(&heard[i].observer) == (i == 3 ? -ENOENT : 0));
	}
	moirai_observer_stats_get(&stats);
	CHECK(stats.attached == 0);
	moirai_observer_stats_get(NULL);
}

static void bad_subscribers_are_refused(void)
{
	struct heard heard;
	init(&heard, 0);
	CHECK(moirai_observer_attach(NULL) == -EINVAL);
	CHECK(moirai_observer_attach(&heard.observer) == -EINVAL);
	heard.observer.mask = ~MOIRAI_EVENT_ALL;
	CHECK(moirai_observer_attach(&heard.observer) == -EINVAL);
	heard.observer.mask = 1;
	heard.observer.event = NULL;
	CHECK(moirai_observer_attach(&heard.observer) == -EINVAL);
	CHECK(moirai_observer_detach(NULL) == -EINVAL);
	CHECK(moirai_observer_detach(&heard.observer) == -ENOENT);
}

static void hear_and_meddle(void *self, moirai_event kind, const void *object, int worker)
{
	struct heard *heard = self;
	moirai_observer_stats stats;
	hear(self, kind, object, worker);
	MOIRAI_OBSERVE(MOIRAI_EVENT_USER, object);
	CHECK(moirai_observer_attach(&heard->observer) == -EDEADLK);
	CHECK(moirai_observer_detach(&heard->observer) == -EDEADLK);
	moirai_observer_stats_get(&stats);
	CHECK(stats.attached == 1);
}

static void a_subscriber_cannot_cause_events_or_change_the_chain(void)
{
	struct heard heard;
	moirai_observer_stats before, after;
	init(&heard, MOIRAI_EVENT_ALL);
	heard.observer.event = hear_and_meddle;
	moirai_observer_stats_get(&before);
	moirai_observer_attach(&heard.observer);
	MOIRAI_OBSERVE(MOIRAI_EVENT_USER, NULL);
	CHECK(heard.count == 1);
	CHECK(moirai_observer_detach(&heard.observer) == 0);
	moirai_observer_stats_get(&after);
	CHECK(after.recursions - before.recursions == 1);
}

static void every_kind_has_a_name_of_its_own(void)
{
	for (int i = 0; i < MOIRAI_EVENT_KINDS; i++)
		for (int j = 0; j < i; j++)
			CHECK(strcmp(moirai_event_name((moirai_event)i),
				moirai_event_name((moirai_event)j)));
	CHECK(strcmp(moirai_event_name(MOIRAI_EVENT_LOCK_WAIT), "lock_wait") == 0);
	CHECK(strcmp(moirai_event_name(MOIRAI_EVENT_USER), "user") == 0);
	CHECK(strcmp(moirai_event_name((moirai_event)MOIRAI_EVENT_KINDS), "?") == 0);
	CHECK(strcmp(moirai_event_name((moirai_event)-1), "?") == 0);
}

static void changes_allocate_nothing(void)
{
	struct heard heard;
	moirai_alloc_stats before, after;
	init(&heard, MOIRAI_EVENT_BIT(MOIRAI_EVENT_USER));
	moirai_alloc_stats_get(&before);
	for (int i = 0; i < 10; i++) {
		CHECK(moirai_observer_attach(&heard.observer) == 0);
		CHECK(moirai_observer_detach(&heard.observer) == 0);
	}
	moirai_alloc_stats_get(&after);
	CHECK(after.allocations == before.allocations);
}

static void emit_once(void *arg)
{
	MOIRAI_OBSERVE(MOIRAI_EVENT_USER, arg);
}

static void count_atomically(void *self, moirai_event kind, const void *object, int worker)
{
	moirai_fetch_add_relaxed((uint32_t *)self, 1);
	(void)kind;
	(void)object;
	(void)worker;
}

static void slots_come_back_when_threads_end(void)
{
	/* More threads than there are slots, one after the other. */
	enum { ROUNDS = MOIRAI__OBSERVER_SLOTS + 50 };
	uint32_t events = 0;
	moirai_observer observer = {MOIRAI_EVENT_ALL, count_atomically, &events};
	moirai_observer_stats before, after;
	moirai_observer_stats_get(&before);
	moirai_observer_attach(&observer);
	for (int i = 0; i < ROUNDS; i++) {
		moirai_os_thread thread;
		REQUIRE(moirai_os_thread_create(&thread, NULL, emit_once, NULL) == 0);
		moirai_os_thread_join(thread);
	}
	moirai_observer_detach(&observer);
	moirai_observer_stats_get(&after);
	CHECK(events >= ROUNDS && after.unslotted == before.unslotted);
	CHECK(after.threads <= before.threads + 1);
}

/* --- under load --- */

/* A subscriber whose memory is freed as soon as it is detached: ASan and TSan look on. */
struct mortal {
	moirai_observer observer;
	uint64_t magic;
	uint32_t events;
};
#define MORTAL_MAGIC 0x6d6f72746c6c6976ull

static uint32_t storm_stop, storm_emitted, storm_bad, storm_heard;

static void mortal_event(void *self, moirai_event kind, const void *object, int worker)
{
	struct mortal *mortal = self;
	if (mortal->magic != MORTAL_MAGIC || kind != MOIRAI_EVENT_USER)
		moirai_fetch_add_relaxed(&storm_bad, 1);
	moirai_fetch_add_relaxed(&mortal->events, 1);
	(void)object;
	(void)worker;
}

static void storm_emit(void *arg)
{
	uint32_t emitted = 0;
	while (!moirai_load_relaxed(&storm_stop)) {
		MOIRAI_OBSERVE(MOIRAI_EVENT_USER, arg);
		MOIRAI_OBSERVE(MOIRAI_EVENT_SPAWN, arg);
		emitted++;
	}
	moirai_fetch_add_relaxed(&storm_emitted, emitted);
}

static void storm_change(void)
{
	struct mortal *mortal = moirai_alloc_zeroed(1, sizeof(*mortal));
	REQUIRE(mortal != NULL);
	mortal->magic = MORTAL_MAGIC;
	mortal->observer =
		(moirai_observer){MOIRAI_EVENT_BIT(MOIRAI_EVENT_USER), mortal_event, mortal};
	CHECK(moirai_observer_attach(&mortal->observer) == 0);
	/* Wait for a few events, so that emitters are surely inside; bounded on a busy machine. */
	for (int i = 0; i < 200 && moirai_load_relaxed(&mortal->events) < 3; i++)
		moirai_os_yield();
	CHECK(moirai_observer_detach(&mortal->observer) == 0);
	storm_heard += moirai_load_relaxed(&mortal->events);
	mortal->magic = 0;
	moirai_free(mortal);
}

static void freed_subscribers_are_never_called(void)
{
	moirai_os_thread threads[3];
	uint64_t end = moirai_deadline_after(600 * MOIRAI_MS);
	unsigned changes = 0;
	for (int i = 0; i < 3; i++)
		REQUIRE(moirai_os_thread_create(&threads[i], NULL, storm_emit, &threads[i]) == 0);
	for (; moirai_now() < end || storm_heard == 0; changes++)
		storm_change();
	moirai_store_relaxed(&storm_stop, 1);
	for (int i = 0; i < 3; i++)
		moirai_os_thread_join(threads[i]);
	CHECK(storm_bad == 0 && storm_heard > 0 && storm_emitted > 0);
	DIAG("%u attach/detach pairs, %u events heard", changes, storm_heard);
}

TAP_MAIN(TEST(nobody_attached_costs_no_argument), TEST(a_subscriber_hears_what_it_asked_for),
	TEST(the_worker_is_the_context_s), TEST(a_chain_holds_eight_each_once),
	TEST(bad_subscribers_are_refused),
	TEST(a_subscriber_cannot_cause_events_or_change_the_chain),
	TEST(every_kind_has_a_name_of_its_own), TEST(changes_allocate_nothing),
	TEST(slots_come_back_when_threads_end), TEST(freed_subscribers_are_never_called))

#else

static void nothing_can_be_attached(void)
{
	int evaluated = 0;
	moirai_observer observer = {MOIRAI_EVENT_ALL, NULL, NULL};
	CHECK(moirai_observer_attach(&observer) == -ENOTSUP);
	CHECK(moirai_observer_detach(&observer) == -ENOTSUP);
	MOIRAI_OBSERVE(MOIRAI_EVENT_USER, (++evaluated, NULL));
	CHECK(evaluated == 0);
}

TAP_MAIN(TEST(nothing_can_be_attached))

#endif
