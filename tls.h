/*
 * tls.h - what the files of TLS share.
 *
 * All of them are in smtpd-tls only.  What fails puts the reason into err, as
 * "setting: file: reason".
 */
#ifndef TLS_H
#define TLS_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/gnutls.h>

#include "smtpd.h"

#define TLS_REASON_MAX	4096	/* with the name of a file in it */

/* Put the reason into err; always -1. */
int	tls_complain(char *err, size_t, const char *setting, const char *what,
	    const char *why);

/* certificates.c: our certificates and keys, and the client's certificate. */

/*
 * All of tls-cert, tls-key and tls-client-ca, to be given to a session and then
 * freed; NULL if any is no good.  Whether a certificate has expired is the
 * client's to say.
 */
gnutls_certificate_credentials_t
	credentials_load(const struct settings *, char *err, size_t);

/* Let the session have tickets with the key in this file; false: it can't. */
bool	credentials_tickets(gnutls_session_t, const char *path, char *err,
	    size_t);

struct tls_client {
	char	subject[256];	/* printable ASCII, after RFC 4514 */
	char	name[256];	/* its one common name, or empty */
};

/*
 * Verify the client's certificate: "ok", and only then does tls_client count;
 * "none"; or what is wrong with it.  Done after the handshake, not within it,
 * since a resumed session brings its certificate along in the ticket, and that
 * may have expired since.  The session must still have its credentials.
 */
const char *
	credentials_client(gnutls_session_t, struct tls_client *);

/* -t: what is wrong with the files, on standard error; count of it. */
int	credentials_check(const struct settings *);

#endif
