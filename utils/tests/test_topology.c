/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>

#include <moirai/core/alloc.h>
#include <moirai/core/internal/fault.h>
#include <moirai/utils/affinity.h>
#include <moirai/utils/random.h>
#include <moirai/utils/topology.h>

#include "fake_machine.h"

/* Reads the fake and takes it away; NULL with a failed CHECK when that fails. */
static moirai_topology *read_fake(fake_machine *fake)
{
	moirai_topology *t = NULL;
	CHECK(moirai_topology_create(&t, fake->root) == 0);
	fake_destroy(fake);
	return t;
}

static moirai_topology *read_shape(const fake_shape *shape)
{
	fake_machine fake;
	fake_build(&fake, shape);
	return read_fake(&fake);
}

static bool counts_are(const moirai_topology *t, unsigned cpus, unsigned cores, unsigned l2,
	unsigned l3, unsigned packages, unsigned nodes)
{
	moirai_topology_info i;
	moirai_topology_get_info(t, &i);
	bool equal = i.cpus == cpus && i.cores == cores && i.l2 == l2 && i.l3 == l3 &&
		     i.packages == packages && i.nodes == nodes;
	if (!equal)
		DIAG("cpus %u cores %u l2 %u l3 %u packages %u nodes %u", i.cpus, i.cores, i.l2,
			i.l3, i.packages, i.nodes);
	return equal;
}

static void two_sockets_are_told_apart(void)
{
	moirai_topology *t = read_shape(&fake_two_sockets);
	moirai_topology_info info;
	REQUIRE(t);
	CHECK(counts_are(t, 32, 16, 16, 2, 2, 2));
	moirai_topology_get_info(t, &info);
	CHECK(info.complete && info.usable == 32 && info.quota_millicpus == 0);
	CHECK(moirai_topology_distance(t, 3, 3) == MOIRAI_DISTANCE_SAME);
	CHECK(moirai_topology_distance(t, 3, 19) == MOIRAI_DISTANCE_SMT);
	CHECK(moirai_topology_distance(t, 3, 4) == MOIRAI_DISTANCE_L3);
	CHECK(moirai_topology_distance(t, 3, 8) == MOIRAI_DISTANCE_REMOTE);
	CHECK(moirai_topology_distance(t, 3, 99) == MOIRAI_DISTANCE_REMOTE);
	CHECK(moirai_topology_node_distance(t, 0, 0) == 10);
	CHECK(moirai_topology_node_distance(t, 0, 1) == 21);
	CHECK(moirai_topology_node_distance(t, 0, 2) == UINT32_MAX);
	CHECK(moirai_topology_cpu_find(t, 19)->smt == 1 &&
		moirai_topology_cpu_find(t, 3)->smt == 0);
	CHECK(!moirai_topology_cpu_find(t, 32) && !moirai_topology_cpu_find(t, 5000));
	CHECK(!moirai_topology_cpu_at(t, 32));
	moirai_topology_destroy(t);
}

static void big_machine_has_every_distance_but_l2(void)
{
	moirai_topology *t = read_shape(&fake_big);
	REQUIRE(t);
	CHECK(counts_are(t, 128, 64, 64, 16, 2, 4));
	CHECK(moirai_topology_distance(t, 0, 1) == MOIRAI_DISTANCE_SMT);
	CHECK(moirai_topology_distance(t, 0, 7) == MOIRAI_DISTANCE_L3);
	CHECK(moirai_topology_distance(t, 0, 8) == MOIRAI_DISTANCE_NODE);
	CHECK(moirai_topology_distance(t, 0, 32) == MOIRAI_DISTANCE_REMOTE);
	CHECK(moirai_topology_node_distance(t, 0, 1) == 12);
	CHECK(moirai_topology_node_distance(t, 1, 2) == 32);
	moirai_topology_destroy(t);
}

static void hybrid_modules_share_the_l2(void)
{
	fake_machine fake;
	fake_build(&fake, &fake_hybrid);
	for (unsigned cpu = 0; cpu < 16; cpu++)
		fake_write(&fake, cpu < 8 ? "1024\n" : "700\n",
			"sys/devices/system/cpu/cpu%u/cpu_capacity", cpu);
	moirai_topology *t = read_fake(&fake);
	REQUIRE(t);
	CHECK(counts_are(t, 16, 12, 6, 1, 1, 1));
	CHECK(moirai_topology_distance(t, 8, 11) == MOIRAI_DISTANCE_L2);
	CHECK(moirai_topology_distance(t, 8, 12) == MOIRAI_DISTANCE_L3);
	CHECK(moirai_topology_distance(t, 0, 1) == MOIRAI_DISTANCE_SMT);
	CHECK(moirai_topology_cpu_find(t, 0)->capacity == 1024);
	CHECK(moirai_topology_cpu_find(t, 9)->capacity == 700);
	moirai_topology_destroy(t);
}

