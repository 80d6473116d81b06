/* SPDX-License-Identifier: ISC */
/*
 * proxy.c - the header of haproxy's PROXY protocol, versions 1 and 2.
 *
 * Behind a load balancer the socket's peer is the balancer; this header says
 * who the client is.  It is parsed by functions without any I/O, and read so
 * that not one octet of what follows it is taken: that may be TLS.
 */
#include <sys/socket.h>
#include <sys/types.h>

#include <netinet/in.h>
#include <arpa/inet.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd.h"

#define TIME_MAX	5	/* seconds for the whole header */
#define V1_MAX		107	/* octets, CRLF included */
#define V1_MIN		15	/* "PROXY UNKNOWN\r\n" */
#define V2_MIN		16

static const char v1_start[] = "PROXY ";
static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";
#define V1_START	(sizeof(v1_start) - 1)
#define V2_START	(sizeof(v2_start) - 1)

/* Does it begin like that, as far as it has come? */
static bool
starts(const unsigned char *buf, size_t len, const char *with, size_t size)
{
	return memcmp(buf, with, len < size ? len : size) == 0;
}

/* Unless the last octet is a CR, at least two more are missing. */
static int
need_v1(const unsigned char *buf, size_t len)
{
	const unsigned char *lf = memchr(buf, '\n', len);
	size_t need;

	if (lf != NULL)
		return lf == buf + len - 1 && lf[-1] == '\r' &&
		    len >= V1_MIN && len <= V1_MAX ? 0 : -1;
	if (len < V1_MIN)
		return (int)(V1_MIN - len);
	need = buf[len - 1] == '\r' ? 1 : 2;
	return len + need <= V1_MAX ? (int)need : -1;
}

static int
need_v2(const unsigned char *buf, size_t len)
{
	size_t size;

	if (len < V2_MIN)
		return (int)(V2_MIN - len);
	size = V2_MIN + (size_t)(buf[14] << 8 | buf[15]);
	if (size > PROXY_MAX || size < len)
		return -1;
	return (int)(size - len);
}

int
proxy_need(const unsigned char *buf, size_t len)
{
	if (len == 0)
		return V1_MIN;
	if (starts(buf, len, v1_start, V1_START))
		return need_v1(buf, len);
	if (starts(buf, len, v2_start, V2_START))
		return need_v2(buf, len);
	return -1;
}

/*
 * The address in the form of inet_ntop(3), with an IPv4 address in IPv6 as the
 * IPv4 address that it is.
 */
static int
put_address(int family, const void *from, char *to, size_t size)
{
	struct in6_addr in6;

	if (family == AF_INET6) {
		memcpy(&in6, from, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6))
			return put_address(AF_INET, &in6.s6_addr[12], to,
			    size);
	}
	return inet_ntop(family, from, to, (socklen_t)size) == NULL ? -1 : 0;
}

static int
text_address(int family, const char *text, char *to, size_t size)
{
	unsigned char bin[sizeof(struct in6_addr)];

	return inet_pton(family, text, bin) == 1 ?
	    put_address(family, bin, to, size) : -1;
}

/* 0 to 65535 without a leading zero. */
static int
text_port(const char *text, char *to, size_t size)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; text[i] != '\0'; i++) {
		if (text[i] < '0' || text[i] > '9' || i == 5)
			return -1;
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	if (i == 0 || n > 65535 || (text[0] == '0' && i > 1))
		return -1;
	return strlcpy(to, text, size) < size ? 0 : -1;
}

