/* SPDX-License-Identifier: MIT */
/*
 * The door under every schedule: producers that come and go, consumers in pairs, segments of two
 * words. What an item stands for is a plain field, written before the push, read after the take.
 */
#include "model.h"

#define MOIRAI__SEGMENT_WORDS 2
#define MOIRAI__PRODUCERS_OWN 1
#include "planted_injector.h"

enum { ITEMS = 8 };

static struct moirai__injector injector;
static uintptr_t link_of[ITEMS + 1]; /* the intrusive links */
static int task[ITEMS + 1];
static int taken[ITEMS + 1];
static size_t accepted;

static uintptr_t *next_of(uintptr_t item)
{
	return &link_of[item];
}

static void put(struct moirai__producer *producer, uintptr_t item)
{
	MOIRAI_WR(task[item]) = (int)item;
	MODEL_CHECK(moirai__producer_push(producer, item) == 0);
}

static void got(uintptr_t item)
{
	MODEL_CHECK(item >= 1 && item <= ITEMS);
	MODEL_CHECK(MOIRAI_RD(task[item]) == (int)item);
	MODEL_CHECK(moirai_fetch_add_relaxed(&taken[item], 1) == 0);
}

static unsigned take(unsigned max)
{
	uintptr_t items[MOIRAI__TAKE_MAX];
	unsigned n = moirai__injector_take(&injector, items, max, 1);
	for (unsigned i = 0; i < n; i++)
		got(items[i]);
	if (n)
		model_count("takes");
	return n;
}

static void consumer(void *arg)
{
	(void)take((unsigned)(uintptr_t)arg);
}

static void audit(uintptr_t count)
{
	model_join_all();
	while (take(MOIRAI__TAKE_MAX))
		;
	for (uintptr_t item = 1; item <= count; item++)
		MODEL_CHECK(moirai_load_relaxed(&taken[item]) == 1);
	MODEL_CHECK(moirai__injector_accepted(&injector) == accepted);
	MODEL_CHECK(!moirai__injector_any(&injector) && !moirai__injector_count(&injector));
	moirai__injector_fini(&injector);
}

static struct moirai__producer *join(void)
{
	struct moirai__producer *producer;
	MODEL_CHECK(moirai__injector_join(&injector, &producer) == 0);
	return producer;
}

static void begin(size_t will_accept)
{
	moirai__injector_init(&injector, next_of);
	accepted = will_accept;
}

static void a_producer_meets_a_consumer(void)
{
	begin(2);
	struct moirai__producer *producer = join();
	model_thread(consumer, (void *)2);
	put(producer, 1);
	put(producer, 2);
	audit(2);
}

static void segments_change_under_a_consumer(void)
{
	begin(5);
	struct moirai__producer *producer = join();
	put(producer, 1);
	put(producer, 2);
	put(producer, 3);
	model_thread(consumer, (void *)3);
	put(producer, 4);
	put(producer, 5);
	audit(5);
}

static void an_emptied_segment_comes_back(void)
{
	begin(6);
	struct moirai__producer *producer = join();
	for (uintptr_t item = 1; item <= 4; item++)
		put(producer, item);
	model_thread(consumer, (void *)3);
	put(producer, 5);
	put(producer, 6);
	audit(6);
}

static void two_consumers_share(void)
{
	begin(3);
	struct moirai__producer *producer = join();
	put(producer, 1);
	put(producer, 2);
	put(producer, 3);
	model_thread(consumer, (void *)2);
	model_thread(consumer, (void *)2);
	audit(3);
}

static void visitor(void *arg)
{
	struct moirai__producer *producer = join();
	put(producer, (uintptr_t)arg);
	moirai__injector_leave(&injector, producer);
}

static void a_queue_outlives_its_thread(void)
{
	begin(2);
	model_thread(visitor, (void *)1);
	model_thread(visitor, (void *)2);
	(void)take(1);
	audit(2);
}

