/* SPDX-License-Identifier: MIT */
/*
 * What a switch, a coroutine's round trip and its creation cost.
 *
 *   bench_switch [switch] [--quick]      one line per case: case, threads, unit, value
 */
#include <moirai/async.h>
#include <moirai/async/internal/stack.h>
#include <moirai/core/os.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct moirai__fiber outside;
static struct moirai__fiber *inside;
static uint64_t arrivals;

static void answer(void *arg)
{
	(void)arg;
	for (;;) {
		arrivals++;
		moirai__fiber_switch(inside, &outside);
	}
}

static void *answer_coroutine(moirai_coroutine *self, void *arg)
{
	while (moirai_coroutine_yield(self, arg, NULL) == 0)
		arrivals++;
	return NULL;
}

static void *return_at_once(moirai_coroutine *self, void *arg)
{
	(void)self;
	return arg;
}

static void print(const char *name, uint64_t start_ns, uint64_t count)
{
	printf("%s\t1\tns\t%.3f\n", name, (double)(moirai_os_clock() - start_ns) / (double)count);
}

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_switch: %s\n", what);
	exit(1);
}

static void bench_raw(uint64_t count)
{
	static struct moirai__stack_pool pool;
	static struct moirai__stack_cache cache;
	check(moirai__stack_pool_init(&pool, NULL) == 0, "no pool");
	moirai__fiber_native_init(&outside);
	inside = moirai__stack_get(&pool, &cache, MOIRAI__STACK_64K);
	check(inside, "no stack");
	moirai__fiber_prepare(inside, answer, NULL);
	arrivals = 0;
	uint64_t start = moirai_os_clock();
	for (uint64_t i = 0; i < count; i++)
		moirai__fiber_switch(&outside, inside);
	print("raw", start, 2 * count); /* there and back are two */
	check(arrivals == count, "lost a switch");
	moirai__stack_put(&pool, &cache, inside);
	moirai__stack_pool_fini(&pool);
}

static void bench_coroutine(uint64_t count, const char *name, bool own_fp_modes)
{
	moirai_coroutine_attr attr = {.own_fp_modes = own_fp_modes};
	moirai_coroutine *c;
	check(moirai_coroutine_create(&c, &attr, answer_coroutine, NULL) == 0, "no coroutine");
	arrivals = 0;
	uint64_t start = moirai_os_clock();
	for (uint64_t i = 0; i < count; i++)
		(void)moirai_coroutine_resume(c, NULL, NULL);
	print(name, start, count);
	check(arrivals == count - 1, "lost a resume");
	moirai_coroutine_destroy(c);
}

static void bench_create(uint64_t count)
{
	moirai_coroutine *c;
	uint64_t finished = 0;
	uint64_t start = moirai_os_clock();
	for (uint64_t i = 0; i < count; i++) {
		if (moirai_coroutine_create(&c, NULL, return_at_once, NULL) < 0)
			break;
		finished += moirai_coroutine_resume(c, NULL, NULL) < 0;
		moirai_coroutine_destroy(c);
	}
	print("coroutine_create_run_destroy", start, count);
	check(finished == count, "one did not finish");
}

/* Round robin over many live ones: what their stacks cost in cache. */
static void bench_many(uint64_t count, uint32_t live, const char *name)
{
	moirai_coroutine **all = calloc(live, sizeof(*all));
	check(all, "no memory");
	for (uint32_t i = 0; i < live; i++)
		check(moirai_coroutine_create(&all[i], NULL, answer_coroutine, NULL) == 0,
			"too many");
	for (uint32_t i = 0; i < live; i++)
		(void)moirai_coroutine_resume(all[i], NULL, NULL);
	uint64_t rounds = count / live + 1;
	uint64_t start = moirai_os_clock();
	for (uint64_t r = 0; r < rounds; r++)
		for (uint32_t i = 0; i < live; i++)
			(void)moirai_coroutine_resume(all[i], NULL, NULL);
	print(name, start, rounds * live);
	for (uint32_t i = 0; i < live; i++)
		moirai_coroutine_destroy(all[i]);
	free(all);
}

int main(int argc, char **argv)
{
	uint64_t count = 20000000;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick"))
			count = 1000000;
		else if (strcmp(argv[i], "switch") != 0)
			return 0; /* a suite that we have nothing for */
	}
	bench_raw(count);
	bench_coroutine(count, "coroutine", false);
	bench_coroutine(count / 4, "coroutine_own_fp_modes", true);
	bench_create(count / 4);
	bench_many(count / 2, 1000, "coroutine_1000_live");
	bench_many(count / 2, 5000, "coroutine_5000_live");
	return 0;
}
