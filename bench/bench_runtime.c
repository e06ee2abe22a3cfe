/* SPDX-License-Identifier: MIT */
/*
 * bench_runtime SUITE [--quick]: Moirai's side of bench/compare.
 *
 * One run measures every case of the suite once, from the public API alone, and prints
 *
 *     case <TAB> workers <TAB> unit <TAB> value
 *
 * Results are checked before a time is printed. Times are per operation. Beside the times stand the
 * counts that give them meaning: a figure for blocking in which nothing parked says nothing.
 */
#define _GNU_SOURCE
#include <moirai/moirai.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned scale = 1; /* --quick divides the sizes by ten */

static void die(const char *what, int rc)
{
	fprintf(stderr, "bench_runtime: %s: %s\n", what, moirai_strerror(rc));
	exit(1);
}

#define MUST(call)                                                                                 \
	do {                                                                                           \
		int rc_ = (call);                                                                          \
		if (rc_ < 0)                                                                               \
			die(#call, rc_);                                                                       \
	} while (0)
#define EXPECT(condition)                                                                          \
	do {                                                                                           \
		if (!(condition))                                                                          \
			die("wrong result: " #condition, -EPROTO);                                             \
	} while (0)

static void report(const char *name, unsigned workers, const char *unit, double value)
{
	printf("%s\t%u\t%s\t%.3f\n", name, workers, unit, value);
	fflush(stdout);
}

/* --- a pool and one root task on it; what a case counts --- */

struct bench {
	moirai_executor *executor;
	unsigned workers;
	void (*body)(struct bench *);
	uint64_t begin;
	moirai_alloc_stats allocs;
	moirai_executor_stats stats;
};

static void start(struct bench *b)
{
	moirai_alloc_stats_get(&b->allocs);
	MUST(moirai_executor_stats_get(b->executor, &b->stats));
	b->begin = moirai_now();
}

static void stop(struct bench *b, const char *name, uint64_t operations)
{
	double ns = (double)(moirai_now() - b->begin) / (double)operations;
	moirai_executor_stats now = {0};
	moirai_alloc_stats allocs;
	char label[64];

	MUST(moirai_executor_stats_get(b->executor, &now));
	moirai_alloc_stats_get(&allocs);
	report(name, b->workers, "ns", ns);
	snprintf(label, sizeof label, "%s.allocations", name);
	report(label, b->workers, "count", (double)(allocs.allocations - b->allocs.allocations));
	snprintf(label, sizeof label, "%s.parks", name);
	report(label, b->workers, "per_op", (double)(now.parks - b->stats.parks) / (double)operations);
	snprintf(label, sizeof label, "%s.steals", name);
	report(label, b->workers, "per_op", (double)(now.steals - b->stats.steals) / (double)operations);
}

static void root(void *arg)
{
	struct bench *b = arg;
	b->body(b);
}

static void with_pool(unsigned workers, void (*body)(struct bench *))
{
	static const uint32_t one[] = {1}, two[] = {0, 1};
	bool pin = moirai_os_cpus_usable() >= 2;
	moirai_executor_attr attr = {.size = sizeof attr, .workers = workers,
		.cpus = !pin ? NULL : workers == 1 ? one : two,
		.cpus_count = !pin ? 0 : workers == 1 ? 1 : 2};
	struct bench b = {.workers = workers, .body = body};
	moirai_task *task;

	MUST(moirai_executor_create(&b.executor, &attr));
	MUST(moirai_spawn(b.executor, NULL, root, &b, &task));
	MUST(moirai_task_join(task, NULL));
	MUST(moirai_executor_destroy(b.executor));
}

static void each_pool(void (*body)(struct bench *))
{
	with_pool(1, body);
	with_pool(2, body);
}

/* --- switch: yields between many tasks --- */

struct yielders {
	uint64_t rounds;
	uint64_t done;
};

static void yielder(void *arg)
{
	struct yielders *y = arg;
	for (uint64_t i = 0; i < y->rounds; i++)
		moirai_yield();
	moirai_fetch_add_relaxed(&y->done, 1); /* joined before it is read */
}

static void yield_among(struct bench *b, const char *name, unsigned tasks)
{
	struct yielders y = {.rounds = 4000000 / scale / tasks};
	moirai_task **all = calloc(tasks, sizeof(*all));

	EXPECT(all);
	start(b);
	for (unsigned i = 0; i < tasks; i++)
		MUST(moirai_spawn(b->executor, NULL, yielder, &y, &all[i]));
	for (unsigned i = 0; i < tasks; i++)
		MUST(moirai_task_join(all[i], NULL));
	stop(b, name, y.rounds * tasks);
	EXPECT(y.done == tasks);
	free(all);
}

static void bench_switch(struct bench *b)
{
	yield_among(b, "yield_2", 2);
	yield_among(b, "yield_1000", 1000);
	yield_among(b, "yield_5000", 5000);
}

/* --- spawn --- */

static void count(void *arg)
{
	uint64_t *n = arg;
	moirai_fetch_add_relaxed(n, 1); /* joined before it is read */
}

static void nothing(void *arg)
{
	(void)arg;
}

static void join_one(struct bench *b)
{
	uint64_t n = 2000000 / scale;
	moirai_task *task;

	for (int round = 0; round < 2; round++) { /* the first round warms up */
		start(b);
		for (uint64_t i = 0; i < n; i++) {
			MUST(moirai_spawn(b->executor, NULL, nothing, NULL, &task));
			MUST(moirai_task_join(task, NULL));
		}
	}
	stop(b, "join_one", n);
}

/* Joined as they were spawned, or the youngest first: the memory of n cells is walked up or down. */
static void spawn_round(struct bench *b, moirai_task **all, uint64_t n, bool youngest_first)
{
	start(b);
	for (uint64_t i = 0; i < n; i++)
		MUST(moirai_spawn(b->executor, NULL, nothing, NULL, &all[i]));
	for (uint64_t i = 0; i < n; i++)
		MUST(moirai_task_join(all[youngest_first ? n - 1 - i : i], NULL));
}

static void spawn_all(struct bench *b, uint64_t n)
{
	moirai_task **all = malloc(n * sizeof(*all));

	EXPECT(all);
	memset(all, 0, n * sizeof(*all)); /* the handles' own pages are not what is measured */
	spawn_round(b, all, n, false);
	stop(b, "all_cold", n);
	for (int round = 0; round < 2; round++)
		spawn_round(b, all, n, false);
	stop(b, "all_warm", n);
	for (int round = 0; round < 2; round++)
		spawn_round(b, all, n, true);
	stop(b, "all_warm_youngest_first", n);
	/* A fifth of the cells: they stay in the caches. */
	for (int round = 0; round < 3; round++)
		spawn_round(b, all, n / 5, false);
	stop(b, "all_warm_small", n / 5);
	free(all);
}

static void detached(struct bench *b)
{
	uint64_t n = 1000000 / scale, ran = 0;

	for (int round = 0; round < 2; round++) {
		ran = 0;
		start(b);
		for (uint64_t i = 0; i < n; i++) {
			MUST(moirai_spawn(b->executor, NULL, count, &ran, NULL));
			if (i % 1000 == 999) /* let them run: cells are reused */
				moirai_yield();
		}
		while (moirai_load_acquire(&ran) < n)
			moirai_yield();
	}
	stop(b, "detached", n);
}

static void bench_spawn(struct bench *b)
{
	join_one(b);
	spawn_all(b, 1000000 / scale);
	detached(b);
}

/* A foreign thread spawns; the workers have the other processor, or share both. */
static void foreign(unsigned workers)
{
	uint64_t n = 1000000 / scale, ran = 0;
	static const uint32_t one[] = {1};
	moirai_executor_attr attr = {.size = sizeof attr, .workers = workers,
		.cpus = workers == 1 && moirai_os_cpus_usable() >= 2 ? one : NULL,
		.cpus_count = workers == 1 && moirai_os_cpus_usable() >= 2 ? 1 : 0};
	moirai_cpuset before, mine = {{0}};
	struct bench b = {.workers = workers};

	MUST(moirai_executor_create(&b.executor, &attr));
	MUST(moirai_os_affinity_get(&before));
	if (attr.cpus_count) {
		moirai_cpuset_add(&mine, 0);
		MUST(moirai_os_affinity_set(&mine));
	}
	for (int round = 0; round < 2; round++) {
		ran = 0;
		start(&b);
		for (uint64_t i = 0; i < n; i++)
			MUST(moirai_spawn(b.executor, NULL, count, &ran, NULL));
		if (round == 1)
			report("foreign", workers, "ns", (double)(moirai_now() - b.begin) / (double)n);
		MUST(moirai_executor_drain(b.executor, MOIRAI_NEVER));
		EXPECT(moirai_load_acquire(&ran) == n);
	}
	stop(&b, "foreign_and_run", n);
	MUST(moirai_os_affinity_set(&before));
	MUST(moirai_executor_destroy(b.executor));
}

/* --- block --- */

static void set_and_unpark(void *arg)
{
	uint32_t *word = arg;
	moirai_store_release(word, 1); /* pairs with the acquire in wait_for */
	moirai_unpark(word, 1);
}

static MOIRAI_ALWAYS_INLINE void wait_for(uint32_t *word, uint32_t value)
{
	for (uint32_t seen; (seen = moirai_load_acquire(word)) != value;) /* pairs with the release before unpark */
		moirai_park(word, seen, MOIRAI_NEVER);
}

static void park_wake_new(struct bench *b)
{
	uint64_t n = 1000000 / scale;
	uint32_t word;

	for (int round = 0; round < 2; round++) {
		start(b);
		for (uint64_t i = 0; i < n; i++) {
			moirai_store_relaxed(&word, 0); /* nobody else knows the word yet */
			MUST(moirai_spawn(b->executor, NULL, set_and_unpark, &word, NULL));
			wait_for(&word, 1);
		}
	}
	stop(b, "park_wake_new", n);
}

struct table_tennis {
	uint32_t ball; /* whose turn it is: 0 or 1 */
	uint32_t pad_[15];
	uint64_t rounds;
};

/* One call site for both players: what is measured is the switch, not the return predictor. */
static MOIRAI_NOINLINE void play(struct table_tennis *t, uint32_t me)
{
	for (uint64_t i = 0; i < t->rounds; i++) {
		wait_for(&t->ball, me);
		moirai_store_release(&t->ball, 1 - me); /* pairs with the acquire in wait_for */
		moirai_unpark(&t->ball, 1);
	}
}

static void opponent(void *arg)
{
	play(arg, 1);
}

static void ping_pong(struct bench *b)
{
	struct table_tennis t = {.rounds = 1000000 / scale};
	moirai_task *task;

	MUST(moirai_spawn(b->executor, NULL, opponent, &t, &task));
	start(b);
	play(&t, 0);
	MUST(moirai_task_join(task, NULL));
	stop(b, "ping_pong", t.rounds);
}

struct crowd {
	uint32_t gate;
	uint32_t inside;
};

static void parked(void *arg)
{
	struct crowd *c = arg;
	moirai_fetch_add_release(&c->inside, 1); /* pairs with the acquire in park_all */
	wait_for(&c->gate, 1);
}

static void park_all(struct bench *b)
{
	uint32_t n = 100000 / scale;
	struct crowd c = {0};
	moirai_task **all = calloc(n, sizeof(*all));

	EXPECT(all);
	start(b);
	for (uint32_t i = 0; i < n; i++)
		MUST(moirai_spawn(b->executor, NULL, parked, &c, &all[i]));
	while (moirai_load_acquire(&c.inside) < n) /* pairs with the release in parked */
		moirai_yield();
	moirai_store_release(&c.gate, 1); /* pairs with the acquire in wait_for */
	moirai_unpark(&c.gate, UINT32_MAX);
	for (uint32_t i = 0; i < n; i++)
		MUST(moirai_task_join(all[i], NULL));
	stop(b, "park_all", n);
	free(all);
}

static void bench_block(struct bench *b)
{
	park_wake_new(b);
	ping_pong(b);
	park_all(b);
}

/* --- idle: what an idle pool costs, and how soon it wakes --- */

/* Sums a "name: value" line of /proc/self/task/TID/status over all threads but the caller. */
static uint64_t of_other_threads(const char *name)
{
	char path[300], line[256];
	uint64_t sum = 0;
	DIR *tasks = opendir("/proc/self/task");

	EXPECT(tasks);
	for (struct dirent *e; (e = readdir(tasks));) {
		if (e->d_name[0] == '.' || (pid_t)atoi(e->d_name) == getpid())
			continue;
		snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
		FILE *f = fopen(path, "r");
		while (f && fgets(line, sizeof line, f))
			if (!strncmp(line, name, strlen(name)))
				sum += strtoull(line + strlen(name) + 1, NULL, 10);
		if (f)
			fclose(f);
	}
	closedir(tasks);
	return sum;
}

static uint64_t rss_kib(void)
{
	char line[256];
	uint64_t kib = 0;
	FILE *f = fopen("/proc/self/smaps_rollup", "r");

	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "Anonymous:", 10))
			kib = strtoull(line + 10, NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

static uint64_t spawned_at, ran_at;

static void stamp(void *arg)
{
	(void)arg;
	ran_at = moirai_now();
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static double wake_latency_us(moirai_executor *executor)
{
	enum { SAMPLES = 101 };
	uint64_t ns[SAMPLES];

	for (int i = 0; i < SAMPLES; i++) {
		moirai_task *task;
		moirai_os_sleep(2 * MOIRAI_MS); /* the pool falls asleep */
		spawned_at = moirai_now();
		MUST(moirai_spawn(executor, NULL, stamp, NULL, &task));
		MUST(moirai_task_join(task, NULL));
		ns[i] = ran_at - spawned_at;
	}
	qsort(ns, SAMPLES, sizeof(ns[0]), by_value);
	return (double)ns[SAMPLES / 2] / 1e3;
}

/* The floor: one thread wakes another by the system's futex, nothing between. */
static uint32_t bare_word;

static void bare_sleeper(void *arg)
{
	(void)arg;
	for (;;) {
		uint32_t v;
		while ((v = moirai_load_acquire(&bare_word)) == 0) /* pairs with the release in bare_wake */
			moirai_os_futex_wait(&bare_word, 0, MOIRAI_NEVER);
		if (v == 2)
			return;
		ran_at = moirai_now();
		moirai_store_release(&bare_word, 0); /* pairs with the acquire in bare_wake_us */
	}
}

static double bare_wake_us(void)
{
	enum { SAMPLES = 101 };
	uint64_t ns[SAMPLES];
	moirai_os_thread thread;

	MUST(moirai_os_thread_create(&thread, NULL, bare_sleeper, NULL));
	for (int i = 0; i < SAMPLES; i++) {
		moirai_os_sleep(2 * MOIRAI_MS);
		spawned_at = moirai_now();
		moirai_store_release(&bare_word, 1); /* pairs with the acquire in bare_sleeper */
		moirai_os_futex_wake(&bare_word, 1);
		while (moirai_load_acquire(&bare_word)) /* pairs with the release in bare_sleeper */
			moirai_cpu_relax();
		ns[i] = ran_at - spawned_at;
	}
	moirai_store_release(&bare_word, 2);
	moirai_os_futex_wake(&bare_word, 1);
	MUST(moirai_os_thread_join(thread));
	qsort(ns, SAMPLES, sizeof(ns[0]), by_value);
	return (double)ns[SAMPLES / 2] / 1e3;
}

static void idle(void)
{
	moirai_executor_attr attr = {.size = sizeof attr, .workers = 2};
	moirai_executor *executor;
	uint64_t hold = 10 * MOIRAI_S / scale, rss = rss_kib();

	MUST(moirai_executor_create(&executor, &attr));
	moirai_os_sleep(50 * MOIRAI_MS);
	report("rss", 2, "kib", (double)(rss_kib() - rss));
	for (int i = 0; i < 1000; i++)
		MUST(moirai_spawn(executor, NULL, nothing, NULL, NULL));
	MUST(moirai_executor_drain(executor, MOIRAI_NEVER));
	moirai_os_sleep(200 * MOIRAI_MS);

	uint64_t switches = of_other_threads("voluntary_ctxt_switches") + of_other_threads("nonvoluntary_ctxt_switches");
	/* bench/compare runs this under strace and counts what the workers do between these lines. */
	fprintf(stderr, "idle: begin\n");
	moirai_os_sleep(hold);
	fprintf(stderr, "idle: end\n");
	switches = of_other_threads("voluntary_ctxt_switches") + of_other_threads("nonvoluntary_ctxt_switches") - switches;
	report("switches", 2, "count", (double)switches);
	double bare = bare_wake_us();
	report("wake", 2, "us", wake_latency_us(executor));
	report("wake_bare_futex", 2, "us", bare);
	MUST(moirai_executor_destroy(executor));
}

static int usage(FILE *out)
{
	fprintf(out, "usage: bench_runtime switch|spawn|block|idle [--quick]\n"
		     "Prints: case <TAB> workers <TAB> unit <TAB> value. bench/compare drives it.\n");
	return out == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	const char *suite = argc > 1 ? argv[1] : "";

	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--quick"))
			return usage(stderr);
		scale = 10;
	}
	if (!strcmp(suite, "--help"))
		return usage(stdout);
	if (!strcmp(suite, "switch")) {
		each_pool(bench_switch);
	} else if (!strcmp(suite, "spawn")) {
		each_pool(bench_spawn);
		foreign(1);
		foreign(2);
	} else if (!strcmp(suite, "block")) {
		each_pool(bench_block);
	} else if (!strcmp(suite, "idle")) {
		idle();
	} else {
		return usage(stderr);
	}
	return 0;
}
