/* SPDX-License-Identifier: MIT */
#include <moirai/core/config.h>

#include <errno.h>
#include <stdlib.h>

#include <moirai/core/alloc.h>
#include <moirai/core/internal/fault.h>
#include <moirai/core/log.h>
#include <moirai/core/status.h>

#include "../src/config_internal.h"
#include "tap.h"

#ifdef _WIN32
#define setenv(name, value, overwrite) _putenv_s(name, value)
#define unsetenv(name)                 _putenv_s(name, "")
#endif

static const char *const colours[] = {"red", "green", "blue", NULL};
static const moirai_config_key keys[] = {
	{"pool.workers", "threads", "4", MOIRAI_CONFIG_INT, 0, 1, 1024, NULL},
	{"pool.stack", "of a task", "64K", MOIRAI_CONFIG_SIZE, 0, 4096, 1 << 20, NULL},
	{"pool.nap", "a sleep", "10ms", MOIRAI_CONFIG_DURATION, MOIRAI_CONFIG_RELOADABLE, 0, 0,
		NULL},
	{"pool.eager", "or lazy", "off", MOIRAI_CONFIG_BOOL, MOIRAI_CONFIG_RELOADABLE, 0, 0, NULL},
	{"pool.colour", "of it", "green", MOIRAI_CONFIG_ENUM, 0, 0, 0, colours},
	{"pool.name", "of it", "", MOIRAI_CONFIG_STRING, MOIRAI_CONFIG_RELOADABLE, 0, 0, NULL},
	{"any", "number", "0", MOIRAI_CONFIG_INT, 0, 0, 0, NULL},
};
static const moirai_config_table table = {keys, MOIRAI_ARRAY_SIZE(keys)};

static moirai_config *fresh(void)
{
	moirai_config *config = NULL;
	CHECK(moirai_config_register(&table) == 0);
	CHECK(moirai_config_create(&config) == 0);
	return config;
}

static void finish(moirai_config *config)
{
	moirai_config_destroy(config);
	CHECK(moirai_config_unregister(&table) == 0);
}

static int load(moirai_config *config, const char *text)
{
	return moirai_config_load_text(config, text, strlen(text), "t.conf");
}

static int64_t get_int(const moirai_config *config, const char *key)
{
	int64_t value = -77;
	CHECK(moirai_config_get_int(config, key, &value) == 0);
	return value;
}

static const char *get_string(const moirai_config *config, const char *key)
{
	const char *value = "?";
	CHECK(moirai_config_get_string(config, key, &value) == 0);
	return value;
}

static void defaults_have_types(void)
{
	moirai_config *config = fresh();
	uint64_t size, nap;
	bool eager = true;
	unsigned colour;
	CHECK(get_int(config, "pool.workers") == 4);
	CHECK(moirai_config_get_size(config, "pool.stack", &size) == 0 && size == 65536);
	CHECK(moirai_config_get_duration(config, "pool.nap", &nap) == 0 && nap == 10000000);
	CHECK(moirai_config_get_bool(config, "pool.eager", &eager) == 0 && !eager);
	CHECK(moirai_config_get_enum(config, "pool.colour", &colour) == 0 && colour == 1);
	CHECK(get_string(config, "pool.name")[0] == 0);
	finish(config);
}

static void getting_refuses_other_types_and_unknown_keys(void)
{
	moirai_config *config = fresh();
	int64_t n;
	bool b;
	uint64_t u;
	unsigned e;
	const char *s;
	CHECK(moirai_config_get_int(config, "pool.stack", &n) == -EINVAL);
	CHECK(moirai_config_get_bool(config, "any", &b) == -EINVAL);
	CHECK(moirai_config_get_size(config, "any", &u) == -EINVAL);
	CHECK(moirai_config_get_duration(config, "any", &u) == -EINVAL);
	CHECK(moirai_config_get_enum(config, "any", &e) == -EINVAL);
	CHECK(moirai_config_get_string(config, "any", &s) == -EINVAL);
	CHECK(moirai_config_get_int(config, "pool.wokers", &n) == -ENOENT);
	CHECK(strstr(moirai_error_detail(), "did you mean pool.workers?") != NULL);
	CHECK(moirai_config_get_int(config, "something.quite.else", &n) == -ENOENT);
	CHECK(!strstr(moirai_error_detail(), "did you mean"));
	CHECK(moirai_config_get_int(config, "pool", &n) == -ENOENT);
	CHECK(moirai_config_get_int(config, "", &n) == -ENOENT);
	CHECK(moirai_config_get_int(NULL, "any", &n) == -EINVAL);
	CHECK(moirai_config_get_int(config, NULL, &n) == -EINVAL);
	CHECK(moirai_config_get_int(config, "any", NULL) == -EINVAL);
	finish(config);
}

