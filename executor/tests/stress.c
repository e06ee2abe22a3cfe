/* SPDX-License-Identifier: MIT */
/*
 * The stress suite of the runtime: stress WORKERS [ROUNDS]. Every program of it waits for something
 * that comes only if no wake-up, no item and no deadline is lost, so a bug shows as a wrong sum or as
 * a hang that the time limit turns into a failure. The seed is printed; STRESS_SEED sets it.
 *
 * The locks and channels are built on moirai_park() here, from threads and tasks alike.
 */
#include "support.h"

static unsigned workers;
static moirai_executor *pool;
static uint64_t seed;
static unsigned scale; /* loops are divided by it where everything is slow */

/* A generator per caller's stack: no thread-local is kept over a park. */
struct dice {
	uint64_t state;
};

static struct dice dice_new(void)
{
	static uint64_t next;
	return (struct dice){seed + moirai_fetch_add_relaxed(&next, 0x9E3779B97F4A7C15ull)};
}

static uint32_t roll(struct dice *dice, uint32_t sides)
{
	dice->state = dice->state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(dice->state >> 33) % sides;
}

static uint32_t never; /* nobody changes or wakes it */

/* --- primitives on park --- */

struct mutex {
	uint32_t word; /* 0 free, 1 held, 2 held and somebody may wait */
};

static int mutex_lock_until(struct mutex *mutex, uint64_t deadline)
{
	uint32_t expected = 0;
	if (moirai_cas_acquire(&mutex->word, &expected, 1u))
		return 0;
	while (moirai_exchange_acquire(&mutex->word, 2u) != 0) {
		int rc = moirai_park(&mutex->word, 2, deadline);
		if (rc == -ETIMEDOUT || rc == -ECANCELED)
			return rc;
	}
	return 0;
}

static void mutex_lock(struct mutex *mutex)
{
	CHECK(mutex_lock_until(mutex, MOIRAI_NEVER) == 0);
}

static void mutex_unlock(struct mutex *mutex)
{
	if (moirai_exchange_release(&mutex->word, 0u) == 2)
		moirai_unpark(&mutex->word, 1);
}

struct permits {
	uint32_t count, waiters;
};

static int permit_take(struct permits *permits, uint64_t deadline)
{
	for (;;) {
		uint32_t count = moirai_load_relaxed(&permits->count);
		while (count > 0)
			if (moirai_cas_weak_acquire(&permits->count, &count, count - 1))
				return 0;
		moirai_fetch_add_seq_cst(&permits->waiters, 1u);
		int rc = moirai_park(&permits->count, 0, deadline);
		moirai_fetch_sub_relaxed(&permits->waiters, 1u);
		if (rc == -ETIMEDOUT || rc == -ECANCELED)
			return rc;
	}
}

static void permit_post(struct permits *permits)
{
	moirai_fetch_add_seq_cst(&permits->count, 1u);
	if (moirai_load_seq_cst(&permits->waiters))
		moirai_unpark(&permits->count, 1);
}

static void spawn(moirai_task_fn fn, void *arg, moirai_task **task)
{
	int rc = moirai_spawn(pool, NULL, fn, arg, task);
	if (rc < 0) {
		printf("# spawn: %s\n", moirai_strerror(rc));
		abort();
	}
}

static void spawn_pinned(moirai_task_fn fn, void *arg, moirai_task **task)
{
	moirai_task_attr attr = {
		.size = sizeof(attr), .flags = MOIRAI_TASK_PINNED, .name = "pinned"};
	if (moirai_spawn(pool, &attr, fn, arg, task) < 0)
		abort();
}

static void join(moirai_task *task)
{
	CHECK(moirai_task_join(task, NULL) == 0);
}

static moirai_os_thread thread(void (*fn)(void *), void *arg)
{
	moirai_os_thread thread;
	if (moirai_os_thread_create(&thread, NULL, fn, arg) < 0)
		abort();
	return thread;
}

/* --- tasks and threads on one mutex, with deadlines --- */

static struct {
	struct mutex mutex;
	uint32_t inside, taken, timed_out;
	long plain; /* under the mutex */
} shared;

