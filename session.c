/* SPDX-License-Identifier: ISC */
/*
 * session.c - the engine's public interface: what goes in, what comes out, and
 * the state between.  The verbs are in command.c, messages in data.c, AUTH in
 * sasl.c, all wording in reply.c.
 */
#include "session.h"

#include <string.h>

#include "session/address.h"
#include "session/engine.h"

bool
engine_over(unsigned count, unsigned limit)
{
	return limit != 0 && count > limit;
}

const char *
engine_name(const struct session *s)
{
	return s->config->hostname != NULL ? s->config->hostname : "localhost";
}

bool
engine_muted(const struct session *s)
{
	return s->closing == SESSION_HANGUP || s->closing == SESSION_SHUTDOWN;
}

static void
set_undecided(struct session_verdict *v)
{
	v->kind = SESSION_UNDECIDED;
	v->code = 0;
	v->status[0] = v->text[0] = '\0';
}

bool
engine_enter(struct session *s, bool hook, struct engine_question *q)
{
	set_undecided(&q->verdict);
	if (!hook || engine_muted(s))
		return false;
	q->early.kind = SESSION_LATER;
	s->early = &q->early;
	s->in_hook = true;
	return true;
}

/* The strings of a verdict may have come from anywhere. */
static void
terminate(struct session_verdict *v)
{
	v->status[sizeof(v->status) - 1] = '\0';
	v->text[sizeof(v->text) - 1] = '\0';
}

void
engine_leave(struct session *s, struct engine_question *q)
{
	s->in_hook = false;
	s->early = NULL;
	if (q->verdict.kind == SESSION_LATER)
		q->verdict = q->early;
	terminate(&q->verdict);
}

bool
engine_junk(struct session *s)
{
	s->charge = SESSION_CHARGE_ERROR;
	return !engine_over(++s->junk, s->config->max_junk);
}

void
engine_event(struct session *s, enum session_event event, const char *why)
{
	if (!engine_muted(s))
		engine_tell(s, event, event, why);
}

const char *
engine_mechanisms(struct session *s)
{
	const char *names = NULL;

	if (s->hooks->mechanisms != NULL && !engine_muted(s)) {
		s->in_hook = true;
		names = s->hooks->mechanisms(s->arg);
		s->in_hook = false;
	}
	return names != NULL ? names : "";
}

_Static_assert(R_REFUSED < SESSION_KINDS, "a kind each");

void
engine_refused(struct session *s, enum session_refused what, const char *path,
    enum reply why)
{
	char words[REPLY_WORDS];
	struct session_refusal r = {
		.what = what,
		.path = path,
		.input = s->said,
		.code = reply_code(why),
		.why = reply_words(s, why, words),
		.kind = why,
	};

	if (!engine_muted(s))
		engine_tell(s, refused, &r);
}

/* A transaction is forgotten by one assignment, wherever it ends. */
void
engine_end_transaction(struct session *s)
{
	if (s->tx.mail)
		engine_tell(s, reset);
	s->tx = (struct session_transaction){ 0 };
}

/* An optimizer may drop a memset(3) of what is not read again. */
static void
wipe(char *p, size_t n)
{
	volatile char *v = p;

	while (n-- > 0)
		*v++ = '\0';
}

void
engine_close(struct session *s)
{
	s->closing = SESSION_LAST_WORDS;
	s->pending = ASK_NOTHING;
	sasl_end(s);
	engine_end_transaction(s);
	s->state = SESSION_STATE_CLOSED;
	if (s->line_len > 0)
		wipe(s->buffers->line, s->line_len);
	s->line_len = 0;
}

/* What a hook asked for is done when the call that led to it is over. */
static void
settle(struct session *s)
{
	enum session_closing how = s->closing;

	if (!engine_muted(s))
		return;
	s->closing = SESSION_LAST_WORDS;
	if (how == SESSION_SHUTDOWN)
		reply_goodbye(s, s->last_status, s->last_text);
	engine_close(s);
}

