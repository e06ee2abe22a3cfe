/* SPDX-License-Identifier: MIT */
/*
 * What the tools must be told about stacks: AddressSanitizer (poison of dead frames), TSan (a fiber
 * is a thread to it) and valgrind (where a stack begins and ends). Everything here is nothing in a
 * plain build, but for valgrind's requests, which cost a few moves when a stack is carved.
 *
 * TSan fibers are made anew for each use of a stack: TSan keeps a shadow call stack per fiber, and
 * a fiber that dies in the middle of its functions would leave it higher every time.
 */
#ifndef MOIRAI_ASYNC_SRC_SANITIZER_H
#define MOIRAI_ASYNC_SRC_SANITIZER_H

#include <moirai/async/internal/fiber.h>

#if MOIRAI_ASAN
#include <sanitizer/asan_interface.h>
#endif
#if MOIRAI_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
#endif
#ifdef MOIRAI_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* True while the lowest words of an unguarded stack are as the system gave them. */
bool moirai__stack_canary_intact(const struct moirai__fiber *fiber);

/* Makes *words start at moirai__switch_entry with the stack growing down from `top`. */
void moirai__switch_arm(struct moirai__context_words *words, void *top, void *low);

/* Valgrind keeps books on each 64 KiB of address space, used or not. */
static inline uint32_t moirai__sanitizer_regions_max(void)
{
#ifdef MOIRAI_HAVE_VALGRIND
	if (RUNNING_ON_VALGRIND)
		return 1u << 12;
#endif
	return UINT32_MAX;
}

/* A stack is about to be used. */
static inline void moirai__sanitizer_fiber_open(struct moirai__fiber *fiber)
{
	(void)fiber;
#if MOIRAI_ASAN
	fiber->fake_stack = NULL;
	fiber->left_low = fiber->stack_low;
	fiber->left_size = (size_t)(fiber->stack_high - fiber->stack_low);
#endif
#if MOIRAI_TSAN
	fiber->tool.tsan = __tsan_create_fiber(0);
#endif
}

/* Its last user is gone; the caller runs elsewhere. */
static inline void moirai__sanitizer_fiber_close(struct moirai__fiber *fiber)
{
	(void)fiber;
#if MOIRAI_ASAN
	/* Frames that were left for good stay poisoned otherwise. */
	__asan_unpoison_memory_region(
		fiber->stack_low, (size_t)(fiber->stack_high - fiber->stack_low));
#endif
#if MOIRAI_TSAN
	if (fiber->tool.tsan)
		__tsan_destroy_fiber(fiber->tool.tsan);
	fiber->tool.tsan = NULL;
#endif
}

static inline void moirai__sanitizer_native_open(struct moirai__fiber *fiber)
{
	(void)fiber;
#if MOIRAI_TSAN
	fiber->tool.tsan = __tsan_get_current_fiber();
#endif
}

/* A stack came into being, once per region; and its end, when the pool goes. */
static inline void moirai__sanitizer_stack_carved(struct moirai__fiber *fiber)
{
	(void)fiber;
#ifdef MOIRAI_HAVE_VALGRIND
	fiber->tool.valgrind_id = VALGRIND_STACK_REGISTER(fiber->stack_low, fiber->stack_high);
#endif
}

static inline void moirai__sanitizer_stack_gone(struct moirai__fiber *fiber)
{
	(void)fiber;
#ifdef MOIRAI_HAVE_VALGRIND
	VALGRIND_STACK_DEREGISTER(fiber->tool.valgrind_id);
#endif
}

#endif
