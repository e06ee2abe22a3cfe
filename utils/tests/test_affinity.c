/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <errno.h>

#include <moirai/core/status.h>
#include <moirai/utils/affinity.h>
#include <moirai/utils/random.h>

#include "fake_machine.h"

static moirai_topology *read_shape(const fake_shape *shape, const char *mask)
{
	fake_machine fake;
	moirai_topology *t = NULL;
	fake_build(&fake, shape);
	if (mask) {
		char text[256];
		snprintf(text, sizeof(text), "Name:\tx\nCpus_allowed_list:\t%s\n", mask);
		fake_write(&fake, text, "proc/self/status");
	}
	CHECK(moirai_topology_create(&t, fake.root) == 0);
	fake_destroy(&fake);
	return t;
}

static bool parses_to(const char *text, const char *canonical)
{
	moirai_cpuset set;
	char back[256];
	if (moirai_cpulist_parse(text, &set) < 0)
		return false;
	moirai_cpulist_format(&set, back, sizeof(back));
	if (strcmp(back, canonical) != 0)
		DIAG("\"%s\" is \"%s\"", text, back);
	return strcmp(back, canonical) == 0;
}

static void lists_are_read(void)
{
	CHECK(parses_to("", ""));
	CHECK(parses_to(" \n", ""));
	CHECK(parses_to("0", "0"));
	CHECK(parses_to("0-3,8", "0-3,8"));
	CHECK(parses_to(" 8 , 0-3 \n", "0-3,8"));
	CHECK(parses_to("3,1,2,2", "1-3"));
	CHECK(parses_to("16-30:2", "16,18,20,22,24,26,28,30"));
	CHECK(parses_to("0-10:5", "0,5,10"));
	CHECK(parses_to("1023", "1023"));
	CHECK(parses_to("0-1023", "0-1023"));
	CHECK(parses_to("007", "7"));
}

static void lists_that_are_none_are_refused(void)
{
	static const char *const bad[] = {"a", "-1", "1-", "3-1", "1,,2", ",1", "1,", "1-2-3",
		"1 2", "0x10", "1-4:0", "1:2", "1-4:", "1;2", "\xff", "1-4:-1"};
	moirai_cpuset set;
	memset(&set, 0x5A, sizeof(set));
	moirai_cpuset before = set;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(moirai_cpulist_parse(bad[i], &set) == -EINVAL);
		CHECK(strstr(moirai_error_detail(), "column"));
	}
	CHECK(moirai_cpulist_parse("1024", &set) == -ERANGE);
	CHECK(strstr(moirai_error_detail(), "1024"));
	CHECK(moirai_cpulist_parse("0-99999999999999999999", &set) == -ERANGE);
	CHECK(moirai_cpulist_parse(NULL, &set) == -EINVAL);
	CHECK(memcmp(&set, &before, sizeof(set)) == 0);
	moirai_cpulist_parse("12,x", &set);
	CHECK(strstr(moirai_error_detail(), "column 4"));
}

static void format_and_parse_are_inverse(void)
{
	moirai_random random;
	moirai_random_init(&random, 7);
	for (int round = 0; round < 2000; round++) {
		moirai_cpuset set = {{0}}, back;
		char text[8192];
		uint64_t density = 1 + moirai_random_below(&random, 40);
		for (unsigned cpu = 0; cpu < MOIRAI_CPUS_MAX; cpu++)
			if (moirai_random_one_in(&random, density))
				moirai_cpuset_add(&set, cpu);
		size_t length = moirai_cpulist_format(&set, text, sizeof(text));
		REQUIRE(length == strlen(text) && length < sizeof(text));
		REQUIRE(moirai_cpulist_parse(text, &back) == 0);
		REQUIRE(memcmp(&set, &back, sizeof(set)) == 0);
		/* Cut at any size: the same beginning, the same answer, nothing written behind. */
		char cut[64];
		size_t size = (size_t)moirai_random_below(&random, sizeof(cut));
		memset(cut, '#', sizeof(cut));
		REQUIRE(moirai_cpulist_format(&set, cut, size) == length);
		CHECK(size == 0 || (strlen(cut) == (length < size ? length : size - 1) &&
					   strncmp(cut, text, strlen(cut)) == 0));
		for (size_t i = size; i < sizeof(cut); i++)
			CHECK(cut[i] == '#');
	}
}

