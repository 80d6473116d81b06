/*
 * deliver.c - a message on its way to the spool or to the program.
 *
 * Owns the buffer through which each message is written, and the way from what
 * happened to what the client is told.
 * The message never is in memory as a whole, nor is the list of recipients
 * copied: a small message costs one write, a large one a write each 64 KiB.
 */
#include <sys/types.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "deliver.h"
#include "deliver/trace.h"

#define BUFFER_SIZE	65536

enum state {
	NOTHING,		/* no message */
	WRITING,		/* from deliver_start() on */
	WRITTEN,		/* complete, given to nobody yet */
	OVER			/* the verdict is known */
};

static struct {
	enum state	 state;
	bool		 ready;		/* this is not the first message */
	int		 fd;
	struct output	 top;		/* for our own lines */
	bool		 to_program;
	int		 error;		/* errno of the first failed write */
	size_t		 len;		/* in the buffer */
	uint64_t	 size;		/* so far, buffer included */
	uint64_t	 header_size;	/* of our own lines */
	struct session_verdict verdict;
} delivery = { .fd = -1, .top = { .write = deliver_body } };

/* Not in delivery, which would make it part of the file and not just zeros. */
static char	 buffer[BUFFER_SIZE];

static const struct session_verdict accepted = {
	SESSION_ACCEPT, 0, NULL, NULL
};

static const struct session_verdict nowhere = {
	SESSION_REFUSE, 451, "4.3.5", "There is nowhere to put a message"
};

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
write_failed(const char *what, const char *object)
{
	delivery.error = errno != 0 ? errno : EIO;
	log_error(delivery.error, what, object);
}

static void
write_out(const char *p, size_t len)
{
	ssize_t n;

	while (len > 0 && delivery.error == 0) {
		n = write(delivery.fd, p, len);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			if (n == 0)
				errno = ENOSPC;
			write_failed("write",
			    delivery.to_program ? "message" : "spool");
		}
	}
}

static void
write_buffer(void)
{
	write_out(buffer, delivery.len);
	delivery.len = 0;
}

void
deliver_body(const char *p, size_t len)
{
	delivery.size += len;
	if (len > sizeof(buffer) - delivery.len) {
		write_buffer();
		if (len >= sizeof(buffer)) {
			write_out(p, len);
			return;
		}
	}
	memcpy(buffer + delivery.len, p, len);
	delivery.len += len;
}

/* Start to end. */

struct session_verdict
deliver_start(struct connection *c)
{
	const struct settings *s = &c->settings;
	bool each;

	deliver_reset();
	if (s->exec == NULL && s->spool == NULL)
		return nowhere;
	if (!delivery.ready)
		/* A limit on the size of files is an error, not the end. */
		signal(SIGXFSZ, SIG_IGN);
	delivery.ready = true;
	delivery.to_program = s->exec != NULL;
	delivery.fd = delivery.to_program ? exec_create() :
	    spool_create(s->spool);
	if (delivery.fd == -1)
		return deliver_failed(errno);
	delivery.state = WRITING;
	/* A BINARYMIME message keeps its line ends: ours are to match. */
	delivery.top.line_end = s->newline_crlf ||
	    c->tx.body == SESSION_BODY_BINARY ? "\r\n" : "\n";
	each = delivery.to_program && arguments_each(s);
	trace_write(&delivery.top, c, 0, each ? 1 : c->tx.recipients.count);
	delivery.header_size = delivery.size;
	return accepted;
}

void
deliver_reset(void)
{
	if (delivery.fd != -1) {
		if (delivery.to_program)
			close(delivery.fd);
		else
			spool_drop(delivery.fd);
	}
	delivery.fd = -1;
	delivery.state = NOTHING;
	delivery.error = 0;
	delivery.len = 0;
	delivery.size = 0;
}

/*
 * The message again, in a file of its own, with the lines on top for another
 * recipient: nobody is to learn from them who else got it.  The copy becomes
 * the current output until the caller has put things back.
 */
