/* SPDX-License-Identifier: MIT */
/*
 * XXH3, 64 and 128 bits, by the xxHash library (Yann Collet, https://xxhash.com).
 *
 * Built without xxHash (moirai_xxh3_available() is false) every function returns -ENOTSUP: there is
 * never another hash in its place, for these values are compared with other programs'. Not
 * cryptographic: an adversary can make collisions.
 */
#ifndef MOIRAI_UTILS_HASH_H
#define MOIRAI_UTILS_HASH_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

typedef struct moirai_hash128 {
	uint64_t low;
	uint64_t high;
} moirai_hash128;

/* A hash in progress. The caller's memory, aligned to 64 bytes; no fini needed; not copyable by
 * bytes to another alignment. One thread at a time. */
#define MOIRAI_XXH3_STATE_BYTES 640
typedef struct moirai_xxh3 {
	MOIRAI_ALIGNED(64) unsigned char opaque_[MOIRAI_XXH3_STATE_BYTES];
} moirai_xxh3;

/** Whether XXH3 is in this build. */
MOIRAI_API bool moirai_xxh3_available(void);

/** "avx512", "avx2", "baseline": the code that was chosen for this processor; "none" without. */
MOIRAI_API const char *moirai_xxh3_kernel(void);

/** *hash = XXH3_64bits_withSeed(data, size_bytes, seed); seed 0 is plain XXH3. -ENOTSUP, -EINVAL. */
MOIRAI_API int moirai_xxh3_64(const void *data, size_t size_bytes, uint64_t seed, uint64_t *hash);

/** As moirai_xxh3_64, 128 bits. */
MOIRAI_API int moirai_xxh3_128(
	const void *data, size_t size_bytes, uint64_t seed, moirai_hash128 *hash);

/** Starts a hash over data that comes in pieces. -ENOTSUP, -EINVAL. */
MOIRAI_API int moirai_xxh3_init(moirai_xxh3 *state, uint64_t seed);

/** Starts again with the same seed. */
MOIRAI_API int moirai_xxh3_reset(moirai_xxh3 *state);

/** Adds data. The pieces' sizes do not matter for the result. NULL is fine for 0 bytes. */
MOIRAI_API int moirai_xxh3_update(moirai_xxh3 *state, const void *data, size_t size_bytes);

/** The 64-bit hash of what was added since init or reset; more may be added afterwards. */
MOIRAI_API int moirai_xxh3_digest64(const moirai_xxh3 *state, uint64_t *hash);

/** The 128-bit hash of the same. */
MOIRAI_API int moirai_xxh3_digest128(const moirai_xxh3 *state, moirai_hash128 *hash);

/* Canonical forms: big endian bytes, lower-case digits, as xxhsum prints. Pure; always there. */
#define MOIRAI_HASH64_HEX_BYTES  17 /* with the final 0 */
#define MOIRAI_HASH128_HEX_BYTES 33

/** The canonical 8 bytes. */
MOIRAI_API void moirai_hash64_bytes(uint64_t hash, unsigned char bytes[8]);

/** The canonical 16 bytes: high half first. */
MOIRAI_API void moirai_hash128_bytes(moirai_hash128 hash, unsigned char bytes[16]);

/** 16 digits and a 0. */
MOIRAI_API void moirai_hash64_hex(uint64_t hash, char text[MOIRAI_HASH64_HEX_BYTES]);

/** 32 digits and a 0. */
MOIRAI_API void moirai_hash128_hex(moirai_hash128 hash, char text[MOIRAI_HASH128_HEX_BYTES]);

/** Reads exactly 16 digits of either case. -EINVAL. */
MOIRAI_API int moirai_hash64_parse(const char *text, uint64_t *hash);

/** Reads exactly 32 digits of either case. -EINVAL. */
MOIRAI_API int moirai_hash128_parse(const char *text, moirai_hash128 *hash);

MOIRAI_END_DECLS

#endif
