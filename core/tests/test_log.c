/* SPDX-License-Identifier: MIT */
#define MOIRAI_LOG_COMPONENT "test"
#define MOIRAI_LOG_FLOOR MOIRAI_LOG_TRACE /* whatever the library was built with */
#include <moirai/core/log.h>

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include <moirai/core/alloc.h>
#include <moirai/core/clock.h>
#include <moirai/core/os.h>
#include <moirai/core/status.h>

#include "../src/log_internal.h"
#include "tap.h"

/* A sink that keeps the lines. */
static struct {
	char text[1 << 16];
	size_t size, lines;
	moirai_log_level level;
} got;

static void keep(void *self, moirai_log_level level, const char *line, size_t length)
{
	(void)self;
	if (got.size + length < sizeof(got.text)) {
		memcpy(got.text + got.size, line, length);
		got.size += length;
		got.text[got.size] = 0;
	}
	got.lines++;
	got.level = level;
}

static const moirai_log_sink keeper = {keep, NULL};

static void start(moirai_log_level level, moirai_log_format format)
{
	memset(&got, 0, sizeof(got));
	moirai_log_limit_set(0);
	CHECK(moirai_log_level_set(level) == 0);
	CHECK(moirai_log_format_set(format) == 0);
	CHECK(moirai_log_sink_set(&keeper) == 0);
}

static int evaluated;

static int touch(int value)
{
	evaluated++;
	return value;
}

static void lines_below_the_level_are_not_even_evaluated(void)
{
	start(MOIRAI_LOG_WARN, MOIRAI_LOG_TEXT);
	evaluated = 0;
	MOIRAI_LOG(INFO, "no", moirai_kv_i64("n", touch(1)));
	MOIRAI_LOG(TRACE, "no");
	CHECK(got.lines == 0 && evaluated == 0);
	MOIRAI_LOG(WARN, "yes", moirai_kv_i64("n", touch(1)));
	CHECK(got.lines == 1 && evaluated == 1 && got.level == MOIRAI_LOG_WARN);
	moirai_log_level_set(MOIRAI_LOG_OFF);
	MOIRAI_LOG(ERROR, "no");
	CHECK(got.lines == 1);
}

static void the_text_form_is_key_and_value(void)
{
	start(MOIRAI_LOG_TRACE, MOIRAI_LOG_TEXT);
	MOIRAI_LOG(INFO, "worker started", moirai_kv_u64("worker", 3),
		moirai_kv_i64("delta", INT64_MIN), moirai_kv_str("name", "pool-1"),
		moirai_kv_str("path", "a \"b\"\n\\"), moirai_kv_bool("up", true),
		moirai_kv_hex("mask", 0xff), moirai_kv_f64("load", 0.25),
		moirai_kv_status("why", -ETIMEDOUT), moirai_kv_status("odd", -9999),
		moirai_kv_str("none", NULL), moirai_kv_str("empty", ""),
		moirai_kv_ptr("at", (void *)(uintptr_t)0x10));
	const char *rest = strstr(got.text, " level=");
	REQUIRE(rest && strncmp(got.text, "time=20", 7) == 0);
	CHECK(strcmp(rest,
		      " level=info component=test msg=\"worker started\" worker=3 "
		      "delta=-9223372036854775808 name=pool-1 path=\"a \\\"b\\\"\\n\\\\\" up=true mask=0xff "
		      "load=0.25 why=ETIMEDOUT odd=-9999 none=null empty=\"\" at=0x10\n") == 0);
}

static void the_json_form_is_one_object(void)
{
	start(MOIRAI_LOG_TRACE, MOIRAI_LOG_JSON);
	MOIRAI_LOG(ERROR, "bad \"day\"", moirai_kv_u64("u", UINT64_MAX), moirai_kv_f64("nan", NAN),
		moirai_kv_f64("tenth", 0.1), moirai_kv_str("s", "tab\there\x01"),
		moirai_kv_bool("b", false), moirai_kv_strn("raw", "\xff\xc3\xa9\xed\xa0\x80", 6),
		moirai_kv_str("none", NULL), moirai_kv_hex("h", 16),
		moirai_kv_status("st", -ENOMEM), moirai_kv_str("bad key=", "x"));
	const char *rest = strstr(got.text, ",\"level\"");
	REQUIRE(rest && strncmp(got.text, "{\"time\":\"20", 11) == 0);
	CHECK(strcmp(rest,
		      ",\"level\":\"error\",\"component\":\"test\",\"msg\":\"bad \\\"day\\\"\","
		      "\"u\":18446744073709551615,\"nan\":null,\"tenth\":0.1,\"s\":\"tab\\there\\u0001\","
		      "\"b\":false,\"raw\":\"\\ufffd\xc3\xa9\\ufffd\\ufffd\\ufffd\",\"none\":null,"
		      "\"h\":\"0x10\",\"st\":\"ENOMEM\",\"bad_key_\":\"x\"}\n") == 0);
}

