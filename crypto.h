/* SPDX-License-Identifier: ISC */
/*
 * crypto.h - the cryptography of authentication: the only place that knows
 * which library it comes from.  (TLS uses GnuTLS as well, and crypt(3) does the
 * hashes of the file of users.)  SHA-256 everywhere.
 */
#ifndef CRYPTO_H
#define CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

#define CRYPTO_HASH	32	/* octets */

/* Each is 0, or -1: logged. */
int	crypto_random(void *, size_t);
int	crypto_hash(const void *, size_t, unsigned char to[CRYPTO_HASH]);
int	crypto_hmac(const void *key, size_t, const void *, size_t,
	    unsigned char to[CRYPTO_HASH]);
/* PBKDF2 (RFC 8018) with HMAC. */
int	crypto_stretch(const char *password, const void *salt, size_t,
	    unsigned iterations, unsigned char to[CRYPTO_HASH]);

/* In a time that depends on the lengths alone. */
bool	crypto_equal(const void *, size_t, const void *, size_t);

#endif
