/*
 * tls.c - TLS with GnuTLS, over the client's descriptors.
 *
 * Only in smtpd-tls: loading GnuTLS costs more than a whole session without it.
 * It owns the certificates, the tickets and the state of the one TLS session of
 * this process.
 *
 * The session is never torn down: it ends once, by whatever comes first of a
 * close_notify, an alert, an error of ours or of the network, and from then on
 * there is nothing but the end of input.  No code path leads back to clear.
 */
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "smtpd.h"

/*
 * RFC 8996, RFC 9325: TLS 1.2 and 1.3 only, only authenticated encryption and
 * only ephemeral keys.  All of it is strong, so the order is that of cost.
 */
#define PRIORITY \
	"NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-ECDSA:+ECDHE-RSA:+AEAD" \
	":+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305" \
	":+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1" \
	":+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256" \
	":+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-ECDSA-SHA384:+SIGN-EDDSA-ED25519" \
	":+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-SHA256:+SIGN-RSA-SHA256" \
	":+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-PSS-SHA384:+SIGN-RSA-SHA384" \
	":+SIGN-RSA-PSS-RSAE-SHA512:+SIGN-RSA-PSS-SHA512:+SIGN-RSA-SHA512" \
	":+CTYPE-X509:+COMP-NULL:%SERVER_PRECEDENCE"

#define TICKET_KEY_SIZE	64	/* GnuTLS derives its keys of a time from it */
#define CHAIN_MAX	16	/* certificates of one file that are used */
#define WARNINGS_MAX	8	/* alerts that do not end a handshake */
#define KEY_ID_SIZE	20
#define REASON_MAX	4096	/* with the name of a file in it */

struct tls {
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
	ssize_t		(*read)(void *, size_t);
	int		(*write)(const void *, size_t);
	int		 error;		/* errno of the end; 0: close_notify */
	bool		 ended;		/* nothing more comes in, */
	bool		 mute;		/* nothing more goes out */
	bool		 tickets;
	bool		 client_wanted;
	bool		 client_required;
	char		 cipher[64];
	char		 subject[256];
	char		 name[256];	/* the subject's common name */
	size_t		 in_start, in_end, out_len;
	char		 out[8192];	/* records to be written together */
	char		 in[65536];	/* records read together */
};

static void	*tls_open(const struct settings *, char *, size_t);
static int	 tls_handshake(void *, ssize_t (*)(void *, size_t),
		    int (*)(const void *, size_t), struct tls_info *, char *,
		    size_t);
static ssize_t	 tls_read(void *, void *, size_t);
static int	 tls_write(void *, const void *, size_t);
static void	 tls_close(void *);
static int	 tls_binding(void *, unsigned char *, size_t);
static int	 tls_check(const struct settings *);

extern const struct tls_module smtpd_tls_module;
const struct tls_module smtpd_tls_module = {
	tls_open, tls_handshake, tls_read, tls_write, tls_close, tls_binding,
	tls_check
};

static struct tls tls;

/* Files and credentials. */

static int
complain(char *err, size_t size, const char *setting, const char *path,
    const char *why)
{
	snprintf(err, size, "%s: %s: %s", setting, path, why);
	return -1;
}

static int
load_file(const char *setting, const char *path, gnutls_datum_t *data,
    char *err, size_t size)
{
	errno = 0;
	if (gnutls_load_file(path, data) == 0)
		return 0;
	return complain(err, size, setting, path,
	    strerror(errno != 0 ? errno : EIO));
}

