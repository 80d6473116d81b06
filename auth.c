/* SPDX-License-Identifier: ISC */
/*
 * auth.c - is a user who they say they are?
 *
 * It has what the program calls (struct auth_module): which mechanisms may be
 * offered, the simple ones (PLAIN, RFC 4616; LOGIN; EXTERNAL, RFC 4422), the
 * log of attempts, and the delay that makes guessing slow.
 *
 * User names and passwords are compared octet by octet: no SASLprep (RFC 4013)
 * and no PRECIS (RFC 8265).  They must be UTF-8 without control characters,
 * which is what is left of both for all but exotic ones.
 */
#include <sys/types.h>

#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "verdict.h"

struct mechanism {
	const char	*name;
	unsigned	 bit;		/* of auth-mechanisms */
	bool		 (*offered)(const struct connection *);
	enum auth_result (*step)(struct connection *, struct session_sasl *);
};

static struct {
	const struct mechanism *mechanism;	/* of the exchange */
	char		 user[AUTH_USER_MAX + 1];
	char		 password[AUTH_PASSWORD_MAX + 1];
	char		 list[80];		/* of mechanisms() */
	bool		 looked;		/* at the source, for: */
	enum auth_result scram;			/* are there verifiers? */
	bool		 binding;		/* TLS has channel binding */
	bool		 plus_offered;
} auth;

static const struct outcome {
	int		 code;			/* 0: accept */
	const char	*status, *text;
	const char	*log;
	const char	*reason;
	bool		 slow;
} outcomes[] = {
	[AUTH_RIGHT] = { 0, NULL, NULL, "ok", NULL, false },
	[AUTH_CONTINUE] = { 0, NULL, NULL, NULL, NULL, false },
	[AUTH_WRONG] = { 535, "5.7.8", "Wrong user name or password",
	    "failed", "credentials", true },
	[AUTH_REPEATED] = { 535, "5.7.8", "Wrong user name or password",
	    "repeated", "credentials", true },
	[AUTH_MALFORMED] = { 501, "5.5.2", "Not what this mechanism wants",
	    "failed", "malformed", false },
	[AUTH_SPOILED] = { 501, "5.5.2", "Not what this mechanism wants",
	    "failed", "malformed", true },
	[AUTH_CANCELLED] = { 501, "5.7.0", "Cancelled",
	    "failed", "cancelled", true },
	[AUTH_BROKEN] = { 454, "4.7.0",
	    "Can't check that now, try again later", "error", NULL, true },
};

/* PLAIN and LOGIN. */

static bool
offer_password(const struct connection *c)
{
	const struct settings *s = &c->settings;

	/* With a broken file, too: the client should be told. */
	return s->auth_file != NULL || s->auth_program != NULL || s->auth_any;
}

/* auth.user and auth.password. */
static enum auth_result
login(struct connection *c, struct session_sasl *sasl)
{
	enum auth_result result;

	/* Nor may they be empty (RFC 4616 section 2); any is any, though. */
	if (!auth_text(auth.user) ||
	    (!c->settings.auth_any && !auth_text(auth.password)))
		return AUTH_WRONG;
	if (repeat_is_first(auth.user, auth.password)) {
		sasl->uncounted = true;
		return AUTH_REPEATED;
	}
	result = source_verify(c, auth.user, auth.password);
	if (result == AUTH_WRONG)
		repeat_failed(auth.user, auth.password);
	return result;
}

