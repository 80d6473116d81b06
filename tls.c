/* SPDX-License-Identifier: ISC */
/*
 * tls.c - TLS with GnuTLS, over the client's descriptors.
 *
 * Only in smtpd-tls: loading GnuTLS costs more than a whole session without it.
 * It owns the one TLS session of this process, from its settings and handshake
 * through records and alerts to its end, and what the log says of it.
 * certificates.c has the certificates and the keys in files.
 *
 * The session is never torn down: it ends once, by whatever comes first of a
 * close_notify, an alert, an error of ours or of the network, and from then on
 * there is nothing but the end of input.  No code path leads back to clear.
 */
#include <err.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include "tls.h"

/*
 * RFC 8996, RFC 9325: TLS 1.2 and 1.3 only, only authenticated encryption and
 * only ephemeral keys.  All of it is strong, so the order is that of cost.
 */
#define PRIORITY(groups) \
	"NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-ECDSA:+ECDHE-RSA:+AEAD" \
	":+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305" groups \
	":+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1" \
	":+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256" \
	":+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-ECDSA-SHA384:+SIGN-EDDSA-ED25519" \
	":+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-SHA256:+SIGN-RSA-SHA256" \
	":+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-PSS-SHA384:+SIGN-RSA-SHA384" \
	":+SIGN-RSA-PSS-RSAE-SHA512:+SIGN-RSA-PSS-SHA512:+SIGN-RSA-SHA512" \
	":+CTYPE-X509:+COMP-NULL:%SERVER_PRECEDENCE"

/* With ML-KEM first, for a GnuTLS that has it (3.8.10 or later can). */
static const char *const priorities[] = {
	PRIORITY(":+GROUP-X25519-MLKEM768"), PRIORITY("")
};

#define SSL3		0x0300u	/* on the wire, and up to */
#define TLS1_3		0x0304u
#define WARNINGS_MAX	8	/* alerts that do not end a handshake */

struct tls {
	gnutls_session_t session;
	ssize_t		(*read)(void *, size_t);
	int		(*write)(const void *, size_t);
	int		 error;		/* errno of the end; 0: close_notify */
	bool		 ended;		/* nothing more comes in, */
	bool		 mute;		/* nothing more goes out */
	bool		 client_wanted;
	bool		 client_required;
	char		 cipher[64];
	char		 sni[256];
	unsigned	 offered;	/* by the client; 0: it said nothing */
	struct tls_client client;
	size_t		 in_start, in_end, out_len;
	char		 out[8192];	/* records to be written together */
	char		 in[65536];	/* records read together */
};

static struct tls tls;

/* What sessions share. */
static struct loaded {
	bool		 done;
	bool		 forked;	/* and for processes yet to be forked */
	struct certificates certificates;
	gnutls_priority_t priority;
} loaded;

/* From the settings. */

static int
load_priority(gnutls_priority_t *priority, const struct settings *s, char *err,
    size_t size)
{
	const char *at = "";
	size_t i;
	int rc = -1;

	if (s->tls_priority != NULL)
		rc = gnutls_priority_init(priority, s->tls_priority, &at);
	else
		for (i = 0; i < 2 && rc != 0; i++)
			rc = gnutls_priority_init(priority, priorities[i], &at);
	if (rc == 0)
		return 0;
	return tls_complain(err, size, "tls-priority", at, gnutls_strerror(rc));
}

static int
load_all(struct loaded *to, const struct settings *s, tls_signer *signer,
    char *err, size_t size)
{
	struct loaded new = { .done = true };

	if (load_priority(&new.priority, s, err, size) == -1)
		return -1;
	if (certificates_load(&new.certificates, s, signer, err, size) == -1) {
		gnutls_priority_deinit(new.priority);
		return -1;
	}
	if (to->done) {
		certificates_forget(&to->certificates);
		gnutls_priority_deinit(to->priority);
	}
	*to = new;
	explicit_bzero(&new, sizeof(new));
	return 0;
}

