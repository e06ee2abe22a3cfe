/* SPDX-License-Identifier: MIT */
/* Coroutines: values, order, errors, nesting, migration, many at once. */
#include <moirai/async.h>
#include <moirai/async/internal/fiber.h>
#include <moirai/core/os.h>

#include <errno.h>
#include <stdlib.h>

#ifdef MOIRAI_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#endif
#ifdef _WIN32
#define SMALL_HOST 1 /* reservations count as memory there */
#else
#define SMALL_HOST 0
#endif

#include "tap.h"

#define INT(pointer) ((int)(intptr_t)(pointer))
#define PTR(integer) ((void *)(intptr_t)(integer))

static void *count_to(moirai_coroutine *self, void *arg)
{
	for (int i = 0; i < INT(arg); i++)
		if (moirai_coroutine_yield(self, PTR(i), NULL) < 0)
			return PTR(-i);
	return PTR(1000);
}

static void yields_arrive_in_order_then_the_result(void)
{
	moirai_coroutine *c;
	void *value = NULL;
	int n = 0;
	REQUIRE(moirai_coroutine_create(&c, NULL, count_to, PTR(10)) == 0);
	CHECK(moirai_coroutine_status(c) == MOIRAI_COROUTINE_SUSPENDED);
	while (moirai_coroutine_resume(c, NULL, &value) == 0)
		CHECK(INT(value) == n++);
	CHECK(n == 10);
	CHECK(INT(value) == 1000);
	CHECK(moirai_coroutine_status(c) == MOIRAI_COROUTINE_FINISHED);
	value = NULL;
	CHECK(moirai_coroutine_resume(c, NULL, &value) == -ENODATA && INT(value) == 1000);
	moirai_coroutine_destroy(c);
}

static void *echo(moirai_coroutine *self, void *arg)
{
	(void)arg;
	void *in = moirai_coroutine_input(self);
	while (in)
		(void)moirai_coroutine_yield(self, PTR(INT(in) * 2), &in);
	return NULL;
}

static void resume_hands_values_in(void)
{
	moirai_coroutine *c;
	void *out;
	REQUIRE(moirai_coroutine_create(&c, NULL, echo, NULL) == 0);
	for (int i = 1; i < 50; i++) {
		CHECK(moirai_coroutine_resume(c, PTR(i), &out) == 0);
		CHECK(INT(out) == 2 * i);
	}
	CHECK(moirai_coroutine_resume(c, NULL, &out) == -ENODATA);
	moirai_coroutine_destroy(c);
}

static void *resumes_itself(moirai_coroutine *self, void *arg)
{
	(void)arg;
	CHECK(moirai_coroutine_status(self) == MOIRAI_COROUTINE_RUNNING);
	CHECK(moirai_coroutine_cancel(self, 1) == -EDEADLK);
	return PTR(moirai_coroutine_resume(self, NULL, NULL));
}

static void *yields_another(moirai_coroutine *self, void *arg)
{
	(void)self;
	return PTR(moirai_coroutine_yield(arg, NULL, NULL));
}

static void *resumes_a_stranger(moirai_coroutine *self, void *arg)
{
	(void)arg;
	moirai_coroutine *inner;
	void *out;
	CHECK(moirai_coroutine_create(&inner, NULL, yields_another, self) == 0);
	CHECK(moirai_coroutine_resume(inner, NULL, &out) == -ENODATA);
	moirai_coroutine_destroy(inner);
	return out;
}

