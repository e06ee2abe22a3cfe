/* SPDX-License-Identifier: MIT */
/* The wheel against a plain array, on virtual time. */
#include <moirai/async/internal/timer_wheel.h>
#include <moirai/core/alloc.h>
#include <moirai/core/internal/fault.h>

#include <errno.h>
#include <stdlib.h>

#include "tap.h"

#if MOIRAI_TSAN || MOIRAI_ASAN || UINTPTR_MAX <= 0xffffffffu
#define MANY 100000
#else
#define MANY 1000000
#endif

struct item {
	struct moirai__timer timer;
	uint64_t deadline;
	bool pending;
};

static uint64_t seed;

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t tick_of(uint64_t deadline, unsigned shift)
{
	return (deadline >> shift) + ((deadline & ((1ull << shift) - 1)) != 0);
}

static void bad_ticks_are_refused(void)
{
	struct moirai__timer_wheel wheel;
	CHECK(moirai__timer_wheel_init(&wheel, MOIRAI__TIMER_SHIFT_MIN - 1, 0) == -EINVAL);
	CHECK(moirai__timer_wheel_init(&wheel, MOIRAI__TIMER_SHIFT_MAX + 1, 0) == -EINVAL);
	CHECK(moirai__timer_wheel_init(&wheel, 20, 0) == 0);
	CHECK(moirai__timer_wheel_next(&wheel) == UINT64_MAX);
	moirai__timer_wheel_fini(&wheel);
	moirai__timer_wheel_fini(&wheel);
	moirai__timer_wheel_fini(NULL);
}

static void a_timer_is_never_early_and_a_tick_late_at_most(void)
{
	struct moirai__timer_wheel wheel;
	struct moirai__timer timer = {0}, *due[2];
	const uint64_t start = 123456789;
	REQUIRE(moirai__timer_wheel_init(&wheel, 10, start) == 0);
	for (uint64_t delay = 1; delay < 1ull << 45; delay = delay * 3 + 1) {
		uint64_t base = wheel.tick_ << 10, deadline = base + delay;
		REQUIRE(moirai__timer_start(&wheel, &timer, deadline) == 0);
		CHECK(moirai__timer_is_pending(&timer));
		CHECK(moirai__timer_wheel_expire(&wheel, deadline - 1, due, 2) == 0);
		CHECK(moirai__timer_wheel_next(&wheel) <= deadline + 1023);
		CHECK(moirai__timer_wheel_expire(&wheel, deadline + 1023, due, 2) == 1);
		CHECK(due[0] == &timer && !moirai__timer_is_pending(&timer));
		CHECK(!moirai__timer_cancel(&wheel, &timer));
	}
	moirai__timer_wheel_fini(&wheel);
}

static void a_past_deadline_is_due_at_once(void)
{
	struct moirai__timer_wheel wheel;
	struct moirai__timer timer = {0}, *due[2];
	REQUIRE(moirai__timer_wheel_init(&wheel, 10, 1ull << 30) == 0);
	REQUIRE(moirai__timer_start(&wheel, &timer, 0) == 0);
	CHECK(moirai__timer_wheel_next(&wheel) <= 1ull << 30);
	/* Time does not go back. */
	CHECK(moirai__timer_wheel_expire(&wheel, 0, due, 2) == 1);
	REQUIRE(moirai__timer_start(&wheel, &timer, 1ull << 29) == 0);
	CHECK(moirai__timer_wheel_expire(&wheel, 0, due, 2) == 1);
	CHECK(moirai__timer_wheel_expire(&wheel, 1ull << 31, due, 2) == 0);
	REQUIRE(moirai__timer_start(&wheel, &timer, (1ull << 31) - 1) == 0);
	CHECK(moirai__timer_wheel_expire(&wheel, (1ull << 31), due, 2) == 1);
	moirai__timer_wheel_fini(&wheel);
}

static void the_end_of_time_can_be_waited_for(void)
{
	struct moirai__timer_wheel wheel;
	struct moirai__timer timer = {0}, *due[2];
	for (unsigned shift = MOIRAI__TIMER_SHIFT_MIN; shift <= MOIRAI__TIMER_SHIFT_MAX; shift++) {
		REQUIRE(moirai__timer_wheel_init(&wheel, shift, 5) == 0);
		REQUIRE(moirai__timer_start(&wheel, &timer, UINT64_MAX - 1) == 0);
		CHECK(moirai__timer_wheel_next(&wheel) < UINT64_MAX);
		CHECK(moirai__timer_wheel_expire(&wheel, 1ull << 62, due, 2) == 0);
		CHECK(moirai__timer_is_pending(&timer));
		CHECK(moirai__timer_cancel(&wheel, &timer));
		moirai__timer_wheel_fini(&wheel);
	}
}

