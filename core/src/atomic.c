/* SPDX-License-Identifier: MIT */
/*
 * The asymmetric fence.
 *
 * What it is. Dekker's pattern ("I write mine, then read yours") needs a full fence between write
 * and read on both sides. Where one side runs a million times more often than the other, the rare
 * side can pay for both: membarrier(PRIVATE_EXPEDITED) runs a full fence on every processor that
 * executes a thread of this process, between the caller's own accesses before and after it.
 *
 * Why it orders. Light side: W(a), compiler barrier, R(b). Heavy side: W(b), membarrier, R(a). The
 * barrier runs on the light side's processor at some point of its program. If that point lies after
 * W(a), the write is visible to the heavy side's R(a), which runs later still. If it lies before
 * W(a), then R(b) comes later yet, and sees W(b), which was made visible before the barrier was
 * asked for. A thread that is not running has gone through a full fence in the kernel, and goes
 * through another one before it runs again. So at least one side sees the other's write, which is
 * what two sequentially consistent fences give.
 *
 * Start. A constructor registers the process, before any thread of ours exists. A refusal (old
 * kernel, seccomp, qemu, valgrind) makes both sides ordinary fences: moirai__fence_symmetric is set
 * once and never changes while two threads run. MOIRAI_FENCE=symmetric in the environment asks for
 * that, for tests and for programs that forbid membarrier to themselves after start.
 * fork(): the child registers again; it has one thread, so it may still change its mind.
 *
 * Cost, 2-core Zen 5 class VM: light 0.3 ns (a load and a branch not taken); heavy 0.14 us alone and
 * up to 10 us while other threads of the process run. Symmetric: 6 to 11 ns on either side.
 *
 * Refused: mprotect() as a barrier (it needs no interrupt on aarch64, so it orders nothing there);
 * a choice at each heavy fence (the light side would have to read it with an ordering of its own).
 */
#include <moirai/core/atomic.h>

#include <stdlib.h>
#include <string.h>

#include "os_internal.h"

bool moirai__fence_symmetric = true;

static void choose_fence(void)
{
	const char *wish = getenv("MOIRAI_FENCE");
	bool symmetric = wish && strcmp(wish, "symmetric") == 0;
	moirai__fence_symmetric = symmetric || moirai__os_barrier_register() != 0;
}

/* Before the ordinary constructors: theirs may start threads. */
__attribute__((constructor(101))) static void prepare_fences(void)
{
	choose_fence();
	moirai__os_at_fork_child(choose_fence);
}

void moirai_fence_heavy(void)
{
	/* Pairs with every moirai_fence_light(); both outcomes are told above. */
	if (moirai__fence_symmetric) {
		moirai_fence_seq_cst();
		return;
	}
	moirai_fence_compiler();
	/*
	 * It worked when we registered. A program that forbids the call to itself afterwards has
	 * light fences that order nothing: going on would corrupt.
	 */
	if (MOIRAI_UNLIKELY(moirai__os_barrier() != 0))
		moirai_panic(__FILE__, __LINE__,
			"membarrier is refused after start; run with MOIRAI_FENCE=symmetric");
	moirai_fence_compiler();
}