static void random_text_never_gets_through_unchanged(void)
{
	static const char alphabet[] = "0123456789,-: x";
	moirai_random random;
	moirai_random_init(&random, 11);
	unsigned accepted = 0;
	for (int round = 0; round < 100000; round++) {
		char text[24];
		moirai_cpuset set;
		size_t length = (size_t)moirai_random_below(&random, sizeof(text));
		for (size_t i = 0; i < length; i++)
			text[i] = alphabet[moirai_random_below(&random, sizeof(alphabet) - 1)];
		text[length] = 0;
		int status = moirai_cpulist_parse(text, &set);
		CHECK(status == 0 || status == -EINVAL || status == -ERANGE);
		accepted += status == 0;
		if (strchr(text, 'x'))
			CHECK(status < 0);
	}
	CHECK(accepted > 1000 && accepted < 99000); /* the generator reaches both sides */
}

static void spread_takes_cores_before_siblings(void)
{
	moirai_topology *t = read_shape(&fake_two_sockets, NULL);
	int32_t cpus[40];
	bool core[16] = {false};
	REQUIRE(t && moirai_affinity_plan(t, MOIRAI_AFFINITY_SPREAD, NULL, 40, cpus) == 0);
	for (int i = 0; i < 16; i++) {
		CHECK(!core[cpus[i] % 16]);
		core[cpus[i] % 16] = true;
	}
	/* The sockets take turns, so any prefix is even. */
	for (int i = 0; i + 1 < 32; i += 2)
		CHECK(moirai_topology_distance(t, (unsigned)cpus[i], (unsigned)cpus[i + 1]) ==
			MOIRAI_DISTANCE_REMOTE);
	for (int i = 32; i < 40; i++) /* a second round over the same processors */
		CHECK(cpus[i] == cpus[i - 32]);
	moirai_topology_destroy(t);
}

static void spread_fills_caches_evenly(void)
{
	moirai_topology *t = read_shape(&fake_big, NULL);
	int32_t cpus[16];
	unsigned l3[16] = {0};
	REQUIRE(t && moirai_affinity_plan(t, MOIRAI_AFFINITY_SPREAD, NULL, 16, cpus) == 0);
	for (int i = 0; i < 16; i++)
		l3[moirai_topology_cpu_find(t, (unsigned)cpus[i])->l3]++;
	for (int i = 0; i < 16; i++)
		CHECK(l3[i] == 1);
	moirai_topology_destroy(t);
}

static void spread_prefers_fast_cores(void)
{
	fake_machine fake;
	moirai_topology *t = NULL;
	int32_t cpus[4];
	fake_build(&fake, &fake_hybrid);
	for (unsigned cpu = 0; cpu < 16; cpu++)
		fake_write(&fake, cpu < 8 ? "700\n" : "1024\n",
			"sys/devices/system/cpu/cpu%u/cpu_capacity", cpu);
	REQUIRE(moirai_topology_create(&t, fake.root) == 0);
	fake_destroy(&fake);
	REQUIRE(moirai_affinity_plan(t, MOIRAI_AFFINITY_SPREAD, NULL, 2, cpus) == 0);
	CHECK(cpus[0] == 8 && cpus[1] == 12);
	moirai_topology_destroy(t);
}

static void compact_keeps_neighbours_together(void)
{
	moirai_topology *t = read_shape(&fake_two_sockets, NULL);
	int32_t cpus[33];
	REQUIRE(t && moirai_affinity_plan(t, MOIRAI_AFFINITY_COMPACT, NULL, 33, cpus) == 0);
	CHECK(cpus[0] == 0 && cpus[1] == 16 && cpus[2] == 1 && cpus[3] == 17);
	for (int i = 0; i < 16; i++)
		CHECK(moirai_topology_cpu_find(t, (unsigned)cpus[i])->node == 0);
	for (int i = 16; i < 32; i++)
		CHECK(moirai_topology_cpu_find(t, (unsigned)cpus[i])->node == 1);
	CHECK(cpus[32] == cpus[0]);
	moirai_topology_destroy(t);
}

static void lists_keep_their_order_and_repeat(void)
{
	moirai_topology *t = read_shape(&fake_two_sockets, NULL);
	int32_t cpus[7];
	static const int32_t expected[7] = {9, 2, 3, 9, 2, 3, 9};
	REQUIRE(t && moirai_affinity_plan(t, MOIRAI_AFFINITY_LIST, "9,2-3", 7, cpus) == 0);
	CHECK(memcmp(cpus, expected, sizeof(expected)) == 0);
	REQUIRE(moirai_affinity_plan(t, MOIRAI_AFFINITY_LIST, "9,2-3", 1, cpus) == 0);
	CHECK(cpus[0] == 9);
	moirai_topology_destroy(t);
}

