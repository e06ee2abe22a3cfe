/* SPDX-License-Identifier: MIT */
/* The thief's policy, one rule at a time, on the calling thread; then the constants. */
#include <moirai/scheduler/internal/search.h>

#include <errno.h>
#include <string.h>

#include "tap.h"

static struct moirai__queues own, near_one, far_one;
static struct moirai__idle idle;
static struct moirai__injector injector;
static struct moirai__sleeper bed;
static struct moirai__victim victims[2];
static struct moirai__search search;
static moirai_scheduler_tuning tuning;
static uintptr_t links[100];

static unsigned quit_looks; /* n: true after n - 1 looks, and from then on; 0: never */
static unsigned timer_looks;
static uintptr_t timer_gives;  /* what the timers put on the own queues, once */
static unsigned extra_looks;   /* looks at extra until it finds something; 0: never */
static uint64_t extra_waited_ns;

static unsigned level_of(uintptr_t item)
{
	(void)item;
	return MOIRAI__LEVEL_NORMAL;
}

static uintptr_t *next_of(uintptr_t item)
{
	return &links[item];
}

static const struct moirai__item_ops item_ops = {.level = level_of};

static bool any(void *arg)
{
	(void)arg;
	return moirai__queues_any(&own) || moirai__queues_any(&near_one) ||
	       moirai__queues_any(&far_one) || moirai__injector_any(&injector);
}

static bool quits(void *arg)
{
	(void)arg;
	if (quit_looks > 1)
		quit_looks--;
	return quit_looks == 1;
}

static uint64_t earliest(void *arg)
{
	(void)arg;
	return MOIRAI_NEVER;
}

static void timers(void *arg)
{
	(void)arg;
	timer_looks++;
	if (timer_gives)
		CHECK(moirai__queues_push(&own, MOIRAI__LEVEL_NORMAL, timer_gives) == 0);
	timer_gives = 0;
}

static bool extra(void *arg, uint64_t waited_ns, bool *pending)
{
	(void)arg;
	*pending = true;
	extra_waited_ns = waited_ns;
	return extra_looks && --extra_looks == 0;
}

static const struct moirai__search_ops ops = {
	.idle = {.any = any, .quit = quits, .earliest = earliest},
	.timers = timers,
	.extra = extra,
};

static void begin(void)
{
	moirai_scheduler_tuning_default(&tuning);
	moirai__queues_init(&own, &item_ops);
	moirai__queues_init(&near_one, &item_ops);
	moirai__queues_init(&far_one, &item_ops);
	moirai__idle_init(&idle, &tuning);
	moirai__injector_init(&injector, next_of);
	memset(&bed, 0, sizeof(bed));
	memset(victims, 0, sizeof(victims));
	victims[0] = (struct moirai__victim){.queues_ = &near_one, .distance_ = 1};
	victims[1] = (struct moirai__victim){.queues_ = &far_one, .distance_ = 2};
	moirai__search_init(&search, &own, &bed, &idle, &injector, &ops, &tuning, NULL, victims, 2, 7);
	quit_looks = timer_looks = extra_looks = 0;
	timer_gives = 0;
}

static void end(void)
{
	CHECK(moirai_load_relaxed(&idle.word_) == 0); /* nobody counted any more */
	CHECK(!idle.watcher_ && !idle.keeper_ && !idle.sleepers_);
	moirai__queues_fini(&own);
	moirai__queues_fini(&near_one);
	moirai__queues_fini(&far_one);
	moirai__injector_fini(&injector);
}

static void fill(struct moirai__queues *queues, uintptr_t first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		CHECK(moirai__queues_push(queues, MOIRAI__LEVEL_NORMAL, first + i) == 0);
}

static void what_comes_from_outside_comes_first(void)
{
	begin();
	uintptr_t item;
	moirai__injector_ready(&injector, 50);
	fill(&near_one, 1, 4);
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_ITEM && item == 50);
	end();
}

static void the_nearest_victim_is_robbed_first(void)
{
	begin();
	uintptr_t item;
	fill(&far_one, 21, 4);
	fill(&near_one, 1, 4);
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_ITEM && item == 1);
	CHECK(moirai__queues_count(&own) == 1);
	end();
}

static void a_lone_item_is_left_alone_until_it_is_old(void)
{
	begin();
	uintptr_t item;
	tuning.lone_ns = 200000;
	tuning.search_rounds = 1000000;
	fill(&near_one, 1, 1);
	uint64_t start_ns = moirai_now();
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_ITEM && item == 1);
	CHECK(moirai_now() - start_ns >= 200000);
	end();
}

static void a_young_lone_item_is_passed_over_for_another_victim(void)
{
	begin();
	uintptr_t item;
	tuning.lone_ns = 10000000000ull;
	fill(&near_one, 1, 1);
	fill(&far_one, 21, 2);
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_ITEM && item == 21);
	CHECK(moirai__queues_count(&near_one) == 1);
	end();
}

static void timers_fire_while_searching(void)
{
	begin();
	uintptr_t item;
	timer_gives = 60;
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_ITEM && item == 60);
	CHECK(timer_looks == 1);
	end();
}

