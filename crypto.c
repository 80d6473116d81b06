/* SPDX-License-Identifier: ISC */
/*
 * crypto.c - the cryptography of authentication, with GnuTLS.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "crypto.h"
#include "smtpd.h"

static int
result(int rc)
{
	if (rc >= 0)
		return 0;
	log_error(0, "GnuTLS", gnutls_strerror(rc));
	return -1;
}

int
crypto_random(void *to, size_t n)
{
	return result(gnutls_rnd(GNUTLS_RND_KEY, to, n));
}

int
crypto_hash(const void *p, size_t n, unsigned char to[CRYPTO_HASH])
{
	return result(gnutls_hash_fast(GNUTLS_DIG_SHA256, p, n, to));
}

int
crypto_hmac(const void *key, size_t key_len, const void *p, size_t n,
    unsigned char to[CRYPTO_HASH])
{
	return result(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, key_len, p, n,
	    to));
}

int
crypto_stretch(const char *password, const void *salt, size_t salt_len,
    unsigned iterations, unsigned char to[CRYPTO_HASH])
{
	size_t n = strlen(password);
	unsigned char *copy;
	gnutls_datum_t key, s;
	int rc;

	/* GnuTLS takes nothing that is const. */
	if ((copy = malloc(n + salt_len)) == NULL)
		return result(GNUTLS_E_MEMORY_ERROR);
	memcpy(copy, password, n);
	memcpy(copy + n, salt, salt_len);
	key = (gnutls_datum_t){ copy, (unsigned)n };
	s = (gnutls_datum_t){ copy + n, (unsigned)salt_len };
	rc = gnutls_pbkdf2(GNUTLS_MAC_SHA256, &key, &s, iterations, to,
	    CRYPTO_HASH);
	freezero(copy, n + salt_len);
	return result(rc);
}

bool
crypto_equal(const void *a, size_t alen, const void *b, size_t blen)
{
	return alen == blen && gnutls_memcmp(a, b, alen) == 0;
}
