/* SPDX-License-Identifier: ISC */
/*
 * command.c - the verbs: one table that says everything about each, and a
 * function for each that does it.
 */
#include "engine.h"

#include <string.h>

#include "address.h"

/* When a verb may be used, and what with; see may_run(). */
#define V_HELO		(1u << 0)	/* only after a greeting */
#define V_NO_ARG	(1u << 1)
#define V_ARG		(1u << 2)	/* needs an argument */
#define V_JUNK		(1u << 3)	/* leads nowhere: counted */
#define V_CLEAR		(1u << 4)	/* even where TLS is required */
#define V_SMTP		(1u << 5)	/* not in LMTP */
#define V_LMTP		(1u << 6)	/* only there */
#define V_PAYLOAD	(1u << 7)	/* octets follow, refused or not */
#define V_VERIFY	(1u << 8)	/* only with that hook */
#define V_EARLY		(1u << 9)	/* V_HELO only where syntax is strict */

struct verb {
	const char	*name;
	enum reply	 (*run)(struct session *, char *arg);
	unsigned	 flags;
	unsigned	 extension;	/* that it is a part of, or 0 */
};

/* A refusal of the engine's own, for a log. */
static enum reply
refused(struct session *s, enum session_refused what, const char *path,
    enum reply why)
{
	if (why != R_NONE && why != R_SAID)
		engine_refused(s, what, path, why);
	return why;
}

/*
 * Mail must not be refused because a name is wrong (RFC 5321 section 4.1.4),
 * so any name that is not empty will do.
 */
static enum reply
greet(struct session *s, const char *name, bool esmtp)
{
	if (s->config->strict)
		s->detail = address_helo(name);
	else if (strlen(name) > SESSION_NAME_MAX)
		s->detail = "more than 255 octets";
	if (s->detail != NULL) {
		s->helo_refused = !s->greeted;
		return refused(s, SESSION_REFUSED_HELO, NULL, R_HELO_NAME);
	}
	/* It stays there until it is answered; see session_idle(). */
	memmove(s->buffers->line, name, strlen(name) + 1);
	s->helo_esmtp = esmtp;
	engine_ask(s, ASK_HELO, helo, s->buffers->line);
	return R_NONE;
}

/*
 * A name is kept in a form that can be written anywhere: what could be taken
 * for something else in a trace field or a log becomes a question mark.
 */
static void
keep_helo(struct session *s, const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++)
		s->helo[i] = address_is_alnum(name[i]) ||
		    strchr(".-_:[]", name[i]) != NULL ? name[i] : '?';
	s->helo[i] = '\0';
}

/* EHLO and HELO end a transaction as RSET does (RFC 5321 section 4.1.4). */
static void
helo_answered(struct session *s, const struct session_verdict *v)
{
	if (v->kind != SESSION_ACCEPT) {
		s->helo_refused = !s->greeted;
		reply_verdict(s, v, R_HELO, R_REFUSED);
		return;
	}
	engine_end_transaction(s);
	keep_helo(s, s->buffers->line);
	s->greeted = true;
	s->helo_refused = false;
	s->esmtp = s->helo_esmtp;
	if (s->esmtp)
		ehlo_announce(s);
	else
		reply_verdict(s, v, R_HELO, R_REFUSED);
}

static enum reply
cmd_helo(struct session *s, char *arg)
{
	return greet(s, arg, false);
}

static enum reply
cmd_ehlo(struct session *s, char *arg)
{
	return greet(s, arg, true);
}

/* The keyword's length if the line begins with it, in any case, or 0. */
static size_t
keyword_at(const char *p, const char *keyword)
{
	size_t n;

	for (n = 0; keyword[n] != '\0'; n++)
		if (p[n] != keyword[n] && (p[n] & ~0x20) != keyword[n])
			return 0;
	return n;
}

/* keyword "FROM:" or "TO:" in any case; what follows it, or NULL. */
static char *
after_keyword(char *p, const char *keyword)
{
	size_t n = keyword_at(p, keyword);

	return n > 0 ? p + n : NULL;
}

/* FROM:<path> [parameters]: the parameters, or NULL. */
static char *
parse_path(struct session *s, char *arg, const char *keyword,
    struct address *a)
{
	char *p = after_keyword(arg, keyword);
	const char *end;