/* False: config or hooks lack members that we would read. */
static bool
init(struct session *s, struct session_buffers *buffers,
    const struct session_config *config, const struct session_hooks *hooks,
    void *arg)
{
	*s = (struct session){ .config = config, .hooks = hooks, .arg = arg,
	    .buffers = buffers };
	if (config->size >= sizeof(*config) && hooks->size >= sizeof(*hooks))
		return true;
	s->state = SESSION_STATE_CLOSED;
	return false;
}

void
engine_connect(struct session *s)
{
	engine_ask(s, ASK_CONNECT, connect);
}

void
session_init(struct session *s, struct session_buffers *buffers,
    const struct session_config *config, const struct session_hooks *hooks,
    void *arg)
{
	if (init(s, buffers, config, hooks, arg))
		engine_connect(s);
	settle(s);
}

void
session_counters(const struct session *s, struct session_counters *n)
{
	*n = (struct session_counters){ s->messages, s->errors, s->junk,
	    s->auth_failures };
}

/* What is too long is cut. */
static void
copy(char *to, const char *from, size_t size)
{
	size_t n = from != NULL ? strnlen(from, size - 1) : 0;

	if (n > 0)
		memcpy(to, from, n);
	to[n] = '\0';
}

void
session_resume(struct session *s, struct session_buffers *buffers,
    const struct session_config *config, const struct session_hooks *hooks,
    void *arg, const char *helo, const struct session_counters *n)
{
	if (!init(s, buffers, config, hooks, arg))
		return;
	s->messages = n->messages;
	s->errors = n->errors;
	s->junk = n->junk;
	s->auth_failures = n->auth_failures;
	copy(s->helo, helo, sizeof(s->helo));
	s->begun = true;
	s->greeted = s->esmtp = *s->helo != '\0';
	engine_ask(s, ASK_STARTTLS, starttls);
	settle(s);
}

bool
session_idle(const struct session *s)
{
	/* The name of a pending HELO is where its line was. */
	return s->out_len == 0 && s->line_len == 0 && s->pending != ASK_HELO &&
	    !s->in_hook;
}

void
session_lend(struct session *s, struct session_buffers *buffers)
{
	if (session_idle(s))
		s->buffers = buffers;
}

/* Can it be announced?  RFC 9422 section 4 has six digits at most. */
bool
engine_limit(unsigned limit)
{
	return limit > 0 && limit <= 999999;
}

/* Some extensions are nothing without others, or with nothing to announce. */
static bool
is_complete(const struct session *s, unsigned extension)
{
	unsigned all = s->config->extensions;

	switch (extension) {
	case SESSION_EXT_BINARYMIME:
		return all & SESSION_EXT_CHUNKING && all & SESSION_EXT_8BITMIME;
	case SESSION_EXT_SMTPUTF8:
		return all & SESSION_EXT_8BITMIME;	/* RFC 6531, 3.1 */
	case SESSION_EXT_LIMITS:
		return engine_limit(s->config->max_recipients) ||
		    engine_limit(s->config->max_messages);
	}
	return true;
}

/* Cameras and printers use these after HELO, perhaps after an EHLO before. */
#define AFTER_HELO	(SESSION_EXT_STARTTLS | SESSION_EXT_AUTH | \
    SESSION_EXT_SIZE | SESSION_EXT_8BITMIME)

/*
 * What EHLO announces, what HELP lists and what is accepted is one question.
 * (After HELO nothing was announced, so if strict nothing is accepted.)
 */
enum reply
engine_refuses(struct session *s, unsigned extension)
{
	bool verb = extension & (SESSION_EXT_STARTTLS | SESSION_EXT_AUTH);

	if (extension == SESSION_EXT_STARTTLS && s->tls)
		return R_TLS_ALREADY;
	if (!(s->config->extensions & extension) || !is_complete(s, extension))
		return R_NOT_OFFERED;
	if (!s->esmtp && (s->config->strict || !(extension & AFTER_HELO)))
		return verb ? R_EHLO_FIRST : R_NOT_OFFERED;
	return extension == SESSION_EXT_AUTH ? sasl_refuses(s) : R_NONE;
}

bool
engine_offers(struct session *s, unsigned extension)
{
	return engine_refuses(s, extension) == R_NONE;
}

