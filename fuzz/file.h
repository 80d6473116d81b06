/* SPDX-License-Identifier: ISC */
/*
 * file.h - a file in memory, for parsers that read theirs themselves.
 *
 * Between file_begin() and file_end() each open(2) opens it, which saves the
 * system calls: they would take longer than all else.  What is said of a bad
 * one is not printed.
 */
#ifndef FUZZ_FILE_H
#define FUZZ_FILE_H

#include <sys/types.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <err.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

#define FILE_FD	1000

static struct {
	const char	*text;		/* NULL: there is none */
	size_t		 len, at;
} file;

static inline void
file_begin(const void *text, size_t len)
{
	file.text = text;
	file.len = len;
	file.at = 0;
}

static inline void
file_end(void)
{
	file.text = NULL;
}

int
open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	file.at = 0;
	if (file.text != NULL)
		return FILE_FD;
	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int
close(int fd)
{
	return fd == FILE_FD ? 0 : (int)syscall(SYS_close, fd);
}

int
fstat(int fd, struct stat *st)
{
	if (fd != FILE_FD)
		return (int)syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFREG | 0600;
	st->st_size = (off_t)file.len;
	return 0;
}

ssize_t
pread(int fd, void *to, size_t size, off_t at)
{
	size_t left = at < (off_t)file.len ? file.len - (size_t)at : 0;

	if (fd != FILE_FD)
		return syscall(SYS_pread64, fd, to, size, at);
	if (size > left)
		size = left;
	memcpy(to, file.text + file.len - left, size);
	return (ssize_t)size;
}

ssize_t
read(int fd, void *to, size_t size)
{
	ssize_t n;

	if (fd != FILE_FD)
		return syscall(SYS_read, fd, to, size);
	n = pread(fd, to, size, (off_t)file.at);
	file.at += (size_t)n;
	return n;
}

void
warn(const char *fmt, ...)
{
	CHECK(*fmt != '\0');
}

void
warnx(const char *fmt, ...)
{
	CHECK(*fmt != '\0');
}

#endif
