/* SPDX-License-Identifier: MIT */
/* The forms of a log line, free of the system: what the tests and log.c share. */
#ifndef MOIRAI_CORE_SRC_LOG_INTERNAL_H
#define MOIRAI_CORE_SRC_LOG_INTERNAL_H

#include <moirai/core/log.h>

/* What a line is made of. */
struct log_record {
	const moirai_log_site *site;
	const moirai_kv *fields;
	size_t count;
	uint64_t wall_ns;    /* since 1970, UTC */
	uint32_t suppressed; /* lines that the site lost since its last one */
};

/*
 * Writes the record to line[MOIRAI_LOG_LINE_MAX], newline included, in the form asked for. Returns the
 * bytes written; *truncated says whether something was left out.
 */
size_t moirai__log_form(
	char *line, const struct log_record *record, moirai_log_format format, bool *truncated);

#endif