void
engine_decide(struct session *s, enum question what,
    const struct session_verdict *v)
{
	if (engine_muted(s))
		return;
	if (v->kind == SESSION_LATER)
		s->pending = (int)what;
	else if (what == ASK_END)
		data_answered(s, v);
	else if (what == ASK_AUTH)
		sasl_answered(s, v);
	else
		command_answered(s, what, v);
}

void
session_answer(struct session *s, const struct session_verdict *answer)
{
	enum question what = (enum question)s->pending;
	struct session_verdict v = *answer;

	if (s->early != NULL && s->early->kind == SESSION_LATER)
		*s->early = v;
	if (s->in_hook || what == ASK_NOTHING || v.kind == SESSION_LATER)
		return;
	s->pending = ASK_NOTHING;
	terminate(&v);
	engine_decide(s, what, &v);
	data_finish(s);
	settle(s);
}

void
session_challenge(struct session *s, const unsigned char *p, size_t len)
{
	struct session_sasl *x = s->exchange;

	if (len > SESSION_CHALLENGE_MAX)
		return;
	if (x != NULL && s->early->kind == SESSION_LATER) {
		s->early->kind = SESSION_CHALLENGE;
		memcpy(x->challenge, p, len);
		x->challenge_len = len;
	}
	if (s->in_hook || s->pending != ASK_AUTH)
		return;
	s->pending = ASK_NOTHING;
	sasl_challenge(s, p, len);
	settle(s);
}

void
session_accept(struct session_verdict *v, const char *text)
{
	set_undecided(v);
	v->kind = SESSION_ACCEPT;
	copy(v->text, text, sizeof(v->text));
}

void
session_refuse(struct session_verdict *v, int code, const char *status,
    const char *text)
{
	set_undecided(v);
	v->kind = SESSION_REFUSE;
	v->code = code;
	copy(v->status, status, sizeof(v->status));
	copy(v->text, text, sizeof(v->text));
}

/* Is the line at hand an answer to a 334, or does it begin with AUTH? */
static bool
is_auth(const struct session *s)
{
	static const char verb[] = "auth";
	size_t i;

	if (s->state == SESSION_STATE_SASL)
		return true;
	for (i = 0; i < sizeof(verb) - 1; i++)
		if (i == s->line_len || (s->buffers->line[i] | 0x20) != verb[i])
			return false;
	return i < s->line_len && address_is_blank(s->buffers->line[i]);
}

/* An AUTH line may hold an initial response, and is far longer. */
static size_t
line_limit(const struct session *s)
{
	return is_auth(s) ? SESSION_AUTH_MAX : SESSION_LINE_MAX;
}

static void
whole_line(struct session *s)
{
	size_t len = s->line_len;

	s->line_secret = is_auth(s);
	s->buffers->line[len] = '\0';
	s->line_len = 0;
	s->cr = 0;
	if (s->state == SESSION_STATE_SASL)
		sasl_line(s, s->buffers->line, len);
	else
		command_line(s, s->buffers->line);
	if (s->line_secret)
		wipe(s->buffers->line, len);
}

/* The line's beginning is for the log, but nothing that may be a password. */
static void
report_line(struct session *s, enum reply why, char last)
{
	bool secret = is_auth(s);
	size_t n = s->line_len;

	if (n > SESSION_SAID_MAX - 1)
		n = SESSION_SAID_MAX - 1;
	else
		s->buffers->line[n++] = last != '\0' ? last : '?';
	s->buffers->line[n] = '\0';
	s->said = secret || s->auth_said ? NULL : s->buffers->line;
	engine_refused(s, secret ? SESSION_REFUSED_AUTH : SESSION_REFUSED_LINE,
	    NULL, why);
	s->said = NULL;
}

/*
 * A line that can't be a command is answered at once and read to its end
 * without another word: somebody who types without CRs is told why, a client
 * that waits for an answer gets one, and no half of the line is ever run.
 */
static void
bad_line(struct session *s, enum reply why, char last)
{
	if (s->state == SESSION_STATE_SASL && why == R_LINE_TOO_LONG)
		why = R_AUTH_LINE;	/* RFC 4954 section 4 */
	report_line(s, why, last);
	s->eating = s->line_secret = true;
	wipe(s->buffers->line, s->line_len + 1);
	sasl_end(s);
	s->line_len = 0;
	s->charge = SESSION_CHARGE_FULL;
	reply(s, why);
}

