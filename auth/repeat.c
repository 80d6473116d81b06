/* SPDX-License-Identifier: ISC */
/*
 * repeat.c - wrong credentials that are given again at once.
 *
 * A mail program tries one mistyped password with each mechanism that it knows
 * (Thunderbird: PLAIN, then LOGIN).  That is one person's one mistake, so the
 * second time is answered from here.  Only a keyed hash of a pair is kept, with
 * a key of this process's own.
 */
#include <stdio.h>
#include <string.h>

#include "auth.h"

#define PAIRS	16	/* of a session; then the oldest is forgotten */

static struct {
	bool		 keyed;
	unsigned char	 key[CRYPTO_HASH];
	unsigned	 next;
	struct pair {
		unsigned char hash[CRYPTO_HASH];
		bool	 used;
		bool	 repeated;
	} pairs[PAIRS];
} repeats;

static int
hash_pair(const char *user, const char *password,
    unsigned char hash[CRYPTO_HASH])
{
	char both[AUTH_USER_MAX + AUTH_PASSWORD_MAX + 2];
	size_t n = strlen(user) + 1;
	int rc;

	if (!repeats.keyed &&
	    crypto_random(repeats.key, sizeof(repeats.key)) == -1)
		return -1;
	repeats.keyed = true;
	strlcpy(both, user, sizeof(both));
	n += strlcpy(both + n, password, sizeof(both) - n);
	rc = crypto_hmac(repeats.key, sizeof(repeats.key), both, n, hash);
	explicit_bzero(both, sizeof(both));
	return rc;
}

bool
repeat_is_first(const char *user, const char *password)
{
	unsigned char hash[CRYPTO_HASH];
	size_t i;

	if (repeats.next == 0 || hash_pair(user, password, hash) == -1)
		return false;
	for (i = 0; i < PAIRS; i++)
		if (repeats.pairs[i].used && !repeats.pairs[i].repeated &&
		    crypto_equal(repeats.pairs[i].hash, sizeof(hash), hash,
		    sizeof(hash))) {
			repeats.pairs[i].repeated = true;
			return true;
		}
	return false;
}

/* A pair that comes a third time is not forgiven a second time. */
void
repeat_failed(const char *user, const char *password)
{
	struct pair *p = &repeats.pairs[repeats.next % PAIRS];
	unsigned char hash[CRYPTO_HASH];
	size_t i;

	if (hash_pair(user, password, hash) == -1)
		return;
	for (i = 0; i < PAIRS; i++)
		if (repeats.pairs[i].used && crypto_equal(repeats.pairs[i].hash,
		    sizeof(hash), hash, sizeof(hash)))
			return;
	memcpy(p->hash, hash, sizeof(hash));
	p->used = true;
	p->repeated = false;
	repeats.next++;
}
