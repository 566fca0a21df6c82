/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The text report, and what it has in common with the JSON: complete, as wide as asked, and
 * harmless whatever names a target has.
 * Links: user/profile.c and all of user/judge and user/show; jansson.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <locale.h>
#include <pty.h>
#include <time.h>
#include <unistd.h>

#include "../../user/show/escape.h"
#include "../../user/show/units.h"
#include "sample_profile.h"
#include "show_fixture.h"

static json_t *callbacks_of(json_t *root)
{
	return json_object_get(json_object_get(root, "asyncio"), "callbacks");
}

static void callbacks_are_told(void **state)
{
	struct show_options options = {.utf8 = true, .top = 1};
	struct profile *profile = sample_profile();
	json_t *root = parsed(profile, &plain), *first, *second;
	char *text = written(show_text, profile, &plain);

	(void)state;
	assert_true(number(json_object_get(root, "asyncio"), "least_seconds") == 0.01);
	assert_int_equal(json_array_size(callbacks_of(root)), 2);
	first = json_array_get(callbacks_of(root), 0); /* the longest */
	second = json_array_get(callbacks_of(root), 1);
	assert_string_equal(json_string_value(json_object_get(first, "function")), "Cart.expire");
	assert_string_equal(json_string_value(json_object_get(first, "task")), "janitor");
	assert_true(json_is_null(json_object_get(second, "task")));
	assert_true(number(json_object_get(first, "seconds"), "max") == 0.14);
	assert_true(number(json_object_get(first, "seconds"), "sum") == 0.14);
	assert_non_null(strstr(text, "event loop held up by"));
	assert_true(strstr(text, "Cart.expire (task janitor)") < strstr(text, "Prices.refresh"));
	json_decref(root);
	free(text);

	root = parsed(profile, &options);
	assert_int_equal(json_array_size(callbacks_of(root)), 1);
	json_decref(root);
	text = written(show_text, profile, &options);
	assert_non_null(strstr(text, "and 1 more callback"));
	free(text);
	options.function_glob = "Prices.*";
	root = parsed(profile, &options);
	assert_int_equal(json_array_size(callbacks_of(root)), 1);
	assert_ptr_not_equal(strstr(json_string_value(json_object_get(
					    json_array_get(callbacks_of(root), 0), "function")),
				    "Prices"),
			     NULL);
	json_decref(root);
	profile->callback_least_ns = 0;
	text = written(show_text, profile, &plain);
	assert_non_null(strstr(text, "called by the event loop"));
	free(text);
	profile__free(profile);
}

static void reports_of_nothing(void **state)
{
	static const char *const arrays[] = {"processes", "threads", "functions", "waits",
					     "gil",       "gc",      "stacks"};
	struct profile *profile = profile__new();
	json_t *root = parsed(profile, &plain);
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
		assert_true(json_is_array(json_object_get(root, arrays[i])));
		assert_int_equal(json_array_size(json_object_get(root, arrays[i])), 0);
	}
	assert_int_equal(json_object_size(json_object_get(root, "losses")), LOSS_COUNT);
	assert_true(json_is_array(callbacks_of(root)));
	assert_int_equal(json_array_size(callbacks_of(root)), 0);
	json_decref(root);
	text = written(show_text, profile, &plain);
	assert_non_null(strstr(text, "0 Python processes"));
	assert_null(strstr(text, "event loop"));
	free(text);

	/* Entries no string of which is set. */
	profile__add_process(profile);
	profile__add_thread(profile);
	profile__add_function(profile)->called = true;
	profile__add_wait(profile);
	profile__add_callback(profile);
	json_decref(parsed(profile, &plain));
	free(written(show_text, profile, &plain));
	profile__free(profile);
}

/* No control character but the line feed, no invalid UTF-8, nothing that reorders text. */
static void assert_harmless(const char *text)
{
	uint32_t c;

	while (*text) {
		size_t length = utf8_decode(text, &c);

		assert_true(length > 0);
		assert_true(c == '\n' || c >= 0x20);
		assert_false(c >= 0x7f && c < 0xa0);
		assert_false(c >= 0x200b && c <= 0x200f);
		assert_false(c >= 0x202a && c <= 0x202e);
		assert_false(c >= 0x2066 && c <= 0x2069);
		text += length;
	}
}

