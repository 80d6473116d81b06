/*
 * certificates.c - who is who in TLS: our certificates, the client's.
 *
 * It owns the files that the settings name (certificates, their keys, the
 * authority of clients, the key of the tickets), how they are loaded and what
 * -t says of them, and the verdict on a client's certificate.  It has no state:
 * what it loads is the caller's.
 */
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tls.h"

#define TICKET_KEY_SIZE	64	/* GnuTLS derives its keys of a time from it */
#define CHAIN_MAX	16	/* certificates of one file that are used */
#define KEY_ID_SIZE	20

int
tls_complain(char *err, size_t size, const char *setting, const char *what,
    const char *why)
{
	snprintf(err, size, "%s: %s: %s", setting, what, why);
	return -1;
}

static int
load_file(const char *setting, const char *path, gnutls_datum_t *data,
    char *err, size_t size)
{
	errno = 0;
	if (gnutls_load_file(path, data) == 0)
		return 0;
	return tls_complain(err, size, setting, path,
	    strerror(errno != 0 ? errno : EIO));
}

static void
wipe(gnutls_datum_t *data)
{
	explicit_bzero(data->data, data->size);
	gnutls_free(data->data);
	data->data = NULL;
}

/* Ours. */

/*
 * Whether the file of the key is that of another certificate.  This looks at
 * public halves only, so it costs little; GnuTLS's own check signs something,
 * which for RSA takes as long as all the rest of a session.
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
validity(gnutls_x509_crt_t crt)
{
	time_t now = time(NULL);

	if (gnutls_x509_crt_get_expiration_time(crt) < now)
		return "has expired";
	if (gnutls_x509_crt_get_activation_time(crt) > now)
		return "is not valid yet";
	return NULL;
}

static int
load_chain(const char *path, gnutls_x509_crt_t *chain, unsigned *count,
    char *err, size_t size)
{
	gnutls_datum_t data;
	int rc;

	if (load_file("tls-cert", path, &data, err, size) == -1)
		return -1;
	rc = gnutls_x509_crt_list_import(chain, count, &data,
	    GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED |
	    GNUTLS_X509_CRT_LIST_SORT);
	gnutls_free(data.data);
	if (rc > 0) {
		*count = (unsigned)rc;
		return 0;
	}
	return tls_complain(err, size, "tls-cert", path, rc < 0 ?
	    gnutls_strerror(rc) : "no certificate in it");
}

static int
load_key(const char *path, gnutls_x509_privkey_t *key, char *err, size_t size)
{
	gnutls_datum_t data;
	int rc;

	if (load_file("tls-key", path, &data, err, size) == -1)
		return -1;
	if ((rc = gnutls_x509_privkey_init(key)) == 0) {
		rc = gnutls_x509_privkey_import2(*key, &data,
		    GNUTLS_X509_FMT_PEM, NULL, 0);
		if (rc != 0)
			gnutls_x509_privkey_deinit(*key);
	}
	wipe(&data);
	if (rc != 0)
		return tls_complain(err, size, "tls-key", path,
		    gnutls_strerror(rc));
	return 0;
}

static void
free_chain(gnutls_x509_crt_t *chain, unsigned count)
{
	while (count > 0)
		gnutls_x509_crt_deinit(chain[--count]);
}

/* One certificate with its chain, and its key.  valid: it must be so today. */
static int
load_pair(gnutls_certificate_credentials_t credentials, const char *cert,
    const char *key_file, bool valid, char *err, size_t size)
{
	gnutls_x509_crt_t chain[CHAIN_MAX];
	gnutls_x509_privkey_t key;
	const char *why = NULL;
	unsigned count = CHAIN_MAX;
	int rc;

	if (load_chain(cert, chain, &count, err, size) == -1)
		return -1;
	if (load_key(key_file, &key, err, size) == -1) {
		free_chain(chain, count);
		return -1;
	}
	if (differ(chain[0], key))
		rc = GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
	else
		rc = gnutls_certificate_set_x509_key(credentials, chain,
		    (int)count, key);
	if (valid)
		why = validity(chain[0]);
	gnutls_x509_privkey_deinit(key);
	free_chain(chain, count);
	if (rc == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		return tls_complain(err, size, "tls-key", key_file,
		    "not the key of the certificate");
	if (rc < 0)
		why = gnutls_strerror(rc);
	return why == NULL ? 0 : tls_complain(err, size, "tls-cert", cert, why);
}

static int
load_client_ca(gnutls_certificate_credentials_t credentials, const char *path,
    char *err, size_t size)
{
	gnutls_datum_t data;
	int rc;

	if (load_file("tls-client-ca", path, &data, err, size) == -1)
		return -1;
	rc = gnutls_certificate_set_x509_trust_mem(credentials, &data,
	    GNUTLS_X509_FMT_PEM);
	gnutls_free(data.data);
	if (rc > 0)
		return 0;
	return tls_complain(err, size, "tls-client-ca", path, rc < 0 ?
	    gnutls_strerror(rc) : "no certificate in it");
}

/* One list for each authority; one that is too old revokes everybody. */
static int
load_client_crl(gnutls_certificate_credentials_t credentials, const char *path,
    char *err, size_t size)
{
	gnutls_datum_t data;
	int rc;

	if (load_file("tls-client-crl", path, &data, err, size) == -1)
		return -1;
	rc = gnutls_certificate_set_x509_crl_mem(credentials, &data,
	    GNUTLS_X509_FMT_PEM);
	gnutls_free(data.data);
	if (rc > 0)
		return 0;
	return tls_complain(err, size, "tls-client-crl", path, rc < 0 ?
	    gnutls_strerror(rc) : "no revocation list in it");
}

/* How clients are verified. */
static int
load_clients(gnutls_certificate_credentials_t credentials,
    const struct settings *s, char *err, size_t size)
{
	gnutls_certificate_set_verify_flags(credentials,
	    GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM));
	if (s->tls_client_ca == NULL)
		return 0;
	if (load_client_ca(credentials, s->tls_client_ca, err, size) == -1)
		return -1;
	if (s->tls_client_crl == NULL)
		return 0;
	return load_client_crl(credentials, s->tls_client_crl, err, size);
}

