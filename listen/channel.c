/* SPDX-License-Identifier: ISC */
/*
 * channel.c - a session's own channel to the process with the keys.
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <poll.h>
#include <unistd.h>

#include "listen/channel.h"
#include "listen/listen.h"
#include "pass.h"

#define CHANNEL_MS	10000		/* until we are given one */

static int	own = -1;	/* in a session: its channel */

ssize_t
channel_send(int socket, const void *p, size_t len, int fd)
{
	return pass(socket, p, len, fd, MSG_DONTWAIT);
}

ssize_t
channel_receive(int socket, void *p, size_t len, int *fd)
{
	return passed(socket, p, len, fd, MSG_DONTWAIT);
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
