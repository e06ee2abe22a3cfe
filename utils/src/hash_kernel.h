/* SPDX-License-Identifier: MIT */
/*
 * Private: XXH3 compiled for one level of the processor. xxHash's loops are chosen by the compiler's
 * target, so hash_baseline.c, hash_avx2.c and hash_avx512.c are this text under different options;
 * hash.c picks one table at run time. The states are the same for all of them, byte by byte.
 */
#ifndef MOIRAI_UTILS_SRC_HASH_KERNEL_H
#define MOIRAI_UTILS_SRC_HASH_KERNEL_H

#include <moirai/utils/hash.h>

typedef struct hash_kernel {
	const char *name;
	uint64_t (*hash64)(const void *data, size_t size_bytes, uint64_t seed);
	moirai_hash128 (*hash128)(const void *data, size_t size_bytes, uint64_t seed);
	void (*init)(void *state, uint64_t seed);
	void (*update)(void *state, const void *data, size_t size_bytes);
	uint64_t (*digest64)(const void *state);
	moirai_hash128 (*digest128)(const void *state);
} hash_kernel;

extern const hash_kernel moirai_hash_baseline;
extern const hash_kernel moirai_hash_avx2;
extern const hash_kernel moirai_hash_avx512;

#endif

#ifdef HASH_KERNEL /* the name of the table to define */

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The seed follows xxHash's state, for reset. */
MOIRAI_STATIC_ASSERT(sizeof(XXH3_state_t) + sizeof(uint64_t) <= MOIRAI_XXH3_STATE_BYTES,
	"a moirai_xxh3 holds xxHash's state and a seed");
MOIRAI_STATIC_ASSERT(_Alignof(XXH3_state_t) <= _Alignof(moirai_xxh3), "and is aligned for it");

static moirai_hash128 kernel_wide(XXH128_hash_t hash)
{
	return (moirai_hash128){.low = hash.low64, .high = hash.high64};
}

static uint64_t kernel_hash64(const void *data, size_t size_bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, size_bytes, seed);
}

static moirai_hash128 kernel_hash128(const void *data, size_t size_bytes, uint64_t seed)
{
	return kernel_wide(XXH3_128bits_withSeed(data, size_bytes, seed));
}

static void kernel_init(void *state, uint64_t seed)
{
	/* xxHash reads the state's old seed: it must be initialised the first time. */
	XXH3_INITSTATE((XXH3_state_t *)state);
	XXH3_64bits_reset_withSeed(state, seed);
}

static void kernel_update(void *state, const void *data, size_t size_bytes)
{
	XXH3_64bits_update(state, data, size_bytes); /* the same function for both widths */
}

static uint64_t kernel_digest64(const void *state)
{
	return XXH3_64bits_digest(state);
}

static moirai_hash128 kernel_digest128(const void *state)
{
	return kernel_wide(XXH3_128bits_digest(state));
}

const hash_kernel HASH_KERNEL = {HASH_KERNEL_NAME, kernel_hash64, kernel_hash128, kernel_init,
	kernel_update, kernel_digest64, kernel_digest128};

#endif
