/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <moirai/core/atomic.h>
#include <moirai/core/internal/fault.h>
#include <moirai/core/os.h>

static void unarmed_points_never_fail(void)
{
	moirai__fault_arm(0, 0);
	for (int i = 0; i < 100; i++)
		CHECK(!moirai__fault(MOIRAI_FAULT_ALLOC));
	bool fired = true;
	CHECK(moirai__fault_passed(&fired) == 0 && !fired);
}

static void exactly_the_nth_point_fails(void)
{
	for (uint64_t nth = 1; nth <= 20; nth++) {
		moirai__fault_arm(MOIRAI_FAULT_ALLOC, nth);
		for (uint64_t i = 1; i <= 20; i++)
			CHECK(moirai__fault(MOIRAI_FAULT_ALLOC) == (i == nth));
		bool fired = false;
		CHECK(moirai__fault_passed(&fired) == 20 && fired);
	}
	moirai__fault_arm(0, 0);
}

static void other_kinds_are_not_counted(void)
{
	moirai__fault_arm(MOIRAI_FAULT_MAP | MOIRAI_FAULT_THREAD, 2);
	CHECK(!moirai__fault(MOIRAI_FAULT_ALLOC));
	CHECK(!moirai__fault(MOIRAI_FAULT_MAP));
	CHECK(!moirai__fault(MOIRAI_FAULT_SYSCALL));
	CHECK(moirai__fault(MOIRAI_FAULT_THREAD));
	CHECK(moirai__fault_passed(NULL) == 2);
	moirai__fault_arm(0, 0);
}

static void waits_do_not_belong_to_any(void)
{
	moirai__fault_arm(MOIRAI_FAULT_ANY, 1);
	CHECK(!moirai__fault(MOIRAI_FAULT_WAIT));
	moirai__fault_arm(0, 0);
}

static void nth_zero_only_counts(void)
{
	moirai__fault_arm(MOIRAI_FAULT_ANY, 0);
	for (int i = 0; i < 5; i++)
		CHECK(!moirai__fault(MOIRAI_FAULT_SYSCALL));
	bool fired = true;
	CHECK(moirai__fault_passed(&fired) == 5 && !fired);
	moirai__fault_arm(0, 0);
}

static uint32_t failures;

static void pass_many(void *arg)
{
	for (int i = 0; i < 10000; i++)
		if (moirai__fault(MOIRAI_FAULT_SYSCALL))
			moirai_fetch_add_relaxed(&failures, 1);
}

static void one_point_fails_among_many_threads(void)
{
	moirai_os_thread threads[4];
	failures = 0;
	moirai__fault_arm(MOIRAI_FAULT_SYSCALL, 7777);
	for (int i = 0; i < 4; i++)
		REQUIRE(moirai_os_thread_create(&threads[i], NULL, pass_many, NULL) == 0);
	for (int i = 0; i < 4; i++)
		moirai_os_thread_join(threads[i]);
	CHECK(moirai_load_relaxed(&failures) == 1);
	CHECK(moirai__fault_passed(NULL) == 40000);
	moirai__fault_arm(0, 0);
}

TAP_MAIN(TEST(unarmed_points_never_fail), TEST(exactly_the_nth_point_fails),
	TEST(other_kinds_are_not_counted), TEST(waits_do_not_belong_to_any),
	TEST(nth_zero_only_counts), TEST(one_point_fails_among_many_threads))
