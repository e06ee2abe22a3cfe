/* SPDX-License-Identifier: MIT */
/* 100,000 tasks parked at once on the default limits. */
#include "support.h"

#define COUNT (HEAVY ? 2000u : 100000u)

static void many_tasks_park_at_once(void)
{
	moirai_executor *ex = pool_new(2);
	struct gate gate = {0};
	for (uint32_t i = 0; i < COUNT; i++)
		REQUIRE(moirai_spawn(ex, NULL, gate_wait, &gate, NULL) == 0);
	moirai_executor_stats stats = {.size = sizeof(stats)};
	uint64_t deadline = moirai_deadline_after(4 * PATIENCE_NS);
	do {
		moirai_os_sleep(5 * MOIRAI_MS);
		CHECK(moirai_executor_stats_get(ex, &stats) == 0);
	} while (stats.parks < COUNT && moirai_now() < deadline);
	CHECK(gate.waiting == COUNT);
	CHECK(stats.parks >= COUNT); /* none of them sits on a worker */
	CHECK(stats.finished == 0);
	CHECK(stats.stacks >= COUNT);
	gate_open(&gate);
	CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0);
	CHECK(gate.passed == COUNT);
	CHECK(moirai_executor_destroy(ex) == 0);
}

static void wait_own_word(void *arg)
{
	uint32_t *word = arg;
	while (moirai_load_acquire(word) == 0)
		CHECK(moirai_park(word, 0, MOIRAI_NEVER) != -ECANCELED);
}

/* Stacks go round between caches, spills and the pool: each must be in one place only. */
static void pools_that_parked_are_destroyed_again_and_again(void)
{
	for (unsigned round = 0; round < 8; round++) {
		moirai_executor *ex = pool_new(1 + round % 2);
		struct gate gate = {0};
		for (uint32_t i = 0; i < COUNT / 50; i++)
			REQUIRE(moirai_spawn(ex, NULL, gate_wait, &gate, NULL) == 0);
		moirai_os_sleep(2 * MOIRAI_MS);
		gate_open(&gate);
		CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0);
		CHECK(moirai_executor_destroy(ex) == 0);
	}
}

static void many_tasks_park_on_words_of_their_own(void)
{
	static uint32_t words[COUNT];
	moirai_executor *ex = pool_new(2);
	memset(words, 0, sizeof(words));
	for (uint32_t i = 0; i < COUNT; i++)
		REQUIRE(moirai_spawn(ex, NULL, wait_own_word, &words[i], NULL) == 0);
	moirai_os_sleep(20 * MOIRAI_MS);
	for (uint32_t i = 0; i < COUNT; i++) {
		moirai_store_release(&words[i], 1u);
		moirai_unpark(&words[i], 1);
	}
	CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0);
	CHECK(moirai_executor_destroy(ex) == 0);
}

static void many_sleepers_all_wake(void)
{
	moirai_executor *ex = pool_new(2);
	struct gate gate = {0};
	moirai_task_attr attr = {
		.size = sizeof(attr), .deadline_ns = moirai_deadline_after(200 * MOIRAI_MS)};
	uint32_t count = COUNT / 10;
	for (uint32_t i = 0; i < count; i++)
		REQUIRE(moirai_spawn(ex, &attr, gate_wait, &gate, NULL) == 0);
	CHECK(moirai_executor_drain(ex, MOIRAI_NEVER) == 0); /* their deadlines end them */
	moirai_executor_stats stats = {.size = sizeof(stats)};
	CHECK(moirai_executor_stats_get(ex, &stats) == 0);
	CHECK(gate.cancelled + stats.cancelled == count);
	CHECK(moirai_executor_destroy(ex) == 0);
}

TAP_MAIN(TEST(many_tasks_park_at_once), TEST(pools_that_parked_are_destroyed_again_and_again),
	TEST(many_tasks_park_on_words_of_their_own), TEST(many_sleepers_all_wake))