/* The header that a proxy puts before a session, where none is expected. */
static void
watch_for_proxy(struct session *s, char c)
{
	static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

	if (s->proxy >= sizeof(signature) - 1)
		return;
	if (c != signature[s->proxy++])
		s->proxy = sizeof(signature);
	if (s->proxy == sizeof(signature) - 1)
		engine_refused(s, SESSION_REFUSED_LINE, NULL, R_PROXY);
}

#define TLS_HANDSHAKE	0x16	/* and 3: a record's first octets, RFC 8446 */
#define TLS_MAJOR	3

/* An octet that might begin a TLS record is judged with the next. */
static bool
is_tls(const struct session *s)
{
	return s->line_len == 1 && *s->buffers->line == TLS_HANDSHAKE;
}

/* Why an octet can't go into the line; crs: the CRs before it. */
static enum reply
octet_fault(const struct session *s, char c, unsigned crs)
{
	bool strict = s->config->strict;

	if (is_tls(s))
		return c == TLS_MAJOR ? R_TLS_HELLO : R_CONTROL;
	if (c == '\r')
		return crs < (strict ? 1 : 2) ? R_NONE : R_LINE_END;
	if (crs > 0 || c == '\n')
		return R_LINE_END;
	if (c == '\t' ? strict : ((unsigned char)c < ' ' || c == 0x7f) &&
	    (c != TLS_HANDSHAKE || s->line_len > 0))
		return R_CONTROL;
	return s->line_len >= line_limit(s) - 2 ? R_LINE_TOO_LONG : R_NONE;
}

/* Lines end with CR LF; unless strict, with LF or CR CR LF as well. */
static void
line_octet(struct session *s, char c)
{
	unsigned crs = s->cr;
	enum reply why = R_NONE;

	watch_for_proxy(s, c);
	s->cr = (unsigned char)(c != '\r' ? 0 : crs < 2 ? crs + 1 : crs);
	if (c == '\n' && (crs > 0 || !s->config->strict)) {
		if (!s->eating && is_tls(s))
			bad_line(s, R_CONTROL, c);
		else if (!s->eating)
			whole_line(s);
		s->eating = false;
		s->cr = 0;
	} else if (s->eating)
		return;
	else if ((why = octet_fault(s, c, crs)) != R_NONE)
		bad_line(s, why, c);
	else if (c != '\r')
		s->buffers->line[s->line_len++] = c;
}

static size_t
line_input(struct session *s, const char *p, size_t n)
{
	size_t i = 0;

	do {
		s->more = i + 1 < n;
		line_octet(s, p[i++]);
	} while (i < n && s->line_len > 0);
	/* Half a line may still become anything. */
	s->input_secret |= s->line_secret || s->line_len > 0;
	s->line_secret = s->eating;
	return i;
}

size_t
session_input(struct session *s, const char *p, size_t len)
{
	size_t used = 0;

	if (s->in_hook || s->buffers == NULL)
		return 0;
	s->input_secret = false;
	if (s->state == SESSION_STATE_TLS && len > 0) {
		engine_event(s, SESSION_EV_GLUED, reply_text(R_GLUED));
		engine_close(s);
	}
	while (used < len && session_want(s) == SESSION_INPUT) {
		s->begun = true;
		if (s->state == SESSION_STATE_DATA)
			used += data_input(s, p + used, len - used);
		else if (s->state == SESSION_STATE_CHUNK)
			used += chunk_input(s, p + used, len - used);
		else
			used += line_input(s, p + used, len - used);
	}
	settle(s);
	return used;
}

size_t
session_rewrite(struct session *s, char *p, size_t len)
{
	size_t used;

	if (s->in_hook)
		return 0;
	s->kept = p;
	used = session_input(s, p, len);
	s->kept = NULL;
	return used;
}

bool
session_secret(const struct session *s)
{
	return s->input_secret;
}

size_t
session_output(const struct session *s, const char **p)
{
	*p = s->out_len > 0 ? s->buffers->out : "";
	return s->out_len;
}

