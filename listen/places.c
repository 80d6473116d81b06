/* SPDX-License-Identifier: ISC */
/*
 * places.c - how many sessions there are, and how many from one source.
 *
 * The table has a row for each place.  It is searched once for each connection,
 * which for a thousand places takes a hundredth of the time of the fork that
 * follows.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen/listen.h"

#define AWAY_MAX	64	/* prefixes; the oldest gives way */
#define NETWORK_TIMES	8	/* a /48 may have so many times a /64's */

static struct {
	struct place	*list;
	unsigned	 size, used;
} places;

static struct {
	struct source	 source;
	int64_t		 until;		/* 0: unused */
} away[AWAY_MAX];

struct source
source_of(const struct sockaddr *sa, bool proxied)
{
	union {
		const struct sockaddr *sa;
		const struct sockaddr_in *v4;
		const struct sockaddr_in6 *v6;
	} a = { sa };
	struct source s = { .known = true, .counted = !proxied };

	if (sa->sa_family == AF_INET) {
		memset(s.addr.s6_addr + 10, 0xff, 2);
		memcpy(s.addr.s6_addr + 12, &a.v4->sin_addr, 4);
		s.port = a.v4->sin_port;
	} else if (sa->sa_family == AF_INET6) {
		s.addr = a.v6->sin6_addr;
		s.port = a.v6->sin6_port;
	} else
		s.known = s.counted = false;
	return s;
}

const char *
source_text(const struct source *s, char *text, size_t size)
{
	if (!s->known)
		strlcpy(text, "local", size);
	else if (IN6_IS_ADDR_V4MAPPED(&s->addr))
		inet_ntop(AF_INET, s->addr.s6_addr + 12, text,
		    (socklen_t)size);
	else
		inet_ntop(AF_INET6, &s->addr, text, (socklen_t)size);
	return text;
}

bool
source_is_local(const struct source *s)
{
	return !s->known || IN6_IS_ADDR_LOOPBACK(&s->addr) ||
	    (IN6_IS_ADDR_V4MAPPED(&s->addr) && s->addr.s6_addr[12] == 127);
}

/* A source is an IPv4 address or an IPv6 /64: what one client is given. */
static bool
same_source(const struct source *a, const struct source *b)
{
	return memcmp(&a->addr, &b->addr,
	    IN6_IS_ADDR_V4MAPPED(&a->addr) ? 16 : 8) == 0;
}

static bool
same_network(const struct source *a, const struct source *b)
{
	return !IN6_IS_ADDR_V4MAPPED(&a->addr) &&
	    memcmp(&a->addr, &b->addr, 6) == 0;
}

static bool
is_away(const struct source *s, int64_t now)
{
	unsigned i;

	for (i = 0; s->counted && i < AWAY_MAX; i++)
		if (away[i].until > now && same_source(s, &away[i].source))
			return true;
	return false;
}

/* Its process may not have ended yet, or may have left somebody behind. */
static bool
is_free(const struct place *p)
{
	return p->fd == -1 && p->pid == 0;
}

enum places_answer
places_find(const struct settings *set, const struct source *s, int64_t now,
    unsigned *place)
{
	const struct place *p;
	uint64_t limit = set->max_connections_source;
	unsigned i, same = 0, near = 0;

	if (is_away(s, now))
		return PLACES_AWAY;
	if (set->max_connections != 0 && places.used >= set->max_connections)
		return PLACES_FULL;
	*place = places.size;
	for (i = 0; i < places.size; i++) {
		p = &places.list[i];
		if (is_free(p)) {
			if (*place == places.size)
				*place = i;
		} else if (s->counted && p->source.counted) {
			same += same_source(&p->source, s);
			near += same_network(&p->source, s);
		}
	}
	if (limit != 0 && (same >= limit || near >= NETWORK_TIMES * limit))
		return PLACES_SOURCE;
	return places_room(*place + 1) == 0 ? PLACES_OK : PLACES_FULL;
}

int
places_room(unsigned count)
{
	struct place *list;
	unsigned size = places.size;

	if (count <= size)
		return 0;
	while (size < count)
		size = size == 0 ? 64 : size * 2;
	list = reallocarray(places.list, size, sizeof(*list));
	if (list == NULL)
		return -1;
	places.list = list;
	for (; places.size < size; places.size++)
		list[places.size] = (struct place){ .fd = -1 };
	return 0;
}

struct place *
places_at(unsigned i)
{
	return &places.list[i];
}

unsigned
places_size(void)
{
	return places.size;
}

void
places_fill(unsigned i, int fd, pid_t pid, const struct source *s)
{
	places.list[i] = (struct place){ .fd = fd, .pid = pid, .source = *s };
	places.used++;
}

static void
release(struct place *p)
{
	if (is_free(p))
		places.used--;
}

void
places_ended(unsigned i)
{
	struct place *p = &places.list[i];

	close(p->fd);
	p->fd = -1;
	release(p);
}

void
places_reaped(struct place *p)
{
	p->pid = 0;
	release(p);
}

unsigned
places_used(void)
{
	return places.used;
}

/* Each source is counted where it comes first. */
unsigned
places_sources(void)
{
	const struct place *p = places.list;
	unsigned i, j, n = 0;

	for (i = 0; i < places.size; i++) {
		if (is_free(&p[i]))
			continue;
		for (j = 0; j < i; j++)
			if (!is_free(&p[j]) &&
			    p[j].source.known == p[i].source.known &&
			    same_source(&p[j].source, &p[i].source))
				break;
		n += j == i;
	}
	return n;
}

struct place *
places_of(pid_t pid)
{
	unsigned i;

	for (i = 0; i < places.size; i++)
		if (places.list[i].pid == pid)
			return &places.list[i];
	return NULL;
}

void
places_signal(int signal)
{
	unsigned i;

	for (i = 0; i < places.size; i++)
		if (places.list[i].pid != 0)
			kill(places.list[i].pid, signal);
}

void
places_turn_away(const struct source *s, int64_t until)
{
	unsigned i, oldest = 0;

	for (i = 1; i < AWAY_MAX; i++)
		if (away[i].until < away[oldest].until)
			oldest = i;
	away[oldest].source = *s;
	away[oldest].until = until;
}

void
places_each(void (*call)(const struct place *, void *), void *arg)
{
	unsigned i;

	for (i = 0; i < places.size; i++)
		if (!is_free(&places.list[i]))
			call(&places.list[i], arg);
}

void
places_each_away(void (*call)(const struct source *, int64_t, void *),
    void *arg)
{
	unsigned i;

	for (i = 0; i < AWAY_MAX; i++)
		if (away[i].until != 0)
			call(&away[i].source, away[i].until, arg);
}
