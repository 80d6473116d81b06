/*
 * sasl.c - the framing of AUTH (RFC 4954): mechanism names, base64, challenges,
 * cancelling.  What the octets mean is the program's.
 */
#include "engine.h"

#include <string.h>

static int
sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/*
 * In place, strictly: whole groups, padding only at the end and the bits under
 * it zero (RFC 4648 section 3.5).  Returns the length, or -1.
 */
static long
decode(char *p, size_t n)
{
	size_t i, k, pad = 0, out = 0;
	unsigned long group;
	int v;

	if (n % 4 != 0)
		return -1;
	while (pad < 2 && pad < n && p[n - 1 - pad] == '=')
		pad++;
	for (i = 0; i < n; i += 4) {
		group = 0;
		for (k = i; k < i + 4; k++) {
			v = k >= n - pad ? 0 : sextet(p[k]);
			if (v < 0)
				return -1;
			group = group << 6 | (unsigned long)v;
		}
		if (i + 4 == n && group & ((1ul << 8 * pad) - 1))
			return -1;
		p[out++] = (char)(group >> 16);
		p[out++] = (char)(group >> 8 & 0xff);
		p[out++] = (char)(group & 0xff);
	}
	return (long)(out - pad);
}

static void
encode(char *out, const unsigned char *p, size_t n)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned long group;
	size_t i;

	for (i = 0; i < n; i += 3) {
		group = (unsigned long)p[i] << 16;
		if (i + 1 < n)
			group |= (unsigned long)p[i + 1] << 8;
		if (i + 2 < n)
			group |= p[i + 2];
		*out++ = set[group >> 18];
		*out++ = set[group >> 12 & 63];
		*out++ = i + 1 < n ? set[group >> 6 & 63] : '=';
		*out++ = i + 2 < n ? set[group & 63] : '=';
	}
	*out = '\0';
}

void
sasl_challenge(struct session *s, const unsigned char *p, size_t n)
{
	char text[(SESSION_CHALLENGE_MAX + 2) / 3 * 4 + 1];

	encode(text, p, n);
	reply_challenge(s, text);
	s->state = SESSION_STATE_SASL;
}

/* The exchange is over: what it was about is forgotten. */
static enum reply
finish(struct session *s, enum reply why, bool told)
{
	if (!told)
		engine_tell(s, auth_end);
	*s->mechanism = '\0';
	s->state = SESSION_STATE_COMMAND;
	return why;
}

void
sasl_answered(struct session *s, const struct session_verdict *v)
{
	finish(s, R_NONE, true);
	s->authenticated = v->kind == SESSION_ACCEPT;
	s->auth_failures += v->kind == SESSION_REFUSE &&
	    (v->code == 0 || v->code == 535);
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

/* AUTH mechanism [initial-response] */
enum reply
sasl_start(struct session *s, char *arg)
{
	size_t n = strcspn(arg, " ");
	char *initial = arg[n] == ' ' ? arg + n + 1 : NULL;
	long len = 0;

	if (!choose(s, arg, n))
		return R_MECHANISM;
	/* "=" is an initial response of no octets (RFC 4954 section 4). */
	if (initial != NULL && strcmp(initial, "=") != 0)
		len = *initial == '\0' ? -1 : decode(initial, strlen(initial));
	if (len < 0) {
		*s->mechanism = '\0';
		return R_BASE64;
	}
	ask(s, initial, (size_t)len, true, initial != NULL);
	return R_NONE;
}

void
sasl_line(struct session *s, char *line, size_t n)
{
	long len;

	engine_tell(s, command, "*", true);
	if (engine_muted(s))
		return;
	if (strcmp(line, "*") == 0)
		reply(s, finish(s, R_CANCELLED, false));
	else if ((len = decode(line, n)) < 0)
		reply(s, finish(s, R_BASE64, false));
	else
		ask(s, line, (size_t)len, false, true);
}