/* [authzid] NUL authcid NUL password (RFC 4616 section 2). */
static enum auth_result
step_plain(struct connection *c, struct session_sasl *sasl)
{
	const unsigned char *authcid, *password, *end_of;
	size_t authzid_len, authcid_len, password_len;

	if (!sasl->have_input)
		return sasl->first ? AUTH_CONTINUE : AUTH_MALFORMED;
	end_of = sasl->input + sasl->input_len;
	authcid = memchr(sasl->input, '\0', sasl->input_len);
	if (authcid == NULL)
		return AUTH_MALFORMED;
	authzid_len = (size_t)(authcid++ - sasl->input);
	password = memchr(authcid, '\0', (size_t)(end_of - authcid));
	if (password == NULL)
		return AUTH_MALFORMED;
	authcid_len = (size_t)(password++ - authcid);
	password_len = (size_t)(end_of - password);
	if (authcid_len == 0 || memchr(password, '\0', password_len) != NULL)
		return AUTH_MALFORMED;
	if (!auth_keep(auth.user, sizeof(auth.user), authcid, authcid_len) ||
	    !auth_keep(auth.password, sizeof(auth.password), password,
	    password_len))
		return AUTH_WRONG;
	/* Nobody may act for somebody else (an authzid) here. */
	if (authzid_len != 0 && !crypto_equal(sasl->input, authzid_len,
	    authcid, authcid_len))
		return AUTH_WRONG;
	return login(c, sasl);
}

static enum auth_result
prompt(struct session_sasl *sasl, const char *text)
{
	sasl->challenge_len = strlen(text);
	memcpy(sasl->challenge, text, sasl->challenge_len);
	return AUTH_CONTINUE;
}

/* Never specified; the prompts are what all servers say. */
static enum auth_result
step_login(struct connection *c, struct session_sasl *sasl)
{
	if (!sasl->have_input)
		return sasl->first ? prompt(sasl, "Username:") :
		    AUTH_MALFORMED;
	if (auth.user[0] == '\0')
		return auth_keep(auth.user, sizeof(auth.user), sasl->input,
		    sasl->input_len) && auth_text(auth.user) ?
		    prompt(sasl, "Password:") : AUTH_MALFORMED;
	if (sasl->input_len != 0 && memchr(sasl->input, '\0',
	    sasl->input_len) != NULL)
		return AUTH_MALFORMED;
	return auth_keep(auth.password, sizeof(auth.password), sasl->input,
	    sasl->input_len) ? login(c, sasl) : AUTH_WRONG;
}

/* SCRAM. */

static bool
offer_scram(const struct connection *c)
{
	return c->settings.auth_file != NULL && !c->settings.auth_any &&
	    auth.scram == AUTH_RIGHT;
}

static bool
offer_plus(const struct connection *c)
{
	return auth.binding && offer_scram(c);
}

static enum auth_result
step_scram(struct connection *c, struct session_sasl *sasl)
{
	(void)c;
	return scram_step(sasl, auth.user, false, auth.plus_offered);
}

static enum auth_result
step_plus(struct connection *c, struct session_sasl *sasl)
{
	(void)c;
	return scram_step(sasl, auth.user, true, true);
}

/* EXTERNAL. */

static bool
offer_external(const struct connection *c)
{
	return c->tls.name != NULL && c->tls.verify != NULL &&
	    strcmp(c->tls.verify, "ok") == 0;
}

/*
 * The certificate, verified in the handshake, is the credential; its only
 * common name is the user.  A client may give the same name, or none.  An
 * authority certifies more people than may send here, so the name must be in
 * our file as well.
 */
static enum auth_result
step_external(struct connection *c, struct session_sasl *sasl)
{
	struct auth_question q = { .what = AUTH_ASK_LISTED };
	struct auth_answer a;

	if (!sasl->have_input)
		return sasl->first ? AUTH_CONTINUE : AUTH_MALFORMED;
	if (!offer_external(c) || !auth_text(c->tls.name) ||
	    !auth_keep(auth.user, sizeof(auth.user), c->tls.name,
	    strlen(c->tls.name)))
		return AUTH_WRONG;
	if (sasl->input_len != 0 && !crypto_equal(sasl->input, sasl->input_len,
	    auth.user, strlen(auth.user)))
		return AUTH_WRONG;
	strlcpy(q.user, auth.user, sizeof(q.user));
	return source_ask(&q, &a);
}

/* What is offered. */

