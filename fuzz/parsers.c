/* SPDX-License-Identifier: ISC */
/*
 * parsers.c - a libFuzzer target for the other parsers of strangers' octets:
 * the PROXY header, a policy server's answer, and the list of recipients.  The
 * first octet of an input chooses one.
 */
#include <sys/mman.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter.h"
#include "runner.h"

#define CHECK(x)	do { if (!(x)) fail(#x, __LINE__); } while (0)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
fail(const char *what, int line)
{
	fprintf(stderr, "parsers.c:%d: %s\n", line, what);
	abort();
}

/* What the parsers' files need of the program. */

void
log_event(const char *event, ...)
{
	(void)event;
}

void
log_error(int error, const char *what, const char *object)
{
	(void)error, (void)what, (void)object;
}

/* A policy server is never asked. */

int64_t
conn_now(void)
{
	return 0;
}

int
conn_await(int fd, short events, int64_t deadline)
{
	(void)fd, (void)events, (void)deadline;
	abort();
}

bool
conn_stopped(void)
{
	abort();
}

bool
peer_text(const struct sockaddr *sa, char *addr, size_t size, char *port,
    size_t port_size)
{
	(void)sa, (void)addr, (void)size, (void)port, (void)port_size;
	abort();
}

int
runner_connect(const struct server *s, int64_t ms)
{
	(void)s, (void)ms;
	abort();
}

int
server_check(const char *setting, const struct server *s)
{
	(void)setting, (void)s;
	abort();
}

/* However it is read: never more than is there, or than is allowed. */
static void
proxy(const unsigned char *s, size_t len)
{
	struct proxy_header h;
	size_t have = 0;
	int need;

	while ((need = proxy_need(s, have)) > 0) {
		CHECK(have + need <= PROXY_MAX);
		if (++have > len)
			return;
	}
	if (proxy_parse(s, len, &h) == -1)
		return;
	CHECK(need == 0 && have == len);
	CHECK(!h.known || (*h.addr != '\0' && *h.port != '\0'));
	CHECK(strspn(h.addr, "0123456789abcdef.:") == strlen(h.addr));
}

/* A refusal can be sent, a header line can be written. */
static void
answer(const char *s, size_t len, bool utf8)
{
	static struct policy_answer a;
	const char *p;

	policy_parse(s, len, utf8, &a);
	CHECK(a.fault == NULL || a.verdict.kind == SESSION_ACCEPT);
	if (a.verdict.kind == SESSION_REFUSE) {
		CHECK(a.verdict.code >= 400 && a.verdict.code <= 599);
		CHECK(a.verdict.status[0] == '0' + a.verdict.code / 100);
	}
	if ((p = a.prepend) == NULL)
		return;
	CHECK(strlen(p) <= 998 && strchr(p, ':') > p);
	for (; *p != '\0'; p++)
		CHECK(*p == '\t' || ((unsigned char)*p >= 0x20 && *p != 0x7f &&
		    (utf8 || (unsigned char)*p < 0x80)));
}

/* An address, a line end, and the list. */
static void
recipients(const char *s, size_t len)
{
	static struct connection c;
	static char list[32], delimiter[] = "+-";
	static int fd = -1;
	const char *end = memchr(s, '\n', len);
	char path[SESSION_PATH_MAX + 1];
	const struct session_rcpt r = { .path = path };

	if (fd == -1) {
		fd = memfd_create("list", 0);
		snprintf(list, sizeof(list), "/proc/self/fd/%d", fd);
		c.settings.recipients = list;
		c.settings.recipient_delimiter = delimiter;
	}
	if (end == NULL || end - s > SESSION_PATH_MAX)
		return;
	memcpy(path, s, end - s);
	path[end - s] = '\0';
	end++;
	if (ftruncate(fd, 0) == -1 ||
	    pwrite(fd, end, s + len - end, 0) != s + len - end)
		abort();
	recipients_filter.rcpt(&c, &r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *s;

	if (len == 0)
		return 0;
	/* Of its own size, so that one octet too many is noticed. */
	if ((s = malloc(len - 1)) == NULL)
		return 0;
	memcpy(s, data + 1, len - 1);
	switch (*data % 4) {
	case 0:
		proxy((unsigned char *)s, len - 1);
		break;
	case 1:
		recipients(s, len - 1);
		break;
	default:
		answer(s, len - 1, *data % 4 == 3);
	}
	free(s);
	return 0;
}
