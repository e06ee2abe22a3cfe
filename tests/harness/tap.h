/* SPDX-License-Identifier: MIT */
/*
 * A test is a function; a program runs a list of them and speaks TAP 13.
 *
 *   static void push_then_pop_returns_it(void) { CHECK(1 + 1 == 2); }
 *   TAP_MAIN(TEST(push_then_pop_returns_it))
 *
 * CHECK reports and goes on, from any thread or task; REQUIRE reports and returns from the function
 * (void); SKIP(why) ends the test as skipped. The plan is printed first: a program that dies in the
 * middle is a failure. Arguments on the command line select the tests whose names contain one of
 * them; a selection of nothing is a failure.
 */
#ifndef MOIRAI_TAP_H
#define MOIRAI_TAP_H

#include <stdarg.h>
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

/* A check that fails in a loop need not fill the log. */
#define TAP_FAILURES_SHOWN 25

/* One call of stdio per line: lines of several threads do not mix. */
static inline bool tap_check_(bool ok, const char *file, int line, const char *what)
{
	if (ok)
		return true;
	int before = __atomic_fetch_add(&tap_failures_, 1, __ATOMIC_RELAXED);
	if (before < TAP_FAILURES_SHOWN)
		printf("# %s:%d: %s\n", file, line, what);
	else if (before == TAP_FAILURES_SHOWN)
		printf("# more failures are not shown\n");
	fflush(stdout);
	return false;
}

static inline bool tap_check_equal_(
	long long a, long long b, const char *file, int line, const char *what)
{
	char text[256];
	if (a == b)
		return true;
	snprintf(text, sizeof(text), "%s: %lld and %lld", what, a, b);
	return tap_check_(false, file, line, text);
}

/* Windows has two printfs; this is the one that <stdio.h> gave us. */
#if defined(__MINGW_PRINTF_FORMAT)
#define TAP_PRINTF_ __MINGW_PRINTF_FORMAT
#else
#define TAP_PRINTF_ printf
#endif

__attribute__((format(TAP_PRINTF_, 1, 2))) static inline void tap_diag_(const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printf("# %s\n", text);
	fflush(stdout);
}

#define CHECK(condition) ((void)tap_check_(!!(condition), __FILE__, __LINE__, #condition))
/* Two integers are the same; prints both when not. */
#define CHECK_EQ(a, b)                                                                             \
	((void)tap_check_equal_((long long)(a), (long long)(b), __FILE__, __LINE__, #a " == " #b))
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
#define DIAG(...) tap_diag_(__VA_ARGS__)

#define TEST(function) {#function, function}

static inline bool tap_selected_(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc < 2;
}

static inline int tap_run_(const struct tap_test *tests, size_t count, int argc, char **argv)
{
	size_t planned = 0, number = 0, failed = 0;
	for (size_t i = 0; i < count; i++)
		planned += tap_selected_(tests[i].name, argc, argv);
	printf("TAP version 13\n1..%zu\n", planned);
	fflush(stdout);
	for (size_t i = 0; i < count; i++) {
		if (!tap_selected_(tests[i].name, argc, argv))
			continue;
		tap_failures_ = 0;
		tap_skip_ = NULL;
		tests[i].run();
		/* relaxed: a test joins its threads before it returns. */
		bool ok = __atomic_load_n(&tap_failures_, __ATOMIC_RELAXED) == 0;
		failed += !ok;
		printf("%s %zu - %s", ok ? "ok" : "not ok", ++number, tests[i].name);
		if (ok && tap_skip_)
			printf(" # SKIP %s", tap_skip_);
		putchar('\n');
		fflush(stdout);
	}
	return failed || planned == 0 ? 1 : 0;
}

#define TAP_MAIN(...)                                                                              \
	int main(int argc, char **argv)                                                                \
	{                                                                                              \
		static const struct tap_test tests[] = {__VA_ARGS__};                                      \
		return tap_run_(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);                      \
	}

#endif
