/* SPDX-License-Identifier: ISC */
/*
 * keys.c - private keys: read, compared with their certificates, and used to
 * sign, in this process or in another.
 *
 * A process that is started for one connection reads its keys and signs itself.
 * Where one process serves many, neither it nor what it forks has the keys: a
 * separate process loads them (keys_load()) and signs for the others
 * (keys_sign()), whose certificates carry keys that ask it (keys_remote()).
 */
#include <errno.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tls.h"

#define KEY_ID_SIZE	20

/* The keys that keys_load() loaded, in the order of tls-key. */
static gnutls_privkey_t keys[TLS_CERTS_MAX];

/* A key that signs elsewhere, as the certificate describes it. */
struct remote {
	tls_signer	*signer;
	unsigned	 key;
	int		 algorithm;
	unsigned	 bits;
};

/*
 * Does the key belong to another certificate?  This looks only at public
 * halves, so it costs little; GnuTLS's own check signs something, which for RSA
 * takes as long as the rest of a session.
 */
static bool
differ(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
	unsigned char a[KEY_ID_SIZE], b[KEY_ID_SIZE];
	size_t alen = sizeof(a), blen = sizeof(b);

	return gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA1, a,
	    &alen) != 0 || gnutls_x509_privkey_get_key_id(key,
	    GNUTLS_KEYID_USE_SHA1, b, &blen) != 0 || alen != blen ||
	    memcmp(a, b, alen) != 0;
}

static const char *
key_fault(int rc)
{
	switch (rc) {
	case GNUTLS_E_CERTIFICATE_KEY_MISMATCH:
		return "not the key of the certificate";
	case GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE:
	case GNUTLS_E_BASE64_UNEXPECTED_HEADER_ERROR:
		return "no private key in it; without tls-key it is looked "
		    "for in the file of tls-cert";
	default:
		return gnutls_strerror(rc);
	}
}

int
keys_read(const char *path, gnutls_x509_crt_t crt, gnutls_x509_privkey_t *key,
    char *err, size_t size)
{
	gnutls_datum_t data;
	int rc;

	if (tls_file("tls-key", path, &data, err, size) == -1)
		return -1;
	if ((rc = gnutls_x509_privkey_init(key)) == 0) {
		rc = gnutls_x509_privkey_import2(*key, &data,
		    GNUTLS_X509_FMT_PEM, NULL, 0);
		if (rc == 0 && differ(crt, *key))
			rc = GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
		if (rc != 0)
			gnutls_x509_privkey_deinit(*key);
	}
	tls_wipe(&data);
	if (rc == 0)
		return 0;
	return tls_complain(err, size, "tls-key", path, key_fault(rc));
}

/* Keys of another process. */

static int
remote_info(gnutls_privkey_t key, unsigned flags, void *arg)
{
	const struct remote *r = arg;

	(void)key;
	if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) != 0)
		return r->algorithm;
	if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) != 0)
		return (int)r->bits;
	if ((flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) != 0)
		return gnutls_sign_supports_pk_algorithm(
		    GNUTLS_FLAGS_TO_SIGN_ALGO(flags),
		    (gnutls_pk_algorithm_t)r->algorithm) != 0;
	return -1;
}

static int
remote_sign(const struct remote *r, gnutls_sign_algorithm_t algorithm,
    bool hashed, const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	struct tls_sign q = { .key = r->key, .algorithm = (unsigned)algorithm,
	    .hashed = hashed, .len = data->size };
	unsigned char out[TLS_SIGNATURE_MAX];
	ssize_t n;

	if (data->size > sizeof(q.data))
		return GNUTLS_E_INVALID_REQUEST;
	memcpy(q.data, data->data, data->size);
	n = r->signer(&q, out, sizeof(out));
	if (n <= 0 || (size_t)n > sizeof(out))
		return GNUTLS_E_PK_SIGN_FAILED;
	if ((signature->data = gnutls_malloc((size_t)n)) == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	memcpy(signature->data, out, (size_t)n);
	signature->size = (unsigned)n;
	return 0;
}

/* Ed25519 signs the data itself, not a hash of it. */
static int
remote_sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm,
    void *arg, unsigned flags, const gnutls_datum_t *data,
    gnutls_datum_t *signature)
{
	(void)key;
	(void)flags;
	return remote_sign(arg, algorithm, false, data, signature);
}

