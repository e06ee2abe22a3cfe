/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>

#include <moirai/core/status.h>
#include <moirai/utils/cpu.h>
#include <moirai/utils/random.h>

#define BIT(name) MOIRAI_CPU_BIT(MOIRAI_CPU_##name)

/* A machine that has it all, x86 and Arm. */
static const moirai_cpu_features everything = BIT(FEATURES) - 1;

static moirai_cpu_features apply(const char *text)
{
	moirai_cpu_features set = 0;
	CHECK(moirai_cpu_override(text, everything, &set) == 0);
	return set;
}

static void levels_cap(void)
{
	CHECK(apply(NULL) == everything && apply("") == everything && apply(" , ") == everything);
	moirai_cpu_features avx2 = apply("avx2");
	CHECK((avx2 & BIT(AVX2)) && (avx2 & BIT(FMA)) && (avx2 & BIT(BMI2)));
	CHECK(!(avx2 & (BIT(AVX512F) | BIT(AVX512BW) | BIT(AVX512VNNI))));
	moirai_cpu_features sse = apply("sse4.2");
	CHECK((sse & BIT(SSE42)) && (sse & BIT(POPCNT)) &&
		!(sse & (BIT(AVX) | BIT(AVX2) | BIT(BMI2))));
	CHECK(apply("baseline") == (BIT(SSE2) | BIT(NEON) | BIT(INVARIANT_TSC)));
	CHECK((apply("neon") & (BIT(NEON) | BIT(SVE) | BIT(SVE2))) == BIT(NEON));
	CHECK(apply("sve") & BIT(SVE2));
	CHECK(apply("avx512,sse4.2") == sse); /* the lower one wins in any order */
	CHECK(apply("sse4.2 avx512") == sse);
}

static void a_minus_takes_what_stands_on_it_too(void)
{
	CHECK(apply("-avx512f") ==
		apply("-avx512f,-avx512bw,-avx512dq,-avx512vl,-avx512vbmi,-avx512vnni"));
	CHECK(!(apply("-avx") & (BIT(AVX) | BIT(AVX2) | BIT(FMA) | BIT(AVX512F) | BIT(AVX512VL))));
	CHECK(apply("-avx") & BIT(SSE42));
	CHECK(apply("-bmi2") == (everything & ~BIT(BMI2)));
	CHECK(apply("avx2,-fma") == (apply("avx2") & ~BIT(FMA)));
	CHECK(!(apply("-neon") & (BIT(SVE) | BIT(SVE2))));
	CHECK(apply("-invariant_tsc") == (everything & ~BIT(INVARIANT_TSC)));
}

static void unknown_words_are_refused_by_name(void)
{
	moirai_cpu_features set = 123;
	CHECK(moirai_cpu_override("avx3", everything, &set) == -EINVAL);
	CHECK(strstr(moirai_error_detail(), "\"avx3\""));
	CHECK(moirai_cpu_override("avx2,-nothing", everything, &set) == -EINVAL);
	CHECK(moirai_cpu_override("-", everything, &set) == -EINVAL);
	CHECK(moirai_cpu_override("AVX2", everything, &set) == -EINVAL);
	CHECK(set == 123);
	CHECK(moirai_cpu_override("avx2", everything, NULL) == -EINVAL);
}

static void an_override_never_adds(void)
{
	static const char *const words[] = {"baseline", "sse4.2", "avx2", "avx512", "neon", "sve",
		"-avx", "-sse2", "-popcnt", "-lse"};
	moirai_random random;
	moirai_random_init(&random, 5);
	for (int round = 0; round < 20000; round++) {
		moirai_cpu_features detected = moirai_random_next(&random) & everything, set, again;
		char text[64] = "";
		for (uint64_t n = moirai_random_below(&random, 4); n > 0; n--) {
			strcat(text, words[moirai_random_below(&random, 10)]);
			strcat(text, ",");
		}
		REQUIRE(moirai_cpu_override(text, detected, &set) == 0);
		CHECK((set & ~detected) == 0);
		REQUIRE(moirai_cpu_override(text, set, &again) ==
			0); /* and again changes nothing */
		CHECK(again == set);
	}
}

static void this_processor_agrees_with_the_compiler(void)
{
	moirai_cpu_features set = moirai_cpu_detect();
	char text[512];
	moirai_cpu_format(set, text, sizeof(text));
	DIAG("%s", text);
#if defined(__x86_64__) || defined(__i386__)
	__builtin_cpu_init();
#define AGREES(feature, name) CHECK(!!(set & BIT(feature)) == !!__builtin_cpu_supports(name))
	AGREES(SSE2, "sse2");
	AGREES(SSE42, "sse4.2");
	AGREES(POPCNT, "popcnt");
	AGREES(AVX, "avx");
	AGREES(AVX2, "avx2");
	AGREES(FMA, "fma");
	AGREES(BMI1, "bmi");
	AGREES(BMI2, "bmi2");
	AGREES(AVX512F, "avx512f");
	AGREES(AVX512BW, "avx512bw");
	AGREES(AVX512DQ, "avx512dq");
	AGREES(AVX512VL, "avx512vl");
	AGREES(AVX512VBMI, "avx512vbmi");
	AGREES(AVX512VNNI, "avx512vnni");
#elif defined(__aarch64__)
	CHECK(set & BIT(NEON));
#endif
}

static void the_environment_is_obeyed_once(void)
{
	moirai_cpu_features expected;
	/* Set by the test's registration: see meson.build. */
	const char *text = getenv("MOIRAI_CPU");
	if (moirai_cpu_override(text, moirai_cpu_detect(), &expected) < 0)
		expected = moirai_cpu_detect(); /* not understood: ignored */
	CHECK(moirai_cpu_get() == expected);
	CHECK(moirai_cpu_get() == expected);
	for (unsigned i = 0; i < MOIRAI_CPU_FEATURES; i++)
		CHECK(moirai_cpu_has((moirai_cpu_feature)i) == !!(expected & MOIRAI_CPU_BIT(i)));
}

static void names_are_complete_and_distinct(void)
{
	char text[1024];
	for (unsigned i = 0; i < MOIRAI_CPU_FEATURES; i++) {
		REQUIRE(moirai_cpu_feature_name((moirai_cpu_feature)i));
		for (unsigned j = 0; j < i; j++)
			CHECK(strcmp(moirai_cpu_feature_name((moirai_cpu_feature)i),
				      moirai_cpu_feature_name((moirai_cpu_feature)j)) != 0);
	}
	CHECK(!moirai_cpu_feature_name(MOIRAI_CPU_FEATURES));
	CHECK(moirai_cpu_format(BIT(AVX2) | BIT(SSE2), text, sizeof(text)) == 9);
	CHECK(strcmp(text, "sse2 avx2") == 0);
	CHECK(moirai_cpu_format(BIT(AVX2) | BIT(SSE2), text, 7) == 9 &&
		strcmp(text, "sse2 a") == 0);
	CHECK(moirai_cpu_format(0, text, sizeof(text)) == 0 && text[0] == 0);
	CHECK(moirai_cpu_format(everything, NULL, 0) ==
		moirai_cpu_format(everything, text, sizeof(text)));
}

TAP_MAIN(TEST(levels_cap), TEST(a_minus_takes_what_stands_on_it_too),
	TEST(unknown_words_are_refused_by_name), TEST(an_override_never_adds),
	TEST(this_processor_agrees_with_the_compiler), TEST(the_environment_is_obeyed_once),
	TEST(names_are_complete_and_distinct))
