/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <moirai/core/internal/fault.h>
#include <moirai/utils/random.h>

/* Computed from the published algorithms by another program: the sequences may never change. */
static void sequences_are_those_of_the_paper(void)
{
	static const struct {
		uint64_t seed, first, second, third, thousandth_next;
	} known[] = {
		{0, 0x99ec5f36cb75f2b4ull, 0xbf6e1f784956452aull, 0x1a5f849d4933e6e0ull,
			0x2c9f68b076642982ull},
		{1, 0xb3f2af6d0fc710c5ull, 0x853b559647364ceaull, 0x92f89756082a4514ull,
			0xcdf93337d61f6382ull},
		{UINT64_MAX, 0x8f5520d52a7ead08ull, 0xc476a018caa1802dull, 0x81de31c0d260469eull,
			0x19c0f8f6d5a9588full},
	};
	for (int i = 0; i < 3; i++) {
		moirai_random random;
		moirai_random_init(&random, known[i].seed);
		CHECK(moirai_random_next(&random) == known[i].first);
		CHECK(moirai_random_next(&random) == known[i].second);
		CHECK(moirai_random_next(&random) == known[i].third);
		for (int skip = 0; skip < 997; skip++)
			moirai_random_next(&random);
		CHECK(moirai_random_next(&random) == known[i].thousandth_next);
	}
}

static void a_jump_is_2_to_the_128_steps(void)
{
	/* By squaring the step's matrix 128 times, elsewhere. */
	moirai_random random = {{1, 2, 3, 4}};
	moirai_random_jump(&random);
	CHECK(random.s_[0] == 0x8c7a153956b5f3d1ull && random.s_[1] == 0x701f1a713401d85eull);
	CHECK(random.s_[2] == 0x6527f66a65469085ull && random.s_[3] == 0x8386b786c4408050ull);
}

static void bounds_are_kept_without_bias(void)
{
	moirai_random random;
	moirai_random_init(&random, 9);
	CHECK(moirai_random_below(&random, 0) == 0);
	CHECK(moirai_random_below(&random, 1) == 0);
	for (int i = 0; i < 20000; i++) {
		uint64_t bound =
			1 + (moirai_random_next(&random) >> moirai_random_below(&random, 64));
		if (bound)
			CHECK(moirai_random_below(&random, bound) < bound);
	}
	/* With 3 * 2^62 a remainder would fall below 2^62 twice as often: 1/2 instead of 1/3. */
	unsigned low = 0;
	for (int i = 0; i < 60000; i++)
		low += moirai_random_below(&random, 3ull << 62) < 1ull << 62;
	CHECK(low > 19000 && low < 21000);
	/* Chi-square of 10 faces, 9 degrees: above 40 once in 100,000 seeds, and the seed is fixed. */
	unsigned faces[10] = {0};
	double chi = 0;
	for (int i = 0; i < 100000; i++)
		faces[moirai_random_below(&random, 10)]++;
	for (int i = 0; i < 10; i++)
		chi += ((double)faces[i] - 10000) * ((double)faces[i] - 10000) / 10000;
	CHECK(chi < 40);
}

static void the_slow_path_is_reached_and_right(void)
{
	/* bound = 2^63 + 1: almost every second number is refused. */
	moirai_random random;
	uint64_t bound = (1ull << 63) + 1, high = 0;
	moirai_random_init(&random, 10);
	for (int i = 0; i < 20000; i++) {
		uint64_t x = moirai_random_below(&random, bound);
		CHECK(x < bound);
		high += x >= bound / 2;
	}
	CHECK(high > 9500 && high < 10500);
}

