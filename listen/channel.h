/* SPDX-License-Identifier: ISC */
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

#include "smtpd.h"

/* How a question begins. */
enum channel_kind {
	CHANNEL_SIGN,		/* struct tls_sign */
	CHANNEL_USERS		/* struct auth_question */
};

struct channel_users {
	enum channel_kind kind;
	struct auth_question question;
};

/* passwords.c, in the process with the keys. */

void	passwords_open(const struct settings *);
/* Does it take a process of its own? */
bool	passwords_are_slow(const struct channel_users *);
/* True: it was a wrong guess. */
bool	passwords_answer(int fd, const struct channel_users *);

/* channel.c */

/* Send or receive one message, with a descriptor or -1.  Its length or -1. */
ssize_t	channel_send(int socket, const void *, size_t, int fd);
ssize_t	channel_receive(int socket, void *, size_t, int *fd);
/*
 * In a session: ask over its own channel, which is opened when there is need;
 * for at most so many ms.  The length of the answer; or less than 1, and then
 * there is nobody to be asked any more.
 */
ssize_t	channel_ask(const void *question, size_t, void *answer, size_t size,
	    int patience);

#endif