static void a_file_sets_keys_with_sections_and_comments(void)
{
	moirai_config *config = fresh();
	CHECK(load(config,
		      "\xef\xbb\xbf# a comment\n; another\n\n  pool.workers = 0x10  # sixteen\r\n"
		      "[ pool ] # section\nname = a b=c#d   # not part\nstack=1M\ncolour =blue\n"
		      "[]\nany=-9223372036854775808") == 0);
	uint64_t size;
	unsigned colour;
	CHECK(get_int(config, "pool.workers") == 16);
	CHECK(strcmp(get_string(config, "pool.name"), "a b=c#d") == 0);
	CHECK(moirai_config_get_size(config, "pool.stack", &size) == 0 && size == 1 << 20);
	CHECK(moirai_config_get_enum(config, "pool.colour", &colour) == 0 && colour == 2);
	CHECK(get_int(config, "any") == INT64_MIN);
	finish(config);
}

static void quoted_strings_have_escapes(void)
{
	moirai_config *config = fresh();
	CHECK(load(config, "pool.name = \"  a # \\\"b\\\" \\\\ \\n\\t\\r \" ; end\n") == 0);
	CHECK(strcmp(get_string(config, "pool.name"), "  a # \"b\" \\ \n\t\r ") == 0);
	CHECK(load(config, "pool.name = \"\"") == 0 && get_string(config, "pool.name")[0] == 0);
	CHECK(load(config, "pool.name =   # nothing") == 0 &&
		get_string(config, "pool.name")[0] == 0);
	CHECK(load(config, "pool.name = \xc3\xa9t\xc3\xa9") == 0);
	CHECK(strcmp(get_string(config, "pool.name"), "\xc3\xa9t\xc3\xa9") == 0);
	finish(config);
}

static void what_is_wrong_is_told_with_its_place(void)
{
	static const struct {
		const char *text, *detail;
	} wrong[] = {
		{"\n\npool.workers = four", "t.conf:3: pool.workers: \"four\" is no whole number"},
		{"pool.workers = 0", "t.conf:1: pool.workers: \"0\" is not in 1 .. 1024"},
		{"pool.workers = 1025", "is not in 1 .. 1024"},
		{"pool.workers = 99999999999999999999", "is no whole number"},
		{"pool.workers = 1 2", "is no whole number"},
		{"pool.workers =", "is no whole number"},
		{"any = -9223372036854775809", "is no whole number"},
		{"any = 0x", "is no whole number"},
		{"any = --1", "is no whole number"},
		{"pool.stack = 1", "is not in 4K .. 1M"},
		{"pool.stack = 64k", "is no size"},
		{"pool.stack = -1", "is no size"},
		{"pool.stack = 99999999T", "is no size"},
		{"pool.nap = 10", "is no duration"},
		{"pool.nap = ms", "is no duration"},
		{"pool.nap = 1.5s", "is no duration"},
		{"pool.nap = 99999999999s", "is no duration"},
		{"pool.eager = maybe", "is no boolean"},
		{"pool.colour = pink", "is none of red, green, blue"},
		{"# x\npool.wrokers = 1",
			"t.conf:2: pool.wrokers: no such key; did you mean pool.workers?"},
		{"nothing", "t.conf:1: is neither"},
		{"= 1", "there is no key"},
		{"[pool", "lacks its ]"},
		{"[pool] x", "behind the section"},
		{"pool.name = \"a", "t.conf:1: pool.name: a quote is not closed"},
		{"pool.name = \"a\\", "an escape is unknown"},
		{"pool.name = \"a\\q\"", "an escape is unknown"},
		{"pool.name = \"a\" b", "behind the closing quote"},
		{"pool.name = \xff", "is no UTF-8"},
		{"any = 1\n\nany = 2", "t.conf:3: any: was set on line 1 already"},
	};
	moirai_config *config = fresh();
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(wrong); i++) {
		CHECK(load(config, wrong[i].text) == -EINVAL);
		if (!strstr(moirai_error_detail(), wrong[i].detail))
			DIAG("\"%s\" gave \"%s\"", wrong[i].text, moirai_error_detail());
		CHECK(strstr(moirai_error_detail(), wrong[i].detail) != NULL);
	}
	CHECK(moirai_config_load_text(config, "any\0=1", 6, "t") == -EINVAL);
	finish(config);
}

