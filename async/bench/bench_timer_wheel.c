/* SPDX-License-Identifier: MIT */
/*
 * What a timer costs: deadlines uniform over 30 s, ticks of 1.05 ms, 1 M pending.
 *
 *   bench_timer_wheel [timers] [--quick]      one line per case: case, threads, unit, value
 */
#include <moirai/async/internal/timer_wheel.h>
#include <moirai/core/os.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REACH_NS 30000000000ull
#define SCRATCH  1024

static uint64_t seed = 88172645463325252ull;
static uint64_t failures;

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void print(const char *name, uint64_t start_ns, uint64_t count)
{
	printf("%s\t1\tns\t%.2f\n", name, (double)(moirai_os_clock() - start_ns) / (double)count);
}

static void start_cancel(struct moirai__timer_wheel *wheel, struct moirai__timer *scratch,
	uint64_t now, uint64_t count, const char *name)
{
	uint64_t start = moirai_os_clock();
	for (uint64_t i = 0; i < count; i++) {
		struct moirai__timer *timer = &scratch[i % SCRATCH];
		failures +=
			moirai__timer_start(wheel, timer, now + 1000000 + draw() % REACH_NS) != 0;
		failures += !moirai__timer_cancel(wheel, timer);
	}
	print(name, start, count);
}

int main(int argc, char **argv)
{
	uint64_t pending = 1000000, now = 1ull << 40, fired = 0;
	static struct moirai__timer_wheel wheel;
	static struct moirai__timer scratch[SCRATCH];
	struct moirai__timer *due[256];
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick"))
			pending = 50000;
		else if (strcmp(argv[i], "timers") != 0)
			return 0;
	}
	struct moirai__timer *timers = calloc((size_t)pending, sizeof(*timers));
	if (!timers || moirai__timer_wheel_init(&wheel, 20, now) < 0)
		return 1;
	start_cancel(&wheel, scratch, now, 5 * pending, "start_cancel_0_pending");
	uint64_t start = moirai_os_clock();
	for (uint64_t i = 0; i < pending; i++)
		failures += moirai__timer_start(
				    &wheel, &timers[i], now + 1000000 + draw() % REACH_NS) != 0;
	print("insert", start, pending);
	start_cancel(&wheel, scratch, now, 5 * pending, "start_cancel_1m_pending");
	start = moirai_os_clock();
	for (uint64_t i = 0; i < pending; i++) {
		struct moirai__timer *timer = &timers[draw() % pending];
		failures += !moirai__timer_cancel(&wheel, timer);
		failures +=
			moirai__timer_start(&wheel, timer, now + 1000000 + draw() % REACH_NS) != 0;
	}
	print("move_a_random_one", start, pending);
	start = moirai_os_clock();
	for (uint64_t t = now; t <= now + REACH_NS + 10000000; t += 1000000) {
		size_t n;
		do {
			n = moirai__timer_wheel_expire(&wheel, t, due, 256);
			fired += n;
		} while (n == 256);
	}
	print("expire", start, pending);
	moirai__timer_wheel_fini(&wheel);
	free(timers);
	if (failures || fired != pending)
		fprintf(stderr, "bench_timer_wheel: wrong results\n");
	return failures || fired != pending;
}