static int
tls_load(const struct settings *s, tls_signer *signer, char *err, size_t size)
{
	if (load_all(&loaded, s, signer, err, size) == -1)
		return -1;
	loaded.forked = true;
	return 0;
}

static int
start_session(struct tls *t, const struct settings *s, char *err, size_t size)
{
	static unsigned char alpn[] = "smtp";
	gnutls_datum_t protocol = { alpn, sizeof(alpn) - 1 };
	gnutls_datum_t ticket = { loaded.certificates.ticket_key,
	    TICKET_KEY_SIZE };
	int rc;

	rc = gnutls_init(&t->session, GNUTLS_SERVER |
	    GNUTLS_NO_AUTO_SEND_TICKET | GNUTLS_NO_SIGNAL);
	if (rc == 0)
		rc = gnutls_priority_set(t->session, loaded.priority);
	if (rc == 0)
		rc = gnutls_credentials_set(t->session,
		    GNUTLS_CRD_CERTIFICATE, loaded.certificates.credentials);
	/*
	 * A client that speaks another protocol was led here: RFC 7301 section
	 * 3.2, and the ALPACA attacks.
	 */
	if (rc == 0)
		rc = gnutls_alpn_set_protocols(t->session, &protocol, 1,
		    GNUTLS_ALPN_MANDATORY);
	if (rc == 0 && loaded.certificates.tickets)
		rc = gnutls_session_ticket_enable_server(t->session, &ticket);
	if (rc != 0)
		return tls_complain(err, size, "tls", "GnuTLS",
		    gnutls_strerror(rc));
	explicit_bzero(loaded.certificates.ticket_key, TICKET_KEY_SIZE);
	t->client_wanted = s->tls_client_ca != NULL ||
	    s->tls_client_fingerprints != NULL;
	t->client_required = t->client_wanted && s->tls_client_require;
	if (t->client_wanted)
		gnutls_certificate_server_set_request(t->session,
		    GNUTLS_CERT_REQUEST);
	return 0;
}

static void *
tls_open(const struct settings *s, char *err, size_t size)
{
	struct tls *t = &tls;

	if (size > 0)
		err[0] = '\0';
	if (!loaded.done && load_all(&loaded, s, NULL, err, size) == -1)
		return NULL;
	if (start_session(t, s, err, size) == 0)
		return t;
	gnutls_deinit(t->session);
	memset(t, 0, sizeof(*t));
	return NULL;
}

/* The wire. */

static void
end_tls(struct tls *t, int error)
{
	if (t->ended)
		return;
	t->ended = true;
	t->error = error;
}

static int
write_wire(struct tls *t, const void *data, size_t len)
{
	if (len == 0 || t->write(data, len) == 0)
		return 0;
	end_tls(t, errno);
	t->mute = true;
	return -1;
}

static int
flush_wire(struct tls *t)
{
	size_t len = t->out_len;

	t->out_len = 0;
	return write_wire(t, t->out, len);
}

static int
put_wire(struct tls *t, const void *data, size_t len)
{
	if (len > sizeof(t->out) - t->out_len && flush_wire(t) == -1)
		return -1;
	if (len > sizeof(t->out))
		return write_wire(t, data, len);
	memcpy(t->out + t->out_len, data, len);
	t->out_len += len;
	return 0;
}

/*
 * GnuTLS takes any error for the end of the session, except EAGAIN.  After a
 * timeout or SIGTERM a 421 must still go out, so it is told EAGAIN, although
 * nobody tries again.
 */
static ssize_t
wire_error(struct tls *t, int error)
{
	bool last_word = error == ETIMEDOUT || error == ETIME ||
	    error == EINTR;

	end_tls(t, error);
	gnutls_transport_set_errno(t->session, last_word ? EAGAIN : EIO);
	return -1;
}

