/* SPDX-License-Identifier: ISC */
/*
 * one - the smallest program around the engine: a session on standard input and
 * output, as inetd has it, whose messages are put one after the other into a
 * new file.  session(3) has it as its example.
 *
 *	cc -o one one.c $(pkg-config --cflags --libs smtpd-session)
 *	one file
 */
#include <err.h>
#include <fcntl.h>
#include <unistd.h>

#include <smtpd/session.h>

struct box {
	int	fd;
	off_t	safe;		/* this much of it is whole messages */
};

static bool
on_body(void *arg, const char *p, size_t n)
{
	struct box *box = arg;

	return write(box->fd, p, n) == (ssize_t)n;
}

/* What is not accepted here is answered 451. */
static void
on_end(void *arg, uint64_t size, unsigned recipient, struct session_verdict *v)
{
	struct box *box = arg;

	(void)size;
	(void)recipient;
	if (fsync(box->fd) == -1)
		return;
	box->safe = lseek(box->fd, 0, SEEK_CUR);
	session_accept(v, "It is safe");
}

/* After each message, accepted or not: remove what is not whole. */
static void
on_reset(void *arg)
{
	struct box *box = arg;

	if (ftruncate(box->fd, box->safe) == -1 ||
	    lseek(box->fd, box->safe, SEEK_SET) == -1)
		err(1, "half a message is left");
}

static const struct session_hooks hooks = {
	.size = sizeof(hooks), .body = on_body, .end = on_end,
	.reset = on_reset,
};
static const struct session_config config = {
	.size = sizeof(config), .hostname = "mx.test", .lf = true,
	.extensions = SESSION_EXT_PIPELINING | SESSION_EXT_8BITMIME,
	.max_size = 10 << 20, .max_recipients = 100, .max_errors = 10,
	.max_junk = 100,
};

/* session_sent() may make new replies. */
static void
flush(struct session *s)
{
	const char *p;
	size_t len;
	ssize_t n;

	while ((len = session_output(s, &p)) > 0) {
		if ((n = write(STDOUT_FILENO, p, len)) == -1)
			session_hangup(s);
		session_sent(s, n == -1 ? len : (size_t)n);
	}
}

static void
feed(struct session *s, char *p, size_t len)
{
	size_t used = 0;

	while (used < len && session_want(s) == SESSION_INPUT) {
		used += session_rewrite(s, p + used, len - used);
		flush(s);
	}
}

int
main(int argc, char **argv)
{
	static struct session s;
	static struct session_buffers buffers;
	struct box box = { .fd = -1 };
	char in[16384];
	ssize_t n;

	if (argc != 2)
		errx(1, "usage: one file");
	box.fd = open(argv[1], O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (box.fd == -1)
		err(1, "%s", argv[1]);
	session_init(&s, &buffers, &config, &hooks, &box);
	flush(&s);
	while (session_want(&s) != SESSION_CLOSE) {
		if ((n = read(STDIN_FILENO, in, sizeof(in))) > 0)
			feed(&s, in, (size_t)n);
		else
			session_hangup(&s);
	}
	return 0;
}
