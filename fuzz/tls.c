/* SPDX-License-Identifier: ISC */
/*
 * tls.c - a libFuzzer target for the TLS records of clients.
 *
 * GnuTLS is the client, in the same process, and what it sends is damaged on
 * its way.  An input is an octet of options, the number of damages, four octets
 * for each, and what the client does after the handshake, an octet each.  With
 * RAW the rest of the input is all that is sent, and there is no client.
 *
 * Whatever arrives, what is read inside TLS is what the client wrote there, up
 * to some octet; after the end nothing more comes in or goes out.
 */
#define _GNU_SOURCE		/* memfd_create(2), RTLD_NEXT */

#include <sys/mman.h>

#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "fuzz/fuzz.h"
#include "tls.h"

#define OLD	1		/* TLS 1.2 */
#define RESUME	2
#define CERT	4		/* with a client certificate */
#define RAW	8

#define BUFFER	65536

struct buffer {
	size_t		 at, len;
	unsigned char	 text[BUFFER];
};

enum kind { CHANGE, DROP, INSERT, CUT, KINDS };

struct damage {
	size_t		 at;
	unsigned char	 kind, value;
};

static gnutls_certificate_credentials_t mine, nobody;
static gnutls_priority_t priorities[2];
static gnutls_datum_t tickets[2];	/* of TLS 1.3, 1.2 */
static struct settings set;

/* This input's client, and what is on its way. */
static struct {
	gnutls_session_t session;	/* NULL: there is none */
	bool		 shaken, over;
	const uint8_t	*acts, *end;
	struct damage	 damages[8];
	size_t		 damage_count;
	int		 error;		/* how the stream is cut; 0: its end */
	bool		 cut;
	size_t		 sent;		/* octets of the stream */
	struct buffer	 there, back, plain;
} client;

/*
 * tls.c serves one session in its life.  A session that can't be opened makes
 * it forget the one before.
 */
static bool	no_sessions;

int
gnutls_init(gnutls_session_t *session, unsigned flags)
{
	static int (*real)(gnutls_session_t *, unsigned);

	if (no_sessions)
		return GNUTLS_E_MEMORY_ERROR;
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "gnutls_init");
	return real(session, flags);
}

static void
forget_session(void)
{
	char err[TLS_REASON_MAX];

	no_sessions = true;
	CHECK(tls_module->open(&set, err, sizeof(err)) == NULL);
	no_sessions = false;
}

/* The client's side. */

static void
put(struct buffer *b, const void *p, size_t len)
{
	if (len > sizeof(b->text) - b->len)
		len = sizeof(b->text) - b->len;
	memcpy(b->text + b->len, p, len);
	b->len += len;
}

static size_t
get(struct buffer *b, void *to, size_t size)
{
	if (size > b->len - b->at)
		size = b->len - b->at;
	memcpy(to, b->text + b->at, size);
	b->at += size;
	if (b->at == b->len)
		b->at = b->len = 0;
	return size;
}

static void
cut(unsigned char how)
{
	static const int errors[] = { 0, ETIMEDOUT, EINTR, ECONNRESET };

	client.cut = true;
	client.error = errors[how % nitems(errors)];
}

/* One octet, with what happens to it. */
static void
carry(unsigned char c)
{
	size_t i, n, at = client.sent++;
	bool keep = true;

	for (i = 0; i < client.damage_count && !client.cut; i++) {
		const struct damage *d = &client.damages[i];

		if (d->kind == CHANGE && d->at == at)
			c ^= d->value;
		else if (d->kind == DROP)
			keep &= at < d->at || at - d->at >= d->value;
		else if (d->kind == INSERT && d->at == at)
			for (n = 0; n < d->value; n++)
				put(&client.there, &d->value, 1);
		else if (d->kind == CUT && d->at == at)
			cut(d->value);
	}
	if (keep && !client.cut)
		put(&client.there, &c, 1);
}

static ssize_t
push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t i;

	(void)ptr;
	for (i = 0; i < len; i++)
		carry(p[i]);
	return (ssize_t)len;
}

static ssize_t
pull(gnutls_transport_ptr_t ptr, void *to, size_t size)
{
	size_t n = get(&client.back, to, size);

	(void)ptr;
	if (n > 0)
		return (ssize_t)n;
	gnutls_transport_set_errno(client.session, EAGAIN);
	return -1;
}

static void
send_data(size_t len)
{
	static const unsigned char text[128] = "EHLO client.test\r\n";

	put(&client.plain, text, len);
	gnutls_record_send(client.session, text, len);
}

