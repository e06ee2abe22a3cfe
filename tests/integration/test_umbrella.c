/* SPDX-License-Identifier: MIT */
/* The umbrella header and library: what a user meets first. */
#include <moirai/moirai.h>
#include "tap.h"

static void the_list_of_components_names_what_is_in(void)
{
	const char *list = moirai_components();
	CHECK(strstr(list, "core") == list);
#ifdef MOIRAI_HAS_EXECUTOR
	CHECK(strstr(list, "executor") != NULL);
#else
	CHECK(strstr(list, "executor") == NULL);
#endif
}

TAP_MAIN(TEST(the_list_of_components_names_what_is_in))
