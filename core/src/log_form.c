/* SPDX-License-Identifier: MIT */
/*
 * The forms of a log line: key=value text (logfmt) and JSON.
 *
 * Everything is written into one bounded buffer, of which the tail is kept free for the closing
 * words. What does not fit is cut where the form allows it: a string at a character, any other field
 * as a whole. So a line is always well-formed: JSON that parses, UTF-8 that decodes.
 */
#include "log_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <moirai/core/clock.h>
#include <moirai/core/status.h>

#include "text_internal.h"

/* Room kept for `","truncated":true}` and the newline. */
#define LOG_TAIL_BYTES 24

struct log_line {
	char *text;
	size_t size;
	bool json;
	bool full; /* something did not fit */
};

static bool log_room(struct log_line *line, size_t size)
{
	if (line->size + size <= MOIRAI_LOG_LINE_MAX - LOG_TAIL_BYTES)
		return true;
	line->full = true;
	return false;
}

/* All or nothing. */
static bool log_put(struct log_line *line, const char *text, size_t size)
{
	if (!log_room(line, size))
		return false;
	memcpy(line->text + line->size, text, size);
	line->size += size;
	return true;
}

static bool log_puts(struct log_line *line, const char *text)
{
	return log_put(line, text, strlen(text));
}

/* --- strings --- */

/* One byte that cannot stand for itself; `bad`: it is part of no character. */
static size_t log_escape(const struct log_line *line, char *out, unsigned char byte, bool bad)
{
	static const char hex[] = "0123456789abcdef";
	static const char plain[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
	const char *found = byte && !bad ? strchr(plain, byte) : NULL;
	out[0] = '\\';
	if (found) {
		out[1] = letters[found - plain];
		return 2;
	}
	if (line->json && bad) {
		/* JSON knows no bytes: the replacement character. */
		memcpy(out + 1, "ufffd", 5);
		return 6;
	}
	size_t size = 1;
	if (line->json) {
		memcpy(out + 1, "u00", 3);
		size = 4;
	} else {
		out[size++] = 'x';
	}
	out[size++] = hex[byte >> 4];
	out[size++] = hex[byte & 15];
	return size;
}

/* The inside of a quoted string; stops at a character when the line is full. */
static bool log_put_quotable(struct log_line *line, const char *text, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)text;
	for (size_t i = 0; i < size;) {
		char escaped[8];
		size_t length = text_utf8(bytes + i, size - i);
		bool bad = length == 0;
		bool ok;
		if (!bad && bytes[i] >= 0x20 && bytes[i] != '"' && bytes[i] != '\\' &&
			bytes[i] != 0x7f)
			ok = log_put(line, text + i, length);
		else
			ok = log_put(line, escaped, log_escape(line, escaped, bytes[i], bad));
		if (!ok)
			return false;
		i += bad ? 1 : length;
	}
	return true;
}

/* May the text form write it without quotes? Then a reader splits the line at its spaces. */
static bool log_bare(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return size > 0;
}

/* A string value, shortened when it must be. */
static bool log_put_string(struct log_line *line, const char *text, size_t size)
{
	if (!text)
		return log_puts(line, "null");
	if (!line->json && log_bare(text, size)) {
		size_t room = MOIRAI_LOG_LINE_MAX - LOG_TAIL_BYTES - line->size;
		line->full |= size > room;
		return log_put(line, text, size < room ? size : room);
	}
	/* The closing quote stands in the room kept for the tail. */
	if (!log_put(line, "\"", 1))
		return false;
	log_put_quotable(line, text, size);
	line->text[line->size++] = '"';
	return true;
}

/* --- numbers --- */

static bool log_put_u64(struct log_line *line, uint64_t value, unsigned base)
{
	char digits[24];
	size_t at = sizeof(digits);
	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	return log_put(line, digits + at, sizeof(digits) - at);
}

static bool log_put_i64(struct log_line *line, int64_t value)
{
	if (value < 0)
		return log_put(line, "-", 1) && log_put_u64(line, 0 - (uint64_t)value, 10);
	return log_put_u64(line, (uint64_t)value, 10);
}

static bool log_put_f64(struct log_line *line, double value)
{
	char digits[40];
	if (!__builtin_isfinite(value))
		return log_puts(line, line->json               ? "null"
				      : __builtin_isnan(value) ? "nan"
				      : value > 0              ? "inf"
							       : "-inf");
	/* 15 digits where they say it all, else the 17 that always do. */
	int size = snprintf(digits, sizeof(digits), "%.15g", value);
	double back = 0;
	if (sscanf(digits, "%lf", &back) != 1 || memcmp(&back, &value, sizeof(value)) != 0)
		size = snprintf(digits, sizeof(digits), "%.17g", value);
	/* The locale may have put another decimal point there. */
	for (int i = 0; i < size; i++)
		if (!strchr("0123456789+-e", digits[i]))
			digits[i] = '.';
	return log_put(line, digits, (size_t)size);
}

