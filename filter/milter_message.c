/* SPDX-License-Identifier: ISC */
/*
 * milter_message.c - a message for the filters, and what they make of it.
 *
 * It is read from the file in which it will be delivered, once all of it is
 * there: the header as a whole, the body in pieces.  What a filter changes in
 * the header is seen by the next, and in the end written to another file;
 * without a change nothing is copied.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deliver.h"
#include "filter.h"
#include "milter.h"
#include "verdict.h"

#define HEADER_CHUNK	16384	/* the first piece of a header */

static struct {
	struct milter_header header;
	bool		 crlf;		/* the file's line ends */
	bool		 quarantined;
	uint64_t	 offset;	/* of what is read next from it */
	size_t		 at, len;	/* taken of raw, filled */
	char		 raw[MILTER_DATA_MAX];
} message;

static struct session_verdict
too_large(const char *what)
{
	return verdict_refuse(552, "5.3.4", what);
}

/* The header. */

/* Add policy servers' lines: a filter may want to know what they said. */
static int
add_lines(struct connection *c)
{
	struct milter_header *h = &message.header;
	const char *line = NULL;
	unsigned n = 0;

	while ((line = strings_next(&c->tx.lines, line)) != NULL)
		if (milter_header_top(h, n++, line) == -1)
			return -1;
	return 0;
}

static struct session_verdict
no_memory(void)
{
	log_error(errno, "milter", NULL);
	return verdict_refuse(451, "4.3.0", "Out of memory");
}

/* 1: all of it is there; 0: not yet; -1 with errno. */
static int
read_header(void)
{
	struct milter_header *h = &message.header;
	size_t more = h->len == 0 ? HEADER_CHUNK : h->len;
	ssize_t n;

	if (milter_header_room(h, more) == -1 ||
	    (n = deliver_read(h->text + h->len, more, h->len)) == -1)
		return -1;
	h->len += (size_t)n;
	return milter_header_parse(h, message.crlf, (size_t)n < more);
}

static struct session_verdict
load_message(struct connection *c)
{
	struct milter_header *h = &message.header;
	int n;

	message.crlf = deliver_crlf(c);
	do
		n = read_header();
	while (n == 0 && h->len <= MILTER_HEADER_MAX);
	if (n == -1 && errno == EINVAL)
		return verdict_refuse(554, "5.6.0",
		    "Bare CR, LF or NUL in the header");
	if (n == -1)
		return errno == ENOMEM ? no_memory() : deliver_failed(errno);
	if (n == 0 || h->end > MILTER_HEADER_MAX ||
	    h->count > MILTER_FIELDS_MAX)
		return too_large("Header too large for the mail filters");
	return add_lines(c) == -1 ? no_memory() : verdict_accept();
}

/* To a filter. */

/* False: it is more than fits into a packet. */
static bool
send_field(struct milter_output *o, const struct milter_header *h,
    const struct milter_field *f, bool lead_space)
{
	const char *value;
	size_t len;

	value = milter_header_value(h, f, &len);
	if (!lead_space && len > 0 && *value == ' ') {
		value++;
		len--;
	}
	milter_begin(o, MILTER_HEADER);
	milter_put(o, h->text + f->at, f->name_len);
	milter_put(o, "", 1);
	milter_put(o, value, len);
	milter_put(o, "", 1);
	return milter_finish(o);
}

/* Fields that need no answer go together, as many as there is room for. */
static struct session_verdict
pass_field(struct connection *c, struct milter *m,
    const struct milter_field *f)
{
	struct milter_output *o = milter_output();
	bool mute = (m->terms.steps & MILTER_MUTE_HEADER) != 0;

	if (!send_field(o, &message.header, f,
	    (m->terms.steps & MILTER_LEAD_SPACE) != 0))
		return too_large("Header field too large for the mail filters");
	if (mute && o->size - o->len >= MILTER_PACKET_MAX)
		return verdict_accept();
	return milter_ask(c, m, MILTER_TIME_CONTENT, mute);
}

