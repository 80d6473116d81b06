/*
 * auth.c - is a user who they say they are?
 *
 * What the program calls (struct auth_module): which mechanisms may be offered,
 * the simple ones of them (PLAIN, RFC 4616; LOGIN; EXTERNAL, RFC 4422), the
 * log of what came of it, and the delay that makes guessing slow.
 *
 * User names and passwords are compared octet by octet: no SASLprep (RFC 4013)
 * and no PRECIS (RFC 8265).  They must be UTF-8 without control characters,
 * which is what is left of both for all but exotic ones.
 */
#include <sys/types.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <err.h>

#include <gnutls/gnutls.h>

#include "smtpd.h"
#include "auth.h"

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
	bool		 opened;		/* the file, or an attempt */
	bool		 broken;		/* it can't be used */
	int		 scram;			/* it has verifiers */
	int		 binding;		/* TLS has channel binding */
	bool		 plus_offered;
} auth;

static const char *mechanisms(struct connection *);
static struct session_verdict step(struct connection *, struct session_sasl *);
static void	 end(void);
static int	 check(const struct settings *);
static void	 look(const struct connection *);
static void	 open_users(const struct settings *);
static void	 delay(unsigned);
static bool	 offer_external(const struct connection *);
static bool	 offer_plus(const struct connection *);
static bool	 offer_scram(const struct connection *);
static bool	 offer_password(const struct connection *);
static enum auth_result step_external(struct connection *,
		    struct session_sasl *);
static enum auth_result step_plus(struct connection *, struct session_sasl *);
static enum auth_result step_scram(struct connection *, struct session_sasl *);
static enum auth_result step_plain(struct connection *, struct session_sasl *);
static enum auth_result step_login(struct connection *, struct session_sasl *);

/* In the order in which they are offered: the better first. */
static const struct mechanism table[] = {
	{ "EXTERNAL", MECHANISM_EXTERNAL, offer_external, step_external },
	{ "SCRAM-SHA-256-PLUS", MECHANISM_PLUS, offer_plus, step_plus },
	{ "SCRAM-SHA-256", MECHANISM_SCRAM, offer_scram, step_scram },
	{ "PLAIN", MECHANISM_PLAIN, offer_password, step_plain },
	{ "LOGIN", MECHANISM_LOGIN, offer_password, step_login },
};
#define NMECHANISMS	(sizeof(table) / sizeof(table[0]))

static const struct outcome {
	struct session_verdict verdict;
	const char	*log;
	const char	*reason;
	bool		 slow;
} outcomes[] = {
	[AUTH_RIGHT] = { { .kind = SESSION_ACCEPT },
	    "ok", NULL, false },
	[AUTH_CONTINUE] = { { .kind = SESSION_CHALLENGE },
	    NULL, NULL, false },
	[AUTH_WRONG] = { { SESSION_REFUSE, 535, "5.7.8",
	    "Wrong user name or password" },
	    "failed", "credentials", true },
	[AUTH_MALFORMED] = { { SESSION_REFUSE, 501, "5.5.2",
	    "Not what this mechanism wants" },
	    "failed", "malformed", false },
	[AUTH_BROKEN] = { { SESSION_REFUSE, 454, "4.7.0",
	    "Can't check that now, try again later" },
	    "error", NULL, false },
};

const struct auth_module smtpd_auth_module = {
	mechanisms, step, end, check
};

static const char *
mechanisms(struct connection *conn)
{
	const struct settings *s = &conn->settings;
	size_t i;

	auth.list[0] = '\0';
	auth.plus_offered = false;
	if (s->auth == AUTH_OFF)
		return NULL;
	if (conn->tls.protocol == NULL && !s->auth_cleartext)
		return NULL;
	look(conn);
	for (i = 0; i < NMECHANISMS; i++) {
		if ((s->auth_mechanisms & table[i].bit) == 0 ||
		    !table[i].offered(conn))
			continue;
		if (table[i].offered == offer_plus)
			auth.plus_offered = true;
		if (auth.list[0] != '\0')
			strlcat(auth.list, " ", sizeof(auth.list));
		strlcat(auth.list, table[i].name, sizeof(auth.list));
	}
	return auth.list[0] == '\0' ? NULL : auth.list;
}

/*
 * What the offer depends on and does not change, but for STARTTLS.  Under TLS
 * 1.2 clients bind to tls-unique instead, which an attacker could share
 * (RFC 9266 section 1): for them there is no -PLUS.
 */
static void
look(const struct connection *conn)
{
	const struct settings *s = &conn->settings;
	unsigned char binding[SCRAM_BINDING_MAX];

	auth.binding = conn->tls.protocol != NULL &&
	    strcmp(conn->tls.protocol, "TLSv1.3") == 0 &&
	    conn_tls_binding(binding, sizeof(binding)) > 0;
	explicit_bzero(binding, sizeof(binding));
	if (auth.opened)
		return;
	auth.opened = true;
	open_users(s);
}