static void text_shows_hostile_names(void **state)
{
	struct profile *profile = sample_hostile();
	struct show_options ascii = {.utf8 = false};
	char *text = written(show_text, profile, &plain);

	(void)state;
	assert_harmless(text);
	assert_non_null(strstr(text, "ev\\x1b[31mil\\u202e\\x0a\\xff\\xc3(\344\270\255\\xe2\\x82"));
	free(text);
	text = written(show_text, profile, &ascii);
	assert_harmless(text);
	assert_non_null(strstr(text, "(\\u4e2d\\xe2\\x82"));
	for (char *p = text; *p; p++)
		assert_true((unsigned char)*p < 0x80);
	free(text);
	profile__free(profile);
}

/* Takes out the escape sequences of our own colours. */
static void strip_styles(char *text)
{
	char *out = text;

	while (*text) {
		if (*text == '\033') {
			text += strcspn(text, "m") + 1;
			continue;
		}
		*out++ = *text++;
	}
	*out = '\0';
}

static void assert_fits(const struct profile *profile, int width, bool color)
{
	struct show_options options = {.width = width, .color = color, .utf8 = true};
	char *text = written(show_text, profile, &options);

	if (color)
		assert_non_null(strchr(text, '\033'));
	strip_styles(text);
	assert_harmless(text);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (text_columns(line) > width)
			fail_msg("%d columns, not %d: \"%s\"", text_columns(line), width, line);
		if (line[strlen(line) - 1] == ' ')
			fail_msg("at %d ends with a blank: \"%s\"", width, line);
	}
	free(text);
}

static void text_fits_every_width(void **state)
{
	struct profile *sample = sample_profile(), *hostile = sample_hostile();

	(void)state;
	/* Figures of many digits. */
	sample->functions[0].calls = 123456789012345;
	sample->functions[1].wall.max_ns = 987654 * SECOND;
	for (int width = 40; width <= 260; width++) {
		assert_fits(sample, width, width % 2);
		assert_fits(hostile, width, width % 2);
	}
	profile__free(sample);
	profile__free(hostile);
}

static void text_of_a_pipe_cuts_nothing(void **state)
{
	struct profile *profile = sample_profile();
	char *text = written(show_text, profile, &plain);

	(void)state;
	assert_null(strchr(text, '\033'));
	assert_null(strstr(text, "\u2026"));
	assert_non_null(strstr(text, "/usr/lib/python3.13/concurrent/futures/thread.py:69"));
	assert_non_null(strstr(text, "  GIL-bound: threads waited for the GIL"));
	assert_non_null(strstr(text, "unknown CPython version 3.16"));
	/* The most active process is first, the idle one last. */
	assert_true(strstr(text, "tgid 4711") < strstr(text, "tgid 900"));
	assert_true(strstr(text, "tgid 900") < strstr(text, "tgid 12345"));
	/* Only losses that happened. */
	assert_non_null(strstr(text, loss_text(LOSS_DEPTH)));
	assert_null(strstr(text, loss_text(LOSS_STORAGE)));
	free(text);
	profile__free(profile);
}

static void text_without_call_probes(void **state)
{
	struct profile *profile = sample_profile();
	char *text = written(show_text, profile, &plain);

	(void)state;
	assert_non_null(strstr(text, "every call in 2 processes (exact) for 10.0 s"));
	assert_non_null(strstr(text, "calibrated at start: 2.10 us a call, 840 ns a switch"));
	free(text);
	profile->probed_ns = 0;
	profile->entry_ns = profile->exit_ns = 0;
	text = written(show_text, profile, &plain);
	assert_non_null(strstr(text, "Every wait is counted (about "));
	assert_non_null(strstr(text, "Cost of tracing: 840 ns a switch of a Python thread.\n"));
	free(text);
	profile__free(profile);
}

static int times_in(const char *text, const char *words)
{
	int times = 0;

	for (const char *at = strstr(text, words); at; at = strstr(at + 1, words))
		times++;
	return times;
}

/* What runs but was not called in a window has a row, and one only, if there was none at all too.
 */