static int
remote_sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm,
    void *arg, unsigned flags, const gnutls_datum_t *data,
    gnutls_datum_t *signature)
{
	(void)key;
	(void)flags;
	return remote_sign(arg, algorithm, true, data, signature);
}

static void
remote_end(gnutls_privkey_t key, void *arg)
{
	(void)key;
	gnutls_free(arg);
}

int
keys_remote(gnutls_privkey_t *key, gnutls_x509_crt_t crt, unsigned n,
    tls_signer *signer)
{
	struct remote *r;
	int rc;

	if ((r = gnutls_malloc(sizeof(*r))) == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	*r = (struct remote){ .signer = signer, .key = n };
	r->algorithm = gnutls_x509_crt_get_pk_algorithm(crt, &r->bits);
	if ((rc = gnutls_privkey_init(key)) < 0) {
		gnutls_free(r);
		return rc;
	}
	rc = gnutls_privkey_import_ext4(*key, r, remote_sign_data,
	    remote_sign_hash, NULL, remote_end, remote_info, 0);
	if (rc < 0) {
		gnutls_privkey_deinit(*key);
		gnutls_free(r);
	}
	return rc;
}

/* The process that has the keys. */

static int
load_one(const char *cert, const char *path, gnutls_privkey_t *key, char *err,
    size_t size)
{
	gnutls_x509_crt_t chain[TLS_CHAIN_MAX];
	gnutls_x509_privkey_t plain;
	unsigned count = TLS_CHAIN_MAX;
	int rc;

	if (tls_chain(cert, chain, &count, err, size) == -1)
		return -1;
	rc = keys_read(path, chain[0], &plain, err, size);
	tls_chain_free(chain, count);
	if (rc == -1)
		return -1;
	if ((rc = gnutls_privkey_init(key)) == 0) {
		rc = gnutls_privkey_import_x509(*key, plain,
		    GNUTLS_PRIVKEY_IMPORT_COPY);
		if (rc < 0)
			gnutls_privkey_deinit(*key);
	}
	gnutls_x509_privkey_deinit(plain);
	return rc < 0 ? tls_complain(err, size, "tls-key", path,
	    gnutls_strerror(rc)) : 0;
}

static void
free_keys(gnutls_privkey_t list[TLS_CERTS_MAX])
{
	size_t i;

	for (i = 0; i < TLS_CERTS_MAX; i++)
		if (list[i] != NULL)
			gnutls_privkey_deinit(list[i]);
}

int
keys_load(const struct settings *s, char *err, size_t size)
{
	gnutls_privkey_t fresh[TLS_CERTS_MAX] = { NULL };
	size_t i;

	for (i = 0; i < TLS_CERTS_MAX && s->tls_cert[i] != NULL; i++)
		if (load_one(s->tls_cert[i], s->tls_key[i], &fresh[i], err,
		    size) == -1) {
			fresh[i] = NULL;
			free_keys(fresh);
			return -1;
		}
	free_keys(keys);
	memcpy(keys, fresh, sizeof(keys));
	return 0;
}

ssize_t
keys_sign(const struct tls_sign *q, unsigned char *out, size_t size)
{
	gnutls_datum_t data, signature;
	unsigned char copy[sizeof(q->data)];
	ssize_t n = -1;
	int rc;

	errno = EINVAL;
	if (q->key >= TLS_CERTS_MAX || keys[q->key] == NULL ||
	    q->len > sizeof(q->data))
		return -1;
	memcpy(copy, q->data, q->len);
	data.data = copy;
	data.size = (unsigned)q->len;
	rc = (q->hashed ? gnutls_privkey_sign_hash2 :
	    gnutls_privkey_sign_data2)(keys[q->key],
	    (gnutls_sign_algorithm_t)q->algorithm, 0, &data, &signature);
	if (rc < 0)
		return -1;
	if (signature.size <= size) {
		n = (ssize_t)signature.size;
		memcpy(out, signature.data, signature.size);
	}
	gnutls_free(signature.data);
	return n;
}
