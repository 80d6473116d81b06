/* SPDX-License-Identifier: ISC */
/*
 * reply.c - every word that the engine says, and the only code that puts words
 * into the output.  Nothing that a client sent is ever repeated to it.
 */
#include "engine.h"

#include <string.h>

#include "address.h"

/* Room for the longest answer to one command, which is EHLO's. */
#define ROOM		2048
/* RFC 5321 section 4.5.3.1.5 has 512; a challenge in base64 may take more. */
#define REPLY_MAX	1024

/*
 * A text that begins with % begins with our name on the wire; ~ is where the
 * session's detail goes, which is a text of ours as well.
 */
static const struct {
	short		 code;
	const char	*status;
	const char	*text;
} replies[] = {
	[R_CLOSING] = { 221, "2.0.0", "%closing connection" },
	[R_OK] = { 250, "2.0.0", "OK" },
	[R_HELO] = { 250, "", "%" },
	[R_MAIL] = { 250, "2.1.0", "Sender OK" },
	[R_RCPT] = { 250, "2.1.5", "Recipient OK" },
	[R_STARTTLS] = { 220, "2.0.0", "Ready to start TLS" },
	[R_HELP] = { 214, "2.0.0", "See RFC 5321" },
	[R_VERIFY] = { 252, "2.5.0", "Try RCPT to attempt receipt" },
	[R_AUTHENTICATED] = { 235, "2.7.0", "Authentication succeeded" },
	[R_START_INPUT] = { 354, "", "End data with <CR><LF>.<CR><LF>" },
	[R_MESSAGE] = { 250, "2.0.0", "Message accepted" },
	[R_CHUNK] = { 250, "2.0.0", "Chunk received" },
	[R_NO_TLS_NOW] = { 454, "4.7.0", "TLS not available now" },
	[R_AUTH_BROKEN] = { 454, "4.7.0",
	    "Authentication not available now" },
	[R_LOCAL_ERROR] = { 451, "4.3.0", "Local error, try again later" },
	[R_TOO_MANY_RECIPIENTS] = { 452, "4.5.3", "Too many recipients" },
	[R_HTTP] = { 421, "4.7.0", "%does not speak HTTP" },
	[R_TOO_MANY_ERRORS] = { 421, "4.7.0", "%too many errors" },
	[R_TOO_MUCH_JUNK] = { 421, "4.7.0",
	    "%too many commands without a message" },
	[R_TOO_MANY_MESSAGES] = { 421, "4.7.0",
	    "%too many messages in one session" },
	[R_TOO_MANY_FAILURES] = { 421, "4.7.0",
	    "%too many failed authentications" },
	[R_NO_SERVICE] = { 554, "5.3.2", "%has no service for you" },
	[R_LINE_TOO_LONG] = { 500, "5.5.2", "Line too long" },
	[R_CONTROL] = { 501, "5.5.2", "Control character in command" },
	[R_LINE_END] = { 501, "5.5.2", "Lines end with CR LF" },
	[R_TLS_HELLO] = { 501, "5.5.2", "This port does not begin with TLS" },
	[R_PROXY] = { 500, "5.5.1", "This port takes no PROXY header" },
	[R_USE_EHLO] = { 500, "5.5.1", "This is SMTP: EHLO" },
	[R_USE_LHLO] = { 500, "5.5.1", "This is LMTP: LHLO" },
	[R_UNKNOWN] = { 500, "5.5.1", "Unknown command" },
	[R_OBSOLETE] = { 502, "5.5.1", "Command not implemented" },
	[R_NOT_OFFERED] = { 502, "5.5.1", "Not offered here" },
	[R_NO_ARGUMENT] = { 501, "5.5.4", "This command has no argument" },
	[R_ARGUMENT] = { 501, "5.5.4", "This command needs an argument" },
	[R_AUTH_NOT_OFFERED] = { 502, "5.5.1", "AUTH is not offered here" },
	[R_HELO_NAME] = { 501, "5.5.4", "Name is malformed: ~" },
	[R_MAIL_SYNTAX] = { 501, "5.5.4",
	    "Syntax: MAIL FROM:<address> [parameters]" },
	[R_RCPT_SYNTAX] = { 501, "5.5.4",
	    "Syntax: RCPT TO:<address> [parameters]" },
	[R_SENDER] = { 501, "5.1.7", "Address is malformed: ~" },
	[R_RECIPIENT] = { 501, "5.1.3", "Address is malformed: ~" },
	[R_PARAMETER_SYNTAX] = { 501, "5.5.4", "Malformed parameter ~" },
	[R_PARAMETER] = { 555, "5.5.4", "Parameter not recognized" },
	[R_PARAMETER_NOT_OFFERED] = { 555, "5.5.4",
	    "Parameter of an extension that is not offered here" },
	[R_PARAMETER_TWICE] = { 501, "5.5.4", "~ given twice" },
	[R_PARAMETER_VALUE] = { 501, "5.5.4", "Bad value of ~" },
	[R_HELO_FIRST] = { 503, "5.5.1", "Say hello first" },
	[R_HELO_REFUSED] = { 503, "5.5.1",
	    "Your hello was refused: say it again, in another way" },
	[R_MAIL_FIRST] = { 503, "5.5.1", "MAIL FROM first" },
	[R_NESTED_MAIL] = { 503, "5.5.1",
	    "Sender was given already, RSET begins anew" },
	[R_NO_RECIPIENTS] = { 554, "5.5.1", "No valid recipients" },
	[R_RCPT_FIRST] = { 503, "5.5.1", "No valid recipients" },
	[R_EHLO_FIRST] = { 503, "5.5.1", "EHLO first" },
	[R_TLS_ALREADY] = { 503, "5.5.1", "TLS has been started already" },
	[R_GLUED] = { 554, "5.5.1", "Nothing may be sent with STARTTLS" },
	[R_AUTH_ALREADY] = { 503, "5.5.1", "Authenticated already" },
	[R_AUTH_IN_MAIL] = { 503, "5.5.1", "Not inside a transaction" },
	[R_USE_BDAT] = { 503, "5.5.1", "BINARYMIME needs BDAT" },
	[R_MIXED] = { 503, "5.5.1", "DATA after BDAT" },
	[R_BDAT_SYNTAX] = { 501, "5.5.4", "Syntax: BDAT size [LAST]" },
	[R_TLS_REQUIRED] = { 530, "5.7.0", "STARTTLS first" },
	[R_AUTH_REQUIRED] = { 530, "5.7.0", "Authentication required" },
	[R_AUTH_NEEDS_TLS] = { 538, "5.7.11",
	    "Authentication needs encryption" },
	[R_MECHANISM] = { 504, "5.5.4", "Mechanism not offered" },
	[R_BASE64] = { 501, "5.5.2", "Malformed base64" },
	[R_CANCELLED] = { 501, "5.0.0", "Authentication cancelled" },
	[R_AUTH_LINE] = { 500, "5.5.6", "Authentication line too long" },
	[R_CREDENTIALS] = { 535, "5.7.8", "Bad credentials" },
	[R_NEEDS_UTF8] = { 553, "5.6.7", "Address needs SMTPUTF8" },
	[R_TOO_BIG] = { 552, "5.3.4", "Message too big" },
	[R_BARE] = { 550, "5.6.0",
	    "Message has a bare CR or LF" },
	[R_NUL] = { 550, "5.6.0", "Message has a NUL" },
	[R_LOOP] = { 554, "5.4.6", "Too many hops" },
	[R_REFUSED_RCPT] = { 550, "5.1.1", "No such recipient" },
	[R_REFUSED] = { 550, "5.7.1", "Refused" },
};

