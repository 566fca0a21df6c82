/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Parse, run one command, exit. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "doctor.h"
#include "dump.h"
#include "list.h"
#include "message.h"
#include "options.h"
#include "trace.h"

/* What --help prints counts too: a full disk must show in the exit status. */
static void check_stdout(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return;
	message("cannot write to standard output");
	_exit(EXIT_OUTPUT);
}

int main(int argc, char **argv)
{
	struct options options;

	setlocale(LC_CTYPE, "");
	atexit(check_stdout);
	options_parse(argc, argv, &options);
	switch (options.command) {
	case COMMAND_LIST:
		return list_run(&options);
	case COMMAND_DOCTOR:
		return doctor_run();
	case COMMAND_DUMP:
		return dump_run(&options);
	case COMMAND_TRACE:
		break;
	}
	return trace_run(&options);
}
