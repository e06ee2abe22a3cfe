/* SPDX-License-Identifier: MIT */
/* Which processors, and how many at once: the real machine and fake cgroup trees. */
#include "tap.h"

#include <errno.h>
#include <limits.h>

#include <moirai/core/os.h>

static void usable_is_between_one_and_the_mask(void)
{
	moirai_cpuset mask;
	REQUIRE(moirai_os_affinity_get(&mask) == 0);
	unsigned usable = moirai_os_cpus_usable();
	CHECK(usable >= 1 && usable <= moirai_cpuset_count(&mask));
}

static void set_holds_what_is_added(void)
{
	moirai_cpuset set = {{0}};
	CHECK(moirai_cpuset_count(&set) == 0 && !moirai_cpuset_has(&set, 0));
	moirai_cpuset_add(&set, 0);
	moirai_cpuset_add(&set, 63);
	moirai_cpuset_add(&set, 64);
	moirai_cpuset_add(&set, MOIRAI_CPUS_MAX - 1);
	moirai_cpuset_add(&set, MOIRAI_CPUS_MAX); /* beyond: ignored */
	CHECK(moirai_cpuset_count(&set) == 4);
	CHECK(moirai_cpuset_has(&set, 64) && !moirai_cpuset_has(&set, 65));
	CHECK(!moirai_cpuset_has(&set, MOIRAI_CPUS_MAX));
}

static void restrict_to_one(void *arg)
{
	moirai_cpuset all, one = {{0}}, now;
	unsigned cpu = 0;
	REQUIRE(moirai_os_affinity_get(&all) == 0);
	while (!moirai_cpuset_has(&all, cpu))
		cpu++;
	moirai_cpuset_add(&one, cpu);
	int rc = moirai_os_affinity_set(&one);
	if (rc == -ENOTSUP)
		return;
	REQUIRE(rc == 0);
	CHECK(moirai_os_affinity_get(&now) == 0);
	CHECK(moirai_cpuset_count(&now) == 1 && moirai_cpuset_has(&now, cpu));
	CHECK(moirai_os_cpus_usable() == 1);
	int current = moirai_os_cpu_current();
	CHECK(current == (int)cpu || current == -ENOTSUP);
	CHECK(moirai_os_affinity_set(&all) == 0);
}

static void affinity_binds_the_calling_thread_only(void)
{
	moirai_cpuset before, after;
	moirai_os_thread thread;
	REQUIRE(moirai_os_affinity_get(&before) == 0);
	REQUIRE(moirai_os_thread_create(&thread, NULL, restrict_to_one, NULL) == 0);
	moirai_os_thread_join(thread);
	CHECK(moirai_os_affinity_get(&after) == 0);
	CHECK(memcmp(&before, &after, sizeof(before)) == 0);
}

static void bad_arguments_are_refused(void)
{
	moirai_cpuset none = {{0}};
	CHECK(moirai_os_affinity_get(NULL) == -EINVAL);
	CHECK(moirai_os_affinity_set(NULL) == -EINVAL);
	int rc = moirai_os_affinity_set(&none);
	CHECK(rc == -EINVAL || rc == -ENOTSUP);
}

#ifdef MOIRAI_TEST_CGROUPS

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../src/os_internal.h"

/* A fake tree in a fresh folder; put() makes the folders on the way. */
static char tree[64];

static bool plant(void)
{
	strcpy(tree, "/tmp/moirai-cgroup-XXXXXX");
	return mkdtemp(tree) != NULL;
}