static void victims_come_nearest_first(void)
{
	moirai_topology *t = read_shape(&fake_big);
	uint32_t order[128];
	REQUIRE(t);
	for (unsigned cpu = 0; cpu < 128; cpu++) {
		bool seen[128] = {false};
		REQUIRE(moirai_topology_order(t, cpu, order, 128) == 127);
		for (unsigned i = 0; i < 127; i++) {
			CHECK(order[i] != cpu && !seen[order[i]]);
			seen[order[i]] = true;
			if (i == 0)
				continue;
			moirai_distance before = moirai_topology_distance(t, cpu, order[i - 1]);
			moirai_distance now = moirai_topology_distance(t, cpu, order[i]);
			CHECK(before <= now);
			unsigned own = moirai_topology_cpu_find(t, cpu)->node;
			if (before == MOIRAI_DISTANCE_REMOTE)
				CHECK(moirai_topology_node_distance(t, own,
					      moirai_topology_cpu_find(t, order[i - 1])->node) <=
					moirai_topology_node_distance(t, own,
						moirai_topology_cpu_find(t, order[i])->node));
		}
	}
	/* Equals start after the thief: the first victims of neighbours differ. */
	moirai_topology_order(t, 8, order, 128);
	CHECK(order[0] == 9 && order[1] == 10);
	moirai_topology_order(t, 10, order, 128);
	CHECK(order[0] == 11 && order[1] == 12);
	moirai_topology_destroy(t);
}

static void order_writes_no_more_than_its_capacity(void)
{
	moirai_topology *t = read_shape(&fake_two_sockets);
	uint32_t order[4] = {77, 77, 77, 77};
	REQUIRE(t);
	CHECK(moirai_topology_order(t, 0, order, 3) == 31);
	CHECK(order[0] == 16 && order[2] != 77 && order[3] == 77);
	CHECK(moirai_topology_order(t, 0, NULL, 0) == 31);
	CHECK(moirai_topology_order(t, 4000, order, 3) == 32); /* not one of them: all are others */
	moirai_topology_destroy(t);
}

static void mask_and_offline_processors_are_respected(void)
{
	fake_machine fake;
	fake_build(&fake, &fake_two_sockets);
	/* 17 and 20-23 are offline; their folders are still there, as after hot-unplugging. */
	fake_write(&fake, "0-16,18-19,24-31\n", "sys/devices/system/cpu/online");
	fake_write(&fake, "Name:\tx\nCpus_allowed_list:\t1-3,17,19\n", "proc/self/status");
	moirai_topology *t = read_fake(&fake);
	moirai_topology_info info;
	uint32_t order[32];
	REQUIRE(t);
	moirai_topology_get_info(t, &info);
	CHECK(info.cpus == 27 && info.usable == 4);
	CHECK(!moirai_topology_cpu_find(t, 17) && moirai_topology_cpu_find(t, 18));
	CHECK(moirai_topology_cpu_find(t, 3)->usable && !moirai_topology_cpu_find(t, 4)->usable);
	CHECK(moirai_topology_order(t, 3, order, 32) == 3 && order[0] == 19);
	CHECK(moirai_cpuset_has(moirai_topology_usable(t), 19));
	CHECK(!moirai_cpuset_has(moirai_topology_usable(t), 17));
	CHECK(moirai_topology_parallelism(t) == 4);
	moirai_topology_destroy(t);
}

static void missing_sysfs_gives_one_node_of_all(void)
{
	fake_machine fake;
	fake_create(&fake);
	fake_write(&fake, "Name:\tx\nCpus_allowed_list:\t0-5\n", "proc/self/status");
	moirai_topology *t = read_fake(&fake);
	moirai_topology_info info;
	REQUIRE(t);
	CHECK(counts_are(t, 6, 6, 6, 1, 1, 1));
	moirai_topology_get_info(t, &info);
	CHECK(!info.complete && info.usable == 6);
	CHECK(moirai_topology_distance(t, 0, 5) == MOIRAI_DISTANCE_L3);
	moirai_topology_destroy(t);
	fake_create(&fake); /* nothing at all: as many as this process may use */
	t = read_fake(&fake);
	REQUIRE(t);
	moirai_topology_get_info(t, &info);
	CHECK(info.cpus == moirai_os_cpus_usable() && !info.complete);
	moirai_topology_destroy(t);
}

