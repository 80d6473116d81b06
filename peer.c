/* SPDX-License-Identifier: ISC */
/*
 * peer.c - who the client is, as told by the supervisor's variables or by the
 * socket.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "smtpd.h"

bool
peer_is_address(const char *text)
{
	char bare[64];
	struct in6_addr a;

	if (strlcpy(bare, text, sizeof(bare)) >= sizeof(bare))
		return false;
	if (inet_pton(AF_INET, bare, &a) == 1)
		return true;
	/* A link-local address keeps its zone. */
	bare[strcspn(bare, "%")] = '\0';
	return inet_pton(AF_INET6, bare, &a) == 1 &&
	    strspn(text + strlen(bare), "%abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
	    strlen(text + strlen(bare));
}

static bool
peer_from_environment(struct connection *c, const char *addr_name,
    const char *port_name)
{
	const char *addr = getenv(addr_name), *port = getenv(port_name);
	const char *err = NULL;

	if (addr == NULL || !peer_is_address(addr))
		return false;
	strlcpy(c->addr, addr, sizeof(c->addr));
	if (port != NULL) {
		strtonum(port, 1, 65535, &err);
		if (err == NULL)
			strlcpy(c->port, port, sizeof(c->port));
	}
	return true;
}

/* An IPv4 client of an IPv6 socket is an IPv4 client. */
static void
unmap(char *addr)
{
	static const char mapped[] = "::ffff:";
	const size_t len = sizeof(mapped) - 1;

	if (strncasecmp(addr, mapped, len) == 0 && strchr(addr, '.') != NULL)
		memmove(addr, addr + len, strlen(addr + len) + 1);
}

bool
peer_text(const struct sockaddr *sa, char *addr, size_t size, char *port,
    size_t port_size)
{
	union {
		const struct sockaddr *sa;
		const struct sockaddr_in *v4;
		const struct sockaddr_in6 *v6;
	} a = { sa };
	const void *from = &a.v6->sin6_addr;
	size_t n;

	if (sa->sa_family == AF_INET)
		from = &a.v4->sin_addr;
	else if (sa->sa_family != AF_INET6)
		return false;
	if (inet_ntop(sa->sa_family, from, addr, (socklen_t)size) == NULL)
		return false;
	/* The port is in the same place in both. */
	snprintf(port, port_size, "%u", ntohs(a.v4->sin_port));
	n = strlen(addr);
	if (sa->sa_family == AF_INET6 && a.v6->sin6_scope_id != 0)
		snprintf(addr + n, size - n, "%%%u", a.v6->sin6_scope_id);
	unmap(addr);
	return true;
}

void
peer_set(struct connection *c, const struct sockaddr *sa)
{
	if (peer_text(sa, c->addr, sizeof(c->addr), c->port, sizeof(c->port)))
		return;
	strlcpy(c->addr, "local", sizeof(c->addr));
	c->port[0] = '\0';
}

static void
peer_from_socket(struct connection *c)
{
	union {
		struct sockaddr		 sa;
		struct sockaddr_storage	 any;
	} a = { .sa = { .sa_family = AF_UNSPEC } };
	socklen_t len = sizeof(a);

	if (getpeername(STDIN_FILENO, &a.sa, &len) == -1)
		a.sa.sa_family = AF_UNSPEC;
	peer_set(c, &a.sa);
}

/* systemd, tcpserver and s6 say it; inetd leaves it to us. */
void
peer_find(struct connection *c)
{
	if (!peer_from_environment(c, "REMOTE_ADDR", "REMOTE_PORT") &&
	    !peer_from_environment(c, "TCPREMOTEIP", "TCPREMOTEPORT"))
		peer_from_socket(c);
	unmap(c->addr);
}
