/*
 * session.c - the engine's public interface: what goes in, what comes out, and
 * the state between.  The verbs are in command.c, messages in data.c, AUTH in
 * sasl.c, all wording in reply.c.
 */
#include "session.h"

#include <string.h>

#include "session/engine.h"

const struct session_verdict engine_accept = { .kind = SESSION_ACCEPT };

bool
engine_over(unsigned count, unsigned limit)
{
	return limit != 0 && count > limit;
}

void
engine_event(struct session *s, enum session_event event, const char *why)
{
	if (s->hooks->event != NULL)
		s->hooks->event(s->arg, event, why);
}

/* All that a transaction is goes in one assignment, wherever it ends. */
void
engine_end_transaction(struct session *s)
{
	if (s->tx.mail && s->hooks->reset != NULL)
		s->hooks->reset(s->arg);
	s->tx = (struct session_transaction){ 0 };
}

static void
end_exchange(struct session *s)
{
	if (*s->mechanism != '\0' && s->hooks->auth_end != NULL)
		s->hooks->auth_end(s->arg);
	*s->mechanism = '\0';
}

/* An optimizer may drop a memset of what is not read again. */
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
	s->pending = ASK_NOTHING;
	end_exchange(s);
	engine_end_transaction(s);
	s->state = STATE_CLOSED;
	wipe(s->line, s->line_len);
	s->line_len = 0;
}

static void
init(struct session *s, const struct session_config *config,
    const struct session_hooks *hooks, void *arg)
{
	/* Not the buffers: their pages are not to be touched until needed. */
	memset(s, 0, offsetof(struct session, out));
	s->config = config;
	s->hooks = hooks;
	s->arg = arg;
}

void
session_init(struct session *s, const struct session_config *config,
    const struct session_hooks *hooks, void *arg)
{
	init(s, config, hooks, arg);
	reply(s, config->lmtp ? R_BANNER_LMTP : R_BANNER);
}

struct session_counters
session_counters(const struct session *s)
{
	return (struct session_counters){ s->messages, s->errors, s->junk,
	    s->auth_failures };
}

void
session_resume(struct session *s, const struct session_config *config,
    const struct session_hooks *hooks, void *arg, const char *helo,
    const struct session_counters *n)
{
	size_t len = strnlen(helo, SESSION_NAME_MAX);

	init(s, config, hooks, arg);
	s->messages = n->messages;
	s->errors = n->errors;
	s->junk = n->junk;
	s->auth_failures = n->auth_failures;
	memcpy(s->helo, helo, len);
	s->helo[len] = '\0';
	s->greeted = s->esmtp = true;
	engine_ask(s, ASK_STARTTLS, engine_hook(s, starttls));
}

/* Can it be announced?  RFC 9422 section 4 has six digits at most. */
bool
engine_limit(unsigned limit)
{
	return limit > 0 && limit <= 999999;
}

/* Extensions that are nothing without others, or with nothing to say. */
static bool
is_complete(const struct session *s, unsigned extension)
{
	unsigned all = s->config->extensions;

	switch (extension) {
	case SESSION_BINARYMIME:
		return all & SESSION_CHUNKING && all & SESSION_8BITMIME;
	case SESSION_SMTPUTF8:
		return all & SESSION_8BITMIME;	/* RFC 6531 section 3.1 */
	case SESSION_LIMITS:
		return engine_limit(s->config->max_recipients) ||
		    engine_limit(s->config->max_messages);
	}
	return true;
}

/*
 * What EHLO announces, what HELP lists and what is accepted: one question (and
 * nothing is announced, so nothing accepted, after HELO).
 */
enum reply
engine_refuses(const struct session *s, unsigned extension)
{
	bool verb = extension & (SESSION_STARTTLS | SESSION_AUTH);

	if (extension == SESSION_STARTTLS && s->tls)
		return R_TLS_ALREADY;
	if (!(s->config->extensions & extension) || !is_complete(s, extension))
		return R_NOT_OFFERED;
	if (!s->esmtp)
		return verb ? R_EHLO_FIRST : R_NOT_OFFERED;
	return extension == SESSION_AUTH ? sasl_refuses(s) : R_NONE;
}

bool
engine_offers(const struct session *s, unsigned extension)
{
	return engine_refuses(s, extension) == R_NONE;
}

void
engine_ask(struct session *s, enum question what, struct session_verdict v)
{
	if (v.kind == SESSION_LATER) {
		s->pending = what;
		return;
	}
	if (what == ASK_END)
		data_answered(s, &v);
	else if (what == ASK_AUTH)
		sasl_answered(s, &v);
	else
		command_answered(s, what, &v);
}

void
session_answer(struct session *s, struct session_verdict v)
{
	enum question what = (enum question)s->pending;

	if (what == ASK_NOTHING || v.kind == SESSION_LATER)
		return;
	s->pending = ASK_NOTHING;
	engine_ask(s, what, v);
	data_finish(s);
}

/* Is the line at hand an answer to a 334, or does it begin with AUTH? */
static bool
is_auth(const struct session *s)
{
	static const char verb[] = "auth ";
	size_t i;

	if (s->state == STATE_SASL)
		return true;
	for (i = 0; i < sizeof(verb) - 1; i++)
		if (i == s->line_len || (s->line[i] | 0x20) != verb[i])
			return false;
	return true;
}

