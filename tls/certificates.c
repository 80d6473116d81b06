/* SPDX-License-Identifier: ISC */
/*
 * certificates.c - who is who in TLS: our certificates, the client's.
 *
 * It owns the files that the settings name (certificates, the authority of
 * clients and what it revoked, the key of the tickets), how they are loaded and
 * what -t says of them, and the verdict on a client's certificate.  It has no
 * state: the caller owns what it loads.  Private keys are in keys.c.
 */
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tls.h"

/* Our certificates. */

static const char *
validity(gnutls_x509_crt_t crt)
{
	time_t now = time(NULL);

	if (gnutls_x509_crt_get_expiration_time(crt) < now)
		return "has expired";
	if (gnutls_x509_crt_get_activation_time(crt) > now)
		return "is not valid yet";
	return NULL;
}

/* With the key's file; 0, or -1 with the reason in err. */
static int
set_own(gnutls_certificate_credentials_t credentials, gnutls_x509_crt_t *chain,
    unsigned count, const char *path, char *err, size_t size)
{
	gnutls_x509_privkey_t key;
	int rc;

	if (keys_read(path, chain[0], &key, err, size) == -1)
		return -1;
	rc = gnutls_certificate_set_x509_key(credentials, chain, (int)count,
	    key);
	gnutls_x509_privkey_deinit(key);
	return rc >= 0 ? 0 : tls_complain(err, size, "tls-key", path,
	    gnutls_strerror(rc));
}

/* The signer has the n-th key; 0 or GnuTLS's error, which is never -1. */
static int
set_remote(gnutls_certificate_credentials_t credentials,
    gnutls_x509_crt_t *chain, unsigned count, unsigned n, tls_signer *signer)
{
	gnutls_pcert_st certs[TLS_CHAIN_MAX];
	gnutls_privkey_t key;
	unsigned done;
	int rc = 0;

	for (done = 0; done < count; done++)
		if ((rc = gnutls_pcert_import_x509(&certs[done], chain[done],
		    0)) < 0)
			break;
	if (rc >= 0 && (rc = keys_remote(&key, chain[0], n, signer)) >= 0) {
		/* The credentials own all of it then. */
		rc = gnutls_certificate_set_key(credentials, NULL, 0, certs,
		    (int)count, key);
		if (rc >= 0)
			return 0;
		gnutls_privkey_deinit(key);
	}
	while (done > 0)
		gnutls_pcert_deinit(&certs[--done]);
	return rc;
}

/*
 * Load the n-th certificate with its chain, and its key unless a signer has
 * that.  fault: what is wrong with it today, though it can be used; or NULL.
 */
static int
load_pair(gnutls_certificate_credentials_t credentials,
    const struct settings *s, unsigned n, tls_signer *signer,
    const char **fault, char *err, size_t size)
{
	gnutls_x509_crt_t chain[TLS_CHAIN_MAX];
	unsigned count = TLS_CHAIN_MAX;
	int rc;

	if (tls_chain(s->tls_cert[n], chain, &count, err, size) == -1)
		return -1;
	if (signer != NULL)
		rc = set_remote(credentials, chain, count, n, signer);
	else
		rc = set_own(credentials, chain, count, s->tls_key[n], err,
		    size);
	*fault = validity(chain[0]);
	tls_chain_free(chain, count);
	if (rc < -1)
		return tls_complain(err, size, "tls-cert", s->tls_cert[n],
		    gnutls_strerror(rc));
	return rc;
}

static int
load_client_ca(gnutls_certificate_credentials_t credentials, const char *path,
    char *err, size_t size)
{
	gnutls_datum_t data;
	int rc;

	if (tls_file("tls-client-ca", path, &data, err, size) == -1)
		return -1;
	rc = gnutls_certificate_set_x509_trust_mem(credentials, &data,
	    GNUTLS_X509_FMT_PEM);
	gnutls_free(data.data);
	if (rc > 0)
		return 0;
	return tls_complain(err, size, "tls-client-ca", path, rc < 0 ?
	    gnutls_strerror(rc) : "no certificate in it");
}