static void
wipe(gnutls_datum_t *data)
{
	explicit_bzero(data->data, data->size);
	gnutls_free(data->data);
	data->data = NULL;
}

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
	return complain(err, size, "tls-cert", path, rc < 0 ?
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
		return complain(err, size, "tls-key", path,
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
		return complain(err, size, "tls-key", key_file,
		    "not the key of the certificate");
	if (rc < 0)
		why = gnutls_strerror(rc);
	return why == NULL ? 0 : complain(err, size, "tls-cert", cert, why);
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
	return complain(err, size, "tls-client-ca", path, rc < 0 ?
	    gnutls_strerror(rc) : "no certificate in it");
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
	return complain(err, size, "tls-ticket-key", path,
	    "not 64 octets long");
}

static const char *
priority_of(const struct settings *s)
{
	return s->tls_priority != NULL ? s->tls_priority : PRIORITY;
}

static int
set_priority(gnutls_session_t session, const struct settings *s, char *err,
    size_t size)
{
	const char *at = "";
	int rc;

	rc = gnutls_priority_set_direct(session, priority_of(s), &at);
	if (rc == 0)
		return 0;
	return complain(err, size, "tls-priority", at, gnutls_strerror(rc));
}

static int
load_credentials(struct tls *t, const struct settings *s, char *err,
    size_t size)
{
	size_t i;
	int rc;

	rc = gnutls_certificate_allocate_credentials(&t->credentials);
	if (rc != 0)
		return complain(err, size, "tls", "GnuTLS",
		    gnutls_strerror(rc));
	gnutls_certificate_set_flags(t->credentials,
	    GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	for (i = 0; i < TLS_CERTS_MAX && s->tls_cert[i] != NULL; i++)
		if (load_pair(t->credentials, s->tls_cert[i], s->tls_key[i],
		    false, err, size) == -1)
			return -1;
	if (s->tls_client_ca == NULL)
		return 0;
	t->client_wanted = true;
	t->client_required = s->tls_client_require;
	return load_client_ca(t->credentials, s->tls_client_ca, err, size);
}

/* Without a usable key there are just no tickets, and err says why. */
static void
start_tickets(struct tls *t, const char *path, char *err, size_t size)
{
	gnutls_datum_t data;

	if (load_ticket_key(path, &data, err, size) == -1)
		return;
	t->tickets = gnutls_session_ticket_enable_server(t->session,
	    &data) == 0;
	wipe(&data);
}

static int
start_session(struct tls *t, const struct settings *s, char *err, size_t size)
{
	static unsigned char alpn[] = "smtp";
	gnutls_datum_t protocol = { alpn, sizeof(alpn) - 1 };
	int rc;

	rc = gnutls_init(&t->session, GNUTLS_SERVER |
	    GNUTLS_NO_AUTO_SEND_TICKET | GNUTLS_NO_SIGNAL);
	if (rc == 0)
		rc = gnutls_credentials_set(t->session,
		    GNUTLS_CRD_CERTIFICATE, t->credentials);
	/*
	 * A client that speaks something else over TLS is led astray: RFC 7301
	 * section 3.2, and the ALPACA attacks.
	 */
	if (rc == 0)
		rc = gnutls_alpn_set_protocols(t->session, &protocol, 1,
		    GNUTLS_ALPN_MANDATORY);
	if (rc != 0)
		return complain(err, size, "tls", "GnuTLS",
		    gnutls_strerror(rc));
	if (set_priority(t->session, s, err, size) == -1)
		return -1;
	if (t->client_wanted)
		gnutls_certificate_server_set_request(t->session,
		    GNUTLS_CERT_REQUEST);
	if (s->tls_ticket_key != NULL)
		start_tickets(t, s->tls_ticket_key, err, size);
	return 0;
}

static void *
tls_open(const struct settings *s, char *err, size_t size)
{
	struct tls *t = &tls;

	if (size > 0)
		err[0] = '\0';
	if (load_credentials(t, s, err, size) == 0) {
		if (start_session(t, s, err, size) == 0)
			return t;
		gnutls_deinit(t->session);
	}
	gnutls_certificate_free_credentials(t->credentials);
	memset(t, 0, sizeof(*t));
	return NULL;
}

/* The wire. */

static void
end(struct tls *t, int error)
{
	if (t->ended)
		return;
	t->ended = true;
	t->error = error;
}

static int
emit(struct tls *t, const void *data, size_t len)
{
	if (len == 0 || t->write(data, len) == 0)
		return 0;
	end(t, errno);
	t->mute = true;
	return -1;
}

static int
flush(struct tls *t)
{
	size_t len = t->out_len;

	t->out_len = 0;
	return emit(t, t->out, len);
}

static int
put(struct tls *t, const void *data, size_t len)
{
	if (len > sizeof(t->out) - t->out_len && flush(t) == -1)
		return -1;
	if (len > sizeof(t->out))
		return emit(t, data, len);
	memcpy(t->out + t->out_len, data, len);
	t->out_len += len;
	return 0;
}

/*
 * For GnuTLS an error is the end of the session, except that it can try again.
 * Whoever has waited for too long still gets a last word: then it is told to,
 * but nobody will.
 */
static ssize_t
wire_error(struct tls *t, int error)
{
	bool last_word = error == ETIMEDOUT || error == ETIME ||
	    error == EINTR;

	end(t, error);
	gnutls_transport_set_errno(t->session, last_word ? EAGAIN : EIO);
	return -1;
}

/*
 * The records of a flight are handed over one by one.  They are gathered and
 * written when there is something to wait for, so that a flight is one packet
 * and the tickets go along with the reply to the first command.
 */
static ssize_t
wire_push(gnutls_transport_ptr_t ptr, const giovec_t *iov, int count)
{
	struct tls *t = ptr;
	ssize_t total = 0;
	int i;

	for (i = 0; i < count; i++) {
		if (put(t, iov[i].iov_base, iov[i].iov_len) == -1)
			return wire_error(t, EIO);
		total += (ssize_t)iov[i].iov_len;
	}
	return total;
}

/* A record is read in two parts; from the network come many at once. */
static ssize_t
wire_pull(gnutls_transport_ptr_t ptr, void *data, size_t size)
{
	struct tls *t = ptr;
	size_t len;
	ssize_t n;

	if (t->in_start == t->in_end) {
		if (t->ended || flush(t) == -1)
			return wire_error(t, EIO);
		if ((n = t->read(t->in, sizeof(t->in))) <= 0)
			return n == 0 ? 0 : wire_error(t, errno);
		t->in_start = 0;
		t->in_end = (size_t)n;
	}
	len = t->in_end - t->in_start;
	if (len > size)
		len = size;
	memcpy(data, t->in + t->in_start, len);
	t->in_start += len;
	return (ssize_t)len;
}

/* The session. */

static const struct {
	unsigned	 bit;
	const char	*text;
} faults[] = {
	{ GNUTLS_CERT_REVOKED,			"revoked" },
	{ GNUTLS_CERT_SIGNER_NOT_FOUND,		"unknown issuer" },
	{ GNUTLS_CERT_SIGNER_NOT_CA,		"issuer is no authority" },
	{ GNUTLS_CERT_SIGNATURE_FAILURE,	"bad signature" },
	{ GNUTLS_CERT_INSECURE_ALGORITHM,	"insecure algorithm" },
	{ GNUTLS_CERT_EXPIRED,			"expired" },
	{ GNUTLS_CERT_NOT_ACTIVATED,		"not valid yet" },
	{ GNUTLS_CERT_PURPOSE_MISMATCH,		"not for clients" },
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
get_name(struct tls *t, gnutls_x509_crt_t crt)
{
	size_t size = sizeof(t->name), none = 0;
	int rc;

	rc = gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0,
	    0, t->name, &size);
	if (rc != 0 || strlen(t->name) != size ||
	    gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 1,
	    0, NULL, &none) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		t->name[0] = '\0';
}

static int
get_subject(struct tls *t, const gnutls_datum_t *peer)
{
	gnutls_x509_crt_t crt;
	gnutls_datum_t dn;
	int rc = -1;

	if (gnutls_x509_crt_init(&crt) != 0)
		return -1;
	if (gnutls_x509_crt_import(crt, peer, GNUTLS_X509_FMT_DER) == 0 &&
	    gnutls_x509_crt_get_dn3(crt, &dn, 0) == 0) {
		rc = copy_subject(t->subject, sizeof(t->subject), &dn);
		gnutls_free(dn.data);
		get_name(t, crt);
	}
	gnutls_x509_crt_deinit(crt);
	return rc;
}

/*
 * Verify the client's certificate.  Done after the handshake, not within it,
 * since a resumed session brings its certificate along in the ticket, and it
 * may have expired since.
 */
static const char *
verify_client(struct tls *t)
{
	static unsigned char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
	gnutls_typed_vdata_st data = { GNUTLS_DT_KEY_PURPOSE_OID, purpose,
	    0 };
	const gnutls_datum_t *peer;
	unsigned count, status = 0;
	int rc;

	peer = gnutls_certificate_get_peers(t->session, &count);
	if (!t->client_wanted || peer == NULL || count == 0)
		return "none";
	rc = gnutls_certificate_verify_peers(t->session, &data, 1, &status);
	if (rc < 0)
		return gnutls_strerror(rc);
	if (status != 0)
		return fault(status);
	return get_subject(t, peer) == 0 ? "ok" : "subject too long";
}

static void
describe(struct tls *t, struct tls_info *info)
{
	info->protocol = gnutls_protocol_get_version(t->session) ==
	    GNUTLS_TLS1_3 ? "TLSv1.3" : "TLSv1.2";
	snprintf(t->cipher, sizeof(t->cipher), "%s",
	    gnutls_ciphersuite_get(t->session));
	info->cipher = t->cipher;
	info->verify = verify_client(t);
	info->client = strcmp(info->verify, "ok") == 0 ? t->subject : NULL;
	info->name = info->client != NULL ? t->name : NULL;
}

static bool
is_alert(int rc)
{
	return rc == GNUTLS_E_FATAL_ALERT_RECEIVED ||
	    rc == GNUTLS_E_WARNING_ALERT_RECEIVED;
}

static int
errno_of(int rc)
{
	if (rc == GNUTLS_E_PREMATURE_TERMINATION)
		return ECONNRESET;
	return is_alert(rc) ? ECONNABORTED : EPROTO;
}

/* Tell the client what was wrong, if it was something that it said. */
static void
send_alert(struct tls *t, int rc)
{
	if (t->ended || is_alert(rc) || rc == GNUTLS_E_PREMATURE_TERMINATION)
		return;		/* nobody to tell */
	if (rc == GNUTLS_E_REHANDSHAKE)
		gnutls_alert_send(t->session, GNUTLS_AL_WARNING,
		    GNUTLS_A_NO_RENEGOTIATION);
	else
		gnutls_alert_send_appropriate(t->session, rc);
	flush(t);
}

static void
fail(struct tls *t, int rc)
{
	send_alert(t, rc);
	end(t, errno_of(rc));
	t->mute = true;
}

static void
explain(struct tls *t, int rc, char *err, size_t size)
{
	const char *alert;

	if (t->ended)
		snprintf(err, size, "%s", strerror(t->error));
	else if (is_alert(rc)) {
		alert = gnutls_alert_get_name(gnutls_alert_get(t->session));
		snprintf(err, size, "client's alert: %s",
		    alert != NULL ? alert : "unknown");
	} else if (rc == GNUTLS_E_PREMATURE_TERMINATION)
		snprintf(err, size, "closed by the client");
	else
		snprintf(err, size, "%s", gnutls_strerror(rc));
}

static int
negotiate(struct tls *t)
{
	int rc, warnings = 0;

	do
		rc = gnutls_handshake(t->session);
	while (rc < 0 && !t->ended && !gnutls_error_is_fatal(rc) &&
	    warnings++ < WARNINGS_MAX);
	return rc;
}

static int
refuse_client(struct tls *t, const struct tls_info *info, char *err,
    size_t size)
{
	gnutls_alert_send(t->session, GNUTLS_AL_FATAL,
	    strcmp(info->verify, "none") == 0 ?
	    GNUTLS_A_CERTIFICATE_REQUIRED : GNUTLS_A_BAD_CERTIFICATE);
	flush(t);
	end(t, EACCES);
	t->mute = true;
	snprintf(err, size, "client certificate: %s", info->verify);
	return -1;
}

/*
 * What comes now needs the keys of the session only.  The private keys leave
 * the process before it reads what the client has to say.
 */
static void
forget_keys(struct tls *t)
{
	gnutls_credentials_clear(t->session);
	gnutls_certificate_free_credentials(t->credentials);
	t->credentials = NULL;
}

static int
tls_handshake(void *arg, ssize_t (*rd)(void *, size_t),
    int (*wr)(const void *, size_t), struct tls_info *info, char *err,
    size_t size)
{
	struct tls *t = arg;
	int rc;

	t->read = rd;
	t->write = wr;
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_vec_push_function(t->session, wire_push);
	gnutls_transport_set_pull_function(t->session, wire_pull);
	if ((rc = negotiate(t)) < 0) {
		explain(t, rc, err, size);
		fail(t, rc);
		return -1;
	}
	describe(t, info);
	if (t->client_required && info->client == NULL)
		return refuse_client(t, info, err, size);
	if (t->tickets && gnutls_protocol_get_version(t->session) ==
	    GNUTLS_TLS1_3)
		gnutls_session_ticket_send(t->session, 1, 0);
	forget_keys(t);
	malloc_trim(0);		/* a session that waits keeps 32 KiB less */
	return 0;
}

static bool
again(struct tls *t, ssize_t rc)
{
	return !t->ended &&
	    (rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED);
}

/* RFC 8446 section 6.1: whoever ends says so; nobody waits for an answer. */
static void
tls_close(void *arg)
{
	struct tls *t = arg;

	end(t, EPIPE);
	if (t->mute)
		return;
	gnutls_bye(t->session, GNUTLS_SHUT_WR);
	flush(t);
	t->mute = true;
}

/* 0 after a close_notify, -1 after any other end, and so ever after. */
static ssize_t
tls_read(void *arg, void *data, size_t size)
{
	struct tls *t = arg;
	ssize_t n;

	if (!t->ended) {
		do
			n = gnutls_record_recv(t->session, data, size);
		while (again(t, n));
		if (n > 0)
			return n;
		if (n == 0) {
			end(t, 0);
			tls_close(t);
		} else if (n != GNUTLS_E_AGAIN)
			fail(t, (int)n);
	}
	errno = t->error;
	return t->error == 0 ? 0 : -1;
}

static int
tls_write(void *arg, const void *data, size_t len)
{
	struct tls *t = arg;
	const char *p = data;
	ssize_t n;

	while (len > 0 && !t->mute) {
		n = gnutls_record_send(t->session, p, len);
		if (n <= 0) {
			fail(t, (int)n);
			break;
		}
		p += n;
		len -= (size_t)n;
	}
	if (!t->mute && flush(t) == 0)
		return 0;
	errno = t->error != 0 ? t->error : EPIPE;
	return -1;
}

/*
 * RFC 9266 section 4.2: under TLS 1.2 the binding is only unique with an
 * extended master secret.
 */
static int
tls_binding(void *arg, unsigned char *to, size_t size)
{
	struct tls *t = arg;
	gnutls_datum_t data;
	int len;

	if (gnutls_protocol_get_version(t->session) != GNUTLS_TLS1_3 &&
	    !gnutls_session_ext_master_secret_status(t->session))
		return -1;
	if (gnutls_session_channel_binding(t->session, GNUTLS_CB_TLS_EXPORTER,
	    &data) != 0)
		return -1;
	len = data.size <= size ? (int)data.size : -1;
	if (len != -1)
		memcpy(to, data.data, data.size);
	gnutls_free(data.data);
	return len;
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
check_pair(const char *cert, const char *key)
{
	gnutls_certificate_credentials_t credentials;
	char err[REASON_MAX];
	int bad;

	if (gnutls_certificate_allocate_credentials(&credentials) != 0)
		errx(71, "out of memory");
	bad = check_result(load_pair(credentials, cert, key, true, err,
	    sizeof(err)), err);
	gnutls_certificate_free_credentials(credentials);
	return bad + check_private("tls-key", key);
}

static int
check_client_ca(const char *path)
{
	gnutls_certificate_credentials_t credentials;
	char err[REASON_MAX];
	int bad;

	if (gnutls_certificate_allocate_credentials(&credentials) != 0)
		errx(71, "out of memory");
	bad = check_result(load_client_ca(credentials, path, err,
	    sizeof(err)), err);
	gnutls_certificate_free_credentials(credentials);
	return bad;
}

static int
check_ticket_key(const char *path)
{
	gnutls_datum_t data;
	char err[REASON_MAX];

	if (load_ticket_key(path, &data, err, sizeof(err)) == -1)
		return check_result(-1, err);
	wipe(&data);
	return check_private("tls-ticket-key", path);
}

static int
check_priority(const struct settings *s)
{
	gnutls_session_t session;
	char err[REASON_MAX];
	int bad;

	if (gnutls_init(&session, GNUTLS_SERVER) != 0)
		errx(71, "out of memory");
	bad = check_result(set_priority(session, s, err, sizeof(err)), err);
	gnutls_deinit(session);
	return bad;
}

static int
tls_check(const struct settings *s)
{
	size_t i;
	int bad = 0;

	for (i = 0; i < TLS_CERTS_MAX && s->tls_cert[i] != NULL; i++)
		bad += check_pair(s->tls_cert[i], s->tls_key[i]);
	if (s->tls_client_ca != NULL)
		bad += check_client_ca(s->tls_client_ca);
	if (s->tls_ticket_key != NULL)
		bad += check_ticket_key(s->tls_ticket_key);
	return bad + check_priority(s);
}