static void fight(void *arg)
{
	struct dice dice = dice_new();
	for (unsigned i = 0; i < *(unsigned *)arg; i++) {
		uint64_t deadline =
			roll(&dice, 3) ? MOIRAI_NEVER : moirai_now() + roll(&dice, 20000);
		int rc = mutex_lock_until(&shared.mutex, deadline);
		if (rc == -ETIMEDOUT) {
			moirai_fetch_add_relaxed(&shared.timed_out, 1u);
			continue;
		}
		CHECK(rc == 0);
		CHECK(moirai_fetch_add_relaxed(&shared.inside, 1u) == 0);
		shared.plain++;
		if (roll(&dice, 16) == 0)
			moirai_yield();
		moirai_fetch_sub_relaxed(&shared.inside, 1u);
		mutex_unlock(&shared.mutex);
		moirai_fetch_add_relaxed(&shared.taken, 1u);
	}
}

static void tasks_and_threads_share_a_mutex(void)
{
	unsigned n = 400 / scale;
	moirai_task *tasks[16];
	moirai_os_thread threads[4];
	memset(&shared, 0, sizeof(shared));
	for (int i = 0; i < 16; i++)
		(i % 4 ? spawn : spawn_pinned)(fight, &n, &tasks[i]);
	for (int i = 0; i < 4; i++)
		threads[i] = thread(fight, &n);
	for (int i = 0; i < 16; i++)
		join(tasks[i]);
	for (int i = 0; i < 4; i++)
		CHECK(moirai_os_thread_join(threads[i]) == 0);
	CHECK(shared.plain == (long)shared.taken);
	CHECK(shared.taken + shared.timed_out == 20 * n);
}

/* --- a bounded channel between 4+4 tasks and 2+2 threads --- */

static struct {
	struct mutex mutex;
	struct permits items, room;
	unsigned head, tail, capacity;
	uint64_t ring[64];
	uint64_t sum;
	unsigned per;
} channel;

static void send_all(void *arg)
{
	(void)arg;
	for (unsigned i = 1; i <= channel.per; i++) {
		CHECK(permit_take(&channel.room, MOIRAI_NEVER) == 0);
		mutex_lock(&channel.mutex);
		channel.ring[channel.tail++ % channel.capacity] = i;
		mutex_unlock(&channel.mutex);
		permit_post(&channel.items);
	}
}

static void receive_all(void *arg)
{
	(void)arg;
	uint64_t sum = 0;
	for (unsigned i = 0; i < channel.per; i++) {
		CHECK(permit_take(&channel.items, MOIRAI_NEVER) == 0);
		mutex_lock(&channel.mutex);
		sum += channel.ring[channel.head++ % channel.capacity];
		mutex_unlock(&channel.mutex);
		permit_post(&channel.room);
	}
	moirai_fetch_add_relaxed(&channel.sum, sum);
}

static void channel_run(unsigned per, unsigned capacity, unsigned threads)
{
	memset(&channel, 0, sizeof(channel));
	channel.per = per;
	channel.capacity = channel.room.count = capacity;
	moirai_task *tasks[8];
	moirai_os_thread senders[2], receivers[2];
	for (int i = 0; i < 4; i++) {
		spawn(send_all, NULL, &tasks[i]);
		spawn(receive_all, NULL, &tasks[4 + i]);
	}
	for (unsigned i = 0; i < threads; i++) {
		senders[i] = thread(send_all, NULL);
		receivers[i] = thread(receive_all, NULL);
	}
	for (int i = 0; i < 8; i++)
		join(tasks[i]);
	for (unsigned i = 0; i < threads; i++) {
		CHECK(moirai_os_thread_join(senders[i]) == 0);
		CHECK(moirai_os_thread_join(receivers[i]) == 0);
	}
	CHECK(channel.sum == (uint64_t)(4 + threads) * per * (per + 1) / 2);
}

static void a_channel_loses_nothing(void)
{
	channel_run(1500 / scale, 1, 0);
	channel_run(400 / scale, 3, 2);
}

/* --- permits against deadlines: taken exactly when the wait says 0 --- */

static struct permits scarce;
static uint32_t scarce_taken, scarce_late;

static void take_some(void *arg)
{
	struct dice dice = dice_new();
	for (unsigned i = 0; i < *(unsigned *)arg; i++) {
		int rc = permit_take(&scarce, moirai_now() + roll(&dice, 60000));
		CHECK(rc == 0 || rc == -ETIMEDOUT);
		moirai_fetch_add_relaxed(rc == 0 ? &scarce_taken : &scarce_late, 1u);
	}
}

