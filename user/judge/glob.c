/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Matching the names a function goes by. */
#include "glob.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* Paths and names longer than the kernel side can record (bounds.h) need not match. */
#define CANDIDATE_BYTES 2048

const char *last_component(const char *function)
{
	const char *dot = strrchr(function, '.');

	return dot && dot[1] ? dot + 1 : function;
}

const char *file_base(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash && slash[1] ? slash + 1 : file;
}

static bool matches(const char *glob, const char *name)
{
	return fnmatch(glob, name, 0) == 0;
}

static bool strip_suffix(char *text, const char *suffix)
{
	size_t length = strlen(text), tail = strlen(suffix);

	if (length < tail || strcmp(text + length - tail, suffix))
		return false;
	text[length - tail] = '\0';
	return true;
}

/*
 * The dotted path a file's module name is a suffix of: "usr.lib.a.b" for
 * /usr/lib/a/b.py, "usr.lib.a" for a/__init__.py.  False if it has no module.
 */
static bool dotted_module(const char *file, char *out, size_t size)
{
	if (!strncmp(file, "<frozen ", 8)) {
		if (snprintf(out, size, "%s", file + 8) >= (int)size)
			return false;
		return strip_suffix(out, ">");
	}
	if (*file == '<')
		return false;
	if (snprintf(out, size, "%s", *file == '/' ? file + 1 : file) >= (int)size)
		return false;
	if (!strip_suffix(out, ".pyc"))
		strip_suffix(out, ".py");
	strip_suffix(out, "/__init__");
	for (char *p = out; *p; p++) {
		if (*p == '/')
			*p = '.';
	}
	return *out;
}

/* Tries "module.function" for every suffix of the dotted path. */
static bool module_matches(const char *glob, const char *function, const char *file)
{
	char name[CANDIDATE_BYTES];
	size_t length;

	if (!dotted_module(file, name, sizeof(name)))
		return false;
	length = strlen(name);
	if (snprintf(name + length, sizeof(name) - length, ".%s", function) >=
	    (int)(sizeof(name) - length))
		return false;
	for (char *p = name; p && p < name + length; p = strchr(p, '.')) {
		if (p > name)
			p++;
		if (p >= name + length)
			break;
		if (matches(glob, p))
			return true;
	}
	return false;
}

/* Tries "file:what" for every suffix of the path. */
static bool file_matches(const char *glob, const char *file, const char *what)
{
	char name[CANDIDATE_BYTES];

	if (snprintf(name, sizeof(name), "%s:%s", file, what) >= (int)sizeof(name))
		return false;
	if (matches(glob, name))
		return true;
	for (size_t i = 0; file[i]; i++) {
		if (file[i] == '/' && file[i + 1] && matches(glob, name + i + 1))
			return true;
	}
	return false;
}

bool glob_matches(const char *glob, const char *function, const char *file, uint32_t line)
{
	const char *last;
	char number[16];

	if (!function || !*function)
		return false;
	last = last_component(function);
	if (matches(glob, function) || matches(glob, last))
		return true;
	if (!file || !*file)
		return false;
	if (module_matches(glob, function, file))
		return true;
	if (!strchr(glob, ':'))
		return false;
	snprintf(number, sizeof(number), "%u", line);
	return file_matches(glob, file, function) || file_matches(glob, file, last) ||
	       file_matches(glob, file, number);
}
