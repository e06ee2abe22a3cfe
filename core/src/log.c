/* SPDX-License-Identifier: MIT */
/*
 * The log: thresholds, budgets, sinks.
 *
 * Off: one relaxed load of the threshold and a branch, in the header. On: 1. the call site's budget
 * decides; 2. the line is formed on the caller's stack, with no lock; 3. the lock is taken and the
 * sink gets the line. The lock makes a line whole and makes "the old sink is not running" true when
 * moirai_log_sink_set() returns.
 *
 * A thread that is inside a sink is known by the lock's owner word: only the owner can find its own
 * id there, whatever it reads otherwise, so a relaxed load is enough. What it logs is dropped and
 * counted; so a sink may call code that logs.
 *
 * Budget: one 64-bit word per call site, second << 32 | lines asked for in that second. Everybody adds
 * 1; whoever gets a number below the limit writes. The first one of a new second stores second << 32 | 1
 * by CAS and learns how many the last window suppressed. Exact, no allocation, one RMW.
 *
 * Refused: a queue and a writer thread (the last lines before a crash are the ones that matter), and
 * thread-local buffers (a task may resume on another thread).
 */
#include "log_internal.h"

#include <errno.h>
#include <string.h>

#include <moirai/core/clock.h>
#include <moirai/core/internal/lock.h>
#include <moirai/core/internal/status.h>
#include <moirai/core/os.h>

MOIRAI_STATIC_ASSERT(MOIRAI_LOG_LINE_MAX <= 4096, "a line to a pipe is written whole: PIPE_BUF");

static const char *const log_level_names[] = {"trace", "debug", "info", "warn", "error", "off"};

int32_t moirai__log_threshold = MOIRAI_LOG_WARN;

static uint32_t log_format_wanted = MOIRAI_LOG_TEXT;  /* atomic */
static uint32_t log_limit = MOIRAI_LOG_LIMIT_DEFAULT; /* atomic */

/* Under the lock; the owner is read by anybody. */
static moirai__lock log_lock;
static uint64_t log_owner;
static moirai_log_sink log_sink;
static int log_fd = 2;

/* Atomic counters, relaxed: they order nothing. */
static moirai_log_stats log_counts;

static void log_count(uint64_t *counter, uint64_t n)
{
	moirai_fetch_add_relaxed(counter, n);
}

static bool log_inside_sink(void)
{
	/* relaxed: only this thread stores its own id there. */
	return moirai_load_relaxed(&log_owner) == moirai_os_thread_id();
}

static void log_enter(void)
{
	moirai__lock_acquire(&log_lock);
	moirai_store_relaxed(&log_owner, moirai_os_thread_id());
}

static void log_leave(void)
{
	moirai_store_relaxed(&log_owner, 0);
	moirai__lock_release(&log_lock);
}

/* May the site write one more line now? *suppressed: what it lost in the window before. */
static bool log_budget(moirai_log_site *site, uint32_t *suppressed)
{
	uint32_t limit = moirai_load_relaxed(&log_limit);
	*suppressed = 0;
	if (limit == 0)
		return true;
	/* + 1: a fresh site holds 0, which is no second. */
	uint64_t second = moirai_now() / MOIRAI_S + 1;
	uint64_t found = moirai_load_relaxed(&site->budget_);
	while (found >> 32 != (uint32_t)second) {
		/* relaxed, all of them: the word is all there is to know. */
		if (!moirai_cas_weak_relaxed(&site->budget_, &found, second << 32 | 1))
			continue;
		uint32_t asked = (uint32_t)found;
		*suppressed = asked > limit ? asked - limit : 0;
		return true;
	}
	/* Far beyond the limit nobody adds: the count must not run into the second. */
	if ((uint32_t)found >= UINT32_MAX / 2)
		return false;
	return (uint32_t)moirai_fetch_add_relaxed(&site->budget_, 1) < limit;
}

