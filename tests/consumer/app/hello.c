/* SPDX-License-Identifier: MIT */
/* The program of the README, as a consumer would build it. */
#include <moirai/moirai.h>
#include <stdio.h>

static void hello(void *arg)
{
	moirai_sleep_for(10 * MOIRAI_MS); /* the task parks; its worker goes on */
	puts((const char *)arg);
}

int main(void)
{
	moirai_executor *ex;
	moirai_task *t;

	if (moirai_executor_create(&ex, NULL) < 0)
		return 1;
	if (moirai_spawn(ex, NULL, hello, (void *)"Hello from a task", &t) < 0)
		return 1;
	if (moirai_task_join(t, NULL) < 0)
		return 1;
	return moirai_executor_destroy(ex);
}
