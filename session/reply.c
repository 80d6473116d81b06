/*
 * reply.c - every word that the engine says, and the only code that puts words
 * into the output.  Nothing that a client sent is ever repeated to it.
 */
#include "engine.h"

#include <string.h>

#include "address.h"

/* Room for the longest answer to one command: that to EHLO. */
#define ROOM		2048
/* RFC 5321 section 4.5.3.1.5 has 512; a challenge in base64 may take more. */
#define REPLY_MAX	1024

/* A text that begins with % begins with our name on the wire. */
static const struct {
	short		 code;
	const char	*status;
	const char	*text;
} replies[] = {
	[R_BANNER] = { 220, "", "%ESMTP" },
	[R_BANNER_LMTP] = { 220, "", "%LMTP" },
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
	[R_LINE_TOO_LONG] = { 500, "5.5.2", "Line too long" },
	[R_CONTROL] = { 501, "5.5.2",
	    "Control character in command; lines end with CR LF" },
	[R_UNKNOWN] = { 500, "5.5.1", "Unknown command" },
	[R_OBSOLETE] = { 502, "5.5.1", "Command not implemented" },
	[R_NOT_OFFERED] = { 502, "5.5.1", "Not offered here" },
	[R_NO_ARGUMENT] = { 501, "5.5.4", "This command has no argument" },
	[R_ARGUMENT] = { 501, "5.5.4", "This command needs an argument" },
	[R_HELO_NAME] = { 501, "5.5.4",
	    "Needs a domain or an address literal" },
	[R_MAIL_SYNTAX] = { 501, "5.5.4",
	    "Syntax: MAIL FROM:<address> [parameters]" },
	[R_RCPT_SYNTAX] = { 501, "5.5.4",
	    "Syntax: RCPT TO:<address> [parameters]" },
	[R_PARAMETER_SYNTAX] = { 501, "5.5.4", "Malformed parameter" },
	[R_PARAMETER] = { 555, "5.5.4", "Parameter not recognized" },
	[R_PARAMETER_TWICE] = { 501, "5.5.4", "Parameter given twice" },
	[R_PARAMETER_VALUE] = { 501, "5.5.4", "Bad value of a parameter" },
	[R_HELO_FIRST] = { 503, "5.5.1", "Say hello first" },
	[R_MAIL_FIRST] = { 503, "5.5.1", "MAIL first" },
	[R_NESTED_MAIL] = { 503, "5.5.1", "Sender was given already" },
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
	    "Message has a bare CR or LF, or a NUL" },
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
	return sizeof(s->out) - s->out_len >= ROOM;
}

const char *
reply_text(enum reply id)
{
	return replies[id].text + (*replies[id].text == '%');
}

int
reply_code(enum reply id)
{
	return replies[id].code;
}

/* What is not printable ASCII becomes a question mark; too long, it is cut. */
static void
add(struct line *l, const char *text, size_t max)
{
	for (; *text != '\0' && max > 0; text++, max--)
		if (l->len < sizeof(l->text) - 2)
			l->text[l->len++] = *text >= ' ' && *text <= '~' ?
			    *text : '?';
}

static void
add_code(struct line *l, int code, char separator)
{
	l->text[l->len++] = (char)('0' + code / 100);
	l->text[l->len++] = (char)('0' + code / 10 % 10);
	l->text[l->len++] = (char)('0' + code % 10);
	l->text[l->len++] = separator;
}

/* reply_room() saw to it that it fits. */
static void
put(struct session *s, struct line *l)
{
	if (s->hooks->reply != NULL)
		s->hooks->reply(s->arg, l->text, l->len);
	l->text[l->len++] = '\r';
	l->text[l->len++] = '\n';
	if (l->len > sizeof(s->out) - s->out_len)
		return;
	memcpy(s->out + s->out_len, l->text, l->len);
	s->out_len += l->len;
}

void
reply_line(struct session *s, int code, char separator, const char *text)
{
	struct line l = { 0 };

	add_code(&l, code, separator);
	add(&l, text, sizeof(l.text));
	put(s, &l);
}

void
reply_challenge(struct session *s, const char *base64)
{
	reply_line(s, 334, ' ', base64);
}

void
reply_status(struct session *s, int code, const char *status, const char *text)
{
	struct line l = { 0 };

	add_code(&l, code, ' ');
	if (*status != '\0' && s->config->extensions & SESSION_STATUSCODES) {
		add(&l, status, sizeof("5.999.999") - 1);
		add(&l, " ", 1);
	}
	if (*text == '%') {
		add(&l, s->config->hostname, SESSION_NAME_MAX);
		if (*++text != '\0')
			add(&l, " ", 1);
	}
	add(&l, text, SESSION_TEXT_MAX);
	put(s, &l);
}

/*
 * The errors that a session may make are counted here, where every one passes:
 * the first too many is not answered any more but ends the session.  LMTP's
 * replies to one message count as one: the others are owed to the client.
 */
static bool
too_many_errors(struct session *s, int code)
{
	if (s->state == STATE_END && s->tx.reported > 0)
		return false;
	if (code < 500 || !engine_over(++s->errors, s->config->max_errors))
		return false;
	engine_event(s, SESSION_EV_ERRORS, reply_text(R_TOO_MANY_ERRORS));
	reply(s, R_TOO_MANY_ERRORS);
	engine_close(s);
	return true;
}

void
reply(struct session *s, enum reply id)
{
	if (id == R_NONE || id == R_SAID ||
	    too_many_errors(s, replies[id].code))
		return;
	reply_status(s, replies[id].code, replies[id].status, replies[id].text);
}

/* An enhanced status code, of the code's class. */
static bool
is_status(const char *text, int code)
{
	unsigned len = text != NULL ? address_status(text) : 0;

	return len > 0 && text[len] == '\0' && text[0] == '0' + code / 100;
}

void
reply_verdict(struct session *s, const struct session_verdict *v,
    enum reply accepted, enum reply refused)
{
	enum reply id = v->kind == SESSION_ACCEPT ? accepted : refused;
	int code = replies[id].code;
	const char *status = replies[id].status;

	if (v->kind != SESSION_ACCEPT && v->code >= 400 && v->code <= 599) {
		if (v->code / 100 != code / 100)
			status = v->code < 500 ? "4.0.0" : "5.0.0";
		code = v->code;
	}
	if (too_many_errors(s, code))
		return;
	if (is_status(v->status, code))
		status = v->status;
	/* A text of the program's that begins with % has no second meaning. */
	if (v->text != NULL && *v->text != '\0' && *v->text != '%')
		reply_status(s, code, status, v->text);
	else
		reply_status(s, code, status, replies[id].text);
	if (code == 421)	/* RFC 5321 section 3.8: it means the end */
		engine_close(s);
}
