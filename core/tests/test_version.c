/* SPDX-License-Identifier: MIT */
#include <moirai/core/version.h>

#include "tap.h"

static void header_and_library_agree(void)
{
	char text[32];
	snprintf(text, sizeof(text), "%d.%d.%d", MOIRAI_VERSION_MAJOR, MOIRAI_VERSION_MINOR,
		MOIRAI_VERSION_PATCH);
	CHECK(strcmp(moirai_version(), text) == 0);
	CHECK(moirai_version_number() == MOIRAI_VERSION_NUMBER);
}

static void the_build_says_the_same_version(void)
{
	CHECK(strcmp(moirai_version(), MOIRAI_TEST_VERSION) == 0);
}

static void facts_have_unique_keys_and_stand_in_the_line(void)
{
	size_t count = 0;
	const moirai_build_fact *fact, *other;
	for (; (fact = moirai_build_info_at(count)); count++) {
		char word[128];
		REQUIRE(fact->key && fact->key[0] && fact->value && fact->value[0]);
		snprintf(word, sizeof(word), " %s=%s", fact->key, fact->value);
		CHECK(strstr(moirai_build_info(), word) != NULL);
		for (size_t j = 0; j < count && (other = moirai_build_info_at(j)); j++)
			CHECK(strcmp(other->key, fact->key) != 0);
	}
	CHECK(count >= 6);
	CHECK(moirai_build_info_at(SIZE_MAX) == NULL);
	CHECK(strncmp(moirai_build_info(), "moirai ", 7) == 0);
}

TAP_MAIN(TEST(header_and_library_agree), TEST(the_build_says_the_same_version),
	TEST(facts_have_unique_keys_and_stand_in_the_line))