/* Without one here that has the issuer's name, a list would revoke nothing. */
static bool
is_ours(const struct certificates *c, gnutls_x509_crl_t list)
{
	gnutls_x509_trust_list_t trust;
	gnutls_x509_trust_list_iter_t next = NULL;
	gnutls_x509_crt_t ca;
	bool found = false;

	gnutls_certificate_get_trust_list(c->credentials, &trust);
	while (gnutls_x509_trust_list_iter_get_ca(trust, &next, &ca) == 0) {
		found |= gnutls_x509_crl_check_issuer(list, ca) == 1;
		gnutls_x509_crt_deinit(ca);
	}
	return found;
}

/* When the first of the lists is overdue; false: one is not of ours. */
static bool
look_at_lists(struct certificates *c, const gnutls_datum_t *data)
{
	gnutls_x509_crl_t *lists;
	unsigned i, count = 0;
	bool ours = true;
	time_t next;

	if (gnutls_x509_crl_list_import2(&lists, &count, data,
	    GNUTLS_X509_FMT_PEM, 0) < 0)
		return true;
	for (i = 0; i < count; i++) {
		next = gnutls_x509_crl_get_next_update(lists[i]);
		if (next != (time_t)-1 && (c->crl_until == 0 ||
		    next < c->crl_until))
			c->crl_until = next;
		ours &= is_ours(c, lists[i]);
		gnutls_x509_crl_deinit(lists[i]);
	}
	if (count > 0)
		gnutls_free(lists);
	return ours;
}

/* One list or several, each of an authority in tls-client-ca. */
static int
load_client_crl(struct certificates *c, const char *path, char *err,
    size_t size)
{
	gnutls_datum_t data;
	bool ours;
	int rc;

	if (tls_file("tls-client-crl", path, &data, err, size) == -1)
		return -1;
	rc = gnutls_certificate_set_x509_crl_mem(c->credentials, &data,
	    GNUTLS_X509_FMT_PEM);
	ours = look_at_lists(c, &data);
	gnutls_free(data.data);
	if (rc > 0 && ours)
		return 0;
	return tls_complain(err, size, "tls-client-crl", path, rc < 0 ?
	    gnutls_strerror(rc) : rc == 0 ? "no revocation list in it" :
	    "not of an authority in tls-client-ca");
}

/* How clients are verified. */
static int
load_clients(struct certificates *c, const struct settings *s, char *err,
    size_t size)
{
	gnutls_certificate_set_verify_flags(c->credentials,
	    GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM));
	c->any_purpose = s->tls_client_server_certs;
	if (s->tls_client_fingerprints != NULL &&
	    (c->prints = fingerprints_load(s->tls_client_fingerprints, err,
	    size)) == NULL)
		return -1;
	if (s->tls_client_ca == NULL)
		return 0;
	if (load_client_ca(c->credentials, s->tls_client_ca, err, size) == -1)
		return -1;
	if (s->tls_client_crl == NULL)
		return 0;
	return load_client_crl(c, s->tls_client_crl, err, size);
}

static int
load_ours(struct certificates *c, const struct settings *s, tls_signer *signer,
    char *err, size_t size)
{
	const char *why;
	unsigned i;

	for (i = 0; i < TLS_CERTS_MAX && s->tls_cert[i] != NULL; i++) {
		if (load_pair(c->credentials, s, i, signer, &why, err,
		    size) == -1)
			return -1;
		/* The client decides whether to refuse it; we only log it. */
		if (why != NULL) {
			tls_complain(err, size, "tls-cert", s->tls_cert[i],
			    why);
			log_error(0, "tls", err);
		}
	}
	return 0;
}

static int
allocate(struct certificates *c, char *err, size_t size)
{
	int rc;

	memset(c, 0, sizeof(*c));
	rc = gnutls_certificate_allocate_credentials(&c->credentials);
	if (rc < 0)
		return tls_complain(err, size, "tls", "GnuTLS",
		    gnutls_strerror(rc));
	return 0;
}

static int
load_ticket_key(struct certificates *c, const char *path, char *err,
    size_t size)
{
	gnutls_datum_t data;
	bool right;

	if (tls_file("tls-ticket-key", path, &data, err, size) == -1)
		return -1;
	if ((right = data.size == sizeof(c->ticket_key)))
		memcpy(c->ticket_key, data.data, data.size);
	tls_wipe(&data);
	return right ? 0 : tls_complain(err, size, "tls-ticket-key", path,
	    "not 64 octets long");
}

