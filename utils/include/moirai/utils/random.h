/* SPDX-License-Identifier: MIT */
/*
 * Fast random numbers: xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number
 * generators", 2018), seeded by splitmix64. Period 2^256 - 1, about 1 ns a number. The sequence of
 * a seed is the same on every target and for ever. Not for secrets: use moirai_os_random().
 *
 * The state is the caller's, one thread at a time; 32 bytes.
 */
#ifndef MOIRAI_UTILS_RANDOM_H
#define MOIRAI_UTILS_RANDOM_H

#include <moirai/core/base.h>
#include <moirai/utils/bits.h>

MOIRAI_BEGIN_DECLS

typedef struct moirai_random {
	uint64_t s_[4];
} moirai_random;

/** The next number of splitmix64 (Steele, Lea, Flood 2014): one word of state, for seeding. */
static inline uint64_t moirai_splitmix64(uint64_t *state)
{
	return moirai_mix64(*state += 0x9E3779B97F4A7C15ull);
}

/** Starts the sequence of `seed`; every value is a good one, 0 too. */
MOIRAI_API void moirai_random_init(moirai_random *random, uint64_t seed);

/**
 * Starts a sequence that nobody can predict, by the system's randomness; where there is none, by
 * clock, thread and address (still different for each thread). A system call.
 */
MOIRAI_API void moirai_random_init_system(moirai_random *random);

/** 64 random bits. */
static inline uint64_t moirai_random_next(moirai_random *random)
{
	uint64_t *s = random->s_;
	uint64_t result = moirai_rotl64(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = moirai_rotl64(s[3], 45);
	return result;
}

/** Leaves the sequence 2^128 numbers ahead: parallel streams of one seed that never overlap. */
MOIRAI_API void moirai_random_jump(moirai_random *random);

/** Private: the rare case of moirai_random_below. */
MOIRAI_API uint64_t moirai__random_below_slow(
	moirai_random *random, uint64_t bound, uint64_t product_low, uint64_t product_high);

/**
 * Uniform in [0, bound), without bias; 0 for bound 0. A multiplication, and a division in one case
 * of 2^64 / bound (Lemire, "Fast random integer generation in an interval", 2019).
 */
static inline uint64_t moirai_random_below(moirai_random *random, uint64_t bound)
{
	uint64_t x = moirai_random_next(random);
	uint64_t low = x * bound, high = moirai_mulhi64(x, bound);
	if (MOIRAI_UNLIKELY(low < bound))
		return moirai__random_below_slow(random, bound, low, high);
	return high;
}

/** Uniform in [low, high], both included; low when high < low. */
static inline uint64_t moirai_random_between(moirai_random *random, uint64_t low, uint64_t high)
{
	if (high <= low)
		return low;
	uint64_t span = high - low + 1;
	return span ? low + moirai_random_below(random, span) : moirai_random_next(random);
}

/** Uniform in [0, 1): 53 random bits. */
static inline double moirai_random_double(moirai_random *random)
{
	return (double)(moirai_random_next(random) >> 11) * (1.0 / 9007199254740992.0);
}

/** true once in `n` on average; never for 0, always for 1. */
static inline bool moirai_random_one_in(moirai_random *random, uint64_t n)
{
	return n != 0 && moirai_random_below(random, n) == 0;
}

/** Fills the buffer. The bytes are the same on every target. */
MOIRAI_API void moirai_random_fill(moirai_random *random, void *buffer, size_t size_bytes);

/** A uniform shuffle of `count` elements of size_bytes each (Fisher-Yates). */
MOIRAI_API void moirai_random_shuffle(
	moirai_random *random, void *elements, size_t count, size_t size_bytes);

MOIRAI_END_DECLS

#endif