static int
load_all(gnutls_certificate_credentials_t credentials,
    const struct settings *s, char *err, size_t size)
{
	size_t i;

	for (i = 0; i < TLS_CERTS_MAX && s->tls_cert[i] != NULL; i++)
		if (load_pair(credentials, s->tls_cert[i], s->tls_key[i],
		    false, err, size) == -1)
			return -1;
	return load_clients(credentials, s, err, size);
}

gnutls_certificate_credentials_t
credentials_load(const struct settings *s, char *err, size_t size)
{
	gnutls_certificate_credentials_t credentials;
	int rc;

	rc = gnutls_certificate_allocate_credentials(&credentials);
	if (rc != 0) {
		tls_complain(err, size, "tls", "GnuTLS", gnutls_strerror(rc));
		return NULL;
	}
	gnutls_certificate_set_flags(credentials,
	    GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	if (load_all(credentials, s, err, size) == 0)
		return credentials;
	gnutls_certificate_free_credentials(credentials);
	return NULL;
}

/* The key of the tickets; to be wiped. */
static int
load_ticket_key(const char *path, gnutls_datum_t *data, char *err, size_t size)
{
	if (load_file("tls-ticket-key", path, data, err, size) == -1)
		return -1;
	if (data->size == TICKET_KEY_SIZE)
		return 0;
	wipe(data);
	return tls_complain(err, size, "tls-ticket-key", path,
	    "not 64 octets long");
}

bool
credentials_tickets(gnutls_session_t session, const char *path, char *err,
    size_t size)
{
	gnutls_datum_t data;
	int rc;

	if (load_ticket_key(path, &data, err, size) == -1)
		return false;
	rc = gnutls_session_ticket_enable_server(session, &data);
	wipe(&data);
	return rc == 0;
}

/* The client's. */

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
	{ GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED,
	    "revocation list too old" },
	{ GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE,
	    "revocation list of the future" },
};

static const char *
fault(unsigned status)
{
	size_t i;

	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (status & faults[i].bit)
			return faults[i].text;
	return "not valid";
}

/*
 * The subject as RFC 4514 writes it, every octet that is not printable ASCII
 * escaped: it goes into logs, headers and the environment.  -1: too long; a
 * part of a name is not that name.
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

/* Empty if there is none, or more than one, or if it is no string. */
static void
get_name(struct tls_client *c, gnutls_x509_crt_t crt)
{
	size_t size = sizeof(c->name), none = 0;
	int rc;

	rc = gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0,
	    0, c->name, &size);
	if (rc != 0 || strlen(c->name) != size ||
	    gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 1,
	    0, NULL, &none) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		c->name[0] = '\0';
}

