/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Naming native code: this program and its libraries with the loader as the oracle,
 * processes that end, memory of no file.
 * Links: user/discover; libelf.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <zlib.h>

#include "../../user/discover/native.h"
#include "test_discover_elf.h"

static const char *leaf_of(struct native *native, const void *at)
{
	return native__leaf(native, getpid(), (uintptr_t)at);
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void nap(long ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&left, NULL);
}

static void this_program(void **state)
{
	struct native *native = native__new();
	char path[4096] = "", wanted[4200];
	const char *text;

	(void)state;
	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	snprintf(wanted, sizeof(wanted), "%s: this_program", base_of(path));
	assert_string_equal(leaf_of(native, this_program), wanted);
	snprintf(wanted, sizeof(wanted), "%s: native__leaf", base_of(path));
	text = leaf_of(native, native__leaf);
	assert_string_equal(text, wanted);
	assert_ptr_equal(leaf_of(native, (char *)native__leaf + 1), text); /* the same text */
	assert_ptr_equal(leaf_of(native, native__leaf), text);
	native__free(native);
	native__free(NULL);
}

/* What the loader says is at `at`, if that is a function that covers it. */
static const char *oracle(const void *at, Dl_info *info)
{
	ElfW(Sym) *symbol = NULL;

	if (!dladdr1(at, info, (void **)&symbol, RTLD_DL_SYMENT) || !info->dli_sname || !symbol ||
	    ELF64_ST_TYPE(symbol->st_info) != STT_FUNC ||
	    (uintptr_t)at - (uintptr_t)info->dli_saddr >= symbol->st_size)
		return NULL;
	return info->dli_sname;
}

/* Every place of a library, against the loader. */
static void sweep(struct native *native, const char *library, const void *inside)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
	size_t named = 0, unnamed = 0;
	char *real, prefix[300];
	Dl_info info;

	assert_non_null(handle);
	assert_true(dladdr(inside, &info));
	real = realpath(info.dli_fname, NULL);
	assert_non_null(real);
	snprintf(prefix, sizeof(prefix), "%s: ", base_of(real));
	for (intptr_t by = -0x8000; by < 0x8000; by += 13) {
		const char *at = (const char *)inside + by, *sname = oracle(at, &info);
		const char *text = leaf_of(native, at);

		if (!sname) {
			/* not the name of something else either; static functions may have one */
			if (text && !strncmp(text, prefix, strlen(prefix)))
				assert_null(dlsym(handle, text + strlen(prefix)));
			else if (text)
				assert_int_equal(strncmp(text, prefix, strlen(text)), 0);
			unnamed++;
			continue;
		}
		named++;
		assert_non_null(text);
		assert_int_equal(strncmp(text, prefix, strlen(prefix)), 0);
		text += strlen(prefix);
		/* another name of the same code may be the better one */
		if (strcmp(text, sname))
			assert_ptr_equal(dlsym(handle, text), info.dli_saddr);
	}
	assert_true(named > 500);
	print_message("%s%zu places named as the loader does, %zu of no function\n", prefix, named,
		      unnamed);
	free(real);
	dlclose(handle);
}

static void libraries_as_the_loader_sees_them(void **state)
{
	struct native *native = native__new();
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

	(void)state;
	assert_non_null(libc);
	sweep(native, "libc.so.6", dlsym(libc, "qsort"));
	sweep(native, "libc.so.6", dlsym(libc, "getaddrinfo"));
	sweep(native, "libz.so.1", (const void *)deflate);
	dlclose(libc);
	native__free(native);
}

static void memory_of_no_file(void **state)
{
	struct native *native = native__new();
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *one, *other, *vdso = (char *)getauxval(AT_SYSINFO_EHDR);

	(void)state;
	one = mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(one, MAP_FAILED);
	assert_string_equal(leaf_of(native, one + 16), "[jit]");
	if (vdso)
		assert_string_equal(leaf_of(native, vdso + 0x100), "[vdso]");
	assert_null(leaf_of(native, &page)); /* not executable */
	assert_null(leaf_of(native, NULL));
	assert_null(native__leaf(native, getpid(), UINT64_MAX));
	assert_null(native__leaf(native, 0, (uintptr_t)one));
	assert_null(native__leaf(native, -1, (uintptr_t)one));

	/* mapped since: known after the mappings may be read again */
	other = mmap(NULL, 16 * page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_null(leaf_of(native, other + 9 * page));
	nap(600);
	assert_string_equal(leaf_of(native, other + 9 * page), "[jit]");
	munmap(one, page);
	munmap(other, 16 * page);
	native__free(native);
}

static void copy_file(const char *from, const char *to)
{
	char buffer[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = creat(to, 0755);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buffer, sizeof(buffer))) > 0)
		assert_int_equal(write(out, buffer, (size_t)n), n);
	close(in);
	close(out);
}

static void a_deleted_library(void **state)
{
	struct native *native = native__new();
	char folder[] = "/tmp/native-XXXXXX", path[64];
	const char *other_file;
	Dl_info info;
	void *handle, *function;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/libgone.so.7", folder);
	assert_true(dladdr((const void *)deflate, &info));
	copy_file(info.dli_fname, path);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	assert_non_null(handle);
	/* something else takes its place on disk */
	unlink(path);
	close(creat(path, 0755));
	function = dlsym(handle, "inflate");
	other_file = leaf_of(native, (const void *)deflate);
	assert_string_equal(base_of(strchr(other_file, ':')), ": deflate");
	assert_string_equal(leaf_of(native, function), "libgone.so.7: inflate");
	unlink(path);
	rmdir(folder);
	dlclose(handle);
	native__free(native);
}

