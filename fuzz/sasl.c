/* SPDX-License-Identifier: ISC */
/*
 * sasl.c - a libFuzzer target for what clients say in AUTH.
 *
 * An input is an octet that chooses the mechanism, whether TLS has channel
 * binding and whether there is an initial response, and then the client's
 * messages, a line each.  In a message of SCRAM a "$" stands for the nonce of
 * both, "%" for the channel binding and "&", at the end, for the right proof,
 * which here is a hash of what it proves.
 */
#include <sys/types.h>

#include "auth.h"
#include "fuzz/fuzz.h"
#include "runner.h"
#include "session/base64.h"

#define MESSAGE_MAX	8192
#define RIGHT		"right"

static const char *const names[] = { "EXTERNAL", "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256", "PLAIN", "LOGIN" };

static struct connection c;

/* The exchange as the client sees it, and what was asked about it. */
static struct {
	char		 bare[MESSAGE_MAX];	/* its first, without GS2 */
	char		 first[MESSAGE_MAX];	/* the server's */
	char		 header[MESSAGE_MAX];	/* GS2 */
	char		 asked[AUTH_MESSAGE_MAX];
	char		 user[AUTH_USER_MAX + 1];	/* that was right */
	unsigned	 delays;
} seen;

/* What the mechanisms need of the program. */

int
conn_tls_binding(unsigned char *to, size_t size)
{
	CHECK(size >= 32);
	memset(to, 'b', 32);
	return 32;
}

int
conn_await(int fd, short events, int64_t deadline)
{
	CHECK(fd == -1 && events == 0 && deadline > 0);
	seen.delays++;
	return -1;
}

int64_t
conn_now(void)
{
	return 1;
}

static enum auth_result
result(const char *user, bool right)
{
	CHECK(auth_text(user));
	if (right)
		strlcpy(seen.user, user, sizeof(seen.user));
	return right ? AUTH_RIGHT : AUTH_WRONG;
}

enum auth_result
runner_check_password(const struct connection *conn, const char *user,
    const char *password)
{
	CHECK(conn == &c && auth_text(password));
	return result(user, strcmp(password, RIGHT) == 0);
}

static void
right_proof(const char *message, unsigned char to[CRYPTO_HASH])
{
	CHECK(crypto_hash(message, strlen(message), to) == 0);
}

static int
answer(const struct auth_question *q, struct auth_answer *a)
{
	unsigned char proof[CRYPTO_HASH];

	memset(a, 0, sizeof(*a));
	switch (q->what) {
	case AUTH_ASK_PROOF:
		strlcpy(seen.asked, q->message, sizeof(seen.asked));
		right_proof(q->message, proof);
		a->result = result(q->user,
		    memcmp(q->proof, proof, sizeof(proof)) == 0);
		memset(a->signature, 's', sizeof(a->signature));
		break;
	case AUTH_ASK_LISTED:
		a->result = result(q->user, true);
		break;
	default:
		a->result = AUTH_RIGHT;
		a->iterations = 4096;
		a->salt_len = strlen(q->user) % (AUTH_SALT_MAX + 1);
		memset(a->salt, 'x', a->salt_len);
	}
	return 0;
}

/* The client. */

/* The nonce, as the server's first message has it. */
static const char *
nonce(size_t *len)
{
	const char *s = seen.first[0] == 'r' ? seen.first + 2 : "";

	*len = strcspn(s, ",");
	return s;
}

static size_t
put_binding(char *to)
{
	unsigned char data[MESSAGE_MAX + 32];
	size_t len = strlen(seen.header);

	memcpy(data, seen.header, len);
	if (strncmp(seen.header, "p=", 2) == 0)
		len += (size_t)conn_tls_binding(data + len, 32);
	base64_encode(to, data, len);
	return strlen(to);
}

/* The proof of what comes before its attribute. */
static size_t
put_proof(char *to, const char *message, size_t len)
{
	static char text[3 * MESSAGE_MAX];
	unsigned char proof[CRYPTO_HASH];

	len = len < 3 ? 0 : len - 3;
	snprintf(text, sizeof(text), "%s,%s,%.*s", seen.bare, seen.first,
	    (int)len, message);
	right_proof(text, proof);
	base64_encode(to, proof, sizeof(proof));
	return strlen(to);
}

/* A message with what stands for something; its length. */
static size_t
expand(char to[MESSAGE_MAX], const char *s, size_t len)
{
	size_t i, part, n = 0;
	const char *text;

	for (i = 0; i < len && n < MESSAGE_MAX / 2; i++) {
		text = s + i;
		part = 1;
		if (s[i] == '$')
			text = nonce(&part);
		else if (s[i] == '%' && strlen(seen.header) < 1024)
			n += put_binding(to + n);
		else if (s[i] == '&')
			n += put_proof(to + n, to, n);
		if (s[i] == '%' || s[i] == '&')
			continue;
		memcpy(to + n, text, part);
		n += part;
	}
	return n;
}