/* "PROXY TCP4 source destination sport dport", one blank between the words. */
static int
parse_v1(const char *line, size_t len, struct proxy_header *h)
{
	char copy[V1_MAX + 1], *word[7], *s = copy;
	size_t n = 0;
	int family;

	if (memchr(line, '\0', len) != NULL || memchr(line, '\r', len) != NULL)
		return -1;
	strlcpy(copy, line, sizeof(copy));
	while (n < 7 && (word[n] = strsep(&s, " ")) != NULL)
		n++;
	/* Anything after UNKNOWN is ignored. */
	if (n >= 2 && strcmp(word[1], "UNKNOWN") == 0)
		return 0;
	if (n != 6)
		return -1;
	if (strcmp(word[1], "TCP4") == 0)
		family = AF_INET;
	else if (strcmp(word[1], "TCP6") == 0)
		family = AF_INET6;
	else
		return -1;
	h->known = true;
	return text_address(family, word[2], h->addr, sizeof(h->addr)) |
	    text_address(family, word[3], h->server_addr,
		sizeof(h->server_addr)) |
	    text_port(word[4], h->port, sizeof(h->port)) |
	    text_port(word[5], h->server_port, sizeof(h->server_port));
}

static void
put_port(const unsigned char *from, char *to, size_t size)
{
	snprintf(to, size, "%u", from[0] << 8 | from[1]);
}

/* Source, destination, and their ports; what follows are TLVs, not read. */
static int
parse_block(int family, const unsigned char *block, size_t len,
    struct proxy_header *h)
{
	size_t size = family == AF_INET ? sizeof(struct in_addr) :
		    sizeof(struct in6_addr);

	if (len < 2 * size + 4)
		return -1;
	h->known = true;
	put_port(block + 2 * size, h->port, sizeof(h->port));
	put_port(block + 2 * size + 2, h->server_port,
	    sizeof(h->server_port));
	return put_address(family, block, h->addr, sizeof(h->addr)) |
	    put_address(family, block + size, h->server_addr,
		sizeof(h->server_addr));
}

static int
parse_v2(const unsigned char *buf, size_t len, struct proxy_header *h)
{
	enum { LOCAL = 0x20, PROXY = 0x21 };	/* version 2 and command */

	if (buf[12] == LOCAL)
		return 0;
	if (buf[12] != PROXY)
		return -1;
	switch (buf[13]) {		/* family and protocol */
	case 0x11:
		return parse_block(AF_INET, buf + V2_MIN, len - V2_MIN, h);
	case 0x21:
		return parse_block(AF_INET6, buf + V2_MIN, len - V2_MIN, h);
	case 0x00:			/* unspecified */
	case 0x31:			/* AF_UNIX: no address for us */
		return 0;
	default:			/* datagrams, or not assigned */
		return -1;
	}
}

int
proxy_parse(const unsigned char *buf, size_t len, struct proxy_header *header)
{
	char line[V1_MAX + 1];

	memset(header, 0, sizeof(*header));
	if (len == 0 || proxy_need(buf, len) != 0)
		return -1;
	if (buf[0] != v1_start[0])
		return parse_v2(buf, len, header);
	memcpy(line, buf, len - 2);
	line[len - 2] = '\0';
	return parse_v1(line, len - 2, header);
}

/* Who may send it. */

/* What peer.c calls a client that has no address. */
static const char local[] = "local";

/* "192.0.2.0" into family and octets, without the zone that IPv6 may have. */
static int
read_address(const char *text, int *family, unsigned char *octets)
{
	char copy[64];

	if (strlcpy(copy, text, sizeof(copy)) >= sizeof(copy))
		return -1;
	copy[strcspn(copy, "%")] = '\0';
	*family = strchr(copy, ':') != NULL ? AF_INET6 : AF_INET;
	return inet_pton(*family, copy, octets) == 1 ? 0 : -1;
}

/* "ADDRESS/BITS", or an address, which means all its bits. */
static int
read_prefix(const char *text, int *family, unsigned char *octets,
    unsigned *bits)
{
	char copy[64], *slash;
	const char *error;
	unsigned max;

	if (strlcpy(copy, text, sizeof(copy)) >= sizeof(copy) ||
	    strchr(copy, '%') != NULL)
		return -1;
	if ((slash = strchr(copy, '/')) != NULL)
		*slash++ = '\0';
	if (read_address(copy, family, octets) == -1)
		return -1;
	max = *family == AF_INET ? 32 : 128;
	*bits = max;
	if (slash == NULL)
		return 0;
	if (*slash == '\0' || slash[strspn(slash, "0123456789")] != '\0')
		return -1;
	*bits = (unsigned)strtonum(slash, 0, max, &error);
	return error == NULL ? 0 : -1;
}

