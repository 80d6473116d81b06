/* SPDX-License-Identifier: ISC */
/*
 * turn_down.c - what a client that gets no session is told, and the log of it.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>

#include <stdio.h>
#include <unistd.h>

#include "listen/listen.h"

static const struct refusal {
	const char	*status, *text, *why;
} refusals[] = {
	[PLACES_FULL] = { "4.3.2", "too many connections", "full" },
	[PLACES_SOURCE] = { "4.7.0", "too many connections from you",
	    "source" },
	[PLACES_AWAY] = { "4.7.0", "try again later", "crash" },
	[PLACES_FORK] = { "4.3.2", "out of resources", "resources" },
};

/* The first is logged, and those in the minute after it are only counted. */
static void
log_turned_down(enum places_answer what, const struct source *s)
{
	static struct {
		int64_t	 logged;
		unsigned more;
	} done[PLACES_ANSWERS];
	char addr[INET6_ADDRSTRLEN], more[16];
	int64_t now = conn_now();

	if (done[what].logged != 0 && now - done[what].logged < MINUTE) {
		done[what].more++;
		return;
	}
	snprintf(more, sizeof(more), "%u", done[what].more);
	log_event("refused", "why", refusals[what].why, "addr",
	    source_text(s, addr, sizeof(addr)), "more",
	    done[what].more > 0 ? more : NULL, NULL);
	done[what].logged = now;
	done[what].more = 0;
}

void
turn_down(const struct settings *set, int fd, enum places_answer what,
    const struct source *s)
{
	const struct refusal *r = &refusals[what];
	char line[SESSION_NAME_MAX + 128];
	int n;

	log_turned_down(what, s);
	n = snprintf(line, sizeof(line), "421 %s %s %s\r\n", r->status,
	    set->hostname, r->text);
	if (set->tls != TLS_IMPLICIT && (size_t)n < sizeof(line))
		send(fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}
