/* SPDX-License-Identifier: MIT */
/*
 * Schedule noise. Half of the points do nothing; the others pause for up to 64 spins, give the
 * processor away, or (1 in 256) sleep past the end of a time slice, so that another thread gets
 * through whole sections in between. Each thread draws from its own generator (xorshift, Marsaglia
 * 2003), seeded by the process's seed and the order in which threads came here: two runs with one
 * seed are alike as far as the system's scheduler is.
 */
#include <stdio.h>
#include <stdlib.h>

#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/os.h>

/* This file is the other side of the switch: the library has the function in every build. */
void moirai__noise(void);

static uint64_t mix(uint64_t x)
{
	/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014). */
	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
	return x ^ (x >> 31);
}

static MOIRAI_COLD uint64_t choose_seed(uint64_t *seed)
{
	const char *wish = getenv("MOIRAI_NOISE_SEED");
	uint64_t wanted = wish ? strtoull(wish, NULL, 0) : mix(moirai_os_clock_wall());
	uint64_t none = 0;
	wanted = wanted ? wanted : 1;
	/* relaxed: the value is all there is. The first thread decides for all. */
	if (!moirai_cas_relaxed(seed, &none, wanted))
		return none;
	char line[64];
	int n = snprintf(
		line, sizeof(line), "# MOIRAI_NOISE_SEED=%llu\n", (unsigned long long)wanted);
	moirai_os_write(2, line, (size_t)n);
	return wanted;
}

/* noinline: the thread-local state must not be cached over a park by the caller. */
static MOIRAI_NOINLINE uint64_t draw(void)
{
	static uint64_t seed;
	static uint32_t threads;
	static __thread uint64_t state;
	if (!state) {
		uint64_t root = moirai_load_relaxed(&seed);
		if (!root)
			root = choose_seed(&seed);
		state = mix(root + moirai_fetch_add_relaxed(&threads, 1)) | 1;
	}
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

MOIRAI_API void moirai__noise(void)
{
	uint64_t random = draw() >> 16;
	unsigned kind = random & 255;
	if (kind < 128)
		return;
	if (kind < 224) {
		for (unsigned spins = random >> 8 & 63; spins > 0; spins--)
			moirai_cpu_relax();
	} else if (kind < 255) {
		moirai_os_yield();
	} else {
		moirai_os_sleep(20 * MOIRAI_US);
	}
}
