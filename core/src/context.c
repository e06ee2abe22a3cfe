/* SPDX-License-Identifier: MIT */
/* The calling thread's context: one thread-local pointer behind calls that no compiler caches. */
#include <moirai/core/internal/context.h>

static _Thread_local moirai__context *context_of_thread;

MOIRAI_NOINLINE moirai__context *moirai__context_current(void)
{
	/* A task may come here on one thread and again on another: the address is computed each time. */
	__asm__ volatile("" ::: "memory");
	return context_of_thread;
}

MOIRAI_NOINLINE void moirai__context_set(moirai__context *context)
{
	__asm__ volatile("" ::: "memory");
	context_of_thread = context;
}
