/* SPDX-License-Identifier: ISC */
/*
 * state.c - what the listener leaves to its successor, which is itself after
 * an exec: sockets, places, and who is turned away.
 *
 * It is text in a memfd_create(2) descriptor that is named in the environment.
 * The first line has the version of the rest.  A program that does not know
 * that version, as after an upgrade, takes the sockets, which come first and
 * whose form never changes: then running sessions are no longer counted, but
 * nobody is refused.
 */
#define _GNU_SOURCE	/* memfd_create() */

#include <sys/mman.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen/listen.h"

#define VARIABLE	"SMTPD_LISTENER"	/* our pid, descriptor */
#define VERSION		"smtpd listener 1"

static void
leave_open(int fd, bool across)
{
	fcntl(fd, F_SETFD, across ? 0 : FD_CLOEXEC);
}

static void
keep_place(const struct place *p, void *across)
{
	if (p->fd != -1)
		leave_open(p->fd, *(bool *)across);
}

static void
keep_all(const struct state *s, bool across)
{
	unsigned i;

	for (i = 0; i < s->sockets.count; i++)
		leave_open(s->sockets.list[i].fd, across);
	places_each(keep_place, &across);
}

static void
put_source(FILE *f, const struct source *s)
{
	char text[INET6_ADDRSTRLEN];

	fprintf(f, " %s %u %u %u", inet_ntop(AF_INET6, &s->addr, text,
	    sizeof(text)), s->port, s->known, s->counted);
}

static void
put_place(const struct place *p, void *f)
{
	fprintf(f, "place %d %ld %u", p->fd + 1, (long)p->pid,
	    p->keys == 0);
	put_source(f, &p->source);
	fputc('\n', f);
}

static void
put_away(const struct source *s, int64_t until, void *f)
{
	fprintf(f, "away %lld", (long long)until);
	put_source(f, s);
	fputc('\n', f);
}

static int
put_all(const struct state *s, int fd)
{
	FILE *f = fdopen(dup(fd), "w");
	unsigned i;

	if (f == NULL)
		return -1;
	fprintf(f, "%s\n", VERSION);
	for (i = 0; i < s->sockets.count; i++)
		fprintf(f, "socket %d %u\n", s->sockets.list[i].fd,
		    s->sockets.list[i].bound);
	fprintf(f, "log %u\n", s->log);
	places_each(put_place, f);
	places_each_away(put_away, f);
	return fclose(f) == EOF ? -1 : 0;
}

int
state_leave(const struct state *s)
{
	char value[64];
	int fd = memfd_create("smtpd", 0);

	if (fd == -1)
		return -1;
	snprintf(value, sizeof(value), "%ld %d", (long)getpid(), fd);
	if (put_all(s, fd) == -1 || setenv(VARIABLE, value, 1) == -1) {
		close(fd);
		return -1;
	}
	keep_all(s, true);
	return fd;
}

void
state_drop(const struct state *s, int fd)
{
	keep_all(s, false);
	unsetenv(VARIABLE);
	close(fd);
}

static bool
take_source(char **p, struct source *s)
{
	const char *word = strsep(p, " \n");
	long long port, known, counted;

	memset(s, 0, sizeof(*s));
	if (word == NULL || inet_pton(AF_INET6, word, &s->addr) != 1 ||
	    !handover_number(p, UINT16_MAX, &port) ||
	    !handover_number(p, 1, &known) || !handover_number(p, 1, &counted))
		return false;
	s->port = (in_port_t)port;
	s->known = known;
	s->counted = counted;
	return true;
}

static bool
take_socket(struct state *s, char *p)
{
	long long fd, bound;

	return handover_number(&p, INT_MAX, &fd) &&
	    handover_number(&p, 1, &bound) &&
	    sockets_listening((int)fd) &&
	    sockets_take(&s->sockets, (int)fd, bound) == 0;
}

static bool
take_log(struct state *s, char *p)
{
	long long target;

	if (!handover_number(&p, LOGTO_OFF, &target))
		return false;
	s->log = (enum log_target)target;
	return true;
}

static bool
take_place(struct state *s, char *p)
{
	static unsigned next;
	struct source source;
	long long fd, pid, asked;

	(void)s;
	if (!handover_number(&p, INT_MAX, &fd) ||
	    !handover_number(&p, INT_MAX, &pid) ||
	    !handover_number(&p, 1, &asked) || !take_source(&p, &source) ||
	    (fd != 0 && fcntl((int)fd - 1, F_SETFD, FD_CLOEXEC) == -1) ||
	    places_room(next + 1) == -1)
		return false;
	places_fill(next, (int)fd - 1, (pid_t)pid, &source);
	places_at(next++)->keys = !asked;
	return true;
}

static bool
take_away(struct state *s, char *p)
{
	struct source source;
	long long until;

	(void)s;
	if (!handover_number(&p, LLONG_MAX, &until) ||
	    !take_source(&p, &source))
		return false;
	places_turn_away(&source, until);
	return true;
}

static bool
take_line(struct state *s, char *line, bool known)
{
	static const struct {
		const char *name;
		bool	(*take)(struct state *, char *);
	} kinds[] = {
		{ "socket", take_socket }, { "log", take_log },
		{ "place", take_place }, { "away", take_away },
	};
	char *p = line;
	const char *name = strsep(&p, " ");
	size_t i, n = known ? nitems(kinds) : 1;

	for (i = 0; p != NULL && i < n; i++)
		if (strcmp(name, kinds[i].name) == 0)
			return kinds[i].take(s, p);
	return !known;
}

/* The descriptor in the environment, if it is meant for this process, or -1. */
static int
left_for_us(void)
{
	char text[64], *p = text;
	const char *given = getenv(VARIABLE);
	long long pid, fd;

	if (given == NULL || strlcpy(text, given, sizeof(text)) >= sizeof(text))
		return -1;
	if (!handover_number(&p, INT_MAX, &pid) ||
	    !handover_number(&p, INT_MAX, &fd) ||
	    pid != getpid())
		return -1;
	return (int)fd;
}

bool
state_left(void)
{
	return left_for_us() != -1;
}

int
state_take(struct state *s)
{
	char line[256];
	int fd = left_for_us();
	FILE *f;
	bool known, good;

	if (fd == -1)
		return 0;
	unsetenv(VARIABLE);
	if (lseek(fd, 0, SEEK_SET) == -1 || (f = fdopen(fd, "r")) == NULL) {
		close(fd);
		return -1;
	}
	good = known = fgets(line, sizeof(line), f) != NULL &&
	    strcmp(line, VERSION "\n") == 0;
	while (fgets(line, sizeof(line), f) != NULL)
		good &= take_line(s, line, known);
	fclose(f);
	return good ? 1 : -1;
}
