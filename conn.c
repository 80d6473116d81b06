/* SPDX-License-Identifier: ISC */
/*
 * conn.c - the client's descriptors: standard input and output, in clear until
 * TLS starts and never again after that, with the deadlines of a session.
 *
 * Every wait is one ppoll-like call that also ends at SIGTERM, so that no
 * signal is lost between a check and a sleep, and nothing is done in handlers.
 */
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "smtpd.h"

#define HURRY_MS	30000	/* a wait, when places are few */
#define PIPE_CHUNK	4096	/* PIPE_BUF: never blocks after POLLOUT */
#define LINGER_MS	2000	/* for what the client still sends; */
#define LINGER_OCTETS	(8 << 20)	/* and how much of it is read */

static struct {
	int		 signals;	/* readable once we are to end */
	int64_t		 idle;		/* milliseconds; never 0 */
	int64_t		 end;		/* of the session, or 0: none */
	void		*tls;		/* loaded; */
	bool		 secure;	/* and in use: there is no way back */
	bool		 broken;	/* nothing more comes or goes */
} conn = { .signals = -1 };

int64_t
conn_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
conn_open(const struct settings *set, int64_t end)
{
	sigset_t mask;

	conn.idle = (int64_t)set->timeout * 1000;
	conn.end = end;
	if (end == 0 && set->session_timeout != 0)
		conn.end = conn_now() + (int64_t)set->session_timeout * 1000;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	conn.signals = signalfd(-1, &mask, SFD_CLOEXEC);
	/* If nobody listens for them, they must not be blocked. */
	if (conn.signals == -1)
		sigemptyset(&mask);
	sigaddset(&mask, SIGPIPE);
	sigprocmask(SIG_BLOCK, &mask, NULL);
}

void
conn_hurry(const struct settings *set, bool hurry)
{
	conn.idle = (int64_t)set->timeout * 1000;
	if (hurry && conn.idle > HURRY_MS)
		conn.idle = HURRY_MS;
}

int64_t
conn_end(void)
{
	return conn.end;
}

/* poll(2) for this many ms, which are a day or so at most, whatever comes. */
static int
poll_both(struct pollfd p[2], int64_t wait)
{
	int n;

	do {
		n = poll(p, 2, wait < 0 ? 0 : (int)wait);
	} while (n == -1 && errno == EINTR);
	return n;
}

/* Until the descriptor is ready: 0, or -1 with errno as smtpd.h says. */
static int
await(int fd, short events)
{
	struct pollfd p[2] = {
		{ .fd = fd, .events = events },
		{ .fd = conn.signals, .events = POLLIN },
	};
	int64_t wait = conn.idle, left;
	int n;

	if (conn.end != 0 && (left = conn.end - conn_now()) < wait)
		wait = left < 0 ? 0 : left;
	if ((n = poll_both(p, wait)) == -1)
		return -1;
	/* What can be written at once is written, even as the last word. */
	if (p[1].revents != 0 && (events == POLLIN || p[0].revents == 0))
		errno = EINTR;
	else if (n == 0 || (wait == 0 && events == POLLIN))
		/* Nor may a client that never pauses prolong the session. */
		errno = wait < conn.idle ? ETIME : ETIMEDOUT;
	else
		return 0;
	return -1;
}

int
conn_await(int fd, short events, int64_t deadline)
{
	struct pollfd p[2] = {
		{ .fd = fd, .events = events },
		{ .fd = conn.signals, .events = POLLIN },
	};
	int n = poll_both(p, deadline - conn_now());

	if (n == -1 || p[0].revents != 0)
		return n == -1 ? -1 : 0;
	errno = n == 0 ? ETIMEDOUT : EINTR;
	return -1;
}

static ssize_t
raw_read(void *buf, size_t size)
{
	ssize_t n;

	do {
		if (await(STDIN_FILENO, POLLIN) == -1)
			return -1;
		n = read(STDIN_FILENO, buf, size);
	} while (n == -1 && (errno == EINTR || errno == EAGAIN));
	return n;
}

