/* SPDX-License-Identifier: ISC */
/*
 * policy.c - asks a policy server whether a recipient or a message is welcome.
 *
 * The protocol is Postfix's policy delegation: lines "name=value" and a blank
 * line go there, "action=..." and a blank line come back.  Whatever goes wrong,
 * the client is told to come again later, unless policy-fail says otherwise;
 * all that a server sends is checked and has a limit.
 */
#include <sys/socket.h>
#include <sys/types.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "session/address.h"
#include "filter.h"
#include "filter/exchange.h"
#include "verdict.h"

#define TIME_MAX	100	/* seconds for an answer; Postfix's default */
#define REQUEST_SIZE	8192
#define VALUE_MAX	1024	/* octets of an attribute */
#define ANSWER_SIZE	4096
#define HEADER_MAX	998	/* octets of a line, RFC 5322 section 2.1.1 */

struct request {
	char		 buf[REQUEST_SIZE];
	size_t		 len;
};

struct action {
	const char	*name;
	void		(*apply)(struct policy_answer *, const struct action *,
			    const char *text, bool utf8);
	int		 code;
	const char	*status, *text;
};

static struct policy_answer the_answer;

static const struct session_verdict permitted = { .kind = SESSION_ACCEPT };

/* The answer. */

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static void
act_accept(struct policy_answer *a, const struct action *action,
    const char *text, bool utf8)
{
	(void)a, (void)action, (void)text, (void)utf8;
}

static void
act_note(struct policy_answer *a, const struct action *action,
    const char *text, bool utf8)
{
	(void)utf8;
	a->note = action->name;
	strlcpy(a->text, text, sizeof(a->text));
}

static void
act_discard(struct policy_answer *a, const struct action *action,
    const char *text, bool utf8)
{
	a->discard = true;
	act_note(a, action, text, utf8);
}

/* A status of another class than the code's would contradict it. */
static void
act_refuse(struct policy_answer *a, const struct action *action,
    const char *text, bool utf8)
{
	size_t len = address_status(text);

	(void)utf8;
	if (text[len] != '\0' && text[len] != ' ')
		len = 0;
	strlcpy(a->status, action->status, sizeof(a->status));
	if (len > 0) {
		memcpy(a->status, text, len);
		a->status[len] = '\0';
		a->status[0] = (char)('0' + action->code / 100);
		text += len + strspn(text + len, " ");
	}
	strlcpy(a->text, *text == '\0' ? action->text : text,
	    sizeof(a->text));
	session_refuse(&a->verdict, action->code, a->status, a->text);
}

/*
 * One header field on one line; RFC 6532 allows UTF-8 in it only where the
 * message may have it anyway.
 */
static void
act_prepend(struct policy_answer *a, const struct action *action,
    const char *text, bool utf8)
{
	size_t name = 0, len = strlen(text);
	char *s;

	(void)action;
	while (text[name] > ' ' && text[name] < 0x7f && text[name] != ':')
		name++;
	if (name == 0 || text[name] != ':') {
		a->fault = "PREPEND of what is no header field";
		return;
	}
	if (len > HEADER_MAX) {
		a->fault = "PREPEND of too long a line";
		return;
	}
	strlcpy(a->text, text, sizeof(a->text));
	for (s = a->text; *s != '\0'; s++)
		if ((is_control(*s) && *s != '\t') ||
		    ((unsigned char)*s >= 0x80 && !utf8))
			*s = '?';
	a->prepend = a->text;
}

/*
 * Nothing comes after the policy server that could permit or reject, so
 * DEFER_IF_PERMIT defers and DEFER_IF_REJECT has no effect.
 */
