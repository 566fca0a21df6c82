/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The preflight check, for people. */
#include "doctor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/features.h"
#include "message.h"
#include "options.h"
#include "show/screen.h"
#include "show/show.h"

static const char *word(enum feature_state state)
{
	switch (state) {
	case FEATURE_OK:
		return "ok";
	case FEATURE_MISSING_OPTIONAL:
		return "less";
	case FEATURE_MISSING:
		return "MISSING";
	}
	return "?";
}

int doctor_run(void)
{
	struct show_options show = {0};
	struct features features;
	struct screen screen = {.out = stdout};

	features_probe(&features);
	show_options_detect(&show, STDOUT_FILENO);
	screen.width = show.width;
	screen.color = show.color;
	screen.utf8 = show.utf8;
	for (size_t i = 0; i < features.count; i++) {
		const struct feature *feature = &features.list[i];
		char line[300];

		snprintf(line, sizeof(line), "%-8s %s: %s", word(feature->state), feature->name,
			 feature->detail);
		screen_paragraph(&screen, feature->state == FEATURE_OK ? STYLE_PLAIN : STYLE_WARN,
				 0, 9, line);
	}
	if (features.refusal)
		printf("\nTracing cannot work here yet: see %s above.\n", features.refusal->name);
	else
		printf("\nReady: sudo pytrace-bpf --all-python -d 10\n");
	if (fflush(stdout)) {
		message("cannot write the answer: %s", strerror(errno));
		return EXIT_OUTPUT;
	}
	return features.refusal ? EXIT_REFUSED : EXIT_OK;
}
