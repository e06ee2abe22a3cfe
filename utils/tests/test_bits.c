/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <moirai/utils/backoff.h>
#include <moirai/utils/bits.h>
#include <moirai/utils/cacheline.h>
#include <moirai/utils/random.h>

/* Interesting values: around every power of two, and random ones of every length. */
static uint64_t sample(moirai_random *random, int i)
{
	if (i < 192)
		return ((uint64_t)1 << i / 3) + (uint64_t)(i % 3) - 1;
	return moirai_random_next(random) >> moirai_random_below(random, 64);
}
#define SAMPLES 20000

static unsigned slow_leading(uint64_t x, unsigned bits)
{
	unsigned n = 0;
	while (n < bits && !(x >> (bits - 1 - n) & 1))
		n++;
	return n;
}

static unsigned slow_trailing(uint64_t x, unsigned bits)
{
	unsigned n = 0;
	while (n < bits && !(x >> n & 1))
		n++;
	return n;
}

static void counts_agree_with_counting(void)
{
	moirai_random random;
	moirai_random_init(&random, 1);
	CHECK(moirai_clz32(0) == 32 && moirai_clz64(0) == 64);
	CHECK(moirai_ctz32(0) == 32 && moirai_ctz64(0) == 64);
	for (int i = 0; i < SAMPLES; i++) {
		uint64_t x = sample(&random, i);
		unsigned ones = 0;
		for (uint64_t rest = x; rest; rest &= rest - 1)
			ones++;
		CHECK(moirai_popcount64(x) == ones);
		CHECK(moirai_popcount32((uint32_t)x) + moirai_popcount32((uint32_t)(x >> 32)) ==
			ones);
		CHECK(moirai_clz64(x) == slow_leading(x, 64) &&
			moirai_ctz64(x) == slow_trailing(x, 64));
		CHECK(moirai_clz32((uint32_t)x) == slow_leading((uint32_t)x, 32));
		CHECK(moirai_ctz32((uint32_t)x) == slow_trailing((uint32_t)x, 32));
		CHECK(moirai_is_pow2(x) == (ones == 1));
	}
}

static void powers_and_logarithms_enclose(void)
{
	moirai_random random;
	moirai_random_init(&random, 2);
	CHECK(moirai_pow2_ceil(0) == 1 && moirai_pow2_floor(0) == 0);
	CHECK(moirai_log2_floor(0) == 0 && moirai_log2_ceil(0) == 0);
	CHECK(moirai_pow2_ceil((1ull << 63) + 1) == 0 && moirai_pow2_ceil(UINT64_MAX) == 0);
	for (int i = 0; i < SAMPLES; i++) {
		uint64_t x = sample(&random, i);
		if (x == 0)
			continue;
		uint64_t floor = moirai_pow2_floor(x), ceil = moirai_pow2_ceil(x);
		CHECK(moirai_is_pow2(floor) && floor <= x && x - floor < floor);
		CHECK(ceil == 0 ? x > 1ull << 63
				: moirai_is_pow2(ceil) && ceil >= x && ceil / 2 < x);
		CHECK(1ull << moirai_log2_floor(x) == floor);
		if (ceil)
			CHECK(1ull << moirai_log2_ceil(x) == ceil);
		else
			CHECK(moirai_log2_ceil(x) == 64);
	}
}

static void rotations_come_back(void)
{
	moirai_random random;
	moirai_random_init(&random, 3);
	for (unsigned count = 0; count < 200; count++) {
		uint64_t x = moirai_random_next(&random);
		CHECK(moirai_rotr64(moirai_rotl64(x, count), count) == x);
		CHECK(moirai_rotl64(x, count) == moirai_rotl64(x, count + 64));
		CHECK(moirai_rotl32((uint32_t)x, count) == moirai_rotl32((uint32_t)x, count + 32));
	}
	CHECK(moirai_rotl64(1, 63) == 1ull << 63 && moirai_rotl32(0x80000001u, 1) == 3);
}

static void alignment_rounds_to_multiples(void)
{
	for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
		for (size_t x = 0; x < 3 * 4096; x += 37) {
			size_t up = moirai_align_up(x, alignment),
			       down = moirai_align_down(x, alignment);
			CHECK(up % alignment == 0 && up >= x && up - x < alignment);
			CHECK(down % alignment == 0 && down <= x && x - down < alignment);
			CHECK(moirai_is_aligned(x, alignment) == (x % alignment == 0));
		}
	}
}

/* Schoolbook multiplication of 16-bit digits, independent of the code under test. */
static uint64_t slow_mulhi(uint64_t a, uint64_t b)
{
	uint64_t column[8] = {0};
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++) {
			uint64_t product = (a >> 16 * i & 0xFFFF) * (b >> 16 * j & 0xFFFF);
			column[i + j] += product & 0xFFFF;
			column[i + j + 1] += product >> 16;
		}
	for (int i = 0; i < 7; i++) {
		column[i + 1] += column[i] >> 16;
		column[i] &= 0xFFFF;
	}
	return column[4] | column[5] << 16 | column[6] << 32 | column[7] << 48;
}