static const struct action actions[] = {
	{ "OK",			act_accept,	0, NULL, NULL },
	{ "PERMIT",		act_accept,	0, NULL, NULL },
	{ "DUNNO",		act_accept,	0, NULL, NULL },
	{ "DEFER_IF_REJECT",	act_accept,	0, NULL, NULL },
	{ "REJECT",		act_refuse,	554, "5.7.1", "Access denied" },
	{ "DEFER",		act_refuse,	450, "4.7.1", "Try later" },
	{ "DEFER_IF_PERMIT",	act_refuse,	450, "4.7.1", "Try later" },
	{ "PREPEND",		act_prepend,	0, NULL, NULL },
	{ "DISCARD",		act_discard,	0, NULL, NULL },
	{ "INFO",		act_note,	0, NULL, NULL },
	{ "WARN",		act_note,	0, NULL, NULL },
};

/* The value of the first "action" line, as a string in buf; or NULL. */
static const char *
find_action(char *buf, size_t size, const char *s, size_t len)
{
	const char *end = s + len, *line_end;
	size_t n;

	for (; s < end; s = line_end + 1) {
		if ((line_end = memchr(s, '\n', (size_t)(end - s))) == NULL)
			line_end = end;
		if (line_end - s < 7 || memcmp(s, "action=", 7) != 0)
			continue;
		n = (size_t)(line_end - s) - 7;
		if (n >= size || memchr(s, '\0', n + 7) != NULL)
			return NULL;
		memcpy(buf, s + 7, n);
		buf[n] = '\0';
		return buf;
	}
	return NULL;
}

/* "450 text": the reply itself. */
static bool
is_reply_code(const char *s, size_t len)
{
	return len == 3 && (s[0] == '4' || s[0] == '5') &&
	    isdigit((unsigned char)s[1]) && isdigit((unsigned char)s[2]);
}

static void
parse_code(struct policy_answer *a, const char *word, const char *text)
{
	struct action reply = { .text = "Refused" };

	reply.code = (word[0] - '0') * 100 + (word[1] - '0') * 10 +
	    word[2] - '0';
	reply.status = word[0] == '4' ? "4.7.1" : "5.7.1";
	act_refuse(a, &reply, text, false);
}

void
policy_parse(const char *s, size_t len, bool utf8, struct policy_answer *a)
{
	char buf[ANSWER_SIZE];
	const char *word, *text;
	size_t i, n;

	memset(a, 0, sizeof(*a));
	a->verdict.kind = SESSION_ACCEPT;
	if ((word = find_action(buf, sizeof(buf), s, len)) == NULL) {
		a->fault = "no action";
		return;
	}
	n = strcspn(word, " \t");
	text = word + n + strspn(word + n, " \t");
	if (is_reply_code(word, n)) {
		parse_code(a, word, text);
		return;
	}
	for (i = 0; i < nitems(actions); i++)
		if (strlen(actions[i].name) == n &&
		    strncasecmp(actions[i].name, word, n) == 0) {
			actions[i].apply(a, &actions[i], text, utf8);
			return;
		}
	a->fault = "action not supported";
}

/* The request. */

/* A value may not end its line: what is not printable becomes "?". */
static void
add_attribute(struct request *r, const char *name, const char *value)
{
	size_t i, start = r->len, name_len = strlen(name);
	size_t value_len = value == NULL ? 0 : strnlen(value, VALUE_MAX);

	if (value == NULL ||
	    name_len + value_len + 3 > sizeof(r->buf) - r->len)
		return;
	memcpy(r->buf + r->len, name, name_len);
	r->buf[r->len + name_len] = '=';
	start += name_len + 1;
	for (i = 0; i < value_len; i++)
		r->buf[start + i] = is_control(value[i]) ? '?' : value[i];
	r->buf[start + value_len] = '\n';
	r->len = start + value_len + 1;
}

static void
add_number(struct request *r, const char *name, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	add_attribute(r, name, text);
}

/* Postfix sends names from certificates in xtext (RFC 3461 section 4). */
static void
add_xtext(struct request *r, const char *name, const char *value)
{
	static const char hex[] = "0123456789ABCDEF";
	char text[VALUE_MAX], *to = text;

	if (value == NULL)
		return;
	for (; *value != '\0' && to < text + sizeof(text) - 3; value++) {
		if (*value > ' ' && *value < 0x7f && *value != '+' &&
		    *value != '=') {
			*to++ = *value;
			continue;
		}
		*to++ = '+';
		*to++ = hex[(unsigned char)*value >> 4];
		*to++ = hex[*value & 15];
	}
	*to = '\0';
	add_attribute(r, name, text);
}

