/* SPDX-License-Identifier: MIT */
/* Bits. Everything is pure, inline, and defined for every argument unless a line says otherwise. */
#ifndef MOIRAI_UTILS_BITS_H
#define MOIRAI_UTILS_BITS_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

/** Leading zeros; 32 (64) for 0, where the builtin is undefined. */
static inline unsigned moirai_clz32(uint32_t x)
{
	return x ? (unsigned)__builtin_clz(x) : 32;
}

static inline unsigned moirai_clz64(uint64_t x)
{
	return x ? (unsigned)__builtin_clzll(x) : 64;
}

/** Trailing zeros; 32 (64) for 0. */
static inline unsigned moirai_ctz32(uint32_t x)
{
	return x ? (unsigned)__builtin_ctz(x) : 32;
}

static inline unsigned moirai_ctz64(uint64_t x)
{
	return x ? (unsigned)__builtin_ctzll(x) : 64;
}

/** How many bits are set. */
static inline unsigned moirai_popcount32(uint32_t x)
{
	return (unsigned)__builtin_popcount(x);
}

static inline unsigned moirai_popcount64(uint64_t x)
{
	return (unsigned)__builtin_popcountll(x);
}

/** Whether exactly one bit is set. */
static inline bool moirai_is_pow2(uint64_t x)
{
	return x != 0 && (x & (x - 1)) == 0;
}

/** Base-2 logarithm rounded down; 0 for 0. */
static inline unsigned moirai_log2_floor(uint64_t x)
{
	return x ? 63 - moirai_clz64(x) : 0;
}

/** Base-2 logarithm rounded up; 0 for 0 and 1. */
static inline unsigned moirai_log2_ceil(uint64_t x)
{
	return x > 1 ? 64 - moirai_clz64(x - 1) : 0;
}

/** The smallest power of two >= x; 1 for 0; 0 when there is none (x > 2^63). */
static inline uint64_t moirai_pow2_ceil(uint64_t x)
{
	unsigned log = moirai_log2_ceil(x);
	return log < 64 ? 1ull << log : 0;
}

/** The largest power of two <= x; 0 for 0. */
static inline uint64_t moirai_pow2_floor(uint64_t x)
{
	return x ? 1ull << moirai_log2_floor(x) : 0;
}

/** Rotations; any count. */
static inline uint32_t moirai_rotl32(uint32_t x, unsigned count)
{
	return x << (count & 31) | x >> (-count & 31);
}

static inline uint64_t moirai_rotl64(uint64_t x, unsigned count)
{
	return x << (count & 63) | x >> (-count & 63);
}

static inline uint64_t moirai_rotr64(uint64_t x, unsigned count)
{
	return x >> (count & 63) | x << (-count & 63);
}

/** x rounded up or down to a multiple of alignment, a power of two. Up wraps beyond SIZE_MAX. */
static inline size_t moirai_align_up(size_t x, size_t alignment)
{
	return (x + alignment - 1) & ~(alignment - 1);
}

static inline size_t moirai_align_down(size_t x, size_t alignment)
{
	return x & ~(alignment - 1);
}

/** Whether x is a multiple of alignment, a power of two. */
static inline bool moirai_is_aligned(uintptr_t x, size_t alignment)
{
	return (x & (alignment - 1)) == 0;
}

/** The high 64 bits of a * b. */
static inline uint64_t moirai_mulhi64(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
	__extension__ typedef unsigned __int128 wide;
	return (uint64_t)((wide)a * b >> 64);
#else
	/* Four 32-bit products; the middle column cannot overflow 64 bits. */
	uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
	uint64_t low = al * bl, middle1 = ah * bl + (low >> 32);
	uint64_t middle2 = al * bh + (uint32_t)middle1;
	return ah * bh + (middle1 >> 32) + (middle2 >> 32);
#endif
}

/**
 * Multiplicative ("Fibonacci") hashing: `bits` (1..64) well mixed bits of a key, for tables of 2^bits
 * places. Two or three instructions; the key's low bits may be constant (addresses). Knuth, The Art
 * of Computer Programming 3, 6.4.
 */
static inline uint64_t moirai_hash_mul(uint64_t key, unsigned bits)
{
	return key * 0x9E3779B97F4A7C15ull >> (64 - bits);
}

/**
 * A bijection that mixes all 64 bits: the finaliser of splitmix64 (Stafford's variant 13). For keys
 * that a multiplication leaves too regular.
 */
static inline uint64_t moirai_mix64(uint64_t x)
{
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
	x = (x ^ x >> 27) * 0x94D049BB133111EBull;
	return x ^ x >> 31;
}

MOIRAI_END_DECLS

#endif