static void log_deliver(moirai_log_level level, const char *line, size_t length)
{
	int status = 0;
	log_enter();
	if (log_sink.write)
		log_sink.write(log_sink.self, level, line, length);
	else
		status = moirai_os_write(log_fd, line, length);
	log_leave();
	log_count(status < 0 ? &log_counts.failures : &log_counts.lines, 1);
}

MOIRAI_COLD void moirai__log_write(moirai_log_site *site, const moirai_kv *fields, size_t count)
{
	char line[MOIRAI_LOG_LINE_MAX];
	bool truncated;
	struct log_record record = {.site = site, .fields = fields, .count = count};
	if (log_inside_sink()) {
		log_count(&log_counts.recursions, 1);
		return;
	}
	if (!log_budget(site, &record.suppressed)) {
		log_count(&log_counts.suppressed, 1);
		return;
	}
	record.wall_ns = moirai_os_clock_wall();
	moirai_log_format format = (moirai_log_format)moirai_load_relaxed(&log_format_wanted);
	size_t length = moirai__log_form(line, &record, format, &truncated);
	if (truncated)
		log_count(&log_counts.truncated, 1);
	log_deliver(site->level, line, length);
}

/* --- control --- */

int moirai_log_level_set(moirai_log_level level)
{
	if (level < MOIRAI_LOG_TRACE || level > MOIRAI_LOG_OFF)
		return -EINVAL;
	/* relaxed: takes effect a moment later; nothing is published by it. */
	moirai_store_relaxed(&moirai__log_threshold, level);
	return 0;
}

moirai_log_level moirai_log_level_get(void)
{
	return moirai_load_relaxed(&moirai__log_threshold);
}

const char *moirai_log_level_name(moirai_log_level level)
{
	return level >= MOIRAI_LOG_TRACE && level <= MOIRAI_LOG_OFF ? log_level_names[level] : "?";
}

static bool log_same_word(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if ((*a >= 'A' && *a <= 'Z' ? *a + ('a' - 'A') : *a) != *b)
			return false;
	return *a == *b;
}

int moirai_log_level_parse(const char *name, moirai_log_level *level)
{
	for (int i = 0; name && level && i < (int)MOIRAI_ARRAY_SIZE(log_level_names); i++) {
		if (log_same_word(name, log_level_names[i])) {
			*level = i;
			return 0;
		}
	}
	return moirai__error_detailf(
		-EINVAL, "a log level is one of trace, debug, info, warn, error, off");
}

int moirai_log_format_set(moirai_log_format format)
{
	if (format != MOIRAI_LOG_TEXT && format != MOIRAI_LOG_JSON)
		return -EINVAL;
	moirai_store_relaxed(&log_format_wanted, (uint32_t)format);
	return 0;
}

int moirai_log_sink_set(const moirai_log_sink *sink)
{
	if (sink && !sink->write)
		return -EINVAL;
	if (log_inside_sink())
		return -EDEADLK;
	log_enter();
	log_sink = sink ? *sink : (moirai_log_sink){0};
	log_leave();
	return 0;
}

int moirai_log_fd_set(int fd)
{
	if (fd < 0)
		return -EINVAL;
	if (log_inside_sink())
		return -EDEADLK;
	log_enter();
	log_fd = fd;
	log_leave();
	return 0;
}

void moirai_log_limit_set(uint32_t lines_per_second)
{
	moirai_store_relaxed(&log_limit, lines_per_second);
}

void moirai_log_stats_get(moirai_log_stats *stats)
{
	if (!stats)
		return;
	stats->lines = moirai_load_relaxed(&log_counts.lines);
	stats->truncated = moirai_load_relaxed(&log_counts.truncated);
	stats->suppressed = moirai_load_relaxed(&log_counts.suppressed);
	stats->recursions = moirai_load_relaxed(&log_counts.recursions);
	stats->failures = moirai_load_relaxed(&log_counts.failures);
}
