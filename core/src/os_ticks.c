/* SPDX-License-Identifier: MIT */
/*
 * The processor's own clock. It serves where 20 ns for a clock reading is too much.
 *
 * x86: rdtsc, if the processor promises a constant rate over all power states (CPUID 0x80000007,
 * EDX bit 8; without the promise a tick means nothing). aarch64: cntvct_el0 is architectural, and
 * cntfrq_el0 tells its rate. Elsewhere the monotonic clock, at 10^9 ticks a second. The reading is
 * not ordered with the instructions around it: an error of some 20 cycles, never more.
 */
#include <moirai/core/os.h>

#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

enum { TICKS_UNKNOWN, TICKS_COUNTER, TICKS_CLOCK };
static uint32_t ticks_source;

/* CPUID traps in a virtual machine and takes up to 70 us: asked once. Racing callers agree. */
static MOIRAI_COLD uint32_t find_source(void)
{
	unsigned a, b, c, d = 0;
	bool invariant = __get_cpuid(0x80000007, &a, &b, &c, &d) && (d >> 8 & 1);
	uint32_t source = invariant ? TICKS_COUNTER : TICKS_CLOCK;
	moirai_store_relaxed(&ticks_source, source); /* relaxed: the value is all there is */
	return source;
}

uint64_t moirai_os_ticks(void)
{
	uint32_t source = moirai_load_relaxed(&ticks_source);
	if (MOIRAI_UNLIKELY(source == TICKS_UNKNOWN))
		source = find_source();
	return MOIRAI_LIKELY(source == TICKS_COUNTER) ? __builtin_ia32_rdtsc() : moirai_os_clock();
}

static uint64_t known_rate(void)
{
	moirai_os_ticks();
	return moirai_load_relaxed(&ticks_source) == TICKS_CLOCK ? MOIRAI_S : 0;
}

#elif defined(__aarch64__)

uint64_t moirai_os_ticks(void)
{
	uint64_t value;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
	return value;
}

static uint64_t known_rate(void)
{
	uint64_t value;
	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(value));
	return value;
}

#else

uint64_t moirai_os_ticks(void)
{
	return moirai_os_clock();
}

static uint64_t known_rate(void)
{
	return MOIRAI_S;
}

#endif

struct moment {
	uint64_t ticks;
	uint64_t ns;
};

/* Both clocks at one moment: the tightest of some tries, since an interrupt may fall between. */
static struct moment both_clocks(void)
{
	struct moment best = {0, 0};
	uint64_t tightest = UINT64_MAX;
	for (int i = 0; i < 8; i++) {
		uint64_t before = moirai_os_ticks();
		uint64_t ns = moirai_os_clock();
		uint64_t width = moirai_os_ticks() - before;
		if (width < tightest) {
			tightest = width;
			best = (struct moment){before + width / 2, ns};
		}
	}
	return best;
}

/* 4 ms against an error of some 50 ns at each end: right within 30 ppm. */
static uint64_t measured_rate(void)
{
	struct moment first = both_clocks();
	moirai_os_sleep(4 * MOIRAI_MS);
	struct moment last = both_clocks();
	uint64_t ns = last.ns - first.ns;
	return ns ? (uint64_t)((double)(last.ticks - first.ticks) * 1e9 / (double)ns) : MOIRAI_S;
}

uint64_t moirai_os_ticks_per_second(void)
{
	static uint64_t rate;
	uint64_t known = moirai_load_relaxed(&rate);
	if (known)
		return known;
	uint64_t found = known_rate();
	if (!found)
		found = measured_rate();
	/* The first one to finish decides, so that all callers get one answer. */
	return moirai_cas_relaxed(&rate, &known, found) ? found : known;
}
