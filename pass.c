/* SPDX-License-Identifier: ISC */
/*
 * pass.c - a message between two of our processes, and a descriptor with it.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <string.h>

#include "pass.h"

/* Room for one descriptor, aligned as it must be. */
union control {
	char		 buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr	 align;
};

ssize_t
pass(int socket, const void *p, size_t len, int fd, int flags)
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
	return sendmsg(socket, &msg, flags | MSG_NOSIGNAL);
}

/* Exactly one: in CMSG_SPACE() two have room, and nobody would close both. */
ssize_t
passed(int socket, void *p, size_t len, int *fd, int flags)
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
		n = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n >= 0 && (c = CMSG_FIRSTHDR(&msg)) != NULL &&
	    c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n;
}