/* Write as much as goes without waiting. */
static ssize_t
write_some(const void *buf, size_t len)
{
	ssize_t n;

	n = send(STDOUT_FILENO, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n != -1 || errno != ENOTSOCK)
		return n;
	if (await(STDOUT_FILENO, POLLOUT) == -1)
		return -1;
	return write(STDOUT_FILENO, buf, len < PIPE_CHUNK ? len : PIPE_CHUNK);
}

static int
raw_write(const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	while (len > 0) {
		n = write_some(p, len);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			if (await(STDOUT_FILENO, POLLOUT) == -1)
				return -1;
		} else if (errno != EINTR || conn_stopped())
			return -1;
	}
	return 0;
}

bool
conn_stopped(void)
{
	struct pollfd p = { .fd = conn.signals, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

int
conn_signals(void)
{
	return conn.signals;
}

ssize_t
conn_read(void *buf, size_t size)
{
	ssize_t n;

	if (conn.broken)
		return 0;
	n = conn.secure ? tls_module->read(conn.tls, buf, size) :
	    raw_read(buf, size);
	/* After a timeout or a signal there is a reply to send, else not. */
	if (n == 0 || (n == -1 && errno != ETIMEDOUT && errno != ETIME &&
	    errno != EINTR))
		conn.broken = true;
	return n;
}

int
conn_write(const void *buf, size_t len)
{
	int n;

	if (conn.broken || len == 0)
		return conn.broken ? -1 : 0;
	n = conn.secure ? tls_module->write(conn.tls, buf, len) :
	    raw_write(buf, len);
	if (n == -1)
		conn.broken = true;
	return n;
}

int
conn_tls_load(const struct settings *set)
{
	char err[512] = "";

	if (conn.tls != NULL)
		return 0;
	if (tls_module != NULL)
		conn.tls = tls_module->open(set, err, sizeof(err));
	if (conn.tls != NULL)
		return 0;
	log_error(0, "tls", *err != '\0' ? err : NULL);
	return -1;
}

int
conn_tls_start(struct tls_info *info)
{
	char err[512] = "";

	conn.secure = true;
	if (tls_module->handshake(conn.tls, raw_read, raw_write, info, err,
	    sizeof(err)) == 0)
		return 0;
	conn.broken = true;
	log_event("tls", "status", "failed", "why", err,
	    "offered", info->offered, NULL);
	return -1;
}

int
conn_tls_binding(unsigned char *out, size_t size)
{
	if (!conn.secure || conn.broken)
		return -1;
	return tls_module->binding(conn.tls, out, size);
}

/*
 * A socket that is closed with octets unread, or to which more come later,
 * makes the kernel send RST, which may destroy our last reply.  So our side is
 * shut down first, and what comes is thrown away until the client has seen
 * that.  SIGTERM does not cut this short, since its time is bounded.
 */
static void
linger(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	char bin[16384];
	int64_t end = conn_now() + LINGER_MS, wait;
	size_t total = 0;
	ssize_t n;

	if (shutdown(STDOUT_FILENO, SHUT_WR) == -1)
		return;
	if (conn.end != 0 && conn.end < end)
		end = conn.end;
	do {
		wait = end - conn_now();
		if (poll(&p, 1, wait > 0 ? (int)wait : 0) != 1)
			return;
		n = recv(STDIN_FILENO, bin, sizeof(bin), MSG_DONTWAIT);
		total += n > 0 ? (size_t)n : 0;
	} while (n > 0 && total < LINGER_OCTETS);
}

void
conn_close(bool early)
{
	if (conn.secure && !conn.broken)
		tls_module->close(conn.tls);
	if (early && !conn.broken)
		linger();
	conn.broken = true;
	/* exit(2) would close them only after freeing all memory. */
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
}
