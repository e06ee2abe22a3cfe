/* SPDX-License-Identifier: MIT */
/*
 * Asking the processor, and the operating system where it has a say: AVX registers are usable only
 * if the kernel saves them (XCR0), SVE only if the kernel announces it (AT_HWCAP).
 */
#include "cpu.h"

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>

/* CPUID: leaf, register and bit of every feature. Intel SDM 2A, table 3-8; AMD APM 3, appendix E. */
enum { LEAF_1, LEAF_7, LEAF_80000001, LEAF_80000007, LEAVES };
enum { EAX, EBX, ECX, EDX, REGISTERS };

static const struct probe_bit {
	uint8_t feature, leaf, reg, bit;
} probe_bits[] = {
	{MOIRAI_CPU_SSE2, LEAF_1, EDX, 26},
	{MOIRAI_CPU_SSE42, LEAF_1, ECX, 20},
	{MOIRAI_CPU_POPCNT, LEAF_1, ECX, 23},
	{MOIRAI_CPU_AVX, LEAF_1, ECX, 28},
	{MOIRAI_CPU_FMA, LEAF_1, ECX, 12},
	{MOIRAI_CPU_AVX2, LEAF_7, EBX, 5},
	{MOIRAI_CPU_BMI1, LEAF_7, EBX, 3},
	{MOIRAI_CPU_BMI2, LEAF_7, EBX, 8},
	{MOIRAI_CPU_AVX512F, LEAF_7, EBX, 16},
	{MOIRAI_CPU_AVX512DQ, LEAF_7, EBX, 17},
	{MOIRAI_CPU_AVX512BW, LEAF_7, EBX, 30},
	{MOIRAI_CPU_AVX512VL, LEAF_7, EBX, 31},
	{MOIRAI_CPU_AVX512VBMI, LEAF_7, ECX, 1},
	{MOIRAI_CPU_AVX512VNNI, LEAF_7, ECX, 11},
	{MOIRAI_CPU_LZCNT, LEAF_80000001, ECX, 5},
	{MOIRAI_CPU_INVARIANT_TSC, LEAF_80000007, EDX, 8},
};

#define XCR0_AVX    0x06u /* XMM and YMM are saved */
#define XCR0_AVX512 0xE6u /* and the mask registers, and both halves of ZMM */

static uint32_t probe_xcr0(uint32_t leaf1_ecx)
{
	uint32_t low, high;
	if (!(leaf1_ecx >> 27 & 1)) /* OSXSAVE: xgetbv would fault */
		return 0;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low;
}

moirai_cpu_features moirai_cpu_probe(void)
{
	static const uint32_t leaves[LEAVES] = {1, 7, 0x80000001u, 0x80000007u};
	uint32_t r[LEAVES][REGISTERS] = {{0}};
	moirai_cpu_features set = 0;
	for (int i = 0; i < LEAVES; i++) /* leaves above the processor's highest stay zero */
		__get_cpuid_count(leaves[i], 0, &r[i][EAX], &r[i][EBX], &r[i][ECX], &r[i][EDX]);
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(probe_bits); i++)
		if (r[probe_bits[i].leaf][probe_bits[i].reg] >> probe_bits[i].bit & 1)
			set |= MOIRAI_CPU_BIT(probe_bits[i].feature);
	uint32_t xcr0 = probe_xcr0(r[LEAF_1][ECX]);
	if ((xcr0 & XCR0_AVX) != XCR0_AVX)
		set &= ~MOIRAI_CPU_BIT(MOIRAI_CPU_AVX); /* and with it all that needs it */
	if ((xcr0 & XCR0_AVX512) != XCR0_AVX512)
		set &= ~MOIRAI_CPU_BIT(MOIRAI_CPU_AVX512F);
	return set;
}

#elif defined(__aarch64__) && defined(__linux__)

#include <sys/auxv.h>

/* Numbers of the kernel's interface (arch/arm64/include/uapi/asm/hwcap.h). */
#define HWCAP_ASIMD_BIT   1
#define HWCAP_CRC32_BIT   7
#define HWCAP_ATOMICS_BIT 8
#define HWCAP_SVE_BIT     22
#define HWCAP2_SVE2_BIT   1

moirai_cpu_features moirai_cpu_probe(void)
{
	unsigned long hwcap = getauxval(AT_HWCAP), hwcap2 = getauxval(AT_HWCAP2);
	moirai_cpu_features set = 0;
	set |= (moirai_cpu_features)(hwcap >> HWCAP_ASIMD_BIT & 1) << MOIRAI_CPU_NEON;
	set |= (moirai_cpu_features)(hwcap >> HWCAP_CRC32_BIT & 1) << MOIRAI_CPU_CRC32;
	set |= (moirai_cpu_features)(hwcap >> HWCAP_ATOMICS_BIT & 1) << MOIRAI_CPU_LSE;
	set |= (moirai_cpu_features)(hwcap >> HWCAP_SVE_BIT & 1) << MOIRAI_CPU_SVE;
	set |= (moirai_cpu_features)(hwcap2 >> HWCAP2_SVE2_BIT & 1) << MOIRAI_CPU_SVE2;
	return set;
}

#elif defined(__aarch64__)

moirai_cpu_features moirai_cpu_probe(void)
{
	return MOIRAI_CPU_BIT(
		MOIRAI_CPU_NEON); /* part of the architecture; the rest is not asked */
}

#else

moirai_cpu_features moirai_cpu_probe(void)
{
	return 0;
}

#endif