static void
act(unsigned char what)
{
	char reply[512];

	switch (what % 8) {
	case 0:
		gnutls_bye(client.session, GNUTLS_SHUT_WR);
		client.over = true;
		break;
	case 1:
		gnutls_alert_send(client.session, GNUTLS_AL_WARNING,
		    (gnutls_alert_description_t)(what / 8 * 5));
		break;
	case 2:
		gnutls_session_key_update(client.session, what / 8 % 2 != 0 ?
		    GNUTLS_KU_PEER : 0);
		break;
	case 3:
		client.shaken = false;	/* once more, in TLS 1.2 */
		break;
	case 4:
		(void)!gnutls_record_recv(client.session, reply,
		    sizeof(reply));
		break;
	case 5:
		carry(what);
		break;
	default:
		send_data(1 + what / 8);
	}
}

/* Until it has sent something, or waits for an answer. */
static void
work(void)
{
	size_t before = client.sent;
	int rc;

	while (client.session != NULL && !client.over &&
	    client.sent == before) {
		if (client.shaken) {
			client.over = client.acts == client.end;
			if (!client.over)
				act(*client.acts++);
			continue;
		}
		rc = gnutls_handshake(client.session);
		if (rc == GNUTLS_E_AGAIN && client.sent == before)
			break;
		client.shaken = rc == 0;
		if (rc < 0 && gnutls_error_is_fatal(rc)) {
			gnutls_alert_send_appropriate(client.session, rc);
			client.over = true;
		}
	}
}

/* The wire, as the server sees it. */

static ssize_t
wire_read(void *to, size_t size)
{
	if (client.there.at == client.there.len && !client.cut)
		work();
	if (client.there.at < client.there.len)
		return (ssize_t)get(&client.there, to, size);
	errno = client.error;
	return client.cut && client.error != 0 ? -1 : 0;
}

static int
wire_write(const void *data, size_t len)
{
	put(&client.back, data, len);
	return 0;
}

/* What must be true. */

static bool
is_text(const char *s)
{
	const char *p;

	for (p = s; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			return false;
	return *s != '\0';
}

static void
check_over(void *session)
{
	size_t written = client.back.len - client.back.at;
	char c;

	CHECK(tls_module->read(session, &c, 1) < 1);
	tls_module->close(session);
	CHECK(tls_module->read(session, &c, 1) < 1);
	CHECK(tls_module->write(session, "x", 1) == -1);
	CHECK(client.back.len - client.back.at <= written + 64);
}

static void
check_binding(void *session, bool whole)
{
	unsigned char binding[64];
	int n = tls_module->binding(session, binding, sizeof(binding));
	gnutls_datum_t theirs;

	CHECK(n == -1 || n == 32);
	if (!whole || n == -1 || !client.shaken)
		return;
	CHECK(gnutls_session_channel_binding(client.session,
	    GNUTLS_CB_TLS_EXPORTER, &theirs) == 0);
	CHECK(theirs.size == 32 && memcmp(theirs.data, binding, 32) == 0);
	gnutls_free(theirs.data);
}

static void
check_info(const struct tls_info *info, unsigned how, bool whole)
{
	CHECK(strcmp(info->protocol, (how & OLD) != 0 ? "TLSv1.2" :
	    "TLSv1.3") == 0);
	CHECK(strcmp(info->offered, info->protocol) >= 0);
	CHECK(is_text(info->cipher) && info->bits >= 128);
	CHECK(is_text(info->verify));
	if (whole && (how & (CERT | RESUME)) == CERT)
		CHECK(info->client != NULL);
	CHECK((info->client != NULL) == (strcmp(info->verify, "ok") == 0));
}

/* Nothing but what was written there. */
static void
check_data(void *session)
{
	char text[128];
	size_t at = 0;
	ssize_t n;

	while ((n = tls_module->read(session, text, sizeof(text))) > 0) {
		CHECK(at + (size_t)n <= client.plain.len);
		CHECK(memcmp(client.plain.text + at, text, (size_t)n) == 0);
		at += (size_t)n;
		(void)tls_module->write(session, "250 OK\r\n", 8);
	}
}

static void
serve(unsigned how, bool whole)
{
	struct tls_info info = { .protocol = NULL };
	char err[TLS_REASON_MAX] = "";
	void *session = tls_module->open(&set, err, sizeof(err));

	CHECK(session != NULL);
	if (tls_module->handshake(session, wire_read, wire_write, &info, err,
	    sizeof(err)) == 0) {
		check_info(&info, how, whole);
		check_binding(session, whole);
		check_data(session);
	} else
		CHECK(!whole && is_text(err));
	check_over(session);
}

/* The client, from an input. */

static void
start_client(unsigned how)
{
	gnutls_session_t s;
	const gnutls_datum_t *ticket = &tickets[how & OLD];

	CHECK(gnutls_init(&s, GNUTLS_CLIENT | GNUTLS_NONBLOCK |
	    GNUTLS_NO_SIGNAL) == 0);
	client.session = s;
	CHECK(gnutls_priority_set(s, priorities[how & OLD]) == 0);
	CHECK(gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE,
	    (how & CERT) != 0 ? mine : nobody) == 0);
	gnutls_server_name_set(s, GNUTLS_NAME_DNS, "mx.test", 7);
	if ((how & RESUME) != 0 && ticket->data != NULL)
		gnutls_session_set_data(s, ticket->data, ticket->size);
	gnutls_transport_set_push_function(s, push);
	gnutls_transport_set_pull_function(s, pull);
}