void
certificates_forget(struct certificates *c)
{
	if (c->credentials != NULL)
		gnutls_certificate_free_credentials(c->credentials);
	c->credentials = NULL;
	free(c->prints);
	c->prints = NULL;
	explicit_bzero(c->ticket_key, sizeof(c->ticket_key));
}

int
certificates_load(struct certificates *c, const struct settings *s,
    tls_signer *signer, char *err, size_t size)
{
	if (allocate(c, err, size) == -1)
		return -1;
	/* keys_read() did what -t does at length. */
	gnutls_certificate_set_flags(c->credentials,
	    GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	if (load_ours(c, s, signer, err, size) == -1 ||
	    load_clients(c, s, err, size) == -1) {
		certificates_forget(c);
		return -1;
	}
	if (s->tls_ticket_key != NULL) {
		c->tickets = load_ticket_key(c, s->tls_ticket_key, err,
		    size) == 0;
		if (!c->tickets)
			log_error(0, "tls", err);
	}
	return 0;
}

/* The client's certificate. */

static const struct {
	unsigned	 bit;
	const char	*text;
} faults[] = {
	{ GNUTLS_CERT_REVOKED,			"revoked" },
	{ GNUTLS_CERT_SIGNER_NOT_FOUND,		"unknown issuer" },
	{ GNUTLS_CERT_SIGNER_NOT_CA,		"issuer is no authority" },
	{ GNUTLS_CERT_SIGNATURE_FAILURE,	"bad signature" },
	{ GNUTLS_CERT_INSECURE_ALGORITHM,	"weak key or algorithm" },
	{ GNUTLS_CERT_EXPIRED,			"expired" },
	{ GNUTLS_CERT_NOT_ACTIVATED,		"not valid yet" },
	{ GNUTLS_CERT_PURPOSE_MISMATCH,		"not for clients" },
};

static const char *
fault(unsigned status)
{
	size_t i;

	for (i = 0; i < nitems(faults); i++)
		if (status & faults[i].bit)
			return faults[i].text;
	return "not valid";
}

/*
 * The subject as RFC 4514 writes it, with every octet that is not printable
 * ASCII escaped: it goes into logs, headers and the environment.  -1: it is too
 * long; part of a name would be another name.
 */
static int
copy_subject(char *to, size_t size, const gnutls_datum_t *from)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t i, n = 0;
	unsigned char c;

	for (i = 0; i < from->size && n + 3 < size; i++) {
		c = from->data[i];
		if (c >= 0x20 && c < 0x7f) {
			to[n++] = (char)c;
			continue;
		}
		to[n++] = '\\';
		to[n++] = hex[c >> 4];
		to[n++] = hex[c & 15];
	}
	to[n] = '\0';
	return i == from->size && n > 0 ? 0 : -1;
}

typedef int	by_oid(gnutls_x509_crt_t, const char *, unsigned, unsigned,
		    void *, size_t *);

/*
 * The common name of subject or issuer.  Empty if there is none, or more than
 * one, or if it isn't a string.
 */