static void broken_files_are_as_good_as_missing(void)
{
	fake_machine fake;
	fake_build(&fake, &fake_two_sockets);
	fake_write(&fake, "banana\n", "sys/devices/system/cpu/cpu0/topology/thread_siblings_list");
	fake_write(&fake, "", "sys/devices/system/cpu/cpu1/topology/thread_siblings_list");
	fake_write(&fake, "-1\n", "sys/devices/system/cpu/cpu2/topology/physical_package_id");
	fake_write(&fake, "7-3\n", "sys/devices/system/cpu/cpu3/cache/index3/shared_cpu_list");
	/* A contradiction: 4 claims 5 as its sibling, 5 knows nothing of it. */
	fake_write(&fake, "4-5\n", "sys/devices/system/cpu/cpu4/topology/thread_siblings_list");
	/* A list that does not hold the processor itself. */
	fake_write(&fake, "9\n", "sys/devices/system/cpu/cpu6/topology/thread_siblings_list");
	fake_write(&fake, "x y\n", "sys/devices/system/node/node1/distance");
	moirai_topology *t = read_fake(&fake);
	moirai_topology_info info;
	REQUIRE(t);
	moirai_topology_get_info(t, &info);
	CHECK(info.cpus == 32 && info.nodes == 2 && info.packages == 2 && !info.complete);
	CHECK(moirai_topology_node_distance(t, 1, 0) == 20); /* assumed */
	CHECK(moirai_topology_distance(t, 7, 23) == MOIRAI_DISTANCE_SMT);
	for (unsigned a = 0; a < 32; a++)
		for (unsigned b = 0; b < 32; b++)
			CHECK(moirai_topology_distance(t, a, b) ==
				moirai_topology_distance(t, b, a));
	moirai_topology_destroy(t);
}

static void a_mask_from_elsewhere_is_ignored(void)
{
	fake_machine fake;
	fake_build(&fake, &fake_two_sockets);
	fake_write(&fake, "Name:\tx\nCpus_allowed_list:\t500-600\n", "proc/self/status");
	moirai_topology *t = read_fake(&fake);
	moirai_topology_info info;
	REQUIRE(t);
	moirai_topology_get_info(t, &info);
	CHECK(info.usable == 32);
	moirai_topology_destroy(t);
}

static unsigned numbered_cpu(unsigned cpu)
{
	return cpu;
}
static unsigned numbered_node(unsigned cpu)
{
	return cpu;
}

static void nodes_beyond_the_limit_join_the_last(void)
{
	static const fake_shape shape = {
		80, 80, numbered_cpu, numbered_cpu, numbered_cpu, hybrid_all, numbered_node, NULL};
	moirai_topology *t = read_shape(&shape);
	REQUIRE(t);
	CHECK(counts_are(t, 80, 80, 80, 80, 1, MOIRAI_NODES_MAX));
	CHECK(moirai_topology_cpu_find(t, 79)->node == MOIRAI_NODES_MAX - 1);
	moirai_topology_destroy(t);
}

static void nodes_with_gaps_and_without_processors(void)
{
	fake_machine fake;
	fake_build(&fake, &fake_two_sockets);
	/* Nodes 0, 2 and 5; 2 has memory only. Distances have a column for each. */
	fake_write(&fake, "0,2,5\n", "sys/devices/system/node/online");
	fake_write(&fake, "\n", "sys/devices/system/node/node2/cpulist");
	fake_write(&fake, "8-15,24-31\n", "sys/devices/system/node/node5/cpulist");
	fake_write(&fake, "10 17 28\n", "sys/devices/system/node/node0/distance");
	fake_write(&fake, "28 17 10\n", "sys/devices/system/node/node5/distance");
	moirai_topology *t = read_fake(&fake);
	REQUIRE(t);
	CHECK(counts_are(t, 32, 16, 16, 2, 2, 2));
	CHECK(moirai_topology_node_number(t, 0) == 0 && moirai_topology_node_number(t, 1) == 5);
	CHECK(moirai_topology_node_number(t, 2) == -1);
	CHECK(moirai_topology_node_distance(t, 0, 1) == 28);
	CHECK(moirai_topology_node_distance(t, 1, 0) == 28);
	CHECK(moirai_topology_node_distance(t, 1, 1) == 10);
	moirai_topology_destroy(t);
}

