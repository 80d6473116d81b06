/* SPDX-License-Identifier: ISC */
/*
 * milter_step.c - one command to one filter, and what its answer means.
 *
 * One table has the commands, the macros that go before each, and what a filter
 * may have asked to be spared.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter.h"
#include "verdict.h"

struct step {
	enum milter_command command;
	uint32_t	 unwanted, mute;	/* a filter's terms */
	void		(*macros)(struct milter_output *,
			    const struct connection *, const void *);
	void		(*build)(struct milter_output *,
			    const struct connection *, const void *);
};

/* Building. */

void
milter_macros(struct milter_output *o, enum milter_command command, ...)
{
	unsigned char letter = (unsigned char)command;
	const char *name, *value;
	va_list args;

	milter_begin(o, MILTER_MACRO);
	milter_put(o, &letter, 1);
	va_start(args, command);
	while ((name = va_arg(args, const char *)) != NULL) {
		value = va_arg(args, const char *);
		if (value == NULL || *value == '\0')
			continue;
		milter_put_string(o, name);
		milter_put_string(o, value);
	}
	va_end(args);
	milter_finish(o);
}

/* As in Received: the session's id and the message's number. */
void
milter_id(const struct connection *c, char *id, size_t size)
{
	snprintf(id, size, "%s-%u", c->id, c->messages);
}

static void
macros_connect(struct milter_output *o, const struct connection *c,
    const void *none)
{
	(void)none;
	milter_macros(o, MILTER_CONNECT, "j", c->settings.hostname,
	    "{daemon_name}", "smtpd", NULL);
}

static void
macros_helo(struct milter_output *o, const struct connection *c,
    const void *none)
{
	char bits[12];

	(void)none;
	if (c->tls.protocol == NULL)
		return;
	snprintf(bits, sizeof(bits), "%u", c->tls.bits);
	milter_macros(o, MILTER_HELO, "{tls_version}", c->tls.protocol,
	    "{cipher}", c->tls.cipher, "{cipher_bits}", bits,
	    "{cert_subject}", c->tls.client, "{cert_issuer}",
	    c->tls.client != NULL ? c->tls.issuer : NULL, NULL);
}

static void
macros_mail(struct milter_output *o, const struct connection *c,
    const void *argument)
{
	const struct session_mail *m = argument;
	char id[sizeof(c->id) + 12];

	milter_id(c, id, sizeof(id));
	milter_macros(o, MILTER_MAIL, "i", id, "{mail_addr}", m->path,
	    "{auth_authen}", c->user, "{auth_type}",
	    c->user[0] != '\0' ? c->method : NULL, NULL);
}

static void
macros_rcpt(struct milter_output *o, const struct connection *c,
    const void *path)
{
	(void)c;
	milter_macros(o, MILTER_RCPT, "{rcpt_addr}", path, NULL);
}

static void
macros_id(struct milter_output *o, const struct connection *c,
    const void *command)
{
	char id[sizeof(c->id) + 12];

	milter_id(c, id, sizeof(id));
	milter_macros(o, *(const enum milter_command *)command, "i", id, NULL);
}

/*
 * There is no DNS here: the client's name is its address.  A client without an
 * address is passed off as local, as to policy servers; an IPv6 zone means
 * nothing to others.
 */
static void
build_connect(struct milter_output *o, const struct connection *c,
    const void *none)
{
	bool local = strcmp(c->addr, "local") == 0;
	char addr[sizeof(c->addr)], name[sizeof(c->addr) + 2];
	unsigned long port = strtoul(c->port, NULL, 10);
	unsigned char head[3];

	(void)none;
	strlcpy(addr, local ? "127.0.0.1" : c->addr, sizeof(addr));
	addr[strcspn(addr, "%")] = '\0';
	snprintf(name, sizeof(name), "[%s]", addr);
	milter_put_string(o, local ? "localhost" : name);
	head[0] = strchr(addr, ':') != NULL ? '6' : '4';
	head[1] = (unsigned char)(port >> 8);
	head[2] = (unsigned char)port;
	milter_put(o, head, sizeof(head));
	milter_put_string(o, addr);
}

static void
build_helo(struct milter_output *o, const struct connection *c,
    const void *none)
{
	(void)none;
	milter_put_string(o, session_helo(&c->session));
}

static void
build_path(struct milter_output *o, const char *path)
{
	milter_put(o, "<", 1);
	milter_put(o, path, strlen(path));
	milter_put_string(o, ">");
}

/* With the parameters that a filter may want, as the client gave them. */
static void
build_mail(struct milter_output *o, const struct connection *c,
    const void *argument)
{
	static const char *const bodies[] = {
		[SESSION_BODY_7BIT] = "BODY=7BIT",
		[SESSION_BODY_8BIT] = "BODY=8BITMIME",
		[SESSION_BODY_BINARY] = "BODY=BINARYMIME",
	};
	const struct session_mail *m = argument;
	char size[32];

	(void)c;
	build_path(o, m->path);
	if (m->size != 0) {
		snprintf(size, sizeof(size), "SIZE=%llu",
		    (unsigned long long)m->size);
		milter_put_string(o, size);
	}
	if (m->body != SESSION_BODY_NONE)
		milter_put_string(o, bodies[m->body]);
	if (m->utf8)
		milter_put_string(o, "SMTPUTF8");
}