static void no_plan_leaves_the_mask(void)
{
	moirai_topology *t = read_shape(&fake_two_sockets, "4-6,20");
	const moirai_affinity_policy policies[] = {MOIRAI_AFFINITY_SPREAD, MOIRAI_AFFINITY_COMPACT};
	int32_t cpus[9];
	REQUIRE(t);
	for (int p = 0; p < 2; p++) {
		REQUIRE(moirai_affinity_plan(t, policies[p], NULL, 9, cpus) == 0);
		for (int i = 0; i < 9; i++)
			CHECK((cpus[i] >= 4 && cpus[i] <= 6) || cpus[i] == 20);
	}
	REQUIRE(moirai_affinity_plan(t, MOIRAI_AFFINITY_SPREAD, NULL, 4, cpus) == 0);
	CHECK(cpus[3] == 20); /* the sibling of 4 comes last */
	CHECK(moirai_affinity_plan(t, MOIRAI_AFFINITY_LIST, "4,7", 1, cpus) == -ENODEV);
	CHECK(strstr(moirai_error_detail(), "processor 7 is not in the mask"));
	CHECK(moirai_affinity_plan(t, MOIRAI_AFFINITY_LIST, "40", 1, cpus) == -ENODEV);
	CHECK(strstr(moirai_error_detail(), "not online"));
	moirai_topology_destroy(t);
}

static void none_pins_nobody_and_bad_plans_are_refused(void)
{
	moirai_topology *t = read_shape(&fake_hybrid, NULL);
	int32_t cpus[3] = {5, 5, 5};
	REQUIRE(t && moirai_affinity_plan(t, MOIRAI_AFFINITY_NONE, NULL, 3, cpus) == 0);
	CHECK(cpus[0] == MOIRAI_AFFINITY_ANY && cpus[2] == MOIRAI_AFFINITY_ANY);
	CHECK(moirai_affinity_plan(t, MOIRAI_AFFINITY_SPREAD, NULL, 0, cpus) == -EINVAL);
	CHECK(moirai_affinity_plan(NULL, MOIRAI_AFFINITY_SPREAD, NULL, 1, cpus) == -EINVAL);
	CHECK(moirai_affinity_plan(t, MOIRAI_AFFINITY_SPREAD, NULL, 1, NULL) == -EINVAL);
	CHECK(moirai_affinity_plan(t, MOIRAI_AFFINITY_LIST, NULL, 1, cpus) == -EINVAL);
	CHECK(moirai_affinity_plan(t, MOIRAI_AFFINITY_LIST, "", 1, cpus) == -EINVAL);
	CHECK(moirai_affinity_plan(t, MOIRAI_AFFINITY_LIST, "1,", 1, cpus) == -EINVAL);
	CHECK(moirai_affinity_plan(t, (moirai_affinity_policy)9, NULL, 1, cpus) == -EINVAL);
	moirai_topology_destroy(t);
}

static void policies_have_names(void)
{
	moirai_affinity_policy policy;
	const char *list;
	for (int p = MOIRAI_AFFINITY_NONE; p < MOIRAI_AFFINITY_LIST; p++) {
		REQUIRE(moirai_affinity_parse(moirai_affinity_name((moirai_affinity_policy)p),
				&policy, &list) == 0);
		CHECK(policy == (moirai_affinity_policy)p && !list);
	}
	CHECK(moirai_affinity_parse("0-3,8", &policy, &list) == 0);
	CHECK(policy == MOIRAI_AFFINITY_LIST && strcmp(list, "0-3,8") == 0);
	CHECK(moirai_affinity_parse("spreads", &policy, &list) == -EINVAL);
	CHECK(moirai_affinity_parse("", &policy, &list) == -EINVAL);
	CHECK(moirai_affinity_parse(NULL, &policy, &list) == -EINVAL);
	CHECK(strcmp(moirai_affinity_name((moirai_affinity_policy)9), "?") == 0);
}

TAP_MAIN(TEST(lists_are_read), TEST(lists_that_are_none_are_refused),
	TEST(format_and_parse_are_inverse), TEST(random_text_never_gets_through_unchanged),
	TEST(spread_takes_cores_before_siblings), TEST(spread_fills_caches_evenly),
	TEST(spread_prefers_fast_cores), TEST(compact_keeps_neighbours_together),
	TEST(lists_keep_their_order_and_repeat), TEST(no_plan_leaves_the_mask),
	TEST(none_pins_nobody_and_bad_plans_are_refused), TEST(policies_have_names))
