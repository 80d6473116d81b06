/* SPDX-License-Identifier: ISC */
/*
 * transaction.c - one transaction, from MAIL to its end: the answers to the
 * engine's hooks about it, what is kept of it, and its lines in the log.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter.h"
#include "transaction.h"

#define TO_MAX	1024	/* octets of recipients in a line of the log */

/* NOTIFY and ORCPT have no blanks; one separates them, even if both are "". */
static int
keep_dsn(struct strings *dsn, const struct session_rcpt *r)
{
	char both[SESSION_LINE_MAX + 2];

	snprintf(both, sizeof(both), "%s %s",
	    r->notify != NULL ? r->notify : "",
	    r->orcpt != NULL ? r->orcpt : "");
	return strings_add(dsn, both);
}

/* The engine's own is gone after the hook. */
static const char *
keep_text(char *to, size_t size, const char *s)
{
	strlcpy(to, s != NULL ? s : "", size);
	return to;
}

void
transaction_mail(void *arg, const struct session_mail *m,
    struct session_verdict *v)
{
	struct connection *c = arg;
	struct transaction *tx = &c->tx;

	tx->mail = *m;
	tx->mail.path = keep_text(tx->sender, sizeof(tx->sender), m->path);
	tx->mail.ret = keep_text(tx->ret, sizeof(tx->ret), m->ret);
	tx->mail.envid = keep_text(tx->envid, sizeof(tx->envid), m->envid);
	tx->mail.auth = keep_text(tx->auth, sizeof(tx->auth), m->auth);
	c->messages++;
	if (c->hurry)	/* not any more: it has mail */
		conn_hurry(&c->settings, false);
	*v = filter_mail(c, m);
}

static const char *
status_of(int code)
{
	return code < 500 ? "deferred" : "refused";
}

static void
log_recipient(const struct connection *c, const char *path,
    const char *input, int code, const char *why)
{
	char text[LOG_NUMBER];

	log_event("recipient", "status", status_of(code), "code",
	    log_number(text, (uint64_t)code), "from", c->tx.sender, "to", path,
	    "addr", c->addr, "why", why, "input", input, NULL);
}

/* One too many isn't an error, and many may follow: log only the first. */
static void
log_crowd(struct connection *c, const char *path, const char *why)
{
	if (!c->tx.crowded)
		log_recipient(c, path, NULL, 452, why);
	c->tx.crowded = true;
}

static int
keep_recipient(struct connection *c, const struct session_rcpt *r)
{
	if (strings_add(&c->tx.recipients, r->path) == -1)
		return -1;
	if ((c->settings.extensions & SESSION_EXT_DSN) != 0 &&
	    keep_dsn(&c->tx.dsn, r) == -1) {
		strings_pop(&c->tx.recipients);
		return -1;
	}
	return 0;
}

void
transaction_rcpt(void *arg, const struct session_rcpt *r,
    struct session_verdict *v)
{
	struct connection *c = arg;
	bool crowd;

	*v = filter_rcpt(c, r, &crowd);
	if (v->kind != SESSION_ACCEPT && crowd)
		log_crowd(c, r->path, v->text);
	else if (v->kind != SESSION_ACCEPT)
		log_recipient(c, r->path, NULL, v->code, v->text);
	else if (keep_recipient(c, r) == -1) {
		log_error(ENOMEM, "recipient", NULL);
		session_refuse(v, 451, "4.3.0", "Out of memory");
	}
}

/* A failure is reported at the end. */
bool
transaction_body(void *arg, const char *p, size_t n)
{
	(void)arg;
	deliver_body(p, n);
	return true;
}

/* All of them, or as many as there is room for, and "..." at the end. */
static const char *
join_recipients(char *buf, size_t size, const struct connection *c)
{
	const char *s = NULL;
	size_t n, len = 0;

	buf[0] = '\0';
	while ((s = strings_next(&c->tx.recipients, s)) != NULL) {
		n = strlen(s);
		if (len + n + sizeof(",,...") > size) {
			strlcpy(buf + len, len > 0 ? ",..." : "...",
			    size - len);
			break;
		}
		if (len > 0)
			buf[len++] = ',';
		memcpy(buf + len, s, n + 1);
		len += n;
	}
	return len > 0 || s != NULL ? buf : NULL;
}

