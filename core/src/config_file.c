/* SPDX-License-Identifier: MIT */
/*
 * Configuration files: `key = value` lines, `[section]` prefixes, # and ; comments.
 *
 * The reader walks over a block of memory with its length; it never looks behind the end, takes any
 * bytes, and says of the first thing that it does not understand where it stands.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <moirai/core/alloc.h>
#include <moirai/core/internal/status.h>

#include "config_internal.h"

struct config_reader {
	const moirai_config *config;
	struct config_value *pending;
	const char *name; /* of the file */
	unsigned line;
	char section[MOIRAI_CONFIG_NAME_MAX + 1];
};

/* A piece of the text. */
struct config_span {
	const char *at;
	size_t length;
};

static bool config_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static struct config_span config_trim(struct config_span span)
{
	while (span.length > 0 && config_blank(span.at[0])) {
		span.at++;
		span.length--;
	}
	while (span.length > 0 && config_blank(span.at[span.length - 1]))
		span.length--;
	return span;
}

/* Nothing, or a comment. */
static bool config_nothing(struct config_span span)
{
	span = config_trim(span);
	return span.length == 0 || span.at[0] == '#' || span.at[0] == ';';
}

static int config_line_error(const struct config_reader *reader, const char *what)
{
	return moirai__error_detailf(-EINVAL, "%.100s:%u: %s", reader->name, reader->line, what);
}

/* Control characters have no business in names; the detail goes to a terminal. */
static int config_printable(struct config_span span)
{
	int length = 0;
	while ((size_t)length < span.length && length < 64 &&
		(unsigned char)span.at[length] >= 0x20 && span.at[length] != 0x7f)
		length++;
	return length;
}

static int config_read_section(struct config_reader *reader, struct config_span line)
{
	const char *end = memchr(line.at, ']', line.length);
	if (!end)
		return config_line_error(reader, "a section lacks its ]");
	struct config_span rest = {end + 1, line.length - (size_t)(end + 1 - line.at)};
	struct config_span name =
		config_trim((struct config_span){line.at + 1, (size_t)(end - line.at) - 1});
	if (!config_nothing(rest))
		return config_line_error(reader, "there is something behind the section");
	if (name.length > MOIRAI_CONFIG_NAME_MAX)
		return config_line_error(reader, "the section's name is too long");
	memcpy(reader->section, name.at, name.length);
	reader->section[name.length] = 0;
	return 0;
}

/* "quoted text" with escapes into out; what is wrong, or NULL. */
static const char *config_read_quoted(struct config_span value, char *out, size_t *length)
{
	size_t i = 1;
	*length = 0;
	for (;;) {
		if (i >= value.length)
			return "a quote is not closed";
		char c = value.at[i++];
		if (c == '"')
			break;
		if (c == '\\') {
			static const char letters[] = "\"\\nrt", meant[] = "\"\\\n\r\t";
			const char *found = i < value.length && value.at[i]
						    ? strchr(letters, value.at[i])
						    : NULL;
			if (!found)
				return "an escape is unknown (there are \\\" \\\\ \\n \\r \\t)";
			c = meant[found - letters];
			i++;
		}
		if (*length == MOIRAI_CONFIG_VALUE_MAX)
			return "the value is too long";
		out[(*length)++] = c;
	}
	if (!config_nothing((struct config_span){value.at + i, value.length - i}))
		return "there is something behind the closing quote";
	return NULL;
}

/* Up to a comment, which begins with a # or ; after a blank. */
static const char *config_read_plain(struct config_span value, char *out, size_t *length)
{
	size_t end = 0;
	while (end < value.length && !(end > 0 && (value.at[end] == '#' || value.at[end] == ';') &&
					     config_blank(value.at[end - 1])))
		end++;
	value = config_nothing(value) ? (struct config_span){value.at, 0}
				      : config_trim((struct config_span){value.at, end});
	if (value.length > MOIRAI_CONFIG_VALUE_MAX)
		return "the value is too long";
	if (value.length)
		memcpy(out, value.at, value.length);
	*length = value.length;
	return NULL;
}