static void high_products_are_exact(void)
{
	moirai_random random;
	moirai_random_init(&random, 4);
	CHECK(moirai_mulhi64(UINT64_MAX, UINT64_MAX) == UINT64_MAX - 1);
	for (int i = 0; i < SAMPLES; i++) {
		uint64_t a = sample(&random, i), b = sample(&random, SAMPLES - i);
		CHECK(moirai_mulhi64(a, b) == slow_mulhi(a, b));
	}
}

static void mixing_is_a_bijection_that_spreads(void)
{
	moirai_random random;
	double flipped = 0;
	moirai_random_init(&random, 5);
	for (int i = 0; i < SAMPLES; i++) {
		uint64_t x = moirai_random_next(&random);
		unsigned bit = (unsigned)moirai_random_below(&random, 64);
		flipped += moirai_popcount64(moirai_mix64(x) ^ moirai_mix64(x ^ 1ull << bit));
	}
	flipped /= SAMPLES;
	CHECK(flipped > 31.5 && flipped < 32.5); /* half of the bits, for any bit of the key */
	/* The inverse, step by step, gives every value back: nothing collides. */
	for (int i = 0; i < SAMPLES; i++) {
		uint64_t x = sample(&random, i), y = moirai_mix64(x);
		y ^= y >> 31 ^ y >> 62;
		y *= 0x319642B2D24D8EC3ull;
		y ^= y >> 27 ^ y >> 54;
		y *= 0x96DE1B173F119089ull;
		y ^= y >> 30 ^ y >> 60;
		CHECK(y == x);
	}
}

static void addresses_hash_to_every_place(void)
{
	unsigned used[1024] = {0}, empty = 0, most = 0;
	for (uint64_t i = 0; i < 8192; i++)
		used[moirai_hash_mul(0x7F0000000000ull + i * 64, 10)]++;
	for (int i = 0; i < 1024; i++) {
		empty += used[i] == 0;
		most = used[i] > most ? used[i] : most;
	}
	CHECK(empty == 0 && most <= 16); /* 8 on average; Fibonacci hashing is even for strides */
	CHECK(moirai_hash_mul(123, 64) == 123 * 0x9E3779B97F4A7C15ull);
}

static void padded_values_do_not_share_lines(void)
{
	static struct {
		MOIRAI_OWN_LINE uint64_t a;
		MOIRAI_OWN_LINE uint64_t b;
		MOIRAI_OWN_LINE_PAIR uint64_t c;
	} lines;
	static MOIRAI_PADDED(uint32_t) array[3];
	CHECK((uintptr_t)&lines.b - (uintptr_t)&lines.a >= MOIRAI_CACHELINE);
	CHECK((uintptr_t)&lines.c % MOIRAI_CACHELINE_PAIR == 0);
	CHECK((uintptr_t)&array[1].value - (uintptr_t)&array[0].value == MOIRAI_CACHELINE_PAIR);
	CHECK(MOIRAI_LINES(0) == 0 && MOIRAI_LINES(1) == 1 && MOIRAI_LINES(64) == 1 &&
		MOIRAI_LINES(65) == 2);
}

static void prefetching_anything_is_harmless(void)
{
	char bytes[300] = {1};
	moirai_prefetch_read(NULL);
	moirai_prefetch_write((void *)(uintptr_t)1);
	moirai_prefetch_stream(bytes);
	moirai_prefetch_l2(bytes + 299);
	moirai_prefetch_range(bytes, sizeof(bytes));
	moirai_prefetch_range(NULL, 0);
	CHECK(bytes[0] == 1 && bytes[299] == 0);
}

static void backoff_ends_in_parking(void)
{
	moirai_backoff backoff = MOIRAI_BACKOFF_INIT;
	unsigned steps = 0;
	while (!moirai_backoff_step(&backoff))
		REQUIRE(++steps < 1000);
	CHECK(steps == MOIRAI_BACKOFF_SPINS + MOIRAI_BACKOFF_YIELDS);
	CHECK(moirai_backoff_step(&backoff)); /* and stays there */
	moirai_backoff_reset(&backoff);
	CHECK(!moirai_backoff_step(&backoff));
}

TAP_MAIN(TEST(counts_agree_with_counting), TEST(powers_and_logarithms_enclose),
	TEST(rotations_come_back), TEST(alignment_rounds_to_multiples),
	TEST(high_products_are_exact), TEST(mixing_is_a_bijection_that_spreads),
	TEST(addresses_hash_to_every_place), TEST(padded_values_do_not_share_lines),
	TEST(prefetching_anything_is_harmless), TEST(backoff_ends_in_parking))