static void misuse_is_refused(void)
{
	moirai_coroutine *c;
	moirai_coroutine_attr attr = {.stack_bytes = 1u << 30};
	void *out;
	CHECK(moirai_coroutine_create(NULL, NULL, echo, NULL) == -EINVAL);
	CHECK(moirai_coroutine_create(&c, NULL, NULL, NULL) == -EINVAL);
	CHECK(moirai_coroutine_create(&c, &attr, echo, NULL) == -EINVAL);
	CHECK(moirai_coroutine_resume(NULL, NULL, NULL) == -EINVAL);
	moirai_coroutine_destroy(NULL);

	REQUIRE(moirai_coroutine_create(&c, NULL, resumes_itself, NULL) == 0);
	CHECK(moirai_coroutine_resume(c, NULL, &out) == -ENODATA && INT(out) == -EDEADLK);
	moirai_coroutine_destroy(c);
	REQUIRE(moirai_coroutine_create(&c, NULL, count_to, PTR(5)) == 0);
	CHECK(moirai_coroutine_yield(c, NULL, NULL) == -EPERM);
	moirai_coroutine_destroy(c);
	REQUIRE(moirai_coroutine_create(&c, NULL, resumes_a_stranger, NULL) == 0);
	CHECK(moirai_coroutine_resume(c, NULL, &out) == -ENODATA && INT(out) == -EPERM);
	moirai_coroutine_destroy(c);
}

static void *stubborn(moirai_coroutine *self, void *arg)
{
	(void)arg;
	for (int left = 3; left;)
		left -= moirai_coroutine_yield(self, NULL, NULL) == -ECANCELED;
	return PTR(7);
}