static int
get_subject(struct tls_client *c, const gnutls_datum_t *peer)
{
	gnutls_x509_crt_t crt;
	gnutls_datum_t dn;
	int rc = -1;

	if (gnutls_x509_crt_init(&crt) != 0)
		return -1;
	if (gnutls_x509_crt_import(crt, peer, GNUTLS_X509_FMT_DER) == 0 &&
	    gnutls_x509_crt_get_dn3(crt, &dn, 0) == 0) {
		rc = copy_subject(c->subject, sizeof(c->subject), &dn);
		gnutls_free(dn.data);
		get_name(c, crt);
	}
	gnutls_x509_crt_deinit(crt);
	return rc;
}

const char *
credentials_client(gnutls_session_t session, struct tls_client *c)
{
	static unsigned char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
	gnutls_typed_vdata_st data = { GNUTLS_DT_KEY_PURPOSE_OID, purpose,
	    0 };
	const gnutls_datum_t *peer;
	unsigned count, status = 0;
	int rc;

	peer = gnutls_certificate_get_peers(session, &count);
	if (peer == NULL || count == 0)
		return "none";
	rc = gnutls_certificate_verify_peers(session, &data, 1, &status);
	if (rc < 0)
		return gnutls_strerror(rc);
	if (status != 0)
		return fault(status);
	return get_subject(c, peer) == 0 ? "ok" : "subject too long";
}

/* smtpd -t. */

static int
check_private(const char *setting, const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1 || (st.st_mode & S_IROTH) == 0)
		return 0;
	warnx("%s: %s: everybody can read it", setting, path);
	return 1;
}

static int
check_result(int rc, const char *err)
{
	if (rc == 0)
		return 0;
	warnx("%s", err);
	return 1;
}

static int
check_ticket_key(const char *path)
{
	gnutls_datum_t data;
	char err[TLS_REASON_MAX];

	if (load_ticket_key(path, &data, err, sizeof(err)) == -1)
		return check_result(-1, err);
	wipe(&data);
	return check_private("tls-ticket-key", path);
}

/* A list whose next one is overdue makes every certificate a bad one. */
static int
check_client_crl(const char *path)
{
	gnutls_x509_crl_t *lists;
	gnutls_datum_t data;
	char err[TLS_REASON_MAX];
	time_t now = time(NULL), next;
	unsigned i, count = 0;
	int bad = 0;

	if (load_file("tls-client-crl", path, &data, err, sizeof(err)) == -1)
		return 0;	/* load_clients() has said so */
	if (gnutls_x509_crl_list_import2(&lists, &count, &data,
	    GNUTLS_X509_FMT_PEM, 0) < 0)
		count = 0;
	for (i = 0; i < count; i++) {
		next = gnutls_x509_crl_get_next_update(lists[i]);
		bad |= next != (time_t)-1 && next < now;
		gnutls_x509_crl_deinit(lists[i]);
	}
	if (count > 0)
		gnutls_free(lists);
	gnutls_free(data.data);
	if (bad)
		warnx("tls-client-crl: %s: too old", path);
	return bad;
}

int
credentials_check(const struct settings *s)
{
	gnutls_certificate_credentials_t scratch;
	char err[TLS_REASON_MAX];
	size_t i;
	int bad = 0;

	if (gnutls_certificate_allocate_credentials(&scratch) != 0)
		errx(71, "out of memory");
	for (i = 0; i < TLS_CERTS_MAX && s->tls_cert[i] != NULL; i++) {
		bad += check_result(load_pair(scratch, s->tls_cert[i],
		    s->tls_key[i], true, err, sizeof(err)), err);
		bad += check_private("tls-key", s->tls_key[i]);
	}
	bad += check_result(load_clients(scratch, s, err, sizeof(err)), err);
	gnutls_certificate_free_credentials(scratch);
	if (s->tls_client_crl != NULL)
		bad += check_client_crl(s->tls_client_crl);
	if (s->tls_ticket_key != NULL)
		bad += check_ticket_key(s->tls_ticket_key);
	return bad;
}
