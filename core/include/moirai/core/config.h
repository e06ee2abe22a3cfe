/* SPDX-License-Identifier: MIT */
/*
 * Configuration: typed keys, four layers. What is set in a higher layer wins, whatever the order in
 * which the layers are filled:
 *
 *   defaults < files < the environment (MOIRAI_*) < the program
 *
 * Components declare their keys as tables. A file holds `key = value` lines:
 *
 *   # four workers, and tell me more
 *   executor.workers = 4
 *   [log]
 *   level = debug            # the key is log.level
 *
 * The environment variable of executor.workers is MOIRAI_EXECUTOR_WORKERS.
 *
 * Loading is all or nothing: after an error nothing has changed, and moirai_error_detail() says
 * "file:line: key: what is wrong". Any number of threads may read a configuration at once; whoever
 * changes it (load, set, reload) keeps the readers away.
 */
#ifndef MOIRAI_CORE_CONFIG_H
#define MOIRAI_CORE_CONFIG_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

typedef enum moirai_config_type {
	MOIRAI_CONFIG_BOOL, /* true false yes no on off 1 0 */
	MOIRAI_CONFIG_INT,  /* decimal or 0x, with a sign */
	MOIRAI_CONFIG_SIZE, /* bytes: 4096, 64K, 16M, 1G, 1T (powers of 1024; KiB and so on too) */
	MOIRAI_CONFIG_DURATION, /* 0, 250ns, 10us, 5ms, 2s: the unit is required */
	MOIRAI_CONFIG_ENUM,     /* one of the choices */
	MOIRAI_CONFIG_STRING,   /* the rest of the line, or "quoted with \n \t \\ \" escapes" */
} moirai_config_type;

typedef enum moirai_config_flags {
	MOIRAI_CONFIG_RELOADABLE = 1, /* may change while the program runs */
} moirai_config_flags;

/* One key. Everything it points to must live as long as the table is registered. */
typedef struct moirai_config_key {
	const char *name; /* "executor.workers": lower-case words, digits, _ and - joined by dots */
	const char *help; /* one line */
	const char *fallback; /* the default as text, valid for the key itself */
	moirai_config_type type;
	uint32_t flags;             /* moirai_config_flags */
	int64_t min, max;           /* INT, SIZE (bytes), DURATION (ns): inclusive; both 0: any */
	const char *const *choices; /* ENUM: a NULL-terminated list; the value is the index */
} moirai_config_key;

typedef struct moirai_config_table {
	const moirai_config_key *keys;
	size_t count;
} moirai_config_table;

#define MOIRAI_CONFIG_TABLES_MAX 32         /* components and plugins that declare keys */
#define MOIRAI_CONFIG_KEYS_MAX   256        /* keys in a table */
#define MOIRAI_CONFIG_NAME_MAX   63         /* bytes of a key's name */
#define MOIRAI_CONFIG_VALUE_MAX  1023       /* bytes of a value */
#define MOIRAI_CONFIG_FILE_MAX   (1u << 20) /* bytes of a file: nobody writes more by hand */

/**
 * Declares a table of keys, for configurations created from now on. core's own (log.*) are always
 * there. Registering the same table again is fine: it counts.
 *
 * 0; -EINVAL: a key is malformed or its default is not valid (the detail says which); -EEXIST: a key
 * of that name is declared by another table; -ENOSPC: MOIRAI_CONFIG_TABLES_MAX. Does not allocate.
 */
MOIRAI_API int moirai_config_register(const moirai_config_table *table);

/**
 * Undoes one registration. -ENOENT: not registered; -EBUSY: a configuration that knows its keys is
 * alive (when it is the last registration).
 */
MOIRAI_API int moirai_config_unregister(const moirai_config_table *table);

typedef struct moirai_config moirai_config;

/** A configuration that holds the defaults of all registered keys. 0, -EINVAL, -ENOMEM. */
MOIRAI_API int moirai_config_create(moirai_config **config);

/** Frees it. NULL is fine. */
MOIRAI_API void moirai_config_destroy(moirai_config *config);

/* Which layer a value comes from. */
typedef enum moirai_config_origin {
	MOIRAI_CONFIG_DEFAULT,
	MOIRAI_CONFIG_FILE,
	MOIRAI_CONFIG_ENV,
	MOIRAI_CONFIG_CODE,
} moirai_config_origin;

