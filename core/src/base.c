/* SPDX-License-Identifier: MIT */
#include <moirai/core/base.h>

#include <stdlib.h>
#include <string.h>

#include <moirai/core/os.h>

/* One line in a buffer of our own and one write: it may run in a signal handler or on any stack. */
struct panic_line {
	char text[512];
	size_t size;
};

static void append(struct panic_line *line, const char *text)
{
	size_t room = sizeof(line->text) - 1 - line->size;
	size_t size = strnlen(text, room);
	memcpy(line->text + line->size, text, size);
	line->size += size;
}

static void append_number(struct panic_line *line, unsigned number)
{
	char digits[12], *at = digits + sizeof(digits) - 1;
	*at = '\0';
	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	append(line, at);
}

void moirai_panic(const char *file, int line, const char *what)
{
	struct panic_line out = {.size = 0};
	append(&out, "moirai: broken invariant at ");
	append(&out, file ? file : "?");
	append(&out, ":");
	append_number(&out, line > 0 ? (unsigned)line : 0);
	append(&out, ": ");
	append(&out, what ? what : "?");
	out.text[out.size++] = '\n';
	moirai_os_write(2, out.text, out.size);
	abort();
}
