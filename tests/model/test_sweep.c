/* SPDX-License-Identifier: MIT */
/* The failure sweep against code that handles its failures, and code that does not. */
#include "tap.h"
#include "sweep.h"

#include <errno.h>

#include <moirai/core/os.h>

/* What the leaky one forgets is kept here, for leak checkers that look at the end of the program. */
static void *forgotten;

static int three_blocks(bool leaks)
{
	void *block[3] = {NULL, NULL, NULL};
	int error = 0;
	for (int i = 0; i < 3 && !error; i++) {
		block[i] = moirai_alloc(100);
		if (!block[i])
			error = -ENOMEM;
	}
	for (int i = 0; i < 3; i++) {
		if (leaks && error && i == 1)
			forgotten = block[i];
		else
			moirai_free(block[i]);
	}
	return error;
}

static int careful(void *arg)
{
	return three_blocks(false);
}

static int leaky(void *arg)
{
	return three_blocks(true);
}

/* Does without the block it cannot have. */
static int content(void *arg)
{
	moirai_free(moirai_alloc(100));
	return 0;
}

static int positive(void *arg)
{
	void *p = moirai_alloc(100);
	moirai_free(p);
	return p ? 0 : ENOMEM;
}

/* Remembers a failure for ever. */
static int resentful(void *arg)
{
	bool *once = arg;
	void *p = moirai_alloc(100);
	*once |= p == NULL;
	moirai_free(p);
	return *once ? -ENOMEM : 0;
}

static int broken(void *arg)
{
	return -EINVAL;
}

static void nothing(void *arg)
{
}

static int starts_a_thread(void *arg)
{
	moirai_os_thread thread;
	int error = moirai_os_thread_create(&thread, NULL, nothing, NULL);
	return error ? error : moirai_os_thread_join(thread);
}

static void careful_code_passes_and_every_point_is_swept(void)
{
	struct sweep_result r = sweep(MOIRAI_FAULT_ANY, careful, NULL);
	CHECK(!r.wrong);
	CHECK_EQ(r.points, 3);
	CHECK_EQ(r.absorbed, 0);
	CHECK_SWEEP(MOIRAI_FAULT_ALLOC, careful, NULL);
}

static void failures_may_be_absorbed(void)
{
	struct sweep_result r = sweep(MOIRAI_FAULT_ALLOC, content, NULL);
	CHECK(!r.wrong);
	CHECK_EQ(r.points, 1);
	CHECK_EQ(r.absorbed, 1);
}

static void a_leak_on_the_error_path_is_found(void)
{
	struct sweep_result r = sweep(MOIRAI_FAULT_ALLOC, leaky, NULL);
	CHECK(r.wrong && strstr(r.wrong, "leaked"));
	CHECK_EQ(r.at, 3); /* the second block is held when the third fails */
	moirai_free(forgotten);
}

static void a_positive_error_is_found(void)
{
	struct sweep_result r = sweep(MOIRAI_FAULT_ALLOC, positive, NULL);
	CHECK(r.wrong && strstr(r.wrong, "negative errno"));
}

static void a_lasting_mark_is_found(void)
{
	bool once = false;
	struct sweep_result r = sweep(MOIRAI_FAULT_ALLOC, resentful, &once);
	CHECK(r.wrong && strstr(r.wrong, "mark"));
}

static void a_scenario_that_never_works_is_no_scenario(void)
{
	struct sweep_result r = sweep(MOIRAI_FAULT_ALLOC, broken, NULL);
	CHECK(r.wrong && strstr(r.wrong, "without any fault"));
}

static void threads_fail_too(void)
{
	struct sweep_result r = sweep(MOIRAI_FAULT_THREAD, starts_a_thread, NULL);
	CHECK(!r.wrong);
	CHECK(r.points >= 1);
}

TAP_MAIN(TEST(careful_code_passes_and_every_point_is_swept), TEST(failures_may_be_absorbed),
	TEST(a_leak_on_the_error_path_is_found), TEST(a_positive_error_is_found),
	TEST(a_lasting_mark_is_found), TEST(a_scenario_that_never_works_is_no_scenario),
	TEST(threads_fail_too))