/* The file of those who are known here: auth-file, or only their names. */
static void
open_users(const struct settings *s)
{
	bool passwords = s->auth_file != NULL && !s->auth_any;

	if (!passwords && (s->auth_mechanisms & MECHANISM_EXTERNAL) == 0)
		return;
	if (s->auth_file != NULL)
		auth.broken = passwd_open("auth-file", s->auth_file) == -1;
	else
		auth.broken = passwd_open("auth-users", s->auth_users) == -1;
	if (!auth.broken && passwords &&
	    (auth.scram = passwd_has_scram()) == -1)
		auth.broken = true;
}

static bool
offer_external(const struct connection *conn)
{
	return conn->tls.name != NULL && conn->tls.verify != NULL &&
	    strcmp(conn->tls.verify, "ok") == 0;
}

static bool
offer_plus(const struct connection *conn)
{
	return auth.binding && offer_scram(conn);
}

static bool
offer_scram(const struct connection *conn)
{
	return conn->settings.auth_file != NULL && !conn->settings.auth_any &&
	    auth.scram == 1;
}

/* With a broken file too: a client is to hear of it, and to try later. */
static bool
offer_password(const struct connection *conn)
{
	const struct settings *s = &conn->settings;

	return s->auth_file != NULL || s->auth_program != NULL || s->auth_any;
}

