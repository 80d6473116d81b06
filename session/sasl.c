/* SPDX-License-Identifier: ISC */
/*
 * sasl.c - the framing of AUTH (RFC 4954): mechanism names, challenges,
 * cancelling.  What the octets mean is the program's business.
 */
#include "engine.h"

#include <string.h>

#include "address.h"
#include "base64.h"

void
sasl_challenge(struct session *s, const unsigned char *p, size_t n)
{
	char text[BASE64_MAX(SESSION_CHALLENGE_MAX)];

	base64_encode(text, p, n);
	reply_challenge(s, text);
	s->state = SESSION_STATE_SASL;
}

static void
end_exchange(struct session *s)
{
	*s->mechanism = '\0';
	s->state = SESSION_STATE_COMMAND;
}

void
sasl_end(struct session *s)
{
	if (*s->mechanism == '\0')
		return;
	engine_tell(s, auth_end);
	s->auth_failures += s->auth_disclosed;
	end_exchange(s);
}

void
sasl_answered(struct session *s, const struct session_verdict *v)
{
	end_exchange(s);
	s->authenticated = v->kind == SESSION_ACCEPT;
	s->auth_failures += v->kind == SESSION_REFUSE && !s->auth_uncounted &&
	    (v->code == 0 || v->code == 535 || s->auth_disclosed);
	reply_verdict(s, v, R_AUTHENTICATED, R_CREDENTIALS);
}

static void
ask(struct session *s, const char *input, size_t len, bool first, bool have)
{
	unsigned char out[SESSION_CHALLENGE_MAX];
	struct session_sasl x = {
		.mechanism = s->mechanism,
		.first = first,
		.have_input = have,
		.input = (const unsigned char *)input,
		.input_len = len,
		.challenge = out,
		.challenge_size = sizeof(out),
	};
	struct engine_question q;

	if (engine_enter(s, s->hooks->auth != NULL, &q)) {
		s->exchange = &x;
		s->hooks->auth(s->arg, &x, &q.verdict);
		s->exchange = NULL;
		engine_leave(s, &q);
	}
	s->auth_disclosed = x.disclosed;
	s->auth_uncounted = x.uncounted;
	if (q.verdict.kind == SESSION_CHALLENGE &&
	    x.challenge_len <= sizeof(out) && !engine_muted(s))
		sasl_challenge(s, out, x.challenge_len);
	else
		engine_decide(s, ASK_AUTH, &q.verdict);
}

/* Is the name one of those offered, in any case?  If so, it is kept. */
static bool
choose(struct session *s, const char *name, size_t n)
{
	const char *p = engine_mechanisms(s);
	size_t k, len;

	for (; *p != '\0'; p += len + (p[len] == ' ')) {
		len = strcspn(p, " ");
		for (k = 0; k < n && k < len; k++)
			if (p[k] != name[k] && (name[k] < 'a' ||
			    name[k] > 'z' || p[k] != (name[k] & ~0x20)))
				break;
		if (k != n || k != len || n > SESSION_MECH_MAX)
			continue;
		memcpy(s->mechanism, p, n);
		s->mechanism[n] = '\0';
		return true;
	}
	return false;
}

/* RFC 4954 section 4: not twice, not within a transaction. */
enum reply
sasl_refuses(struct session *s)
{
	if (s->authenticated)
		return R_AUTH_ALREADY;
	if (s->tx.mail)
		return R_AUTH_IN_MAIL;
	if (!s->tls && !s->config->auth_cleartext)
		return R_AUTH_NEEDS_TLS;
	if (s->config->max_auth_failures != 0 &&
	    s->auth_failures >= s->config->max_auth_failures)
		return R_TOO_MANY_FAILURES;
	if (s->hooks->auth == NULL || (!s->tls && s->config->tls_required))
		return R_NOT_OFFERED;
	return *engine_mechanisms(s) != '\0' ? R_NONE : R_NOT_OFFERED;
}

static enum reply
refused_auth(struct session *s, enum reply why)
{
	engine_refused(s, SESSION_REFUSED_AUTH, NULL, why);
	return why;
}

/* AUTH mechanism [initial-response] */
enum reply
sasl_start(struct session *s, char *arg)
{
	size_t n = strcspn(arg, " \t");
	char *initial = arg[n] != '\0' ? arg + n + 1 : NULL;
	long len = 0;

	if (initial != NULL && !s->config->strict)
		initial += address_blanks(initial) - initial;
	if (!choose(s, arg, n))
		return refused_auth(s, R_MECHANISM);
	/* "=" is an initial response of no octets (RFC 4954 section 4). */
	if (initial != NULL && strcmp(initial, "=") != 0)
		len = base64_decode(initial, strlen(initial));
	if (len < 0) {
		*s->mechanism = '\0';
		return refused_auth(s, R_BASE64);
	}
	ask(s, initial, (size_t)len, true, initial != NULL);
	return R_NONE;
}

static void
cancel(struct session *s, enum reply why)
{
	sasl_end(s);
	reply(s, refused_auth(s, why));
}

void
sasl_line(struct session *s, char *line, size_t n)
{
	long len;

	engine_tell(s, command, "*", true);
	if (engine_muted(s))
		return;
	while (!s->config->strict && n > 0 && address_is_blank(line[n - 1]))
		line[--n] = '\0';
	if (strcmp(line, "*") == 0)
		cancel(s, R_CANCELLED);
	else if ((len = base64_decode(line, n)) < 0)
		cancel(s, R_BASE64);
	else
		ask(s, line, (size_t)len, false, true);
}
