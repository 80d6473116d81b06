/* SPDX-License-Identifier: ISC */
/*
 * deliver.c - a message on its way to the spool or to the program.
 *
 * Owns the buffer through which each message is written, and decides what the
 * client is told of the outcome.  The message is never in memory as a whole,
 * nor is the list of recipients copied: a small message costs one write, a
 * large one a write each 64 KiB.
 */
#define _GNU_SOURCE		/* copy_file_range(2) */

#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "deliver.h"
#include "deliver/trace.h"
#include "verdict.h"

#define BUFFER_SIZE	65536
#define COPY_MAX	(1U << 30)	/* octets, by one system call */

enum state {
	NOTHING,		/* no message */
	WRITING,		/* from deliver_start() on */
	WRITTEN,		/* complete, given to nobody yet */
	OVER			/* the verdict is known */
};

/* The message: what was given to deliver_body(), or a copy of it. */
struct message {
	int		 fd;		/* -1: there is none */
	int		 error;		/* errno of the first failed write */
	size_t		 len;		/* in the buffer */
	uint64_t	 size;		/* so far, buffer included */
};

static struct {
	const struct target *target;
	enum state	 state;
	bool		 each;		/* a commit for each recipient */
	bool		 body;		/* how it begins is known; */
	char		 first[TRACE_FIRST];	/* before that it is here */
	size_t		 first_len;
	const char	*line_end;	/* of our own lines */
	struct message	 message;
	uint64_t	 top_size;	/* of our own lines in it */
	struct session_verdict verdict;
} delivery = { .message = { .fd = -1 } };

/* Not in delivery, which would make it part of the file and not just zeros. */
static char	 buffer[BUFFER_SIZE];

/* By errno; the last one is for the rest. */
static const struct {
	int		 error;
	struct session_verdict verdict;
} failures[] = {
	{ ENOSPC, { SESSION_REFUSE, 452, "4.3.1", "No space for it now" } },
	{ EDQUOT, { SESSION_REFUSE, 452, "4.3.1", "No space for it now" } },
	{ EFBIG, { SESSION_REFUSE, 452, "4.3.1", "No space for it now" } },
	{ 0, { SESSION_REFUSE, 451, "4.3.0", "Message not kept, try later" } }
};

struct session_verdict
deliver_failed(int error)
{
	size_t i;

	for (i = 0; failures[i].error != 0; i++)
		if (failures[i].error == error)
			break;
	return failures[i].verdict;
}

/*
 * Writing.  A failure is remembered until the end of the message, since the
 * client can't be told before; what comes after it is dropped.
 */

static void
write_failed(struct message *m, const char *what)
{
	m->error = errno;
	log_error(m->error, what, delivery.target->name);
}

static void
write_out(struct message *m, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0 && m->error == 0) {
		n = write(m->fd, p, len);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			if (n == 0)
				errno = ENOSPC;
			write_failed(m, "write");
		}
	}
}

static void
write_buffer(struct message *m)
{
	write_out(m, buffer, m->len);
	m->len = 0;
}

static void
put_message(void *arg, const char *p, size_t len)
{
	struct message *m = arg;

	m->size += len;
	if (len > sizeof(buffer) - m->len)
		write_buffer(m);
	if (m->len == 0 && len >= sizeof(buffer) / 2) {
		write_out(m, p, len);	/* a copy would save no write */
		return;
	}
	memcpy(buffer + m->len, p, len);
	m->len += len;
}

/*
 * Is the envelope written on top?  Not for a program that gets a message for
 * all recipients and may relay it: that would tell each of them who else got
 * it, Bcc included.
 */
static bool
has_envelope(const struct settings *set)
{
	if (set->envelope == ENVELOPE_AUTO)
		return delivery.each || delivery.target == &spool_target;
	return set->envelope == ENVELOPE_YES;
}

/* A BINARYMIME message keeps its line ends: ours are to match. */
bool
deliver_crlf(const struct connection *c)
{
	return c->settings.newline_crlf ||
	    c->tx.mail.body == SESSION_BODY_BINARY;
}

static void
put_top(struct message *m, struct connection *c, unsigned first,
    unsigned count)
{
	struct output o = { .write = put_message, .arg = m,
	    .line_end = delivery.line_end };

	if (has_envelope(&c->settings))
		trace_envelope(&o, c, first, count);
	trace_received(&o, c, count == 1 ?
	    strings_at(&c->tx.recipients, first) : NULL);
}

/* A message that begins with text must not continue our last line. */
static void
start_body(enum trace_first what)
{
	struct message *m = &delivery.message;

	if (what == TRACE_TEXT)
		put_message(m, delivery.line_end, strlen(delivery.line_end));
	put_message(m, delivery.first, delivery.first_len);
	delivery.body = true;
}