static void post_some(void *arg)
{
	struct dice dice = dice_new();
	for (unsigned i = 0; i < *(unsigned *)arg; i++) {
		permit_post(&scarce);
		if (roll(&dice, 2))
			CHECK(moirai_park(&never, 0, moirai_now() + roll(&dice, 30000)) ==
				-ETIMEDOUT);
		else
			moirai_yield();
	}
}

static void a_permit_and_a_deadline_never_both_win(void)
{
	unsigned n = 200 / scale;
	moirai_task *tasks[12];
	scarce = (struct permits){0};
	scarce_taken = scarce_late = 0;
	for (int i = 0; i < 12; i++)
		spawn(i < 8 ? take_some : post_some, &n, &tasks[i]);
	moirai_os_thread taker = thread(take_some, &n);
	for (int i = 0; i < 12; i++)
		join(tasks[i]);
	CHECK(moirai_os_thread_join(taker) == 0);
	CHECK(scarce_taken + scarce.count == 4 * n);
	CHECK(scarce_taken + scarce_late == 9 * n);
	CHECK(scarce.waiters == 0);
}

/* --- spawn trees, detached and joined, from foreign threads --- */

static uint32_t leaves;

static void tree(void *arg)
{
	uintptr_t depth = (uintptr_t)arg;
	if (depth == 0) {
		moirai_fetch_add_relaxed(&leaves, 1u);
		return;
	}
	struct dice dice = dice_new();
	moirai_task *task;
	spawn(tree, (void *)(depth - 1), NULL);
	spawn(tree, (void *)(depth - 1), &task);
	if (roll(&dice, 4) == 0)
		CHECK(moirai_task_detach(task) == 0);
	else
		join(task);
}

static void plant(void *arg)
{
	spawn(tree, arg, NULL);
}

static void trees_grow_from_foreign_threads(void)
{
	uintptr_t depth = scale > 1 ? 8 : 11;
	moirai_os_thread threads[4];
	leaves = 0;
	for (int i = 0; i < 4; i++)
		threads[i] = thread(plant, (void *)depth);
	for (int i = 0; i < 4; i++)
		CHECK(moirai_os_thread_join(threads[i]) == 0);
	CHECK(moirai_executor_drain(pool, MOIRAI_NEVER) == 0);
	CHECK(leaves == 4u << depth);
}

/* --- raw ping-pong --- */

static uint32_t ball;
static unsigned ball_rounds;

static void play(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;
	for (unsigned i = 0; i < ball_rounds; i++) {
		uint32_t seen;
		while ((seen = moirai_load_acquire(&ball)) % 2 != me)
			moirai_park(&ball, seen, MOIRAI_NEVER);
		moirai_store_release(&ball, seen + 1);
		moirai_unpark(&ball, 1);
	}
}

static void ping_pong_never_stops_early(void)
{
	moirai_task *a, *b;
	ball = 0;
	ball_rounds = 5000 / scale;
	spawn(play, (void *)0, &a);
	spawn(play, (void *)1, &b);
	join(a);
	join(b);
	CHECK(ball == 2 * ball_rounds);
	ball = 0;
	ball_rounds = 1000 / scale;
	spawn(play, (void *)0, &a);
	moirai_os_thread other = thread(play, (void *)1);
	join(a);
	CHECK(moirai_os_thread_join(other) == 0);
	CHECK(ball == 2 * ball_rounds);
}

/* --- tasks that move while a caller waits for them --- */

static uint32_t moves;