	a->strict = s->config->strict;
	a->domain = engine_name(s);
	if (p != NULL && !a->strict)
		p += address_blanks(p) - p;
	if (p == NULL || *p++ != ':')
		return NULL;
	end = address_path(p, a);
	s->detail = a->fault;
	return end == NULL ? NULL : p + (end - p);
}

static enum reply
parse_mail(struct session *s, char *arg, struct address *a,
    struct session_mail *m)
{
	enum reply why;
	char *p = parse_path(s, arg, "FROM", a);

	if (p == NULL && a->fault == NULL)
		return R_MAIL_SYNTAX;
	if (p != NULL && a->strict && a->bare)
		s->detail = a->fault = "no domain";
	if (a->fault != NULL)
		return R_SENDER;
	m->path = a->text;
	if ((why = parameter_mail(s, p, m)) != R_NONE)
		return why;
	return a->utf8 && !m->utf8 ? R_NEEDS_UTF8 : R_NONE;
}

static enum reply
cmd_mail(struct session *s, char *arg)
{
	struct session_mail m = { 0 };
	struct address a = { 0 };
	enum reply why;

	if (s->tx.mail)
		return R_NESTED_MAIL;
	if ((why = parse_mail(s, arg, &a, &m)) == R_SAID)
		return why;
	if (s->config->max_messages != 0 &&
	    s->messages >= s->config->max_messages)
		why = R_TOO_MANY_MESSAGES;
	if (s->config->auth_required && !s->authenticated)
		why = R_AUTH_REQUIRED;
	if (why != R_NONE)
		return refused(s, SESSION_REFUSED_MAIL, m.path, why);
	s->tx.body = m.body;
	s->tx.utf8 = m.utf8;
	engine_ask(s, ASK_MAIL, mail, &m);
	return R_NONE;
}

static void
mail_answered(struct session *s, const struct session_verdict *v)
{
	s->tx.mail = v->kind == SESSION_ACCEPT;
	if (!s->tx.mail)
		engine_end_transaction(s);
	reply_verdict(s, v, R_MAIL, R_REFUSED);
}

static enum reply
parse_rcpt(struct session *s, char *arg, struct address *a,
    struct session_rcpt *r)
{
	enum reply why;
	char *p = parse_path(s, arg, "TO", a);

	if (p == NULL && a->fault == NULL)
		return R_RCPT_SYNTAX;
	if (p != NULL && *a->text == '\0')
		s->detail = a->fault = "nobody";
	if (a->fault != NULL)
		return R_RECIPIENT;
	r->path = a->text;
	if ((why = parameter_rcpt(s, p, r)) != R_NONE)
		return why;
	if (a->utf8 && !s->tx.utf8)
		return R_NEEDS_UTF8;
	return engine_over(s->tx.recipients + 1, s->config->max_recipients) ?
	    R_TOO_MANY_RECIPIENTS : R_NONE;
}

static enum reply
cmd_rcpt(struct session *s, char *arg)
{
	struct session_rcpt r = { 0 };
	struct address a = { .alone = true };
	enum reply why;

	if (!s->tx.mail || s->tx.message)
		return R_MAIL_FIRST;
	s->charge = SESSION_CHARGE_RECIPIENT;
	if ((why = parse_rcpt(s, arg, &a, &r)) != R_NONE)
		return refused(s, SESSION_REFUSED_RCPT, r.path, why);
	engine_ask(s, ASK_RCPT, rcpt, &r);
	return R_NONE;
}

static void
rcpt_answered(struct session *s, const struct session_verdict *v)
{
	s->tx.recipients += v->kind == SESSION_ACCEPT;
	reply_verdict(s, v, R_RCPT, R_REFUSED_RCPT);
}

/* RFC 2033 section 4.2 wants another code than RFC 5321 section 3.3. */
static enum reply
no_recipients(const struct session *s)
{
	return s->config->lmtp ? R_RCPT_FIRST : R_NO_RECIPIENTS;
}

static enum reply
cmd_data(struct session *s, char *arg)
{
	(void)arg;
	if (!s->tx.mail)
		return R_MAIL_FIRST;
	if (s->tx.by_bdat)
		return R_MIXED;		/* RFC 3030 section 2 */
	if (s->tx.body == SESSION_BODY_BINARY)
		return R_USE_BDAT;	/* RFC 3030 section 3 */
	if (s->tx.recipients == 0)
		return no_recipients(s);
	engine_ask(s, ASK_DATA, data);
	return R_NONE;
}

