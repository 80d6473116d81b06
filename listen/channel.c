/* SPDX-License-Identifier: ISC */
/*
 * channel.c - one message between two of our processes, with a descriptor; and
 * a session's own channel to the process with the keys.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "listen/channel.h"
#include "listen/listen.h"

#define CHANNEL_MS	10000		/* until we are given one */

static int	own = -1;	/* in a session: its channel */

/* Room for one descriptor, aligned as it must be. */
union control {
	char		 buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr	 align;
};

ssize_t
channel_send(int socket, const void *p, size_t len, int fd)
{
	union { const void *in; void *out; } u = { p };
	struct iovec iov = { u.out, len };
	union control control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Exactly one: in CMSG_SPACE() two have room, and nobody would close both. */
ssize_t
channel_receive(int socket, void *p, size_t len, int *fd)
{
	struct iovec iov = { p, len };
	union control control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.buf, .msg_controllen = CMSG_LEN(sizeof(int))
	};
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n >= 0 && (c = CMSG_FIRSTHDR(&msg)) != NULL &&
	    c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n;
}

/* In a session. */

static ssize_t
receive(int from, void *p, size_t size, int *fd, int patience)
{
	if (conn_await(from, POLLIN, conn_now() + patience) == -1)
		return -1;
	return channel_receive(from, p, size, fd);
}

static int
open_channel(void)
{
	char byte = 0;

	if (own == -1 && write(LISTEN_FD_PLACE, &byte, 1) == 1)
		receive(LISTEN_FD_PLACE, &byte, 1, &own, CHANNEL_MS);
	return own;
}

/* An answer that comes too late is not to be the next question's. */
ssize_t
channel_ask(const void *question, size_t len, void *answer, size_t size,
    int patience)
{
	int fd = open_channel(), none;
	ssize_t n = -1;

	if (fd == -1)
		return -1;
	if (write(fd, question, len) == (ssize_t)len)
		n = receive(fd, answer, size, &none, patience);
	if (n < 1) {
		close(fd);
		own = -1;
	}
	return n;
}
