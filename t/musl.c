/* SPDX-License-Identifier: ISC */
/*
 * musl.c - what smtpd needs of libbsd, for a build with musl, for which Debian
 * has no libbsd: just enough for t/once/portable.bats.
 */
#define _GNU_SOURCE

#include <sys/syscall.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef getopt			/* the headers of libbsd are there */

int
bsd_getopt(int argc, char * const *argv, const char *options)
{
	return getopt(argc, argv, options);
}

long long
strtonum(const char *text, long long min, long long max, const char **error)
{
	long long n;
	char *end;

	errno = 0;
	n = strtoll(text, &end, 10);
	*error = end == text || *end != '\0' ? "invalid" :
	    n < min ? "too small" : n > max || errno != 0 ? "too large" : NULL;
	return *error == NULL ? n : 0;
}

void *
recallocarray(void *old, size_t had, size_t want, size_t size)
{
	char *new = calloc(want, size);

	if (new != NULL && old != NULL) {
		memcpy(new, old, (had < want ? had : want) * size);
		explicit_bzero(old, had * size);
		free(old);
	}
	return new;
}

void
closefrom(int fd)
{
	syscall(SYS_close_range, fd, ~0U, 0);
}