static void
message_answered(struct session *s, const struct session_verdict *v)
{
	if (v->kind != SESSION_ACCEPT) {
		engine_end_transaction(s);
		reply_verdict(s, v, R_START_INPUT, R_LOCAL_ERROR);
		return;
	}
	reply(s, R_START_INPUT);
	data_start(s);
}

/* size ["LAST"] */
static bool
parse_chunk(struct session *s, char *arg, uint64_t *size)
{
	char *last = arg == NULL ? NULL : arg + strcspn(arg, " \t");

	s->tx.last = false;
	if (last != NULL && *last != '\0') {
		*last++ = '\0';
		if (!s->config->strict)
			last += address_blanks(last) - last;
		s->tx.last = after_keyword(last, "LAST") == last + 4 &&
		    last[4] == '\0';
		if (!s->tx.last)
			return false;
	}
	return parameter_number(arg, size);
}

/*
 * chunk_refusal is the reply if may_run() refused it.  When the size of what
 * follows is unknown, the only way on is to end the session.
 */
static enum reply
cmd_bdat(struct session *s, char *arg)
{
	uint64_t size;
	enum reply why = (enum reply)s->chunk_refusal;

	if (!parse_chunk(s, arg, &size))
		return R_BDAT_SYNTAX;
	if (why == R_NONE && !s->tx.mail)
		why = R_MAIL_FIRST;
	if (why == R_NONE && s->tx.recipients == 0)
		why = no_recipients(s);
	if (why == R_NONE && size == 0 && !s->tx.last && !engine_junk(s))
		return R_TOO_MUCH_JUNK;
	s->chunk = size;
	s->chunk_refusal = (int)why;
	if (why == R_NONE && !s->tx.message)
		engine_ask(s, ASK_BDAT, data);
	else
		chunk_start(s, size, why);
	return R_NONE;
}

/*
 * A refused first BDAT is answered before its octets are swallowed.  In LMTP
 * one with LAST is owed a reply for each recipient all the same: its client,
 * unlike that of DATA, can't tell a refusal from the first of these, and waits
 * for all of them (RFC 2033 section 4.3).  The hook's words are in the first.
 */
static void
bdat_answered(struct session *s, const struct session_verdict *v)
{
	if (v->kind == SESSION_ACCEPT) {
		chunk_start(s, s->chunk, R_NONE);
		return;
	}
	reply_verdict(s, v, R_CHUNK, R_LOCAL_ERROR);
	if (s->state == SESSION_STATE_CLOSED)
		return;
	if (s->config->lmtp && s->tx.last) {
		s->tx.refusal = v->code >= 500 && v->code <= 599 ? R_REFUSED :
		    R_LOCAL_ERROR;
		s->tx.reported = 1;
	} else
		engine_end_transaction(s);
	chunk_start(s, s->chunk, R_SAID);
}

static enum reply
cmd_rset(struct session *s, char *arg)
{
	(void)arg;
	engine_end_transaction(s);
	return R_OK;
}

static enum reply
cmd_noop(struct session *s, char *arg)
{
	(void)s;
	(void)arg;
	return R_OK;
}

static enum reply
cmd_quit(struct session *s, char *arg)
{
	(void)s;
	(void)arg;
	return R_CLOSING;
}

/* VRFY and EXPN; RFC 6531 section 3.7.4.2 gives them a parameter. */
static enum reply
verify(struct session *s, char *arg, bool expand)
{
	static const char keyword[] = " SMTPUTF8";
	size_t n = strlen(arg);
	const char *p;

	if (n >= sizeof(keyword) && engine_offers(s, SESSION_EXT_SMTPUTF8) &&
	    after_keyword(arg + n - (sizeof(keyword) - 1), keyword) != NULL)
		arg[n - (sizeof(keyword) - 1)] = '\0';
	else
		for (p = arg; *p != '\0'; p++)
			if ((unsigned char)*p >= 0x80)
				return R_NEEDS_UTF8;
	for (p = arg; *p != '\0'; )
		if ((unsigned char)*p < 0x80)
			p++;
		else if (address_utf8(p) > 0)
			p += address_utf8(p);
		else {
			s->detail = "the argument";
			return R_PARAMETER_VALUE;
		}
	engine_ask(s, ASK_VERIFY, verify, arg, expand);
	return R_NONE;
}