static void limits_of_a_file_are_errors(void)
{
	moirai_config *config = fresh();
	size_t size = MOIRAI_CONFIG_FILE_MAX + 1;
	char *text = moirai_alloc(size);
	REQUIRE(text != NULL);
	memset(text, '#', size);
	CHECK(moirai_config_load_text(config, text, size, "big") == -EFBIG);
	CHECK(moirai_config_load_text(config, text, size - 1, "big") == 0);
	memset(text, 'x', 4096);
	memcpy(text, "pool.name=", 10);
	CHECK(moirai_config_load_text(config, text, 10 + MOIRAI_CONFIG_VALUE_MAX, "t") == 0);
	CHECK(strlen(get_string(config, "pool.name")) == MOIRAI_CONFIG_VALUE_MAX);
	CHECK(moirai_config_load_text(config, text, 11 + MOIRAI_CONFIG_VALUE_MAX, "t") == -EINVAL);
	memset(text, 'k', 100);
	memcpy(text + 100, "=1", 3);
	CHECK(load(config, text) == -EINVAL && strstr(moirai_error_detail(), "too long"));
	text[0] = '[';
	memcpy(text + 100, "]", 2);
	CHECK(load(config, text) == -EINVAL && strstr(moirai_error_detail(), "too long"));
	moirai_free(text);
	finish(config);
}

static void after_an_error_nothing_has_changed(void)
{
	moirai_config *config = fresh();
	CHECK(load(config, "any = 5\npool.workers = 7\n") == 0);
	CHECK(load(config, "any = 6\npool.workers = none\n") == -EINVAL);
	CHECK(get_int(config, "any") == 5 && get_int(config, "pool.workers") == 7);
	CHECK(moirai_config_set(config, "any", "x") == -EINVAL);
	CHECK(strstr(moirai_error_detail(), "any: \"x\" is no whole number"));
	CHECK(get_int(config, "any") == 5);
	finish(config);
}

static void layers_win_whatever_their_order(void)
{
	static const char *const environment[] = {"MOIRAI_ANY=3", "PATH=/bin", NULL};
	static const char *const nothing[] = {NULL};
	moirai_config *config = fresh();
	CHECK(moirai_config_set(config, "any", "4") == 0);
	CHECK(moirai__config_load_environment(config, environment) == 0);
	CHECK(load(config, "any = 2") == 0);
	CHECK(get_int(config, "any") == 4);
	CHECK(moirai_config_set(config, "any", NULL) == 0 && get_int(config, "any") == 3);
	CHECK(load(config, "any = 1") == 0 && get_int(config, "any") == 3);
	CHECK(moirai__config_load_environment(config, nothing) == 0 && get_int(config, "any") == 1);
	finish(config);
}

static void the_environment_is_checked_as_files_are(void)
{
	static const struct {
		const char *variable;
		int status;
		const char *detail;
	} cases[] = {
		{"MOIRAI_POOL_WORKERS=8", 0, NULL},
		{"MOIRAI_POOL_WORKERS=x", -EINVAL,
			"environment: MOIRAI_POOL_WORKERS: \"x\" is no whole"},
		{"MOIRAI_POOL_WORKES=8", -EINVAL, "did you mean MOIRAI_POOL_WORKERS?"},
		{"MOIRAI_SOMETHING_ELSE=8", 0, NULL},
		{"MOIRAI_NOTHING", 0, NULL},
		{"moirai_any=1", 0, NULL},
	};
	moirai_config *config = fresh();
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(cases); i++) {
		const char *environment[] = {cases[i].variable, NULL};
		CHECK(moirai__config_load_environment(config, environment) == cases[i].status);
		if (cases[i].detail)
			CHECK(strstr(moirai_error_detail(), cases[i].detail) != NULL);
	}
	finish(config);
}

static void the_real_environment_is_read(void)
{
	moirai_config *config = fresh();
	setenv("MOIRAI_POOL_NAME", "from outside", 1);
	CHECK(moirai_config_load_env(config) == 0);
	CHECK(strcmp(get_string(config, "pool.name"), "from outside") == 0);
	unsetenv("MOIRAI_POOL_NAME");
	CHECK(moirai_config_load_env(NULL) == -EINVAL);
	finish(config);
}

