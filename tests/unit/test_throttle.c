/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * CPU quotas, in control groups that are plain folders.
 * Links: user/discover/throttle.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../user/discover/throttle.h"

#define UNIFIED "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define VERSION1 "35 28 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
#define HYBRID "29 28 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
#define CPUSET "36 28 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
#define ROOT "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"

static void found(const char *mountinfo, const char *folder, bool unified)
{
	struct cpu_hierarchy hierarchy;

	cpu_hierarchy_find(mountinfo, &hierarchy);
	assert_int_equal(hierarchy.mounted, folder != NULL);
	if (!folder)
		return;
	assert_string_equal(hierarchy.folder, folder);
	assert_int_equal(hierarchy.unified, unified);
}

static void where_it_is_mounted(void **state)
{
	char *endless = calloc(1, 3000);

	(void)state;
	found("", NULL, false);
	found(ROOT CPUSET, NULL, false);
	found(ROOT UNIFIED, "/sys/fs/cgroup", true);
	found(ROOT VERSION1 HYBRID CPUSET, "/sys/fs/cgroup/cpu,cpuacct", false);
	found(ROOT HYBRID CPUSET VERSION1, "/sys/fs/cgroup/cpu,cpuacct", false);
	found(ROOT HYBRID CPUSET, "/sys/fs/cgroup/unified", true);
	/* of several the first */
	found(UNIFIED "40 2 0:26 / /chroot/sys rw - cgroup2 none rw", "/sys/fs/cgroup", true);
	/* a part of it, or a folder with a blank */
	found("30 23 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", NULL, false);
	found("30 23 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n", NULL, false);
	/* what is no such line */
	found("30 23 0:26\n - cgroup2\n / - \n\n-", NULL, false);
	memset(endless, 'x', 2000);
	strcat(endless, "\n" UNIFIED);
	found(endless, "/sys/fs/cgroup", true);
	free(endless);
}

/* --- groups */

static char top[64];

static void put(const char *group, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", top, group);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s%s/%s", top, group, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int make_top(void **state)
{
	(void)state;
	strcpy(top, "/tmp/test_throttle.XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int remove_top(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", top);
	return system(command);
}

static struct cpu_hierarchy hierarchy_at_top(bool unified)
{
	struct cpu_hierarchy hierarchy = {.unified = unified, .mounted = true};

	strcpy(hierarchy.folder, top);
	return hierarchy;
}

/* A process of these groups has a quota of this one; NULL: of none. */
static void quota(bool unified, const char *groups, const char *group, uint64_t count, uint64_t ns)
{
	struct cpu_hierarchy hierarchy = hierarchy_at_top(unified);
	struct throttle throttle;

	throttle_read(&hierarchy, groups, &throttle);
	assert_string_equal(throttle.cgroup, group ? group : "");
	if (!group)
		return;
	assert_int_equal(throttle.count, count);
	assert_int_equal(throttle.ns, ns);
}

static void nearest_group_with_a_quota(void **state)
{
	static const char stat[] = "usage_usec 77\nuser_usec 7\nnr_periods 90\nnr_throttled 12\n"
				   "throttled_usec 345\nnr_bursts 0\n";

	(void)state;
	put("", "cpu.stat", "usage_usec 1\n");
	put("/app", "cpu.max", "20000 100000\n");
	put("/app", "cpu.stat", stat);
	put("/app/web", "cpu.max", "max 100000\n");
	put("/app/web", "cpu.stat", "nr_throttled 1\nthrottled_usec 2\n");
	put("/app/web/1", "memory.max", "max\n"); /* it has no CPU controller */
	put("/free", "cpu.max", "max 100000\n");
	quota(true, "0::/app\n", "/app", 12, 345000);
	quota(true, "0::/app/web\n", "/app", 12, 345000);
	quota(true, "0::/app/web/1\n", "/app", 12, 345000);
	quota(true, "0::/app/web/1/gone\n", "/app", 12, 345000);
	quota(true, "3:cpu:/free\n0::/app/web", "/app", 12, 345000);
	quota(true, "0::/free\n", NULL, 0, 0);
	quota(true, "0::/\n", NULL, 0, 0);
	/* its own quota is nearer */
	put("/app/web/1", "cpu.max", "5000 100000\n");
	put("/app/web/1", "cpu.stat", "nr_throttled 4\nthrottled_usec 5\n");
	quota(true, "0::/app/web/1\n", "/app/web/1", 4, 5000);
	/* in a container the quota may be the root's */
	put("", "cpu.max", "20000 100000\n");
	put("", "cpu.stat", stat);
	quota(true, "0::/\n", "/", 12, 345000);
	quota(true, "0::/free\n", "/", 12, 345000);
}

static void groups_of_version_1(void **state)
{
	(void)state;
	put("", "cpu.cfs_quota_us", "-1\n");
	put("/app", "cpu.cfs_quota_us", "20000\n");
	put("/app", "cpu.stat", "nr_periods 90\nnr_throttled 12\nthrottled_time 345000000\n");
	put("/app/web", "cpu.cfs_quota_us", "-1\n");
	quota(false, "9:name=systemd:/\n4:cpu,cpuacct:/app/web\n0::/x\n", "/app", 12, 345000000);
	quota(false, "4:cpuacct,cpu:/app\n", "/app", 12, 345000000);
	quota(false, "4:cpuset:/app\n3:cpuacct:/app\n0::/app\n", NULL, 0, 0);
	quota(false, "4:cpu:/\n", NULL, 0, 0);
}

static void what_cannot_be_read(void **state)
{
	struct cpu_hierarchy hierarchy = hierarchy_at_top(true);
	struct throttle before, after;
	char *endless = malloc(5000);

	(void)state;
	put("/app", "cpu.max", "20000 100000\n");
	quota(true, "0::/app\n", NULL, 0, 0); /* no counters */
	put("/app", "cpu.stat", "nr_throttled 12\n");
	quota(true, "0::/app\n", NULL, 0, 0);
	put("/app", "cpu.stat", "nr_throttled 12\nthrottled_usec 1\n");
	quota(true, "0::/app\n", "/app", 12, 1000);
	quota(true, "0::/../app\n", NULL, 0, 0); /* outside our cgroup namespace */
	quota(true, "", NULL, 0, 0);
	quota(true, "0:\n0\n:\n::\n\n", NULL, 0, 0);
	memset(endless, 'x', 4999);
	memcpy(endless, "0::/", 4);
	endless[4999] = '\0';
	quota(true, endless, NULL, 0, 0);
	free(endless);
	/* of a process that has ended: by the name of its group, as long as that is there */
	throttle_read(&hierarchy, "0::/app\n", &before);
	put("/app", "cpu.stat", "nr_throttled 13\nthrottled_usec 8\n");
	throttle_read_again(&hierarchy, &before, &after);
	assert_string_equal(after.cgroup, "/app");
	assert_int_equal(after.count, 13);
	assert_int_equal(after.ns, 8000);
	strcpy(before.cgroup, "/gone");
	throttle_read_again(&hierarchy, &before, &after);
	assert_string_equal(after.cgroup, "");
	hierarchy.mounted = false;
	throttle_read(&hierarchy, "0::/app\n", &after);
	assert_string_equal(after.cgroup, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_top, remove_top)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_it_is_mounted),
		TEST(nearest_group_with_a_quota),
		TEST(groups_of_version_1),
		TEST(what_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
