/* SPDX-License-Identifier: ISC */
/*
 * handover.c - from the small program to the one that knows TLS and passwords.
 *
 * `smtpd' is linked statically and with as little as a plain session needs: it
 * starts in two thirds of the time.  When a session turns out to need GnuTLS,
 * the process becomes `smtpd-tls', which is built from the same files.  RFC
 * 3207 section 4.2 wants all that was said in clear forgotten at STARTTLS: here
 * the very memory is gone, buffers, parser and all.  What is handed over is one
 * line of the environment.
 */
#include <sys/auxv.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "smtpd.h"

#define NAME	"smtpd-tls"
#define STATE	"SMTPD_STARTTLS"
#define TEST_TICK	5	/* ms; after so many of these a new program */
#define TEST_TICKS	1000	/* must have shown that it works */

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

/* ahead: will any session need it?  Else: will this one, from the start? */
bool
handover_at_start(const struct settings *set, bool ahead)
{
	if (tls_module != NULL)
		return false;
	if (ahead)
		return set->tls != TLS_OFF || set->auth != AUTH_OFF;
	return set->tls == TLS_IMPLICIT ||
	    (set->auth != AUTH_OFF && set->auth_cleartext);
}

void
handover_to(const char *program)
{
	execv(program, arguments);
	log_error(errno, "exec", program);
}

void
handover_now(void)
{
	handover_to(handover_program());
}

/* Start the program with our arguments and -T, its output to nobody. */
static pid_t
start_test(const char *program)
{
	char test[] = "-T", *words[256] = { arguments[0], test };
	pid_t pid;
	size_t i;
	int null;

	for (i = 1; arguments[i] != NULL && i < 254; i++)
		words[i + 1] = arguments[i];
	if ((pid = fork()) != 0)
		return pid;
	if ((null = open("/dev/null", O_RDWR)) != -1) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	execv(program, words);
	_exit(EX_OSERR);
}

bool
handover_works(const char *program)
{
	pid_t pid = start_test(program);
	unsigned ticks;
	int status;

	if (pid == -1)
		return false;
	for (ticks = 0; ticks < TEST_TICKS; ticks++) {
		if (waitpid(pid, &status, WNOHANG) != 0)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0;
		poll(NULL, 0, TEST_TICK);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return false;
}

static const char *
or_dash(const char *text)
{
	return *text != '\0' ? text : "-";
}

void
handover_starttls(const struct connection *c)
{
	struct session_counters n;
	char state[1024];
	int len;

	session_counters(&c->session, &n);
	len = snprintf(state, sizeof(state),
	    "%s %s %s %s %s %lld %u %u %u %u %u %u %u %s", c->id, c->addr,
	    or_dash(c->port), or_dash(c->server_addr),
	    or_dash(c->server_port), (long long)conn_end(), c->messages,
	    c->accepted, n.messages, n.errors, n.junk, n.auth_failures,
	    log_lines(), session_helo(&c->session));
	if ((size_t)len >= sizeof(state) ||
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

bool
handover_number(char **p, long long max, long long *n)
{
	const char *word = strsep(p, " \n"), *err = NULL;

	*n = word == NULL ? 0 : strtonum(word, 0, max, &err);
	return word != NULL && err == NULL;
}

/* What a process before this one left. */
int
handover_taken(struct connection *c, struct session_counters *n, char *helo,
    size_t size, int64_t *end)
{
	char state[1024], *p = state;
	const char *given = getenv(STATE);
	unsigned lines;
	unsigned *const counts[] = { &c->messages, &c->accepted, &n->messages,
	    &n->errors, &n->junk, &n->auth_failures, &lines };
	long long number;
	size_t i;
	bool whole;

	if (given == NULL)
		return 0;
	whole = strlcpy(state, given, sizeof(state)) < sizeof(state);
	unsetenv(STATE);
	if (!whole || !take_text(&p, c->id, sizeof(c->id)) ||
	    !take_text(&p, c->addr, sizeof(c->addr)) ||
	    !take_text(&p, c->port, sizeof(c->port)) ||
	    !take_text(&p, c->server_addr, sizeof(c->server_addr)) ||
	    !take_text(&p, c->server_port, sizeof(c->server_port)) ||
	    !handover_number(&p, LLONG_MAX, &number))
		return -1;
	*end = number;
	for (i = 0; i < nitems(counts); i++) {
		if (!handover_number(&p, UINT_MAX, &number))
			return -1;
		*counts[i] = (unsigned)number;
	}
	log_resume(lines);
	return take_text(&p, helo, size) && p == NULL ? 1 : -1;
}
