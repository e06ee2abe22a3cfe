/* SPDX-License-Identifier: MIT */
/*
 * What the processor can do. Detected once; MOIRAI_CPU in the environment takes features away (it
 * can never add one), so that every code path is tested on one machine:
 *
 *   MOIRAI_CPU=sse4.2             at most this level: baseline, sse4.2, avx2, avx512; neon, sve
 *   MOIRAI_CPU=-avx512f,-bmi2     all but these; what depends on one goes with it
 *   MOIRAI_CPU=avx2,-fma          both
 */
#ifndef MOIRAI_UTILS_CPU_H
#define MOIRAI_UTILS_CPU_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

typedef enum moirai_cpu_feature {
	/* x86 */
	MOIRAI_CPU_SSE2,
	MOIRAI_CPU_SSE42,
	MOIRAI_CPU_POPCNT,
	MOIRAI_CPU_AVX,
	MOIRAI_CPU_AVX2,
	MOIRAI_CPU_FMA,
	MOIRAI_CPU_BMI1,
	MOIRAI_CPU_BMI2,
	MOIRAI_CPU_LZCNT,
	MOIRAI_CPU_AVX512F,
	MOIRAI_CPU_AVX512BW,
	MOIRAI_CPU_AVX512DQ,
	MOIRAI_CPU_AVX512VL,
	MOIRAI_CPU_AVX512VBMI,
	MOIRAI_CPU_AVX512VNNI,
	MOIRAI_CPU_INVARIANT_TSC,
	/* aarch64 */
	MOIRAI_CPU_NEON,
	MOIRAI_CPU_CRC32,
	MOIRAI_CPU_LSE,
	MOIRAI_CPU_SVE,
	MOIRAI_CPU_SVE2,
	MOIRAI_CPU_FEATURES, /* how many there are */
} moirai_cpu_feature;

/* A set of features: bit number = the feature. */
typedef uint64_t moirai_cpu_features;
#define MOIRAI_CPU_BIT(feature) ((moirai_cpu_features)1 << (feature))

/** What may be used: detected, less what MOIRAI_CPU takes away. Any thread; a load after the first. */
MOIRAI_API moirai_cpu_features moirai_cpu_get(void);

/** Whether the feature may be used. */
static inline bool moirai_cpu_has(moirai_cpu_feature feature)
{
	return (moirai_cpu_get() & MOIRAI_CPU_BIT(feature)) != 0;
}

/** What processor and operating system offer, whatever MOIRAI_CPU says. */
MOIRAI_API moirai_cpu_features moirai_cpu_detect(void);

/**
 * Applies a text in the form of MOIRAI_CPU to a set. NULL or "" leaves it as it is. -EINVAL for an
 * unknown name (the detail says which); *result is untouched then. Pure.
 */
MOIRAI_API int moirai_cpu_override(
	const char *text, moirai_cpu_features detected, moirai_cpu_features *result);

/** The feature's name as MOIRAI_CPU takes it, "avx2"; NULL for what is no feature. */
MOIRAI_API const char *moirai_cpu_feature_name(moirai_cpu_feature feature);

/** Writes the names in the set, blanks between. Like snprintf: returns the whole length. */
MOIRAI_API size_t moirai_cpu_format(moirai_cpu_features features, char *buffer, size_t size_bytes);

MOIRAI_END_DECLS

#endif
