/* SPDX-License-Identifier: ISC */
/*
 * arguments.c - what a delivery program is told: its arguments, from the words
 * of the settings, and its environment, made from nothing.
 *
 * Nothing is expanded: a word is {sender}, {recipient} or {recipients}, or it
 * is passed on as it is.  The runner asks here whether what a session wants to
 * run could have been made here.
 */
#define _GNU_SOURCE	/* asprintf(3) */

#include <sys/types.h>

#include <paths.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver.h"

/* The kernel takes a variable of at most 32 pages, its name included. */
#define VARIABLE_MAX	(32 * 4096 - 32)

static const char *const body_names[] = {
	[SESSION_BODY_NONE] = "",
	[SESSION_BODY_7BIT] = "7BIT",
	[SESSION_BODY_8BIT] = "8BITMIME",
	[SESSION_BODY_BINARY] = "BINARYMIME"
};

/* What the runner lets through; the first only with the value it has here. */
static const char *const env_names[] = {
	"PATH", "SENDER", "RECIPIENT", "RECIPIENTS", "REMOTE_ADDR",
	"REMOTE_PORT", "HELO", "PROTOCOL", "AUTH_USER", "TLS_PROTOCOL",
	"TLS_CIPHER", "TLS_CLIENT", "SESSION_ID", "MESSAGE_SIZE", "BODY",
	"SMTPUTF8", "SENDER_AUTH", "MT_PRIORITY", "DSN_RET", "DSN_ENVID",
	"DSN_NOTIFY", "DSN_ORCPT"
};

/* What a word of exec stands for. */
enum word { ITSELF, SENDER, RECIPIENT, RECIPIENTS };

static enum word
meaning(const char *word)
{
	static const char *const words[] = { [SENDER] = "{sender}",
	    [RECIPIENT] = "{recipient}", [RECIPIENTS] = "{recipients}" };
	size_t i;

	for (i = SENDER; i < nitems(words); i++)
		if (strcmp(word, words[i]) == 0)
			return (enum word)i;
	return ITSELF;
}

bool
arguments_each(const struct settings *s)
{
	size_t i;

	for (i = 1; s->exec[i] != NULL; i++)
		if (meaning(s->exec[i]) == RECIPIENT)
			return true;
	return false;
}

static size_t
list_length(char *const *words)
{
	size_t n;

	for (n = 0; words[n] != NULL; n++)
		;
	return n;
}

/* execve(2) promises not to change what it was declared to be able to. */
static char *
argument(const char *s)
{
	union { const char *in; char *out; } u = { s };

	return u.out;
}

static size_t
add_recipients(char **argv, const struct strings *list)
{
	const char *s = NULL;
	size_t n = 0;

	while ((s = strings_next(list, s)) != NULL)
		argv[n++] = argument(s);
	return n;
}

static char **
make_argv(struct connection *c, const char *recipient)
{
	char *const *words = c->settings.exec;
	char **argv;
	size_t i, n = 0;

	argv = reallocarray(NULL, list_length(words) +
	    c->tx.recipients.count + 1, sizeof(*argv));
	if (argv == NULL)
		return NULL;
	for (i = 0; words[i] != NULL; i++)
		switch (meaning(words[i])) {
		case ITSELF:
			argv[n++] = words[i];
			break;
		case SENDER:
			argv[n++] = c->tx.sender;
			break;
		case RECIPIENT:
			argv[n++] = argument(recipient);
			break;
		case RECIPIENTS:
			n += add_recipients(argv + n, &c->tx.recipients);
			break;
		}
	argv[n] = NULL;
	return argv;
}

static bool
env_set(struct arguments *a, const char *name, const char *value)
{
	char *p;

	if (a->env_len == ENV_MAX ||
	    asprintf(&p, "%s=%s", name, value != NULL ? value : "") == -1)
		return false;
	a->env[a->env_len++] = p;
	a->env[a->env_len] = NULL;
	return true;
}

enum part { WHOLE, BEFORE, AFTER };	/* the blank, in each string */

/* A list, one on each line: nothing in it has a newline. */
static bool
env_list(struct arguments *a, const char *name, const struct strings *list,
    enum part part)
{
	const char *s = NULL, *piece;
	size_t len, n = strlen(name);
	char *p;

	if (a->env_len == ENV_MAX || (p = malloc(n + list->len + 2)) == NULL)
		return false;
	a->env[a->env_len++] = p;
	a->env[a->env_len] = NULL;
	memcpy(p, name, n);
	p[n++] = '=';
	while ((s = strings_next(list, s)) != NULL) {
		piece = part == AFTER ? s + strcspn(s, " ") + 1 : s;
		len = part == BEFORE ? strcspn(s, " ") : strlen(piece);
		memcpy(p + n, piece, len);
		n += len;
		p[n++] = '\n';
	}
	p[list->count > 0 ? n - 1 : n] = '\0';
	return true;
}

/*
 * Only RECIPIENTS, DSN_NOTIFY and DSN_ORCPT grow with the recipients, and a run
 * for each recipient has no such list.  All variables and arguments together
 * are less than the kernel takes, with any usual limit of the stack.
 */
bool
arguments_room(const struct connection *c, const struct session_rcpt *r)
{
	size_t dsn = sizeof(" ");

	if (c->settings.exec == NULL || c->tx.recipients.count == 0 ||
	    arguments_each(&c->settings))
		return true;
	dsn += r->notify != NULL ? strlen(r->notify) : 0;
	dsn += r->orcpt != NULL ? strlen(r->orcpt) : 0;
	return c->tx.recipients.len + strlen(r->path) + 1 <= VARIABLE_MAX &&
	    ((c->settings.extensions & SESSION_EXT_DSN) == 0 ||
	    c->tx.dsn.len + dsn <= VARIABLE_MAX);
}