static void
verify_answered(struct session *s, const struct session_verdict *v)
{
	reply_verdict(s, v, R_VERIFY, R_REFUSED_RCPT);
}

static enum reply
cmd_vrfy(struct session *s, char *arg)
{
	return verify(s, arg, false);
}

static enum reply
cmd_expn(struct session *s, char *arg)
{
	return verify(s, arg, true);
}

/* Where TLS is in another program, nobody is left to end a transaction. */
static enum reply
cmd_starttls(struct session *s, char *arg)
{
	(void)arg;
	if (s->more)
		return R_GLUED;
	engine_end_transaction(s);
	engine_ask(s, ASK_STARTTLS, starttls);
	return R_NONE;
}

static void
starttls_answered(struct session *s, const struct session_verdict *v)
{
	if (v->kind != SESSION_ACCEPT) {
		reply_verdict(s, v, R_STARTTLS, R_NO_TLS_NOW);
		return;
	}
	reply(s, R_STARTTLS);
	s->state = SESSION_STATE_TLS;
}

static enum reply
cmd_http(struct session *s, char *arg)
{
	(void)s;
	(void)arg;
	return R_HTTP;
}

static enum reply
cmd_proxy(struct session *s, char *arg)
{
	(void)arg;
	return refused(s, SESSION_REFUSED_LINE, NULL, R_PROXY);
}

static enum reply
cmd_obsolete(struct session *s, char *arg)
{
	(void)s;
	(void)arg;
	return R_OBSOLETE;
}

static enum reply	cmd_help(struct session *, char *);

static const struct verb verbs[] = {
	{ "HELO",	cmd_helo,	V_ARG | V_JUNK | V_CLEAR | V_SMTP, 0 },
	{ "EHLO",	cmd_ehlo,	V_ARG | V_JUNK | V_CLEAR | V_SMTP, 0 },
	{ "LHLO",	cmd_ehlo,	V_ARG | V_JUNK | V_CLEAR | V_LMTP, 0 },
	{ "MAIL",	cmd_mail,	V_HELO | V_ARG, 0 },
	{ "RCPT",	cmd_rcpt,	V_HELO | V_ARG, 0 },
	{ "DATA",	cmd_data,	V_HELO | V_NO_ARG, 0 },
	{ "BDAT",	cmd_bdat,	V_HELO | V_PAYLOAD,
	    SESSION_EXT_CHUNKING },
	{ "RSET",	cmd_rset,	V_NO_ARG | V_JUNK, 0 },
	{ "NOOP",	cmd_noop,	V_JUNK | V_CLEAR, 0 },
	{ "QUIT",	cmd_quit,	V_NO_ARG | V_CLEAR, 0 },
	{ "VRFY",	cmd_vrfy,	V_ARG | V_JUNK, 0 },
	{ "EXPN",	cmd_expn,	V_ARG | V_JUNK | V_VERIFY, 0 },
	{ "HELP",	cmd_help,	V_JUNK, 0 },
	{ "STARTTLS",	cmd_starttls,	V_HELO | V_EARLY | V_NO_ARG | V_CLEAR,
	    SESSION_EXT_STARTTLS },
	{ "AUTH",	sasl_start,	V_HELO | V_ARG, SESSION_EXT_AUTH },
	{ "SEND",	cmd_obsolete,	0, 0 },
	{ "SOML",	cmd_obsolete,	0, 0 },
	{ "SAML",	cmd_obsolete,	0, 0 },
	{ "TURN",	cmd_obsolete,	0, 0 },
	{ "PROXY",	cmd_proxy,	V_CLEAR, 0 },
	/* A browser that was sent here, or worse (ALPACA). */
	{ "GET",	cmd_http,	V_CLEAR, 0 },
	{ "POST",	cmd_http,	V_CLEAR, 0 },
	{ "PUT",	cmd_http,	V_CLEAR, 0 },
	{ "HEAD",	cmd_http,	V_CLEAR, 0 },
	{ "PATCH",	cmd_http,	V_CLEAR, 0 },
	{ "DELETE",	cmd_http,	V_CLEAR, 0 },
	{ "TRACE",	cmd_http,	V_CLEAR, 0 },
	{ "OPTIONS",	cmd_http,	V_CLEAR, 0 },
	{ "CONNECT",	cmd_http,	V_CLEAR, 0 },
	{ "PRI",	cmd_http,	V_CLEAR, 0 },
	{ "HOST:",	cmd_http,	V_CLEAR, 0 },
};

