/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>

#include <moirai/core/alloc.h>
#include <moirai/utils/hash.h>
#include <moirai/utils/random.h>

#include "hash_vectors.h"

static unsigned char data[VECTOR_SIZE_MAX];

#define NEED_XXH3()                                   \
	do {                                          \
		if (!moirai_xxh3_available())         \
			SKIP("built without xxHash"); \
		vector_fill(data, sizeof(data));      \
	} while (0)

static bool is64(uint64_t hash, const char *text)
{
	char hex[MOIRAI_HASH64_HEX_BYTES];
	moirai_hash64_hex(hash, hex);
	return strcmp(hex, text) == 0;
}

static bool is128(moirai_hash128 hash, const char *text)
{
	char hex[MOIRAI_HASH128_HEX_BYTES];
	moirai_hash128_hex(hash, hex);
	return strcmp(hex, text) == 0;
}

static void one_shot_gives_what_xxhsum_prints(void)
{
	uint64_t hash;
	moirai_hash128 wide;
	NEED_XXH3();
	DIAG("kernel: %s", moirai_xxh3_kernel());
	for (size_t i = 0; i < sizeof(hash_vectors) / sizeof(hash_vectors[0]); i++) {
		const struct hash_vector *v = &hash_vectors[i];
		CHECK(moirai_xxh3_64(data, v->size, 0, &hash) == 0 && is64(hash, v->h64));
		CHECK(moirai_xxh3_128(data, v->size, 0, &wide) == 0 && is128(wide, v->h128));
		uint64_t seed = VECTOR_SEED ^ v->size;
		CHECK(moirai_xxh3_64(data, v->size, seed, &hash) == 0 && is64(hash, v->seeded64));
		CHECK(moirai_xxh3_128(data, v->size, seed, &wide) == 0 &&
			is128(wide, v->seeded128));
	}
}

static void streaming_gives_the_same_in_any_pieces(void)
{
	moirai_xxh3 state;
	moirai_random random;
	uint64_t hash;
	moirai_hash128 wide;
	NEED_XXH3();
	moirai_random_init(&random, 3);
	for (size_t i = 0; i < sizeof(hash_vectors) / sizeof(hash_vectors[0]); i++) {
		const struct hash_vector *v = &hash_vectors[i];
		for (int round = 0; round < 6; round++) {
			bool seeded = round & 1;
			CHECK(moirai_xxh3_init(&state, seeded ? VECTOR_SEED ^ v->size : 0) == 0);
			for (size_t done = 0, n; done < v->size; done += n) {
				n = 1 + (size_t)moirai_random_below(&random, round < 2 ? 7 : 3000);
				n = round >= 4 ? v->size : n > v->size - done ? v->size - done : n;
				CHECK(moirai_xxh3_update(&state, data + done, n) == 0);
				CHECK(moirai_xxh3_update(&state, NULL, 0) == 0);
			}
			CHECK(moirai_xxh3_digest64(&state, &hash) == 0);
			CHECK(is64(hash, seeded ? v->seeded64 : v->h64));
			CHECK(moirai_xxh3_digest128(&state, &wide) == 0);
			CHECK(is128(wide, seeded ? v->seeded128 : v->h128));
		}
	}
}

static void reset_keeps_the_seed(void)
{
	moirai_xxh3 state;
	uint64_t first, second, middle, one;
	NEED_XXH3();
	CHECK(moirai_xxh3_init(&state, 99) == 0);
	CHECK(moirai_xxh3_update(&state, data, 5000) == 0);
	CHECK(moirai_xxh3_digest64(&state, &first) == 0);
	CHECK(moirai_xxh3_update(&state, data, 1000) == 0); /* a digest ends nothing */
	CHECK(moirai_xxh3_digest64(&state, &middle) == 0);
	CHECK(moirai_xxh3_reset(&state) == 0);
	CHECK(moirai_xxh3_update(&state, data, 5000) == 0);
	CHECK(moirai_xxh3_digest64(&state, &second) == 0);
	CHECK(moirai_xxh3_64(data, 5000, 99, &one) == 0);
	CHECK(first == second && first == one && middle != first);
}

static void unaligned_data_hashes_the_same(void)
{
	uint64_t aligned, shifted;
	NEED_XXH3();
	unsigned char *copy = moirai_alloc(10000 + 64);
	REQUIRE(copy);
	moirai_xxh3_64(data, 10000, 0, &aligned);
	for (size_t offset = 0; offset < 64; offset++) {
		memcpy(copy + offset, data, 10000);
		moirai_xxh3_64(copy + offset, 10000, 0, &shifted);
		CHECK(shifted == aligned);
	}
	moirai_free(copy);
}

