/*
 * server.c - the connection to a policy server: a question there, an answer back.
 *
 * It is opened for the first question and kept for the session, one for each
 * address.  Everything has a deadline, and ends at SIGTERM.
 */
#define _GNU_SOURCE		/* memmem(3) */

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <netinet/in.h>
#include <arpa/inet.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "smtpd.h"

#define CHECK_TIME	5	/* seconds for a connection of -t */
#define TICK		50	/* ms, between attempts to connect */

struct server {
	const char	*address;
	int		 fd;
	bool		 slow;		/* no second wait in a transaction */
};

struct endpoint {
	union {
		struct sockaddr		sa;
		struct sockaddr_un	un;
		struct sockaddr_in	in;
		struct sockaddr_in6	in6;
	} u;
	socklen_t	 len;
};

static struct {
	struct server	 servers[2];	/* policy and policy-end */
} asked = { .servers = { { .fd = -1 }, { .fd = -1 } } };

static struct server *server_at(const char *address);
static int	endpoints(const char *address, struct endpoint[2]);
static int	server_connect(struct server *, int64_t deadline);
static void	server_close(struct server *);
static bool	server_idle(const struct server *);
static int	server_send(const struct server *, const char *, size_t,
		    int64_t deadline);
static ssize_t	server_receive(const struct server *, char *, size_t,
		    int64_t deadline);

/* A kept connection that the server has closed meanwhile is replaced. */
static ssize_t
exchange(struct server *s, const char *question, size_t question_len,
    char *answer, size_t size, int64_t deadline)
{
	ssize_t len;
	bool kept;

	if (!server_idle(s))
		server_close(s);
	for (;;) {
		kept = s->fd != -1;
		if (!kept && server_connect(s, deadline) == -1)
			return -1;
		if (server_send(s, question, question_len, deadline) == 0 &&
		    (len = server_receive(s, answer, size, deadline)) != -1)
			return len;
		server_close(s);
		if (!kept || (errno != EPIPE && errno != ECONNRESET))
			return -1;
	}
}

ssize_t
ask(const char *address, const char *question, size_t question_len,
    char *answer, size_t size, unsigned seconds)
{
	struct server *s = server_at(address);
	ssize_t len;

	if (s->slow) {
		errno = EALREADY;
		return -1;
	}
	len = exchange(s, question, question_len, answer, size,
	    conn_now() + (int64_t)seconds * 1000);
	s->slow = len == -1 && errno == ETIMEDOUT;
	return len;
}

void
ask_reset(void)
{
	asked.servers[0].slow = asked.servers[1].slow = false;
}

bool
ask_valid(const char *address)
{
	struct endpoint e[2];

	return endpoints(address, e) != -1;
}

int
ask_check(const char *address)
{
	struct server s = { .address = address, .fd = -1 };

	if (server_connect(&s, conn_now() + CHECK_TIME * 1000) == -1)
		return -1;
	server_close(&s);
	return 0;
}

static struct server *
server_at(const char *address)
{
	struct server *s = &asked.servers[0];

	if (s->address != NULL && strcmp(s->address, address) != 0)
		s = &asked.servers[1];
	s->address = address;
	return s;
}

static int
endpoint_unix(const char *path, struct endpoint *e)
{
	memset(e, 0, sizeof(*e));
	e->u.un.sun_family = AF_UNIX;
	e->len = sizeof(e->u.un);
	if (*path == '\0') {
		errno = EINVAL;
		return -1;
	}
	if (strlcpy(e->u.un.sun_path, path, sizeof(e->u.un.sun_path)) <
	    sizeof(e->u.un.sun_path))
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static int
endpoint_inet(const char *host, in_port_t port, struct endpoint *e)
{
	memset(e, 0, sizeof(*e));
	if (inet_pton(AF_INET, host, &e->u.in.sin_addr) == 1) {
		e->u.in.sin_family = AF_INET;
		e->u.in.sin_port = htons(port);
		e->len = sizeof(e->u.in);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &e->u.in6.sin6_addr) == 1) {
		e->u.in6.sin6_family = AF_INET6;
		e->u.in6.sin6_port = htons(port);
		e->len = sizeof(e->u.in6);
		return 0;
	}
	errno = EINVAL;
	return -1;
}

/* 1 to 65535 in digits and nothing else, or 0. */
static in_port_t
port_number(const char *text)
{
	const char *error;
	long long n = strtonum(text, 1, 65535, &error);

	if (error != NULL || text[strspn(text, "0123456789")] != '\0')
		return 0;
	return (in_port_t)n;
}