struct line {
	size_t	len;
	char	text[REPLY_MAX];
};

bool
reply_room(const struct session *s)
{
	return SESSION_OUTPUT_SIZE - s->out_len >= ROOM;
}

const char *
reply_text(enum reply id)
{
	return replies[id].text + (*replies[id].text == '%');
}

/* Texts and details are short, so nothing is cut. */
const char *
reply_words(const struct session *s, enum reply id, char *words)
{
	const char *text = reply_text(id), *mark = strchr(text, '~');
	const char *detail = s->detail != NULL ? s->detail : "";
	size_t n = strlen(detail), before;

	if (mark == NULL)
		return text;
	before = (size_t)(mark - text);
	memcpy(words, text, before);
	memcpy(words + before, detail, n);
	memcpy(words + before + n, mark + 1, strlen(mark + 1) + 1);
	return words;
}

int
reply_code(enum reply id)
{
	return replies[id].code;
}

/* All but printable ASCII becomes a question mark; what is too long is cut. */
static void
add(struct line *l, const char *text, size_t max)
{
	size_t i, n = strnlen(text, max);
	char *p = l->text + l->len;

	for (i = 0; i < n; i++)
		p[i] = address_is_printable(text[i]) ? text[i] : '?';
	l->len += n;
}

static void
add_code(struct line *l, int code, char separator)
{
	l->text[l->len++] = (char)('0' + code / 100);
	l->text[l->len++] = (char)('0' + code / 10 % 10);
	l->text[l->len++] = (char)('0' + code % 10);
	l->text[l->len++] = separator;
}

