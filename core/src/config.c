/* SPDX-License-Identifier: MIT */
/*
 * A configuration: a sorted array of entries, each with a value per layer. The value in force is the
 * one of the highest layer that has one, so the order of loading does not matter, and a reload takes
 * back what it set. A load collects its values aside and moves them in when all of them are right.
 */
#include <moirai/core/config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moirai/core/alloc.h>
#include <moirai/core/internal/status.h>
#include <moirai/core/log.h>

#include "config_internal.h"
#include "config_registry.h"

static const char *const config_origin_names[CONFIG_LAYERS] = {"default", "file", "env", "code"};

const char *moirai_config_origin_name(moirai_config_origin origin)
{
	return (unsigned)origin < CONFIG_LAYERS ? config_origin_names[origin] : "?";
}

/* --- values --- */

static char *config_copy(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = moirai_alloc(size);
	if (copy)
		memcpy(copy, text, size);
	return copy;
}

int moirai__config_value_make(struct config_value *value, const moirai_config_key *key,
	const char *text, size_t length, const char *where, char *why)
{
	char canonical[MOIRAI_CONFIG_VALUE_MAX + 1];
	int64_t number;
	int status = moirai__config_parse(key, text, length, &number, canonical, why);
	if (status < 0)
		return status;
	char *text_copy = config_copy(canonical);
	char *where_copy = where ? config_copy(where) : NULL;
	if (!text_copy || (where && !where_copy)) {
		moirai_free(text_copy);
		moirai_free(where_copy);
		return -ENOMEM;
	}
	moirai__config_value_fini(value);
	*value = (struct config_value){.number = number, .text = text_copy, .where = where_copy};
	return 0;
}

void moirai__config_value_fini(struct config_value *value)
{
	moirai_free(value->text);
	moirai_free(value->where);
	*value = (struct config_value){0};
}

struct config_value *moirai__config_pending_create(const moirai_config *config)
{
	return moirai_alloc_zeroed(config->count, sizeof(struct config_value));
}

void moirai__config_pending_destroy(const moirai_config *config, struct config_value *pending)
{
	for (size_t i = 0; pending && i < config->count; i++)
		moirai__config_value_fini(&pending[i]);
	moirai_free(pending);
}

void moirai__config_pending_commit(
	moirai_config *config, moirai_config_origin layer, struct config_value *pending)
{
	for (size_t i = 0; i < config->count; i++) {
		if (pending[i].text) {
			moirai__config_value_fini(&config->entries[i].layer[layer]);
			config->entries[i].layer[layer] = pending[i];
		}
	}
	moirai_free(pending);
}

/* --- names --- */

void moirai__config_env_name(char *name, const char *key)
{
	memcpy(name, "MOIRAI_", 7);
	size_t at = 7;
	for (; *key && at < CONFIG_ENV_MAX - 1; key++, at++)
		name[at] = *key == '.' || *key == '-'   ? '_'
			   : *key >= 'a' && *key <= 'z' ? (char)(*key - 'a' + 'A')
							: *key;
	name[at] = 0;
}

/* Optimal string alignment, with three rows. */
unsigned moirai__config_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned char rows[3][CONFIG_ENV_MAX + 1];
	unsigned char *before = rows[0], *last = rows[1], *row = rows[2];
	if (a_length > CONFIG_ENV_MAX || b_length > CONFIG_ENV_MAX)
		return CONFIG_ENV_MAX;
	for (size_t j = 0; j <= b_length; j++)
		last[j] = (unsigned char)j;
	for (size_t i = 1; i <= a_length; i++) {
		row[0] = (unsigned char)i;
		for (size_t j = 1; j <= b_length; j++) {
			unsigned least = last[j - 1] + (a[i - 1] != b[j - 1] ? 1u : 0u);
			if (last[j] + 1u < least)
				least = last[j] + 1u;
			if (row[j - 1] + 1u < least)
				least = row[j - 1] + 1u;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				before[j - 2] + 1u < least)
				least = before[j - 2] + 1u;
			row[j] = (unsigned char)least;
		}
		unsigned char *free_row = before;
		before = last;
		last = row;
		row = free_row;
	}
	return last[b_length];
}

/* Of a name this far away nobody thinks "of course". */
#define CONFIG_NEAR(length) ((length) < 9 ? 2u : (unsigned)(length) / 3)

const char *moirai__config_suggest(const moirai_config *config, const char *name, size_t length)
{
	const char *best = NULL;
	unsigned least = CONFIG_NEAR(length) + 1;
	for (size_t i = 0; i < config->count; i++) {
		const char *known = config->entries[i].key->name;
		unsigned distance = moirai__config_distance(name, length, known, strlen(known));
		if (distance < least) {
			least = distance;
			best = known;
		}
	}
	return best;
}

