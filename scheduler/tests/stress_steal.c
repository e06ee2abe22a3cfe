/* SPDX-License-Identifier: MIT */
/*
 * Exactly once: an owner and three thieves around one worker's queues; every item that went in comes
 * out once. The audit is a byte per item, taken by exchange.
 */
#include <moirai/core/alloc.h>
#include <moirai/core/clock.h>
#include <moirai/scheduler/internal/deque.h>
#include <moirai/scheduler/internal/yield_queue.h>

#include <stdlib.h>

#include "tap.h"

enum { THIEVES = 3 };

static size_t item_count = 1000000; /* 10^7 with MOIRAI_STRESS=10; see main */

static struct moirai__deque deque;
static struct moirai__yield_queue queue;
static unsigned char *taken;   /* times each item was taken */
static size_t double_count;    /* items taken twice */
static size_t total_count;     /* items taken */
static uint32_t owner_done;

static void take(uintptr_t item)
{
	if (moirai_exchange_relaxed(&taken[item - 1], (unsigned char)1))
		(void)moirai_fetch_add_relaxed(&double_count, (size_t)1);
}

static void audit_begin(void)
{
	taken = moirai_alloc_zeroed(item_count, 1);
	double_count = total_count = 0;
	owner_done = 0;
}

static void audit_end(void)
{
	size_t missing = 0;
	for (size_t i = 0; i < item_count; i++)
		missing += !taken[i];
	CHECK(missing == 0);
	CHECK(double_count == 0);
	CHECK(total_count == item_count);
	moirai_free(taken);
}

static void deque_thief(void *arg)
{
	moirai_steal_amount amount = (moirai_steal_amount)(uintptr_t)arg;
	uintptr_t items[MOIRAI__STEAL_MAX];
	size_t mine = 0;
	while (!moirai_load_acquire(&owner_done) || moirai__deque_count(&deque)) {
		unsigned n = moirai__deque_steal(&deque, items, MOIRAI__STEAL_MAX, amount);
		for (unsigned i = 0; i < n; i++)
			take(items[i]);
		mine += n;
		if (!n)
			moirai_os_yield();
	}
	(void)moirai_fetch_add_relaxed(&total_count, mine);
}

/* Bursts of pushes and pops of uneven lengths, so that the deque is empty, short and growing. */
static void deque_owner(void)
{
	uint32_t random = 12345;
	size_t next = 0, mine = 0;
	while (next < item_count || moirai__deque_count(&deque)) {
		random = random * 1664525u + 1013904223u;
		unsigned burst = random >> 28 ? (random >> 20) % 8 : 200;
		for (; burst && next < item_count; burst--) {
			int rc = moirai__deque_push(&deque, ++next);
			MOIRAI_ASSERT(rc == 0);
		}
		for (burst = (random >> 12) % 8; burst; burst--) {
			uintptr_t item = random & 64 ? moirai__deque_take_oldest(&deque)
						     : moirai__deque_pop(&deque);
			if (!item)
				break;
			take(item);
			mine++;
		}
		if (!(random >> 26))
			moirai_os_yield();
	}
	(void)moirai_fetch_add_relaxed(&total_count, mine);
	moirai_store_release(&owner_done, 1u);
}

static void every_item_of_the_deque_comes_out_once(void)
{
	moirai_os_thread thread[THIEVES];
	audit_begin();
	for (uintptr_t i = 0; i < THIEVES; i++)
		REQUIRE(moirai_os_thread_create(&thread[i], NULL, deque_thief, (void *)i) == 0);
	deque_owner();
	for (unsigned i = 0; i < THIEVES; i++)
		CHECK(moirai_os_thread_join(thread[i]) == 0);
	audit_end();
	moirai__deque_fini(&deque);
}

static void queue_thief(void *arg)
{
	moirai_steal_amount amount = (moirai_steal_amount)(uintptr_t)arg;
	uintptr_t items[MOIRAI__STEAL_MAX];
	size_t mine = 0;
	while (!moirai_load_acquire(&owner_done) || moirai__yield_queue_count(&queue)) {
		unsigned n = moirai__yield_queue_steal(&queue, items, MOIRAI__STEAL_MAX, amount);
		for (unsigned i = 0; i < n; i++)
			take(items[i]);
		mine += n;
		if (!n)
			moirai_os_yield();
	}
	(void)moirai_fetch_add_relaxed(&total_count, mine);
}

static void queue_owner(void)
{
	uint32_t random = 12345;
	size_t next = 0, mine = 0;
	while (next < item_count || moirai__yield_queue_count(&queue)) {
		random = random * 1664525u + 1013904223u;
		unsigned burst = random >> 28 ? (random >> 20) % 8 : 200;
		for (; burst && next < item_count; burst--) {
			int rc = moirai__yield_queue_push(&queue, ++next);
			MOIRAI_ASSERT(rc == 0);
		}
		uintptr_t item;
		if (next < item_count && random & 64) {
			item = moirai__yield_queue_swap(&queue, next + 1, NULL);
			if (item) {
				next++;
				moirai_cpu_relax();
				moirai__yield_queue_close(&queue);
			}
		} else {
			item = moirai__yield_queue_pop(&queue);
		}
		if (item) {
			take(item);
			mine++;
		}
		if (!(random >> 26))
			moirai_os_yield();
	}
	(void)moirai_fetch_add_relaxed(&total_count, mine);
	moirai_store_release(&owner_done, 1u);
}

static void every_yielder_comes_out_once(void)
{
	moirai_os_thread thread[THIEVES];
	audit_begin();
	for (uintptr_t i = 0; i < THIEVES; i++)
		REQUIRE(moirai_os_thread_create(&thread[i], NULL, queue_thief, (void *)i) == 0);
	queue_owner();
	for (unsigned i = 0; i < THIEVES; i++)
		CHECK(moirai_os_thread_join(thread[i]) == 0);
	audit_end();
	moirai__yield_queue_fini(&queue);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TEST(every_item_of_the_deque_comes_out_once), TEST(every_yielder_comes_out_once)};
	const char *factor = getenv("MOIRAI_STRESS");
	if (factor && atoi(factor) > 0)
		item_count *= (size_t)atoi(factor);
	return tap_run_(tests, MOIRAI_ARRAY_SIZE(tests), argc, argv);
}
