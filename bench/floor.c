/* SPDX-License-Identifier: ISC */
/*
 * floor.c - the least that a receiver must do, to measure against.
 *
 *	floor directory [sync]
 *
 * One session on standard input and output.  It checks nothing: any line is
 * answered 250, a message is what comes up to CRLF.CRLF, kept as it came in a
 * file that is written under tmp/ and renamed to new/; with sync, made durable
 * as a real receiver must.  Linked statically: it starts as fast as a program
 * can.
 */
#define _GNU_SOURCE	/* memmem */
#include <sys/types.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static struct {
	const char	*dir;
	int		 sync;
	char		 in[65536];
	size_t		 start, len;
	char		 out[4096];
	size_t		 out_len;
	unsigned	 messages;
} f;

static void
flush(void)
{
	if (f.out_len > 0 &&
	    write(1, f.out, f.out_len) != (ssize_t)f.out_len)
		_exit(1);
	f.out_len = 0;
}

static void
reply(const char *text)
{
	size_t len = strlen(text);

	if (len > sizeof(f.out) - f.out_len)
		flush();
	memcpy(f.out + f.out_len, text, len);
	f.out_len += len;
}

/* Read after the keep octets that are to be looked at again. */
static void
fill(size_t keep)
{
	ssize_t n;

	flush();
	memmove(f.in, f.in + f.start + f.len - keep, keep);
	f.start = 0;
	if ((n = read(0, f.in + keep, sizeof(f.in) - keep)) <= 0)
		_exit(0);
	f.len = keep + (size_t)n;
}

static void
keep(int fd, const char *p, size_t len)
{
	if (len > 0 && write(fd, p, len) != (ssize_t)len)
		_exit(1);
}

/*
 * Up to and including CRLF.CRLF.  The last four octets that were read are
 * looked at again together with what comes next.
 */
static void
body(int fd)
{
	char *end;
	size_t old = 0;

	for (;;) {
		end = memmem(f.in + f.start, f.len, "\r\n.\r\n", 5);
		if (end != NULL)
			break;
		keep(fd, f.in + f.start + old, f.len - old);
		old = f.len < 4 ? f.len : 4;
		fill(old);
	}
	end += 5;
	keep(fd, f.in + f.start + old, (size_t)(end - f.in) - f.start - old);
	f.len -= (size_t)(end - f.in) - f.start;
	f.start = (size_t)(end - f.in);
}

static void
message(void)
{
	char tmp[512], new[512];
	int fd, dir;

	f.messages++;
	snprintf(tmp, sizeof(tmp), "%s/tmp/%d.%u", f.dir, getpid(), f.messages);
	snprintf(new, sizeof(new), "%s/new/%d.%u", f.dir, getpid(), f.messages);
	if ((fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL, 0600)) == -1)
		_exit(1);
	reply("354 go on\r\n");
	body(fd);
	if (f.sync && fsync(fd) == -1)
		_exit(1);
	close(fd);
	if (rename(tmp, new) == -1)
		_exit(1);
	if (f.sync) {
		snprintf(new, sizeof(new), "%s/new", f.dir);
		if ((dir = open(new, O_RDONLY | O_DIRECTORY)) == -1 ||
		    fsync(dir) == -1)
			_exit(1);
		close(dir);
	}
	reply("250 kept\r\n");
}

static void
command(const char *line)
{
	if (strncasecmp(line, "DATA", 4) == 0) {
		message();
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		reply("221 bye\r\n");
		flush();
		_exit(0);
	} else
		reply("250 ok\r\n");
}

int
main(int argc, char **argv)
{
	char *line, *end;

	f.dir = argc > 1 ? argv[1] : ".";
	f.sync = argc > 2;
	reply("220 floor\r\n");
	for (;;) {
		while (f.len == 0 ||
		    (end = memchr(f.in + f.start, '\n', f.len)) == NULL) {
			if (f.len == sizeof(f.in))
				_exit(1);
			fill(f.len);
		}
		line = f.in + f.start;
		f.len -= (size_t)(end + 1 - line);
		f.start += (size_t)(end + 1 - line);
		command(line);
	}
}