/* --- files and reload --- */

static const char *file_of(const char *text)
{
	static const char *const path = "test_config.tmp";
	FILE *file = fopen(path, "wb");
	CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
	return path;
}

static void a_real_file_is_loaded(void)
{
	moirai_config *config = fresh();
	CHECK(moirai_config_load_file(config, file_of("any = 12\n")) == 0 &&
		get_int(config, "any") == 12);
	CHECK(moirai_config_load_file(config, file_of("any = z\n")) == -EINVAL);
	CHECK(strstr(moirai_error_detail(), "test_config.tmp:1: any:") != NULL);
	CHECK(moirai_config_load_file(config, "there/is/no/such.conf") == -ENOENT);
	CHECK(strstr(moirai_error_detail(), "there/is/no/such.conf"));
	CHECK(moirai_config_load_file(config, ".") < 0);
	CHECK(moirai_config_load_file(config, NULL) == -EINVAL);
	CHECK(moirai_config_load_file(NULL, ".") == -EINVAL);
	remove("test_config.tmp");
	finish(config);
}

static void reload_changes_the_safe_keys_only(void)
{
	moirai_config *config = fresh();
	unsigned kept = 99;
	uint64_t nap;
	CHECK(moirai_config_load_file(
		      config, file_of("pool.workers=2\npool.nap=1s\npool.name=old\nany=9\n")) == 0);
	CHECK(moirai_config_set(config, "any", "1") == 0);
	/* workers: kept; nap: changed; name: back to the default; any: hidden by the program's layer. */
	CHECK(moirai_config_reload(
		      config, file_of("pool.workers=3\npool.nap=2s\nany=8\n"), &kept) == 0);
	CHECK(kept == 1 && strstr(moirai_error_detail(), "pool.workers"));
	CHECK(get_int(config, "pool.workers") == 2 && get_int(config, "any") == 1);
	CHECK(moirai_config_get_duration(config, "pool.nap", &nap) == 0 && nap == 2000000000);
	CHECK(get_string(config, "pool.name")[0] == 0);
	CHECK(moirai_config_reload(config, file_of("pool.nap=zzz\n"), &kept) == -EINVAL);
	CHECK(moirai_config_get_duration(config, "pool.nap", &nap) == 0 && nap == 2000000000);
	CHECK(moirai_config_reload(config, "no/such/file", NULL) == -ENOENT);
	CHECK(moirai_config_reload(config, NULL, NULL) == -EINVAL);
	remove("test_config.tmp");
	finish(config);
}

/* --- dump --- */

struct text {
	char at[8192];
	size_t size, limit;
};

static int collect(void *self, const char *piece, size_t length)
{
	struct text *text = self;
	if (text->limit && text->size + length > text->limit)
		return -EPIPE;
	if (text->size + length >= sizeof(text->at))
		return -ENOSPC;
	memcpy(text->at + text->size, piece, length);
	text->size += length;
	text->at[text->size] = 0;
	return 0;
}

static void a_dump_tells_origins_and_reads_back(void)
{
	static const char *const environment[] = {"MOIRAI_POOL_COLOUR=red", NULL};
	static struct text first, second;
	moirai_config *config = fresh();
	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	CHECK(load(config, "pool.nap = 1500us\npool.name = \"q \\\" # \\n\"\n") == 0);
	CHECK(moirai__config_load_environment(config, environment) == 0);
	CHECK(moirai_config_set(config, "any", "-3") == 0);
	CHECK(moirai_config_dump(config, MOIRAI_CONFIG_TEXT, collect, &first) == 0);
	CHECK(strstr(first.at, "any = -3 # code\n") &&
		strstr(first.at, "pool.stack = 64K # default\n"));
	CHECK(strstr(first.at, "pool.nap = 1500us # file t.conf:1\n"));
	CHECK(strstr(first.at, "pool.colour = red # env MOIRAI_POOL_COLOUR\n"));
	CHECK(strstr(first.at, "pool.name = \"q \\\" # \\n\" # file t.conf:2\n"));
	finish(config);
	config = fresh();
	CHECK(load(config, first.at) == 0);
	CHECK(get_int(config, "any") == -3 &&
		strcmp(get_string(config, "pool.name"), "q \" # \n") == 0);
	CHECK(moirai_config_dump(config, MOIRAI_CONFIG_JSON, collect, &second) == 0);
	CHECK(strncmp(second.at,
		      "{\n  \"any\": {\"value\": -3, \"origin\": \"file\", \"where\": ", 50) == 0);
	CHECK(strstr(second.at, "\"pool.eager\": {\"value\": false, \"origin\": \"file\""));
	CHECK(strstr(second.at, "\"pool.nap\": {\"value\": \"1500us\""));
	CHECK(strcmp(second.at + second.size - 5, "\"}\n}\n") == 0);
	second.size = 0;
	second.limit = 100;
	CHECK(moirai_config_dump(config, MOIRAI_CONFIG_TEXT, collect, &second) == -EPIPE);
	CHECK(moirai_config_dump(config, (moirai_config_form)2, collect, &second) == -EINVAL);
	CHECK(moirai_config_dump(config, MOIRAI_CONFIG_TEXT, NULL, NULL) == -EINVAL);
	CHECK(moirai_config_dump(NULL, MOIRAI_CONFIG_TEXT, collect, &second) == -EINVAL);
	CHECK(moirai_config_each(config, NULL, NULL) == -EINVAL);
	CHECK(strcmp(moirai_config_origin_name(MOIRAI_CONFIG_ENV), "env") == 0);
	CHECK(strcmp(moirai_config_origin_name((moirai_config_origin)4), "?") == 0);
	finish(config);
}

