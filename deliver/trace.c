/* SPDX-License-Identifier: ISC */
/*
 * trace.c - the lines that are put on top of a message: the envelope, and the
 * Received field of RFC 5321 section 4.4 with the calendar that it takes.
 *
 * Everything above the first Received is ours, so that nothing in the message
 * can pass for the envelope.
 */
#include <sys/types.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "../session/address.h"
#include "trace.h"

/* RFC 5322 section 2.1.1 wants no more than 78 characters a line. */
#define COLUMNS		77	/* a semicolon may follow */
#define MARGIN		10	/* columns of "Received: " */
#define TAB		8	/* columns */
#define SECONDS_A_DAY	86400

static void
put_text(struct output *o, const char *s)
{
	o->write(o->arg, s, strlen(s));
}

static void
put_line_end(struct output *o)
{
	put_text(o, o->line_end);
}

/* Received. */

static void
fold(struct output *o)
{
	put_line_end(o);
	put_text(o, "\t");
	o->column = TAB;
}

/* A piece of Received, on the next line if this one would get too long. */
static void
clause(struct output *o, const char *before, const char *what,
    const char *after)
{
	size_t len = strlen(before) + strlen(what) + strlen(after);

	if (o->column > MARGIN) {
		if (o->column + 1 + len > COLUMNS) {
			fold(o);
		} else {
			put_text(o, " ");
			o->column++;
		}
	}
	put_text(o, before);
	put_text(o, what);
	put_text(o, after);
	o->column += len;
}

/*
 * The client as RFC 5321 section 4.4 has it: the name it gave, and the address
 * as a literal, without an IPv6 zone, which means nothing elsewhere.
 */
static void
put_from(struct output *o, struct connection *c)
{
	const char *helo = session_helo(&c->session);
	char addr[sizeof(c->addr)];

	clause(o, "from ", helo[0] != '\0' ? helo : "unknown", "");
	strlcpy(addr, c->addr, sizeof(addr));
	addr[strcspn(addr, "%")] = '\0';
	if (strchr(addr, ':') != NULL)
		clause(o, "([IPv6:", addr, "])");
	else if (strchr(addr, '.') != NULL)
		clause(o, "([", addr, "])");
	else
		clause(o, "(", addr, ")");
	fold(o);
}

static bool
is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/*
 * RFC 5322 section 3.3, in UTC.  Not by gmtime(3), which reads the file of the
 * local time zone first.
 */
static void
format_date(char *p, size_t size, time_t now)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const char week[] = "ThuFriSatSunMonTueWed";	/* 1970 on */
	static const int length[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};
	long day = (long)(now / SECONDS_A_DAY);
	int second = (int)(now % SECONDS_A_DAY), year = 1970, month = 0;
	int weekday = (int)(day % 7);

	for (; day >= 365 + is_leap(year); year++)
		day -= 365 + is_leap(year);
	for (; day >= length[month] + (month == 1 && is_leap(year)); month++)
		day -= length[month] + (month == 1 && is_leap(year));
	snprintf(p, size, "%.3s, %ld %.3s %d %02d:%02d:%02d +0000",
	    week + weekday * 3, day + 1, names + month * 3, year,
	    second / 3600, second / 60 % 60, second % 60);
}

/* RFC 5322 section 3.2.2: what would end a comment is quoted inside it. */
static void
quote_comment(char *p, size_t size, const char *text)
{
	for (; *text != '\0' && size > 2; text++, size--) {
		if (strchr("()\\", *text) != NULL) {
			*p++ = '\\';
			size--;
		}
		*p++ = *text;
	}
	*p = '\0';
}

static void
put_tls(struct output *o, const struct connection *c)
{
	char client[512];

	fold(o);
	clause(o, "(", c->tls.protocol, "");
	if (c->tls.client == NULL || c->settings.received_private) {
		clause(o, "", c->tls.cipher, ")");
		return;
	}
	quote_comment(client, sizeof(client), c->tls.client);
	clause(o, "", c->tls.cipher, "");
	clause(o, "client ", client, ")");
}

/*
 * The user who logged in.  No line of ours has an octet that the message, as
 * announced by MAIL, could not have.
 */
static void
copy_user(char *p, size_t size, const struct connection *c)
{
	strlcpy(p, c->user, size);
	for (; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f ||
		    ((unsigned char)*p > 0x7f && !c->tx.mail.utf8))
			*p = '?';
}

