/* SPDX-License-Identifier: MIT */
/* The environment layer: MOIRAI_EXECUTOR_WORKERS is executor.workers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <moirai/core/internal/status.h>

#include "config_internal.h"

/* Two edits from a known variable it is a slip of the finger; farther, it is somebody else's. */
#define CONFIG_SLIP 2

/* The entry whose variable this is; else *near is the one that it almost is, or NULL. */
static struct config_entry *config_env_find(
	const moirai_config *config, const char *name, size_t length, const char **near)
{
	unsigned least = CONFIG_SLIP + 1;
	*near = NULL;
	for (size_t i = 0; i < config->count; i++) {
		char known[CONFIG_ENV_MAX];
		moirai__config_env_name(known, config->entries[i].key->name);
		unsigned distance = moirai__config_distance(name, length, known, strlen(known));
		if (distance == 0)
			return &config->entries[i];
		if (distance < least) {
			least = distance;
			*near = config->entries[i].key->name;
		}
	}
	return NULL;
}

static int config_env_take(
	const moirai_config *config, const char *variable, struct config_value *pending)
{
	char name[CONFIG_ENV_MAX], why[CONFIG_WHY_MAX];
	const char *equals = strchr(variable, '=');
	if (strncmp(variable, "MOIRAI_", 7) != 0 || !equals)
		return 0;
	size_t length = (size_t)(equals - variable);
	if (length >= sizeof(name))
		return 0;
	memcpy(name, variable, length);
	name[length] = 0;
	const char *near;
	struct config_entry *entry = config_env_find(config, name, length, &near);
	if (!entry && near) {
		char wanted[CONFIG_ENV_MAX];
		moirai__config_env_name(wanted, near);
		return moirai__error_detailf(-EINVAL,
			"environment: %s: no such variable; did you mean %s?", name, wanted);
	}
	if (!entry)
		return 0;
	int status = moirai__config_value_make(&pending[entry - config->entries], entry->key,
		equals + 1, strlen(equals + 1), name, why);
	if (status == -EINVAL)
		return moirai__error_detailf(
			status, "environment: %s: \"%.60s\" %s", name, equals + 1, why);
	return status;
}

int moirai__config_load_environment(moirai_config *config, const char *const *environment)
{
	struct config_value *pending = moirai__config_pending_create(config);
	int status = pending ? 0 : -ENOMEM;
	for (size_t i = 0; status == 0 && environment && environment[i]; i++)
		status = config_env_take(config, environment[i], pending);
	if (status < 0) {
		moirai__config_pending_destroy(config, pending);
		return status;
	}
	/* The layer is what the environment says now. */
	for (size_t i = 0; i < config->count; i++)
		moirai__config_value_fini(&config->entries[i].layer[MOIRAI_CONFIG_ENV]);
	moirai__config_pending_commit(config, MOIRAI_CONFIG_ENV, pending);
	return 0;
}

int moirai_config_load_env(moirai_config *config)
{
	if (!config)
		return -EINVAL;
#ifdef _WIN32
	return moirai__config_load_environment(config, (const char *const *)_environ);
#else
	extern char **environ;
	return moirai__config_load_environment(config, (const char *const *)environ);
#endif
}