static void a_message_needs_no_fields_and_takes_sixteen(void)
{
	start(MOIRAI_LOG_TRACE, MOIRAI_LOG_TEXT);
	MOIRAI_LOG(DEBUG, "plain");
	CHECK(strstr(got.text, "msg=plain\n") != NULL);
#define K(n) moirai_kv_i64("k" #n, n)
	MOIRAI_LOG(DEBUG, "all", K(1), K(2), K(3), K(4), K(5), K(6), K(7), K(8), K(9), K(10), K(11),
		K(12), K(13), K(14), K(15), K(16));
	CHECK(strstr(got.text, "k1=1 ") && strstr(got.text, "k16=16\n"));
}

static size_t form(char *line, moirai_log_format format, const char *message,
	const moirai_kv *fields, size_t count, uint64_t wall_ns, bool *truncated)
{
	moirai_log_site site = {"c", "f", message, 1, MOIRAI_LOG_INFO, 0};
	struct log_record record = {&site, fields, count, wall_ns, 0};
	return moirai__log_form(line, &record, format, truncated);
}

static void times_are_utc_dates(void)
{
	static const struct {
		uint64_t second;
		const char *text;
	} known[] = {{0, "1970-01-01T00:00:00.000000Z"}, {951782400, "2000-02-29T00:00:00.000000Z"},
		{951868799, "2000-02-29T23:59:59.000000Z"},
		{1709164800, "2024-02-29T00:00:00.000000Z"},
		{4107542400, "2100-03-01T00:00:00.000000Z"},
		{1767225599, "2025-12-31T23:59:59.000000Z"}};
	char line[MOIRAI_LOG_LINE_MAX];
	bool truncated;
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(known); i++) {
		form(line, MOIRAI_LOG_TEXT, "m", NULL, 0, known[i].second * 1000000000u,
			&truncated);
		CHECK(strncmp(line + 5, known[i].text, strlen(known[i].text)) == 0);
	}
	form(line, MOIRAI_LOG_TEXT, "m", NULL, 0, 1234567, &truncated);
	CHECK(strncmp(line + 5, "1970-01-01T00:00:00.001234Z", 27) == 0);
}

/* Good enough to tell one object of our kind from a broken one. */
static bool json_closed(const char *line, size_t size)
{
	bool quoted = false;
	if (size < 3 || line[0] != '{' || line[size - 2] != '}' || line[size - 1] != '\n')
		return false;
	for (size_t i = 1; i < size - 2; i++) {
		if (quoted && line[i] == '\\')
			i++;
		else if (line[i] == '"')
			quoted = !quoted;
		else if (!quoted && (line[i] == '{' || line[i] == '}'))
			return false;
		if ((unsigned char)line[i] < 0x20)
			return false;
	}
	return !quoted;
}

static void a_line_has_a_bound_and_stays_well_formed(void)
{
	static const char *const fill[] = {"x", "\xe2\x82\xac", "\"", "\x01", " ", "\xff"};
	char line[MOIRAI_LOG_LINE_MAX + 1], value[MOIRAI_LOG_LINE_MAX * 2 + 8];
	for (size_t f = 0; f < MOIRAI_ARRAY_SIZE(fill); f++) {
		for (size_t length = 0; length < MOIRAI_LOG_LINE_MAX;
			length += length < 800 ? 50 : 1) {
			size_t step = strlen(fill[f]), size = 0;
			while (size + step <= length) {
				memcpy(value + size, fill[f], step);
				size += step;
			}
			moirai_kv fields[] = {moirai_kv_strn("value", value, size),
				moirai_kv_u64("n", 12345), moirai_kv_strn("again", value, size)};
			for (int form_of = 0; form_of < 2; form_of++) {
				bool truncated;
				line[MOIRAI_LOG_LINE_MAX] = '#';
				size_t bytes = form(line, (moirai_log_format)form_of, "m", fields,
					3, 0, &truncated);
				CHECK(bytes <= MOIRAI_LOG_LINE_MAX &&
					line[MOIRAI_LOG_LINE_MAX] == '#');
				CHECK(line[bytes - 1] == '\n' && !memchr(line, '\n', bytes - 1));
				line[bytes - 1] = 0;
				CHECK(truncated == (strstr(line, "truncated") != NULL));
				line[bytes - 1] = '\n';
				if (form_of == MOIRAI_LOG_JSON)
					CHECK(json_closed(line, bytes));
			}
		}
	}
}

