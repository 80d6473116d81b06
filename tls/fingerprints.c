/* SPDX-License-Identifier: ISC */
/*
 * fingerprints.c - certificates of clients that are known one by one.
 *
 * tls-client-fingerprints has lines of SHA-256 in hexadecimal, as openssl(1)
 * and certtool(1) print it, with or without colons, and the client's name.  The
 * key is the proof; the certificate's issuer, purpose and dates do not matter.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>

#include "tls.h"

#define HASH		32	/* octets of SHA-256 */
#define BLANK		" \t\r"

struct line {
	unsigned char	 hash[HASH];
	const char	*name;
	size_t		 len;
};

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	if (at == NULL)
		return -1;
	return (int)(at - digits) - (at - digits > 15 ? 6 : 0);
}

/* False: it is not such a line. */
static bool
parse_line(const char *p, const char *end, struct line *line)
{
	size_t i;

	for (i = 0; i < HASH; i++) {
		if (end - p < 2 || hex_digit(p[0]) == -1 ||
		    hex_digit(p[1]) == -1)
			return false;
		line->hash[i] = (unsigned char)(hex_digit(p[0]) << 4 |
		    hex_digit(p[1]));
		p += 2;
		if (p < end && *p == ':' && i < HASH - 1)
			p++;
	}
	if (p == end || strchr(BLANK, *p) == NULL)
		return false;
	while (p < end && strchr(BLANK, *p) != NULL)
		p++;
	while (end > p && strchr(BLANK, end[-1]) != NULL)
		end--;
	line->name = p;
	line->len = (size_t)(end - p);
	return line->len > 0;
}

static bool
means_nothing(const char *p, const char *end)
{
	return p == end || *p == '#' || (end - p == 1 && *p == '\r');
}

char *
fingerprints_load(const char *path, char *err, size_t size)
{
	gnutls_datum_t data;
	char *text;

	if (tls_file("tls-client-fingerprints", path, &data, err, size) == -1)
		return NULL;
	if ((text = malloc(data.size + 1)) == NULL)
		tls_complain(err, size, "tls-client-fingerprints", path,
		    "out of memory");
	else {
		memcpy(text, data.data, data.size);
		text[data.size] = '\0';
	}
	gnutls_free(data.data);
	return text;
}

int
fingerprints_find(const char *text, const gnutls_datum_t *cert, char *name,
    size_t size)
{
	struct line line;
	unsigned char hash[HASH];
	const char *end;

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, cert->data, cert->size,
	    hash) < 0)
		return -1;
	for (; *text != '\0'; text = end + (*end != '\0')) {
		end = text + strcspn(text, "\n");
		if (means_nothing(text, end) || !parse_line(text, end, &line) ||
		    memcmp(line.hash, hash, HASH) != 0 || line.len >= size)
			continue;
		memcpy(name, line.name, line.len);
		name[line.len] = '\0';
		return 1;
	}
	return 0;
}

static void
write_hash(const unsigned char *hash, char *to)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t i;

	for (i = 0; i < HASH; i++) {
		*to++ = digits[hash[i] >> 4];
		*to++ = digits[hash[i] & 15];
		*to++ = ':';
	}
	to[-1] = '\0';
}

void
fingerprints_certificate(const gnutls_datum_t *cert, char *to)
{
	unsigned char hash[HASH];

	*to = '\0';
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, cert->data, cert->size,
	    hash) == 0)
		write_hash(hash, to);
}

void
fingerprints_key(gnutls_x509_crt_t crt, char *to)
{
	unsigned char hash[HASH];
	size_t size = sizeof(hash);

	*to = '\0';
	if (gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, hash,
	    &size) == 0)
		write_hash(hash, to);
}

int
fingerprints_check(const char *path, const char *text)
{
	struct line line;
	unsigned long number = 0;
	const char *end;
	int bad = 0;

	for (; *text != '\0'; text = end + (*end != '\0')) {
		end = text + strcspn(text, "\n");
		number++;
		if (means_nothing(text, end) || parse_line(text, end, &line))
			continue;
		warnx("tls-client-fingerprints: %s: line %lu: not SHA-256 and "
		    "a name", path, number);
		bad++;
	}
	return bad;
}
