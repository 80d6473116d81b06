/*
 * channel.h - what is said between a session and the process with the keys.
 *
 * A channel is a pair of sockets of SOCK_SEQPACKET, one for each session that
 * wants one: a question is a message, and so is its answer.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

/* Send or receive one message, with a descriptor or -1.  Its length or -1. */
ssize_t	channel_send(int socket, const void *, size_t, int fd);
ssize_t	channel_receive(int socket, void *, size_t, int *fd);

#endif
