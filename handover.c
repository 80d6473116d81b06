/*
 * handover.c - from the small program to the one that knows TLS and passwords.
 *
 * `smtpd' is linked statically and with as little as a plain session needs: it
 * starts in two thirds of the time.  When a session turns out to need GnuTLS,
 * the process becomes `smtpd-tls', which is built from the same files.  RFC
 * 3207 section 4.2 wants all that was said in clear forgotten at STARTTLS: here
 * the very memory is gone, buffers, parser and all.  What goes along is in one
 * line of the environment.
 */
#include <sys/auxv.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd.h"

#define NAME	"smtpd-tls"
#define STATE	"SMTPD_STARTTLS"

static char	**arguments;

/* In the directory of the running program (a build tree), or installed. */
const char *
handover_program(void)
{
	static char path[1024];
	const char *self;
	char *slash;

	if (*path != '\0')
		return path;
	self = (const char *)getauxval(AT_EXECFN);
	if (self != NULL &&
	    strlcpy(path, self, sizeof(path) - sizeof(NAME)) <
	    sizeof(path) - sizeof(NAME) &&
	    (slash = strrchr(path, '/')) != NULL) {
		memcpy(slash + 1, NAME, sizeof(NAME));
		if (access(path, X_OK) == 0)
			return path;
	}
	strlcpy(path, MODULE_DIR "/" NAME, sizeof(path));
	return path;
}

void
handover_arguments(char **argv)
{
	arguments = argv;
}

/* Will the session need it before the first word, or this check at all? */
bool
handover_at_start(const struct settings *set, bool testing)
{
	if (tls_module != NULL)
		return false;
	if (testing)
		return set->tls != TLS_OFF || set->auth != AUTH_OFF;
	return set->tls == TLS_IMPLICIT ||
	    (set->auth != AUTH_OFF && set->auth_cleartext);
}

void
handover_now(void)
{
	execv(handover_program(), arguments);
	log_error(errno, "exec", handover_program());
}

static const char *
or_dash(const char *text)
{
	return *text != '\0' ? text : "-";
}

void
handover_starttls(const struct connection *c)
{
	struct session_counters n = session_counters(&c->session);
	char state[1024];
	int len;

	len = snprintf(state, sizeof(state),
	    "%s %s %s %s %s %lld %u %u %u %u %u %u %s", c->id, c->addr,
	    or_dash(c->port), or_dash(c->server_addr),
	    or_dash(c->server_port), (long long)conn_end(), c->messages,
	    c->accepted, n.messages, n.errors, n.junk, n.auth_failures,
	    session_helo(&c->session));
	if (len < 0 || (size_t)len >= sizeof(state) ||
	    setenv(STATE, state, 1) == -1) {
		log_error(errno, "starttls", NULL);
		return;
	}
	handover_now();
	unsetenv(STATE);
}

static bool
take_text(char **p, char *out, size_t size)
{
	const char *word = strsep(p, " ");

	if (word == NULL)
		return false;
	return strlcpy(out, strcmp(word, "-") == 0 ? "" : word, size) < size;
}

static bool
take_number(char **p, long long max, long long *n)
{
	const char *word = strsep(p, " "), *err;

	if (word == NULL)
		return false;
	*n = strtonum(word, 0, max, &err);
	return err == NULL;
}

/* What a process before this one left. */
int
handover_taken(struct connection *c, struct session_counters *n, char *helo,
    size_t size, int64_t *end)
{
	char state[1024], *p = state;
	const char *given = getenv(STATE);
	unsigned *const counts[] = { &c->messages, &c->accepted, &n->messages,
	    &n->errors, &n->junk, &n->auth_failures };
	long long number;
	size_t i;

	if (given == NULL)
		return 0;
	if (strlcpy(state, given, sizeof(state)) >= sizeof(state))
		return -1;
	unsetenv(STATE);
	if (!take_text(&p, c->id, sizeof(c->id)) ||
	    !take_text(&p, c->addr, sizeof(c->addr)) ||
	    !take_text(&p, c->port, sizeof(c->port)) ||
	    !take_text(&p, c->server_addr, sizeof(c->server_addr)) ||
	    !take_text(&p, c->server_port, sizeof(c->server_port)) ||
	    !take_number(&p, LLONG_MAX, &number))
		return -1;
	*end = number;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (!take_number(&p, UINT_MAX, &number))
			return -1;
		*counts[i] = (unsigned)number;
	}
	return take_text(&p, helo, size) ? 1 : -1;
}
