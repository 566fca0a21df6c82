/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What /proc tells of processes: names that try to mislead, containers, and a
 * live interpreter.
 * Links: user/discover; libelf, capstone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "../../user/discover/builds.h"
#include "../../user/discover/cgroup.h"
#include "../../user/discover/code_names.h"
#include "../../user/discover/process.h"
#include "../../user/discover/procfs.h"
#include "test_discover_elf.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void container_ids(void **state)
{
	static const struct {
		const char *path;
		const char *id;
	} cases[] = {
		{"/docker/" ID, ID},
		{"/system.slice/docker-" ID ".scope", ID},
		{"/kubepods.slice/kubepods-pod1234.slice/cri-containerd-" ID ".scope", ID},
		{"/kubepods/burstable/pod12345678-1234-1234-1234-123456789abc/" ID, ID},
		{"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" ID, ID},
		{"/machine.slice/libpod-" ID ".scope/container", ID},
		{"/docker/" ID "/system.slice/cron.service", ID},
		{"/" ID "0", ""},
		{"/x" ID, ""},
		{"/user.slice/user-1000.slice/session-2.scope", ""},
		{"/", ""},
		{"", ""},
	};
	char id[CONTAINER_ID_DIGITS + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cgroup_container_id(cases[i].path, id);
		assert_string_equal(id, cases[i].id);
	}
}

static void the_best_cgroup_is_chosen(void **state)
{
	static const struct {
		const char *text, *path, *id;
	} cases[] = {
		{"0::/user.slice/a.scope\n", "/user.slice/a.scope", ""},
		{"4:memory:/m/long/path\n0::/\n", "/m/long/path", ""},
		{"4:memory:/m/long/path\n0::/v2\n", "/v2", ""},
		{"4:memory:/docker/" ID "\n1:cpu:/\n0::/v2\n", "/docker/" ID, ID},
		{"1:name=systemd:/a:b\n", "/a:b", ""},
		{"nonsense\n\n0\n0:\n", "", ""},
		{"", "", ""},
	};
	char path[512], id[CONTAINER_ID_DIGITS + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cgroup_choose(cases[i].text, path, sizeof(path), id);
		assert_string_equal(path, cases[i].path);
		assert_string_equal(id, cases[i].id);
	}
	cgroup_choose("0::/abcdef\n", path, 4, id);
	assert_string_equal(path, "/ab");
}

static void we_are_not_python(void **state)
{
	struct builds *builds = builds__new();
	struct process process;

	(void)state;
	/* a name that looks like more of /proc/TGID/stat */
	prctl(PR_SET_NAME, "a) Z 1 \n(b", 0, 0, 0);
	assert_int_equal(process_inspect(builds, getpid(), &process), 0);
	assert_int_equal(process.kind, PYTHON_NO);
	assert_int_equal(process.tgid, getpid());
	assert_int_equal(process.parent, getppid());
	assert_int_equal(process.uid, geteuid());
	assert_true(process.start_ticks > 0);
	assert_true(process.threads >= 1);
	assert_int_equal(memcmp(process.comm, "a) Z 1 ", 7), 0);
	assert_true(process.command[0]);
	assert_int_equal(builds__count(builds), 0);
	assert_null(builds__get(builds, 0));
	builds__free(builds);
}

static void no_such_process(void **state)
{
	struct builds *builds = builds__new();
	struct process process;
	pid_t child = fork();

	(void)state;
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	assert_int_equal(process_inspect(builds, child, &process), -ESRCH);
	builds__free(builds);
}