static unsigned quota_with(const char *file, const char *text, const char *file2, const char *text2,
	const char *cgroup)
{
	fake_machine fake;
	moirai_topology_info info = {0};
	fake_build(&fake, &fake_hybrid);
	fake_write(&fake, cgroup, "proc/self/cgroup");
	if (file)
		fake_write(&fake, text, "%s", file);
	if (file2)
		fake_write(&fake, text2, "%s", file2);
	moirai_topology *t = read_fake(&fake);
	if (t)
		moirai_topology_get_info(t, &info);
	moirai_topology_destroy(t);
	return info.quota_millicpus;
}

static void smallest_quota_of_all_levels_wins(void)
{
	static const char v2[] = "0::/a/b\n";
	static const char v1[] = "9:name=systemd:/\n3:cpuacct,cpu:/x/y\n2:cpuset:/z\n";
	CHECK(quota_with("sys/fs/cgroup/a/b/cpu.max", "250000 100000\n", NULL, NULL, v2) == 2500);
	CHECK(quota_with("sys/fs/cgroup/a/b/cpu.max", "max 100000\n", NULL, NULL, v2) == 0);
	CHECK(quota_with("sys/fs/cgroup/a/b/cpu.max", "250000 100000\n", "sys/fs/cgroup/a/cpu.max",
		      "150000 100000\n", v2) == 1500);
	CHECK(quota_with("sys/fs/cgroup/cpu.max", "50000 100000\n", NULL, NULL, v2) == 500);
	CHECK(quota_with("sys/fs/cgroup/cpu.max", "50000 100000\n", NULL, NULL, "0::/\n") == 500);
	CHECK(quota_with("sys/fs/cgroup/cpu/x/y/cpu.cfs_quota_us", "300000\n",
		      "sys/fs/cgroup/cpu/x/y/cpu.cfs_period_us", "100000\n", v1) == 3000);
	CHECK(quota_with("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "300000\n",
		      "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "200000\n", v1) == 1500);
	CHECK(quota_with("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n",
		      "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n", v1) == 0);
	CHECK(quota_with("sys/fs/cgroup/cpu.max", "rubbish\n", NULL, NULL, v2) == 0);
	CHECK(quota_with("sys/fs/cgroup/cpu.max", "100 0\n", NULL, NULL, v2) == 0);
	CHECK(quota_with("sys/fs/cgroup/cpu.max", "-5 100\n", NULL, NULL, "0::\n:::\n0:\n\n") == 0);
}

static void quota_bounds_the_parallelism(void)
{
	fake_machine fake;
	fake_build(&fake, &fake_hybrid);
	fake_write(&fake, "0::/\n", "proc/self/cgroup");
	fake_write(&fake, "250000 100000\n", "sys/fs/cgroup/cpu.max");
	moirai_topology *t = read_fake(&fake);
	REQUIRE(t);
	CHECK(moirai_topology_parallelism(t) == 3);
	moirai_topology_destroy(t);
}

static void the_tree_is_printed_like_snprintf(void)
{
	moirai_topology *t = read_shape(&fake_hybrid);
	char text[4096], small[40];
	REQUIRE(t);
	size_t length = moirai_topology_print(t, text, sizeof(text));
	REQUIRE(length < sizeof(text) && strlen(text) == length);
	CHECK(strncmp(text, "machine: 16 cpus (16 usable), 12 cores, 1 packages, 1 nodes\n", 60) ==
		0);
	CHECK(strstr(text, "      L3 0: cpu 0-15\n"));
	CHECK(strstr(text, "        L2 4: cpu 8-11\n          core 4: cpu 8\n"));
	CHECK(moirai_topology_print(t, small, sizeof(small)) == length);
	CHECK(strlen(small) == sizeof(small) - 1 && strncmp(small, text, sizeof(small) - 1) == 0);
	CHECK(moirai_topology_print(t, NULL, 0) == length);
	moirai_topology_destroy(t);
}

static void this_machine_agrees_with_the_os_layer(void)
{
	moirai_topology *t = NULL;
	moirai_topology_info info;
	moirai_cpuset mask;
	REQUIRE(moirai_topology_create(&t, NULL) == 0);
	moirai_topology_get_info(t, &info);
	CHECK(info.cpus >= 1 && info.usable >= 1 && info.nodes >= 1 && info.cores >= 1);
	if (moirai_os_affinity_get(&mask) == 0)
		CHECK(info.usable <= moirai_cpuset_count(&mask));
	CHECK(moirai_topology_parallelism(t) >= 1);
	CHECK(moirai_topology_current_node(t) < info.nodes);
	char text[16384];
	moirai_topology_print(t, text, sizeof(text));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		DIAG("%s", line);
	moirai_topology_destroy(t);
}

static void numa_is_honest(void)
{
	if (moirai_numa_available())
		CHECK(moirai_numa_built());
	else
		DIAG("no NUMA memory here (libnuma %s)",
			moirai_numa_built() ? "built in" : "absent");
	CHECK(moirai_numa_built() || !moirai_numa_available());
}

static void bad_arguments_and_no_memory_are_errors(void)
{
	moirai_topology *t = (moirai_topology *)1;
	char root[2000];
	memset(root, 'x', sizeof(root));
	root[sizeof(root) - 1] = 0;
	CHECK(moirai_topology_create(NULL, NULL) == -EINVAL);
	CHECK(moirai_topology_create(&t, "") == -EINVAL && t == NULL);
	CHECK(moirai_topology_create(&t, root) == -EINVAL);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	CHECK(moirai_topology_create(&t, NULL) == -ENOMEM && t == NULL);
	moirai__fault_arm(0, 0);
	moirai_topology_destroy(NULL);
	for (int d = 0; d < MOIRAI_DISTANCES; d++)
		CHECK(strcmp(moirai_distance_name((moirai_distance)d), "?") != 0);
	CHECK(strcmp(moirai_distance_name((moirai_distance)99), "?") == 0);
}

/* Whatever the files hold, reading ends in a topology whose invariants hold. */
static void random_files_never_break_the_invariants(void)
{
	static const char *const files[] = {"sys/devices/system/cpu/online",
		"sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
		"sys/devices/system/cpu/cpu1/topology/physical_package_id",
		"sys/devices/system/cpu/cpu2/cache/index2/shared_cpu_list",
		"sys/devices/system/cpu/cpu3/cache/index3/level", "sys/devices/system/node/online",
		"sys/devices/system/node/node0/cpulist", "sys/devices/system/node/node0/distance",
		"proc/self/status", "proc/self/cgroup", "sys/fs/cgroup/cpu.max"};
	static const char alphabet[] = "0123456789,-: \n/:maxCpus_allowed_list";
	moirai_random random;
	moirai_random_init(&random, 42);
	fake_machine fake;
	fake_build(&fake, &fake_hybrid);
	for (int round = 0; round < 300; round++) {
		char text[64];
		size_t length = (size_t)moirai_random_below(&random, sizeof(text));
		for (size_t i = 0; i < length; i++)
			text[i] = alphabet[moirai_random_below(&random, sizeof(alphabet) - 1)];
		text[length] = 0;
		fake_write(&fake, text, "%s", files[moirai_random_below(&random, 11)]);
		moirai_topology *t = NULL;
		moirai_topology_info info;
		REQUIRE(moirai_topology_create(&t, fake.root) == 0);
		moirai_topology_get_info(t, &info);
		CHECK(info.cpus >= 1 && info.usable >= 1 && info.usable <= info.cpus);
		CHECK(info.nodes >= 1 && info.nodes <= MOIRAI_NODES_MAX && info.cores <= info.cpus);
		for (unsigned i = 0; i < info.cpus; i++) {
			const moirai_topology_cpu *c = moirai_topology_cpu_at(t, i);
			CHECK(c->core < info.cores && c->l2 < info.l2 && c->l3 < info.l3);
			CHECK(c->package < info.packages && c->node < info.nodes &&
				c->capacity <= 1024);
		}
		moirai_topology_destroy(t);
	}
	fake_destroy(&fake);
}

TAP_MAIN(TEST(two_sockets_are_told_apart), TEST(big_machine_has_every_distance_but_l2),
	TEST(hybrid_modules_share_the_l2), TEST(victims_come_nearest_first),
	TEST(order_writes_no_more_than_its_capacity),
	TEST(mask_and_offline_processors_are_respected), TEST(missing_sysfs_gives_one_node_of_all),
	TEST(broken_files_are_as_good_as_missing), TEST(a_mask_from_elsewhere_is_ignored),
	TEST(nodes_beyond_the_limit_join_the_last), TEST(nodes_with_gaps_and_without_processors),
	TEST(smallest_quota_of_all_levels_wins), TEST(quota_bounds_the_parallelism),
	TEST(the_tree_is_printed_like_snprintf), TEST(this_machine_agrees_with_the_os_layer),
	TEST(numa_is_honest), TEST(bad_arguments_and_no_memory_are_errors),
	TEST(random_files_never_break_the_invariants))
