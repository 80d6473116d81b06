/* SPDX-License-Identifier: ISC */
/*
 * exchange.c - a question to a policy server, and its answer.
 *
 * At the first question the runner gives us a stream, which is kept for the
 * session: one for each server, however many settings name it.  Everything has
 * a deadline, and ends at SIGTERM.
 */
#define _GNU_SOURCE		/* memmem(3) */

#include <sys/socket.h>
#include <sys/types.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "filter/exchange.h"
#include "runner.h"

#define LINKS_MAX	(2 * SERVERS_MAX)	/* policy and policy-end */

struct link {
	const struct server *server;	/* NULL: free */
	int		 fd;
	bool		 slow;		/* no second wait in a transaction */
};

static struct link links[LINKS_MAX];

static void
link_close(struct link *l)
{
	int error = errno;

	if (l->fd != -1)
		close(l->fd);
	l->fd = -1;
	errno = error;
}

/*
 * A kept connection has nothing to read before the next question, unless the
 * server has closed it or said something that nobody asked for.
 */
static bool
link_idle(const struct link *l)
{
	char c;

	return l->fd != -1 &&
	    recv(l->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == -1 &&
	    errno == EAGAIN;
}

static int
link_send(const struct link *l, const char *buf, size_t len,
    int64_t deadline)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = send(l->fd, buf + done, len - done,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n != -1)
			done += (size_t)n;
		else if (errno == EAGAIN) {
			if (conn_await(l->fd, POLLOUT, deadline) == -1)
				return -1;
		} else if (errno != EINTR)
			return -1;
	}
	return 0;
}

/*
 * Up to and including the blank line.  -1 with ECONNRESET if the connection was
 * closed before the first octet, EPROTO if the answer has no end or something
 * after it, EMSGSIZE if it is too long.
 */
static ssize_t
link_receive(const struct link *l, char *buf, size_t size,
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
		if (conn_await(l->fd, POLLIN, deadline) == -1)
			return -1;
		n = recv(l->fd, buf + len, size - len, MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0) {
			if (len > 0)
				errno = EPROTO;
			else if (n == 0)
				errno = ECONNRESET;
			return -1;
		}
		len += (size_t)n;
		end = memmem(buf, len, "\n\n", 2);
	}
	if (end + 2 == buf + len)
		return (ssize_t)len - 1;
	errno = EPROTO;
	return -1;
}

static bool
link_open(struct link *l, int64_t deadline)
{
	int64_t left = deadline - conn_now();

	l->fd = runner_connect(l->server, left > 0 ? left : 0);
	return l->fd != -1;
}

/* A kept connection that the server has since closed is replaced. */
static ssize_t
query(struct link *l, const char *question, size_t question_len,
    char *answer, size_t size, int64_t deadline)
{
	ssize_t len;
	bool kept;

	if (!link_idle(l))
		link_close(l);
	for (;;) {
		kept = l->fd != -1;
		if (!kept && !link_open(l, deadline))
			return -1;
		if (link_send(l, question, question_len, deadline) == 0 &&
		    (len = link_receive(l, answer, size, deadline)) != -1)
			return len;
		link_close(l);
		if (!kept || (errno != EPIPE && errno != ECONNRESET))
			return -1;
	}
}

/* The same words are the same server, whichever setting has them. */
static struct link *
link_to(const struct server *s)
{
	size_t i;

	for (i = 0; i < LINKS_MAX - 1 && links[i].server != NULL; i++)
		if (strcmp(links[i].server->text, s->text) == 0)
			return &links[i];
	if (links[i].server == NULL)
		links[i].fd = -1;
	links[i].server = s;
	return &links[i];
}

ssize_t
exchange(const struct server *s, const char *question, size_t question_len,
    char *answer, size_t size, unsigned seconds)
{
	struct link *l = link_to(s);
	ssize_t len;

	if (l->slow) {
		errno = EALREADY;
		return -1;
	}
	len = query(l, question, question_len, answer, size,
	    conn_now() + (int64_t)seconds * 1000);
	l->slow = len == -1 && errno == ETIMEDOUT;
	return len;
}

void
exchange_reset(void)
{
	size_t i;

	for (i = 0; i < LINKS_MAX; i++)
		links[i].slow = false;
}
