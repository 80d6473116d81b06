/* SPDX-License-Identifier: ISC */
/*
 * log.c - the log: one event per line, key=value, on standard error or syslog,
 * and never into the client's connection.
 */
#include <sys/socket.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "session/address.h"
#include "smtpd.h"

#define LINE_MAX_LOG	2048	/* what is longer is cut, and marked so */
#define TAIL		24	/* room for that mark, a quote, a last pair */
#define SESSION_LINES	1000	/* then they are only counted */
#define HELD_MAX	4	/* lines that wait for a reply */
#define VARIABLE	"SMTPD_SYSLOG"	/* for smtpd-tls: the descriptor */

static struct {
	enum log_target	 target;
	bool		 debug;
	const char	*id;
	bool		 journal;	/* standard error is systemd's */
	unsigned	 lines;		/* of the session */
	int		 fd;		/* where it goes, or -1 */
	int		 patience;	/* milliseconds, with a full pipe */
	unsigned	 held;		/* lines of held[] */
} logger = { .target = LOGTO_OFF, .fd = -1, .patience = 1000 };

struct line {
	size_t	len;
	char	text[LINE_MAX_LOG];
};

/*
 * A line's priority for syslog(3); the first row that fits counts.  Lines that
 * a client could cause without end are limited; the others have a limit of
 * their own, or are worth a line each: a message that was taken, a password
 * that was tried.
 */
static const struct kind {
	const char	*event, *status;	/* NULL: any */
	int		 priority;
	bool		 limited;
} kinds[] = {
	{ "error",	NULL,		LOG_ERR,	true },
	{ "sandbox",	NULL,		LOG_WARNING,	true },
	{ "program",	NULL,		LOG_WARNING,	true },
	{ "suppressed",	NULL,		LOG_WARNING,	false },
	{ "crash",	NULL,		LOG_WARNING,	false },
	{ "refused",	NULL,		LOG_NOTICE,	false },
	{ "auth",	"ok",		LOG_INFO,	false },
	{ "auth",	"error",	LOG_WARNING,	false },
	{ "auth",	NULL,		LOG_NOTICE,	false },
	{ "message",	"accepted",	LOG_INFO,	false },
	{ "message",	"discarded",	LOG_INFO,	false },
	{ "close",	NULL,		LOG_INFO,	false },
	{ "command",	NULL,		LOG_DEBUG,	false },
	{ "reply",	NULL,		LOG_DEBUG,	false },
	{ NULL,		"refused",	LOG_NOTICE,	true },
	{ NULL,		"deferred",	LOG_NOTICE,	true },
	{ NULL,		"failed",	LOG_NOTICE,	true },
	{ NULL,		NULL,		LOG_INFO,	true },
};

static struct held {
	const struct kind *kind;
	struct line	 line;
} held[HELD_MAX];

/*
 * Characters that are not seen but affect how others are shown: what Unicode
 * calls default ignorable (soft hyphen, zero width, the direction of text,
 * variation selectors, tags), its ends of lines and paragraphs, annotations,
 * and private use, which any terminal may take as it likes.  With them a name
 * could be read as another, or a line in another order than it was written in.
 * Letters, marks and blanks of all scripts stay.
 */
