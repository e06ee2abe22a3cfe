/* SPDX-License-Identifier: MIT */
/* Built with -DMOIRAI_NOISE, and once without: a point is a statement in both. */
#include "tap.h"

#include <moirai/core/clock.h>
#include <moirai/core/internal/noise.h>
#include <moirai/core/os.h>

static void make_noise(void *arg)
{
	for (int i = 0; i < 3000; i++)
		MOIRAI_NOISE();
}

static void points_return_in_every_thread(void)
{
	moirai_os_thread threads[3];
	for (int i = 0; i < 3; i++)
		REQUIRE(moirai_os_thread_create(&threads[i], NULL, make_noise, NULL) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(moirai_os_thread_join(threads[i]) == 0);
}

static void noise_takes_time_where_it_is_on(void)
{
	uint64_t before = moirai_now();
	make_noise(NULL);
	uint64_t spent = moirai_now() - before;
#ifdef MOIRAI_TEST_NOISE_ON
	/* 3000 points sleep 20 us about 12 times and pause some thousand times. */
	CHECK(spent > 50 * MOIRAI_US);
#endif
	DIAG("3000 points: %llu us", (unsigned long long)(spent / MOIRAI_US));
}

TAP_MAIN(TEST(points_return_in_every_thread), TEST(noise_takes_time_where_it_is_on))