/* --- the registry --- */

static int register_one(moirai_config_key key)
{
	static moirai_config_key slot;
	static moirai_config_table one = {&slot, 1};
	slot = key;
	int status = moirai_config_register(&one);
	if (status == 0)
		CHECK(moirai_config_unregister(&one) == 0);
	return status;
}

static void declarations_are_checked(void)
{
	moirai_config_key good = {"x.y-z_1", "h", "1", MOIRAI_CONFIG_INT, 0, 0, 9, NULL}, bad;
	static const char *const names[] = {"", ".a", "a.", "a..b", "A", "a b", "_a", "-a", "a.-b",
		"0123456789012345678901234567890123456789012345678901234567890123", NULL};
	CHECK(register_one(good) == 0);
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(names); i++) {
		bad = good;
		bad.name = names[i];
		CHECK(register_one(bad) == -EINVAL);
	}
	bad = good, bad.fallback = NULL;
	CHECK(register_one(bad) == -EINVAL);
	bad = good, bad.fallback = "10";
	CHECK(register_one(bad) == -EINVAL &&
		strstr(moirai_error_detail(), "its default is not in 0 .. 9"));
	bad = good, bad.type = (moirai_config_type)9;
	CHECK(register_one(bad) == -EINVAL);
	bad = good, bad.type = MOIRAI_CONFIG_ENUM;
	CHECK(register_one(bad) == -EINVAL);
	bad = good, bad.min = 5, bad.max = 4;
	CHECK(register_one(bad) == -EINVAL);
	bad = good, bad.flags = 8;
	CHECK(register_one(bad) == -EINVAL);
	bad = good, bad.name = "log.level";
	CHECK(register_one(bad) == -EEXIST);
	/* The same variable: MOIRAI_LOG_LEVEL. */
	bad.name = "log_level";
	CHECK(register_one(bad) == -EEXIST);
	moirai_config_table none = {&good, 0}, null = {NULL, 1},
			    many = {&good, MOIRAI_CONFIG_KEYS_MAX + 1};
	CHECK(moirai_config_register(NULL) == -EINVAL && moirai_config_register(&none) == -EINVAL);
	CHECK(moirai_config_register(&null) == -EINVAL && moirai_config_register(&many) == -EINVAL);
}

static void a_table_stays_while_a_configuration_knows_it(void)
{
	moirai_config *config = fresh();
	CHECK(moirai_config_register(&table) == 0);
	CHECK(moirai_config_unregister(&table) == 0);
	CHECK(moirai_config_unregister(&table) == -EBUSY);
	finish(config);
	CHECK(moirai_config_unregister(&table) == -ENOENT);
	CHECK(moirai_config_unregister(NULL) == -ENOENT);
}