void
session_sent(struct session *s, size_t n)
{
	if (n > s->out_len)
		n = s->out_len;
	s->out_len -= n;
	if (s->out_len > 0)
		memmove(s->buffers->out, s->buffers->out + n, s->out_len);
	if (s->in_hook)
		return;
	data_finish(s);
	settle(s);
}

enum session_want
session_want(const struct session *s)
{
	if (s->state == SESSION_STATE_CLOSED || engine_muted(s))
		return SESSION_CLOSE;
	if (s->pending != ASK_NOTHING)
		return SESSION_ANSWER;
	if (s->state == SESSION_STATE_END || !reply_room(s))
		return SESSION_FLUSH;
	return s->state == SESSION_STATE_TLS ? SESSION_TLS : SESSION_INPUT;
}

void
engine_forget(struct session *s)
{
	engine_end_transaction(s);
	sasl_end(s);
	s->state = SESSION_STATE_COMMAND;
	s->greeted = s->helo_refused = s->esmtp = s->authenticated = false;
	s->eating = false;
	s->cr = 0;
	s->helo[0] = '\0';
	s->line_len = 0;
}

void
session_tls(struct session *s)
{
	bool at_once = !s->begun && s->state == SESSION_STATE_COMMAND;

	if (s->in_hook || s->tls || (s->state != SESSION_STATE_TLS && !at_once))
		return;
	engine_forget(s);
	s->tls = true;
	settle(s);
}

void
session_restart(struct session *s)
{
	s->restart = true;
}

static void
close_by(struct session *s, enum session_closing how)
{
	if (s->state == SESSION_STATE_CLOSED || s->closing != SESSION_OPEN)
		return;
	s->closing = how;
	if (!s->in_hook)
		settle(s);
}

void
session_shutdown(struct session *s, const char *status, const char *text)
{
	if (s->closing == SESSION_OPEN) {
		copy(s->last_status, status, sizeof(s->last_status));
		copy(s->last_text, text, sizeof(s->last_text));
	}
	close_by(s, SESSION_SHUTDOWN);
}

void
session_hangup(struct session *s)
{
	close_by(s, SESSION_HANGUP);
}

const char *
session_helo(const struct session *s)
{
	return s->helo;
}

bool
session_stray(const struct session *s)
{
	return s->state == SESSION_STATE_DATA && s->tx.stray;
}

/* [SMTP | LMTP][S][A], with UTF8 before it or E, which UTF8SMTP lacks. */
const char *
session_protocol(const struct session *s)
{
	static const char *const names[] = {
		"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA",
		"LMTP", "LMTPA", "LMTPS", "LMTPSA",
		"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA",
		"UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA",
	};

	if (!s->esmtp)
		return "SMTP";
	return names[(s->tx.utf8 ? 8 : 0) + (s->config->lmtp ? 4 : 0) +
	    (s->tls ? 2 : 0) + (s->authenticated ? 1 : 0)];
}

enum session_phase
session_phase(const struct session *s)
{
	switch (s->state) {
	case SESSION_STATE_CLOSED:
		return SESSION_PHASE_ENDED;
	case SESSION_STATE_TLS:
		return SESSION_PHASE_HANDSHAKE;
	case SESSION_STATE_SASL:
		return SESSION_PHASE_EXCHANGE;
	default:
		if (!s->greeted)
			return SESSION_PHASE_GREETING;
		if (s->tx.message)
			return SESSION_PHASE_MESSAGE;
		return s->tx.mail ? SESSION_PHASE_ENVELOPE :
		    SESSION_PHASE_COMMAND;
	}
}

bool
session_info(const struct session *s, struct session_info *info)
{
	if (info->size < sizeof(*info))
		return false;
	info->tls = s->tls;
	info->authenticated = s->authenticated;
	info->esmtp = s->esmtp;
	info->transaction = s->tx.mail;
	info->utf8 = s->tx.utf8;
	info->recipients = s->tx.recipients;
	info->octets = s->tx.size;
	return true;
}

unsigned
session_version(void)
{
	return SESSION_VERSION;
}

size_t
session_size(void)
{
	return sizeof(struct session);
}
