/* SPDX-License-Identifier: MIT */
/* What the files of the configuration share. */
#ifndef MOIRAI_CORE_SRC_CONFIG_INTERNAL_H
#define MOIRAI_CORE_SRC_CONFIG_INTERNAL_H

#include <moirai/core/config.h>

#define CONFIG_LAYERS  4
#define CONFIG_WHY_MAX 160 /* bytes of "what is wrong" */

/* One value of one layer. `text` NULL: the layer does not set the key. */
struct config_value {
	int64_t number; /* BOOL, INT, SIZE in bytes, DURATION in ns, ENUM as index */
	char *text;     /* canonical */
	char *where;    /* NULL: the layer says it all */
	unsigned line;  /* while a file is being read */
};

struct config_entry {
	const moirai_config_key *key;
	struct config_value layer[CONFIG_LAYERS];
};

struct moirai_config {
	struct config_entry *entries; /* sorted by name */
	size_t count;
	const moirai_config_table *tables[MOIRAI_CONFIG_TABLES_MAX]; /* that it keeps registered */
	size_t tables_count;
};

/* config_value.c: text <-> value. */

/*
 * Reads a value of the key's type and range. canonical[MOIRAI_CONFIG_VALUE_MAX + 1] receives its text.
 * 0, or -EINVAL with what is wrong in why[CONFIG_WHY_MAX].
 */
int moirai__config_parse(const moirai_config_key *key, const char *text, size_t length,
	int64_t *number, char *canonical, char *why);

/* config.c: entries. */

/* The entry of a name, or NULL. */
struct config_entry *moirai__config_find(
	const moirai_config *config, const char *name, size_t length);

/* The value in force. */
const struct config_value *moirai__config_effective(const struct config_entry *entry);

/* The known name nearest to this one, or NULL when none is near. */
const char *moirai__config_suggest(const moirai_config *config, const char *name, size_t length);

/* Parses and copies; 0, -EINVAL with why[], -ENOMEM. where may be NULL. */
int moirai__config_value_make(struct config_value *value, const moirai_config_key *key,
	const char *text, size_t length, const char *where, char *why);

void moirai__config_value_fini(struct config_value *value);

/* An array of as many values as there are entries; moved into a layer when all of it is right. */
struct config_value *moirai__config_pending_create(const moirai_config *config);
void moirai__config_pending_destroy(const moirai_config *config, struct config_value *pending);
void moirai__config_pending_commit(
	moirai_config *config, moirai_config_origin layer, struct config_value *pending);

/* MOIRAI_EXECUTOR_WORKERS of executor.workers; name[CONFIG_ENV_MAX]. */
#define CONFIG_ENV_MAX (MOIRAI_CONFIG_NAME_MAX + 8)
void moirai__config_env_name(char *name, const char *key);

/* Edits (insert, delete, replace, swap neighbours) between two names of at most CONFIG_ENV_MAX. */
unsigned moirai__config_distance(const char *a, size_t a_length, const char *b, size_t b_length);

/* config_file.c: reads the text of a file into pending values; nothing else is changed. */
int moirai__config_read_text(const moirai_config *config, const char *text, size_t length,
	const char *name, struct config_value *pending);

/* config_env.c, for tests: the environment as a NULL-terminated list of NAME=VALUE. */
int moirai__config_load_environment(moirai_config *config, const char *const *environment);

#endif
