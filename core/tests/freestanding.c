/* SPDX-License-Identifier: MIT */
/*
 * A program without a libc, a start-up file or an operating system's headers: what remains of core
 * is the vocabulary and the atomics. It is linked with -nostdlib and must leave no symbol open.
 */
#include <moirai/core/atomic.h>
#include <moirai/core/base.h>
#include <moirai/core/clock.h>

static uint32_t lock, flag;
static uint64_t total;

static void take(void)
{
	uint32_t expected = 0;
	while (!moirai_cas_acquire(&lock, &expected, 1)) {
		expected = 0;
		moirai_cpu_relax();
	}
}

void _start(void)
{
	take();
	total += 1;
	moirai_store_release(&lock, 0);
	moirai_store_relaxed(&flag, 1);
	moirai_fence_light();
	moirai_fence_heavy();
	MOIRAI_ASSERT(moirai_load_relaxed(&flag) == 1);
	MOIRAI_DEBUG_ASSERT(total == 1);
	for (;;)
		moirai_cpu_relax();
}