static void extra_is_told_how_long_it_has_been_pending(void)
{
	begin();
	uintptr_t item;
	extra_looks = 20;
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_EXTRA);
	CHECK(extra_waited_ns > 0);
	end();
}

static void quit_ends_a_search(void)
{
	begin();
	uintptr_t item;
	quit_looks = 1;
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_QUIT);
	quit_looks = tuning.search_rounds + 1; /* seen first by the sleeper's own look */
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_QUIT);
	end();
}

static void searches_that_do_not_pay_make_a_watcher(void)
{
	begin();
	uintptr_t item;
	moirai_scheduler_stats stats;
	for (unsigned i = 0; i < 4; i++) { /* loot, and back at once */
		tuning.payoff_ns = 10000000000ull;
		fill(&near_one, 1, 2);
		CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_ITEM);
	}
	CHECK(search.useless_ >= tuning.useless_limit);
	while (moirai__queues_pop_any(&near_one) || moirai__queues_pop_any(&own))
		;
	quit_looks = tuning.useless_rounds + 2;
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_QUIT);
	moirai__queues_stats(&own, &stats);
	CHECK(stats.naps == 1 && stats.sleeps == 0);
	CHECK(stats.steals_won == 4);
	end();
}

static void loot_that_lasts_makes_searching_worth_while(void)
{
	begin();
	uintptr_t item;
	search.useless_ = 2;
	search.loot_ns_ = moirai_now() - 1000000;
	fill(&near_one, 1, 2);
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_ITEM);
	CHECK(search.useless_ == 0);
	end();
}

static void the_defaults_are_valid_and_zero_means_default(void)
{
	moirai_scheduler_tuning zero = {.steal_amount = 0}, defaults;
	moirai_scheduler_tuning_default(&defaults);
	CHECK(moirai_scheduler_tuning_check(&zero) == 0);
	CHECK(memcmp(&zero, &defaults, sizeof(zero)) == 0);
	CHECK(moirai_scheduler_tuning_check(&defaults) == 0);
}

static void nonsense_is_refused_and_changes_nothing(void)
{
	moirai_scheduler_tuning wrong = {.steal_amount = 3};
	CHECK(moirai_scheduler_tuning_check(&wrong) == -EINVAL && wrong.search_rounds == 0);
	wrong = (moirai_scheduler_tuning){.nap_ns = UINT64_MAX};
	CHECK(moirai_scheduler_tuning_check(&wrong) == -EINVAL && wrong.nap_ns == UINT64_MAX);
	wrong = (moirai_scheduler_tuning){.search_rounds = UINT32_MAX};
	CHECK(moirai_scheduler_tuning_check(&wrong) == -EINVAL);
}

static bool nothing_there(void *arg)
{
	(void)arg;
	return false;
}

static bool stays(void *arg)
{
	(void)arg;
	return false;
}

static struct moirai__sleeper other_bed;

static void sleep_in_thread(void *slept)
{
	static const struct moirai__idle_ops deaf = {
		.any = nothing_there, .quit = stays, .earliest = earliest};
	moirai__idle_search_begin(&idle);
	*(enum moirai__slept *)slept = moirai__idle_sleep(&idle, &other_bed, &deaf, NULL);
	(void)moirai__idle_search_end(&idle);
}

/* A sleeper may have looked between the take from the door and the push on the own queues. */
static void what_comes_in_beside_the_search_is_told(void)
{
	enum moirai__slept slept = MOIRAI__SLEPT_NOT;
	struct moirai__producer *producer;
	uintptr_t item;
	moirai_os_thread thread;
	begin();
	REQUIRE(moirai__injector_join(&injector, &producer) == 0);
	for (uintptr_t i = 1; i <= 3; i++)
		CHECK(moirai__producer_push(producer, i) == 0);
	REQUIRE(moirai_os_thread_create(&thread, NULL, sleep_in_thread, &slept) == 0);
	while (moirai__idle_waiters(&idle) == 0)
		moirai_os_yield();
	CHECK(moirai__search_run(&search, &item) == MOIRAI__FOUND_ITEM && item == 1);
	CHECK(moirai__idle_waiters(&idle) == 0);
	(void)moirai__idle_wake_one(&idle);
	CHECK(moirai_os_thread_join(thread) == 0);
	CHECK(slept == MOIRAI__SLEPT_WOKEN);
	while (moirai__queues_pop_any(&own) || moirai__queues_drain(&own, &injector, 1))
		;
	end();
}

TAP_MAIN(TEST(what_comes_in_beside_the_search_is_told), TEST(what_comes_from_outside_comes_first), TEST(the_nearest_victim_is_robbed_first),
	TEST(a_lone_item_is_left_alone_until_it_is_old),
	TEST(a_young_lone_item_is_passed_over_for_another_victim), TEST(timers_fire_while_searching),
	TEST(extra_is_told_how_long_it_has_been_pending), TEST(quit_ends_a_search),
	TEST(searches_that_do_not_pay_make_a_watcher),
	TEST(loot_that_lasts_makes_searching_worth_while),
	TEST(the_defaults_are_valid_and_zero_means_default),
	TEST(nonsense_is_refused_and_changes_nothing))
