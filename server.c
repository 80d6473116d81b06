/* SPDX-License-Identifier: ISC */
/*
 * server.c - a connection to a filter: a UNIX socket, or TCP to an address.
 *
 * Names are not looked up: a lookup has no deadline, and its answer can't be
 * relied on.
 */
#define _GNU_SOURCE	/* POLLRDHUP */

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <netinet/in.h>
#include <arpa/inet.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "server.h"
#include "smtpd.h"

#define CHECK_TIME	5000	/* ms for a connection of -t */
#define TICK		50	/* ms, between attempts to connect */

struct endpoint {
	union {
		struct sockaddr		sa;
		struct sockaddr_un	un;
		struct sockaddr_in	in;
		struct sockaddr_in6	in6;
	} u;
	socklen_t	 len;
};

/* What is not a path or an address was no server for the settings, either. */

static void
endpoint_unix(const char *path, struct endpoint *e)
{
	memset(e, 0, sizeof(*e));
	e->u.un.sun_family = AF_UNIX;
	e->len = sizeof(e->u.un);
	strlcpy(e->u.un.sun_path, path, sizeof(e->u.un.sun_path));
}

static void
endpoint_inet(const char *host, in_port_t port, struct endpoint *e)
{
	memset(e, 0, sizeof(*e));
	if (inet_pton(AF_INET, host, &e->u.in.sin_addr) == 1) {
		e->u.in.sin_family = AF_INET;
		e->u.in.sin_port = htons(port);
		e->len = sizeof(e->u.in);
	} else {
		inet_pton(AF_INET6, host, &e->u.in6.sin6_addr);
		e->u.in6.sin6_family = AF_INET6;
		e->u.in6.sin6_port = htons(port);
		e->len = sizeof(e->u.in6);
	}
}

/* The places to try: one, or for localhost two. */
static int
endpoints(const struct server *s, struct endpoint e[2])
{
	if (s->kind == SERVER_UNIX) {
		endpoint_unix(s->path, e);
		return 1;
	}
	if (strcasecmp(s->host, "localhost") != 0) {
		endpoint_inet(s->host, s->port, e);
		return 1;
	}
	endpoint_inet("127.0.0.1", s->port, &e[0]);
	endpoint_inet("::1", s->port, &e[1]);
	return 2;
}

/* 0, or -1 with errno: the deadline, SIGTERM, or that nobody waits any more. */
static int
await_server(int fd, short events, int watch, int64_t deadline)
{
	struct pollfd p[] = {
		{ .fd = fd, .events = events },
		{ .fd = watch, .events = POLLRDHUP },
		{ .fd = conn_signals(), .events = POLLIN },
	};
	int64_t left = deadline - conn_now();
	int n;

	do {
		n = poll(p, nitems(p),
		    left > 0 ? (int)left : 0);
	} while (n == -1 && errno == EINTR);
	if (n == -1 || p[0].revents != 0)
		return n == -1 ? -1 : 0;
	errno = n == 0 ? ETIMEDOUT : EINTR;
	return -1;
}

/*
 * connect(2) failed.  A local server with a full backlog can only be tried
 * again (EAGAIN); a TCP connection is waited for.
 */
static int
await_connection(int fd, int watch, int64_t deadline)
{
	int64_t again = conn_now() + TICK;

	if (errno == EINPROGRESS || errno == EALREADY)
		return await_server(fd, POLLOUT, watch, deadline);
	if (errno != EAGAIN)
		return -1;
	if (again > deadline)
		again = deadline;
	if (await_server(-1, 0, watch, again) == -1 &&
	    (errno != ETIMEDOUT || conn_now() >= deadline))
		return -1;
	return 0;
}

/* A second connect(2) reports how the attempt ended. */
static int
connect_to(const struct endpoint *e, int watch, int64_t deadline)
{
	int fd, error;

	fd = socket(e->u.sa.sa_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	while (connect(fd, &e->u.sa, e->len) == -1 && errno != EISCONN) {
		if (await_connection(fd, watch, deadline) == 0)
			continue;
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

int
server_connect(const struct server *s, int watch, int64_t deadline)
{
	struct endpoint e[2];
	int fd = -1, i, n = endpoints(s, e);

	for (i = 0; i < n && fd == -1; i++)
		fd = connect_to(&e[i], watch, deadline);
	return fd;
}

static int
check_one(const char *setting, const struct server *s)
{
	int fd;

	if (s->kind == SERVER_EXEC)
		return inspect_program(setting, s->words);
	fd = server_connect(s, -1, conn_now() + CHECK_TIME);
	if (fd == -1) {
		warn("%s: %s", setting, s->text);
		return 1;
	}
	close(fd);
	return 0;
}

int
server_check(const char *setting, const struct server *s)
{
	int wrong = 0;
	size_t i;

	for (i = 0; i < SERVERS_MAX && s[i].text != NULL; i++)
		wrong += check_one(setting, &s[i]);
	return wrong;
}
