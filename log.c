/*
 * log.c - the log: one event a line, key=value, on standard error or syslog,
 * and never into the client's connection.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "session/address.h"
#include "smtpd.h"

#define LINE_MAX_LOG	2048	/* what is longer is cut, and marked so */
#define TAIL		8	/* room for that mark, a quote, a newline */

static struct {
	enum log_target	 target;
	bool		 debug;
	const char	*id;
	int		 patience;	/* milliseconds, with a full pipe */
} logger = { .target = LOGTO_OFF, .patience = 1000 };

struct line {
	size_t	len;
	char	text[LINE_MAX_LOG];
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

void
log_open(enum log_target target, bool debug, const char *id)
{
	if (target == LOGTO_AUTO)
		target = is_client(STDERR_FILENO) ||
		    fcntl(STDERR_FILENO, F_GETFD) == -1 ?
		    LOGTO_SYSLOG : LOGTO_STDERR;
	if (target == LOGTO_SYSLOG) {
		openlog("smtpd", LOG_PID | LOG_NDELAY, LOG_MAIL);
		tzset();	/* its file is out of reach in the sandbox */
	}
	logger.target = target;
	logger.debug = debug;
	logger.id = id;
}

bool
log_is_debug(void)
{
	return logger.debug && logger.target != LOGTO_OFF;
}

bool
log_is_syslog(void)
{
	return logger.target == LOGTO_SYSLOG;
}

void
log_leave(void)
{
	if (logger.target == LOGTO_SYSLOG)
		closelog();
}

enum log_target
log_where(void)
{
	return logger.target;
}

static void
add(struct line *l, const char *text, size_t n)
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

/*
 * Never a control octet, never half a character: a terminal may show it.
 * False: cut.
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
			add(l, "\\", 1);
		if ((*p >= ' ' && *p <= '~') || (n = address_utf8(p)) > 0)
			add(l, p, n);
		else {
			add(l, "?", 1);
			n = 1;
		}
	}
	return true;
}

static void
add_pair(struct line *l, const char *key, const char *value)
{
	/* A pair cut short leaves less than add() and its end count on. */
	if (l->len >= sizeof(l->text) - 64)
		return;
	add(l, " ", l->len > 0);
	add(l, key, strlen(key));
	add(l, "=", 1);
	if (is_plain(value)) {
		add(l, value, strlen(value));
		return;
	}
	add(l, "\"", 1);
	/* The mark and the quote fit always: add() leaves room. */
	if (!add_clean(l, value)) {
		memcpy(l->text + l->len, "...", 3);
		l->len += 3;
	}
	l->text[l->len++] = '"';
}

static void
begin(struct line *l, const char *event)
{
	l->len = 0;
	if (logger.id != NULL)
		add_pair(l, "id", logger.id);
	add_pair(l, "event", event);
}

/* Who does not read the log holds up each session once, for so long. */
static bool
is_read(void)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&p, 1, logger.patience) == 1)
		return true;
	logger.patience = 0;
	return false;
}

/* In one write: lines of several processes do not mix. */
static void
end(struct line *l, int priority)
{
	ssize_t n;

	if (logger.target == LOGTO_SYSLOG) {
		syslog(priority, "%.*s", (int)l->len, l->text);
		return;
	}
	if (!is_read())
		return;
	l->text[l->len++] = '\n';
	do {
		n = write(STDERR_FILENO, l->text, l->len);
	} while (n == -1 && errno == EINTR);
}

void
log_event(const char *event, ...)
{
	struct line l;
	const char *key, *value;
	va_list ap;

	if (logger.target == LOGTO_OFF)
		return;
	begin(&l, event);
	va_start(ap, event);
	while ((key = va_arg(ap, const char *)) != NULL)
		if ((value = va_arg(ap, const char *)) != NULL)
			add_pair(&l, key, value);
	va_end(ap);
	end(&l, LOG_INFO);
}

void
log_error(int error, const char *what, const char *object)
{
	struct line l;

	if (logger.target == LOGTO_OFF)
		return;
	begin(&l, "error");
	add_pair(&l, "what", what);
	if (object != NULL)
		add_pair(&l, "on", object);
	if (error != 0)
		add_pair(&l, "error", strerror(error));
	end(&l, LOG_ERR);
}

void
log_dialogue(char direction, const char *line, size_t len)
{
	char text[1024];
	struct line l;

	if (!log_is_debug())
		return;
	snprintf(text, sizeof(text), "%.*s", (int)len, line);
	begin(&l, direction == '<' ? "command" : "reply");
	add_pair(&l, "line", text);
	end(&l, LOG_DEBUG);
}

const char *
log_number(char *buf, size_t size, uint64_t n)
{
	snprintf(buf, size, "%llu", (unsigned long long)n);
	return buf;
}
