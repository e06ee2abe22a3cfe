/* SPDX-License-Identifier: MIT */
/*
 * Detection is in cpu_probe.c; here are names, dependencies and the override.
 *
 * moirai_cpu_get() keeps its answer in one word with a top bit that says "known". Threads that come
 * first together each detect and store the same value, so relaxed accesses are enough: the word
 * publishes nothing but itself.
 */
#include <moirai/utils/cpu.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moirai/core/atomic.h>

#include "cpu.h"
#include "detail.h"

#define CPU_KNOWN ((uint64_t)1 << 63)
#define BIT(name) MOIRAI_CPU_BIT(MOIRAI_CPU_##name)

/* What a feature stands on: taken away with it. */
static const struct cpu_entry {
	const char *name;
	moirai_cpu_features needs;
} cpu_table[MOIRAI_CPU_FEATURES] = {
	[MOIRAI_CPU_SSE2] = {"sse2", 0},
	[MOIRAI_CPU_SSE42] = {"sse4.2", BIT(SSE2)},
	[MOIRAI_CPU_POPCNT] = {"popcnt", 0},
	[MOIRAI_CPU_AVX] = {"avx", BIT(SSE42)},
	[MOIRAI_CPU_AVX2] = {"avx2", BIT(AVX)},
	[MOIRAI_CPU_FMA] = {"fma", BIT(AVX)},
	[MOIRAI_CPU_BMI1] = {"bmi1", 0},
	[MOIRAI_CPU_BMI2] = {"bmi2", 0},
	[MOIRAI_CPU_LZCNT] = {"lzcnt", 0},
	[MOIRAI_CPU_AVX512F] = {"avx512f", BIT(AVX2)},
	[MOIRAI_CPU_AVX512BW] = {"avx512bw", BIT(AVX512F)},
	[MOIRAI_CPU_AVX512DQ] = {"avx512dq", BIT(AVX512F)},
	[MOIRAI_CPU_AVX512VL] = {"avx512vl", BIT(AVX512F)},
	[MOIRAI_CPU_AVX512VBMI] = {"avx512vbmi", BIT(AVX512F)},
	[MOIRAI_CPU_AVX512VNNI] = {"avx512vnni", BIT(AVX512F)},
	[MOIRAI_CPU_INVARIANT_TSC] = {"invariant_tsc", 0},
	[MOIRAI_CPU_NEON] = {"neon", 0},
	[MOIRAI_CPU_CRC32] = {"crc32", 0},
	[MOIRAI_CPU_LSE] = {"lse", 0},
	[MOIRAI_CPU_SVE] = {"sve", BIT(NEON)},
	[MOIRAI_CPU_SVE2] = {"sve2", BIT(SVE)},
};

#define CPU_SSE  (BIT(SSE2) | BIT(SSE42) | BIT(POPCNT))
#define CPU_AVX2 (CPU_SSE | BIT(AVX) | BIT(AVX2) | BIT(FMA) | BIT(BMI1) | BIT(BMI2) | BIT(LZCNT))
#define CPU_ARM  (BIT(NEON) | BIT(CRC32) | BIT(LSE))
/* Neither a level nor a path of code hangs on it. */
#define CPU_FREE BIT(INVARIANT_TSC)

/* Names of levels: what they leave on the machine. */
static const struct cpu_level {
	const char *name;
	moirai_cpu_features keeps;
} cpu_levels[] = {
	{"baseline", BIT(SSE2) | BIT(NEON)},
	{"sse4.2", CPU_SSE},
	{"avx2", CPU_AVX2},
	{"avx512", ~(CPU_ARM | BIT(SVE) | BIT(SVE2))},
	{"neon", CPU_ARM},
	{"sve", CPU_ARM | BIT(SVE) | BIT(SVE2)},
};

const char *moirai_cpu_feature_name(moirai_cpu_feature feature)
{
	return (unsigned)feature < MOIRAI_CPU_FEATURES ? cpu_table[feature].name : NULL;
}

size_t moirai_cpu_format(moirai_cpu_features features, char *buffer, size_t size_bytes)
{
	size_t length = 0;
	if (size_bytes)
		buffer[0] = 0;
	for (unsigned i = 0; i < MOIRAI_CPU_FEATURES; i++) {
		if (!(features & MOIRAI_CPU_BIT(i)))
			continue;
		bool room = length < size_bytes;
		int n = snprintf(room ? buffer + length : NULL, room ? size_bytes - length : 0,
			"%s%s", length ? " " : "", cpu_table[i].name);
		length += n > 0 ? (size_t)n : 0;
	}
	return length;
}

/* Takes away what lost its ground; the table is ordered, so one pass is enough. */
static moirai_cpu_features cpu_consistent(moirai_cpu_features set)
{
	for (unsigned i = 0; i < MOIRAI_CPU_FEATURES; i++)
		if ((set & cpu_table[i].needs) != cpu_table[i].needs)
			set &= ~MOIRAI_CPU_BIT(i);
	return set;
}

static bool cpu_is(const char *word, size_t length, const char *name)
{
	return strlen(name) == length && memcmp(word, name, length) == 0;
}

/* One word of the override: "avx2" or "-avx512f". Both forms only ever clear bits. */
static int cpu_word(const char *word, size_t length, moirai_cpu_features *set)
{
	if (length > 1 && word[0] == '-') {
		for (unsigned i = 0; i < MOIRAI_CPU_FEATURES; i++) {
			if (cpu_is(word + 1, length - 1, cpu_table[i].name)) {
				*set &= ~MOIRAI_CPU_BIT(i);
				return 0;
			}
		}
	} else {
		for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(cpu_levels); i++) {
			if (cpu_is(word, length, cpu_levels[i].name)) {
				*set &= cpu_levels[i].keeps | CPU_FREE;
				return 0;
			}
		}
	}
	return utils_detail(-EINVAL,
		"MOIRAI_CPU: \"%.*s\" is neither a level (baseline, sse4.2, avx2, avx512, neon, sve) nor "
		"-feature",
		(int)(length < 40 ? length : 40), word);
}

int moirai_cpu_override(const char *text, moirai_cpu_features detected, moirai_cpu_features *result)
{
	moirai_cpu_features set = detected;
	if (!result)
		return -EINVAL;
	for (const char *p = text; p && *p;) {
		p += strspn(p, ", \t");
		size_t length = strcspn(p, ", \t");
		if (length == 0)
			break;
		int status = cpu_word(p, length, &set);
		if (status < 0)
			return status;
		p += length;
	}
	*result = cpu_consistent(set);
	return 0;
}

moirai_cpu_features moirai_cpu_detect(void)
{
	return cpu_consistent(moirai_cpu_probe());
}

static MOIRAI_COLD moirai_cpu_features cpu_first(uint64_t *known)
{
	moirai_cpu_features detected = moirai_cpu_detect(), set = detected;
	/* An override that is not understood takes nothing away; who wants to know why calls
	 * moirai_cpu_override() with the variable's text (`moirai info` does). */
	(void)moirai_cpu_override(getenv("MOIRAI_CPU"), detected, &set);
	/* relaxed: see above, the value is all there is. */
	moirai_store_relaxed(known, set | CPU_KNOWN);
	return set;
}

moirai_cpu_features moirai_cpu_get(void)
{
	static uint64_t known;
	uint64_t set = moirai_load_relaxed(&known); /* relaxed: see above */
	if (MOIRAI_LIKELY(set & CPU_KNOWN))
		return set & ~CPU_KNOWN;
	return cpu_first(&known);
}
