/* SPDX-License-Identifier: ISC */
/*
 * verifier.c - what is stored of a password for SCRAM-SHA-256 (RFC 5802, RFC
 * 7677), in Dovecot's form: "iterations,salt,storedkey,serverkey".
 */
#include <sys/types.h>

#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "session/base64.h"

#define ITERATIONS_MAX	10000000
#define FIELD_MAX	BASE64_MAX(AUTH_SALT_MAX)

/* The next field, decoded: its length, or -1 if it is bad or too long. */
static long
field(char **rest, unsigned char *to, size_t size)
{
	char *text = strsep(rest, ",");
	long n;

	if (text == NULL || *text == '\0' || strlen(text) >= FIELD_MAX)
		return -1;
	n = base64_decode(text, strlen(text));
	if (n < 1 || (size_t)n > size)
		return -1;
	memcpy(to, text, (size_t)n);
	return n;
}

bool
verifier_parse(const char *text, size_t len, struct verifier *v)
{
	char copy[1024], *rest = copy;
	const char *error;
	long n;
	bool good = false;

	if (!auth_keep(copy, sizeof(copy), text, len))
		return false;
	v->iterations = (unsigned)strtonum(strsep(&rest, ","), 1,
	    ITERATIONS_MAX, &error);
	n = field(&rest, v->salt, sizeof(v->salt));
	if (error == NULL && n != -1) {
		v->salt_len = (size_t)n;
		good = field(&rest, v->stored_key, CRYPTO_HASH) ==
		    CRYPTO_HASH && field(&rest, v->server_key, CRYPTO_HASH) ==
		    CRYPTO_HASH && rest == NULL;
	}
	explicit_bzero(copy, sizeof(copy));
	return good;
}

/* Do as the client would: SaltedPassword, ClientKey, StoredKey. */
int
verifier_password(const struct verifier *v, const char *password)
{
	static const char word[] = "Client Key";
	unsigned char key[CRYPTO_HASH];
	int right = -1;

	if (crypto_stretch(password, v->salt, v->salt_len, v->iterations,
	    key) == 0 &&
	    crypto_hmac(key, sizeof(key), word, sizeof(word) - 1, key) == 0 &&
	    crypto_hash(key, sizeof(key), key) == 0)
		right = crypto_equal(key, sizeof(key), v->stored_key,
		    CRYPTO_HASH);
	explicit_bzero(key, sizeof(key));
	return right;
}

/*
 * ClientKey is the proof without HMAC(StoredKey, AuthMessage), and StoredKey
 * its hash; our own signature is HMAC(ServerKey, AuthMessage).
 */
int
verifier_proof(const struct verifier *v, const char *message,
    const unsigned char proof[CRYPTO_HASH], unsigned char to[CRYPTO_HASH])
{
	unsigned char key[CRYPTO_HASH], hash[CRYPTO_HASH];
	size_t i, n = strlen(message);
	int rc;

	if (crypto_hmac(v->stored_key, CRYPTO_HASH, message, n, key) == -1)
		return -1;
	for (i = 0; i < CRYPTO_HASH; i++)
		key[i] ^= proof[i];
	rc = crypto_hash(key, sizeof(key), hash);
	explicit_bzero(key, sizeof(key));
	if (rc == -1 ||
	    crypto_hmac(v->server_key, CRYPTO_HASH, message, n, to) == -1)
		return -1;
	return crypto_equal(hash, CRYPTO_HASH, v->stored_key, CRYPTO_HASH);
}
