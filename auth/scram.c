/* SPDX-License-Identifier: ISC */
/*
 * scram.c - SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), with
 * the channel binding tls-exporter (RFC 9266).
 *
 * The client proves that it knows the password without sending it, and the
 * server proves that it knows the verifier.  The messages are here; the
 * verifiers come from the source.
 */
#include <sys/types.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "session/base64.h"

#define MESSAGE_MAX	2048	/* octets of a client's message */
#define NONCE		18	/* random octets of ours: base64 without "=" */
#define BINDING_MAX	64

static struct {
	enum { SCRAM_FIRST, SCRAM_FINAL, SCRAM_DONE } state;
	char		 user[AUTH_USER_MAX + 1];
	char		 header[MESSAGE_MAX];	/* GS2, with its last comma */
	char		 bare[MESSAGE_MAX];	/* the client's first message */
	char		 first[MESSAGE_MAX + 256];	/* ours */
	char		 nonce[MESSAGE_MAX + 32];	/* both parts */
	bool		 bound;		/* to the TLS channel */
} scram;

_Static_assert(sizeof(scram.bare) + sizeof(scram.first) + MESSAGE_MAX + 3 <=
    AUTH_MESSAGE_MAX, "the message of which a proof is made");

/* A response as a string, if it can be one. */
static bool
message(const struct session_sasl *sasl, char text[MESSAGE_MAX])
{
	return auth_keep(text, MESSAGE_MAX, sasl->input, sasl->input_len) &&
	    auth_text(text);
}

/* The value of the next attribute if it is this one, or NULL. */
static char *
attribute(char **rest, char letter)
{
	char *text = strsep(rest, ",");

	if (text == NULL || text[0] != letter || text[1] != '=')
		return NULL;
	return text + 2;
}

/* A saslname: "=2C" is a comma, "=3D" an equals sign, no other "=" is valid. */
static bool
name(const char *text, char out[AUTH_USER_MAX + 1])
{
	size_t n;

	for (n = 0; *text != '\0' && n < AUTH_USER_MAX; n++) {
		if (*text != '=')
			out[n] = *text++;
		else if (strncmp(text, "=2C", 3) == 0) {
			out[n] = ',';
			text += 3;
		} else if (strncmp(text, "=3D", 3) == 0) {
			out[n] = '=';
			text += 3;
		} else
			return false;
	}
	out[n] = '\0';
	return n > 0 && *text == '\0';
}

/*
 * A client that could bind but thinks that we can't ("y") did not get the list
 * that we sent: somebody is in between (RFC 5802 section 6).
 */
static enum auth_result
gs2_header(char *header, const char *user, bool plus, bool plus_offered)
{
	char authzid[AUTH_USER_MAX + 1];
	const char *flag = strsep(&header, ","), *a;

	if (*header != '\0') {
		if ((a = attribute(&header, 'a')) == NULL || !name(a, authzid))
			return AUTH_MALFORMED;
		if (strcmp(authzid, user) != 0)
			return AUTH_WRONG;
	}
	scram.bound = strncmp(flag, "p=", 2) == 0;
	if (scram.bound != plus)
		return AUTH_MALFORMED;
	if (scram.bound)
		return strcmp(flag, "p=tls-exporter") == 0 ?
		    AUTH_CONTINUE : AUTH_MALFORMED;
	if (strcmp(flag, "y") == 0)
		return plus_offered ? AUTH_WRONG : AUTH_CONTINUE;
	return strcmp(flag, "n") == 0 ? AUTH_CONTINUE : AUTH_MALFORMED;
}

static enum auth_result
challenge(struct session_sasl *sasl, const char *text)
{
	size_t len = strlen(text);

	if (len > sasl->challenge_size)
		return AUTH_MALFORMED;
	memcpy(sasl->challenge, text, len);
	sasl->challenge_len = len;
	return AUTH_CONTINUE;
}

/* "r=" nonce of both, "s=" salt, "i=" iterations. */
static enum auth_result
server_first(struct session_sasl *sasl, const char *client)
{
	struct auth_question q = { .what = AUTH_ASK_SALT };
	struct auth_answer a;
	unsigned char random[NONCE];
	char ours[BASE64_MAX(NONCE)], salt[BASE64_MAX(AUTH_SALT_MAX)];

	strlcpy(q.user, scram.user, sizeof(q.user));
	if (source_ask(&q, &a) != AUTH_RIGHT ||
	    crypto_random(random, sizeof(random)) == -1)
		return AUTH_BROKEN;
	base64_encode(ours, random, sizeof(random));
	base64_encode(salt, a.salt, a.salt_len);
	snprintf(scram.nonce, sizeof(scram.nonce), "%s%s", client, ours);
	snprintf(scram.first, sizeof(scram.first), "r=%s,s=%s,i=%u",
	    scram.nonce, salt, a.iterations);
	scram.state = SCRAM_FINAL;
	sasl->disclosed = true;
	return challenge(sasl, scram.first);
}