static int
copy_for(struct connection *c, unsigned number)
{
	int from = delivery.fd;
	off_t offset = (off_t)delivery.header_size;
	ssize_t n = 1;

	if ((delivery.fd = exec_create()) == -1) {
		delivery.error = errno;
		return from;
	}
	delivery.size = 0;
	trace_write(&delivery.top, c, number, 1);
	write_buffer();
	while (delivery.error == 0 && n != 0) {
		n = pread(from, buffer, sizeof(buffer), offset);
		if (n == -1) {
			if (errno != EINTR)
				write_failed("read", "message");
			continue;
		}
		write_out(buffer, (size_t)n);
		offset += n;
		delivery.size += (uint64_t)n;
	}
	return from;
}

/*
 * The program for one recipient.  If there are others, it gets a copy: what it
 * writes to its standard input, which it could open for that however it was
 * given, must not be in the next one's message.
 */
static struct session_verdict
run_for(struct connection *c, unsigned number)
{
	const char *recipient = strings_at(&c->tx.recipients, number);
	struct session_verdict v;
	uint64_t size = delivery.size;
	int original;

	if (c->tx.recipients.count == 1)
		return exec_run(c, delivery.fd, size, recipient,
		    strings_at(&c->tx.dsn, 0));
	original = copy_for(c, number);
	v = delivery.error != 0 ? deliver_failed(delivery.error) :
	    exec_run(c, delivery.fd, delivery.size, recipient,
	    strings_at(&c->tx.dsn, number));
	if (delivery.fd != -1)
		close(delivery.fd);
	delivery.fd = original;
	delivery.size = size;
	delivery.error = 0;
	return v;
}

/*
 * SMTP has one answer for all recipients.  A temporary failure for one of them
 * makes it a temporary failure: the client comes again, and some get the
 * message twice, which is better than not at all.  The runs stop there, so that
 * the others don't get it once for each attempt.  A permanent failure does not
 * stop them: the client will not come again, and those who can have the message
 * shall have it.  It is the answer all the same, since somebody did not get the
 * message, and only the sender can be told.
 */
static struct session_verdict
run_for_all(struct connection *c)
{
	static char text[SESSION_TEXT_MAX + 1], status[12];
	struct session_verdict v, worst = accepted;
	unsigned i;

	for (i = 0; i < c->tx.recipients.count; i++) {
		v = run_for(c, i);
		if (v.kind == SESSION_REFUSE && v.code < 500)
			return v;
		if (worst.kind == SESSION_REFUSE)
			continue;
		/* The next run has its own strings in the same place. */
		worst = v;
		strlcpy(text, v.text != NULL ? v.text : "", sizeof(text));
		strlcpy(status, v.status != NULL ? v.status : "",
		    sizeof(status));
		worst.text = text[0] != '\0' ? text : NULL;
		worst.status = status[0] != '\0' ? status : NULL;
	}
	return worst;
}

static struct session_verdict
hand_over(struct connection *c)
{
	int fd = delivery.fd;

	if (!delivery.to_program) {
		delivery.fd = -1;	/* closed, however this ends */
		return spool_commit(fd) == -1 ? deliver_failed(errno) :
		    accepted;
	}
	if (!arguments_each(&c->settings))
		return exec_run(c, delivery.fd, delivery.size, NULL, NULL);
	return run_for_all(c);
}

struct session_verdict
deliver_end(struct connection *c, unsigned recipient)
{
	if (delivery.state == WRITING) {
		write_buffer();
		delivery.state = WRITTEN;
		if (delivery.error != 0) {
			delivery.verdict = deliver_failed(delivery.error);
			delivery.state = OVER;
		}
	}
	if (delivery.state == WRITTEN && c->settings.lmtp &&
	    delivery.to_program && arguments_each(&c->settings) &&
	    recipient < c->tx.recipients.count)
		return run_for(c, recipient);
	if (delivery.state == WRITTEN) {
		delivery.verdict = hand_over(c);
		delivery.state = OVER;
	}
	return delivery.state == OVER ? delivery.verdict : deliver_failed(EIO);
}

int
deliver_check(const struct settings *s)
{
	if (s->exec != NULL)
		return exec_check(s);
	return s->spool != NULL ? spool_check(s->spool) : 0;
}
