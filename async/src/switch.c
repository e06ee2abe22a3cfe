/* SPDX-License-Identifier: MIT */
/* Arming a fresh context; the switch itself is inline, in switch.S or in switch_ucontext.c. */
#include <moirai/async/internal/switch.h>

#include "sanitizer.h"

#if MOIRAI__SWITCH_INLINE || defined(__i386__) || defined(_WIN32)

void moirai__switch_arm(struct moirai__context_words *words, void *top, void *low)
{
	(void)low;
	words->sp = top;
	words->frame = NULL;
	words->pc = (void *)(uintptr_t)moirai__switch_entry;
}

#endif
