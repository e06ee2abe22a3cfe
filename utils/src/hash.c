/* SPDX-License-Identifier: MIT */
#include <moirai/utils/hash.h>

#include <errno.h>
#include <string.h>

#include <moirai/utils/cpu.h>

#include "hash_kernel.h"

/* Where the seed lies in the state: the last word. */
#define HASH_SEED_OFFSET (MOIRAI_XXH3_STATE_BYTES - sizeof(uint64_t))

/* The best code for this processor; NULL without xxHash. */
static const hash_kernel *hash_choose(void)
{
#ifdef MOIRAI_HAVE_XXHASH_AVX512
	if (moirai_cpu_has(MOIRAI_CPU_AVX512F))
		return &moirai_hash_avx512;
#endif
#ifdef MOIRAI_HAVE_XXHASH_AVX2
	if (moirai_cpu_has(MOIRAI_CPU_AVX2))
		return &moirai_hash_avx2;
#endif
#ifdef MOIRAI_HAVE_XXHASH
	return &moirai_hash_baseline;
#else
	return NULL;
#endif
}

bool moirai_xxh3_available(void)
{
	return hash_choose() != NULL;
}

const char *moirai_xxh3_kernel(void)
{
	const hash_kernel *kernel = hash_choose();
	return kernel ? kernel->name : "none";
}

int moirai_xxh3_64(const void *data, size_t size_bytes, uint64_t seed, uint64_t *hash)
{
	const hash_kernel *kernel = hash_choose();
	if (!kernel)
		return -ENOTSUP;
	if (!hash || (!data && size_bytes))
		return -EINVAL;
	*hash = kernel->hash64(data, size_bytes, seed);
	return 0;
}

int moirai_xxh3_128(const void *data, size_t size_bytes, uint64_t seed, moirai_hash128 *hash)
{
	const hash_kernel *kernel = hash_choose();
	if (!kernel)
		return -ENOTSUP;
	if (!hash || (!data && size_bytes))
		return -EINVAL;
	*hash = kernel->hash128(data, size_bytes, seed);
	return 0;
}

int moirai_xxh3_init(moirai_xxh3 *state, uint64_t seed)
{
	const hash_kernel *kernel = hash_choose();
	if (!kernel)
		return -ENOTSUP;
	if (!state)
		return -EINVAL;
	kernel->init(state->opaque_, seed);
	memcpy(state->opaque_ + HASH_SEED_OFFSET, &seed, sizeof(seed));
	return 0;
}

int moirai_xxh3_reset(moirai_xxh3 *state)
{
	uint64_t seed;
	if (!state)
		return -EINVAL;
	memcpy(&seed, state->opaque_ + HASH_SEED_OFFSET, sizeof(seed));
	return moirai_xxh3_init(state, seed);
}

int moirai_xxh3_update(moirai_xxh3 *state, const void *data, size_t size_bytes)
{
	const hash_kernel *kernel = hash_choose();
	if (!kernel)
		return -ENOTSUP;
	if (!state || (!data && size_bytes))
		return -EINVAL;
	if (size_bytes)
		kernel->update(state->opaque_, data, size_bytes);
	return 0;
}

int moirai_xxh3_digest64(const moirai_xxh3 *state, uint64_t *hash)
{
	const hash_kernel *kernel = hash_choose();
	if (!kernel)
		return -ENOTSUP;
	if (!state || !hash)
		return -EINVAL;
	*hash = kernel->digest64(state->opaque_);
	return 0;
}

int moirai_xxh3_digest128(const moirai_xxh3 *state, moirai_hash128 *hash)
{
	const hash_kernel *kernel = hash_choose();
	if (!kernel)
		return -ENOTSUP;
	if (!state || !hash)
		return -EINVAL;
	*hash = kernel->digest128(state->opaque_);
	return 0;
}
