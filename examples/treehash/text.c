/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <moirai/core/alloc.h>

void text_free(text *t)
{
	moirai_free(t->bytes);
	*t = (text){0};
}

static bool text_reserve(text *t, size_t count)
{
	if (t->used + count <= t->size)
		return true;
	size_t size = t->size ? t->size * 2 : 4096;
	while (size < t->used + count)
		size *= 2;
	char *bytes = moirai_realloc(t->bytes, size);
	if (!bytes) {
		t->failed = true;
		return false;
	}
	t->bytes = bytes;
	t->size = size;
	return true;
}

void text_add(text *t, const void *bytes, size_t count)
{
	if (count && text_reserve(t, count)) {
		memcpy(t->bytes + t->used, bytes, count);
		t->used += count;
	}
}

void text_print(text *t, const char *format, ...)
{
	char line[256];
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (n > 0)
		text_add(t, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

void text_path(text *t, const char *bytes, size_t count)
{
	text_add(t, bytes, count);
}

void text_escaped(text *t, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		switch (bytes[i]) {
		case '\n':
			text_add(t, "\\n", 2);
			break;
		case '\r':
			text_add(t, "\\r", 2);
			break;
		case '\\':
			text_add(t, "\\\\", 2);
			break;
		default:
			text_add(t, bytes + i, 1);
		}
	}
}

void text_visible(text *t, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (c < ' ' || c == 127)
			text_print(t, "\\%03o", c);
		else
			text_add(t, bytes + i, 1);
	}
}

void text_json(text *t, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (c == '"' || c == '\\')
			text_print(t, "\\%c", c);
		else if (c < ' ' || c == 127)
			text_print(t, "\\u%04x", c);
		else
			text_add(t, bytes + i, 1);
	}
}

void text_hex(text *t, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		text_print(t, "%02x", (unsigned char)bytes[i]);
}

/* The length of the sequence that starts with this byte; 0: none does. *least: its smallest value. */
static size_t utf8_length(unsigned char first, unsigned *least)
{
	if (first < 0x80) {
		*least = 0;
		return 1;
	}
	if (first >= 0xC2 && first < 0xE0) {
		*least = 0x80;
		return 2;
	}
	if (first >= 0xE0 && first < 0xF0) {
		*least = 0x800;
		return 3;
	}
	*least = 0x10000;
	return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

bool text_is_utf8(const char *bytes, size_t count)
{
	const unsigned char *p = (const unsigned char *)bytes;
	for (size_t i = 0; i < count;) {
		unsigned least, value;
		size_t length = utf8_length(p[i], &least);
		if (length == 0 || length > count - i)
			return false;
		value = length == 1 ? p[i] : p[i] & (0x7Fu >> length);
		for (size_t k = 1; k < length; k++) {
			if ((p[i + k] & 0xC0) != 0x80)
				return false;
			value = value << 6 | (p[i + k] & 0x3Fu);
		}
		if (value < least || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
			return false;
		i += length;
	}
	return true;
}