/* What a client that reads its own message finds in it. */
static void
note_first(const char *s, size_t len)
{
	const char *comma = memchr(s, ',', len);
	size_t n;

	if (comma != NULL)
		comma = memchr(comma + 1, ',',
		    len - (size_t)(comma + 1 - s));
	if (comma == NULL)
		return;
	n = (size_t)(comma + 1 - s);
	snprintf(seen.header, sizeof(seen.header), "%.*s", (int)n, s);
	snprintf(seen.bare, sizeof(seen.bare), "%.*s", (int)(len - n), s + n);
}

/* One step, and what must be true of its answer. */

static void
check_refusal(const struct session_verdict *v)
{
	CHECK(v->kind == SESSION_REFUSE);
	CHECK(v->code == 535 || v->code == 501 || v->code == 454);
	CHECK(v->status[0] == '0' + v->code / 100 && v->text[0] != '\0');
	CHECK(v->code != 535 || seen.delays == 1);
}

static void
check_accepted(const char *mechanism, const char *last, size_t len)
{
	char text[3 * MESSAGE_MAX];

	CHECK(*c.user != '\0' && strcmp(c.user, seen.user) == 0);
	CHECK(strcmp(c.method, mechanism) == 0 && seen.delays == 0);
	if (*mechanism == 'S') {
		CHECK(len == 0);
		return;
	}
	if (*mechanism != 'P')
		return;
	snprintf(text, sizeof(text), "%s%c%s", seen.user, 0, RIGHT);
	CHECK(len > strlen(seen.user) + sizeof(RIGHT));
	len -= strlen(seen.user) + sizeof(RIGHT);
	CHECK(memcmp(last + len, text, strlen(seen.user) + sizeof(RIGHT)) ==
	    0);
	CHECK(last[len - 1] == '\0' && (len == 1 || (len - 1 ==
	    strlen(seen.user) && memcmp(last, seen.user, len - 1) == 0)));
}

/* Nonce of both, salt, iterations; or our proof. */
static void
check_challenge(const struct session_sasl *x, const char *said, size_t len)
{
	CHECK(x->challenge_len <= x->challenge_size);
	if (*x->mechanism != 'S' || x->challenge_len == 0)
		return;
	CHECK(x->disclosed);
	if (x->challenge[0] == 'v') {
		snprintf(seen.header, sizeof(seen.header), "%s,%s,",
		    seen.bare, seen.first);
		CHECK(strncmp(seen.asked, seen.header,
		    strlen(seen.header)) == 0);
		len = strlen(seen.asked) - strlen(seen.header);
		CHECK(memcmp(said, seen.asked + strlen(seen.header), len) ==
		    0 && memcmp(said + len, ",p=", 3) == 0);
		return;
	}
	note_first(said, len);
	memcpy(seen.first, x->challenge, x->challenge_len);
	seen.first[x->challenge_len] = '\0';
	CHECK(strncmp(seen.first, "r=", 2) == 0);
	CHECK(strstr(seen.first, ",s=") != NULL &&
	    strstr(seen.first, ",i=4096") != NULL);
}

/* True: the exchange goes on. */
static bool
step(struct session_sasl *x, const char *said, size_t len)
{
	struct session_verdict v;

	x->input = (const unsigned char *)said;
	x->input_len = len;
	v = auth_module->step(&c, x);
	x->first = false;
	x->have_input = true;
	if (v.kind == SESSION_CHALLENGE)
		check_challenge(x, said, len);
	else if (v.kind == SESSION_ACCEPT)
		check_accepted(x->mechanism, said, len);
	else
		check_refusal(&v);
	return v.kind == SESSION_CHALLENGE;
}

static void
exchange(struct session_sasl *x, const char *s, size_t len)
{
	const char *end = s + len, *next;
	char text[MESSAGE_MAX], *copy;
	size_t n = 0;
	bool more = true;

	if (!x->have_input)
		more = step(x, NULL, 0);
	for (; more && s < end; s = next + 1) {
		if ((next = memchr(s, '\n', (size_t)(end - s))) == NULL)
			next = end;
		n = *x->mechanism == 'S' ? expand(text, s, (size_t)(next - s)) :
		    (size_t)(next - s);
		copy = fuzz_copy(*x->mechanism == 'S' ? text : s, n);
		more = step(x, copy, n);
		free(copy);
	}
	if (more)
		auth_module->end(&c);
}

static void
prepare(bool binding)
{
	static char file[] = "users", program[] = "check";
	static char *words[] = { program, NULL };

	memset(&seen, 0, sizeof(seen));
	c.settings.auth = AUTH_OFFER;
	c.settings.auth_mechanisms = ~0u;
	c.settings.auth_file = file;
	c.tls.protocol = binding ? "TLSv1.3" : "TLSv1.2";
	c.tls.verify = "ok";
	c.tls.name = "ann";
	c.user[0] = c.method[0] = '\0';
	auth_module->elsewhere(answer);
	CHECK(auth_module->mechanisms(&c) != NULL);
	c.settings.auth_file = NULL;	/* passwords are asked of this */
	c.settings.auth_program = words;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned char challenge[8192];
	struct session_sasl x = { .first = true, .challenge = challenge,
	    .challenge_size = sizeof(challenge) };

	if (len == 0)
		return 0;
	x.mechanism = names[*data % 8 % nitems(names)];
	x.have_input = (*data & 8) != 0;
	prepare((*data & 16) != 0);
	exchange(&x, (const char *)data + 1, len - 1);
	return 0;
}