/* Beyond the own queues: the last is shared by all who come. */
static void strangers_share_the_last_queue(void)
{
	begin(3);
	struct moirai__producer *own = join();
	put(own, 1);
	struct moirai__producer *shared = join();
	MODEL_CHECK(shared != own && shared->shared_);
	model_thread(visitor, (void *)2);
	put(shared, 3);
	MODEL_CHECK(join() == shared);
	audit(3);
}

static void a_producer_comes_while_somebody_takes(void)
{
	begin(1);
	model_thread(visitor, (void *)1);
	(void)take(1);
	audit(1);
}

static void waker(void *arg)
{
	MOIRAI_WR(task[(uintptr_t)arg]) = (int)(uintptr_t)arg;
	moirai__injector_ready(&injector, (uintptr_t)arg);
}

static void the_awakened_are_taken_once(void)
{
	begin(0);
	model_thread(waker, (void *)1);
	model_thread(waker, (void *)2);
	(void)take(2);
	audit(2);
}

/* The sleeper's rescan, after a fence of its own: what was published before must show. */
static void sleeper(void *arg)
{
	(void)arg;
	moirai_fence_heavy();
	MODEL_CHECK(moirai__injector_any(&injector));
}

static void the_rescan_sees_what_was_accepted(void)
{
	begin(1);
	struct moirai__producer *producer = join();
	put(producer, 1);
	model_thread(sleeper, NULL);
	model_join_all();
	audit(1);
}

static void a_push_without_memory_accepts_nothing(void)
{
	begin(0);
	struct moirai__producer *producer;
	if (moirai__injector_join(&injector, &producer) == 0) {
		model_thread(consumer, (void *)2);
		for (uintptr_t item = 1; item <= 5; item++) {
			MOIRAI_WR(task[item]) = (int)item;
			if (moirai__producer_push(producer, item) == 0)
				accepted++;
			else
				got(item);
		}
		audit(5);
	} else {
		audit(0);
	}
}

#define EXHAUSTED(function, preemptions) \
	MODEL_CLEAN(function, .exhaust = true, .bound = (preemptions), .limit = 3000000)

MODEL_MAIN(EXHAUSTED(a_producer_meets_a_consumer, 7),
	EXHAUSTED(segments_change_under_a_consumer, 6), EXHAUSTED(an_emptied_segment_comes_back, 6),
	EXHAUSTED(two_consumers_share, 4), EXHAUSTED(a_queue_outlives_its_thread, 3),
	EXHAUSTED(strangers_share_the_last_queue, 5),
	EXHAUSTED(a_producer_comes_while_somebody_takes, 5),
	EXHAUSTED(the_awakened_are_taken_once, 5), EXHAUSTED(the_rescan_sees_what_was_accepted, 5),
	MODEL_CLEAN(a_push_without_memory_accepts_nothing, .exhaust = true, .alloc_fails = 3),
	MODEL_FINDS(a_producer_meets_a_consumer, 1, "data race"),
	MODEL_FINDS(a_producer_meets_a_consumer, 2, "data race"),
	MODEL_FINDS(an_emptied_segment_comes_back, 3, "null pointer"),
	MODEL_FINDS(two_consumers_share, 4, "check failed"),
	MODEL_FINDS(a_queue_outlives_its_thread, 5, "check failed"),
	MODEL_FINDS(a_producer_comes_while_somebody_takes, 6, "unpublished"),
	MODEL_FINDS(an_emptied_segment_comes_back, 7, "data race"),
	MODEL_FINDS(strangers_share_the_last_queue, 8, "check failed"),
	MODEL_FINDS(the_rescan_sees_what_was_accepted, 9, "check failed"),
	MODEL_FINDS(the_awakened_are_taken_once, 10, "data race"),
	MODEL_FINDS(a_queue_outlives_its_thread, 11, "check failed"),
	MODEL_FINDS(the_awakened_are_taken_once, 12, "check failed"), )