static void intervals_include_both_ends(void)
{
	moirai_random random;
	bool seen[4] = {false};
	moirai_random_init(&random, 11);
	for (int i = 0; i < 1000; i++) {
		uint64_t x = moirai_random_between(&random, 5, 8);
		REQUIRE(x >= 5 && x <= 8);
		seen[x - 5] = true;
	}
	CHECK(seen[0] && seen[1] && seen[2] && seen[3]);
	CHECK(moirai_random_between(&random, 7, 7) == 7 &&
		moirai_random_between(&random, 9, 2) == 9);
	moirai_random copy = random;
	CHECK(moirai_random_between(&random, 0, UINT64_MAX) == moirai_random_next(&copy));
	CHECK(!moirai_random_one_in(&random, 0) && moirai_random_one_in(&random, 1));
}

static void doubles_lie_in_the_unit_interval(void)
{
	moirai_random random;
	double sum = 0;
	moirai_random_init(&random, 12);
	for (int i = 0; i < 100000; i++) {
		double x = moirai_random_double(&random);
		CHECK(x >= 0 && x < 1);
		sum += x;
	}
	CHECK(sum > 49500 && sum < 50500);
}

static void shuffles_permute_uniformly(void)
{
	moirai_random random;
	unsigned count[24] = {0};
	moirai_random_init(&random, 13);
	for (int i = 0; i < 24000; i++) {
		uint16_t v[4] = {0, 1, 2, 3};
		moirai_random_shuffle(&random, v, 4, sizeof(v[0]));
		/* The rank of the permutation (Lehmer code). */
		unsigned rank = 0, seen = 0;
		for (int j = 0; j < 4; j++) {
			unsigned smaller = 0;
			for (int k = j + 1; k < 4; k++)
				smaller += v[k] < v[j];
			rank = rank * (4 - (unsigned)j) + smaller;
			seen |= 1u << v[j];
		}
		REQUIRE(seen == 15);
		count[rank]++;
	}
	for (int i = 0; i < 24; i++)
		CHECK(count[i] > 800 && count[i] < 1200); /* 1000, six sigmas around */
	char big[5][200];
	for (int i = 0; i < 5; i++)
		memset(big[i], 'a' + i, sizeof(big[i]));
	moirai_random_shuffle(&random, big, 5, sizeof(big[0]));
	unsigned letters = 0;
	for (int i = 0; i < 5; i++) {
		CHECK(big[i][0] == big[i][199]);
		letters |= 1u << (big[i][0] - 'a');
	}
	CHECK(letters == 31);
	moirai_random_shuffle(&random, NULL, 0, 8);
}

static void fills_are_the_sequence_in_little_endian(void)
{
	moirai_random random, copy;
	unsigned char bytes[21];
	moirai_random_init(&random, 14);
	copy = random;
	memset(bytes, 0xEE, sizeof(bytes));
	moirai_random_fill(&random, bytes, 19);
	for (int word = 0; word < 3; word++) {
		uint64_t x = moirai_random_next(&copy);
		for (int i = 0; i < 8 && word * 8 + i < 19; i++)
			CHECK(bytes[word * 8 + i] == (unsigned char)(x >> 8 * i));
	}
	CHECK(bytes[19] == 0xEE && bytes[20] == 0xEE);
}

static void system_seeds_differ_even_without_a_system(void)
{
	moirai_random a, b;
	moirai_random_init_system(&a);
	moirai_random_init_system(&b);
	CHECK(memcmp(&a, &b, sizeof(a)) != 0);
	moirai__fault_arm(MOIRAI_FAULT_SYSCALL, 1);
	moirai_random_init_system(&a);
	moirai__fault_arm(0, 0);
	CHECK(a.s_[0] | a.s_[1] | a.s_[2] | a.s_[3]);
	CHECK(moirai_random_next(&a) != moirai_random_next(&b));
}

TAP_MAIN(TEST(sequences_are_those_of_the_paper), TEST(a_jump_is_2_to_the_128_steps),
	TEST(bounds_are_kept_without_bias), TEST(the_slow_path_is_reached_and_right),
	TEST(intervals_include_both_ends), TEST(doubles_lie_in_the_unit_interval),
	TEST(shuffles_permute_uniformly), TEST(fills_are_the_sequence_in_little_endian),
	TEST(system_seeds_differ_even_without_a_system))