static void cancel_lets_it_clean_up(void)
{
	moirai_coroutine *c;
	void *out;
	REQUIRE(moirai_coroutine_create(&c, NULL, count_to, PTR(10)) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(moirai_coroutine_resume(c, NULL, NULL) == 0);
	CHECK(moirai_coroutine_cancel(c, 1) == 0);
	CHECK(moirai_coroutine_resume(c, NULL, &out) == -ENODATA && INT(out) == -3);
	CHECK(moirai_coroutine_cancel(c, 1) == 0);
	moirai_coroutine_destroy(c);

	REQUIRE(moirai_coroutine_create(&c, NULL, stubborn, NULL) == 0);
	CHECK(moirai_coroutine_resume(c, NULL, NULL) == 0);
	CHECK(moirai_coroutine_cancel(c, 2) == -EAGAIN);
	CHECK(moirai_coroutine_cancel(c, 1) == 0);
	moirai_coroutine_destroy(c);

	REQUIRE(moirai_coroutine_create(&c, NULL, resumes_itself, NULL) == 0);
	CHECK(moirai_coroutine_cancel(c, 0) == 0);
	CHECK(moirai_coroutine_status(c) == MOIRAI_COROUTINE_FINISHED);
	CHECK(moirai_coroutine_resume(c, NULL, &out) == -ENODATA && !out);
	moirai_coroutine_destroy(c);
}

/* A tree in order: each node's coroutine resumes those of its subtrees. */
static void *walk(moirai_coroutine *self, void *arg)
{
	int depth = INT(arg) & 0xff, key = INT(arg) >> 8, step = 1 << depth >> 1;
	for (int side = -1; side <= 1; side++) {
		moirai_coroutine *child;
		void *value;
		if (!side) {
			(void)moirai_coroutine_yield(self, PTR(key), NULL);
			continue;
		}
		if (!depth)
			continue;
		int below = (key + side * step) << 8 | (depth - 1);
		if (moirai_coroutine_create(&child, NULL, walk, PTR(below)) < 0)
			return PTR(-1);
		while (moirai_coroutine_resume(child, NULL, &value) == 0)
			(void)moirai_coroutine_yield(self, value, NULL);
		moirai_coroutine_destroy(child);
	}
	return NULL;
}

static void coroutines_nest(void)
{
	enum { DEPTH = 7 };
	moirai_coroutine *c;
	void *value;
	int expected = 1;
	REQUIRE(moirai_coroutine_create(&c, NULL, walk, PTR((1 << DEPTH) << 8 | DEPTH)) == 0);
	while (moirai_coroutine_resume(c, NULL, &value) == 0)
		CHECK(INT(value) == expected++);
	CHECK(value == NULL);
	CHECK(expected == 2 << DEPTH);
	moirai_coroutine_destroy(c);
}

static void unfinished_ones_may_be_destroyed(void)
{
	for (int i = 0; i < 300; i++) {
		moirai_coroutine *c;
		REQUIRE(moirai_coroutine_create(&c, NULL, count_to, PTR(10)) == 0);
		for (int k = 0; k < i % 5; k++)
			CHECK(moirai_coroutine_resume(c, NULL, NULL) == 0);
		moirai_coroutine_destroy(c);
	}
}

static MOIRAI_NOINLINE int dig(volatile char *above, int left)
{
	volatile char frame[512];
	frame[0] = (char)left;
	frame[511] = above[0];
	return left ? dig(frame, left - 1) + frame[0] - frame[0] + 1 : 0;
}

static void *digs(moirai_coroutine *self, void *arg)
{
	volatile char top[1] = {1};
	(void)self;
	return PTR(dig(top, INT(arg)));
}

static void each_class_has_the_room_it_promises(void)
{
	/* ASan's frames are several times larger. */
	static const size_t sizes[] = {16u << 10, 64u << 10, 256u << 10, 1024u << 10};
	for (unsigned i = 0; i < 4; i++) {
		moirai_coroutine_attr attr = {.stack_bytes = sizes[i], .name = "digger"};
		moirai_coroutine *c;
		void *out;
		int depth = (int)((sizes[i] - 8192) / (MOIRAI_ASAN || MOIRAI_TSAN ? 2048 : 640));
		REQUIRE(moirai_coroutine_create(&c, &attr, digs, PTR(depth)) == 0);
		CHECK(moirai_coroutine_resume(c, NULL, &out) == -ENODATA && INT(out) == depth);
		moirai_coroutine_destroy(c);
	}
}

/* TSan counts a fiber as a thread; valgrind and 32 bits leave little address space. */
static int many(void)
{
#ifdef MOIRAI_HAVE_VALGRIND
	if (RUNNING_ON_VALGRIND)
		return 1000;
#endif
	if (getenv("MOIRAI_STACKS_MAX"))
		return 1000;
	if (MOIRAI_TSAN)
		return 500;
	return MOIRAI_ASAN || sizeof(void *) < 8 || SMALL_HOST ? 1000 : 100000;
}

static void a_hundred_thousand_live_at_once(void)
{
	const int count = many();
	moirai_coroutine **all = calloc((size_t)count, sizeof(*all));
	int made = 0, wrong = 0;
	REQUIRE(all);
	for (; made < count; made++)
		if (moirai_coroutine_create(&all[made], NULL, count_to, PTR(3)) < 0)
			break;
	CHECK(made == count);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < made; i++) {
			void *value = PTR(-1);
			wrong += moirai_coroutine_resume(all[i], NULL, &value) != 0 ||
				 INT(value) != round;
		}
	CHECK(wrong == 0);
	for (int i = 0; i < made; i++)
		moirai_coroutine_destroy(all[i]);
	free(all);
}

struct hop {
	moirai_coroutine *coroutine;
	int error;
};

static void hop_main(void *arg)
{
	struct hop *hop = arg;
	for (int i = 0; i < 100; i++)
		hop->error |= moirai_coroutine_resume(hop->coroutine, NULL, NULL);
}

static void a_suspended_coroutine_goes_on_on_another_thread(void)
{
	struct hop hop = {NULL, 0};
	void *value;
	REQUIRE(moirai_coroutine_create(&hop.coroutine, NULL, count_to, PTR(1000)) == 0);
	for (int i = 0; i < 5; i++) {
		moirai_os_thread thread;
		REQUIRE(moirai_os_thread_create(&thread, NULL, hop_main, &hop) == 0);
		CHECK(moirai_os_thread_join(thread) == 0);
		hop_main(&hop);
	}
	CHECK(hop.error == 0);
	CHECK(moirai_coroutine_resume(hop.coroutine, NULL, &value) == -ENODATA);
	CHECK(INT(value) == 1000);
	moirai_coroutine_destroy(hop.coroutine);
}