/* In the order in which they are offered: the better first. */
static const struct mechanism table[] = {
	{ "EXTERNAL", MECHANISM_EXTERNAL, offer_external, step_external },
	{ "SCRAM-SHA-256-PLUS", MECHANISM_PLUS, offer_plus, step_plus },
	{ "SCRAM-SHA-256", MECHANISM_SCRAM, offer_scram, step_scram },
	{ "PLAIN", MECHANISM_PLAIN, offer_password, step_plain },
	{ "LOGIN", MECHANISM_LOGIN, offer_password, step_login },
};
#define NMECHANISMS	nitems(table)

/*
 * Find out what the offer depends on, which changes only with STARTTLS.  Under
 * TLS 1.2 clients bind to tls-unique instead, which an attacker could share
 * (RFC 9266 section 1), so they are not offered -PLUS.
 */
static void
look(const struct connection *c)
{
	const struct settings *s = &c->settings;
	struct auth_question q = { .what = AUTH_ASK_SCRAM };
	struct auth_answer a;
	unsigned char binding[64];

	auth.binding = (s->auth_mechanisms & MECHANISM_PLUS) != 0 &&
	    c->tls.protocol != NULL &&
	    strcmp(c->tls.protocol, "TLSv1.3") == 0 &&
	    conn_tls_binding(binding, sizeof(binding)) > 0;
	explicit_bzero(binding, sizeof(binding));
	if (auth.looked)
		return;
	auth.looked = true;
	auth.scram = AUTH_WRONG;
	source_open(s);
	if (s->auth_file != NULL && !s->auth_any && (s->auth_mechanisms &
	    (MECHANISM_SCRAM | MECHANISM_PLUS)) != 0)
		auth.scram = source_ask(&q, &a);
}

static const char *
mechanisms(struct connection *c)
{
	const struct settings *s = &c->settings;
	size_t i;

	auth.list[0] = '\0';
	auth.plus_offered = false;
	if (s->auth == AUTH_OFF)
		return NULL;
	if (c->tls.protocol == NULL && !s->auth_cleartext)
		return NULL;
	look(c);
	for (i = 0; i < NMECHANISMS; i++) {
		if ((s->auth_mechanisms & table[i].bit) == 0 ||
		    !table[i].offered(c))
			continue;
		if (table[i].bit == MECHANISM_PLUS)
			auth.plus_offered = true;
		if (auth.list[0] != '\0')
			strlcat(auth.list, " ", sizeof(auth.list));
		strlcat(auth.list, table[i].name, sizeof(auth.list));
	}
	return auth.list[0] == '\0' ? NULL : auth.list;
}

/* An exchange. */

static void
forget_exchange(void)
{
	scram_end();
	explicit_bzero(auth.user, sizeof(auth.user));
	explicit_bzero(auth.password, sizeof(auth.password));
	auth.mechanism = NULL;
}

/*
 * One process is one session, so that waiting here holds up nobody else.
 * SIGTERM cuts it short.
 */
static void
delay(unsigned failures)
{
	unsigned ms = AUTH_DELAY_MAX_MS;

	if (failures < 8 && (AUTH_DELAY_MS << failures) < AUTH_DELAY_MAX_MS)
		ms = AUTH_DELAY_MS << failures;
	(void)conn_await(-1, 0, conn_now() + ms);
}