static const struct {
	uint32_t	first, last;
} hidden[] = {
	{ 0x00ad, 0x00ad }, { 0x034f, 0x034f }, { 0x061c, 0x061c },
	{ 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f },
	{ 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
	{ 0x3164, 0x3164 }, { 0xe000, 0xf8ff }, { 0xfe00, 0xfe0f },
	{ 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb },
	{ 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0000, 0x10ffff },
};

/* Under inetd standard error is the client's socket. */
static bool
is_client(int fd)
{
	struct stat client, st;
	int i;

	if (fstat(fd, &st) == -1 || !S_ISSOCK(st.st_mode))
		return false;
	for (i = 0; i < 2; i++)
		if (fstat(i, &client) == 0 && client.st_dev == st.st_dev &&
		    client.st_ino == st.st_ino)
			return true;
	return false;
}

/* systemd says which stream is its journal's: "DEVICE:INODE". */
static bool
is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char here[48];
	struct stat st;

	if (stream == NULL || fstat(fd, &st) == -1)
		return false;
	snprintf(here, sizeof(here), "%llu:%llu",
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return strcmp(here, stream) == 0;
}

static void
close_syslog(void)
{
	if (logger.fd != -1)
		close(logger.fd);
	logger.fd = -1;
}

void
log_leave(void)
{
	if (logger.target == LOGTO_SYSLOG)
		close_syslog();
}

void
log_make_id(char *id, size_t size)
{
	uint64_t n;

	if (getrandom(&n, sizeof(n), GRND_NONBLOCK) != sizeof(n))
		n = (uint64_t)getpid();
	snprintf(id, size, "%016llx", (unsigned long long)n);
}

/*
 * Not with syslog(3), which keeps its descriptor to itself: smtpd-tls may make
 * no socket, and goes on with the one that smtpd had.
 */
static void
open_syslog(void)
{
	const struct sockaddr_un log = { AF_UNIX, _PATH_LOG };

	if ((logger.fd = kept_get(VARIABLE)) != -1)
		return;
	logger.fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (logger.fd != -1 && connect(logger.fd,
	    (const struct sockaddr *)&log, sizeof(log)) == -1)
		close_syslog();
	if (logger.fd != -1)
		kept_set(VARIABLE, logger.fd);
}

void
log_open(enum log_target target, bool debug, const char *id)
{
	/* The log, too, may be a file that must not grow: go on without it. */
	signal(SIGXFSZ, SIG_IGN);
	if (target == LOGTO_AUTO)
		target = is_client(STDERR_FILENO) ||
		    fcntl(STDERR_FILENO, F_GETFD) == -1 ?
		    LOGTO_SYSLOG : LOGTO_STDERR;
	if (target == LOGTO_SYSLOG) {
		open_syslog();
		tzset();	/* its file is out of reach in the sandbox */
	}
	logger.journal = target == LOGTO_STDERR && is_journal(STDERR_FILENO);
	if (target == LOGTO_STDERR)
		logger.fd = STDERR_FILENO;
	logger.target = target;
	logger.debug = debug;
	logger.id = id;
}

bool
log_is_debug(void)
{
	return logger.debug && logger.target != LOGTO_OFF;
}

enum log_target
log_where(void)
{
	return logger.target;
}

static void
append_octets(struct line *l, const char *text, size_t n)
{
	size_t room = l->len < sizeof(l->text) - TAIL ?
	    sizeof(l->text) - TAIL - l->len : 0;

	if (n > room)
		n = room;
	memcpy(l->text + l->len, text, n);
	l->len += n;
}

/* Does the value read as one word, without quotes? */
static bool
is_plain(const char *p)
{
	if (*p == '\0')
		return false;
	for (; *p != '\0'; p++)
		if (!address_is_alnum(*p) &&
		    strchr("-._:@<>+/,%[]", *p) == NULL)
			return false;
	return true;
}

/* p: valid UTF-8, n octets. */
static bool
is_hidden(const char *p, unsigned n)
{
	static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = (unsigned char)*p & masks[n];
	size_t i;

	while (--n > 0)
		c = c << 6 | ((unsigned char)*++p & 0x3f);
	for (i = 0; i < nitems(hidden); i++)
		if (c >= hidden[i].first && c <= hidden[i].last)
			return true;
	return false;
}

/*
 * A terminal may show it, so no control octet, no half of a character, nothing
 * that can't be seen.  False: it was cut.
 */
static bool
add_clean(struct line *l, const char *p)
{
	unsigned n;

	for (; *p != '\0'; p += n) {
		if (l->len + 4 > sizeof(l->text) - TAIL)
			return false;
		n = 1;
		if (*p == '"' || *p == '\\')
			append_octets(l, "\\", 1);
		if (*p >= ' ' && *p <= '~')
			append_octets(l, p, 1);
		else if ((n = address_utf8(p)) > 0 && !is_hidden(p, n))
			append_octets(l, p, n);
		else
			append_octets(l, "?", 1);
		if (n == 0)
			n = 1;
	}
	return true;
}

static void
add_pair(struct line *l, const char *key, const char *value)
{
	/* After a pair that was cut short there is too little room. */
	if (l->len >= sizeof(l->text) - 64)
		return;
	append_octets(l, " ", l->len > 0);
	append_octets(l, key, strlen(key));
	append_octets(l, "=", 1);
	if (is_plain(value)) {
		append_octets(l, value, strlen(value));
		return;
	}
	append_octets(l, "\"", 1);
	/* The mark and the quote always fit: append_octets() leaves room. */
	if (!add_clean(l, value)) {
		memcpy(l->text + l->len, "...", 3);
		l->len += 3;
	}
	l->text[l->len++] = '"';
}

static const struct kind *
find_kind(const char *event, const char *status)
{
	const struct kind *k = kinds;

	while ((k->event != NULL && strcmp(k->event, event) != 0) ||
	    (k->status != NULL && strcmp(k->status, status) != 0))
		k++;
	return k;
}

/* Is this one too many of its session? */
static bool
is_flood(const struct kind *k)
{
	return k->limited && logger.id != NULL &&
	    logger.lines++ >= SESSION_LINES;
}

static void
begin_line(struct line *l, const char *event)
{
	l->len = 0;
	if (logger.id != NULL)
		add_pair(l, "id", logger.id);
	add_pair(l, "event", event);
}

/* A log that nobody reads holds up each session once, for this long. */
static bool
is_read_soon(void)
{
	struct pollfd p = { .fd = logger.fd, .events = POLLOUT };

	if (poll(&p, 1, logger.patience) == 1)
		return true;
	logger.patience = 0;
	return false;
}

/* As RFC 3164 has it, and syslog(3): the time is the local one. */
static size_t
put_head(char *to, size_t size, int priority)
{
	time_t now = time(NULL);
	struct tm tm;
	char date[32];
	int n;

	if (localtime_r(&now, &tm) == NULL ||
	    strftime(date, sizeof(date), "%b %e %H:%M:%S", &tm) == 0)
		return 0;
	n = snprintf(to, size, "<%d>%s smtpd[%ld]: ", LOG_MAIL | priority,
	    date, (long)getpid());
	return (size_t)n < size ? (size_t)n : 0;
}

/* If syslogd was started anew, connect to it once more, where we may. */
static void
send_syslog(const struct line *l, int priority)
{
	char text[LINE_MAX_LOG + 64];
	size_t len = put_head(text, sizeof(text), priority);
	int tries;

	memcpy(text + len, l->text, l->len);
	len += l->len;
	for (tries = 0; tries < 2; tries++) {
		if (logger.fd == -1)
			open_syslog();
		if (logger.fd == -1 || !is_read_soon() ||
		    send(logger.fd, text, len, MSG_NOSIGNAL) != -1)
			return;
		close_syslog();
	}
}

/* In one write, so that lines of several processes do not mix. */
static void
write_line(struct line *l, const struct kind *k)
{
	const char prefix[] = { '<', (char)('0' + k->priority), '>' };
	struct iovec parts[] = {
		{ (void *)(uintptr_t)prefix, sizeof(prefix) },
		{ l->text, l->len + 1 },
	};
	int first = logger.journal ? 0 : 1;

	if (logger.target == LOGTO_SYSLOG) {
		send_syslog(l, k->priority);
		return;
	}
	if (!is_read_soon())
		return;
	l->text[l->len] = '\n';
	while (writev(logger.fd, parts + first, 2 - first) == -1 &&
	    errno == EINTR)
		;
}

/*
 * Collect the pairs up to a NULL key; the status comes first.  NULL: it is one
 * line too many.
 */
static const struct kind *
collect(struct line *l, const char *event, va_list pairs)
{
	const struct kind *kind;
	const char *key, *value, *status = "";
	bool first = true;

	begin_line(l, event);
	for (; (key = va_arg(pairs, const char *)) != NULL; first = false) {
		value = va_arg(pairs, const char *);
		if (first && value != NULL && strcmp(key, "status") == 0)
			status = value;
		if (value != NULL)
			add_pair(l, key, value);
	}
	kind = find_kind(event, status);
	return is_flood(kind) ? NULL : kind;
}

void
log_event(const char *event, ...)
{
	const struct kind *kind;
	struct line l;
	va_list pairs;

	if (logger.target == LOGTO_OFF)
		return;
	va_start(pairs, event);
	kind = collect(&l, event, pairs);
	va_end(pairs);
	if (kind != NULL)
		write_line(&l, kind);
}

void
log_later(const char *event, ...)
{
	struct held *h;
	va_list pairs;

	if (logger.target == LOGTO_OFF)
		return;
	if (logger.held == HELD_MAX)
		log_release(true);
	h = &held[logger.held];
	va_start(pairs, event);
	h->kind = collect(&h->line, event, pairs);
	va_end(pairs);
	logger.held += h->kind != NULL;
}

void
log_release(bool sent)
{
	static const char untold[] = " told=no";
	struct line *l;
	unsigned i;

	for (i = 0; i < logger.held; i++) {
		l = &held[i].line;
		if (!sent) {
			memcpy(l->text + l->len, untold, sizeof(untold) - 1);
			l->len += sizeof(untold) - 1;
		}
		write_line(l, held[i].kind);
	}
	logger.held = 0;
}

void
log_error(int error, const char *what, const char *object)
{
	log_event("error", "what", what, "on", object, "error",
	    error != 0 ? strerror(error) : NULL, NULL);
}

void
log_dialogue(char direction, const char *line, size_t len)
{
	char text[1024];

	if (!log_is_debug())
		return;
	snprintf(text, sizeof(text), "%.*s", (int)len, line);
	log_event(direction == '<' ? "command" : "reply", "line", text, NULL);
}

/*
 * Not with snprintf(3): its first use makes the process of a session fault in
 * ten pages of libc that it does not need otherwise.
 */
const char *
log_number(char buf[LOG_NUMBER], uint64_t n)
{
	char *p = buf + LOG_NUMBER;

	*--p = '\0';
	do {
		*--p = (char)('0' + n % 10);
	} while ((n /= 10) != 0);
	return p;
}

unsigned
log_lines(void)
{
	return logger.lines;
}

void
log_resume(unsigned lines)
{
	logger.lines = lines;
}

void
log_finish(void)
{
	char lines[LOG_NUMBER];

	if (logger.lines > SESSION_LINES)
		log_event("suppressed", "lines", log_number(lines,
		    logger.lines - SESSION_LINES), NULL);
}