/* An AUTH line may hold an initial response and is longer by far. */
static size_t
line_limit(const struct session *s)
{
	return is_auth(s) ? SESSION_AUTH_MAX : SESSION_LINE_MAX;
}

static void
whole_line(struct session *s)
{
	size_t len = s->line_len;

	s->secret = is_auth(s);
	s->line[len] = '\0';
	s->line_len = 0;
	s->cr = false;
	if (s->state == STATE_SASL)
		sasl_line(s, s->line, len);
	else
		command_line(s, s->line);
	if (s->secret)
		wipe(s->line, len);
}

/*
 * A line that can't be one is answered at once and read to its CRLF without a
 * word more: so that somebody who types without CRs is told, a client that
 * waits for an answer never waits in vain, and no half of it is ever run.
 */
static void
bad_line(struct session *s, enum reply why)
{
	s->eating = s->secret = true;
	wipe(s->line, s->line_len);
	if (s->state == STATE_SASL) {
		end_exchange(s);
		s->state = STATE_COMMAND;
		if (why == R_LINE_TOO_LONG)
			why = R_AUTH_LINE;	/* RFC 4954 section 4 */
	}
	s->line_len = 0;
	reply(s, why);
}

static void
line_octet(struct session *s, char c)
{
	bool after_cr = s->cr;

	s->cr = c == '\r';
	if (c == '\n' && after_cr) {
		if (!s->eating)
			whole_line(s);
		s->eating = s->cr = false;
	} else if (s->eating)
		return;
	else if (after_cr || ((unsigned char)c < ' ' && c != '\r') ||
	    c == 0x7f)
		bad_line(s, R_CONTROL);
	else if (c == '\r')
		return;
	else if (s->line_len >= line_limit(s) - 2)
		bad_line(s, R_LINE_TOO_LONG);
	else
		s->line[s->line_len++] = c;
}

static size_t
line_input(struct session *s, const char *p, size_t n)
{
	enum session_state state = s->state;
	size_t i = 0;

	do {
		s->more = i + 1 < n;
		line_octet(s, p[i++]);
	} while (i < n && s->line_len > 0 && s->state == state);
	/* Of half a line nobody knows what it will be. */
	s->wipe |= s->secret || s->line_len > 0;
	s->secret = s->eating;
	return i;
}

size_t
session_input(struct session *s, const char *p, size_t len)
{
	size_t used = 0;

	s->wipe = false;
	if (s->state == STATE_TLS && len > 0) {
		engine_event(s, SESSION_EV_GLUED, reply_text(R_GLUED));
		engine_close(s);
	}
	while (used < len && session_want(s) == SESSION_INPUT) {
		if (s->state == STATE_DATA)
			used += data_input(s, p + used, len - used);
		else if (s->state == STATE_CHUNK)
			used += chunk_input(s, p + used, len - used);
		else
			used += line_input(s, p + used, len - used);
	}
	return used;
}

bool
session_secret(const struct session *s)
{
	return s->wipe;
}

size_t
session_output(const struct session *s, const char **p)
{
	*p = s->out;
	return s->out_len;
}

void
session_sent(struct session *s, size_t n)
{
	s->out_len -= n;
	memmove(s->out, s->out + n, s->out_len);
	data_finish(s);
}

enum session_want
session_want(const struct session *s)
{
	if (s->state == STATE_CLOSED)
		return SESSION_CLOSE;
	if (s->pending != ASK_NOTHING)
		return SESSION_ANSWER;
	if (!reply_room(s))
		return SESSION_FLUSH;
	return s->state == STATE_TLS ? SESSION_TLS : SESSION_INPUT;
}

void
session_tls(struct session *s)
{
	engine_end_transaction(s);
	end_exchange(s);
	if (s->state != STATE_CLOSED)
		s->state = STATE_COMMAND;
	s->tls = true;
	s->greeted = s->esmtp = s->authenticated = false;
	s->eating = s->cr = false;
	s->helo[0] = '\0';
	s->line_len = 0;
}

void
session_shutdown(struct session *s, const char *status, const char *text)
{
	char named[SESSION_TEXT_MAX + 2] = "%";
	size_t n = strlen(text);

	if (s->state == STATE_CLOSED)
		return;
	if (n > SESSION_TEXT_MAX)
		n = SESSION_TEXT_MAX;
	memcpy(named + 1, text, n);
	reply_status(s, 421, status, named);
	engine_close(s);
}

void
session_hangup(struct session *s)
{
	engine_close(s);
}

const char *
session_helo(const struct session *s)
{
	return s->helo;
}

const char *
session_protocol(const struct session *s)
{
	static const char *const names[3][2][2] = {
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
		{ { "LMTP", "LMTPA" }, { "LMTPS", "LMTPSA" } },
		{ { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
	};
	static const char *const utf8_lmtp[2][2] = {
		{ "UTF8LMTP", "UTF8LMTPA" }, { "UTF8LMTPS", "UTF8LMTPSA" }
	};

	if (!s->esmtp)
		return "SMTP";
	if (s->tx.utf8 && s->config->lmtp)
		return utf8_lmtp[s->tls][s->authenticated];
	return names[s->tx.utf8 ? 2 : s->config->lmtp][s->tls]
	    [s->authenticated];
}