static void
build_rcpt(struct milter_output *o, const struct connection *c,
    const void *path)
{
	(void)c;
	build_path(o, path);
}

static void
build_nothing(struct milter_output *o, const struct connection *c,
    const void *none)
{
	(void)o, (void)c, (void)none;
}

static const struct step steps[] = {
	[STEP_CONNECT] = { MILTER_CONNECT, MILTER_NO_CONNECT,
	    MILTER_MUTE_CONNECT, macros_connect, build_connect },
	[STEP_HELO] = { MILTER_HELO, MILTER_NO_HELO, MILTER_MUTE_HELO,
	    macros_helo, build_helo },
	[STEP_MAIL] = { MILTER_MAIL, MILTER_NO_MAIL, MILTER_MUTE_MAIL,
	    macros_mail, build_mail },
	[STEP_RCPT] = { MILTER_RCPT, MILTER_NO_RCPT, MILTER_MUTE_RCPT,
	    macros_rcpt, build_rcpt },
	[STEP_DATA] = { MILTER_DATA, MILTER_NO_DATA, MILTER_MUTE_DATA,
	    macros_id, build_nothing },
	[STEP_EOH] = { MILTER_EOH, MILTER_NO_EOH, MILTER_MUTE_EOH,
	    macros_id, build_nothing },
};

/* Answers. */

/*
 * Being stopped is not the filter's failure: milter-fail = accept does not
 * apply.
 */
struct session_verdict
milter_failed(struct connection *c, struct milter *m)
{
	milter_link_close(m, false);
	m->state = MILTER_FAILED;
	m->told = false;
	if (conn_stopped())
		return verdict_refuse(451, "4.3.2",
		    "Service is shutting down");
	if (m->fault != NULL)
		log_event("error", "what", "milter", "on", m->server->text,
		    "error", m->fault, NULL);
	else
		log_error(errno, "milter", m->server->text);
	return milter_trouble(c);
}

struct session_verdict
milter_trouble(const struct connection *c)
{
	return c->settings.milter_fail_accept ? verdict_accept() :
	    verdict_refuse(451, "4.3.5", "Mail filter trouble");
}

static struct session_verdict
fail_with(struct connection *c, struct milter *m, const char *fault)
{
	m->fault = fault;
	return milter_failed(c, m);
}

/*
 * What is said at connect or HELO is about the client.  MILTER_IDLE: there is
 * nothing yet that could be thrown away.
 */
struct session_verdict
milter_judge(struct connection *c, struct milter *m,
    const struct milter_reply *r)
{
	bool client = m->state == MILTER_IDLE;
	struct session_verdict v;

	switch (r->kind) {
	case MILTER_CONTINUE:
		return verdict_accept();
	case MILTER_ACCEPT:
		if (client)
			m->client = MILTER_PASSES;
		else
			m->state = MILTER_DONE;
		return verdict_accept();
	case MILTER_DISCARD:
		if (client)
			break;
		c->tx.discard = true;
		m->state = MILTER_DONE;
		return verdict_accept();
	case MILTER_SKIP:
		if (!m->may_skip)
			break;
		m->skip = true;
		return verdict_accept();
	default:
		if (!milter_refuse(r, &v))
			break;
		if (client) {
			m->client = MILTER_REFUSES;
			m->refusal = v;
		}
		return v;
	}
	return fail_with(c, m, r->kind == MILTER_CODE ? "malformed reply code" :
	    "a reply that has no place here");
}

struct session_verdict
milter_ask(struct connection *c, struct milter *m, unsigned seconds, bool mute)
{
	struct milter_reply r;

	if (milter_link_send(m, seconds) == -1)
		return milter_failed(c, m);
	if (mute)
		return verdict_accept();
	if (milter_link_receive(m, seconds, &r) == -1 ||
	    milter_link_done(m) == -1)
		return milter_failed(c, m);
	return milter_judge(c, m, &r);
}

struct session_verdict
milter_step(struct connection *c, struct milter *m, enum milter_step number,
    const void *argument)
{
	const struct step *s = &steps[number];
	struct milter_output *o = milter_output();

	if ((m->terms.steps & s->unwanted) != 0)
		return verdict_accept();
	o->len = 0;
	s->macros(o, c, argument != NULL ? argument : &s->command);
	milter_begin(o, s->command);
	s->build(o, c, argument);
	if (!milter_finish(o))
		return fail_with(c, m, "command too long");
	return milter_ask(c, m, number == STEP_EOH ? MILTER_TIME_CONTENT :
	    MILTER_TIME_COMMAND, (m->terms.steps & s->mute) != 0);
}
