/* SPDX-License-Identifier: MIT */
/*
 * The tables of keys that components declare. A bounded list under one lock; a configuration pins the
 * tables it was made from, so that a plug-in cannot take its keys away below it.
 */
#include <errno.h>
#include <string.h>

#include <moirai/core/internal/lock.h>
#include <moirai/core/internal/status.h>
#include <moirai/core/log.h>

#include "config_internal.h"
#include "config_registry.h"

static const char *const config_log_levels[] = {
	"trace", "debug", "info", "warn", "error", "off", NULL};
static const char *const config_log_formats[] = {"text", "json", NULL};

/* Core's own keys. */
static const moirai_config_key config_core_keys[] = {
	{"log.level", "lines of this level and above are written", "warn", MOIRAI_CONFIG_ENUM,
		MOIRAI_CONFIG_RELOADABLE, 0, 0, config_log_levels},
	{"log.format", "the form of the lines", "text", MOIRAI_CONFIG_ENUM,
		MOIRAI_CONFIG_RELOADABLE, 0, 0, config_log_formats},
	{"log.limit", "lines per second and call site, 0: no limit", "100", MOIRAI_CONFIG_INT,
		MOIRAI_CONFIG_RELOADABLE, 0, UINT32_MAX, NULL},
};
static const moirai_config_table config_core_table = {
	config_core_keys, MOIRAI_ARRAY_SIZE(config_core_keys)};

struct config_slot {
	const moirai_config_table *table; /* NULL: free */
	uint32_t registrations;
	uint32_t users; /* configurations alive */
};

static moirai__lock config_lock;
static struct config_slot config_slots[MOIRAI_CONFIG_TABLES_MAX] = {{&config_core_table, 1, 0}};

static struct config_slot *config_slot_of(const moirai_config_table *table)
{
	for (size_t i = 0; i < MOIRAI_CONFIG_TABLES_MAX; i++)
		if (config_slots[i].table == table)
			return &config_slots[i];
	return NULL;
}

/* Lower-case words of letters, digits, _ and - joined by single dots. */
static bool config_name_valid(const char *name)
{
	size_t length = 0;
	bool fresh = true; /* a word must begin here */
	for (; name && name[length]; length++) {
		char c = name[length];
		bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		bool inner = letter || c == '_' || c == '-';
		if (length >= MOIRAI_CONFIG_NAME_MAX || (fresh ? !letter : !inner && c != '.'))
			return false;
		fresh = c == '.';
	}
	return length > 0 && !fresh;
}

static int config_key_check(const moirai_config_key *key)
{
	char canonical[MOIRAI_CONFIG_VALUE_MAX + 1], why[CONFIG_WHY_MAX];
	int64_t number;
	if (!config_name_valid(key->name))
		return moirai__error_detailf(
			-EINVAL, "%.80s: is no name of a key", key->name ? key->name : "(null)");
	if ((unsigned)key->type > MOIRAI_CONFIG_STRING ||
		key->flags & ~(uint32_t)MOIRAI_CONFIG_RELOADABLE || key->min > key->max ||
		(key->type == MOIRAI_CONFIG_ENUM && (!key->choices || !key->choices[0])))
		return moirai__error_detailf(-EINVAL, "%s: its declaration is wrong", key->name);
	if (!key->fallback)
		return moirai__error_detailf(-EINVAL, "%s: has no default", key->name);
	if (moirai__config_parse(
		    key, key->fallback, strlen(key->fallback), &number, canonical, why) < 0)
		return moirai__error_detailf(-EINVAL, "%s: its default %s", key->name, why);
	return 0;
}

/* Two keys whose variables would be the same are one key too many. */
static bool config_key_clashes(const moirai_config_key *a, const moirai_config_key *b)
{
	char name_a[CONFIG_ENV_MAX], name_b[CONFIG_ENV_MAX];
	moirai__config_env_name(name_a, a->name);
	moirai__config_env_name(name_b, b->name);
	return strcmp(name_a, name_b) == 0;
}

static int config_key_unique(
	const moirai_config_key *key, const moirai_config_key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (config_key_clashes(key, &keys[i]))
			return moirai__error_detailf(
				-EEXIST, "%s: is declared already, as %s", key->name, keys[i].name);
	return 0;
}

/* With the lock held. */
static int config_table_check(const moirai_config_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		int status = config_key_check(&table->keys[i]);
		if (status == 0)
			status = config_key_unique(&table->keys[i], table->keys, i);
		for (size_t s = 0; status == 0 && s < MOIRAI_CONFIG_TABLES_MAX; s++)
			if (config_slots[s].table)
				status = config_key_unique(&table->keys[i],
					config_slots[s].table->keys, config_slots[s].table->count);
		if (status < 0)
			return status;
	}
	return 0;
}

static int config_register_new(const moirai_config_table *table)
{
	struct config_slot *slot = config_slot_of(NULL);
	if (!slot)
		return moirai__error_detailf(
			-ENOSPC, "at most %d tables of keys", MOIRAI_CONFIG_TABLES_MAX);
	int status = config_table_check(table);
	if (status == 0)
		*slot = (struct config_slot){table, 1, 0};
	return status;
}

int moirai_config_register(const moirai_config_table *table)
{
	if (!table || !table->keys || table->count == 0 || table->count > MOIRAI_CONFIG_KEYS_MAX)
		return moirai__error_detailf(
			-EINVAL, "a table holds 1 to %d keys", MOIRAI_CONFIG_KEYS_MAX);
	int status = 0;
	moirai__lock_acquire(&config_lock);
	struct config_slot *slot = config_slot_of(table);
	if (slot)
		slot->registrations++;
	else
		status = config_register_new(table);
	moirai__lock_release(&config_lock);
	return status;
}

int moirai_config_unregister(const moirai_config_table *table)
{
	int status = 0;
	moirai__lock_acquire(&config_lock);
	struct config_slot *slot = table ? config_slot_of(table) : NULL;
	if (!slot || slot == &config_slots[0])
		status = -ENOENT;
	else if (slot->registrations == 1 && slot->users > 0)
		status = -EBUSY;
	else if (--slot->registrations == 0)
		slot->table = NULL;
	moirai__lock_release(&config_lock);
	return status;
}

size_t moirai__config_registry_pin(const moirai_config_table **tables)
{
	size_t count = 0;
	moirai__lock_acquire(&config_lock);
	for (size_t i = 0; i < MOIRAI_CONFIG_TABLES_MAX; i++) {
		if (config_slots[i].table) {
			config_slots[i].users++;
			tables[count++] = config_slots[i].table;
		}
	}
	moirai__lock_release(&config_lock);
	return count;
}

void moirai__config_registry_unpin(const moirai_config_table *const *tables, size_t count)
{
	moirai__lock_acquire(&config_lock);
	for (size_t i = 0; i < count; i++)
		config_slot_of(tables[i])->users--;
	moirai__lock_release(&config_lock);
}