/* Takes everything due at `now` in batches and compares with the reference. */
static unsigned expire_and_check(struct moirai__timer_wheel *wheel, unsigned shift, uint64_t now,
	struct item *items, size_t count, size_t batch)
{
	struct moirai__timer *due[64];
	unsigned wrong = 0;
	uint64_t last = 0;
	size_t n;
	do {
		n = moirai__timer_wheel_expire(wheel, now, due, batch);
		for (size_t i = 0; i < n; i++) {
			struct item *item = MOIRAI_CONTAINER_OF(due[i], struct item, timer);
			uint64_t tick = tick_of(item->deadline, shift);
			wrong += !item->pending || tick > now >> shift || tick < last;
			last = tick;
			item->pending = false;
		}
	} while (n == batch);
	for (size_t i = 0; i < count; i++)
		wrong += items[i].pending && tick_of(items[i].deadline, shift) <= now >> shift;
	return wrong;
}

/* One random history: starts, cancels, restarts, small and large steps of time. */
static unsigned history(unsigned shift, unsigned reach_bits)
{
	enum { ITEMS = 400, STEPS = 1500 };
	static struct item items[ITEMS];
	struct moirai__timer_wheel wheel;
	uint64_t now = draw() >> 20;
	unsigned wrong = 0;
	memset(items, 0, sizeof(items));
	if (moirai__timer_wheel_init(&wheel, shift, now) < 0)
		return 1;
	for (unsigned step = 0; step < STEPS; step++) {
		for (unsigned k = 0; k < 20; k++) {
			struct item *item = &items[draw() % ITEMS];
			wrong += moirai__timer_is_pending(&item->timer) != item->pending;
			if (item->pending || draw() % 4 == 0) {
				wrong +=
					moirai__timer_cancel(&wheel, &item->timer) != item->pending;
				item->pending = false;
				continue;
			}
			/* What a deadline already past means is tested above. */
			uint64_t reach = draw() >> (64 - reach_bits);
			item->deadline = now + (reach >> (draw() % reach_bits));
			item->pending = true;
			wrong += moirai__timer_start(&wheel, &item->timer, item->deadline) != 0;
		}
		uint64_t next = moirai__timer_wheel_next(&wheel);
		for (unsigned i = 0; i < ITEMS; i++)
			wrong += items[i].pending &&
				 tick_of(items[i].deadline, shift) < next >> shift;
		if (draw() % 3 == 0 && next != UINT64_MAX && next > now)
			now = next;
		else
			now += (draw() >> (64 - reach_bits)) >> (draw() % reach_bits);
		/* A deadline between the wheel's tick and now is filed under now's tick. */
		wrong += expire_and_check(&wheel, shift, now, items, ITEMS, 1 + draw() % 64);
	}
	moirai__timer_wheel_fini(&wheel);
	return wrong;
}

static void random_histories_match_the_reference(void)
{
	for (unsigned round = 0; round < 24; round++) {
		seed = 0x9e3779b97f4a7c15ull * (round + 1);
		unsigned shift = 5 + round % 20;
		unsigned wrong = history(shift, shift + 4 + round % 30);
		if (wrong)
			DIAG("round %u, shift %u: %u wrong", round, shift, wrong);
		CHECK(wrong == 0);
	}
}

static void following_next_alone_loses_nothing(void)
{
	enum { ITEMS = 3000 };
	static struct item items[ITEMS];
	struct moirai__timer_wheel wheel;
	struct moirai__timer *due[16];
	size_t fired = 0;
	uint64_t now = 777;
	seed = 42;
	memset(items, 0, sizeof(items));
	REQUIRE(moirai__timer_wheel_init(&wheel, 10, now) == 0);
	for (size_t i = 0; i < ITEMS; i++) {
		items[i].deadline = now + (draw() >> (14 + draw() % 40)); /* up to 13 days */
		REQUIRE(moirai__timer_start(&wheel, &items[i].timer, items[i].deadline) == 0);
	}
	for (unsigned turns = 0; turns < 20 * ITEMS; turns++) {
		uint64_t next = moirai__timer_wheel_next(&wheel);
		if (next == UINT64_MAX)
			break;
		now = next > now ? next : now;
		size_t n = moirai__timer_wheel_expire(&wheel, now, due, 16);
		fired += n;
		for (size_t i = 0; i < n; i++) {
			struct item *item = MOIRAI_CONTAINER_OF(due[i], struct item, timer);
			CHECK(tick_of(item->deadline, 10) == now >> 10);
		}
	}
	CHECK(fired == ITEMS);
	moirai__timer_wheel_fini(&wheel);
}