static void numbers_do_not_depend_on_the_locale(void)
{
	static const double values[] = {
		0.1, -1.5e300, 1e-300, 123456789.125, 1.0 / 3.0, 5e-324, -0.0};
	static const char *const locales[] = {"C", "de_DE.UTF-8", "fr_FR.UTF-8"};
	char line[MOIRAI_LOG_LINE_MAX];
	bool truncated;
	for (size_t l = 0; l < MOIRAI_ARRAY_SIZE(locales); l++) {
		if (!setlocale(LC_NUMERIC, locales[l]))
			continue;
		for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(values); i++) {
			moirai_kv kv = moirai_kv_f64("v", values[i]);
			size_t size = form(line, MOIRAI_LOG_TEXT, "m", &kv, 1, 0, &truncated);
			line[size - 1] = 0;
			char *text = strstr(line, " v=") + 3;
			CHECK(!strchr(text, ','));
			setlocale(LC_NUMERIC, "C");
			double back = strtod(text, NULL);
			CHECK(memcmp(&back, &values[i], sizeof(back)) == 0);
			setlocale(LC_NUMERIC, locales[l]);
		}
	}
	setlocale(LC_NUMERIC, "C");
}

static void a_call_site_has_a_budget_and_tells_what_it_lost(void)
{
	moirai_log_stats before, after;
	start(MOIRAI_LOG_TRACE, MOIRAI_LOG_TEXT);
	moirai_log_limit_set(5);
	moirai_log_stats_get(&before);
	/* Until a window has ended that suppressed something; on a slow machine that may be the second. */
	uint64_t end = moirai_deadline_after(20 * MOIRAI_S);
	size_t asked = 0;
	while (!strstr(got.text, "suppressed=") && moirai_now() < end) {
		MOIRAI_LOG(INFO, "again");
		asked++;
		if (got.lines >= 5)
			moirai_os_sleep(2 * MOIRAI_MS);
	}
	moirai_log_stats_get(&after);
	CHECK(strstr(got.text, "suppressed=") != NULL);
	CHECK(after.lines - before.lines == got.lines);
	CHECK(after.lines - before.lines + after.suppressed - before.suppressed == asked);
	CHECK(after.suppressed > before.suppressed);
	/* Another call site has its own. */
	size_t lines = got.lines;
	MOIRAI_LOG(INFO, "other");
	CHECK(got.lines == lines + 1);
	moirai_log_limit_set(0);
	for (int i = 0; i < 50; i++)
		MOIRAI_LOG(INFO, "free");
	CHECK(got.lines == lines + 51);
}

static void log_again(void *self, moirai_log_level level, const char *line, size_t length)
{
	keep(self, level, line, length);
	MOIRAI_LOG(ERROR, "from the sink");
	CHECK(moirai_log_sink_set(NULL) == -EDEADLK);
	CHECK(moirai_log_fd_set(2) == -EDEADLK);
}

static void what_a_sink_logs_is_dropped_and_counted(void)
{
	moirai_log_stats before, after;
	moirai_log_sink recursive = {log_again, NULL};
	start(MOIRAI_LOG_TRACE, MOIRAI_LOG_TEXT);
	moirai_log_stats_get(&before);
	CHECK(moirai_log_sink_set(&recursive) == 0);
	MOIRAI_LOG(ERROR, "outer");
	moirai_log_stats_get(&after);
	CHECK(got.lines == 1 && after.recursions - before.recursions == 1);
	CHECK(moirai_log_sink_set(&keeper) == 0);
}

static void control_refuses_what_is_none(void)
{
	moirai_log_level level;
	moirai_log_sink none = {NULL, NULL};
	CHECK(moirai_log_level_set(-1) == -EINVAL && moirai_log_level_set(6) == -EINVAL);
	CHECK(moirai_log_format_set((moirai_log_format)2) == -EINVAL);
	CHECK(moirai_log_sink_set(&none) == -EINVAL && moirai_log_fd_set(-1) == -EINVAL);
	CHECK(moirai_log_level_parse("WARN", &level) == 0 && level == MOIRAI_LOG_WARN);
	CHECK(moirai_log_level_parse("off", &level) == 0 && level == MOIRAI_LOG_OFF);
	CHECK(moirai_log_level_parse("warning", &level) == -EINVAL);
	CHECK(moirai_log_level_parse("", &level) == -EINVAL && moirai_error_detail()[0]);
	CHECK(moirai_log_level_parse(NULL, &level) == -EINVAL);
	CHECK(moirai_log_level_parse("warn", NULL) == -EINVAL);
	CHECK(moirai_log_level_set(MOIRAI_LOG_DEBUG) == 0 &&
		moirai_log_level_get() == MOIRAI_LOG_DEBUG);
	CHECK(strcmp(moirai_log_level_name(MOIRAI_LOG_TRACE), "trace") == 0);
	CHECK(strcmp(moirai_log_level_name(6), "?") == 0 &&
		strcmp(moirai_log_level_name(-1), "?") == 0);
	moirai_log_stats_get(NULL);
}