static void a_process_that_ends(void **state)
{
	struct native *native = native__new();
	struct native *late = native__new();
	const char *text;
	siginfo_t ended;
	pid_t child = fork();

	(void)state;
	if (!child) {
		pause();
		_exit(0);
	}
	text = native__leaf(native, child, (uintptr_t)deflate);
	assert_string_equal(strchr(text, ':'), ": deflate");
	assert_ptr_equal(leaf_of(native, (const void *)deflate), text); /* of both processes */
	kill(child, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
	for (int reaped = 0; reaped < 2; reaped++) { /* a zombie, then nothing */
		assert_ptr_equal(native__leaf(native, child, (uintptr_t)deflate), text);
		assert_ptr_equal(native__leaf(native, child, (uintptr_t)deflate + 2), text);
		assert_null(native__leaf(late, child, (uintptr_t)deflate));
		if (!reaped)
			assert_int_equal(waitpid(child, NULL, 0), child);
	}
	native__forget(native, child);
	native__forget(native, child);
	assert_null(native__leaf(native, child, (uintptr_t)deflate));
	native__free(native);
	native__free(late);
}

/* Another program in the same process: nothing of the first is told. */
static void exec_makes_another_process(void **state)
{
	struct native *native = native__new();
	const char *text;
	int ends[2], status;
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (!child) {
		raise(SIGSTOP);
		execl("/bin/sleep", "sleep", "60", (char *)NULL);
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	text = native__leaf(native, child, (uintptr_t)this_program);
	assert_non_null(strstr(text, ": this_program"));
	kill(child, SIGCONT);
	assert_int_equal(read(ends[0], &byte, 1), 0); /* closed by exec */
	native__forget(native, child);
	text = native__leaf(native, child, (uintptr_t)this_program);
	assert_true(!text || !strstr(text, "this_program"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(ends[0]);
	native__free(native);
}

static void the_interpreter(void **state)
{
	struct small_elf s = {.hex = 0x030d05f0, .row = small_row(13, 0)};
	struct native *native = native__new();
	uint64_t bias;
	char *text;
	int fd;

	(void)state;
	small_elf_make(&s);
	fd = small_elf_open(s.bytes, sizeof(s.bytes));
	text = mmap(NULL, SMALL_DATA - SMALL_TEXT, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd,
		    SMALL_TEXT);
	assert_ptr_not_equal(text, MAP_FAILED);
	close(fd);
	bias = (uintptr_t)text - (SMALL_TEXT + SMALL_TEXT_SHIFT);
	assert_string_equal(native__leaf(native, getpid(), bias + SMALL_UNWIND + 4),
			    "memfd:small-elf: PyTraceBack_Here");
	/* the loop, inside what is told as another function */
	assert_null(native__leaf(native, getpid(), bias + SMALL_EVAL));
	assert_null(native__leaf(native, getpid(), bias + SMALL_COLD - 1));
	assert_string_equal(native__leaf(native, getpid(), bias + SMALL_COLD),
			    "memfd:small-elf: PyTraceBack_Here");
	/* no symbol */
	assert_null(native__leaf(native, getpid(), bias + SMALL_UNDEFINED));
	assert_null(native__leaf(native, getpid(), bias + SMALL_UNWIND - 1));
	munmap(text, SMALL_DATA - SMALL_TEXT);
	native__free(native);
}

/* A target that maps one file after another does not keep us reading. */
static void reading_is_bounded(void **state)
{
	enum { FILES = 400 };
	struct native *native = native__new();
	struct timespec start, end;
	int fd = large_elf_open(100000), named = 0, unnamed = 0;
	char *at[FILES];
	double spent;

	(void)state;
	for (int i = 0; i < FILES; i++) {
		/* the same content under another time is another file */
		struct timespec times[2] = {{.tv_sec = i}, {.tv_sec = i}};

		at[i] = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
		assert_ptr_not_equal(at[i], MAP_FAILED);
		if (!i)
			assert_int_equal(futimens(fd, times), 0);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (int i = 0; i < FILES; i++) {
		struct timespec times[2] = {{.tv_sec = i}, {.tv_sec = i}};
		const char *text;

		assert_int_equal(futimens(fd, times), 0);
		text = leaf_of(native, at[i] + 500);
		assert_non_null(text);
		if (strstr(text, ": large"))
			named++;
		else
			unnamed++;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	spent = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
	print_message("%d files read, %d not, in %.2f s\n", named, unnamed, spent);
	assert_true(named > 0);
	assert_true(unnamed > 0);
	assert_true(spent < 2);
	for (int i = 0; i < FILES; i++)
		munmap(at[i], 4096);
	close(fd);
	native__free(native);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_program),
		cmocka_unit_test(libraries_as_the_loader_sees_them),
		cmocka_unit_test(memory_of_no_file),
		cmocka_unit_test(a_deleted_library),
		cmocka_unit_test(a_process_that_ends),
		cmocka_unit_test(exec_makes_another_process),
		cmocka_unit_test(the_interpreter),
		cmocka_unit_test(reading_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