void
deliver_body(const char *p, size_t len)
{
	size_t n = sizeof(delivery.first) - delivery.first_len;
	enum trace_first what;

	if (!delivery.body) {
		n = len < n ? len : n;
		memcpy(delivery.first + delivery.first_len, p, n);
		delivery.first_len += n;
		what = trace_first(delivery.first, delivery.first_len);
		if (what == TRACE_MORE)
			return;
		start_body(what);
		p += n;
		len -= n;
	}
	put_message(&delivery.message, p, len);
}

/* Start to end. */

static const struct target *
find_target(const struct settings *set)
{
	if (set->exec != NULL)
		return &program_target;
	return set->spool != NULL ? &spool_target : NULL;
}

static int
create_message(struct message *m, const struct settings *set)
{
	*m = (struct message){ .fd = delivery.target->create(set) };
	return m->fd == -1 ? -1 : 0;
}

static void
drop(struct message *m)
{
	if (m->fd != -1)
		delivery.target->drop(m->fd);
	m->fd = -1;
}

struct session_verdict
deliver_start(struct connection *c)
{
	const struct settings *set = &c->settings;

	deliver_reset();
	delivery.target = find_target(set);	/* or no RCPT was accepted */
	if (create_message(&delivery.message, set) == -1)
		return deliver_failed(errno);
	delivery.state = WRITING;
	delivery.each = delivery.target->each(set);
	delivery.body = false;
	delivery.first_len = 0;
	delivery.line_end = deliver_crlf(c) ? "\r\n" : "\n";
	put_top(&delivery.message, c, 0,
	    delivery.each ? 1 : c->tx.recipients.count);
	delivery.top_size = delivery.message.size;
	return verdict_accept();
}

void
deliver_reset(void)
{
	drop(&delivery.message);
	delivery.state = NOTHING;
}

/*
 * Append a piece of another file to this one: by the kernel if it can, or
 * through the buffer, which is empty.  Returns its length, or 0: m->error.
 */
static size_t
copy_piece(struct message *m, int from, uint64_t offset, uint64_t left)
{
	size_t len = left < COPY_MAX ? (size_t)left : COPY_MAX;
	off_t at = (off_t)offset;
	ssize_t n;

	n = copy_file_range(from, &at, m->fd, NULL, len, 0);
	if (n > 0)
		return (size_t)n;
	if (n == -1 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
		write_failed(m, "write");
		return 0;
	}
	if (len > sizeof(buffer))
		len = sizeof(buffer);
	while ((n = pread(from, buffer, len, at)) == -1 && errno == EINTR)
		;
	if (n <= 0) {
		errno = n == 0 ? EIO : errno;
		write_failed(m, "read");
		return 0;
	}
	write_out(m, buffer, (size_t)n);
	return (size_t)n;
}

/* Copy the message's file from this octet on. */
static int
copy_rest(struct message *m, int from, uint64_t offset, uint64_t end)
{
	size_t n;

	write_buffer(m);
	for (; m->error == 0 && offset < end; offset += n) {
		n = copy_piece(m, from, offset, end - offset);
		m->size += n;
	}
	errno = m->error;
	return m->error != 0 ? -1 : 0;
}

/*
 * The message again, in a file of its own, with the lines on top for another
 * recipient: nobody is to learn from them who else got it.
 */
static int
copy_message(struct message *m, struct connection *c, unsigned number)
{
	const struct message *all = &delivery.message;

	if (create_message(m, &c->settings) == -1)
		return -1;
	put_top(m, c, number, 1);
	return copy_rest(m, all->fd, delivery.top_size, all->size);
}

static struct session_verdict
commit_message(const struct message *m, struct connection *c, unsigned number)
{
	struct session_verdict v = verdict_accept();

	return delivery.target->commit(c, m->fd, m->size, number, &v) == -1 ?
	    deliver_failed(errno) : v;
}

/* Is it too late to start a program?  One that runs has its own deadline. */
static bool
too_late(struct session_verdict *v)
{
	if (!delivery.target->slow)
		return false;
	if (conn_stopped())
		*v = verdict_refuse(451, "4.3.2", "Service is shutting down");
	else if (conn_end() != 0 && conn_now() >= conn_end())
		*v = verdict_refuse(451, "4.3.2", "Session took too long");
	else
		return false;
	return true;
}

/*
 * For one recipient or FOR_ALL.  If there are others, each gets a copy: what a
 * program writes to its standard input, which it could reopen for writing, must
 * not be in the next one's message.
 */
static struct session_verdict
commit_for(struct connection *c, unsigned number)
{
	struct session_verdict v;
	struct message m;

	if (too_late(&v))
		return v;
	if (number == FOR_ALL || c->tx.recipients.count == 1)
		return commit_message(&delivery.message, c, number);
	v = copy_message(&m, c, number) == -1 ? deliver_failed(errno) :
	    commit_message(&m, c, number);
	drop(&m);
	return v;
}

