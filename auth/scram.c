/*
 * scram.c - SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), with
 * the channel binding tls-exporter (RFC 9266).
 *
 * The client proves that it knows the password without saying it, and the
 * server proves that it knows the verifier.  Verifiers are as Dovecot writes
 * them: "iterations,salt,storedkey,serverkey".
 */
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "smtpd.h"
#include "auth.h"

#define MESSAGE_MAX	2048	/* octets of a client's message */
#define NONCE		18	/* random octets of ours: base64 without "=" */
#define ITERATIONS_MAX	10000000
#define BASE64_MAX(n)	(((n) + 2) / 3 * 4 + 1)

static struct {
	enum { SCRAM_FIRST, SCRAM_FINAL, SCRAM_DONE } state;
	int		 known;		/* the user is */
	struct scram_verifier verifier;
	char		 header[MESSAGE_MAX];	/* GS2, with its last comma */
	char		 bare[MESSAGE_MAX];	/* the client's first message */
	char		 first[MESSAGE_MAX + 256];	/* ours */
	char		 nonce[MESSAGE_MAX + 32];	/* both parts */
	bool		 bound;		/* to the TLS channel */
} scram;

static enum auth_result client_first(struct session_sasl *, char *, bool,
		    bool);
static enum auth_result client_final(struct session_sasl *);
static enum auth_result gs2_header(char *, const char *, bool, bool);
static bool	 name(const char *, char [AUTH_USER_MAX + 1]);
static enum auth_result server_first(struct session_sasl *, const char *);
static enum auth_result prove(struct session_sasl *, const char *,
		    const char *);
static bool	 channel(const char *);
static int	 hmac(const unsigned char *, const char *, unsigned char *);
static bool	 encode(const void *, size_t, char *, size_t);
static ssize_t	 decode(const char *, size_t, unsigned char *, size_t);
static enum auth_result challenge(struct session_sasl *, const char *);
static enum auth_result broken(int);

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

void
scram_end(void)
{
	if (scram.state != SCRAM_FIRST || scram.bare[0] != '\0')
		explicit_bzero(&scram, sizeof(scram));
}

/* A response as a string, if it can be one. */
static bool
message(const struct session_sasl *sasl, char text[MESSAGE_MAX])
{
	if (sasl->input_len >= MESSAGE_MAX ||
	    !auth_text(sasl->input, sasl->input_len))
		return false;
	memcpy(text, sasl->input, sasl->input_len);
	text[sasl->input_len] = '\0';
	return true;
}

/* The value of the next attribute if it is this one, or NULL. */
static const char *
attribute(char **rest, char letter)
{
	const char *text = strsep(rest, ",");

	if (text == NULL || text[0] != letter || text[1] != '=')
		return NULL;
	return text + 2;
}

/*
 * gs2-cbind-flag "," [authzid] "," "n=" user "," "r=" nonce and extensions,
 * which are to be ignored (RFC 5802 section 7).  One that is mandatory would
 * stand before the user's name, and that is then not where it is looked for.
 */
static enum auth_result
client_first(struct session_sasl *sasl, char *user, bool plus, bool offered)
{
	struct passwd_entry entry;
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
	if ((scram.known = passwd_find(user, true, &entry)) == -1)
		return AUTH_BROKEN;
	scram.verifier = entry.verifier;
	explicit_bzero(&entry, sizeof(entry));
	return server_first(sasl, nonce);
}

/*
 * A client that could bind but thinks that we can't ("y") did not get the list
 * that we gave: somebody is in between (RFC 5802 section 6).
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

/* A saslname: "=2C" is a comma, "=3D" an equals sign, no other "=" may be. */
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

/* "r=" nonce of both, "s=" salt, "i=" iterations. */
static enum auth_result
server_first(struct session_sasl *sasl, const char *client)
{
	unsigned char random[NONCE];
	char ours[BASE64_MAX(NONCE)], salt[BASE64_MAX(SCRAM_SALT_MAX)];
	int e;

	if ((e = gnutls_rnd(GNUTLS_RND_NONCE, random, sizeof(random))) < 0)
		return broken(e);
	if (!encode(random, sizeof(random), ours, sizeof(ours)) ||
	    !encode(scram.verifier.salt, scram.verifier.salt_len, salt,
	    sizeof(salt)))
		return broken(GNUTLS_E_MEMORY_ERROR);
	snprintf(scram.nonce, sizeof(scram.nonce), "%s%s", client, ours);
	snprintf(scram.first, sizeof(scram.first), "r=%s,s=%s,i=%u",
	    scram.nonce, salt, scram.verifier.iterations);
	scram.state = SCRAM_FINAL;
	return challenge(sasl, scram.first);
}