static void text_of_windows(void **state)
{
	struct profile *profile = profile__new();
	struct profile_process *process;
	struct profile_function *f;
	char *text;

	(void)state;
	assert_non_null(profile);
	profile->duration_ns = 10 * SECOND;
	process = sample_process(profile, 7, "app.py", 1);
	process->windowed = true;
	process->probed_ns = SECOND;
	sample_function(profile, 7, "called_in_one", "app.py", 1)->calls = 300;
	sample_function(profile, 7, "runs_all_the_time", "app.py", 2)->called = false;
	for (size_t i = 0; i < 2; i++) {
		f = &profile->functions[i];
		f->windowed = true;
		f->probed_ns = SECOND;
		f->observed_ns = 10 * SECOND;
		f->sample_ns = 10 * MS;
		f->stack_inclusive_ns = f->stack_ns[STACK_ONCPU] = 5 * SECOND;
	}
	text = written(show_text, profile, &plain);
	assert_non_null(strstr(text, "~3.00 k"));
	assert_int_equal(times_in(text, "runs_all_the_time"), 1);
	free(text);

	process->probed_ns = 0;
	for (size_t i = 0; i < 2; i++)
		profile->functions[i].called = false;
	text = written(show_text, profile, &plain);
	assert_int_equal(times_in(text, "runs_all_the_time"), 1);
	free(text);
	profile__free(profile);
}

static void text_is_narrowed(void **state)
{
	struct show_options options = {.utf8 = true, .top = 2, .sort = "calls"};
	struct profile *profile = sample_profile();
	char *text = written(show_text, profile, &options);

	(void)state;
	assert_non_null(strstr(text, "and 3 more functions"));
	assert_true(strstr(text, "Cart.total  ") < strstr(text, "render.<locals>"));
	assert_null(strstr(text, "Handler.do_GET  "));
	free(text);
	options.function_glob = "burn";
	text = written(show_text, profile, &options);
	assert_null(strstr(text, "tgid 4711"));
	assert_non_null(strstr(text, "2 processes without a matching function"));
	free(text);
	options.sort = "speed";
	assert_int_equal(show_text(stdout, profile, &options), -EINVAL);
	assert_int_equal(show_json(stdout, profile, &options), -EINVAL);
	profile__free(profile);
}

static void a_full_disk_is_told(void **state)
{
	struct profile *profile = sample_profile();
	writer *const writers[] = {show_text, show_json};

	(void)state;
	for (int i = 0; i < 2; i++) {
		/* With and without a buffer large enough to hide it. */
		for (int buffered = 0; buffered < 2; buffered++) {
			FILE *out = fopen("/dev/full", "w");

			assert_non_null(out);
			setvbuf(out, NULL, buffered ? _IOFBF : _IONBF, 1 << 20);
			assert_int_equal(writers[i](out, profile, &plain), -ENOSPC);
			fclose(out);
		}
	}
	profile__free(profile);
}

/* The CPU time it takes to tell of so many functions, in seconds. */
static double telling_takes(uint32_t functions)
{
	static const double none[WAIT_CLASSES];
	struct profile *profile = sample_empty();
	struct show_options options = {.utf8 = true, .sort = "p95"};
	clock_t begin;
	char name[32];
	json_t *root;

	sample_process(profile, 1, "python3", 1)->oncpu_ns = SECOND;
	for (uint32_t i = 0; i < functions; i++) {
		snprintf(name, sizeof(name), "Class.function_%u", i);
		sample_calls(sample_function(profile, 1, name, "/srv/x.py", i), 10, 1e5 + i, 0.5, 1,
			     none);
	}
	begin = clock();
	root = parsed(profile, &options);
	assert_int_equal(json_array_size(json_object_get(root, "functions")), functions);
	json_decref(root);
	options.top = functions;
	options.width = 100;
	free(written(show_text, profile, &options));
	begin = clock() - begin;
	profile__free(profile);
	return (double)begin / CLOCKS_PER_SEC;
}

/* Ten times as many take about ten times as long, and not a hundred times. */
static void ten_thousand_functions_are_quick(void **state)
{
	double thousand = telling_takes(1000);

	(void)state;
	assert_true(telling_takes(10000) < 40 * thousand);
}

static void utf8_is_read_strictly(void **state)
{
	static const char *const bad[] = {
		"\x80",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x80\x80",
		"\xed\xa0\x80",
		"\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
		"\xc3",
		"\xe2\x82",
		"\xf0\x9f\x90",
	};
	uint32_t c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(utf8_decode(bad[i], &c), 0);
	assert_int_equal(utf8_decode("\303\251", &c), 2);
	assert_int_equal(c, 0xe9);
	assert_int_equal(utf8_decode("\360\237\220\215", &c), 4);
	assert_int_equal(c, 0x1f40d);
}