static void
run(unsigned how, const uint8_t *p, size_t len)
{
	const size_t used = offsetof(__typeof__(client), there);
	size_t i, n = len > 0 ? *p % (nitems(client.damages) + 1) : 0;

	memset(&client, 0, used);
	client.there.at = client.back.at = client.plain.at = 0;
	client.there.len = client.back.len = client.plain.len = 0;
	if ((how & RAW) != 0) {
		put(&client.there, p, len);
		serve(how, false);
		return;
	}
	for (p += len > 0, len -= len > 0; n > 0 && len >= 4; n--) {
		i = client.damage_count++;
		client.damages[i].kind = p[0] % KINDS;
		client.damages[i].value = p[1];
		client.damages[i].at = (size_t)(p[2] << 8 | p[3]);
		p += 4;
		len -= 4;
	}
	client.acts = p;
	client.end = p + len;
	start_client(how);
	serve(how, client.damage_count == 0);
}

static void
finish(void)
{
	if (client.session != NULL)
		gnutls_deinit(client.session);
	forget_session();
}

/* What all inputs share. */

/* A file of it, by a name; the datum is freed. */
static char *
file_of(gnutls_datum_t *data)
{
	char *path;
	int fd = memfd_create("file", 0);

	CHECK(fd != -1 && write(fd, data->data, data->size) ==
	    (ssize_t)data->size);
	CHECK(asprintf(&path, "/proc/self/fd/%d", fd) > 0);
	gnutls_free(data->data);
	return path;
}

/* One pair for both sides. */
static void
make_pair(void)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	gnutls_datum_t pem, der, line;
	char print[TLS_PRINT_SIZE];
	int n;

	gnutls_x509_privkey_init(&key);
	gnutls_x509_crt_init(&crt);
	CHECK(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_key(crt, key);
	gnutls_x509_crt_set_serial(crt, "\1", 1);
	gnutls_x509_crt_set_activation_time(crt, 0);
	gnutls_x509_crt_set_expiration_time(crt, (time_t)1 << 32);
	gnutls_x509_crt_set_dn(crt, "CN=mx.test", NULL);
	CHECK(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) == 0);
	gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem);
	set.tls_cert[0] = file_of(&pem);
	gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem);
	set.tls_key[0] = file_of(&pem);
	gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der);
	fingerprints_certificate(&der, print);
	n = asprintf((char **)&line.data, "%s client\n", print);
	line.size = (unsigned)n;
	set.tls_client_fingerprints = file_of(&line);
	gnutls_free(der.data);
	gnutls_certificate_allocate_credentials(&mine);
	gnutls_certificate_allocate_credentials(&nobody);
	CHECK(gnutls_certificate_set_x509_key(mine, &crt, 1, key) >= 0);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

/* From whole sessions; the first of all has a key of tickets of its own. */
static void
take_tickets(void)
{
	static const uint8_t acts[] = { 0, 6, 4, 4, 6, 4, 0 };
	unsigned how, i;

	for (how = 0; how <= OLD; how++)
		for (i = 0; i < 2; i++) {
			gnutls_free(tickets[how].data);
			run(how, acts, sizeof(acts));
			CHECK(gnutls_session_get_data2(client.session,
			    &tickets[how]) == 0);
			finish();
		}
}

static void
begin(void)
{
	static const char *const texts[] = {
		"NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519",
		"NORMAL:-VERS-ALL:+VERS-TLS1.2:-GROUP-ALL:+GROUP-X25519"
	};
	gnutls_datum_t key;
	char err[TLS_REASON_MAX];

	make_pair();
	CHECK(gnutls_session_ticket_key_generate(&key) == 0);
	set.tls_ticket_key = file_of(&key);
	CHECK(tls_module->load(&set, NULL, err, sizeof(err)) == 0);
	CHECK(gnutls_priority_init(&priorities[0], texts[0], NULL) == 0);
	CHECK(gnutls_priority_init(&priorities[1], texts[1], NULL) == 0);
	take_tickets();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool begun;

	if (!begun)
		begin();
	begun = true;
	if (len == 0)
		return 0;
	run(*data, data + 1, len - 1);
	finish();
	return 0;
}