/* What is empty is left out of the log. */
static const char *
given(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

static struct session_verdict
step(struct connection *conn, struct session_sasl *sasl)
{
	const struct outcome *outcome;
	struct session_counters counters;
	enum auth_result result = AUTH_MALFORMED;
	const char *any;
	size_t i;

	if (sasl->first) {
		end();
		for (i = 0; i < NMECHANISMS; i++)
			if (strcmp(table[i].name, sasl->mechanism) == 0)
				auth.mechanism = &table[i];
	}
	sasl->challenge_len = 0;
	if (auth.mechanism != NULL)
		result = auth.mechanism->step(conn, sasl);
	outcome = &outcomes[result];
	if (result == AUTH_CONTINUE)
		return outcome->verdict;
	if (result == AUTH_RIGHT) {
		strlcpy(conn->user, auth.user, sizeof(conn->user));
		strlcpy(conn->method, sasl->mechanism, sizeof(conn->method));
	}
	any = result == AUTH_RIGHT && conn->settings.auth_any &&
	    auth.mechanism->offered == offer_password ? "yes" : NULL;
	log_event("auth", "status", outcome->log,
	    "mechanism", sasl->mechanism, "user", given(auth.user),
	    "addr", conn->addr, "port", given(conn->port), "any", any,
	    "reason", outcome->reason, NULL);
	end();
	session_counters(&conn->session, &counters);
	if (outcome->slow)
		delay(counters.auth_failures);
	return outcome->verdict;
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

static void
end(void)
{
	scram_end();
	explicit_bzero(auth.user, sizeof(auth.user));
	explicit_bzero(auth.password, sizeof(auth.password));
	auth.mechanism = NULL;
}

/* auth.user and auth.password, asked of the source that is set. */
static enum auth_result
login(struct connection *conn)
{
	const struct settings *s = &conn->settings;

	/* Nor are they empty (RFC 4616 section 2). */
	if (!auth_text(auth.user, strlen(auth.user)) ||
	    !auth_text(auth.password, strlen(auth.password)))
		return AUTH_WRONG;
	if (s->auth_any)
		return AUTH_RIGHT;
	if (s->auth_file != NULL)
		return auth.broken ? AUTH_BROKEN :
		    passwd_check(auth.user, auth.password);
	return checkpw_check(conn, auth.user, auth.password);
}

/* As a string, if it is one and if there is room. */
static bool
keep(char *dst, size_t size, const void *src, size_t len)
{
	if (len >= size || memchr(src, '\0', len) != NULL)
		return false;
	memcpy(dst, src, len);
	dst[len] = '\0';
	return true;
}

/* [authzid] NUL authcid NUL password (RFC 4616 section 2). */
static enum auth_result
step_plain(struct connection *conn, struct session_sasl *sasl)
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
	if (!keep(auth.user, sizeof(auth.user), authcid, authcid_len) ||
	    !keep(auth.password, sizeof(auth.password), password,
	    password_len))
		return AUTH_WRONG;
	/* To act for someone else (an authzid) is nobody's right here. */
	if (authzid_len != 0 && !auth_equal(sasl->input, authzid_len,
	    authcid, authcid_len))
		return AUTH_WRONG;
	return login(conn);
}

/* Never specified; the prompts are what all servers say. */
static enum auth_result
step_login(struct connection *conn, struct session_sasl *sasl)
{
	const char *prompt;

	if (!sasl->have_input && !sasl->first)
		return AUTH_MALFORMED;
	if (sasl->have_input && auth.user[0] != '\0') {
		if (sasl->input_len != 0 && memchr(sasl->input, '\0',
		    sasl->input_len) != NULL)
			return AUTH_MALFORMED;
		return keep(auth.password, sizeof(auth.password), sasl->input,
		    sasl->input_len) ? login(conn) : AUTH_WRONG;
	}
	if (sasl->have_input && !auth_text(sasl->input, sasl->input_len))
		return AUTH_MALFORMED;
	if (sasl->have_input && !keep(auth.user, sizeof(auth.user),
	    sasl->input, sasl->input_len))
		return AUTH_MALFORMED;
	prompt = sasl->have_input ? "Password:" : "Username:";
	sasl->challenge_len = strlen(prompt);
	memcpy(sasl->challenge, prompt, sasl->challenge_len);
	return AUTH_CONTINUE;
}

static enum auth_result
step_scram(struct connection *conn, struct session_sasl *sasl)
{
	(void)conn;
	if (auth.broken)
		return AUTH_BROKEN;
	return scram_step(sasl, auth.user, false, auth.plus_offered);
}

static enum auth_result
step_plus(struct connection *conn, struct session_sasl *sasl)
{
	(void)conn;
	if (auth.broken)
		return AUTH_BROKEN;
	return scram_step(sasl, auth.user, true, true);
}

/*
 * The certificate, verified in the handshake, is the credential; who it is for
 * is its common name, of which there must be just one.  A client may say the
 * same name, or none.  An authority certifies more people than may send here,
 * so the name must be in our file as well.
 */
static enum auth_result
step_external(struct connection *conn, struct session_sasl *sasl)
{
	if (!sasl->have_input)
		return sasl->first ? AUTH_CONTINUE : AUTH_MALFORMED;
	if (!offer_external(conn) ||
	    !auth_text(conn->tls.name, strlen(conn->tls.name)) ||
	    !keep(auth.user, sizeof(auth.user), conn->tls.name,
	    strlen(conn->tls.name)))
		return AUTH_WRONG;
	if (sasl->input_len != 0 && !auth_equal(sasl->input, sasl->input_len,
	    auth.user, strlen(auth.user)))
		return AUTH_WRONG;
	if (auth.broken)
		return AUTH_BROKEN;
	switch (passwd_lists(auth.user)) {
	case 1:
		return AUTH_RIGHT;
	case 0:
		return AUTH_WRONG;
	default:
		return AUTH_BROKEN;
	}
}

bool
auth_equal(const void *a, size_t alen, const void *b, size_t blen)
{
	return alen == blen && gnutls_memcmp(a, b, alen) == 0;
}

/*
 * The length of the UTF-8 character at p (RFC 3629 section 4), at most left;
 * 0: none, or a control character.
 */
static size_t
character(const unsigned char *p, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = p[0];
	size_t i, n;

	if (c < 0x80)
		return c < 0x20 || c == 0x7f ? 0 : 1;
	n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc2 || c > 0xf4 || n > left)
		return 0;
	c &= 0x7fu >> n;
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	/* Overlong, a surrogate, above Unicode, or a C1 control. */
	if (c < least[n] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ||
	    c < 0xa0)
		return 0;
	return n;
}

bool
auth_text(const void *text, size_t len)
{
	const unsigned char *p = text;
	size_t n;

	if (len == 0)
		return false;
	for (; len > 0; p += n, len -= n)
		if ((n = character(p, len)) == 0)
			return false;
	return true;
}

/* Names of mechanisms that no source of these settings can serve. */
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
check(const struct settings *s)
{
	int problems = 0;

	if (s->auth == AUTH_OFF)
		return 0;
	problems += check_mechanisms(s);
	if (s->auth_file != NULL && s->auth_users != NULL) {
		warnx("auth-users: auth-file has the users");
		problems++;
	}
	if (s->auth_file != NULL && s->auth_program != NULL) {
		warnx("auth-file and auth-program: only one can be used");
		problems++;
	}
	if (s->auth_any && (s->auth_file != NULL || s->auth_program != NULL)) {
		warnx("auth-any: the file or program is never asked");
		problems++;
	}
	if (s->tls == TLS_OFF && !s->auth_cleartext) {
		warnx("auth: never offered, without tls or auth-cleartext");
		problems++;
	}
	if (s->auth_file != NULL)
		problems += passwd_test("auth-file", s->auth_file);
	else if (s->auth_users != NULL)
		problems += passwd_test("auth-users", s->auth_users);
	if (s->auth_program != NULL)
		problems += checkpw_test(s->auth_program);
	return problems;
}