/* Once a hook has ended the session, only a reply already begun is finished. */
static bool
is_silent(const struct session *s)
{
	return engine_muted(s) && !s->in_reply;
}

/* It fits, as reply_room() has made sure. */
static void
put(struct session *s, struct line *l)
{
	size_t len = l->len + 2;

	if (is_silent(s) || s->buffers == NULL ||
	    len > SESSION_OUTPUT_SIZE - s->out_len)
		return;
	memcpy(l->text + l->len, "\r\n", 2);
	memcpy(s->buffers->out + s->out_len, l->text, len);
	s->out_len += len;
	s->in_reply = l->text[3] == '-';
	l->text[l->len] = '\0';
	if (!engine_muted(s))
		engine_tell(s, reply, l->text, l->len);
}

void
reply_line(struct session *s, int code, char separator, const char *text)
{
	struct line l;

	l.len = 0;
	add_code(&l, code, separator);
	add(&l, text, REPLY_MAX - (sizeof("250-\r\n") - 1));
	put(s, &l);
}

void
reply_challenge(struct session *s, const char *base64)
{
	reply_line(s, 334, ' ', base64);
}

/* Each line of the text with code and status; our name before the first. */
static void
say(struct session *s, int code, const char *status, bool name,
    const char *text)
{
	unsigned i;
	size_t n;
	bool last = false;

	for (i = 1; !last; i++, text += n + 1) {
		struct line l;

		l.len = 0;
		n = strcspn(text, "\n");
		last = text[n] == '\0' || text[n + 1] == '\0' ||
		    i == SESSION_LINES_MAX;
		add_code(&l, code, last ? ' ' : '-');
		if (*status != '\0' &&
		    s->config->extensions & SESSION_EXT_STATUSCODES) {
			add(&l, status, sizeof("5.999.999") - 1);
			add(&l, " ", 1);
		}
		if (name && i == 1) {
			add(&l, engine_name(s), SESSION_NAME_MAX);
			add(&l, " ", n > 0 ? 1 : 0);
		}
		add(&l, text, n < SESSION_TEXT_MAX ? n : SESSION_TEXT_MAX);
		put(s, &l);
	}
}

/*
 * Refusals are counted here, where all of them pass: the first one too many is
 * not answered but ends the session.  Refused recipients of one transaction are
 * one error, and deferred ones cost nothing, or lists and greylisting would end
 * sessions; but there may not be more of them than would be accepted.  Those
 * past the limit come by the hundreds from clients that do not split a message.
 */
#define RECIPIENTS_MIN	100	/* RFC 5321 section 4.5.3.1.8 */
#define CROWD		10	/* times as many */

static enum reply
count_recipient(struct session *s, enum reply id, int code)
{
	unsigned most = s->config->max_recipients;

	if (most != 0 && most < RECIPIENTS_MIN)
		most = RECIPIENTS_MIN;
	if (code >= 500 && !s->tx.erred) {
		s->tx.erred = true;
		if (engine_over(++s->errors, s->config->max_errors))
			return R_TOO_MANY_ERRORS;
	}
	if (id == R_TOO_MANY_RECIPIENTS)
		return ++s->tx.crowd / CROWD > most ?
		    R_TOO_MANY_ERRORS : R_NONE;
	return engine_over(++s->tx.refused, most) ? R_TOO_MANY_ERRORS : R_NONE;
}

/*
 * Why this is one too many, or R_NONE.  LMTP's replies to one message count as
 * one, since the client is owed the others.
 */
static enum reply
count(struct session *s, enum reply id, int code)
{
	if (code < 400 || code == 421 ||
	    (s->state == SESSION_STATE_END && s->tx.reported > 0))
		return R_NONE;
	if (s->charge == SESSION_CHARGE_RECIPIENT)
		return count_recipient(s, id, code);
	if (code >= 500)
		return engine_over(++s->errors, s->config->max_errors) ?
		    R_TOO_MANY_ERRORS : R_NONE;
	if (s->charge == SESSION_CHARGE_ERROR)
		return R_NONE;
	return engine_junk(s) ? R_NONE : R_TOO_MUCH_JUNK;
}