struct config_entry *moirai__config_find(
	const moirai_config *config, const char *name, size_t length)
{
	size_t low = 0, high = config->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct config_entry *entry = &config->entries[middle];
		int order = strncmp(name, entry->key->name, length);
		if (order == 0 && entry->key->name[length] == 0)
			return entry;
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* As find, and leaves a detail when there is none. */
static struct config_entry *config_lookup(const moirai_config *config, const char *key)
{
	size_t length = strlen(key);
	struct config_entry *entry = moirai__config_find(config, key, length);
	if (entry)
		return entry;
	const char *near = moirai__config_suggest(config, key, length);
	moirai__error_detailf(-ENOENT, "%.80s: no such key%s%s%s", key,
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return NULL;
}

/* --- life --- */

static int config_compare(const void *a, const void *b)
{
	const struct config_entry *x = a, *y = b;
	return strcmp(x->key->name, y->key->name);
}

static int config_fill(moirai_config *config)
{
	size_t count = 0;
	char why[CONFIG_WHY_MAX];
	for (size_t t = 0; t < config->tables_count; t++)
		count += config->tables[t]->count;
	config->entries = moirai_alloc_zeroed(count, sizeof(*config->entries));
	if (!config->entries)
		return -ENOMEM;
	for (size_t t = 0; t < config->tables_count; t++)
		for (size_t k = 0; k < config->tables[t]->count; k++)
			config->entries[config->count++].key = &config->tables[t]->keys[k];
	qsort(config->entries, count, sizeof(*config->entries), config_compare);
	for (size_t i = 0; i < count; i++) {
		const moirai_config_key *key = config->entries[i].key;
		int status =
			moirai__config_value_make(&config->entries[i].layer[MOIRAI_CONFIG_DEFAULT],
				key, key->fallback, strlen(key->fallback), NULL, why);
		if (status < 0)
			return status;
	}
	return 0;
}

int moirai_config_create(moirai_config **out)
{
	if (!out)
		return -EINVAL;
	moirai_config *config = moirai_alloc_zeroed(1, sizeof(*config));
	if (!config)
		return -ENOMEM;
	config->tables_count = moirai__config_registry_pin(config->tables);
	int status = config_fill(config);
	if (status < 0) {
		moirai_config_destroy(config);
		return status;
	}
	*out = config;
	return 0;
}

void moirai_config_destroy(moirai_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->count; i++)
		for (size_t layer = 0; layer < CONFIG_LAYERS; layer++)
			moirai__config_value_fini(&config->entries[i].layer[layer]);
	moirai__config_registry_unpin(config->tables, config->tables_count);
	moirai_free(config->entries);
	moirai_free(config);
}

/* --- setting and getting --- */

int moirai_config_set(moirai_config *config, const char *key, const char *value)
{
	char why[CONFIG_WHY_MAX];
	if (!config || !key)
		return -EINVAL;
	struct config_entry *entry = config_lookup(config, key);
	if (!entry)
		return -ENOENT;
	struct config_value *slot = &entry->layer[MOIRAI_CONFIG_CODE];
	if (!value) {
		moirai__config_value_fini(slot);
		return 0;
	}
	int status = moirai__config_value_make(slot, entry->key, value, strlen(value), NULL, why);
	if (status == -EINVAL)
		return moirai__error_detailf(status, "%s: \"%.60s\" %s", key, value, why);
	return status;
}

const struct config_value *moirai__config_effective(const struct config_entry *entry)
{
	size_t layer = CONFIG_LAYERS - 1;
	while (layer > 0 && !entry->layer[layer].text)
		layer--;
	return &entry->layer[layer];
}

static int config_get(const moirai_config *config, const char *key, moirai_config_type type,
	const void *out, const struct config_value **value)
{
	if (!config || !key || !out)
		return -EINVAL;
	const struct config_entry *entry = config_lookup(config, key);
	if (!entry)
		return -ENOENT;
	if (entry->key->type != type)
		return moirai__error_detailf(-EINVAL, "%s: is of another type", key);
	*value = moirai__config_effective(entry);
	return 0;
}

int moirai_config_get_bool(const moirai_config *config, const char *key, bool *out)
{
	const struct config_value *value;
	int status = config_get(config, key, MOIRAI_CONFIG_BOOL, out, &value);
	if (status == 0)
		*out = value->number != 0;
	return status;
}

int moirai_config_get_int(const moirai_config *config, const char *key, int64_t *out)
{
	const struct config_value *value;
	int status = config_get(config, key, MOIRAI_CONFIG_INT, out, &value);
	if (status == 0)
		*out = value->number;
	return status;
}

int moirai_config_get_size(const moirai_config *config, const char *key, uint64_t *out)
{
	const struct config_value *value;
	int status = config_get(config, key, MOIRAI_CONFIG_SIZE, out, &value);
	if (status == 0)
		*out = (uint64_t)value->number;
	return status;
}

int moirai_config_get_duration(const moirai_config *config, const char *key, uint64_t *out)
{
	const struct config_value *value;
	int status = config_get(config, key, MOIRAI_CONFIG_DURATION, out, &value);
	if (status == 0)
		*out = (uint64_t)value->number;
	return status;
}

int moirai_config_get_enum(const moirai_config *config, const char *key, unsigned *out)
{
	const struct config_value *value;
	int status = config_get(config, key, MOIRAI_CONFIG_ENUM, out, &value);
	if (status == 0)
		*out = (unsigned)value->number;
	return status;
}

int moirai_config_get_string(const moirai_config *config, const char *key, const char **out)
{
	const struct config_value *value;
	int status = config_get(config, key, MOIRAI_CONFIG_STRING, out, &value);
	if (status == 0)
		*out = value->text;
	return status;
}

int moirai_log_configure(const moirai_config *config)
{
	unsigned level = 0, format = 0;
	int64_t limit = 0;
	if (!config)
		return -EINVAL;
	int status = moirai_config_get_enum(config, "log.level", &level);
	if (status == 0)
		status = moirai_config_get_enum(config, "log.format", &format);
	if (status == 0)
		status = moirai_config_get_int(config, "log.limit", &limit);
	if (status < 0)
		return status;
	moirai_log_level_set((moirai_log_level)level);
	moirai_log_format_set((moirai_log_format)format);
	moirai_log_limit_set((uint32_t)limit);
	return 0;
}