static void the_registry_has_a_limit(void)
{
	static moirai_config_key key[MOIRAI_CONFIG_TABLES_MAX];
	static moirai_config_table tables[MOIRAI_CONFIG_TABLES_MAX];
	static char names[MOIRAI_CONFIG_TABLES_MAX][8];
	int registered = 0;
	for (int i = 0; i < MOIRAI_CONFIG_TABLES_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "k%d", i);
		key[i] = (moirai_config_key){names[i], "", "0", MOIRAI_CONFIG_INT, 0, 0, 0, NULL};
		tables[i] = (moirai_config_table){&key[i], 1};
		int status = moirai_config_register(&tables[i]);
		CHECK(status == (i < MOIRAI_CONFIG_TABLES_MAX - 1 ? 0 : -ENOSPC));
		registered += status == 0;
	}
	for (int i = 0; i < registered; i++)
		CHECK(moirai_config_unregister(&tables[i]) == 0);
}

static void the_log_takes_its_keys(void)
{
	moirai_config *config = fresh();
	CHECK(load(config, "[log]\nlevel = debug\nformat = json\nlimit = 7\n") == 0);
	CHECK(moirai_log_configure(config) == 0 && moirai_log_level_get() == MOIRAI_LOG_DEBUG);
	CHECK(load(config, "log.level = off") == 0 && moirai_log_configure(config) == 0);
	CHECK(moirai_log_level_get() == MOIRAI_LOG_OFF);
	CHECK(moirai_log_configure(NULL) == -EINVAL);
	finish(config);
}

/* --- faults --- */

/* All that allocates, once. */
static int everything(moirai_config **config)
{
	static const char *const environment[] = {"MOIRAI_ANY=3", NULL};
	unsigned kept;
	int status = moirai_config_create(config);
	if (status == 0)
		status = load(*config, "pool.name = x\npool.nap = 1s\n");
	if (status == 0)
		status = moirai__config_load_environment(*config, environment);
	if (status == 0)
		status = moirai_config_set(*config, "pool.workers", "9");
	if (status == 0)
		status = moirai_config_load_file(*config, "test_config.tmp");
	if (status == 0)
		status = moirai_config_reload(*config, "test_config.tmp", &kept);
	return status;
}

static void failed_allocations_leave_nothing(void)
{
	uint64_t nth;
	moirai_alloc_stats before, after;
	file_of("pool.eager = on\n");
	CHECK(moirai_config_register(&table) == 0);
	moirai_alloc_stats_get(&before);
	for (nth = 1;; nth++) {
		moirai_config *config = NULL;
		bool fired;
		moirai__fault_arm(MOIRAI_FAULT_ALLOC, nth);
		int status = everything(&config);
		moirai__fault_passed(&fired);
		moirai__fault_arm(0, 0);
		CHECK(status == (fired ? -ENOMEM : 0));
		/* What is there can be used and freed. */
		if (config)
			CHECK(get_int(config, "pool.workers") == 4 ||
				get_int(config, "pool.workers") == 9);
		moirai_config_destroy(config);
		moirai_alloc_stats_get(&after);
		CHECK(after.live_bytes == before.live_bytes);
		if (!fired)
			break;
	}
	CHECK(nth > 20);
	CHECK(moirai_config_unregister(&table) == 0);
	remove("test_config.tmp");
	moirai_config_destroy(NULL);
	CHECK(moirai_config_create(NULL) == -EINVAL);
}

static void distances_count_edits(void)
{
	CHECK(moirai__config_distance("abc", 3, "abc", 3) == 0);
	CHECK(moirai__config_distance("abc", 3, "acb", 3) == 1);
	CHECK(moirai__config_distance("abc", 3, "ab", 2) == 1);
	CHECK(moirai__config_distance("abc", 3, "xabc", 4) == 1);
	CHECK(moirai__config_distance("kitten", 6, "sitting", 7) == 3);
	CHECK(moirai__config_distance("", 0, "abc", 3) == 3);
}

TAP_MAIN(TEST(defaults_have_types), TEST(getting_refuses_other_types_and_unknown_keys),
	TEST(a_file_sets_keys_with_sections_and_comments), TEST(quoted_strings_have_escapes),
	TEST(what_is_wrong_is_told_with_its_place), TEST(limits_of_a_file_are_errors),
	TEST(after_an_error_nothing_has_changed), TEST(layers_win_whatever_their_order),
	TEST(the_environment_is_checked_as_files_are), TEST(the_real_environment_is_read),
	TEST(a_real_file_is_loaded), TEST(reload_changes_the_safe_keys_only),
	TEST(a_dump_tells_origins_and_reads_back), TEST(declarations_are_checked),
	TEST(a_table_stays_while_a_configuration_knows_it), TEST(the_registry_has_a_limit),
	TEST(the_log_takes_its_keys), TEST(failed_allocations_leave_nothing),
	TEST(distances_count_edits))