/* An empty value is left out of the log. */
static const char *
given(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

/* The exchange has come to this end. */
static void
conclude(struct connection *c, const char *name, enum auth_result result)
{
	const struct outcome *outcome = &outcomes[result];
	const char *any = NULL;

	if (result == AUTH_RIGHT) {
		strlcpy(c->user, auth.user, sizeof(c->user));
		strlcpy(c->method, name, sizeof(c->method));
		if (c->settings.auth_any &&
		    auth.mechanism->offered == offer_password)
			any = "yes";
	}
	log_event("auth", "status", outcome->log, "mechanism", name,
	    "user", given(auth.user), "addr", c->addr, "port", given(c->port),
	    "any", any, "reason", outcome->reason, NULL);
	forget_exchange();
	if (outcome->slow)
		delay(result == AUTH_BROKEN ? 0 : c->session.auth_failures);
}

/* What the client got wrong: in detail for PLAIN and LOGIN, typed by people. */
static const char *
words_of(const struct outcome *outcome, const char *mechanism)
{
	if (outcome != &outcomes[AUTH_MALFORMED])
		return outcome->text;
	if (strcmp(mechanism, "PLAIN") == 0)
		return "PLAIN wants NUL user NUL password, in UTF-8";
	return strcmp(mechanism, "LOGIN") == 0 ?
	    "LOGIN wants a user, then a password, in UTF-8" : outcome->text;
}

static struct session_verdict
take_step(struct connection *c, struct session_sasl *sasl)
{
	const struct outcome *outcome;
	enum auth_result result = AUTH_MALFORMED;
	size_t i;

	if (sasl->first) {
		forget_exchange();
		for (i = 0; i < NMECHANISMS; i++)
			if (strcmp(table[i].name, sasl->mechanism) == 0)
				auth.mechanism = &table[i];
	}
	sasl->challenge_len = 0;
	if (auth.mechanism != NULL)
		result = auth.mechanism->step(c, sasl);
	if (result == AUTH_MALFORMED && scram_is_open()) {
		sasl->disclosed = true;
		result = AUTH_SPOILED;
	}
	if (result == AUTH_CONTINUE)
		return (struct session_verdict){ .kind = SESSION_CHALLENGE };
	conclude(c, sasl->mechanism, result);
	outcome = &outcomes[result];
	return outcome->code == 0 ? verdict_accept() :
	    verdict_refuse(outcome->code, outcome->status,
	    words_of(outcome, sasl->mechanism));
}

/*
 * It is over without a verdict.  A client that has seen a salt has asked about
 * a user, and is to leave a trace and wait as for any other guess.
 */
static void
end_attempt(struct connection *c)
{
	if (auth.mechanism != NULL && scram_is_open())
		conclude(c, auth.mechanism->name, AUTH_CANCELLED);
	else
		forget_exchange();
}

/* smtpd -t. */

/* Mechanisms that no source of these settings can serve. */
static int
check_mechanisms(const struct settings *s)
{
	bool passwords = s->auth_file != NULL || s->auth_program != NULL ||
	    s->auth_any;
	unsigned can = s->auth_mechanisms & MECHANISM_EXTERNAL;

	if (passwords)
		can |= MECHANISM_PLAIN | MECHANISM_LOGIN;
	if (s->auth_file != NULL && !s->auth_any)
		can |= MECHANISM_SCRAM | MECHANISM_PLUS;
	if ((s->auth_mechanisms & can) != 0)
		return 0;
	warnx("auth-mechanisms: none of them can be used with this source");
	return 1;
}

static int
check_sources(const struct settings *s)
{
	static const struct {
		const char	*name, *other;
	} pairs[] = {
		{ "auth-file and auth-program", "only one can be used" },
		{ "auth-any", "the file or program is never asked" },
		{ "auth-users", "auth-file has the users" },
		{ "auth", "never offered, without tls or auth-cleartext" },
	};
	const bool wrong[] = {
		s->auth_file != NULL && s->auth_program != NULL,
		s->auth_any && (s->auth_file != NULL ||
		    s->auth_program != NULL),
		s->auth_file != NULL && s->auth_users != NULL,
		s->tls == TLS_OFF && !s->auth_cleartext,
	};
	size_t i;
	int problems = 0;

	for (i = 0; i < nitems(pairs); i++)
		if (wrong[i]) {
			warnx("%s: %s", pairs[i].name, pairs[i].other);
			problems++;
		}
	return problems;
}

static int
auth_check(const struct settings *s)
{
	int problems;

	if (s->auth == AUTH_OFF)
		return 0;
	problems = check_mechanisms(s) + check_sources(s);
	if (s->auth_file != NULL)
		problems += passwd_check("auth-file", s->auth_file);
	else if (s->auth_users != NULL)
		problems += passwd_check("auth-users", s->auth_users);
	if (s->auth_program != NULL)
		problems += checkpw_check(s->auth_program);
	return problems;
}

const struct auth_module smtpd_auth_module = {
	source_open, mechanisms, take_step, end_attempt, auth_check,
	source_elsewhere, source_answer
};
