/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Parse, run one command, exit. */
#include <locale.h>

#include "doctor.h"
#include "list.h"
#include "options.h"
#include "trace.h"

int main(int argc, char **argv)
{
	struct options options;

	setlocale(LC_CTYPE, "");
	options_parse(argc, argv, &options);
	switch (options.command) {
	case COMMAND_LIST:
		return list_run(&options);
	case COMMAND_DOCTOR:
		return doctor_run();
	case COMMAND_TRACE:
		break;
	}
	return trace_run(&options);
}
