/* SPDX-License-Identifier: MIT */
/*
 * Fibers: arming a stack, the first function that runs on it, a thread's own stack as a fiber, and
 * the slow sides of the switch.
 *
 * The top of an armed stack:
 *
 *   stack_high ->  struct fiber_start {entry, arg, (Windows: bounds)}   sp of the fresh context
 *                  moirai__switch_entry's call, moirai__fiber_main's frame, ...
 *
 * Floating-point control words (rounding, exception masks) are the thread's and not switched: that
 * would more than double the cost. A fiber with MOIRAI__FIBER_FP has its own: coming in, it keeps
 * what it found and loads its own; going out, the reverse. So only such fibers pay.
 */
#include <moirai/async/internal/fiber.h>
#include <moirai/async/internal/stack.h>

#include "sanitizer.h"

struct fiber_start {
	uintptr_t stack_high; /* 64-bit Windows reads these two from sp */
	uintptr_t stack_low;
	moirai__fiber_entry entry;
	void *arg;
};
MOIRAI_STATIC_ASSERT(sizeof(struct fiber_start) % 16 == 0, "the stack stays aligned");

static uint64_t words_read(void)
{
#if defined(__x86_64__) || defined(__i386__)
	uint32_t mxcsr = 0;
	uint16_t x87;
#ifdef __SSE__
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
#endif
	__asm__ volatile("fnstcw %0" : "=m"(x87));
	return (uint64_t)x87 << 32 | mxcsr;
#elif defined(__aarch64__)
	uint64_t fpcr;
	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	return fpcr;
#else
	return 0;
#endif
}

static void words_write(uint64_t words)
{
#if defined(__x86_64__) || defined(__i386__)
	uint16_t x87 = (uint16_t)(words >> 32);
#ifdef __SSE__
	/* The low six bits are sticky exception flags: the thread's, not part of the mode. */
	uint32_t mxcsr = (uint32_t)words;
	__asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
#endif
	__asm__ volatile("fldcw %0" ::"m"(x87));
#elif defined(__aarch64__)
	__asm__ volatile("msr fpcr, %0" ::"r"(words));
#else
	(void)words;
#endif
}

MOIRAI_COLD void moirai__fiber_leave_slow(struct moirai__fiber *from)
{
	if (from->flags & MOIRAI__FIBER_CANARY)
		MOIRAI_ASSERT(moirai__stack_canary_intact(from));
	if (from->flags & MOIRAI__FIBER_FP) {
		from->own_words = words_read();
		if (from->own_words !=
			from->outer_words) /* loading them costs more than comparing */
			words_write(from->outer_words);
	}
}

MOIRAI_COLD void moirai__fiber_enter_slow(struct moirai__fiber *self)
{
	self->outer_words = words_read();
	if (self->own_words != self->outer_words)
		words_write(self->own_words);
}

/* Where a fiber comes out whose entry function returned; called by moirai__switch_entry. */
void moirai__fiber_returned(void)
{
	moirai_panic(__FILE__, __LINE__, "a fiber's entry function returned");
}

/*
 * The first C function on a fresh stack; moirai__switch_entry leads here. Its last line must stay a
 * tail call, which leaves nothing on the processor's return stack: see switch.S.
 */
void moirai__fiber_main(struct moirai__context_words *to)
{
	struct moirai__fiber *self = MOIRAI_CONTAINER_OF(to, struct moirai__fiber, words);
	moirai__fiber_arrive(self);
	if (self->flags & MOIRAI__FIBER_FP)
		moirai__fiber_enter_slow(self);
	const struct fiber_start *start = (const struct fiber_start *)(void *)self->stack_high - 1;
	start->entry(start->arg);
}

void moirai__fiber_prepare(struct moirai__fiber *fiber, moirai__fiber_entry entry, void *arg)
{
	struct fiber_start *start = (struct fiber_start *)(void *)fiber->stack_high - 1;
	*start = (struct fiber_start){
		.stack_high = (uintptr_t)fiber->stack_high,
		.stack_low = (uintptr_t)fiber->stack_low,
		.entry = entry,
		.arg = arg,
	};
	moirai__sanitizer_fiber_open(fiber);
	if (MOIRAI_ASAN || MOIRAI_TSAN)
		fiber->flags |= MOIRAI__FIBER_TOOLS;
	/* A fresh fiber with control words of its own starts with those of the one that arms it. */
	if (MOIRAI_UNLIKELY(fiber->flags & MOIRAI__FIBER_FP))
		fiber->own_words = words_read();
	moirai__switch_arm(&fiber->words, start, fiber->stack_low);
}

void moirai__fiber_native_init(struct moirai__fiber *fiber)
{
	/* No bounds: nobody asks for them, and ASan tells them when the stack is left. */
	*fiber = (struct moirai__fiber){.flags = MOIRAI__FIBER_NATIVE};
	moirai__sanitizer_native_open(fiber);
}

void moirai__fiber_native_fini(struct moirai__fiber *fiber)
{
	MOIRAI_ASSERT(fiber->flags & MOIRAI__FIBER_NATIVE);
	*fiber = (struct moirai__fiber){0};
}