static void bad_arguments_are_refused(void)
{
	uint64_t hash;
	moirai_hash128 wide;
	moirai_xxh3 state;
	NEED_XXH3();
	CHECK(moirai_xxh3_64(NULL, 1, 0, &hash) == -EINVAL);
	CHECK(moirai_xxh3_64(NULL, 0, 0, &hash) == 0 && is64(hash, hash_vectors[0].h64));
	CHECK(moirai_xxh3_64(data, 1, 0, NULL) == -EINVAL);
	CHECK(moirai_xxh3_128(NULL, 1, 0, &wide) == -EINVAL);
	CHECK(moirai_xxh3_128(data, 1, 0, NULL) == -EINVAL);
	CHECK(moirai_xxh3_init(NULL, 0) == -EINVAL && moirai_xxh3_reset(NULL) == -EINVAL);
	CHECK(moirai_xxh3_init(&state, 0) == 0);
	CHECK(moirai_xxh3_update(NULL, data, 1) == -EINVAL);
	CHECK(moirai_xxh3_update(&state, NULL, 1) == -EINVAL);
	CHECK(moirai_xxh3_digest64(&state, NULL) == -EINVAL);
	CHECK(moirai_xxh3_digest128(NULL, &wide) == -EINVAL);
}

static void without_xxhash_everything_says_so(void)
{
	uint64_t hash = 7;
	moirai_hash128 wide;
	static moirai_xxh3 state;
	if (moirai_xxh3_available())
		SKIP("built with xxHash");
	CHECK(strcmp(moirai_xxh3_kernel(), "none") == 0);
	CHECK(moirai_xxh3_64("", 0, 0, &hash) == -ENOTSUP && hash == 7);
	CHECK(moirai_xxh3_128("", 0, 0, &wide) == -ENOTSUP);
	CHECK(moirai_xxh3_init(&state, 0) == -ENOTSUP && moirai_xxh3_reset(&state) == -ENOTSUP);
	CHECK(moirai_xxh3_update(&state, "", 0) == -ENOTSUP);
	CHECK(moirai_xxh3_digest64(&state, &hash) == -ENOTSUP);
	CHECK(moirai_xxh3_digest128(&state, &wide) == -ENOTSUP);
}

static void digits_are_canonical_and_come_back(void)
{
	static const unsigned char bytes64[8] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF};
	moirai_hash128 wide = {.low = 0x0123456789ABCDEFull, .high = 0xFEDCBA9876543210ull},
		       back128;
	unsigned char bytes[16];
	uint64_t back;
	CHECK(is64(0x0123456789ABCDEFull, "0123456789abcdef"));
	CHECK(is128(wide, "fedcba98765432100123456789abcdef"));
	moirai_hash64_bytes(0x0123456789ABCDEFull, bytes);
	CHECK(memcmp(bytes, bytes64, 8) == 0);
	moirai_hash128_bytes(wide, bytes);
	CHECK(bytes[0] == 0xFE && memcmp(bytes + 8, bytes64, 8) == 0);
	CHECK(moirai_hash64_parse("0123456789aBCdef", &back) == 0 && back == wide.low);
	CHECK(moirai_hash128_parse("fedcba98765432100123456789abcdef", &back128) == 0);
	CHECK(back128.low == wide.low && back128.high == wide.high);
	static const char *const bad[] = {"", "0", "0123456789abcde", "0123456789abcdef0",
		"0123456789abcdeg", " 123456789abcdef", "0x23456789abcdef"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(moirai_hash64_parse(bad[i], &back) == -EINVAL);
	CHECK(back == wide.low); /* untouched */
	CHECK(moirai_hash128_parse("fedcba98765432100123456789abcde", &back128) == -EINVAL);
	CHECK(moirai_hash128_parse("fedcba9876543210", &back128) == -EINVAL);
	CHECK(moirai_hash64_parse(NULL, &back) == -EINVAL);
}

TAP_MAIN(TEST(one_shot_gives_what_xxhsum_prints), TEST(streaming_gives_the_same_in_any_pieces),
	TEST(reset_keeps_the_seed), TEST(unaligned_data_hashes_the_same),
	TEST(bad_arguments_are_refused), TEST(without_xxhash_everything_says_so),
	TEST(digits_are_canonical_and_come_back))