static void a_million_timers_expire_in_order(void)
{
	struct item *items = calloc(MANY, sizeof(*items));
	struct moirai__timer_wheel wheel;
	struct moirai__timer *due[256];
	size_t fired = 0, cancelled = 0, wrong = 0, n;
	uint64_t last = 0;
	seed = 7;
	REQUIRE(items);
	REQUIRE(moirai__timer_wheel_init(&wheel, 20, 0) == 0);
	for (size_t i = 0; i < MANY; i++) {
		items[i].deadline = draw() % 30000000000ull;
		wrong += moirai__timer_start(&wheel, &items[i].timer, items[i].deadline) != 0;
	}
	for (size_t i = 0; i < MANY; i += 3, cancelled++)
		wrong += !moirai__timer_cancel(&wheel, &items[i].timer);
	for (uint64_t now = 0; now <= 30100000000ull; now += 50000000)
		do {
			n = moirai__timer_wheel_expire(&wheel, now, due, 256);
			fired += n;
			for (size_t i = 0; i < n; i++) {
				struct item *item = MOIRAI_CONTAINER_OF(due[i], struct item, timer);
				uint64_t tick = tick_of(item->deadline, 20);
				wrong += tick < last || tick > now >> 20 || (item - items) % 3 == 0;
				last = tick;
			}
		} while (n == 256);
	CHECK(wrong == 0);
	CHECK(fired + cancelled == MANY);
	CHECK(wheel.pending_ == 0);
	moirai__timer_wheel_fini(&wheel);
	free(items);
}

static void failed_allocations_are_reported_and_lose_nothing(void)
{
	enum { ITEMS = 2000 };
	static struct item items[ITEMS];
	for (uint64_t nth = 1; nth < 10; nth++) {
		struct moirai__timer_wheel wheel;
		struct moirai__timer *due[ITEMS];
		size_t started = 0, refused = 0;
		bool fired;
		memset(items, 0, sizeof(items));
		seed = nth;
		REQUIRE(moirai__timer_wheel_init(&wheel, 10, 0) == 0);
		moirai__fault_arm(MOIRAI_FAULT_ALLOC, nth);
		for (size_t i = 0; i < ITEMS; i++) {
			int rc = moirai__timer_start(
				&wheel, &items[i].timer, draw() % 1000000000000ull);
			CHECK(rc == 0 || rc == -ENOMEM);
			CHECK(moirai__timer_is_pending(&items[i].timer) == (rc == 0));
			started += rc == 0;
			refused += rc < 0;
		}
		moirai__fault_passed(&fired);
		moirai__fault_arm(0, 0);
		CHECK(refused == fired);
		CHECK(moirai__timer_wheel_expire(&wheel, 1ull << 41, due, ITEMS) == started);
		moirai__timer_wheel_fini(&wheel);
	}
}

static void steady_state_allocates_nothing(void)
{
	enum { ITEMS = 5000 };
	static struct item items[ITEMS];
	struct moirai__timer_wheel wheel;
	struct moirai__timer *due[64];
	moirai_alloc_stats before, after;
	uint64_t now = 0;
	size_t n;
	seed = 3;
	memset(items, 0, sizeof(items));
	REQUIRE(moirai__timer_wheel_init(&wheel, 10, 0) == 0);
	for (size_t i = 0; i < ITEMS; i++)
		REQUIRE(moirai__timer_start(&wheel, &items[i].timer, draw() % 1000000000) == 0);
	moirai_alloc_stats_get(&before);
	/* Each timer is started anew when it expires, at every distance there is. */
	for (unsigned round = 0; round < 20000; round++) {
		now += draw() >> (40 + draw() % 20);
		do {
			n = moirai__timer_wheel_expire(&wheel, now, due, 64);
			for (size_t i = 0; i < n; i++)
				CHECK(moirai__timer_start(&wheel, due[i],
					      now + (draw() >> (30 + draw() % 30))) == 0);
		} while (n == 64);
	}
	moirai_alloc_stats_get(&after);
	CHECK(after.allocations == before.allocations);
	moirai__timer_wheel_fini(&wheel);
}

TAP_MAIN(TEST(bad_ticks_are_refused), TEST(a_timer_is_never_early_and_a_tick_late_at_most),
	TEST(a_past_deadline_is_due_at_once), TEST(the_end_of_time_can_be_waited_for),
	TEST(random_histories_match_the_reference), TEST(following_next_alone_loses_nothing),
	TEST(a_million_timers_expire_in_order),
	TEST(failed_allocations_are_reported_and_lose_nothing),
	TEST(steady_state_allocates_nothing))