/* Why the verb is of no use in this session so far, or R_NONE. */
static enum reply
unavailable(struct session *s, const struct verb *v)
{
	bool early = !s->config->strict && v->flags & V_EARLY;
	enum reply why;

	if (v->flags & (s->config->lmtp ? V_SMTP : V_LMTP))
		return s->config->lmtp ? R_USE_LHLO : R_USE_EHLO;
	if (v->flags & V_HELO && !s->greeted && !early)
		return s->helo_refused ? R_HELO_REFUSED : R_HELO_FIRST;
	if (v->flags & V_VERIFY && s->hooks->verify == NULL)
		return R_OBSOLETE;
	why = v->extension == 0 ? R_NONE : engine_refuses(s, v->extension);
	return why == R_NOT_OFFERED && v->run == sasl_start ?
	    R_AUTH_NOT_OFFERED : why;
}

/* List the verbs that would be accepted now, whatever their order. */
static enum reply
cmd_help(struct session *s, char *arg)
{
	char list[SESSION_TEXT_MAX] = "2.0.0 Commands:";
	size_t i, n, len = strlen(list);
	bool codes = s->config->extensions & SESSION_EXT_STATUSCODES;

	(void)arg;
	for (i = 0; verbs[i].run != cmd_obsolete; i++) {
		if (unavailable(s, &verbs[i]) != R_NONE)
			continue;
		n = strlen(verbs[i].name);
		list[len++] = ' ';
		memcpy(list + len, verbs[i].name, n + 1);
		len += n;
	}
	/* On each line (RFC 2034 section 3). */
	reply_line(s, 214, '-', codes ? list : list + strlen("2.0.0 "));
	return R_HELP;
}

/* The verb that begins the line; *arg: what follows its blank, or NULL. */
static const struct verb *
find_verb(const struct session *s, char *line, char **arg)
{
	size_t i, n = strcspn(line, " \t");
	char *end;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		end = after_keyword(line, verbs[i].name);
		if (end == NULL || (size_t)(end - line) != n)
			continue;
		if (*end == '\0')
			return &verbs[i];
		*arg = end + 1;
		if (!s->config->strict)
			*arg += address_blanks(*arg) - *arg;
		return &verbs[i];
	}
	return NULL;
}

/* STARTTLS must be alone even where nothing depends on the others. */
static bool
has_argument(const struct session *s, const struct verb *v, const char *arg)
{
	return v->flags & V_NO_ARG && arg != NULL &&
	    (s->config->strict || v->run == cmd_starttls);
}

/* Why the verb may not be used here, or in this way, or R_NONE. */
static enum reply
may_run(struct session *s, const struct verb *v, const char *arg)
{
	enum reply why = unavailable(s, v);

	if (why == R_USE_EHLO || why == R_USE_LHLO)
		return why;
	if (has_argument(s, v, arg))
		return R_NO_ARGUMENT;
	if (v->flags & V_ARG && arg == NULL)
		return R_ARGUMENT;
	if (s->config->tls_required && !s->tls && !(v->flags & V_CLEAR))
		return R_TLS_REQUIRED;
	return why;
}

/*
 * For a log.  A command that is only out of order follows from an earlier
 * refusal, as RCPT does from a refused MAIL.
 */
static void
report_refusal(struct session *s, const struct verb *v, enum reply why)
{
	bool order = reply_code(why) == 503;

	if (v->run == cmd_helo || v->run == cmd_ehlo)
		refused(s, SESSION_REFUSED_HELO, NULL, why);
	else if (v->run == sasl_start)
		refused(s, SESSION_REFUSED_AUTH, NULL, why);
	else if (v->run == cmd_mail && !order)
		refused(s, SESSION_REFUSED_MAIL, NULL, why);
	else if (v->run == cmd_rcpt && !order && why != R_TLS_REQUIRED)
		refused(s, SESSION_REFUSED_RCPT, NULL, why);
}