static bool log_put_status(struct log_line *line, int64_t status)
{
	const char *name = moirai_status_name((int)status);
	return name ? log_put_string(line, name, strlen(name)) : log_put_i64(line, status);
}

static bool log_put_hex(struct log_line *line, uint64_t value)
{
	const char *quote = line->json ? "\"" : "";
	return log_puts(line, quote) && log_puts(line, "0x") && log_put_u64(line, value, 16) &&
	       log_puts(line, quote);
}

static bool log_put_value(struct log_line *line, const moirai_kv *kv)
{
	switch (kv->type_) {
	case MOIRAI_KV_I64:
		return log_put_i64(line, kv->value_.i);
	case MOIRAI_KV_U64:
		return log_put_u64(line, kv->value_.u, 10);
	case MOIRAI_KV_HEX:
		return log_put_hex(line, kv->value_.u);
	case MOIRAI_KV_F64:
		return log_put_f64(line, kv->value_.f);
	case MOIRAI_KV_BOOL:
		return log_puts(line, kv->value_.u ? "true" : "false");
	case MOIRAI_KV_STR:
		return log_put_string(line, (const char *)kv->value_.p, kv->length_);
	case MOIRAI_KV_PTR:
		return log_put_hex(line, (uintptr_t)kv->value_.p);
	case MOIRAI_KV_STATUS:
		return log_put_status(line, kv->value_.i);
	}
	return log_puts(line, "null");
}

/* --- fields --- */

static bool log_put_key(struct log_line *line, const char *key)
{
	bool first = line->size == (line->json ? 1 : 0);
	bool ok = first || log_put(line, line->json ? "," : " ", 1);
	ok = ok && (!line->json || log_put(line, "\"", 1));
	if (!key || !*key)
		key = "_";
	for (; ok && *key; key++) {
		char c = *key;
		bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
		ok = log_put(line, fine ? &c : "_", 1);
	}
	return ok && log_puts(line, line->json ? "\":" : "=");
}

/* One field, or nothing of it. */
static void log_put_field(struct log_line *line, const moirai_kv *kv)
{
	size_t mark = line->size;
	if (!log_put_key(line, kv->key_) || !log_put_value(line, kv))
		line->size = mark;
}

/* Writes the last `width` decimal digits of value, then the mark. */
static char *log_digits(char *out, uint64_t value, int width, char mark)
{
	for (int i = width - 1; i >= 0; i--, value /= 10)
		out[i] = (char)('0' + value % 10);
	out[width] = mark;
	return out + width + 1;
}

/* 2026-11-20T12:00:00.000000Z. Days to date: Hinnant, "chrono-compatible low-level date algorithms". */
static void log_time_text(char out[32], uint64_t wall_ns)
{
	uint64_t second = wall_ns / MOIRAI_S;
	uint64_t z = second / 86400 + 719468;
	uint64_t era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint64_t mp = (5 * doy + 2) / 153;
	uint64_t month = mp < 10 ? mp + 3 : mp - 9;
	out = log_digits(out, yoe + era * 400 + (month <= 2), 4, '-');
	out = log_digits(out, month, 2, '-');
	out = log_digits(out, doy - (153 * mp + 2) / 5 + 1, 2, 'T');
	out = log_digits(out, second / 3600 % 24, 2, ':');
	out = log_digits(out, second / 60 % 60, 2, ':');
	out = log_digits(out, second % 60, 2, '.');
	out = log_digits(out, wall_ns / 1000 % 1000000, 6, 'Z');
	*out = 0;
}

static void log_put_head(struct log_line *line, const struct log_record *record)
{
	const moirai_log_site *site = record->site;
	char time[32];
	log_time_text(time, record->wall_ns);
	moirai_kv head[] = {
		moirai_kv_str("time", time),
		moirai_kv_str("level", moirai_log_level_name(site->level)),
		moirai_kv_str("component", site->component),
		moirai_kv_str("msg", site->message),
	};
	line->size = line->json ? 1 : 0;
	line->text[0] = '{';
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(head); i++)
		log_put_field(line, &head[i]);
}

size_t moirai__log_form(
	char *text, const struct log_record *record, moirai_log_format format, bool *truncated)
{
	struct log_line line = {.text = text, .json = format == MOIRAI_LOG_JSON};
	log_put_head(&line, record);
	for (size_t i = 0; i < record->count; i++)
		log_put_field(&line, &record->fields[i]);
	if (record->suppressed) {
		moirai_kv kv = moirai_kv_u64("suppressed", record->suppressed);
		log_put_field(&line, &kv);
	}
	const char *tail = line.json ? ",\"truncated\":true" : " truncated=true";
	if (line.full) {
		memcpy(text + line.size, tail, strlen(tail));
		line.size += strlen(tail);
	}
	if (line.json)
		text[line.size++] = '}';
	text[line.size++] = '\n';
	*truncated = line.full;
	return line.size;
}
