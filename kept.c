/* SPDX-License-Identifier: ISC */
/*
 * kept.c - descriptors that smtpd passes on when it becomes smtpd-tls, which
 * could not make them again inside the sandbox.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd.h"

int
kept_set(const char *name, int fd)
{
	char text[40];

	snprintf(text, sizeof(text), "%ld.%d", (long)getpid(), fd);
	return setenv(name, text, 1);
}

/*
 * The process id must be ours: a variable from any other process is not meant
 * for us.
 */
int
kept_get(const char *name)
{
	const char *text = getenv(name), *error = NULL;
	char ours[24];
	size_t len;
	int fd = -1;

	if (text == NULL)
		return -1;
	len = (size_t)snprintf(ours, sizeof(ours), "%ld.", (long)getpid());
	if (strncmp(text, ours, len) == 0)
		fd = (int)strtonum(text + len, 3, 1023, &error);
	unsetenv(name);
	return error == NULL ? fd : -1;
}
