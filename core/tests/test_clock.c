/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <time.h>

#include <moirai/core/clock.h>
#include <moirai/core/os.h>

static void now_never_goes_back(void)
{
	uint64_t last = moirai_now();
	for (int i = 0; i < 10000; i++) {
		uint64_t now = moirai_now();
		CHECK(now >= last);
		last = now;
	}
}

static void sleep_lasts_at_least_as_long_as_asked(void)
{
	uint64_t before = moirai_now();
	moirai_os_sleep(3 * MOIRAI_MS);
	CHECK(moirai_now() - before >= 3 * MOIRAI_MS);
	moirai_os_sleep(0);
}

static void deadline_lies_ahead_and_saturates(void)
{
	uint64_t before = moirai_now(), deadline = moirai_deadline_after(MOIRAI_S);
	CHECK(deadline >= before + MOIRAI_S && deadline <= moirai_now() + MOIRAI_S);
	CHECK(moirai_deadline_after(MOIRAI_NEVER) == MOIRAI_NEVER);
	CHECK(moirai_deadline_after(MOIRAI_NEVER - 1) == MOIRAI_NEVER);
	CHECK(moirai_deadline_after(0) >= before);
}

static void ticks_run_at_their_rate(void)
{
	uint64_t rate = moirai_os_ticks_per_second();
	CHECK(rate >= 1000000);
	CHECK(moirai_os_ticks_per_second() == rate);
	uint64_t ticks = moirai_os_ticks(), ns = moirai_now();
	moirai_os_sleep(20 * MOIRAI_MS);
	ticks = moirai_os_ticks() - ticks;
	ns = moirai_now() - ns;
	double measured = (double)ticks * 1e9 / (double)ns;
	DIAG("%.0f ticks a second, told %.0f", measured, (double)rate);
	/* Wide: we may have lost the processor between the two readings. */
	CHECK(measured > 0.7 * (double)rate && measured < 1.4 * (double)rate);
}

static void wall_clock_agrees_with_the_libc(void)
{
	uint64_t wall = moirai_os_clock_wall() / MOIRAI_S;
	uint64_t libc = (uint64_t)time(NULL);
	CHECK(wall <= libc + 2 && libc <= wall + 60);
}

TAP_MAIN(TEST(now_never_goes_back), TEST(sleep_lasts_at_least_as_long_as_asked),
	TEST(deadline_lies_ahead_and_saturates), TEST(ticks_run_at_their_rate),
	TEST(wall_clock_agrees_with_the_libc))