/* A file is one build however often it is shown; a changed one is examined anew. */
static void files_are_examined_once(void **state)
{
	struct small_elf s = {.hex = 0x030d05f0, .row = small_row(13, 0)};
	struct builds *builds = builds__new();
	struct file_verdict verdict;
	char path[64];
	struct stat st;
	int fd;

	(void)state;
	small_elf_make(&s);
	fd = small_elf_open(s.bytes, sizeof(s.bytes));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(stat(path, &st), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(builds__examine(builds, path, "/shown", &st, &verdict), 0);
		assert_int_equal(verdict.kind, FILE_CPYTHON);
		assert_int_equal(verdict.build, 0);
	}
	assert_int_equal(builds__count(builds), 1);
	assert_string_equal(builds__get(builds, 0)->path, "/shown");

	/* the same build id at the same inode: still the same build */
	st.st_mtim.tv_nsec ^= 1;
	assert_int_equal(builds__examine(builds, path, "/shown", &st, &verdict), 0);
	assert_int_equal(builds__count(builds), 1);

	for (uint64_t i = 0; i < 3000; i++) { /* many files, none of them Python */
		st.st_ino = 1000000 + i;
		assert_int_equal(builds__examine(builds, "/proc/self/exe", "x", &st, &verdict), 0);
		assert_int_equal(verdict.kind, FILE_PLAIN);
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(builds__examine(builds, "/nowhere", "x", &st, &verdict), 0);
	assert_int_equal(verdict.kind, FILE_CPYTHON);
	builds__free(builds);
	close(fd);
}

static void load_bias_of_a_mapping(void **state)
{
	struct small_elf s = {.hex = 0x030d05f0, .row = small_row(13, 0)};
	struct builds *builds = builds__new();
	struct file_verdict verdict;
	uint64_t bias = 0;
	char path[64];
	struct stat st;
	int fd;

	(void)state;
	small_elf_make(&s);
	fd = small_elf_open(s.bytes, sizeof(s.bytes));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(builds__examine(builds, path, "x", &st, &verdict), 0);
	assert_int_equal(builds__load_bias(builds, 0, 0x7f0000012000, SMALL_TEXT, &bias), 0);
	assert_int_equal(bias, 0x7f0000000000);
	assert_int_equal(builds__load_bias(builds, 0, 0x7f0000013000, SMALL_TEXT + 0x1000, &bias),
			 0);
	assert_int_equal(bias, 0x7f0000000000);
	assert_int_equal(builds__load_bias(builds, 0, 0x7f0000012000, SMALL_DATA, &bias), -ENOENT);
	builds__free(builds);
	close(fd);
}

/* Start `python -c program`; its output ends when it is up. Returns its tgid or -1. */
static pid_t start_python(const char *program, int *up)
{
	int ends[2];
	pid_t child;

	if (access("/usr/bin/python3", X_OK) || pipe(ends))
		return -1;
	child = fork();
	if (!child) {
		dup2(ends[1], 1);
		close(ends[0]);
		execl("/usr/bin/python3", "python3", "-ISc", program, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	*up = ends[0];
	return child;
}

static void a_live_interpreter_verifies(void **state)
{
	struct builds *builds = builds__new();
	char reason[BUILD_REASON_BYTES], byte;
	struct process process;
	int up, status;
	pid_t child;

	(void)state;
	child = start_python("import time, threading\n"
			     "for i in range(3): threading.Thread(target=time.sleep, args=(60,),"
			     " daemon=True).start()\n"
			     "print('x', flush=True)\n"
			     "while True: sum(range(100))",
			     &up);
	if (child < 0) {
		builds__free(builds);
		skip();
	}
	assert_int_equal(read(up, &byte, 1), 1);
	assert_int_equal(process_inspect(builds, child, &process), 0);
	if (process.kind == PYTHON_YES && builds__get(builds, process.build)->layout_known) {
		strcpy(reason, "untouched");
		assert_int_equal(process_verify(builds, &process, reason), 0);
		assert_string_equal(reason, "untouched");
		assert_int_equal(process.threads, 4);
		/* somewhere else in its memory there is no runtime */
		process.runtime += 4096;
		assert_int_not_equal(process_verify(builds, &process, reason), 0);
		process.runtime = 8;
		assert_int_equal(process_verify(builds, &process, reason), -EPROTO);
		assert_true(reason[0]);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	assert_true(process_verify(builds, &process, reason) < 0);
	close(up);
	builds__free(builds);
}

static void the_jit_variable_counts_as_python_reads_it(void **state)
{
	static const struct {
		char *variable;
		int setting;
	} cases[] = {
		{"PYTHON_JIT=1", 1},      {"PYTHON_JIT=yes", 1},      {"PYTHON_JIT=0", 0},
		{"PYTHON_JIT=", -ENOENT}, {"XPYTHON_JIT=1", -ENOENT}, {"A=PYTHON_JIT=1", -ENOENT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *environment[] = {"PATH=/bin", cases[i].variable, NULL};
		struct timespec pause = {.tv_nsec = 5000000};
		char exe[64] = "", known[64] = "";
		pid_t child = fork();

		if (!child) {
			execle("/bin/sleep", "sleep", "60", (char *)NULL, environment);
			_exit(127);
		}
		/* its name changes first, its environment is there a little later */
		for (int n = 0; n < 400 && (strcmp(exe, "sleep\n") || !known[0]); n++) {
			nanosleep(&pause, NULL);
			procfs_read(child, "comm", exe, sizeof(exe));
			if (!strcmp(exe, "sleep\n"))
				procfs_read(child, "environ", known, sizeof(known));
		}
		assert_int_equal(procfs_jit_variable(child), cases[i].setting);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

static int count_processes(const struct process *process, void *arg)
{
	assert_int_not_equal(process->kind, PYTHON_NO);
	++*(int *)arg;
	return 0;
}

static void a_scan_of_this_machine(void **state)
{
	struct builds *builds = builds__new();
	int first = 0;

	(void)state;
	assert_int_equal(process_scan(builds, count_processes, &first), 0);
	builds__free(builds);
}

/* A code object and its strings in our own memory, with offsets of our own. */
struct fake_string {
	uint64_t chars;
	uint32_t state; /* kind, then a bit each: compact, ascii */
	char ascii[16];
	uint16_t wide[8];
};

struct fake_code {
	struct fake_string *file, *name;
	uint32_t line;
};

static const struct py_layout fake_layout = {
	.code_filename = offsetof(struct fake_code, file),
	.code_name = offsetof(struct fake_code, name),
	.code_qualname = LAYOUT_ABSENT,
	.code_firstlineno = offsetof(struct fake_code, line),
	.unicode_length = offsetof(struct fake_string, chars),
	.unicode_state = offsetof(struct fake_string, state),
	.unicode_ascii_data = offsetof(struct fake_string, ascii),
	.unicode_compact_data = offsetof(struct fake_string, wide),
	.unicode_kind_bits = 3,
	.unicode_compact_shift = 3,
	.unicode_ascii_shift = 4,
};

static void names_the_kernel_could_not_read(void **state)
{
	struct fake_string file = {.chars = 6, .state = 1 | 1 << 3 | 1 << 4, .ascii = "job.py"};
	struct fake_string name = {.chars = 2, .state = 2 | 1 << 3, .wide = {'f', 0x3b1}};
	struct fake_code code = {.file = &file, .name = &name, .line = 7};
	struct record_code record = {
		.tgid = getpid(), .code = (uint64_t)(uintptr_t)&code, .line = 7};
	struct record_code blank = record, later = record, lost = record;

	(void)state;
	code_names_complete(&record, &fake_layout);
	assert_int_equal(record.file_kind, 1);
	assert_int_equal(record.file_chars, 6);
	assert_memory_equal(record.file, "job.py", 6);
	assert_int_equal(record.name_kind, 2);
	assert_int_equal(record.name_chars, 2);
	assert_memory_equal(record.name, name.wide, 4);

	later.line = 8; /* another code object is at its address by now */
	blank.line = 8;
	code_names_complete(&later, &fake_layout);
	assert_memory_equal(&later, &blank, sizeof(blank));

	name.state = 3 | 1 << 3; /* no kind there is */
	file.chars = UINT64_MAX;
	code_names_complete(&lost, &fake_layout);
	assert_int_equal(lost.name_kind, 0);
	assert_true(lost.file_chars <= sizeof(lost.file));

	lost.code = 8;
	code_names_complete(&lost, &fake_layout);
	assert_int_equal(lost.name_kind, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(container_ids),
		cmocka_unit_test(the_best_cgroup_is_chosen),
		cmocka_unit_test(we_are_not_python),
		cmocka_unit_test(no_such_process),
		cmocka_unit_test(files_are_examined_once),
		cmocka_unit_test(load_bias_of_a_mapping),
		cmocka_unit_test(a_live_interpreter_verifies),
		cmocka_unit_test(the_jit_variable_counts_as_python_reads_it),
		cmocka_unit_test(names_the_kernel_could_not_read),
		cmocka_unit_test(a_scan_of_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
