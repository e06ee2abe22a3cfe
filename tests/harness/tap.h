/* SPDX-License-Identifier: MIT */
/*
 * A test is a function; a program runs a list of them and speaks TAP 13.
 *
 *   static void push_then_pop_returns_it(void) { CHECK(1 + 1 == 2); }
 *   TAP_MAIN(TEST(push_then_pop_returns_it))
 *
 * CHECK reports and goes on, from any thread or task; REQUIRE reports and returns from the function
 * (void); SKIP(why) ends the test as skipped. The plan is printed first: a program that dies in the
 * middle is a failure. An argument on the command line selects the tests whose names contain it.
 */
#ifndef MOIRAI_TAP_H
#define MOIRAI_TAP_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct tap_test {
	const char *name;
	void (*run)(void);
};

/* Per test; written by any thread through the builtins below. */
static int tap_failures_;
static const char *tap_skip_;

static inline bool tap_check_(bool ok, const char *file, int line, const char *what)
{
	if (!ok) {
		__atomic_fetch_add(&tap_failures_, 1, __ATOMIC_RELAXED);
		fprintf(stdout, "# %s:%d: %s\n", file, line, what);
		fflush(stdout);
	}
	return ok;
}

#define CHECK(condition) ((void)tap_check_(!!(condition), __FILE__, __LINE__, #condition))
#define REQUIRE(condition)                                                                         \
	do {                                                                                           \
		if (!tap_check_(!!(condition), __FILE__, __LINE__, #condition))                            \
			return;                                                                                \
	} while (0)
#define SKIP(why)                                                                                  \
	do {                                                                                           \
		tap_skip_ = (why);                                                                         \
		return;                                                                                    \
	} while (0)
#define DIAG(...) (printf("# " __VA_ARGS__), printf("\n"), fflush(stdout))

#define TEST(function) {#function, function}

static inline int tap_run_(const struct tap_test *tests, size_t count, int argc, char **argv)
{
	const char *filter = argc > 1 ? argv[1] : NULL;
	size_t planned = 0, number = 0, failed = 0;
	for (size_t i = 0; i < count; i++)
		planned += !filter || strstr(tests[i].name, filter);
	printf("TAP version 13\n1..%zu\n", planned);
	fflush(stdout);
	for (size_t i = 0; i < count; i++) {
		if (filter && !strstr(tests[i].name, filter))
			continue;
		tap_failures_ = 0;
		tap_skip_ = NULL;
		tests[i].run();
		bool ok = __atomic_load_n(&tap_failures_, __ATOMIC_RELAXED) == 0;
		failed += !ok;
		printf("%s %zu - %s", ok ? "ok" : "not ok", ++number, tests[i].name);
		if (ok && tap_skip_)
			printf(" # SKIP %s", tap_skip_);
		putchar('\n');
		fflush(stdout);
	}
	return failed ? 1 : 0;
}

#define TAP_MAIN(...)                                                                              \
	int main(int argc, char **argv)                                                                \
	{                                                                                              \
		static const struct tap_test tests[] = {__VA_ARGS__};                                      \
		return tap_run_(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);                      \
	}

#endif