static void churn_main(void *arg)
{
	int *error = arg;
	moirai_coroutine *some[200];
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 200; i++)
			*error |= moirai_coroutine_create(&some[i], NULL, count_to, PTR(2));
		for (int i = 0; i < 200 && !*error; i++)
			*error |= moirai_coroutine_resume(some[i], NULL, NULL);
		for (int i = 0; i < 200 && !*error; i++)
			moirai_coroutine_destroy(some[i]);
	}
}

static void threads_share_the_pool(void)
{
	moirai_os_thread threads[4];
	int errors[4] = {0};
	for (int i = 0; i < 4; i++)
		REQUIRE(moirai_os_thread_create(&threads[i], NULL, churn_main, &errors[i]) == 0);
	for (int i = 0; i < 4; i++) {
		CHECK(moirai_os_thread_join(threads[i]) == 0);
		CHECK(errors[i] == 0);
	}
}

#if (defined(__x86_64__) || defined(__i386__)) && !defined(_WIN32)
static unsigned rounding(void)
{
	uint16_t x87;
	__asm__ volatile("fnstcw %0" : "=m"(x87));
	return x87 >> 10 & 3;
}

static void rounding_set(unsigned mode)
{
	uint16_t x87;
	__asm__ volatile("fnstcw %0" : "=m"(x87));
	x87 = (uint16_t)((x87 & ~0xc00u) | mode << 10);
	__asm__ volatile("fldcw %0" ::"m"(x87));
}

static void *rounds_its_way(moirai_coroutine *self, void *arg)
{
	rounding_set((unsigned)INT(arg));
	for (;;) {
		int rc = moirai_coroutine_yield(self, NULL, NULL);
		CHECK(rounding() == (unsigned)INT(arg));
		if (rc < 0)
			return NULL;
	}
}
#endif

static void own_fp_modes_stay_inside(void)
{
#if (defined(__x86_64__) || defined(__i386__)) && !defined(_WIN32)
	moirai_coroutine_attr attr = {.own_fp_modes = true};
	moirai_coroutine *c[3];
	for (int i = 0; i < 3; i++)
		REQUIRE(moirai_coroutine_create(&c[i], &attr, rounds_its_way, PTR(i + 1)) == 0);
	for (int round = 0; round < 4; round++)
		for (int i = 0; i < 3; i++) {
			CHECK(moirai_coroutine_resume(c[i], NULL, NULL) == 0);
			CHECK(rounding() == 0);
		}
	for (int i = 0; i < 3; i++) {
		CHECK(moirai_coroutine_cancel(c[i], 1) == 0);
		CHECK(rounding() == 0);
		moirai_coroutine_destroy(c[i]);
	}
	/* The flag does not stick to the stack. */
	REQUIRE(moirai_coroutine_create(&c[0], NULL, count_to, PTR(1)) == 0);
	CHECK(!(((struct moirai__fiber *)(void *)c[0])->flags & MOIRAI__FIBER_FP));
	moirai_coroutine_destroy(c[0]);
#else
	SKIP("no test of the control words on this processor");
#endif
}

TAP_MAIN(TEST(yields_arrive_in_order_then_the_result), TEST(resume_hands_values_in),
	TEST(misuse_is_refused), TEST(cancel_lets_it_clean_up), TEST(coroutines_nest),
	TEST(unfinished_ones_may_be_destroyed), TEST(each_class_has_the_room_it_promises),
	TEST(a_hundred_thousand_live_at_once),
	TEST(a_suspended_coroutine_goes_on_on_another_thread), TEST(threads_share_the_pool),
	TEST(own_fp_modes_stay_inside))