/* "c=" channel binding, "r=" nonce, extensions, and last "p=" proof. */
static enum auth_result
client_final(struct session_sasl *sasl)
{
	char text[MESSAGE_MAX], copy[MESSAGE_MAX], *rest = copy, *last;
	const char *c, *r, *proof;

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

/* Is this the GS2 header and, if it says so, the channel? */
static bool
channel(const char *given)
{
	unsigned char data[MESSAGE_MAX + SCRAM_BINDING_MAX];
	char expected[BASE64_MAX(sizeof(data))];
	size_t len = strlen(scram.header);
	int n = 0;

	memcpy(data, scram.header, len);
	if (scram.bound) {
		n = conn_tls_binding(data + len, SCRAM_BINDING_MAX);
		if (n <= 0)
			return false;
	}
	return encode(data, len + (size_t)n, expected, sizeof(expected)) &&
	    auth_equal(given, strlen(given), expected, strlen(expected));
}

/*
 * ClientKey is the proof without HMAC(StoredKey, AuthMessage), and StoredKey
 * its hash; our own proof is HMAC(ServerKey, AuthMessage) (RFC 5802 section 3).
 */
static enum auth_result
prove(struct session_sasl *sasl, const char *without_proof, const char *proof)
{
	const struct scram_verifier *v = &scram.verifier;
	char signed_text[sizeof(scram.bare) + sizeof(scram.first) +
	    MESSAGE_MAX + 3];
	char text[2 + BASE64_MAX(SCRAM_KEY)] = "v=";
	unsigned char key[SCRAM_KEY], sign[SCRAM_KEY], hash[SCRAM_KEY];
	bool right;
	size_t i;
	int e;

	if (decode(proof, strlen(proof), key, sizeof(key)) != SCRAM_KEY)
		return AUTH_MALFORMED;
	snprintf(signed_text, sizeof(signed_text), "%s,%s,%s", scram.bare,
	    scram.first, without_proof);
	if ((e = hmac(v->stored_key, signed_text, sign)) < 0)
		return broken(e);
	for (i = 0; i < SCRAM_KEY; i++)
		key[i] ^= sign[i];
	e = gnutls_hash_fast(GNUTLS_DIG_SHA256, key, sizeof(key), hash);
	explicit_bzero(key, sizeof(key));
	if (e < 0 || (e = hmac(v->server_key, signed_text, sign)) < 0)
		return broken(e);
	right = auth_equal(hash, SCRAM_KEY, v->stored_key, SCRAM_KEY);
	if (!right || scram.known != 1)
		return AUTH_WRONG;
	if (!encode(sign, sizeof(sign), text + 2, sizeof(text) - 2))
		return broken(GNUTLS_E_MEMORY_ERROR);
	scram.state = SCRAM_DONE;
	return challenge(sasl, text);
}

bool
scram_parse(const char *text, size_t len, struct scram_verifier *v)
{
	char copy[1024], *rest = copy, *field;
	const char *error;
	ssize_t n;
	bool good = false;

	if (len >= sizeof(copy) || memchr(text, '\0', len) != NULL)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	v->iterations = (unsigned)strtonum(strsep(&rest, ","), 1,
	    ITERATIONS_MAX, &error);
	if (error == NULL && (field = strsep(&rest, ",")) != NULL &&
	    (n = decode(field, strlen(field), v->salt, SCRAM_SALT_MAX)) > 0) {
		v->salt_len = (size_t)n;
		good = (field = strsep(&rest, ",")) != NULL &&
		    decode(field, strlen(field), v->stored_key, SCRAM_KEY) ==
		    SCRAM_KEY && rest != NULL &&
		    decode(rest, strlen(rest), v->server_key, SCRAM_KEY) ==
		    SCRAM_KEY;
	}
	explicit_bzero(copy, sizeof(copy));
	return good;
}

/* What the client would do: SaltedPassword, ClientKey, StoredKey. */
int
scram_password(const struct scram_verifier *v, const char *password)
{
	unsigned char key[SCRAM_KEY], salt[SCRAM_SALT_MAX];
	gnutls_datum_t k = { NULL, 0 }, s = { salt, (unsigned)v->salt_len };
	char *copy;
	int e = GNUTLS_E_MEMORY_ERROR;

	memcpy(salt, v->salt, sizeof(salt));
	if ((copy = strdup(password)) != NULL) {
		k.data = (unsigned char *)copy;
		k.size = (unsigned)strlen(copy);
		e = gnutls_pbkdf2(GNUTLS_MAC_SHA256, &k, &s, v->iterations,
		    key, sizeof(key));
		freezero(copy, k.size);
	}
	if (e >= 0)
		e = hmac(key, "Client Key", key);
	if (e >= 0)
		e = gnutls_hash_fast(GNUTLS_DIG_SHA256, key, sizeof(key), key);
	if (e < 0)
		(void)broken(e);
	else
		e = auth_equal(key, SCRAM_KEY, v->stored_key, SCRAM_KEY);
	explicit_bzero(key, sizeof(key));
	return e < 0 ? -1 : e;
}

static int
hmac(const unsigned char *key, const char *text, unsigned char *out)
{
	return gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, SCRAM_KEY, text,
	    strlen(text), out);
}

static bool
encode(const void *data, size_t len, char *out, size_t size)
{
	unsigned char copy[MESSAGE_MAX + SCRAM_BINDING_MAX];
	gnutls_datum_t in = { copy, (unsigned)len }, text;
	bool fits;

	if (len > sizeof(copy))
		return false;
	memcpy(copy, data, len);
	if (gnutls_base64_encode2(&in, &text) < 0)
		return false;
	fits = strlcpy(out, (char *)text.data, size) < size;
	gnutls_free(text.data);
	return fits;
}

/* The length of what was encoded, or -1 if it was not or is too long. */
static ssize_t
decode(const char *text, size_t len, unsigned char *out, size_t size)
{
	unsigned char copy[MESSAGE_MAX];
	gnutls_datum_t in = { copy, (unsigned)len }, data;
	ssize_t n = -1;

	if (len == 0 || len > sizeof(copy))
		return -1;
	memcpy(copy, text, len);
	if (gnutls_base64_decode2(&in, &data) < 0)
		return -1;
	if (data.size <= size) {
		n = (ssize_t)data.size;
		memcpy(out, data.data, data.size);
	}
	gnutls_memset(data.data, 0, data.size);
	gnutls_free(data.data);
	return n;
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

static enum auth_result
broken(int error)
{
	log_error(0, "SCRAM", gnutls_strerror(error));
	return AUTH_BROKEN;
}