/* Do the first bits agree? */
static bool
same_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned char mask = (unsigned char)(0xff00 >> bits % 8);

	return memcmp(a, b, bits / 8) == 0 &&
	    (bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0);
}

bool
prefix_valid(const char *text)
{
	unsigned char octets[sizeof(struct in6_addr)];
	unsigned bits;
	int family;

	return strcmp(text, local) == 0 ||
	    read_prefix(text, &family, octets, &bits) == 0;
}

bool
prefix_match(char *const *prefixes, const char *addr)
{
	unsigned char here[sizeof(struct in6_addr)], octets[sizeof(here)];
	int family, other;
	unsigned bits;
	bool known;

	known = read_address(addr, &family, here) == 0;
	for (; *prefixes != NULL; prefixes++)
		if (strcmp(*prefixes, local) == 0) {
			if (strcmp(addr, local) == 0)
				return true;
		} else if (known && read_prefix(*prefixes, &other, octets,
		    &bits) == 0 && other == family &&
		    same_bits(here, octets, bits))
			return true;
	return false;
}

/* Reading it. */

/* As read(2), or -1 as from conn_await(); does not block after that. */
static ssize_t
read_some(void *buf, size_t len, int64_t deadline)
{
	ssize_t n;

	do {
		if (conn_await(STDIN_FILENO, POLLIN, deadline) == -1)
			return -1;
		n = read(STDIN_FILENO, buf, len);
	} while (n == -1 && (errno == EAGAIN || errno == EINTR));
	return n;
}

static int
reject(const char *addr, const char *reason)
{
	log_event("proxy", "status", "refused", "addr", addr, "reason", reason,
	    NULL);
	return -1;
}

/* A health check just closes the connection, or resets it. */
static int
cut_short(const char *addr, ssize_t n, size_t len)
{
	if (n == 0 || errno == ECONNRESET)
		return len == 0 ? -1 : reject(addr, "header cut short");
	if (errno == EINTR)
		return reject(addr, "service is shutting down");
	return reject(addr, errno == ETIMEDOUT ? "no header in time" :
	    strerror(errno));
}

/* Others could pretend to be any client. */
static bool
may_send(const struct connection *c)
{
	return c->settings.proxy_from == NULL ||
	    prefix_match(c->settings.proxy_from, c->addr);
}

int
proxy_read(struct connection *c)
{
	unsigned char buf[PROXY_MAX];
	struct proxy_header h;
	unsigned seconds = c->settings.timeout;
	int64_t deadline;
	size_t len = 0;
	ssize_t n;
	int need;

	if (!may_send(c))
		return reject(c->addr, "not in proxy-from");
	if (seconds > TIME_MAX)
		seconds = TIME_MAX;
	deadline = conn_now() + (int64_t)seconds * 1000;
	while ((need = proxy_need(buf, len)) > 0) {
		n = read_some(buf + len, (size_t)need, deadline);
		if (n <= 0)
			return cut_short(c->addr, n, len);
		len += (size_t)n;
	}
	if (need == -1 || proxy_parse(buf, len, &h) == -1)
		return reject(c->addr, "not a PROXY header");
	if (!h.known)
		return 0;
	strlcpy(c->addr, h.addr, sizeof(c->addr));
	strlcpy(c->port, h.port, sizeof(c->port));
	strlcpy(c->server_addr, h.server_addr, sizeof(c->server_addr));
	strlcpy(c->server_port, h.server_port, sizeof(c->server_port));
	return 0;
}