/* The replies that end a session, and what the program is told. */
static const struct end {
	enum reply		id;
	enum session_event	event;
} ends[] = {
	{ R_CLOSING, SESSION_EV_QUIT },
	{ R_TOO_MANY_ERRORS, SESSION_EV_ERRORS },
	{ R_TOO_MUCH_JUNK, SESSION_EV_JUNK },
	{ R_TOO_MANY_MESSAGES, SESSION_EV_JUNK },
	{ R_TOO_MANY_FAILURES, SESSION_EV_AUTH },
	{ R_HTTP, SESSION_EV_HTTP },
	{ R_GLUED, SESSION_EV_GLUED },
	{ R_BDAT_SYNTAX, SESSION_EV_BDAT },
};

static const struct end *
find_end(enum reply id)
{
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (id == ends[i].id)
			return &ends[i];
	return NULL;
}

void
reply(struct session *s, enum reply id)
{
	char words[REPLY_WORDS];
	const struct end *end = find_end(id);
	enum reply too_many = R_NONE;

	if (id == R_NONE || id == R_SAID || is_silent(s))
		return;
	if (end == NULL)
		too_many = count(s, id, replies[id].code);
	if (too_many != R_NONE) {
		reply(s, too_many);
		return;
	}
	say(s, replies[id].code, replies[id].status,
	    *replies[id].text == '%', reply_words(s, id, words));
	if (end == NULL)
		return;
	engine_event(s, end->event, id == R_CLOSING ? "quit" : reply_text(id));
	engine_close(s);
}

/* An enhanced status code, of the code's class. */
static bool
is_status(const char *text, int code)
{
	unsigned len = address_status(text);

	return len > 0 && text[len] == '\0' && text[0] == '0' + code / 100;
}

void
reply_banner(struct session *s, const char *text)
{
	char both[sizeof("ESMTP ") +
	    sizeof(((struct session_verdict *)0)->text)];
	const char *protocol = s->config->lmtp ? "LMTP" : "ESMTP";
	size_t n = strlen(protocol);

	memcpy(both, protocol, n);
	both[n] = ' ';
	memcpy(both + n + 1, text, strlen(text) + 1);
	if (*text == '\0')
		both[n] = '\0';
	say(s, 220, "", true, both);
}

void
reply_goodbye(struct session *s, const char *status, const char *text)
{
	say(s, 421, is_status(status, 421) ? status : "4.3.2", true, text);
}

/* What is said if there is neither yes nor no. */
static enum reply
undecided(enum reply refused)
{
	if (refused == R_CREDENTIALS)
		return R_AUTH_BROKEN;
	return refused == R_NO_TLS_NOW ? R_NO_TLS_NOW : R_LOCAL_ERROR;
}

/* A verdict's own code, where it is one for its kind. */
static int
code_of(const struct session_verdict *v, int code)
{
	if (v->kind == SESSION_ACCEPT)
		return v->code >= 200 && v->code <= 299 ? v->code : code;
	return v->code >= 400 && v->code <= 599 ? v->code : code;
}

void
reply_verdict(struct session *s, const struct session_verdict *v,
    enum reply accepted, enum reply refused)
{
	bool decided = v->kind == SESSION_ACCEPT || v->kind == SESSION_REFUSE;
	enum reply id = !decided ? undecided(refused) :
	    v->kind == SESSION_ACCEPT ? accepted : refused;
	int code = replies[id].code;
	const char *status = replies[id].status;
	enum reply too_many;

	if (is_silent(s))
		return;
	if (decided)
		code = code_of(v, code);
	if (code / 100 != replies[id].code / 100)
		status = code < 500 ? "4.0.0" : "5.0.0";
	if ((too_many = count(s, id, code)) != R_NONE) {
		reply(s, too_many);
		return;
	}
	if (decided && *status != '\0' && is_status(v->status, code))
		status = v->status;
	say(s, code, status, *replies[id].text == '%',
	    decided && *v->text != '\0' ? v->text : reply_text(id));
	if (code == 421)	/* RFC 5321 section 3.8: it means the end */
		engine_close(s);
}
