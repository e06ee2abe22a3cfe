/* SPDX-License-Identifier: MIT */
/* A growing buffer of bytes, and paths in the forms that readers of the output understand. */
#ifndef TREEHASH_TEXT_H
#define TREEHASH_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct text {
	char *bytes;
	size_t used, size;
	bool failed; /* no memory: what did not fit is missing */
} text;

void text_free(text *t);
void text_add(text *t, const void *bytes, size_t count);
void text_print(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As it is. */
void text_path(text *t, const char *bytes, size_t count);
/* As xxhsum escapes: \n, \r and \\. */
void text_escaped(text *t, const char *bytes, size_t count);
/* For people: control characters as \ooo, so that no name writes to the terminal. */
void text_visible(text *t, const char *bytes, size_t count);
/* The inside of a JSON string. The bytes must be UTF-8. */
void text_json(text *t, const char *bytes, size_t count);
/* Two digits a byte. */
void text_hex(text *t, const char *bytes, size_t count);

/* Whether the bytes are UTF-8 (RFC 3629: shortest forms, no surrogates). */
bool text_is_utf8(const char *bytes, size_t count);

#endif
