/* SPDX-License-Identifier: ISC */
/*
 * exec.c - a delivery program, as it is run outside the sandbox.
 *
 * It gets what arguments.c makes, without a shell, the message in a file
 * without a name as standard input, and no other descriptor of ours (see
 * process.c).
 */
#define _GNU_SOURCE	/* O_TMPFILE */

#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver.h"
#include "process.h"

/* The message's file.  It is temporary: no name, no fsync. */

static const char *
tmp_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir != NULL && dir[0] != '\0' ? dir : "/tmp";
}

static int
create_unlinked(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/smtpd.XXXXXXXXXX", dir) >=
	    (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if ((fd = mkostemp(path, O_CLOEXEC)) != -1)
		unlink(path);
	return fd;
}

int
exec_create(void)
{
	const char *dir = tmp_dir();
	int error, fd;

	fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR ||
	    errno == EINVAL))
		fd = create_unlinked(dir);
	if (fd == -1) {
		error = errno;
		log_error(error, "temporary file", dir);
		errno = error;
	}
	return fd;
}

int
exec_program(char **argv, char *const *env, int in, int watch,
    unsigned timeout, struct exec_result *result)
{
	const int files[] = { in, PROCESS_PIPE, PROCESS_PIPE };
	const struct process_limits limits = { (int64_t)timeout * 1000,
	    EXEC_GRACE, watch };
	struct process p;
	int error;

	if (lseek(in, 0, SEEK_SET) == -1)
		return errno;
	error = process_start(&p, "exec", argv, env, files,
	    nitems(files));
	if (error != 0)
		return error;
	process_finish(&p, &limits);
	result->status = p.status;
	result->late = p.late;
	strlcpy(result->text, p.out.text, sizeof(result->text));
	return 0;
}
