/* SPDX-License-Identifier: ISC */
/*
 * sockets.c - the sockets that the listener accepts from: bound by itself, or
 * taken over.
 */
#define _GNU_SOURCE	/* accept4(), F_DUPFD_CLOEXEC */

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen/listen.h"

#define BACKLOG	4096	/* or net.core.somaxconn, if that is less */
#define UNIX	"unix:"

union address {
	struct sockaddr		 sa;
	struct sockaddr_in	 v4;
	struct sockaddr_in6	 v6;
	struct sockaddr_un	 local;
};

bool
sockets_listening(int fd)
{
	int on = 0;
	socklen_t size = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) == 0 &&
	    on != 0;
}

int
sockets_take(struct sockets *s, int fd, bool bound)
{
	int above = fd;

	if (s->count == SOCKETS_MAX) {
		errno = E2BIG;
		return -1;
	}
	if (fd < LISTEN_FD_MIN) {
		above = fcntl(fd, F_DUPFD_CLOEXEC, LISTEN_FD_MIN);
		if (above == -1)
			return -1;
		if (fd > STDERR_FILENO)
			close(fd);
	}
	if (fcntl(above, F_SETFD, FD_CLOEXEC) == -1 ||
	    fcntl(above, F_SETFL, fcntl(above, F_GETFL) | O_NONBLOCK) == -1)
		return -1;
	s->list[s->count].fd = above;
	s->list[s->count++].bound = bound;
	return 0;
}

static int
complain(char *err, size_t size, const char *where, const char *why)
{
	snprintf(err, size, "-l %.200s: %s", where, why);
	return -1;
}

/* The name of a socket that nobody answers on is left from a crash. */
static bool
is_stale(const struct sockaddr_un *a)
{
	struct stat st;
	int fd, r;

	if (lstat(a->sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return false;
	r = connect(fd, (const struct sockaddr *)a, sizeof(*a));
	r = r == -1 ? errno : 0;
	close(fd);
	return r == ECONNREFUSED;
}

/* Bind with mode 0660: a client needs the right to write to connect. */
static int
bind_local(int fd, const struct sockaddr_un *a)
{
	mode_t mask;
	int r;

	if (is_stale(a))
		unlink(a->sun_path);
	mask = umask(0117);
	r = bind(fd, (const struct sockaddr *)a, sizeof(*a));
	umask(mask);
	return r;
}

static int
open_socket(struct sockets *s, const union address *a, socklen_t len, bool both)
{
	int fd, error, on = 1, only = !both;

	fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (a->sa.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if ((a->sa.sa_family == AF_UNIX ? bind_local(fd, &a->local) :
	    bind(fd, &a->sa, len)) == 0 && listen(fd, BACKLOG) == 0 &&
	    sockets_take(s, fd, true) == 0)
		return 0;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static int
bind_path(struct sockets *s, const char *where, char *err, size_t size)
{
	union address a = { .local = { .sun_family = AF_UNIX } };
	const char *path = where + strlen(UNIX);

	if (*path == '\0' || strlcpy(a.local.sun_path, path,
	    sizeof(a.local.sun_path)) >= sizeof(a.local.sun_path))
		return complain(err, size, where, "not a path for a socket");
	if (open_socket(s, &a, sizeof(a.local), false) == -1)
		return complain(err, size, where, strerror(errno));
	return 0;
}

/* One socket for IPv6 and IPv4, or without IPv6 for IPv4 alone. */
static int
bind_any(struct sockets *s, in_port_t port)
{
	union address a = { .v6 = { .sin6_family = AF_INET6,
	    .sin6_port = port } };
	union address b = { .v4 = { .sin_family = AF_INET,
	    .sin_port = port } };

	if (open_socket(s, &a, sizeof(a.v6), true) == 0)
		return 0;
	if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
		return -1;
	return open_socket(s, &b, sizeof(b.v4), false);
}

/* An address with its zone, if it has one: 0, or -1 with errno. */
static int
bind_numeric(struct sockets *s, char *host, in_port_t port)
{
	union address a = { .v6 = { .sin6_family = AF_INET6,
	    .sin6_port = port } };
	union address b = { .v4 = { .sin_family = AF_INET,
	    .sin_port = port } };
	char *zone = strchr(host, '%');

	if (inet_pton(AF_INET, host, &b.v4.sin_addr) == 1)
		return open_socket(s, &b, sizeof(b.v4), false);
	if (zone != NULL) {
		*zone++ = '\0';
		a.v6.sin6_scope_id = if_nametoindex(zone);
	}
	if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) == 1 &&
	    (zone == NULL || a.v6.sin6_scope_id != 0))
		return open_socket(s, &a, sizeof(a.v6), false);
	errno = EINVAL;
	return -1;
}

/* "127.0.0.1:25", "[::1]:25", "*:25"; colons in an address need brackets. */
static bool
split_place(const char *where, char *host, size_t size, in_port_t *port)
{
	const char *colon = strrchr(where, ':'), *err;
	size_t len;

	if (colon == NULL || colon[1 + strspn(colon + 1, "0123456789")] != '\0')
		return false;
	len = (size_t)(colon - where);
	*port = htons((in_port_t)strtonum(colon + 1, 0, 65535, &err));
	if (err != NULL)
		return false;
	if (len > 1 && where[0] == '[' && where[len - 1] == ']') {
		where++;
		len -= 2;
	} else if (memchr(where, ':', len) != NULL)
		return false;
	if (len == 0 || len >= size)
		return false;
	memcpy(host, where, len);
	host[len] = '\0';
	return true;
}

int
sockets_bind(struct sockets *s, const char *where, char *err, size_t size)
{
	char host[128];
	in_port_t port;
	int r;

	if (strncmp(where, UNIX, strlen(UNIX)) == 0)
		return bind_path(s, where, err, size);
	if (!split_place(where, host, sizeof(host), &port))
		return complain(err, size, where,
		    "want address:port or unix:path");
	r = strcmp(host, "*") == 0 ? bind_any(s, port) :
	    bind_numeric(s, host, port);
	if (r == 0)
		return 0;
	return complain(err, size, where, errno == EINVAL ?
	    "want a numeric address" : strerror(errno));
}

static bool
address_of(int fd, union address *a)
{
	socklen_t len = sizeof(*a);

	memset(a, 0, sizeof(*a));
	return getsockname(fd, &a->sa, &len) == 0;
}

static void
log_one(int fd)
{
	union address a;
	struct source source;
	char host[INET6_ADDRSTRLEN], port[8];

	if (!address_of(fd, &a))
		return;
	if (a.sa.sa_family == AF_UNIX) {
		log_event("listen", "path", a.local.sun_path, NULL);
		return;
	}
	source = source_of(&a.sa, false);
	snprintf(port, sizeof(port), "%u", ntohs(source.port));
	log_event("listen", "addr", source_text(&source, host, sizeof(host)),
	    "port", port, NULL);
}

void
sockets_log(const struct sockets *s)
{
	unsigned i;

	for (i = 0; i < s->count; i++)
		log_one(s->list[i].fd);
}

void
sockets_close(struct sockets *s)
{
	union address a;
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (s->list[i].bound && address_of(s->list[i].fd, &a) &&
		    a.sa.sa_family == AF_UNIX && *a.local.sun_path != '\0')
			unlink(a.local.sun_path);
		close(s->list[i].fd);
	}
	s->count = 0;
}