static bool
env_dsn(struct arguments *a, const struct strings *list)
{
	return env_list(a, "DSN_NOTIFY", list, BEFORE) &&
	    env_list(a, "DSN_ORCPT", list, AFTER);
}

/* What the client asked for, if it may ask. */
static bool
make_dsn_env(struct arguments *a, struct connection *c, const char *dsn)
{
	struct strings one = { 0 };
	bool made;

	if ((c->settings.extensions & SESSION_EXT_DSN) == 0)
		return true;
	if (!env_set(a, "DSN_RET", c->tx.ret) ||
	    !env_set(a, "DSN_ENVID", c->tx.envid))
		return false;
	if (dsn == NULL)
		return env_dsn(a, &c->tx.dsn);
	made = strings_add(&one, dsn) == 0 && env_dsn(a, &one);
	strings_free(&one);
	return made;
}

static bool
env_priority(struct arguments *a, const struct connection *c)
{
	char n[4];

	if ((c->settings.extensions & SESSION_EXT_MT_PRIORITY) == 0)
		return true;
	snprintf(n, sizeof(n), "%d", c->tx.mail.priority);
	return env_set(a, "MT_PRIORITY", n);
}

static const char *
program_search(void)
{
	const char *path = getenv("PATH");

	return path != NULL ? path : _PATH_STDPATH;
}

/* All of them are set in every run, empty if there is nothing to say. */
static bool
make_env(struct arguments *a, struct connection *c, uint64_t size,
    const char *recipient)
{
	char octets[24];

	snprintf(octets, sizeof(octets), "%llu", (unsigned long long)size);
	return env_set(a, "PATH", program_search()) &&
	    env_set(a, "SENDER", c->tx.sender) &&
	    (recipient != NULL ? env_set(a, "RECIPIENT", recipient) :
	    env_list(a, "RECIPIENTS", &c->tx.recipients, WHOLE)) &&
	    env_set(a, "REMOTE_ADDR", c->addr) &&
	    env_set(a, "REMOTE_PORT", c->port) &&
	    env_set(a, "HELO", session_helo(&c->session)) &&
	    env_set(a, "PROTOCOL", session_protocol(&c->session)) &&
	    env_set(a, "AUTH_USER", c->user) &&
	    env_set(a, "TLS_PROTOCOL", c->tls.protocol) &&
	    env_set(a, "TLS_CIPHER", c->tls.cipher) &&
	    env_set(a, "TLS_CLIENT", c->tls.client) &&
	    env_set(a, "SESSION_ID", c->id) &&
	    env_set(a, "MESSAGE_SIZE", octets) &&
	    env_set(a, "BODY", body_names[c->tx.mail.body]) &&
	    env_set(a, "SMTPUTF8", c->tx.mail.utf8 ? "yes" : "") &&
	    env_set(a, "SENDER_AUTH", c->tx.auth) &&
	    env_priority(a, c);
}

bool
arguments_make(struct arguments *a, struct connection *c, uint64_t size,
    const char *recipient, const char *dsn)
{
	a->env_len = 0;
	a->env[0] = NULL;
	a->argv = make_argv(c, recipient);
	return a->argv != NULL && make_env(a, c, size, recipient) &&
	    make_dsn_env(a, c, dsn);
}

void
arguments_free(struct arguments *a)
{
	size_t i;

	for (i = 0; i < a->env_len; i++)
		free(a->env[i]);
	free(a->argv);
}

/* Are they the words of the settings, with any sender and recipients? */
static bool
argv_allowed(char *const *words, char *const *argv, size_t argc)
{
	size_t i, n, each, lists = 0;

	n = list_length(words);
	for (i = 0; i < n; i++)
		lists += meaning(words[i]) == RECIPIENTS;
	each = lists > 0 && argc >= n - lists ? (argc - (n - lists)) / lists :
	    0;
	if (argc != n - lists + each * lists)
		return false;
	for (; *words != NULL; words++) {
		if (meaning(*words) == RECIPIENTS) {
			argv += each;
			continue;
		}
		if (meaning(*words) == ITSELF && strcmp(*words, *argv) != 0)
			return false;
		argv++;
	}
	return true;
}

/* Is it one of ours, and the first of its name?  PATH must be as it is here. */
static bool
env_allowed(const char *variable, uint64_t *seen)
{
	const char *value = strchr(variable, '=');
	const size_t n = nitems(env_names);
	size_t i, len;

	if (value == NULL)
		return false;
	len = (size_t)(value++ - variable);
	for (i = 0; i < n; i++)
		if (strlen(env_names[i]) == len &&
		    strncmp(variable, env_names[i], len) == 0)
			break;
	if (i == n || (*seen & UINT64_C(1) << i) != 0)
		return false;
	*seen |= UINT64_C(1) << i;
	return i > 0 || strcmp(value, program_search()) == 0;
}

bool
arguments_allowed(const struct connection *c, char *const *argv, size_t argc,
    char *const *env)
{
	uint64_t seen = 0;

	if (c->settings.exec == NULL ||
	    !argv_allowed(c->settings.exec, argv, argc))
		return false;
	for (; *env != NULL; env++)
		if (!env_allowed(*env, &seen))
			return false;
	return true;
}