/**
 * Adds a file to the file layer; a later file wins. 0; -ENOENT and other errors of opening and
 * reading; -EFBIG: more than MOIRAI_CONFIG_FILE_MAX; -ENOMEM; -EINVAL: a NULL argument, a line that
 * cannot be read, an unknown key (with a suggestion), a value that is not valid, a key set twice in
 * the file. Blocks on the file system.
 */
MOIRAI_API int moirai_config_load_file(moirai_config *config, const char *path);

/** The same from memory; `name` stands for the file in details and origins. */
MOIRAI_API int moirai_config_load_text(
	moirai_config *config, const char *text, size_t length, const char *name);

/**
 * Fills the environment layer from the variables of the known keys. A variable that starts with
 * MOIRAI_ and is within two letters of a known one is -EINVAL with a suggestion; others that are
 * unknown belong to somebody else. 0, -EINVAL, -ENOMEM.
 */
MOIRAI_API int moirai_config_load_env(moirai_config *config);

/**
 * Sets a key in the program's layer; value NULL takes it out of that layer. 0; -ENOENT: no such key
 * (the detail suggests one); -EINVAL: not valid, or a NULL argument; -ENOMEM.
 */
MOIRAI_API int moirai_config_set(moirai_config *config, const char *key, const char *value);

/**
 * Replaces the file layer by this file, for the keys that are MOIRAI_CONFIG_RELOADABLE. *kept (may
 * be NULL) receives how many others differ and keep their value until the program starts anew; the
 * detail names the first of them. Errors as for load_file; after one nothing has changed.
 */
MOIRAI_API int moirai_config_reload(moirai_config *config, const char *path, unsigned *kept);

/**
 * The value in force. 0; -ENOENT: no such key (the detail suggests one); -EINVAL: a NULL argument or
 * a key of another type. No allocation; a search by name, about 100 ns: read it once, at the start.
 */
MOIRAI_API int moirai_config_get_bool(const moirai_config *config, const char *key, bool *value);
/** As get_bool. */
MOIRAI_API int moirai_config_get_int(const moirai_config *config, const char *key, int64_t *value);
/** As get_bool; in bytes. */
MOIRAI_API int moirai_config_get_size(
	const moirai_config *config, const char *key, uint64_t *value);
/** As get_bool; in nanoseconds. */
MOIRAI_API int moirai_config_get_duration(
	const moirai_config *config, const char *key, uint64_t *value_ns);
/** As get_bool; the index into the key's choices. */
MOIRAI_API int moirai_config_get_enum(
	const moirai_config *config, const char *key, unsigned *value);
/** As get_bool; the string stays valid until the configuration is changed or destroyed. */
MOIRAI_API int moirai_config_get_string(
	const moirai_config *config, const char *key, const char **value);

/* One key of a configuration, for moirai_config_each(). Valid during the call. */
typedef struct moirai_config_entry {
	const moirai_config_key *key;
	const char *value; /* canonical text: "64K", "10ms", "true" */
	moirai_config_origin origin;
	const char *where; /* "moirai.conf:3", "MOIRAI_LOG_LEVEL", "" for defaults and code */
} moirai_config_entry;

/**
 * Calls fn for every key in alphabetical order until it returns other than 0, and returns that. The
 * function may not change the configuration. -EINVAL: a NULL argument.
 */
MOIRAI_API int moirai_config_each(const moirai_config *config,
	int (*fn)(void *self, const moirai_config_entry *entry), void *self);

typedef enum moirai_config_form {
	MOIRAI_CONFIG_TEXT, /* lines that load_file accepts, with the origin as a comment */
	MOIRAI_CONFIG_JSON, /* one object: key -> {value, origin, where} */
} moirai_config_form;

/**
 * Writes all of it, piece by piece, through write(self, text, length); a piece that returns other
 * than 0 ends it with that result. -EINVAL: a NULL argument or no such form.
 */
MOIRAI_API int moirai_config_dump(const moirai_config *config, moirai_config_form form,
	int (*write)(void *self, const char *text, size_t length), void *self);

/** "default", "file", "env", "code"; "?" for what is no origin. */
MOIRAI_API const char *moirai_config_origin_name(moirai_config_origin origin);

/**
 * Gives the log its level, format and limit from the keys log.level, log.format and log.limit.
 * -EINVAL: config is NULL.
 */
MOIRAI_API int moirai_log_configure(const moirai_config *config);

MOIRAI_END_DECLS

#endif