static struct session_verdict
pass_header(struct connection *c, struct milter *m)
{
	const struct milter_header *h = &message.header;
	struct session_verdict v = verdict_accept();
	unsigned i;

	milter_output()->len = 0;
	if ((m->terms.steps & MILTER_NO_HEADERS) != 0)
		return v;
	for (i = 0; i < h->count && v.kind == SESSION_ACCEPT &&
	    m->state == MILTER_ASKED; i++)
		v = pass_field(c, m, &h->fields[i]);
	if (v.kind != SESSION_ACCEPT || m->state != MILTER_ASKED)
		return v;
	return milter_ask(c, m, MILTER_TIME_CONTENT, true);
}

/* The next octets of the file, in raw; 0: there are no more; or -1. */
static ssize_t
refill(void)
{
	ssize_t n;

	n = deliver_read(message.raw, sizeof(message.raw), message.offset);
	message.at = 0;
	message.len = n > 0 ? (size_t)n : 0;
	message.offset += message.len;
	return n;
}

/* A piece of raw without a line end that would have to be made CRLF. */
static size_t
plain_length(size_t room)
{
	const char *p = message.raw + message.at, *end;
	size_t len = message.len - message.at;

	if (len > room)
		len = room;
	if (message.crlf || (end = memchr(p, '\n', len)) == NULL)
		return len;
	return (size_t)(end - p);
}

/* As much as goes into a packet: 1, 0 at the end of the message, or -1. */
static int
put_body(struct milter_output *o)
{
	size_t room = MILTER_DATA_MAX, len;

	while (room >= 2) {
		if (message.at == message.len) {
			switch (refill()) {
			case -1:
				return -1;
			case 0:
				return 0;
			}
		}
		len = plain_length(room);
		milter_put(o, message.raw + message.at, len);
		room -= len;
		message.at += len;
		if (room >= 2 && message.at < message.len &&
		    message.raw[message.at] == '\n' && !message.crlf) {
			milter_put(o, "\r\n", 2);
			room -= 2;
			message.at++;
		}
	}
	return 1;
}

/* The body, until the filter has seen enough. */
static struct session_verdict
pass_body(struct connection *c, struct milter *m)
{
	bool mute = (m->terms.steps & MILTER_MUTE_BODY) != 0;
	struct milter_output *o = milter_output();
	struct session_verdict v = verdict_accept();
	int more = 1;

	message.offset = message.header.body;
	message.at = message.len = 0;
	m->skip = (m->terms.steps & MILTER_NO_BODY) != 0;
	m->may_skip = (m->terms.steps & MILTER_MAY_SKIP) != 0;
	while (more == 1 && !m->skip && v.kind == SESSION_ACCEPT &&
	    m->state == MILTER_ASKED) {
		o->len = 0;
		milter_begin(o, MILTER_BODY);
		if ((more = put_body(o)) == -1)
			return deliver_failed(errno);
		if (o->len > 5 && milter_finish(o))
			v = milter_ask(c, m, MILTER_TIME_CONTENT, mute);
	}
	m->may_skip = false;
	return v;
}

/* Do what the filter wants.  NULL, or what is wrong with that. */
static const char *
apply_edit(struct milter *m, const struct milter_reply *r)
{
	if (r->kind != MILTER_QUARANTINE)
		return milter_header_edit(&message.header, r,
		    (m->terms.steps & MILTER_LEAD_SPACE) != 0);
	log_event("milter", "status", "quarantine", "on", m->server->text,
	    "why", r->value, NULL);
	message.quarantined = true;
	return milter_header_insert(&message.header, "Quarantine",
	    *r->value != '\0' ? r->value : "yes") == -1 ? "no room" : NULL;
}

static bool
is_edit(const struct milter_reply *r)
{
	return r->kind == MILTER_ADD || r->kind == MILTER_INSERT ||
	    r->kind == MILTER_CHANGE || r->kind == MILTER_QUARANTINE;
}

