/* SPDX-License-Identifier: ISC */
/*
 * pass.h - a message between two of our processes, and a descriptor with it.
 */
#ifndef PASS_H
#define PASS_H

#include <sys/types.h>

/*
 * Send len octets, and fd unless that is -1; flags as for sendmsg(2) and
 * recvmsg(2).  What was sent, or -1 with errno.
 */
ssize_t	pass(int socket, const void *, size_t len, int fd, int flags);
/*
 * Receive at most len octets; *fd is the descriptor that came along, closed by
 * an exec, or -1.
 */
ssize_t	passed(int socket, void *, size_t len, int *fd, int flags);

#endif