/*
 * gs2-cbind-flag "," [authzid] "," "n=" user "," "r=" nonce and extensions,
 * which are to be ignored (RFC 5802 section 7).  A mandatory one would come
 * before the user's name, which is then not found where it should be.
 */
static enum auth_result
client_first(struct session_sasl *sasl, char *user, bool plus, bool offered)
{
	char text[MESSAGE_MAX], *rest;
	const char *user_name, *nonce;
	enum auth_result result;

	if (!message(sasl, text) || (rest = strchr(text, ',')) == NULL ||
	    (rest = strchr(rest + 1, ',')) == NULL)
		return AUTH_MALFORMED;
	*rest++ = '\0';
	strlcpy(scram.header, text, sizeof(scram.header));
	strlcat(scram.header, ",", sizeof(scram.header));
	strlcpy(scram.bare, rest, sizeof(scram.bare));
	user_name = attribute(&rest, 'n');
	nonce = attribute(&rest, 'r');
	if (user_name == NULL || !name(user_name, user) ||
	    nonce == NULL || *nonce == '\0')
		return AUTH_MALFORMED;
	if ((result = gs2_header(text, user, plus, offered)) != AUTH_CONTINUE)
		return result;
	strlcpy(scram.user, user, sizeof(scram.user));
	return server_first(sasl, nonce);
}

/* Is this the GS2 header and, if it says so, the channel? */
static bool
channel(const char *given)
{
	unsigned char data[MESSAGE_MAX + BINDING_MAX];
	char expected[BASE64_MAX(sizeof(data))];
	size_t len = strlen(scram.header);
	int n = 0;

	memcpy(data, scram.header, len);
	if (scram.bound) {
		n = conn_tls_binding(data + len, BINDING_MAX);
		if (n <= 0)
			return false;
	}
	base64_encode(expected, data, len + (size_t)n);
	return crypto_equal(given, strlen(given), expected, strlen(expected));
}

static enum auth_result
prove(struct session_sasl *sasl, const char *without_proof, char *proof)
{
	struct auth_question q = { .what = AUTH_ASK_PROOF };
	struct auth_answer a;
	char text[2 + BASE64_MAX(CRYPTO_HASH)] = "v=";
	enum auth_result result;

	if (base64_decode(proof, strlen(proof)) != sizeof(q.proof))
		return AUTH_MALFORMED;
	memcpy(q.proof, proof, sizeof(q.proof));
	strlcpy(q.user, scram.user, sizeof(q.user));
	snprintf(q.message, sizeof(q.message), "%s,%s,%s", scram.bare,
	    scram.first, without_proof);
	result = source_ask(&q, &a);
	explicit_bzero(&q, sizeof(q));
	if (result != AUTH_RIGHT)
		return result;
	base64_encode(text + 2, a.signature, sizeof(a.signature));
	scram.state = SCRAM_DONE;
	return challenge(sasl, text);
}

/* "c=" channel binding, "r=" nonce, extensions, and last "p=" proof. */
static enum auth_result
client_final(struct session_sasl *sasl)
{
	char text[MESSAGE_MAX], copy[MESSAGE_MAX], *rest = copy, *last;
	const char *c, *r;
	char *proof;

	if (!message(sasl, text) || (last = strrchr(text, ',')) == NULL)
		return AUTH_MALFORMED;
	*last++ = '\0';
	proof = attribute(&last, 'p');
	strlcpy(copy, text, sizeof(copy));
	c = attribute(&rest, 'c');
	r = attribute(&rest, 'r');
	if (c == NULL || r == NULL || proof == NULL)
		return AUTH_MALFORMED;
	if (strcmp(r, scram.nonce) != 0 || !channel(c))
		return AUTH_WRONG;
	return prove(sasl, text, proof);
}

enum auth_result
scram_step(struct session_sasl *sasl, char *user, bool plus, bool plus_offered)
{
	if (sasl->first && !sasl->have_input)
		return AUTH_CONTINUE;
	switch (scram.state) {
	case SCRAM_FIRST:
		return client_first(sasl, user, plus, plus_offered);
	case SCRAM_FINAL:
		return client_final(sasl);
	case SCRAM_DONE:
		break;
	}
	/* The client has seen our proof and has nothing to add. */
	return sasl->input_len == 0 ? AUTH_RIGHT : AUTH_MALFORMED;
}

bool
scram_is_open(void)
{
	return scram.state == SCRAM_FINAL;
}

void
scram_end(void)
{
	if (scram.state != SCRAM_FIRST || scram.bare[0] != '\0')
		explicit_bzero(&scram, sizeof(scram));
}