/* The last command: edits, and the verdict without which they don't count. */
static struct session_verdict
pass_end(struct connection *c, struct milter *m)
{
	struct milter_output *o = milter_output();
	struct milter_reply r;
	char id[sizeof(c->id) + 12];

	milter_id(c, id, sizeof(id));
	o->len = 0;
	milter_macros(o, MILTER_END, "i", id, NULL);
	milter_begin(o, MILTER_END);
	milter_finish(o);
	if (milter_link_send(m, MILTER_TIME_CONTENT) == -1)
		return milter_failed(c, m);
	for (;;) {
		if (milter_link_receive(m, MILTER_TIME_CONTENT, &r) == -1)
			return milter_failed(c, m);
		if (!is_edit(&r))
			break;
		if ((m->fault = apply_edit(m, &r)) != NULL)
			return milter_failed(c, m);
	}
	if (milter_link_done(m) == -1)
		return milter_failed(c, m);
	m->told = false;
	return milter_judge(c, m, &r);
}

static struct session_verdict
pass(struct connection *c, struct milter *m)
{
	struct session_verdict v;

	v = pass_header(c, m);
	if (v.kind == SESSION_ACCEPT && m->state == MILTER_ASKED)
		v = milter_step(c, m, STEP_EOH, NULL);
	if (v.kind == SESSION_ACCEPT && m->state == MILTER_ASKED)
		v = pass_body(c, m);
	if (v.kind == SESSION_ACCEPT && m->state == MILTER_ASKED)
		v = pass_end(c, m);
	return v;
}

/* All that one filter says: its changes count only with its verdict. */
static struct session_verdict
consult(struct connection *c, struct milter *m)
{
	struct session_verdict v;

	message.quarantined = false;
	if (milter_header_keep(&message.header) == -1)
		return no_memory();
	v = pass(c, m);
	if (m->state == MILTER_FAILED)
		milter_header_undo(&message.header);
	else if (v.kind == SESSION_ACCEPT && message.quarantined &&
	    c->settings.milter_quarantine_refuse)
		return verdict_refuse(554, "5.7.1",
		    "Put in quarantine by a mail filter");
	return v;
}

/* What came of it. */

/* Collect the lines that are on top now. */
static int
put_lead(struct connection *c)
{
	struct milter_header *h = &message.header;
	unsigned i;
	size_t len;
	char *line;
	int r = 0;

	strings_free(&c->tx.lines);
	for (i = 0; i < h->top && r == 0; i++) {
		if ((line = milter_header_text(h, i, i + 1, &len)) == NULL)
			return -1;
		line[len - 1] = '\0';
		r = strings_add(&c->tx.lines, line);
		free(line);
	}
	return r;
}

static struct session_verdict
rewrite_message(struct connection *c)
{
	struct milter_header *h = &message.header;
	struct session_verdict v;
	char *text;
	size_t len;

	if (milter_header_keep(h) == -1 || put_lead(c) == -1 ||
	    (text = milter_header_text(h, h->top, h->count, &len)) == NULL)
		return no_memory();
	/* The text has room for one octet more than the fields have. */
	if (h->cut)
		text[len++] = '\n';
	v = deliver_edit(c, text, len, h->end);
	free(text);
	return v;
}

struct session_verdict
milter_message(struct connection *c, struct milter *m, unsigned count)
{
	struct session_verdict v = verdict_accept();
	bool loaded = false;

	for (; count > 0 && v.kind == SESSION_ACCEPT && !c->tx.discard;
	    m++, count--) {
		if (m->state == MILTER_FAILED)
			v = milter_trouble(c);
		if (m->state != MILTER_ASKED)
			continue;
		if (!loaded)
			v = load_message(c);
		loaded = true;
		if (v.kind == SESSION_ACCEPT)
			v = consult(c, m);
	}
	if (v.kind == SESSION_ACCEPT && !c->tx.discard &&
	    message.header.edited)
		v = rewrite_message(c);
	return v;
}

void
milter_message_reset(void)
{
	milter_header_free(&message.header);
}
