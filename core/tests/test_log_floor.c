/* SPDX-License-Identifier: MIT */
/* What lies below the floor is compiled out, whatever the threshold is at run time. */
#define MOIRAI_LOG_FLOOR MOIRAI_LOG_WARN
#include <moirai/core/log.h>

#include "tap.h"

static size_t lines;

static void count(void *self, moirai_log_level level, const char *line, size_t length)
{
	(void)self;
	(void)level;
	(void)line;
	(void)length;
	lines++;
}

static void the_floor_is_below_every_threshold(void)
{
	moirai_log_sink sink = {count, NULL};
	moirai_log_sink_set(&sink);
	moirai_log_level_set(MOIRAI_LOG_TRACE);
	int evaluated = 0;
	MOIRAI_LOG(TRACE, "gone", moirai_kv_i64("n", ++evaluated));
	MOIRAI_LOG(INFO, "gone", moirai_kv_i64("n", ++evaluated));
	CHECK(lines == 0 && evaluated == 0);
	MOIRAI_LOG(WARN, "there", moirai_kv_i64("n", ++evaluated));
	CHECK(lines == 1 && evaluated == 1);
	moirai_log_sink_set(NULL);
}

TAP_MAIN(TEST(the_floor_is_below_every_threshold))
