/* SPDX-License-Identifier: MIT */
/* Writing a configuration down, with the origin of each value. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config_internal.h"

typedef int (*config_write_fn)(void *self, const char *text, size_t length);

struct config_writer {
	config_write_fn write;
	void *self;
	moirai_config_form form;
	bool first;
};

int moirai_config_each(const moirai_config *config,
	int (*fn)(void *self, const moirai_config_entry *entry), void *self)
{
	if (!config || !fn)
		return -EINVAL;
	for (size_t i = 0; i < config->count; i++) {
		const struct config_entry *entry = &config->entries[i];
		const struct config_value *value = moirai__config_effective(entry);
		moirai_config_entry seen = {
			.key = entry->key,
			.value = value->text,
			.origin = (moirai_config_origin)(value - entry->layer),
			.where = value->where ? value->where : "",
		};
		int status = fn(self, &seen);
		if (status != 0)
			return status;
	}
	return 0;
}

static int config_put(struct config_writer *writer, const char *text)
{
	return writer->write(writer->self, text, strlen(text));
}

/* A quoted string, in the escapes that both forms share; JSON wants the other controls as \u00XX. */
static int config_put_quoted(struct config_writer *writer, const char *text)
{
	static const char plain[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
	int status = config_put(writer, "\"");
	for (; status == 0 && *text; text++) {
		char piece[8] = {*text, 0};
		const char *found = strchr(plain, *text);
		if (found)
			snprintf(piece, sizeof(piece), "\\%c", letters[found - plain]);
		else if ((unsigned char)*text < 0x20 && writer->form == MOIRAI_CONFIG_JSON)
			snprintf(piece, sizeof(piece), "\\u%04x", (unsigned)(unsigned char)*text);
		status = config_put(writer, piece);
	}
	return status ? status : config_put(writer, "\"");
}

/* A comment ends at the end of its line, and it must not end earlier. */
static int config_put_comment(struct config_writer *writer, const char *text)
{
	int status = 0;
	for (; status == 0 && *text; text++) {
		char c = (unsigned char)*text < 0x20 ? '?' : *text;
		status = writer->write(writer->self, &c, 1);
	}
	return status;
}

static int config_put_value(struct config_writer *writer, const moirai_config_entry *entry)
{
	moirai_config_type type = entry->key->type;
	bool bare = type == MOIRAI_CONFIG_BOOL || type == MOIRAI_CONFIG_INT ||
		    (type != MOIRAI_CONFIG_STRING && writer->form == MOIRAI_CONFIG_TEXT);
	return bare ? config_put(writer, entry->value) : config_put_quoted(writer, entry->value);
}

static int config_put_text(void *self, const moirai_config_entry *entry)
{
	struct config_writer *writer = self;
	int status = config_put(writer, entry->key->name);
	status = status ? status : config_put(writer, " = ");
	status = status ? status : config_put_value(writer, entry);
	status = status ? status : config_put(writer, " # ");
	status = status ? status : config_put(writer, moirai_config_origin_name(entry->origin));
	if (entry->where[0]) {
		status = status ? status : config_put(writer, " ");
		status = status ? status : config_put_comment(writer, entry->where);
	}
	return status ? status : config_put(writer, "\n");
}

static int config_put_json(void *self, const moirai_config_entry *entry)
{
	struct config_writer *writer = self;
	int status = config_put(writer, writer->first ? "{\n  " : ",\n  ");
	writer->first = false;
	status = status ? status : config_put_quoted(writer, entry->key->name);
	status = status ? status : config_put(writer, ": {\"value\": ");
	status = status ? status : config_put_value(writer, entry);
	status = status ? status : config_put(writer, ", \"origin\": ");
	status = status ? status
			: config_put_quoted(writer, moirai_config_origin_name(entry->origin));
	if (entry->where[0]) {
		status = status ? status : config_put(writer, ", \"where\": ");
		status = status ? status : config_put_quoted(writer, entry->where);
	}
	return status ? status : config_put(writer, "}");
}

int moirai_config_dump(const moirai_config *config, moirai_config_form form,
	int (*write)(void *self, const char *text, size_t length), void *self)
{
	if (!config || !write || (unsigned)form > MOIRAI_CONFIG_JSON)
		return -EINVAL;
	struct config_writer writer = {.write = write, .self = self, .form = form, .first = true};
	if (form == MOIRAI_CONFIG_TEXT)
		return moirai_config_each(config, config_put_text, &writer);
	int status = moirai_config_each(config, config_put_json, &writer);
	return status ? status : config_put(&writer, "\n}\n");
}