/*
 * The places to try: one, or with localhost two; -1 if this is no address.
 * Names are not looked up: that has no deadline, and no answer that could be
 * relied on.
 */
static int
endpoints(const char *address, struct endpoint e[2])
{
	char host[64];
	const char *colon;
	in_port_t n;
	size_t len;

	if (strncmp(address, "unix:", 5) == 0)
		return endpoint_unix(address + 5, e) == -1 ? -1 : 1;
	errno = EINVAL;
	if (strncmp(address, "inet:", 5) != 0 ||
	    (colon = strrchr(address + 5, ':')) == NULL ||
	    (n = port_number(colon + 1)) == 0)
		return -1;
	len = colon - (address + 5);
	if (len == 0 || len >= sizeof(host))
		return -1;
	memcpy(host, address + 5, len);
	host[len] = '\0';
	if (strcasecmp(host, "localhost") == 0)
		return endpoint_inet("127.0.0.1", n, &e[0]) == -1 ||
		    endpoint_inet("::1", n, &e[1]) == -1 ? -1 : 2;
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		return endpoint_inet(host + 1, n, e) == -1 ? -1 : 1;
	}
	return endpoint_inet(host, n, e) == -1 ? -1 : 1;
}

/*
 * connect(2) said no.  A local server with a full backlog can only be tried
 * again (EAGAIN); a TCP connection is waited for.
 */
static int
await_connection(int fd, int64_t deadline)
{
	int64_t again = conn_now() + TICK;

	if (errno == EINPROGRESS || errno == EALREADY)
		return conn_await(fd, POLLOUT, deadline);
	if (errno != EAGAIN)
		return -1;
	if (conn_await(-1, 0, again < deadline ? again : deadline) == -1 &&
	    (errno != ETIMEDOUT || conn_now() >= deadline))
		return -1;
	return 0;
}

/* What became of a connection that was waited for, connect(2) says as well. */
static int
connect_to(const struct endpoint *e, int64_t deadline)
{
	int fd, error;

	fd = socket(e->u.sa.sa_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	while (connect(fd, &e->u.sa, e->len) == -1 && errno != EISCONN) {
		if (await_connection(fd, deadline) == 0)
			continue;
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int
server_connect(struct server *s, int64_t deadline)
{
	struct endpoint e[2];
	int i, n;

	if ((n = endpoints(s->address, e)) == -1)
		return -1;
	for (i = 0; i < n && s->fd == -1; i++)
		s->fd = connect_to(&e[i], deadline);
	return s->fd == -1 ? -1 : 0;
}

static void
server_close(struct server *s)
{
	int error = errno;

	if (s->fd != -1)
		close(s->fd);
	s->fd = -1;
	errno = error;
}

/*
 * A kept connection has nothing to read before the next question: else the
 * server has closed it, or has said something that nobody asked for.
 */
static bool
server_idle(const struct server *s)
{
	char c;

	return s->fd != -1 &&
	    recv(s->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == -1 &&
	    errno == EAGAIN;
}

static int
server_send(const struct server *s, const char *buf, size_t len,
    int64_t deadline)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = send(s->fd, buf + done, len - done,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n != -1)
			done += n;
		else if (errno == EAGAIN) {
			if (conn_await(s->fd, POLLOUT, deadline) == -1)
				return -1;
		} else if (errno != EINTR)
			return -1;
	}
	return 0;
}

/*
 * Up to and with the blank line.  -1 with ECONNRESET if the connection was
 * closed before the first octet, EPROTO if the answer has no end or something
 * behind it, EMSGSIZE if it is too long.
 */
static ssize_t
server_receive(const struct server *s, char *buf, size_t size,
    int64_t deadline)
{
	const char *end = NULL;
	size_t len = 0;
	ssize_t n;

	while (end == NULL) {
		if (len == size) {
			errno = EMSGSIZE;
			return -1;
		}
		if (conn_await(s->fd, POLLIN, deadline) == -1)
			return -1;
		n = recv(s->fd, buf + len, size - len, MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0) {
			if (len > 0)
				errno = EPROTO;
			else if (n == 0)
				errno = ECONNRESET;
			return -1;
		}
		len += n;
		end = memmem(buf, len, "\n\n", 2);
	}
	if (end + 2 == buf + len)
		return len - 1;
	errno = EPROTO;
	return -1;
}