static void
get_name(char *to, size_t size, gnutls_x509_crt_t crt, by_oid *get)
{
	size_t len = size, none = 0;

	if (get(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, to, &len) != 0 ||
	    strlen(to) != len || get(crt, GNUTLS_OID_X520_COMMON_NAME, 1, 0,
	    NULL, &none) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		to[0] = '\0';
}

static int
get_names(struct tls_client *c, gnutls_x509_crt_t crt)
{
	gnutls_datum_t dn;
	int rc;

	if (gnutls_x509_crt_get_dn3(crt, &dn, 0) != 0)
		return -1;
	rc = copy_subject(c->subject, sizeof(c->subject), &dn);
	gnutls_free(dn.data);
	get_name(c->name, sizeof(c->name), crt, gnutls_x509_crt_get_dn_by_oid);
	get_name(c->issuer, sizeof(c->issuer), crt,
	    gnutls_x509_crt_get_issuer_dn_by_oid);
	return rc;
}

/* Verify it against the authorities: "ok", or what is wrong. */
static const char *
verify_chain(gnutls_session_t session, const struct certificates *our)
{
	static unsigned char client[] = GNUTLS_KP_TLS_WWW_CLIENT;
	gnutls_typed_vdata_st purpose = { GNUTLS_DT_KEY_PURPOSE_OID, client,
	    0 };
	unsigned status = 0;
	int rc;

	rc = gnutls_certificate_verify_peers(session, &purpose,
	    our->any_purpose ? 0 : 1, &status);
	if (rc < 0)
		return gnutls_strerror(rc);
	if (status != 0)
		return fault(status);
	/* GnuTLS looks only at serial numbers. */
	if (our->crl_until != 0 && our->crl_until < time(NULL))
		return "revocation list too old";
	return "ok";
}

/* Verify it as above, or find it by its fingerprint. */
static const char *
identify(gnutls_session_t session, const struct certificates *our,
    const gnutls_datum_t *peer, gnutls_x509_crt_t crt, struct tls_client *c)
{
	const char *verdict;
	char name[sizeof(c->name)];
	int listed = 0;

	if (our->prints != NULL)
		listed = fingerprints_find(our->prints, peer, name,
		    sizeof(name));
	verdict = listed == 1 ? "ok" : verify_chain(session, our);
	if (strcmp(verdict, "ok") != 0)
		return verdict;
	if (get_names(c, crt) == -1)
		return "subject too long";
	if (listed == 1)
		strlcpy(c->name, name, sizeof(c->name));
	return verdict;
}

const char *
certificates_client(gnutls_session_t session, const struct certificates *our,
    struct tls_client *c)
{
	const gnutls_datum_t *peer;
	gnutls_x509_crt_t crt;
	const char *verdict;
	unsigned count;
	int rc;

	peer = gnutls_certificate_get_peers(session, &count);
	if (peer == NULL || count == 0)
		return "none";
	if ((rc = gnutls_x509_crt_init(&crt)) != 0)
		return gnutls_strerror(rc);
	rc = gnutls_x509_crt_import(crt, peer, GNUTLS_X509_FMT_DER);
	if (rc == 0) {
		fingerprints_certificate(peer, c->print);
		fingerprints_key(crt, c->key_print);
		verdict = identify(session, our, peer, crt, c);
	} else
		verdict = gnutls_strerror(rc);
	gnutls_x509_crt_deinit(crt);
	return verdict;
}

/* smtpd -t. */

static int
check_result(int rc, const char *err)
{
	if (rc == 0)
		return 0;
	warnx("%s", err);
	return 1;
}

static int
check_pair(struct certificates *c, const struct settings *s, unsigned n)
{
	const char *why;
	char err[TLS_REASON_MAX];
	int bad;

	bad = check_result(load_pair(c->credentials, s, n, NULL, &why, err,
	    sizeof(err)), err);
	if (bad == 0 && why != NULL) {
		warnx("tls-cert: %s: %s", s->tls_cert[n], why);
		bad++;
	}
	return bad + inspect_secret("tls-key", s->tls_key[n]);
}

static int
check_ticket_key(struct certificates *c, const char *path)
{
	char err[TLS_REASON_MAX];

	if (load_ticket_key(c, path, err, sizeof(err)) == -1)
		return check_result(-1, err);
	return inspect_secret("tls-ticket-key", path);
}

int
certificates_check(const struct settings *s)
{
	struct certificates scratch;
	char err[TLS_REASON_MAX];
	unsigned i;
	int bad = 0;

	if (allocate(&scratch, err, sizeof(err)) == -1)
		errx(71, "%s", err);
	for (i = 0; i < TLS_CERTS_MAX && s->tls_cert[i] != NULL; i++)
		bad += check_pair(&scratch, s, i);
	bad += check_result(load_clients(&scratch, s, err, sizeof(err)), err);
	if (scratch.prints != NULL)
		bad += fingerprints_check(s->tls_client_fingerprints,
		    scratch.prints);
	if (scratch.crl_until != 0 && scratch.crl_until < time(NULL)) {
		warnx("tls-client-crl: %s: too old", s->tls_client_crl);
		bad++;
	}
	if (s->tls_ticket_key != NULL)
		bad += check_ticket_key(&scratch, s->tls_ticket_key);
	certificates_forget(&scratch);
	return bad;
}
