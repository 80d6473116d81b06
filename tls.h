/* SPDX-License-Identifier: ISC */
/*
 * tls.h - what the files of TLS share.
 *
 * All of them are in smtpd-tls only.  A function that fails puts the reason
 * into err, as "setting: file: reason".
 */
#ifndef TLS_H
#define TLS_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "smtpd.h"

#define TLS_REASON_MAX	4096	/* with the name of a file in it */
#define TLS_CHAIN_MAX	16	/* certificates of one file that are used */
#define TICKET_KEY_SIZE	64	/* GnuTLS derives time-limited keys from it */

/*
 * Two ways to serve.  A process for one connection calls open(), which loads
 * what there is to load, and handshake().  A process for many (listen.c):
 *
 *	keys process	keys_load(), and for each question sign()
 *	listener	load(set, signer), before each fork at the latest
 *	its children	open(), which then loads nothing; handshake(), in
 *			which the signer is called once, and asks the keys
 *			process
 *
 * so that private keys are in the keys process alone.  Both loads may be done
 * again when files have changed; if one fails, everything stays as it was.
 * A resumed session signs nothing.
 */

/* Put the reason into err; always -1. */
int	tls_complain(char *err, size_t, const char *setting, const char *what,
	    const char *why);
/* A file's content, to be freed or, if it is secret, wiped; 0 or -1. */
int	tls_file(const char *setting, const char *path, gnutls_datum_t *,
	    char *err, size_t);
void	tls_wipe(gnutls_datum_t *);
/* A file's certificates: ours and its chain; to be freed.  0 or -1. */
int	tls_chain(const char *path, gnutls_x509_crt_t *, unsigned *count,
	    char *err, size_t);
void	tls_chain_free(gnutls_x509_crt_t *, unsigned count);

/* fingerprints.c: certificates that are known one by one. */

/* The file as a string, to be freed; NULL: why is in err. */
char	*fingerprints_load(const char *path, char *err, size_t);
/* The name that goes with this certificate (DER): 1, 0, or -1: can't tell. */
int	fingerprints_find(const char *text, const gnutls_datum_t *, char *name,
	    size_t);
/*
 * SHA-256 of a certificate (DER), and of the key in it, as "C2:9D:...", or an
 * empty string.
 */
#define TLS_PRINT_SIZE	96
void	fingerprints_certificate(const gnutls_datum_t *, char *);
void	fingerprints_key(gnutls_x509_crt_t, char *);
/* -t: what is wrong with the lines, on standard error; count of it. */
int	fingerprints_check(const char *path, const char *text);

/* certificates.c: our certificates, and the client's certificate. */

struct certificates {		/* what the files have in them */
	gnutls_certificate_credentials_t credentials;
	time_t		 crl_until;	/* tls-client-crl is good; 0: always */
	char		*prints;	/* tls-client-fingerprints, as it is */
	bool		 any_purpose;	/* for servers will do as well */
	bool		 tickets;
	unsigned char	 ticket_key[TICKET_KEY_SIZE];
};

/*
 * All of tls-cert, tls-key, tls-client-ca, tls-client-crl; 0, or -1 if any is
 * bad.  An expired certificate and a bad tls-ticket-key are only logged.
 * signer: NULL, or who signs instead of tls-key.
 */
int	certificates_load(struct certificates *, const struct settings *,
	    tls_signer *signer, char *err, size_t);
void	certificates_forget(struct certificates *);

struct tls_client {
	char	subject[256];	/* printable ASCII, after RFC 4514 */
	char	name[256];	/* its one common name, or empty */
	char	issuer[256];	/* and the issuer's */
	/*
	 * Of any certificate: its issuer need not be known, since the client
	 * has shown that it has the key.  Empty: there is none.
	 */
	char	print[TLS_PRINT_SIZE], key_print[TLS_PRINT_SIZE];
};

/*
 * Verify the client's certificate: "ok", and only then do the names in
 * tls_client count; "none"; or what is wrong with it.  Done after the
 * handshake, not within it, since a resumed session brings its certificate
 * along in the ticket, and that may have expired since.  The session must still
 * have its credentials.
 */
const char *
	certificates_client(gnutls_session_t, const struct certificates *,
	    struct tls_client *);

/* -t: what is wrong with the files, on standard error; count of it. */
int	certificates_check(const struct settings *);

/* keys.c: private keys. */

/* The key in a file, which must be the certificate's.  0 or -1. */
int	keys_read(const char *path, gnutls_x509_crt_t, gnutls_x509_privkey_t *,
	    char *err, size_t);
/* Stands for the n-th key, which the signer has; 0 or GnuTLS's error. */
int	keys_remote(gnutls_privkey_t *, gnutls_x509_crt_t, unsigned n,
	    tls_signer *signer);
/* See struct tls_module. */
int	keys_load(const struct settings *, char *err, size_t);
ssize_t	keys_sign(const struct tls_sign *, unsigned char *, size_t);

#endif