/* In LMTP about the recipient at hand, unless the engine refuses for all. */
static void
log_message(struct connection *c, const char *status, const char *why)
{
	char size[LOG_NUMBER], count[LOG_NUMBER], number[LOG_NUMBER];
	char to[TO_MAX];
	bool one = c->settings.lmtp && c->tx.size > 0;

	log_later("message", "status", status, "size", c->tx.size == 0 ? NULL :
	    log_number(size, c->tx.size), "recipients",
	    log_number(count, c->tx.recipients.count), "from", c->tx.sender,
	    "to", one ? strings_at(&c->tx.recipients,
	    c->tx.at_hand) : join_recipients(to, sizeof(to), c), "user",
	    *c->user != '\0' ? c->user : NULL, "addr", c->addr, "number",
	    log_number(number, c->messages), "file", deliver_file(), "why",
	    why, NULL);
}

void
transaction_data(void *arg, struct session_verdict *v)
{
	struct connection *c = arg;

	*v = filter_data(c);
	if (v->kind == SESSION_ACCEPT)
		*v = deliver_start(c);
	if (v->kind != SESSION_ACCEPT)
		log_message(c, status_of(v->code), v->text);
}

void
transaction_answer(struct connection *c, struct session_verdict *v)
{
	*v = filter_end(c, c->tx.size);
	if (v->kind == SESSION_ACCEPT && !c->tx.discard)
		*v = deliver_end(c, c->tx.at_hand);
	if (v->kind == SESSION_ACCEPT && !c->tx.counted) {
		c->tx.counted = true;
		c->accepted++;
	}
	log_message(c, v->kind == SESSION_ACCEPT ? c->tx.discard ?
	    "discarded" : "accepted" : status_of(v->code),
	    v->kind == SESSION_ACCEPT ? NULL : v->text);
}

/*
 * Replies that are due do not wait for a program: in LMTP each recipient is
 * answered as soon as its own run is over.
 */
void
transaction_end(void *arg, uint64_t size, unsigned recipient,
    struct session_verdict *v)
{
	struct connection *c = arg;
	const char *unsent;

	c->tx.size = size;
	c->tx.at_hand = recipient;
	if (deliver_slow() && session_output(&c->session, &unsent) > 0)
		v->kind = SESSION_LATER;
	else
		transaction_answer(c, v);
}

void
transaction_reset(void *arg)
{
	struct connection *c = arg;

	deliver_reset();
	filter_reset(c);
	strings_free(&c->tx.recipients);
	strings_free(&c->tx.dsn);
	strings_free(&c->tx.lines);
	c->tx = (struct transaction){ 0 };
}

/* Why AUTH is missing, for the administrator: the client isn't told. */
static const char *
no_auth(const struct connection *c)
{
	const struct settings *set = &c->settings;

	if (set->auth == AUTH_OFF)
		return "auth is off, as no source is set";
	if (set->disable & SESSION_EXT_AUTH)
		return "AUTH is disabled";
	if (c->tls.protocol == NULL && !set->auth_cleartext)
		return "no TLS yet";
	return "no source can be used";
}

/* A fault that is repeated has its line already. */
static bool
is_new(struct connection *c, const struct session_refusal *r)
{
	bool *known = &c->refused[r->what][r->kind], was = *known;

	*known = true;
	return !was || r->code == 421 || r->code == 452 || r->code == 530 ||
	    r->code == 552;
}

static void
log_refusal(const struct connection *c, const struct session_refusal *r,
    const char *what)
{
	char code[LOG_NUMBER];

	log_event("refused", "what", what, "code",
	    log_number(code, (uint64_t)r->code), "addr", c->addr, "why",
	    r->why, "reason", r->what == SESSION_REFUSED_AUTH &&
	    r->code == 502 ? no_auth(c) : NULL, "input", r->input, NULL);
}

/* At MAIL there is no transaction yet. */
static void
log_mail(const struct connection *c, const struct session_refusal *r)
{
	log_event("message", "status", status_of(r->code), "from", r->path,
	    "user", *c->user != '\0' ? c->user : NULL, "addr", c->addr, "why",
	    r->why, "input", r->input, NULL);
}

void
transaction_rejected(void *arg, const struct session_refusal *r)
{
	struct connection *c = arg;

	if (!is_new(c, r))
		return;
	switch (r->what) {
	case SESSION_REFUSED_MAIL:
		log_mail(c, r);
		break;
	case SESSION_REFUSED_RCPT:
		if (r->code == 452)
			log_crowd(c, r->path, r->why);
		else
			log_recipient(c, r->path, r->input, r->code, r->why);
		break;
	case SESSION_REFUSED_HELO:
		log_refusal(c, r, "helo");
		break;
	case SESSION_REFUSED_AUTH:
		log_refusal(c, r, "auth");
		break;
	default:
		log_refusal(c, r, "line");
		break;
	}
}

void
transaction_refused(struct connection *c, const char *why)
{
	log_message(c, "refused", why);
}
