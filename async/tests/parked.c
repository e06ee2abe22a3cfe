/* SPDX-License-Identifier: MIT */
/* For backtrace.sh: three coroutines parked at known places when all_parked() is called. */
#include <moirai/async.h>

static MOIRAI_NOINLINE void deep_inside(moirai_coroutine *self, int depth)
{
	if (depth)
		deep_inside(self, depth - 1);
	else
		(void)moirai_coroutine_yield(self, NULL, NULL);
	__asm__ volatile(""); /* no tail call */
}

static void *parks(moirai_coroutine *self, void *arg)
{
	deep_inside(self, (int)(intptr_t)arg);
	return NULL;
}

MOIRAI_NOINLINE void all_parked(void);
MOIRAI_NOINLINE void all_parked(void)
{
	__asm__ volatile("");
}

int main(void)
{
	moirai_coroutine *c[4];
	int wrong = 0;
	for (int i = 0; i < 4; i++)
		if (moirai_coroutine_create(&c[i], NULL, parks, (void *)(intptr_t)i) < 0)
			return 1;
	moirai_coroutine_destroy(c[3]); /* a free one is not listed */
	for (int i = 0; i < 3; i++)
		wrong += moirai_coroutine_resume(c[i], NULL, NULL) != 0;
	all_parked();
	for (int i = 0; i < 3; i++) {
		wrong += moirai_coroutine_resume(c[i], NULL, NULL) == 0;
		moirai_coroutine_destroy(c[i]);
	}
	return wrong;
}
