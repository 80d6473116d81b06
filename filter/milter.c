/* SPDX-License-Identifier: ISC */
/*
 * milter.c - mail filters that speak the milter protocol, in their order.
 *
 * A filter is connected to at the first MAIL, when the client's greeting, TLS
 * and user are known; a client that never gets that far costs nothing.  What
 * the filter says about the client is then the answer to each MAIL.  The
 * envelope is passed on as it comes, the message when it is complete.  After a
 * failure the next message begins with a new connection.
 */
#include <err.h>
#include <errno.h>
#include <string.h>

#include "filter.h"
#include "milter.h"
#include "verdict.h"

#define CHECK_TIME	5	/* seconds, for each wait of -t */

static struct {
	struct milter	 list[SERVERS_MAX];
	unsigned	 count;
	/* The client as the filters know it. */
	bool		 tls;
	char		 helo[SESSION_NAME_MAX + 1];
} milters;

static bool
milter_wanted(const struct settings *set)
{
	return set->servers[MILTER][0].text != NULL;
}

static void
milter_start(struct connection *c)
{
	const struct server *s = c->settings.servers[MILTER];
	unsigned i;

	for (i = 0; i < SERVERS_MAX && s[i].text != NULL; i++)
		milters.list[i] = (struct milter){ .server = &s[i],
		    .fd = -1, .timeout = c->settings.timeout };
	milters.count = i;
}

/* The client. */

static void
quit(struct milter *m)
{
	milter_link_close(m, true);
	m->told = false;
}

/* After another greeting, or with TLS, it is another client to the filters. */
static void
meet(const struct connection *c)
{
	bool tls = c->tls.protocol != NULL;
	unsigned i;

	if (tls == milters.tls &&
	    strcmp(session_helo(&c->session), milters.helo) == 0)
		return;
	for (i = 0; i < milters.count; i++) {
		quit(&milters.list[i]);
		milters.list[i].client = MILTER_UNKNOWN;
	}
	milters.tls = tls;
	strlcpy(milters.helo, session_helo(&c->session),
	    sizeof(milters.helo));
}

static struct session_verdict
milter_connect(struct connection *c, struct milter *m)
{
	struct session_verdict v;

	if (milter_link_open(m) == -1)
		return milter_failed(c, m);
	v = milter_step(c, m, STEP_CONNECT, NULL);
	if (v.kind == SESSION_ACCEPT && m->state == MILTER_IDLE &&
	    m->client == MILTER_UNKNOWN)
		v = milter_step(c, m, STEP_HELO, NULL);
	if (m->client != MILTER_UNKNOWN)
		quit(m);
	return v;
}

/* The message. */

static void
abort_message(struct milter *m)
{
	struct milter_output *o = milter_output();

	if (m->told) {
		o->len = 0;
		milter_begin(o, MILTER_ABORT);
		milter_finish(o);
		if (milter_link_send(m, MILTER_TIME_COMMAND) == -1)
			milter_link_close(m, false);
	}
	m->told = false;
	m->state = MILTER_IDLE;
}

static struct session_verdict
milter_mail(struct connection *c, struct milter *m,
    const struct session_mail *mail)
{
	struct session_verdict v = verdict_accept();

	if (m->fd != -1 && !milter_link_idle(m))
		milter_link_close(m, false);
	if (m->fd == -1 && m->client == MILTER_UNKNOWN)
		v = milter_connect(c, m);
	if (m->client == MILTER_REFUSES)
		return m->refusal;
	if (v.kind != SESSION_ACCEPT || m->client == MILTER_PASSES ||
	    m->state == MILTER_FAILED)
		return v;
	m->state = MILTER_ASKED;
	m->told = true;
	return milter_step(c, m, STEP_MAIL, mail);
}

static struct session_verdict
mail(struct connection *c, const struct session_mail *mail)
{
	struct session_verdict v = verdict_accept();
	unsigned i;

	meet(c);
	/* A MAIL that was refused had no end of its own. */
	for (i = 0; i < milters.count; i++)
		abort_message(&milters.list[i]);
	for (i = 0; i < milters.count && v.kind == SESSION_ACCEPT &&
	    !c->tx.discard; i++)
		v = milter_mail(c, &milters.list[i], mail);
	return v;
}

/* Take one more step with all filters that are still to judge. */
static struct session_verdict
each(struct connection *c, enum milter_step step, const void *argument)
{
	struct session_verdict v = verdict_accept();
	struct milter *m = milters.list;

	for (; m < milters.list + milters.count && v.kind == SESSION_ACCEPT &&
	    !c->tx.discard; m++)
		if (m->state == MILTER_ASKED)
			v = milter_step(c, m, step, argument);
		else if (m->state == MILTER_FAILED)
			v = milter_trouble(c);
	return v;
}

static struct session_verdict
rcpt(struct connection *c, const struct session_rcpt *r)
{
	return each(c, STEP_RCPT, r->path);
}

static struct session_verdict
data(struct connection *c)
{
	return each(c, STEP_DATA, NULL);
}

static struct session_verdict
milter_end(struct connection *c, uint64_t size)
{
	(void)size;
	return milter_message(c, milters.list, milters.count);
}

static void
reset(struct connection *c)
{
	unsigned i;

	(void)c;
	for (i = 0; i < milters.count; i++)
		abort_message(&milters.list[i]);
	milter_message_reset();
}

static void
milter_stop(struct connection *c)
{
	unsigned i;

	(void)c;
	for (i = 0; i < milters.count; i++)
		quit(&milters.list[i]);
}

/* -t: can it be reached, and does it speak our version? */
static int
milter_check(const struct settings *set)
{
	const struct server *s = set->servers[MILTER];
	struct milter m;
	int wrong = 0;
	unsigned i;

	for (i = 0; i < SERVERS_MAX && s[i].text != NULL; i++) {
		m = (struct milter){ .server = &s[i], .fd = -1,
		    .timeout = CHECK_TIME };
		if (milter_link_open(&m) == 0) {
			quit(&m);
			continue;
		}
		if (m.fault != NULL)
			warnx("milter: %s: %s", s[i].text, m.fault);
		else
			warn("milter: %s", s[i].text);
		wrong++;
	}
	return wrong;
}

const struct filter milter_filter = {
	.name = "milter", .wanted = milter_wanted, .start = milter_start,
	.mail = mail, .rcpt = rcpt, .data = data, .end = milter_end,
	.reset = reset, .stop = milter_stop, .check = milter_check,
};