static void migrate(void *arg)
{
	(void)arg;
	int last = moirai_executor_worker();
	moirai_task *self = moirai_task_current();
	for (int i = 0; i < 200; i++) {
		if (i % 3 == 0)
			CHECK(moirai_park(&never, 0, moirai_now() + 1000) == -ETIMEDOUT);
		else
			moirai_yield();
		CHECK(moirai_task_current() == self);
		int now = moirai_executor_worker();
		if (now != last)
			moirai_fetch_add_relaxed(&moves, 1u);
		last = now;
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Called in place by the joiner, comes back on another worker. */
static void wander(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		moirai_yield();
	CHECK(moirai_park(&never, 0, moirai_now() + 2000) == -ETIMEDOUT);
}

static void join_wanderers(void *arg)
{
	moirai_task *self = moirai_task_current(), *task;
	for (unsigned i = 0; i < *(unsigned *)arg; i++) {
		spawn(wander, NULL, &task);
		join(task);
		CHECK(moirai_task_current() == self);
		spawn(nothing, NULL, &task); /* from the right worker's slab? */
		moirai_yield();
		join(task);
	}
}

static void tasks_move_and_stay_themselves(void)
{
	unsigned n = 60 / scale;
	moirai_task *tasks[32];
	for (int i = 0; i < 32; i++)
		spawn(i % 4 ? migrate : join_wanderers, &n, &tasks[i]);
	for (int i = 0; i < 32; i++)
		join(tasks[i]);
}

/* --- sleeping workers --- */

static void a_sleeping_pool_wakes(void)
{
	struct dice dice = dice_new();
	for (unsigned i = 0; i < 200 / scale; i++) {
		moirai_task *tasks[3];
		moirai_os_sleep(roll(&dice, 300) * MOIRAI_US);
		for (int k = 0; k < 3; k++)
			spawn(nothing, NULL, &tasks[k]);
		for (int k = 0; k < 3; k++)
			join(tasks[k]);
	}
}

/* --- starvation: what is queued behind a busy owner is run by somebody else --- */

static void set_flag(void *arg)
{
	moirai_store_release((uint32_t *)arg, 1u);
}

/* Spawns a child and then keeps its worker without ever parking, until the child has run. */
static void hog(void *arg)
{
	(void)arg;
	uint32_t ran = 0;
	spawn(set_flag, &ran, NULL);
	uint64_t start = moirai_now();
	while (!moirai_load_acquire(&ran) && moirai_now() - start < PATIENCE_NS)
		moirai_os_yield();
	CHECK(moirai_load_acquire(&ran));
}

static void wait_for_hog(void *arg)
{
	struct gate *gate = arg;
	gate_wait(gate);
}

/* The same with a fiber that it wakes. */
static void waking_hog(void *arg)
{
	(void)arg;
	struct gate gate = {0};
	moirai_task *task;
	spawn(wait_for_hog, &gate, &task);
	CHECK(await_state(task, MOIRAI_TASK_PARKED));
	moirai_os_sleep(3 * MOIRAI_MS); /* the others fall asleep for good */
	gate_open(&gate);
	uint64_t start = moirai_now();
	while (!moirai_load_acquire(&gate.passed) && moirai_now() - start < PATIENCE_NS)
		moirai_os_yield();
	CHECK(moirai_load_acquire(&gate.passed));
	join(task);
}

static void nothing_starves_behind_a_busy_worker(void)
{
	if (workers < 2)
		SKIP("nobody else is there");
	/* After ping-pong, so that the thieves have learnt that stealing does not pay; and after rest. */
	for (int i = 0; i < 8; i++) {
		moirai_task *a, *b, *task;
		if (i % 2) {
			ball = 0;
			ball_rounds = 500 / scale;
			spawn(play, (void *)0, &a);
			spawn(play, (void *)1, &b);
			join(a);
			join(b);
		} else {
			moirai_os_sleep(3 * MOIRAI_MS);
		}
		spawn(i % 4 < 2 ? hog : waking_hog, NULL, &task);
		join(task);
	}
}

/* --- cancel against everything --- */

static uint32_t cancel_waits;

static void wait_in_many_ways(void *arg)
{
	(void)arg;
	struct dice dice = dice_new();
	for (;;) {
		int rc = 0;
		switch (roll(&dice, 4)) {
		case 0:
			rc = moirai_sleep_for(roll(&dice, 50000));
			break;
		case 1:
			rc = permit_take(&scarce, moirai_now() + roll(&dice, 50000));
			break;
		case 2:
			moirai_yield();
			break;
		default:
			rc = mutex_lock_until(&shared.mutex, MOIRAI_NEVER);
			if (rc == 0)
				mutex_unlock(&shared.mutex);
		}
		moirai_fetch_add_relaxed(&cancel_waits, 1u);
		if (rc == -ECANCELED)
			return;
		CHECK(rc == 0 || rc == -ETIMEDOUT);
	}
}

static void every_task_can_be_cancelled(void)
{
	struct dice dice = dice_new();
	scarce = (struct permits){0};
	memset(&shared, 0, sizeof(shared));
	for (unsigned round = 0; round < 20 / scale + 1; round++) {
		moirai_task *tasks[20];
		for (int i = 0; i < 20; i++)
			(i % 5 ? spawn : spawn_pinned)(wait_in_many_ways, NULL, &tasks[i]);
		moirai_os_sleep(roll(&dice, 2000) * MOIRAI_US);
		for (int i = 0; i < 20; i++)
			CHECK(moirai_task_cancel(tasks[i]) == 0);
		for (int i = 0; i < 20; i++) {
			int rc = moirai_task_join(tasks[i], NULL);
			CHECK(rc == 0 || rc == -ECANCELED);
		}
	}
}

/* --- shutdown with 500 parked --- */

static uint32_t sent_away;

static void wait_for_ever(void *arg)
{
	(void)arg;
	struct dice dice = dice_new();
	uint64_t deadline = roll(&dice, 2) ? MOIRAI_NEVER : moirai_deadline_after(3600 * MOIRAI_S);
	if (moirai_park(&never, 0, deadline) == -ECANCELED)
		moirai_fetch_add_relaxed(&sent_away, 1u);
}

static void shutdown_finds_all_who_wait(void)
{
	struct dice dice = dice_new();
	sent_away = 0;
	moirai_executor_stats stats = {.size = sizeof(stats)};
	CHECK(moirai_executor_stats_get(pool, &stats) == 0);
	uint64_t never_ran = stats.cancelled;
	for (int i = 0; i < 500; i++)
		spawn(wait_for_ever, NULL, NULL);
	if (roll(&dice, 2))
		moirai_os_sleep(2 * MOIRAI_MS);
	CHECK(moirai_executor_shutdown(pool, MOIRAI_SHUTDOWN_CANCEL, MOIRAI_NEVER) == 0);
	CHECK(moirai_executor_stats_get(pool, &stats) == 0);
	CHECK(sent_away + (stats.cancelled - never_ran) == 500);
	CHECK(stats.spawned == stats.finished);
	CHECK(moirai_executor_destroy(pool) == 0);
	DIAG("%u workers: %llu parks, %llu steals, %llu inlined, %llu sleeps, %llu naps, %u moves",
		workers, (unsigned long long)stats.parks, (unsigned long long)stats.steals,
		(unsigned long long)stats.inlined, (unsigned long long)stats.sleeps,
		(unsigned long long)stats.naps, moves);
}

static void open_pool(void)
{
	DIAG("STRESS_SEED=%llu", (unsigned long long)seed);
	pool = pool_new(workers);
}

int main(int argc, char **argv)
{
	static const struct tap_test suite[] = {TEST(open_pool),
		TEST(tasks_and_threads_share_a_mutex), TEST(a_channel_loses_nothing),
		TEST(a_permit_and_a_deadline_never_both_win), TEST(trees_grow_from_foreign_threads),
		TEST(ping_pong_never_stops_early), TEST(tasks_move_and_stay_themselves),
		TEST(a_sleeping_pool_wakes), TEST(nothing_starves_behind_a_busy_worker),
		TEST(every_task_can_be_cancelled), TEST(shutdown_finds_all_who_wait)};
	enum { SUITE = sizeof(suite) / sizeof(suite[0]), ROUNDS_MAX = 200 };
	static struct tap_test tests[SUITE * ROUNDS_MAX];
	workers = argc > 1 ? (unsigned)atoi(argv[1]) : 2;
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 3;
	if (workers == 0 || rounds == 0 || rounds > ROUNDS_MAX)
		return 2;
	const char *text = getenv("STRESS_SEED");
	seed = text != NULL ? strtoull(text, NULL, 0) : moirai_now();
	scale = HEAVY ? 4 : 1;
#ifdef MOIRAI_STRESS_SCALE
	scale *= MOIRAI_STRESS_SCALE;
#endif
	for (unsigned i = 0; i < rounds; i++)
		memcpy(&tests[i * SUITE], suite, sizeof(suite));
	return tap_run_(tests, rounds * (size_t)SUITE, 1, argv);
}
