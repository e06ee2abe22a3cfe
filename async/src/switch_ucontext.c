/* SPDX-License-Identifier: MIT */
/*
 * The switch for processors without one of their own: the C library's contexts. Two system calls
 * a switch (signal masks) on most systems, so it is correct and slow.
 *
 * The ucontext of a suspended fiber lies on its own stack (moirai__switch), that of a fresh one at
 * the top of it (moirai__switch_arm); words.sp points there.
 */
#include <moirai/async/internal/switch.h>

#include "sanitizer.h"

#if !MOIRAI__SWITCH_INLINE && !defined(__i386__) && !defined(_WIN32)

#include <ucontext.h>

static void ucontext_start(unsigned high, unsigned low)
{
	uintptr_t words = (uintptr_t)((uint64_t)high << 32 | low);
	moirai__fiber_main((struct moirai__context_words *)words);
	moirai__fiber_returned();
}

void moirai__switch_arm(struct moirai__context_words *words, void *top, void *low)
{
	uintptr_t place = ((uintptr_t)top - sizeof(ucontext_t)) & ~(uintptr_t)63;
	ucontext_t *context = (ucontext_t *)place;
	(void)getcontext(context); /* fails on no system we know: there is nothing to refuse */
	context->uc_stack.ss_sp = low;
	context->uc_stack.ss_size = place - (uintptr_t)low;
	context->uc_link = NULL;
	/* makecontext passes ints. */
	makecontext(context, (void (*)(void))ucontext_start, 2,
		(unsigned)((uint64_t)(uintptr_t)words >> 32), (unsigned)(uintptr_t)words);
	words->sp = context;
	words->frame = NULL;
	words->pc = NULL;
}

void moirai__switch(struct moirai__context_words *from, struct moirai__context_words *to)
{
	ucontext_t here;
	from->sp = &here;
	(void)swapcontext(&here, to->sp);
}

#endif
