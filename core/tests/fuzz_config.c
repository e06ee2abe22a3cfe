/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for configuration files: whatever is accepted must be dumped and read back as the same,
 * whatever is refused must say why and change nothing.
 *
 *   clang -fsanitize=fuzzer,address,undefined ... fuzz_config.c   explores (option `fuzz`)
 *   cc -DMOIRAI_FUZZ_SMOKE ... fuzz_config.c                      tries a fixed set of mutants (TAP)
 */
#include <moirai/core/config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <moirai/core/alloc.h>
#include <moirai/core/status.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const choices[] = {"one", "two", "three", NULL};
static const moirai_config_key keys[] = {
	{"a.int", "", "1", MOIRAI_CONFIG_INT, 0, -1000, 1000, NULL},
	{"a.any", "", "0", MOIRAI_CONFIG_INT, 0, 0, 0, NULL},
	{"a.size", "", "4K", MOIRAI_CONFIG_SIZE, 0, 0, 0, NULL},
	{"a.time", "", "5ms", MOIRAI_CONFIG_DURATION, 0, 0, 0, NULL},
	{"a.flag", "", "no", MOIRAI_CONFIG_BOOL, 0, 0, 0, NULL},
	{"a.pick", "", "two", MOIRAI_CONFIG_ENUM, 0, 0, 0, choices},
	{"a.text", "", "", MOIRAI_CONFIG_STRING, 0, 0, 0, NULL},
};
static const moirai_config_table table = {keys, MOIRAI_ARRAY_SIZE(keys)};

struct text {
	char *at;
	size_t size;
};

static int collect(void *self, const char *piece, size_t length)
{
	struct text *text = self;
	char *more = moirai_realloc(text->at, text->size + length + 1);
	if (!more)
		return -ENOMEM;
	memcpy(more + text->size, piece, length);
	text->at = more;
	text->size += length;
	text->at[text->size] = 0;
	return 0;
}

static int compare(void *self, const moirai_config_entry *entry)
{
	const moirai_config *other = self;
	const char *value;
	if (entry->key->type != MOIRAI_CONFIG_STRING)
		return 0;
	MOIRAI_ASSERT(moirai_config_get_string(other, entry->key->name, &value) == 0);
	MOIRAI_ASSERT(strcmp(value, entry->value) == 0);
	return 0;
}

static void read_back(const moirai_config *config)
{
	struct text text = {0}, again = {0}, json = {0};
	moirai_config *copy;
	MOIRAI_ASSERT(moirai_config_dump(config, MOIRAI_CONFIG_TEXT, collect, &text) == 0);
	MOIRAI_ASSERT(moirai_config_dump(config, MOIRAI_CONFIG_JSON, collect, &json) == 0);
	MOIRAI_ASSERT(moirai_config_create(&copy) == 0);
	MOIRAI_ASSERT(moirai_config_load_text(copy, text.at, text.size, "fuzz") == 0);
	MOIRAI_ASSERT(moirai_config_each(config, compare, copy) == 0);
	MOIRAI_ASSERT(moirai_config_dump(copy, MOIRAI_CONFIG_TEXT, collect, &again) == 0);
	moirai_free(text.at);
	moirai_free(again.at);
	moirai_free(json.at);
	moirai_config_destroy(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool registered;
	moirai_config *config;
	if (!registered)
		MOIRAI_ASSERT(moirai_config_register(&table) == 0);
	registered = true;
	MOIRAI_ASSERT(moirai_config_create(&config) == 0);
	/* An exact copy, so that a reader that looks behind the end is caught. */
	char *exact = size ? moirai_alloc(size) : NULL;
	MOIRAI_ASSERT(size == 0 || exact);
	if (size)
		memcpy(exact, data, size);
	int status = moirai_config_load_text(config, exact, size, "fuzz");
	if (status == 0)
		read_back(config);
	else
		MOIRAI_ASSERT((status == -EINVAL || status == -EFBIG) && moirai_error_detail()[0]);
	moirai_free(exact);
	moirai_config_destroy(config);
	return 0;
}

#ifdef MOIRAI_FUZZ_SMOKE

#include "tap.h"

static const char seed_text[] =
	"# all kinds\n[a]\nint = -7 ; c\nany=0x7f\nsize = 16M\ntime = 250us\nflag = yes\n"
	"pick = three\ntext = \"q \\\" \\n \\\\ \xc3\xa9\" # end\n[]\na.pick = one\r\n";

static void mutants_are_read_or_refused(void)
{
	static const char bits[] = "\0\n\r\t []#;=\"\\.-+xKs09\xff\xc3\xe2";
	char text[sizeof(seed_text) * 2];
	uint32_t random = 12345;
	for (int round = 0; round < 20000; round++) {
		size_t size = sizeof(seed_text) - 1;
		memcpy(text, seed_text, size);
		for (int change = round % 5; change >= 0 && size > 0; change--) {
			random = random * 1664525u + 1013904223u;
			size_t at = (random >> 8) % size;
			char bit = bits[(random >> 3) % (sizeof(bits) - 1)];
			switch (random >> 30) {
			case 0:
				text[at] = bit;
				break;
			case 1:
				memmove(text + at, text + at + 1, --size - at);
				break;
			case 2:
				memmove(text + at + 1, text + at, size++ - at), text[at] = bit;
				break;
			default:
				size = at + 1;
				break;
			}
		}
		LLVMFuzzerTestOneInput((const uint8_t *)text, size);
	}
	CHECK(true);
}

static void every_prefix_is_read_or_refused(void)
{
	for (size_t size = 0; size < sizeof(seed_text); size++)
		CHECK(LLVMFuzzerTestOneInput((const uint8_t *)seed_text, size) == 0);
}

TAP_MAIN(TEST(every_prefix_is_read_or_refused), TEST(mutants_are_read_or_refused))

#endif
