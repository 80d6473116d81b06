/* SPDX-License-Identifier: ISC */
/*
 * wipe - the engine, in process: no password stays in it past its line, nor in
 * the caller's buffer if that is wiped when session_secret() says so.
 *
 *	wipe secret ... <transcript
 *
 * The input is cut in two at every octet (a long one at two hundred), and fed
 * by the octet.
 */
#define _GNU_SOURCE	/* memmem */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define WINDOW	8	/* this many octets of a secret are one */

static const struct session_config config = {
	.size = sizeof(config),
	.hostname = "mx.test",
	.extensions = ~0u & ~SESSION_EXT_STARTTLS,
	.auth_cleartext = true,
	.max_auth_failures = 3,
};

static char	input[65536];
static struct session_buffers buffers;

static const char *
on_mechanisms(void *arg)
{
	(void)arg;
	return "PLAIN LOGIN";
}

/* A challenge for no response, and no for every other. */
static void
on_auth(void *arg, struct session_sasl *x, struct session_verdict *v)
{
	(void)arg;
	if (x->have_input) {
		session_refuse(v, 535, NULL, NULL);
		return;
	}
	memcpy(x->challenge, "who?", 4);
	x->challenge_len = 4;
	v->kind = SESSION_CHALLENGE;
}

static const struct session_hooks hooks = {
	.size = sizeof(hooks),
	.mechanisms = on_mechanisms, .auth = on_auth,
};

/* Any eight octets of any of the secrets. */
static const char *
find(const void *where, size_t size, char **secrets)
{
	size_t i;

	for (; *secrets != NULL; secrets++)
		for (i = 0; i + WINDOW <= strlen(*secrets); i++)
			if (memmem(where, size, *secrets + i, WINDOW) != NULL)
				return *secrets + i;
	return NULL;
}

static void
check(const void *where, size_t size, char **secrets, const char *name,
    size_t at)
{
	const char *left = find(where, size, secrets);

	if (left != NULL)
		errx(1, "%s: '%.*s' is left, cut at %zu", name, WINDOW, left,
		    at);
}

static void
check_engine(const struct session *s, char **secrets, const char *name,
    size_t at)
{
	check(s, sizeof(*s), secrets, name, at);
	check(&buffers, sizeof(buffers), secrets, name, at);
}

/* One piece in a buffer of its own; false: the session is closed. */
static bool
feed(struct session *s, const char *p, size_t len, char **secrets, size_t at)
{
	char *copy = malloc(len + 1);
	const char *out;
	size_t used = 0, n;

	if (copy == NULL)
		err(2, NULL);
	memcpy(copy, p, len);
	while (used < len && session_want(s) != SESSION_CLOSE) {
		n = session_input(s, copy + used, len - used);
		if (session_secret(s))
			memset(copy + used, 0, n);
		used += n;
		session_sent(s, session_output(s, &out));
	}
	check(copy, used, secrets, "input", at);
	free(copy);
	if (len > 0 && p[len - 1] == '\n')
		check_engine(s, secrets, "engine", at);
	return session_want(s) != SESSION_CLOSE;
}

static void
run(size_t len, size_t first, size_t then, char **secrets)
{
	static struct session s;
	size_t i, n;

	memset(&s, 0, sizeof(s));
	memset(&buffers, 0, sizeof(buffers));
	session_init(&s, &buffers, &config, &hooks, NULL);
	for (i = 0; i < len; i += n) {
		n = i == 0 ? first : then;
		if (n == 0 || n > len - i)
			n = len - i;
		if (!feed(&s, input + i, n, secrets, first))
			break;
	}
	session_hangup(&s);
	check_engine(&s, secrets, "the end", first);
}

int
main(int argc, char **argv)
{
	size_t len = fread(input, 1, sizeof(input), stdin), at, step;

	if (argc < 2 || find(input, len, argv + 1) == NULL)
		errx(2, "usage: wipe secret ... <transcript with them");
	step = len > 2000 ? len / 200 : 1;
	run(len, 1, 1, argv + 1);
	for (at = 0; at <= len; at += step)
		run(len, at, 0, argv + 1);
	/* Input may end anywhere. */
	for (at = 1; at <= len; at += step)
		run(at, 0, 0, argv + 1);
	return 0;
}