static void without_a_sink_lines_go_to_the_descriptor(void)
{
	moirai_log_stats before, after;
	FILE *file = tmpfile();
	char text[256] = "";
	start(MOIRAI_LOG_TRACE, MOIRAI_LOG_TEXT);
	REQUIRE(file != NULL);
	CHECK(moirai_log_sink_set(NULL) == 0 && moirai_log_fd_set(fileno(file)) == 0);
	MOIRAI_LOG(INFO, "to a file");
	CHECK(moirai_log_fd_set(2) == 0);
	rewind(file);
	size_t size = fread(text, 1, sizeof(text) - 1, file);
	CHECK(size > 0 && strstr(text, "msg=\"to a file\"\n") != NULL);
	fclose(file);
	/* A descriptor that is none loses the line and counts it. */
	moirai_log_stats_get(&before);
	CHECK(moirai_log_fd_set(1000000) == 0);
	MOIRAI_LOG(INFO, "nowhere");
	moirai_log_stats_get(&after);
	CHECK(after.failures - before.failures == 1);
	CHECK(moirai_log_fd_set(2) == 0);
}

static void writing_allocates_nothing(void)
{
	moirai_alloc_stats before, after;
	start(MOIRAI_LOG_TRACE, MOIRAI_LOG_JSON);
	moirai_alloc_stats_get(&before);
	for (int i = 0; i < 100; i++)
		MOIRAI_LOG(INFO, "m", moirai_kv_i64("i", i), moirai_kv_str("s", "text"));
	moirai_alloc_stats_get(&after);
	CHECK(got.lines == 100 && after.allocations == before.allocations);
}

/* --- several threads --- */

enum { WRITERS = 4, LINES = 500 };

static struct {
	size_t lines, torn;
	uint32_t inside, overlaps;
} whole;

static void check_line(void *self, moirai_log_level level, const char *line, size_t length)
{
	(void)self;
	(void)level;
	if (__atomic_fetch_add(&whole.inside, 1, __ATOMIC_RELAXED) != 0)
		whole.overlaps++;
	whole.lines++;
	whole.torn += !json_closed(line, length);
	__atomic_fetch_sub(&whole.inside, 1, __ATOMIC_RELAXED);
}

static void writer(void *arg)
{
	for (int i = 0; i < LINES; i++)
		MOIRAI_LOG(INFO, "line", moirai_kv_ptr("writer", arg), moirai_kv_i64("i", i));
}

static void lines_of_several_threads_are_whole(void)
{
	moirai_log_sink checker = {check_line, NULL};
	moirai_os_thread threads[WRITERS];
	start(MOIRAI_LOG_TRACE, MOIRAI_LOG_JSON);
	CHECK(moirai_log_sink_set(&checker) == 0);
	for (int i = 0; i < WRITERS; i++)
		REQUIRE(moirai_os_thread_create(&threads[i], NULL, writer, &threads[i]) == 0);
	for (int i = 0; i < WRITERS; i++)
		moirai_os_thread_join(threads[i]);
	CHECK(whole.lines == WRITERS * LINES && whole.torn == 0 && whole.overlaps == 0);
	moirai_log_sink_set(NULL);
}

TAP_MAIN(TEST(lines_below_the_level_are_not_even_evaluated), TEST(the_text_form_is_key_and_value),
	TEST(the_json_form_is_one_object), TEST(a_message_needs_no_fields_and_takes_sixteen),
	TEST(times_are_utc_dates), TEST(a_line_has_a_bound_and_stays_well_formed),
	TEST(numbers_do_not_depend_on_the_locale),
	TEST(a_call_site_has_a_budget_and_tells_what_it_lost),
	TEST(what_a_sink_logs_is_dropped_and_counted), TEST(control_refuses_what_is_none),
	TEST(without_a_sink_lines_go_to_the_descriptor), TEST(writing_allocates_nothing),
	TEST(lines_of_several_threads_are_whole))