static enum reply
run(struct session *s, const struct verb *v, char *arg)
{
	enum reply why = may_run(s, v, arg);

	report_refusal(s, v, why);
	if (v->flags & V_JUNK && (why == R_NONE || why == R_OBSOLETE) &&
	    !engine_junk(s))
		return R_TOO_MUCH_JUNK;
	if (v->flags & V_PAYLOAD) {
		s->chunk_refusal = (int)why;
		why = R_NONE;
	}
	return why == R_NONE ? v->run(s, arg) : why;
}

static void
unknown_answered(struct session *s, const struct session_verdict *v)
{
	if (v->kind != SESSION_ACCEPT || !s->restart) {
		reply_verdict(s, v, R_OK, R_UNKNOWN);
		return;
	}
	engine_forget(s);
	engine_connect(s);
}

static enum reply
unknown(struct session *s, const char *line)
{
	if (s->hooks->unknown != NULL && !engine_junk(s))
		return R_TOO_MUCH_JUNK;
	s->restart = false;
	engine_ask_or(s, SESSION_REFUSE, ASK_UNKNOWN, unknown, line);
	return R_NONE;
}

/*
 * No hook is given a control octet, so a tab becomes a blank; but not in MAIL
 * and RCPT, where it may be inside quotes and is refused.
 */
static void
replace_tabs(char *line, const struct verb *v)
{
	if (v != NULL && (v->run == cmd_mail || v->run == cmd_rcpt))
		return;
	while ((line = strchr(line, '\t')) != NULL)
		*line++ = ' ';
}

/*
 * White space at the end is tolerated in any case (RFC 5321 section 4.1.1).
 * Parsing cuts the line up: its beginning is kept for a log, but not that of
 * AUTH, nor of an unknown command, which may be the password after a refused
 * AUTH.
 */
void
command_line(struct session *s, char *line)
{
	char said[SESSION_SAID_MAX + 1];
	const struct verb *v;
	size_t n = strlen(line);
	char *arg = NULL;
	bool auth;

	while (n > 0 && address_is_blank(line[n - 1]))
		line[--n] = '\0';
	v = find_verb(s, line, &arg);
	replace_tabs(line, v);
	auth = v != NULL && v->run == sasl_start;
	s->auth_said |= auth;
	s->line_secret |= v == NULL;
	s->charge = SESSION_CHARGE_FULL;
	engine_tell(s, command, v == NULL ? "?" : auth ? "AUTH" : line, auth);
	n = v == NULL || auth ? 0 : strnlen(line, SESSION_SAID_MAX);
	memcpy(said, line, n);
	said[n] = '\0';
	s->said = n > 0 ? said : NULL;
	s->detail = NULL;
	if (!engine_muted(s))
		reply(s, v == NULL ? unknown(s, line) : run(s, v, arg));
	s->said = NULL;
}

/* RFC 5321 section 3.1 has 554 for a lasting refusal; otherwise it is 421. */
static void
connect_answered(struct session *s, const struct session_verdict *v)
{
	struct session_verdict refusal;

	if (v->kind == SESSION_ACCEPT) {
		reply_banner(s, v->text);
		return;
	}
	refusal = *v;
	if (v->kind != SESSION_REFUSE)
		session_refuse(&refusal, 400, "4.3.0",
		    reply_text(R_LOCAL_ERROR));
	refusal.code = refusal.code >= 400 && refusal.code < 500 ? 421 : 554;
	reply_verdict(s, &refusal, R_NONE, R_NO_SERVICE);
	engine_close(s);
}

void
command_answered(struct session *s, enum question what,
    const struct session_verdict *v)
{
	static void (*const answered[])(struct session *,
	    const struct session_verdict *) = {
		[ASK_CONNECT] = connect_answered, [ASK_HELO] = helo_answered,
		[ASK_MAIL] = mail_answered, [ASK_RCPT] = rcpt_answered,
		[ASK_DATA] = message_answered, [ASK_BDAT] = bdat_answered,
		[ASK_VERIFY] = verify_answered,
		[ASK_UNKNOWN] = unknown_answered,
		[ASK_STARTTLS] = starttls_answered,
	};

	answered[what](s, v);
}
