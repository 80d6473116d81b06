/* SPDX-License-Identifier: ISC */
/*
 * engine - what the engine alone costs: a message of 4 KiB, the start of a
 * session, and the calls of the body hook for 50 MiB with LF line ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "session.h"

#define MESSAGES	200000
#define SESSIONS	5000000
#define CHUNK		65536
#define BODY		(50 << 20)

static const struct session_config config = {
	.size = sizeof(config), .hostname = "mx.test", .lf = true,
	.extensions = SESSION_EXT_PIPELINING | SESSION_EXT_SIZE,
};
static struct session	 s;
static struct session_buffers buffers;
static unsigned long	 calls;

static bool
on_body(void *arg, const char *p, size_t n)
{
	(void)arg;
	(void)p;
	(void)n;
	calls++;
	return true;
}

static void
on_end(void *arg, uint64_t size, unsigned recipient, struct session_verdict *v)
{
	(void)arg;
	(void)size;
	(void)recipient;
	session_accept(v, NULL);
}

static const struct session_hooks hooks = {
	.size = sizeof(hooks), .body = on_body, .end = on_end,
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
give(char *p, size_t len, bool rewrite)
{
	const char *out;
	size_t used;

	while (len > 0) {
		used = rewrite ? session_rewrite(&s, p, len) :
		    session_input(&s, p, len);
		p += used;
		len -= used;
		session_sent(&s, session_output(&s, &out));
	}
}

static void
say(const char *text)
{
	char copy[256];

	memcpy(copy, text, strlen(text));
	give(copy, strlen(text), false);
}

static char *
lines(size_t size)
{
	char *p = malloc(size);
	size_t i;

	if (p == NULL)
		exit(1);
	memset(p, 'x', size);
	for (i = 63; i < size; i += 64)
		memcpy(p + i - 1, "\r\n", 2);
	return p;
}

static double
one_message(void)
{
	char *message = lines(4096), text[5000];
	size_t len;
	double start;
	int i;

	len = (size_t)snprintf(text, sizeof(text), "MAIL FROM:<a@b.test>\r\n"
	    "RCPT TO:<c@d.test>\r\nDATA\r\n%.4096s.\r\n", message);
	session_init(&s, &buffers, &config, &hooks, NULL);
	say("EHLO c.test\r\n");
	start = now();
	for (i = 0; i < MESSAGES; i++)
		give(text, len, false);
	free(message);
	return (now() - start) / MESSAGES;
}

static double
one_session(void)
{
	double start = now();
	int i;

	for (i = 0; i < SESSIONS; i++)
		session_init(&s, &buffers, &config, &hooks, NULL);
	return (now() - start) / SESSIONS;
}

static unsigned long
large_body(bool rewrite, double *seconds)
{
	char *body = lines(BODY);
	double start;
	size_t i;

	session_init(&s, &buffers, &config, &hooks, NULL);
	say("EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n"
	    "DATA\r\n");
	calls = 0;
	start = now();
	for (i = 0; i < BODY; i += CHUNK)
		give(body + i, CHUNK, rewrite);
	*seconds = now() - start;
	free(body);
	return calls;
}

int
main(void)
{
	double seconds;
	unsigned long n;

	printf("message of 4 KiB\t%.2f us\n", one_message() * 1e6);
	printf("session_init\t%.0f ns\n", one_session() * 1e9);
	n = large_body(false, &seconds);
	printf("50 MiB, session_input\t%lu calls, %.1f ms\n", n, seconds * 1e3);
	n = large_body(true, &seconds);
	printf("50 MiB, session_rewrite\t%lu calls, %.1f ms\n", n,
	    seconds * 1e3);
	printf("idle session\t%zu octets\n", session_size());
	return 0;
}