static void every_code_point_is_harmless(void **state)
{
	char text[8], *safe;

	(void)state;
	for (uint32_t c = 1; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
		if (c < 0x80)
			sprintf(text, "%c", c);
		else if (c < 0x800)
			sprintf(text, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 63));
		else if (c < 0x10000)
			sprintf(text, "%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 63),
				0x80 | (c & 63));
		else
			sprintf(text, "%c%c%c%c", 0xf0 | c >> 18, 0x80 | (c >> 12 & 63),
				0x80 | (c >> 6 & 63), 0x80 | (c & 63));
		safe = escape_terminal(text, true);
		assert_null(strchr(safe, '\n'));
		assert_harmless(safe);
		free(safe);
	}
}

static void tails_are_kept(void **state)
{
	char *tail = text_keep_tail("Executor.submit", 8, true);

	(void)state;
	assert_string_equal(tail, "\u2026.submit");
	free(tail);
	tail = text_keep_tail("Executor.submit", 8, false);
	assert_string_equal(tail, "..submit");
	free(tail);
	tail = text_keep_tail("short", 8, true);
	assert_string_equal(tail, "short");
	free(tail);
	/* A wide character does not fit into the one column left. */
	tail = text_keep_tail("ab\344\270\255\344\270\255", 4, true);
	assert_string_equal(tail, "\u2026\344\270\255");
	free(tail);
}

static void units_are_readable(void **state)
{
	static const struct {
		double ns;
		const char *text;
	} durations[] = {
		{0, "0 ns"},          {1, "1 ns"},
		{812, "812 ns"},      {999.4, "999 ns"},
		{999.7, "1.00 us"},   {1000, "1.00 us"},
		{5070000, "5.07 ms"}, {9996000, "10.0 ms"},
		{99960000, "100 ms"}, {999600000, "1.00 s"},
		{12.3e9, "12.3 s"},   {100e9, "100 s"},
		{599e9, "599 s"},     {600e9, "10.0 min"},
		{7200e9, "2.00 h"},   {NAN, "-"},
	};
	char buffer[UNIT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
		assert_string_equal(format_duration(buffer, durations[i].ns), durations[i].text);
	assert_string_equal(format_about(buffer, 812), "812");
	assert_string_equal(format_about(buffer, 1234567), "1.23 M");
	assert_string_equal(format_bytes(buffer, 33900000), "33.9 MB");
	assert_string_equal(format_share(buffer, 0), "0 %");
	assert_string_equal(format_share(buffer, 0.0004), "<0.1 %");
	assert_string_equal(format_share(buffer, 0.0431), "4.3 %");
	assert_string_equal(format_share(buffer, 0.968), "97 %");
	/* The largest a buffer has to hold. */
	format_duration(buffer, 1.8446744073709552e19);
	format_about(buffer, 1.8446744073709552e19);
}

static void the_output_is_looked_at(void **state)
{
	struct winsize size = {.ws_row = 24, .ws_col = 97};
	struct show_options options = {.top = 7};
	int fds[2], leader, follower;

	(void)state;
	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	assert_int_equal(pipe(fds), 0);
	show_options_detect(&options, fds[1]);
	assert_int_equal(options.width, 0);
	assert_false(options.color);
	assert_int_equal(options.top, 7);
	close(fds[0]);
	close(fds[1]);

	assert_int_equal(openpty(&leader, &follower, NULL, NULL, &size), 0);
	show_options_detect(&options, follower);
	assert_int_equal(options.width, 97);
	assert_true(options.color);
	assert_true(options.utf8);
	setenv("NO_COLOR", "1", 1);
	show_options_detect(&options, follower);
	assert_false(options.color);
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	show_options_detect(&options, follower);
	assert_false(options.color);
	close(leader);
	close(follower);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(callbacks_are_told),
		cmocka_unit_test(reports_of_nothing),
		cmocka_unit_test(text_shows_hostile_names),
		cmocka_unit_test(text_fits_every_width),
		cmocka_unit_test(text_of_a_pipe_cuts_nothing),
		cmocka_unit_test(text_without_call_probes),
		cmocka_unit_test(text_of_windows),
		cmocka_unit_test(text_is_narrowed),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test(ten_thousand_functions_are_quick),
		cmocka_unit_test(utf8_is_read_strictly),
		cmocka_unit_test(every_code_point_is_harmless),
		cmocka_unit_test(tails_are_kept),
		cmocka_unit_test(units_are_readable),
		cmocka_unit_test(the_output_is_looked_at),
	};

	/* Widths and printable characters are those of a UTF-8 locale. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