/*
 * GnuTLS hands over the records of a flight one by one.  They are gathered, and
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
		if (put_wire(t, iov[i].iov_base, iov[i].iov_len) == -1)
			return wire_error(t, EIO);
		total += (ssize_t)iov[i].iov_len;
	}
	return total;
}

/* GnuTLS reads a record in two parts; we read many records at once. */
static ssize_t
wire_pull(gnutls_transport_ptr_t ptr, void *data, size_t size)
{
	struct tls *t = ptr;
	size_t len;
	ssize_t n;

	if (t->in_start == t->in_end) {
		if (t->ended || flush_wire(t) == -1)
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

/* Alerts, and other ends. */

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

/* Tell the client what was wrong, if the fault was in what it sent. */
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
	flush_wire(t);
}

static void
fail(struct tls *t, int rc)
{
	send_alert(t, rc);
	end_tls(t, errno_of(rc));
	t->mute = true;
}

/*
 * The client's alert that ended the handshake with rc, or -1.  RFC 8446
 * appendix A.1: it may come in clear when keys are already in use, as it does
 * from OpenSSL, and GnuTLS takes it for a record that does not decrypt.  No
 * encrypted record is as short.
 */
static int
alert_of(struct tls *t, int rc)
{
	static const unsigned char fatal[] = { 21, 3, 3, 0, 2,
	    GNUTLS_AL_FATAL };
	size_t len = sizeof(fatal) + 1;		/* and which */

	if (is_alert(rc))
		return (int)gnutls_alert_get(t->session);
	if (rc == GNUTLS_E_DECRYPTION_FAILED && t->in_start >= len &&
	    memcmp(t->in + t->in_start - len, fatal, sizeof(fatal)) == 0)
		return (unsigned char)t->in[t->in_start - 1];
	return -1;
}

static void
explain(struct tls *t, int rc, char *err, size_t size)
{
	const char *name;
	int alert = alert_of(t, rc);

	if (t->ended)
		snprintf(err, size, "%s", strerror(t->error));
	else if (alert != -1) {
		name = gnutls_alert_get_name((gnutls_alert_description_t)alert);
		snprintf(err, size, "client's alert: %s",
		    name != NULL ? name : "unknown");
	} else if (rc == GNUTLS_E_PREMATURE_TERMINATION)
		snprintf(err, size, "closed by the client");
	else
		snprintf(err, size, "%s", gnutls_strerror(rc));
}

/* The session. */

static const char *
version_name(unsigned version)
{
	static const char *const names[] = { "SSLv3", "TLSv1.0", "TLSv1.1",
	    "TLSv1.2", "TLSv1.3" };

	return version < SSL3 || version > TLS1_3 ? NULL :
	    names[version - SSL3];
}

/* The name that the client asked for, or NULL. */
static const char *
asked_name(struct tls *t)
{
	size_t size = sizeof(t->sni);
	unsigned type;

	if (gnutls_server_name_get(t->session, t->sni, &size, &type, 0) != 0 ||
	    type != GNUTLS_NAME_DNS)
		return NULL;
	return t->sni;
}

static void
describe_client(const struct tls_client *client, struct tls_info *info)
{
	if (strcmp(info->verify, "ok") == 0) {
		info->client = client->subject;
		info->name = client->name;
		info->issuer = client->issuer;
	}
	if (strcmp(info->verify, "none") != 0) {
		info->print = client->print;
		info->key_print = client->key_print;
	}
}

static void
describe(struct tls *t, struct tls_info *info)
{
	/* GnuTLS counts from GNUTLS_SSL3 on. */
	info->protocol = version_name(SSL3 + (unsigned)
	    gnutls_protocol_get_version(t->session) - GNUTLS_SSL3);
	snprintf(t->cipher, sizeof(t->cipher), "%s",
	    gnutls_ciphersuite_get(t->session));
	info->cipher = t->cipher;
	info->bits = 8 * (unsigned)gnutls_cipher_get_key_size(
	    gnutls_cipher_get(t->session));
	info->sni = asked_name(t);
	info->group = gnutls_group_get_name(gnutls_group_get(t->session));
	info->verify = t->client_wanted ?
	    certificates_client(t->session, &loaded.certificates,
	    &t->client) : "none";
	describe_client(&t->client, info);
}

static void
highest(struct tls *t, const unsigned char *p)
{
	unsigned version = (unsigned)p[0] << 8 | p[1];

	/* RFC 8701: the others are there to be ignored. */
	if (version >= SSL3 && version <= TLS1_3 && version > t->offered)
		t->offered = version;
}

/* supported_versions (RFC 8446 section 4.2.1). */
static int
see_extension(void *arg, unsigned type, const unsigned char *data,
    unsigned len)
{
	unsigned i;

	if (type == 43)
		for (i = 1; i + 1 < len && i < data[0]; i += 2)
			highest(arg, data + i);
	return 0;
}

/* A ClientHello, whatever becomes of it. */
static int
see_hello(gnutls_session_t session, unsigned type, unsigned when,
    unsigned incoming, const gnutls_datum_t *message)
{
	(void)type;
	(void)when;
	if (incoming == 0 || message->size < 2)
		return 0;
	highest(gnutls_transport_get_ptr(session), message->data);
	(void)gnutls_ext_raw_parse(gnutls_transport_get_ptr(session),
	    see_extension, message, GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
	return 0;
}

static int
shake_hands(struct tls *t)
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
	flush_wire(t);
	end_tls(t, EACCES);
	t->mute = true;
	snprintf(err, size, "client certificate: %s", info->verify);
	return -1;
}

/*
 * From now on only the session's keys are needed, so the private keys are freed
 * before the client's data is read.  What we share with a parent has none, and
 * freeing it would copy it.
 */
static void
forget_keys(struct tls *t)
{
	gnutls_credentials_clear(t->session);
	if (loaded.forked)
		return;
	certificates_forget(&loaded.certificates);
	loaded.done = false;
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
	gnutls_handshake_set_hook_function(t->session,
	    GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE, see_hello);
	rc = shake_hands(t);
	info->offered = version_name(t->offered);
	if (rc < 0) {
		explain(t, rc, err, size);
		fail(t, rc);
		return -1;
	}
	describe(t, info);
	if (t->client_required && info->client == NULL)
		return refuse_client(t, info, err, size);
	if (loaded.certificates.tickets &&
	    gnutls_protocol_get_version(t->session) == GNUTLS_TLS1_3)
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

/* RFC 8446 section 6.1: each side announces its end, and need not wait. */
static void
tls_close(void *arg)
{
	struct tls *t = arg;

	end_tls(t, EPIPE);
	if (t->mute)
		return;
	gnutls_bye(t->session, GNUTLS_SHUT_WR);
	flush_wire(t);
	t->mute = true;
}

/* 0 after a close_notify, -1 after any other end, now and ever after. */
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
			end_tls(t, 0);
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
	if (!t->mute && flush_wire(t) == 0)
		return 0;
	errno = t->error != 0 ? t->error : EPIPE;
	return -1;
}

/* Not before TLS 1.3: see auth.c. */
static int
tls_binding(void *arg, unsigned char *to, size_t size)
{
	struct tls *t = arg;
	gnutls_datum_t data;
	int len;

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
tls_check(const struct settings *s)
{
	gnutls_priority_t priority;
	char err[TLS_REASON_MAX];
	int bad;

	bad = certificates_check(s);
	if (load_priority(&priority, s, err, sizeof(err)) == 0)
		gnutls_priority_deinit(priority);
	else {
		warnx("%s", err);
		bad++;
	}
	return bad;
}

const struct tls_module smtpd_tls_module = {
	tls_load, tls_open, tls_handshake, tls_read, tls_write, tls_close,
	tls_binding, tls_check, keys_load, keys_sign
};
