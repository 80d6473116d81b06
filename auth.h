/* SPDX-License-Identifier: ISC */
/*
 * auth.h - what the files of authentication share.
 *
 * All of them but checkpw.c are in smtpd-tls only: AUTH nearly always happens
 * inside TLS, where GnuTLS, which has the hashes, is loaded already.  Each uses
 * only what stands above it here:
 *
 *	text.c		what a name or password may be
 *	verifier.c	SCRAM's verifiers
 *	passwd.c	the file of users	checkpw.c	auth-program
 *	source.c	who is asked, here or in another process
 *	scram.c		SCRAM's messages	repeat.c	given twice
 *	auth.c		the mechanisms
 */
#ifndef AUTH_H
#define AUTH_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

#include "crypto.h"
#include "smtpd.h"

/*
 * How long the answer to wrong credentials takes: this for the first, and twice
 * as long each time, up to the second of these.
 */
#define AUTH_DELAY_MS		500u
#define AUTH_DELAY_MAX_MS	4000

/* text.c */

/* Not empty, valid UTF-8, no control characters. */
bool	auth_text(const char *);
/* Octets as a string, if they are one and if there is room. */
bool	auth_keep(char *to, size_t size, const void *, size_t len);

/* verifier.c: what the server knows of a password (RFC 5802 section 3). */

struct verifier {
	unsigned	 iterations;
	size_t		 salt_len;
	unsigned char	 salt[AUTH_SALT_MAX];
	unsigned char	 stored_key[CRYPTO_HASH];
	unsigned char	 server_key[CRYPTO_HASH];
};

/* "iterations,salt,storedkey,serverkey" with base64. */
bool	verifier_parse(const char *, size_t len, struct verifier *);
/* Is this the verifier's password?  1, 0, or -1: logged. */
int	verifier_password(const struct verifier *, const char *);
/*
 * Does the proof show that its maker knows the password?  1, 0 or -1, as above;
 * to: our own signature, which shows that we know the verifier.
 */
int	verifier_proof(const struct verifier *, const char *message,
	    const unsigned char proof[CRYPTO_HASH],
	    unsigned char to[CRYPTO_HASH]);

/* passwd.c: the file of users, auth-file or auth-users. */

/*
 * The file of a setting: "auth-users" is one of names alone.  0, or -1: logged.
 */
int	passwd_open(const char *setting, const char *path);
/* Does it hold a verifier?  1, 0, or -1: logged. */
int	passwd_has_verifier(void);
/*
 * Is the user in the file, whatever the hash, and not locked ("!" before it)?
 * 1, 0, or -1: logged.
 */
int	passwd_lists(const char *user);
/* The user's verifier: 1; 0 with a decoy (see passwd.c); or -1: logged. */
int	passwd_verifier(const char *user, struct verifier *);
enum auth_result passwd_verify(const char *user, const char *password);
/* -t: what is wrong with the file, on standard error; count of it. */
int	passwd_check(const char *setting, const char *path);

/* checkpw.c: the checkpassword interface; in both programs. */

/* In the process outside; the check ends when watch hangs up. */
enum auth_result checkpw_run(const struct connection *, const char *user,
	    const char *password, int watch);
/* -t: what is wrong, on standard error; count of it. */
int	checkpw_check(char *const *words);

/* source.c: the file of users, wherever it is open. */

/* These are struct auth_module's. */
void	source_open(const struct settings *);
void	source_elsewhere(auth_asker *);
int	source_answer(const struct auth_question *, struct auth_answer *);
/* Ask it: the result, which is in the answer as well. */
enum auth_result source_ask(const struct auth_question *,
	    struct auth_answer *);
/* Check user and password, in the way that the settings say. */
enum auth_result source_verify(const struct connection *, const char *user,
	    const char *password);

/* scram.c: SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side. */

/* user: room for AUTH_USER_MAX + 1, set as soon as it is known. */
enum auth_result scram_step(struct session_sasl *, char *user, bool plus,
	    bool plus_offered);
/* Has the client seen a salt without proving anything yet? */
bool	scram_is_open(void);
void	scram_end(void);

/* repeat.c: the same wrong password once more. */

/* Has it failed before, and is this its first repetition? */
bool	repeat_is_first(const char *user, const char *password);
void	repeat_failed(const char *user, const char *password);

#endif