/* The entry that a line names, with the section before it. */
static int config_read_key(
	const struct config_reader *reader, struct config_span name, struct config_entry **entry)
{
	char full[MOIRAI_CONFIG_NAME_MAX + 1];
	size_t prefix = strlen(reader->section);
	size_t dot = prefix > 0;
	if (name.length == 0)
		return config_line_error(reader, "there is no key before the =");
	if (prefix + dot + name.length > MOIRAI_CONFIG_NAME_MAX)
		return config_line_error(reader, "the key's name is too long");
	memcpy(full, reader->section, prefix);
	if (dot)
		full[prefix] = '.';
	memcpy(full + prefix + dot, name.at, name.length);
	size_t length = prefix + dot + name.length;
	full[length] = 0;
	*entry = moirai__config_find(reader->config, full, length);
	if (*entry)
		return 0;
	const char *near = moirai__config_suggest(reader->config, full, length);
	return moirai__error_detailf(-EINVAL, "%.100s:%u: %.*s: no such key%s%s%s", reader->name,
		reader->line, config_printable((struct config_span){full, length}), full,
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static int config_read_assignment(struct config_reader *reader, struct config_span line)
{
	char text[MOIRAI_CONFIG_VALUE_MAX + 1], why[CONFIG_WHY_MAX], where[128];
	size_t length = 0;
	struct config_entry *entry;
	const char *equals = memchr(line.at, '=', line.length);
	if (!equals)
		return config_line_error(
			reader, "is neither key = value, nor [section], nor # comment");
	struct config_span name = {line.at, (size_t)(equals - line.at)};
	struct config_span value = {equals + 1, line.length - name.length - 1};
	int status = config_read_key(reader, config_trim(name), &entry);
	if (status < 0)
		return status;
	value = config_trim(value);
	bool quoted = value.length > 0 && value.at[0] == '"';
	const char *wrong = (quoted ? config_read_quoted : config_read_plain)(value, text, &length);
	const char *key = entry->key->name;
	if (wrong)
		return moirai__error_detailf(
			-EINVAL, "%.100s:%u: %s: %s", reader->name, reader->line, key, wrong);
	struct config_value *slot = &reader->pending[entry - reader->config->entries];
	if (slot->text)
		return moirai__error_detailf(-EINVAL, "%.100s:%u: %s: was set on line %u already",
			reader->name, reader->line, key, slot->line);
	snprintf(where, sizeof(where), "%.110s:%u", reader->name, reader->line);
	status = moirai__config_value_make(slot, entry->key, text, length, where, why);
	slot->line = reader->line;
	if (status == -EINVAL) {
		struct config_span shown = {text, length};
		return moirai__error_detailf(status, "%.100s:%u: %s: \"%.*s\" %s", reader->name,
			reader->line, key, config_printable(shown), text, why);
	}
	return status;
}

static int config_read_line(struct config_reader *reader, struct config_span line)
{
	reader->line++;
	if (config_nothing(line))
		return 0;
	if (memchr(line.at, 0, line.length))
		return config_line_error(reader, "there is a zero byte: this is no text");
	line = config_trim(line);
	return line.at[0] == '[' ? config_read_section(reader, line)
				 : config_read_assignment(reader, line);
}

int moirai__config_read_text(const moirai_config *config, const char *text, size_t length,
	const char *name, struct config_value *pending)
{
	struct config_reader reader = {.config = config, .pending = pending, .name = name};
	int status = 0;
	/* The mark that some editors put in front. */
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		length -= 3;
	}
	while (status == 0 && length > 0) {
		const char *end = memchr(text, '\n', length);
		size_t size = end ? (size_t)(end - text) : length;
		status = config_read_line(&reader, (struct config_span){text, size});
		size += end != NULL;
		text += size;
		length -= size;
	}
	return status;
}

int moirai_config_load_text(
	moirai_config *config, const char *text, size_t length, const char *name)
{
	if (!config || (!text && length) || !name)
		return -EINVAL;
	if (length > MOIRAI_CONFIG_FILE_MAX)
		return moirai__error_detailf(
			-EFBIG, "%.100s: is longer than %u bytes", name, MOIRAI_CONFIG_FILE_MAX);
	struct config_value *pending = moirai__config_pending_create(config);
	if (!pending)
		return -ENOMEM;
	int status = moirai__config_read_text(config, text, length, name, pending);
	if (status < 0)
		moirai__config_pending_destroy(config, pending);
	else
		moirai__config_pending_commit(config, MOIRAI_CONFIG_FILE, pending);
	return status;
}

/* --- files --- */

/* All of a file; the caller frees *text. */
static int config_slurp(const char *path, char **text, size_t *length)
{
	FILE *file = fopen(path, "rb");
	if (!file)
		return moirai__error_detailf(-errno, "%.100s: cannot be opened", path);
	size_t room = MOIRAI_CONFIG_FILE_MAX + 1;
	char *block = moirai_alloc(room);
	size_t size = block ? fread(block, 1, room, file) : 0;
	int status = !block ? -ENOMEM : ferror(file) ? -EIO : 0;
	fclose(file);
	if (status == 0 && size == room)
		status = moirai__error_detailf(
			-EFBIG, "%.100s: is longer than %u bytes", path, MOIRAI_CONFIG_FILE_MAX);
	else if (status == -EIO)
		moirai__error_detailf(status, "%.100s: cannot be read", path);
	if (status < 0) {
		moirai_free(block);
		return status;
	}
	*text = block;
	*length = size;
	return 0;
}

int moirai_config_load_file(moirai_config *config, const char *path)
{
	char *text = NULL;
	size_t length = 0;
	if (!config || !path)
		return -EINVAL;
	int status = config_slurp(path, &text, &length);
	if (status < 0)
		return status;
	status = moirai_config_load_text(config, text, length, path);
	moirai_free(text);
	return status;
}

/* Is the value in force another one when the file layer is `fresh`? */
static bool config_differs(const struct config_entry *entry, const struct config_value *fresh)
{
	struct config_entry then = *entry;
	then.layer[MOIRAI_CONFIG_FILE] = *fresh;
	return strcmp(moirai__config_effective(entry)->text,
		       moirai__config_effective(&then)->text) != 0;
}

static unsigned config_reload_commit(moirai_config *config, struct config_value *pending)
{
	unsigned kept = 0;
	for (size_t i = 0; i < config->count; i++) {
		struct config_entry *entry = &config->entries[i];
		bool reloadable = entry->key->flags & MOIRAI_CONFIG_RELOADABLE;
		if (!reloadable && config_differs(entry, &pending[i])) {
			if (kept++ == 0)
				moirai__error_detailf(
					0, "%s: takes effect at the next start", entry->key->name);
			moirai__config_value_fini(&pending[i]);
			continue;
		}
		moirai__config_value_fini(&entry->layer[MOIRAI_CONFIG_FILE]);
		entry->layer[MOIRAI_CONFIG_FILE] = pending[i];
	}
	moirai_free(pending);
	return kept;
}

int moirai_config_reload(moirai_config *config, const char *path, unsigned *kept)
{
	char *text = NULL;
	size_t length = 0;
	if (!config || !path)
		return -EINVAL;
	int status = config_slurp(path, &text, &length);
	if (status < 0)
		return status;
	struct config_value *pending = moirai__config_pending_create(config);
	status = pending ? moirai__config_read_text(config, text, length, path, pending) : -ENOMEM;
	moirai_free(text);
	if (status < 0) {
		moirai__config_pending_destroy(config, pending);
		return status;
	}
	unsigned count = config_reload_commit(config, pending);
	if (kept)
		*kept = count;
	return 0;
}