/*
 * SMTP has one answer for all recipients.  A temporary failure for one of them
 * makes it a temporary failure: the client comes again, and some get the
 * message twice, which is better than not at all.  The runs stop there, so that
 * the others don't get it once for each attempt.  A permanent failure does not
 * stop them: the client will not come again, and those who can get the message
 * should.  It is the answer all the same, since somebody did not get the
 * message, and only the sender can be told.
 */
static struct session_verdict
commit_for_all(struct connection *c)
{
	struct session_verdict v, worst = verdict_accept();
	unsigned i;

	for (i = 0; i < c->tx.recipients.count; i++) {
		v = commit_for(c, i);
		if (v.kind == SESSION_REFUSE && v.code < 500)
			return v;
		if (worst.kind != SESSION_REFUSE)
			worst = v;
	}
	return worst;
}

static void
finish_writing(void)
{
	struct message *m = &delivery.message;

	if (delivery.first_len > 0 && !delivery.body)
		start_body(TRACE_TEXT);
	write_buffer(m);
	delivery.state = WRITTEN;
	if (m->error == 0)
		return;
	delivery.verdict = deliver_failed(m->error);
	delivery.state = OVER;
}

bool
deliver_slow(void)
{
	return (delivery.state == WRITING || delivery.state == WRITTEN) &&
	    delivery.target->slow;
}

const char *
deliver_file(void)
{
	return delivery.state == OVER &&
	    delivery.verdict.kind == SESSION_ACCEPT ?
	    delivery.target->file : NULL;
}

struct session_verdict
deliver_end(struct connection *c, unsigned recipient)
{
	if (delivery.state == WRITING)
		finish_writing();
	if (delivery.state == WRITTEN && delivery.each && c->settings.lmtp &&
	    recipient < c->tx.recipients.count)
		return commit_for(c, recipient);
	if (delivery.state == WRITTEN) {
		delivery.verdict = delivery.each ? commit_for_all(c) :
		    commit_for(c, FOR_ALL);
		delivery.state = OVER;
	}
	return delivery.state == OVER ? delivery.verdict : deliver_failed(EIO);
}

/* For filters: what was written, and another header for it. */

ssize_t
deliver_read(void *p, size_t size, uint64_t offset)
{
	size_t len = 0;
	ssize_t n = 1;

	if (delivery.state == WRITING)
		finish_writing();
	if (delivery.message.error != 0) {
		errno = delivery.message.error;
		return -1;
	}
	for (offset += delivery.top_size; len < size && n != 0;
	    len += n > 0 ? (size_t)n : 0) {
		n = pread(delivery.message.fd, (char *)p + len, size - len,
		    (off_t)(offset + len));
		if (n == -1 && errno != EINTR) {
			write_failed(&delivery.message, "read");
			return -1;
		}
	}
	return (ssize_t)len;
}

/* Lines that end in LF, as ours end. */
static void
put_converted(struct message *m, const char *p, size_t len, bool crlf)
{
	const char *end;

	for (; crlf && (end = memchr(p, '\n', len)) != NULL; p = end + 1) {
		put_message(m, p, (size_t)(end - p));
		put_message(m, "\r\n", 2);
		len -= (size_t)(end - p) + 1;
	}
	put_message(m, p, len);
}

static int
rewrite(struct connection *c, int from, const char *header, size_t len,
    uint64_t offset)
{
	struct message *m = &delivery.message;
	uint64_t end = m->size;

	offset += delivery.top_size;
	if (create_message(m, &c->settings) == -1)
		return -1;
	put_top(m, c, 0, delivery.each ? 1 : c->tx.recipients.count);
	delivery.top_size = m->size;
	put_converted(m, header, len, deliver_crlf(c));
	return copy_rest(m, from, offset, end);
}

/* The old file loses its name, if it has one, and is read all the same. */
struct session_verdict
deliver_edit(struct connection *c, const char *header, size_t len,
    uint64_t offset)
{
	int from, error = 0;

	from = fcntl(delivery.message.fd, F_DUPFD_CLOEXEC, 0);
	if (from == -1)
		return deliver_failed(errno);
	drop(&delivery.message);
	if (rewrite(c, from, header, len, offset) == -1)
		error = errno;
	close(from);
	if (error == 0)
		return verdict_accept();
	delivery.verdict = deliver_failed(error);
	delivery.state = OVER;
	return delivery.verdict;
}

int
deliver_check(const struct settings *set)
{
	const struct target *target = find_target(set);

	return target == NULL ? 0 : target->check(set);
}