/*
 * As in Postfix a client without an address is passed off as local, and the
 * zone of a link-local address, which not all servers can read, is left out.
 */
static void
build_client(struct request *r, const struct connection *c)
{
	bool local = strcmp(c->addr, "local") == 0;
	char addr[sizeof(c->addr)];

	strlcpy(addr, local ? "127.0.0.1" : c->addr, sizeof(addr));
	addr[strcspn(addr, "%")] = '\0';
	add_attribute(r, "client_address", addr);
	add_attribute(r, "client_name", local ? "localhost" : "unknown");
	add_attribute(r, "reverse_client_name",
	    local ? "localhost" : "unknown");
	add_attribute(r, "client_port", c->port[0] == '\0' ? "0" : c->port);
}

static void
build_server(struct request *r, const struct connection *c)
{
	union {
		struct sockaddr		 sa;
		struct sockaddr_storage	 any;
	} ours = { .sa.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(ours);
	char addr[sizeof(c->server_addr)], port[sizeof(c->server_port)];

	if (c->server_addr[0] != '\0') {
		add_attribute(r, "server_address", c->server_addr);
		add_attribute(r, "server_port", c->server_port);
		return;
	}
	if (getsockname(STDIN_FILENO, &ours.sa, &len) == -1 ||
	    !peer_text(&ours.sa, addr, sizeof(addr), port, sizeof(port)))
		return;
	addr[strcspn(addr, "%")] = '\0';
	add_attribute(r, "server_address", addr);
	add_attribute(r, "server_port", port);
}

static void
build_security(struct request *r, const struct connection *c)
{
	if (c->user[0] != '\0') {
		add_attribute(r, "sasl_method", c->method);
		add_attribute(r, "sasl_username", c->user);
		add_attribute(r, "sasl_sender", c->tx.auth);
	}
	add_attribute(r, "encryption_protocol", c->tls.protocol);
	add_attribute(r, "encryption_cipher", c->tls.cipher);
	add_number(r, "encryption_keysize", c->tls.bits);
	add_attribute(r, "tls_sni", c->tls.sni);
	add_xtext(r, "ccert_subject", c->tls.name);
	add_xtext(r, "ccert_issuer", c->tls.issuer);
	add_attribute(r, "ccert_fingerprint", c->tls.print);
	add_attribute(r, "ccert_pubkey_fingerprint", c->tls.key_print);
}

/* What both questions have in common. */
static void
build_request(struct request *r, struct connection *c, const char *state)
{
	char instance[sizeof(c->id) + 16];

	r->len = 0;
	snprintf(instance, sizeof(instance), "%s.%u", c->id, c->messages);
	add_attribute(r, "request", "smtpd_access_policy");
	add_attribute(r, "protocol_state", state);
	add_attribute(r, "protocol_name", c->settings.lmtp ? "LMTP" :
	    c->session.esmtp ? "ESMTP" : "SMTP");
	add_attribute(r, "helo_name", session_helo(&c->session));
	add_attribute(r, "queue_id", c->id);
	add_attribute(r, "instance", instance);
	add_attribute(r, "sender", c->tx.sender);
	build_client(r, c);
	build_server(r, c);
	build_security(r, c);
}

static void
build_end(struct request *r)
{
	r->buf[r->len++] = '\n';
}

/* The question and what becomes of the answer. */

static struct session_verdict
no_answer(const struct connection *c)
{
	return c->settings.policy_fail_accept ? permitted :
	    verdict_refuse(451, "4.3.5", "Policy server trouble");
}

/*
 * The question got no answer.  Being stopped is not a failure of the server, so
 * policy-fail = accept does not apply.  Nor does it apply to the other
 * recipients of a transaction in which one timed out: they come again and are
 * asked about then.
 */
static struct session_verdict
unanswered(const struct connection *c, const struct server *s, int error)
{
	if (conn_stopped())
		return verdict_refuse(451, "4.3.2",
		    "Service is shutting down");
	if (error == EALREADY)
		return verdict_refuse(451, "4.3.5", "Policy server trouble");
	log_error(error, "policy", s->text);
	return no_answer(c);
}

/* header_open: there is still time to put lines on top of the message. */
static bool
apply(struct connection *c, const struct policy_answer *a, bool header_open,
    const char **fault)
{
	*fault = a->fault;
	if (*fault != NULL)
		return false;
	if (a->discard)
		c->tx.discard = true;
	if (a->prepend == NULL)
		return true;
	if (!header_open)
		*fault = "PREPEND comes too late";
	else if (strings_add_within(&c->tx.lines, a->prepend,
	    FILTER_LINES_MAX) == -1)
		*fault = "PREPEND of too much";
	return *fault == NULL;
}

static struct session_verdict
question(struct connection *c, const struct server *s,
    const struct request *r, bool header_open)
{
	char buf[ANSWER_SIZE];
	const char *fault;
	ssize_t len;

	len = exchange(s, r->buf, r->len, buf, sizeof(buf) - 1,
	    c->settings.timeout < TIME_MAX ? c->settings.timeout : TIME_MAX);
	if (len == -1)
		return unanswered(c, s, errno);
	policy_parse(buf, (size_t)len, c->tx.mail.utf8, &the_answer);
	if (the_answer.note != NULL)
		log_event("policy", "action", the_answer.note, "text",
		    the_answer.text, NULL);
	if (apply(c, &the_answer, header_open, &fault))
		return the_answer.verdict;
	buf[len] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	log_event("error", "what", "policy", "on", s->text, "error",
	    fault, "answer", buf, NULL);
	return no_answer(c);
}

/* The hooks. */

static bool
policy_wanted(const struct settings *set)
{
	return set->servers[POLICY][0].text != NULL ||
	    set->servers[POLICY_END][0].text != NULL;
}

/* One server after the other; the first that refuses ends it. */
static struct session_verdict
ask_all(struct connection *c, int list, const struct request *r,
    bool header_open)
{
	const struct server *s = c->settings.servers[list];
	struct session_verdict v = permitted;
	size_t i;

	for (i = 0; i < SERVERS_MAX && s[i].text != NULL &&
	    v.kind == SESSION_ACCEPT; i++)
		v = question(c, &s[i], r, header_open);
	return v;
}

static struct session_verdict
policy_rcpt(struct connection *c, const struct session_rcpt *rcpt)
{
	static struct request r;

	if (c->settings.servers[POLICY][0].text == NULL)
		return permitted;
	build_request(&r, c, "RCPT");
	add_attribute(&r, "recipient", rcpt->path);
	add_number(&r, "recipient_count", 0);
	add_number(&r, "size", c->tx.mail.size);
	build_end(&r);
	return ask_all(c, POLICY, &r, true);
}

static struct session_verdict
policy_end(struct connection *c, uint64_t size)
{
	static struct request r;

	if (c->settings.servers[POLICY_END][0].text == NULL)
		return permitted;
	build_request(&r, c, "END-OF-MESSAGE");
	add_attribute(&r, "recipient", c->tx.recipients.count == 1 ?
	    strings_at(&c->tx.recipients, 0) : "");
	add_number(&r, "recipient_count", c->tx.recipients.count);
	add_number(&r, "size", size);
	build_end(&r);
	return ask_all(c, POLICY_END, &r, false);
}

static void
policy_reset(struct connection *c)
{
	(void)c;
	exchange_reset();
}

/* -t */

static int
policy_check(const struct settings *set)
{
	return server_check("policy", set->servers[POLICY]) +
	    server_check("policy-end", set->servers[POLICY_END]);
}

const struct filter policy_filter = {
	.name = "policy", .wanted = policy_wanted,
	.rcpt = policy_rcpt, .end = policy_end,
	.reset = policy_reset, .check = policy_check
};