/* In the form that other servers write, and filters read. */
static void
put_user(struct output *o, const struct connection *c)
{
	char user[sizeof(c->user)], quoted[2 * sizeof(c->user)];

	copy_user(user, sizeof(user), c);
	quote_comment(quoted, sizeof(quoted), user);
	fold(o);
	clause(o, "(Authenticated sender: ", quoted, ")");
}

static void
put_received(struct output *o, struct connection *c, const char *recipient)
{
	char id[sizeof(c->id) + 12], date[64];

	put_text(o, "Received: ");
	o->column = MARGIN;
	if (!c->settings.received_private)
		put_from(o, c);
	clause(o, "by ", c->settings.hostname, "");
	clause(o, "with ", session_protocol(&c->session), "");
	snprintf(id, sizeof(id), "%s-%u", c->id, c->messages);
	clause(o, "id ", id, "");
	if (c->tls.protocol != NULL)
		put_tls(o, c);
	if (c->settings.received_user && c->user[0] != '\0')
		put_user(o, c);
	/* Any other would have to be quoted, or it might end the field. */
	if (recipient != NULL && (address_mailbox(recipient) ||
	    strcasecmp(recipient, "postmaster") == 0)) {
		fold(o);
		clause(o, "for <", recipient, ">");
	}
	put_text(o, ";");
	format_date(date, sizeof(date), time(NULL));
	clause(o, "", date, "");
	put_line_end(o);
}

/* The envelope. */

static void
put_field(struct output *o, const char *name, const char *value,
    const char *after)
{
	put_text(o, name);
	put_text(o, value);
	put_text(o, after);
	put_line_end(o);
}

/* With what its RCPT asked for, if anything. */
static void
put_recipient(struct output *o, struct connection *c, unsigned number)
{
	const char *dsn = strings_at(&c->tx.dsn, number);
	size_t len;

	put_field(o, "Delivered-To: ", strings_at(&c->tx.recipients,
	    number), "");
	if (dsn == NULL)
		return;
	if ((len = strcspn(dsn, " ")) > 0) {
		put_text(o, "DSN-Notify: ");
		o->write(o->arg, dsn, len);
		put_line_end(o);
	}
	if (dsn[len + 1] != '\0')
		put_field(o, "Original-Recipient: ", dsn + len + 1, "");
}

/* A field, with LF where it continues on another line. */
static void
put_lines(struct output *o, const char *p)
{
	size_t len;

	for (; *p != '\0'; p += len + (p[len] == '\n')) {
		len = strcspn(p, "\n");
		o->write(o->arg, p, len);
		put_line_end(o);
	}
}

void
trace_envelope(struct output *o, struct connection *c, unsigned first,
    unsigned count)
{
	char priority[4], user[sizeof(c->user)];
	unsigned i;

	put_field(o, "Return-Path: <", c->tx.sender, ">");
	if (c->user[0] != '\0') {
		copy_user(user, sizeof(user), c);
		put_field(o, "Authenticated-User: ", user, "");
	}
	if (c->tx.ret[0] != '\0')
		put_field(o, "DSN-Return: ", c->tx.ret, "");
	if (c->tx.envid[0] != '\0')
		put_field(o, "Original-Envelope-Id: ", c->tx.envid, "");
	if (c->settings.extensions & SESSION_EXT_MT_PRIORITY) {
		snprintf(priority, sizeof(priority), "%d",
		    c->tx.mail.priority);
		put_field(o, "MT-Priority: ", priority, "");
	}
	for (i = 0; i < count; i++)
		put_recipient(o, c, first + i);
}

void
trace_received(struct output *o, struct connection *c, const char *recipient)
{
	const char *line = NULL;

	while ((line = strings_next(&c->tx.lines, line)) != NULL)
		put_lines(o, line);
	put_received(o, c, recipient);
}

/*
 * A field's name (RFC 5322 section 3.6.8, with the blanks before the colon of
 * section 4.5.8), or the line that mbox begins with, which many still send.
 */
enum trace_first
trace_first(const char *p, size_t len)
{
	static const char from[] = "From ";
	size_t i = 0;

	if (len > 0 && (*p == '\r' || *p == '\n'))
		return TRACE_HEADER;
	while (i < len && p[i] > ' ' && p[i] < 0x7f && p[i] != ':')
		i++;
	if (i == sizeof(from) - 2 && len > i && memcmp(p, from, i + 1) == 0)
		return TRACE_HEADER;
	if (i > 0)
		while (i < len && (p[i] == ' ' || p[i] == '\t'))
			i++;
	if (i == len && len < TRACE_FIRST)
		return TRACE_MORE;
	return i > 0 && i < len && p[i] == ':' ? TRACE_HEADER : TRACE_TEXT;
}