static void put(const char *path, const char *text)
{
	char full[512];
	snprintf(full, sizeof(full), "%s%s", tree, path);
	for (char *slash = strchr(full + strlen(tree) + 1, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	FILE *file = fopen(full, "w");
	if (file) {
		fputs(text, file);
		fclose(file);
	}
	CHECK(file != NULL);
}

static unsigned fell(void)
{
	char command[128];
	unsigned cpus = moirai__os_cgroup_cpus(tree);
	snprintf(command, sizeof(command), "rm -rf '%s'", tree);
	CHECK(system(command) == 0);
	return cpus;
}

#define V2_MOUNT "25 30 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

static void v2_quota_is_rounded_up(void)
{
	static const struct {
		const char *text;
		unsigned cpus;
	} cases[] = {{"max 100000\n", UINT_MAX}, {"50000 100000\n", 1}, {"100000 100000\n", 1},
		{"100001 100000\n", 2}, {"350000 100000\n", 4}, {"1000 1000000\n", 1},
		{"garbage\n", UINT_MAX}, {"", UINT_MAX}, {"200000", UINT_MAX},
		{"0 100000\n", UINT_MAX}, {"300000 0\n", UINT_MAX},
		{"18446744073709551615 1\n", UINT_MAX}};
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(cases); i++) {
		REQUIRE(plant());
		put("/proc/self/cgroup", "0::/app\n");
		put("/proc/self/mountinfo", V2_MOUNT);
		put("/sys/fs/cgroup/app/cpu.max", cases[i].text);
		CHECK(fell() == cases[i].cpus);
	}
}

static void smallest_level_of_the_hierarchy_counts(void)
{
	REQUIRE(plant());
	put("/proc/self/cgroup", "0::/slice/service/worker\n");
	put("/proc/self/mountinfo", V2_MOUNT);
	put("/sys/fs/cgroup/slice/cpu.max", "200000 100000\n");
	put("/sys/fs/cgroup/slice/service/cpu.max", "800000 100000\n");
	put("/sys/fs/cgroup/slice/service/worker/cpu.max", "max 100000\n");
	CHECK(fell() == 2);
	REQUIRE(plant());
	put("/proc/self/cgroup", "0::/slice/service\n");
	put("/proc/self/mountinfo", V2_MOUNT);
	put("/sys/fs/cgroup/cpu.max", "300000 100000\n"); /* a container's root has one */
	put("/sys/fs/cgroup/slice/service/cpu.max", "800000 100000\n");
	CHECK(fell() == 3);
}

static void v1_is_read_beside_v2(void)
{
	REQUIRE(plant());
	put("/proc/self/cgroup", "9:cpuset:/\n4:cpu,cpuacct:/docker/abc\n0::/\n");
	put("/proc/self/mountinfo",
		"30 25 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
		"31 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
		"32 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n");
	put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
	/* A decoy: cpuset is not cpu. */
	put("/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "1\n");
	put("/sys/fs/cgroup/cpuset/cpu.cfs_period_us", "100000\n");
	CHECK(fell() == 3);
}

static void mount_may_show_a_part_of_the_hierarchy(void)
{
	/* In a container: our path is told from the host's root, the mount shows our group. */
	REQUIRE(plant());
	put("/proc/self/cgroup", "4:cpu:/docker/abc/inner\n");
	put("/proc/self/mountinfo",
		"31 25 0:28 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "600000\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	put("/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "400000\n");
	put("/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n");
	CHECK(fell() == 4);
	/* /docker/ab is not above /docker/abc: the mount's own limit is all we may use. */
	REQUIRE(plant());
	put("/proc/self/cgroup", "4:cpu:/docker/abc\n");
	put("/proc/self/mountinfo",
		"31 25 0:28 /docker/ab /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "600000\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	CHECK(fell() == 6);
	/* Mounted twice: the one that shows us is the better one, wherever it stands. */
	REQUIRE(plant());
	put("/proc/self/cgroup", "4:cpu:/docker/abc\n");
	put("/proc/self/mountinfo", "31 25 0:28 /elsewhere /mnt/first rw - cgroup cgroup rw,cpu\n"
				    "32 25 0:28 /docker /mnt/second rw - cgroup cgroup rw,cpu\n"
				    "33 25 0:28 /other /mnt/third rw - cgroup cgroup rw,cpu\n");
	put("/mnt/first/cpu.cfs_quota_us", "100000\n");
	put("/mnt/first/cpu.cfs_period_us", "100000\n");
	put("/mnt/second/abc/cpu.cfs_quota_us", "800000\n");
	put("/mnt/second/abc/cpu.cfs_period_us", "100000\n");
	CHECK(fell() == 8);
	/* A cgroup namespace that we were moved out of. */
	REQUIRE(plant());
	put("/proc/self/cgroup", "0::/../other\n");
	put("/proc/self/mountinfo", V2_MOUNT);
	put("/sys/fs/cgroup/cpu.max", "700000 100000\n");
	CHECK(fell() == 7);
}

static void mount_point_may_hold_spaces(void)
{
	REQUIRE(plant());
	put("/proc/self/cgroup", "0::/a\n");
	put("/proc/self/mountinfo", "25 30 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n");
	put("/my groups/a/cpu.max", "500000 100000\n");
	CHECK(fell() == 5);
}

static void long_lines_are_skipped_and_files_may_be_missing(void)
{
	static char mounts[20000];
	REQUIRE(plant());
	CHECK(fell() == UINT_MAX);
	REQUIRE(plant());
	put("/proc/self/cgroup", "0::/a");
	CHECK(fell() == UINT_MAX);
	REQUIRE(plant());
	int n = snprintf(
		mounts, sizeof(mounts), "22 21 0:20 / /overlay rw - overlay overlay lower=");
	memset(mounts + n, 'x', 15000);
	strcpy(mounts + n + 15000, "\nnonsense\n\n" V2_MOUNT);
	put("/proc/self/cgroup", "nonsense\n:\n0::/a"); /* the last line without its end */
	put("/proc/self/mountinfo", mounts);
	put("/sys/fs/cgroup/a/cpu.max", "900000 100000");
	CHECK(fell() == 9);
}

TAP_MAIN(TEST(usable_is_between_one_and_the_mask), TEST(set_holds_what_is_added),
	TEST(affinity_binds_the_calling_thread_only), TEST(bad_arguments_are_refused),
	TEST(v2_quota_is_rounded_up), TEST(smallest_level_of_the_hierarchy_counts),
	TEST(v1_is_read_beside_v2), TEST(mount_may_show_a_part_of_the_hierarchy),
	TEST(mount_point_may_hold_spaces), TEST(long_lines_are_skipped_and_files_may_be_missing))

#else

TAP_MAIN(TEST(usable_is_between_one_and_the_mask), TEST(set_holds_what_is_added),
	TEST(affinity_binds_the_calling_thread_only), TEST(bad_arguments_are_refused))

#endif
