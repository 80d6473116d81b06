/* SPDX-License-Identifier: ISC */
/*
 * passwords.c - where smtpd listens itself, the process with the keys is asked
 * about users.
 *
 * A process is forked there for each password, so that a slow hash does not
 * delay a signature.  The number of hashes that are computed at once is
 * bounded; a client that waits too long for its turn is told 454.
 */
#define _GNU_SOURCE	/* memfd_create() */

#include <sys/types.h>
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen/channel.h"
#include "listen/listen.h"

#define TURN_MS		10000	/* for a slot to be free */
#define TURN_TICK	20	/* ms between two tries */
#define ANSWER_MS	(TURN_MS + 20000)

/* The session's side: an auth_asker. */

int
passwords_ask(const struct auth_question *q, struct auth_answer *a)
{
	struct channel_users u;
	ssize_t n;

	u.kind = CHANNEL_USERS;
	u.question = *q;
	n = channel_ask(&u, sizeof(u), a, sizeof(*a), ANSWER_MS);
	explicit_bzero(&u, sizeof(u));
	return n == sizeof(*a) ? 0 : -1;
}

/* The other side. */

static int	slots = -1;	/* an octet for each, to be locked */
static int	slot_count;

void
passwords_open(const struct settings *set)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	slots = memfd_create("smtpd-slots", MFD_CLOEXEC);
	slot_count = processors < 4 ? 1 : (int)(processors / 2);
	auth_module->open(set);
}

bool
passwords_are_slow(const struct channel_users *u)
{
	return u->question.what == AUTH_ASK_PASSWORD;
}

/*
 * One of the slots, or -1 after a long wait.  The kernel releases the lock when
 * its holder ends.
 */
static int
take_turn(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
	    .l_len = 1 };
	int64_t end = conn_now() + TURN_MS;

	if (slots == -1)
		return 0;
	do
		for (lock.l_start = 0; lock.l_start < slot_count;
		    lock.l_start++)
			if (fcntl(slots, F_SETLK, &lock) == 0)
				return 0;
	while (poll(NULL, 0, TURN_TICK) == 0 && conn_now() < end);
	log_error(0, "auth", "too many passwords at once");
	return -1;
}

bool
passwords_answer(int fd, const struct channel_users *u)
{
	struct auth_answer a = { .result = AUTH_BROKEN };
	bool wrong;

	if (!passwords_are_slow(u) || take_turn() == 0)
		auth_module->answer(&u->question, &a);
	wrong = u->question.what != AUTH_ASK_SCRAM && a.result == AUTH_WRONG;
	channel_send(fd, &a, sizeof(a), -1);
	explicit_bzero(&a, sizeof(a));
	return wrong;
}
