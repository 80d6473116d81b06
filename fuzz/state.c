/* SPDX-License-Identifier: ISC */
/*
 * state.c - a libFuzzer target for what the listener leaves to itself.
 *
 * What is understood is left again, and read to the same.
 */
#define VARIABLE	"SMTPD_LISTENER"

#include <fcntl.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "fuzz/variable.h"
#include "listen/listen.h"

#define FILE_FD		1000
#define ROOM		64

/* What was taken. */
struct taken {
	struct state	 state;
	unsigned	 places, aways;
	struct place	 place[ROOM];
	struct source	 away[ROOM];
	int64_t		 until[ROOM];
};

static struct taken one, two, *now;

/* The file that it is left in, in memory. */
static struct {
	size_t		 len;
	char		 text[65536];
} left;

int
memfd_create(const char *name, unsigned flags)
{
	(void)name, (void)flags;
	left.len = 0;
	return FILE_FD;
}

int
dup(int fd)
{
	return fd;
}

off_t
lseek(int fd, off_t at, int whence)
{
	(void)fd, (void)whence;
	return at;
}

FILE *
fdopen(int fd, const char *mode)
{
	CHECK(fd == FILE_FD);
	return fmemopen(left.text, *mode == 'r' ? left.len :
	    sizeof(left.text), mode);
}

/* Places are counted for as long as the process lives: here, for an input. */

int
places_room(unsigned n)
{
	(void)n;
	return now->places < ROOM ? 0 : -1;
}

void
places_fill(unsigned n, int fd, pid_t pid, const struct source *s)
{
	(void)n;
	CHECK(fd >= -1 && pid >= 0);
	now->place[now->places++] = (struct place){ .fd = fd, .pid = pid,
	    .source = *s };
}

struct place *
places_at(unsigned n)
{
	(void)n;
	return &now->place[now->places - 1];
}

void
places_turn_away(const struct source *s, int64_t until)
{
	if (now->aways == ROOM)
		return;
	now->away[now->aways] = *s;
	now->until[now->aways++] = until;
}

void
places_each(void (*call)(const struct place *, void *), void *arg)
{
	unsigned i;

	for (i = 0; i < now->places; i++)
		call(&now->place[i], arg);
}

void
places_each_away(void (*call)(const struct source *, int64_t, void *),
    void *arg)
{
	unsigned i;

	for (i = 0; i < now->aways; i++)
		call(&now->away[i], now->until[i], arg);
}

/* Nor are the descriptors there. */

bool
sockets_listening(int fd)
{
	return fd % 2 == 0;
}

int
sockets_take(struct sockets *s, int fd, bool bound)
{
	CHECK(fd >= 0 && s->count <= SOCKETS_MAX);
	if (s->count == SOCKETS_MAX)
		return -1;
	s->list[s->count].fd = fd;
	s->list[s->count++].bound = bound;
	return 0;
}

int
fcntl(int fd, int what, ...)
{
	CHECK(fd >= 0 && what == F_SETFD);
	return 0;
}

static int
take(struct taken *t)
{
	memset(t, 0, sizeof(*t));
	now = t;
	return state_take(&t->state);
}

static void
leave_text(const void *p, size_t len)
{
	memcpy(left.text, p, len);
	left.len = len;
	snprintf(variable.value, sizeof(variable.value), "%ld %d",
	    (long)getpid(), FILE_FD);
	variable.set = true;
}

static void
check_source(const struct source *a, const struct source *b)
{
	CHECK(memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0);
	CHECK(a->port == b->port && a->known == b->known &&
	    a->counted == b->counted);
}

static void
check_same(const struct taken *a, const struct taken *b)
{
	const struct place *p, *q;
	unsigned i;

	CHECK(a->state.log == b->state.log && a->state.log <= LOGTO_OFF);
	CHECK(a->state.sockets.count == b->state.sockets.count);
	for (i = 0; i < a->state.sockets.count; i++)
		CHECK(a->state.sockets.list[i].fd ==
		    b->state.sockets.list[i].fd &&
		    a->state.sockets.list[i].bound ==
		    b->state.sockets.list[i].bound);
	CHECK(a->places == b->places && a->aways == b->aways);
	for (i = 0; i < a->places; i++) {
		p = &a->place[i];
		q = &b->place[i];
		CHECK(p->fd == q->fd && p->pid == q->pid &&
		    p->keys == q->keys);
		check_source(&p->source, &q->source);
	}
	for (i = 0; i < a->aways; i++) {
		CHECK(a->until[i] == b->until[i]);
		check_source(&a->away[i], &b->away[i]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > sizeof(left.text))
		return 0;
	leave_text(data, len);
	if (take(&one) == 1) {
		CHECK(state_leave(&one.state) == FILE_FD && state_left());
		left.len = strlen(left.text);
		CHECK(take(&two) == 1);
		check_same(&one, &two);
	}
	CHECK(!state_left());
	return 0;
}
