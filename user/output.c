/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Writing reports whole or not at all. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "show/json.h"
#include "show/text.h"

int output_open(struct output *output, const char *path)
{
	struct stat stat;
	int fd;

	*output = (struct output){.file = stdout, .path = path};
	if (!path)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	output->regular = !fstat(fd, &stat) && S_ISREG(stat.st_mode);
	output->file = fdopen(fd, "w");
	if (!output->file) {
		int err = -errno;

		close(fd);
		return err;
	}
	return 0;
}

int output_report(struct output *output, const struct profile *profile,
		  const struct options *options)
{
	struct show_options show = {
		.explain = options->explain,
		.top = options->top,
		.sort = options->sort,
		.function_glob = options->function_glob,
	};
	off_t before = output->regular ? lseek(fileno(output->file), 0, SEEK_CUR) : -1;
	int err;

	show_options_detect(&show, fileno(output->file));
	if (options->format == FORMAT_JSON)
		err = show_json(output->file, profile, &show);
	else
		err = show_text(output->file, profile, &show);
	if (!err || before < 0)
		return err;
	/* a report cut short helps nobody: take back what there is of it */
	if (before == 0)
		unlink(output->path);
	else if (ftruncate(fileno(output->file), before))
		return err;
	return err;
}

int output_close(struct output *output)
{
	int err = 0;

	if (!output->path)
		return fflush(stdout) ? -errno : 0;
	if (fclose(output->file))
		err = -errno;
	return err;
}
