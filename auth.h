/*
 * auth.h - what the files of authentication share.
 *
 * All of them are in smtpd-tls only: AUTH nearly always happens inside TLS,
 * where GnuTLS, of which the hashes come, is there already.
 */
#ifndef AUTH_H
#define AUTH_H

#include <sys/types.h>

#include <crypt.h>
#include <stdbool.h>
#include <stddef.h>

#include "smtpd.h"

#define AUTH_USER_MAX		255
/* Of octets; crypt(3) takes no more. */
#define AUTH_PASSWORD_MAX	CRYPT_MAX_PASSPHRASE_SIZE
/*
 * How long the answer to wrong credentials takes: this for the first, twice
 * as long for each that follows, up to the last of the two.
 */
#define AUTH_DELAY_MS		500
#define AUTH_DELAY_MAX_MS	4000

enum auth_result {
	AUTH_RIGHT,
	AUTH_CONTINUE,		/* there is a challenge */
	AUTH_WRONG,		/* the credentials are */
	AUTH_MALFORMED,		/* not what the mechanism wants */
	AUTH_BROKEN		/* there is no telling; the reason is logged */
};

/* Not empty, valid UTF-8, no control characters. */
bool	auth_text(const void *, size_t len);
/* The two as strings, in which NUL can't be. */
bool	auth_equal(const void *, size_t, const void *, size_t);

/* scram.c: SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side. */

#define SCRAM_SALT_MAX		64
#define SCRAM_KEY		32	/* SHA-256 */
#define SCRAM_BINDING_MAX	64

struct scram_verifier {
	unsigned	 iterations;
	size_t		 salt_len;
	unsigned char	 salt[SCRAM_SALT_MAX];
	unsigned char	 stored_key[SCRAM_KEY];
	unsigned char	 server_key[SCRAM_KEY];
};

/* "iterations,salt,storedkey,serverkey" with base64. */
bool	scram_parse(const char *, size_t len, struct scram_verifier *);
/* Is it this one's password?  1, 0, or -1: logged. */
int	scram_password(const struct scram_verifier *, const char *);
/* user: room for AUTH_USER_MAX + 1, set as soon as it is known. */
enum auth_result scram_step(struct session_sasl *, char *user, bool plus,
	    bool plus_offered);
void	scram_end(void);

/* passwd.c: the file of users, auth-file or auth-users. */

struct passwd_entry {
	bool		 scram;		/* which of the two it is */
	struct scram_verifier verifier;
	char		 hash[CRYPT_OUTPUT_SIZE];
};

/*
 * The file of a setting: "auth-users" is one of names alone.  0, or -1: logged.
 */
int	passwd_open(const char *setting, const char *path);
/*
 * Is the user in the file, whatever the hash, and not locked ("!" before it)?
 * 1, 0, or -1: logged.
 */
int	passwd_lists(const char *user);
/* Does it hold a verifier for SCRAM?  1, 0, or -1: logged. */
int	passwd_has_scram(void);
/*
 * The user's entry; scram: if it is a verifier.  1, or 0 with another entry of
 * the kind to work on instead (see passwd.c), or -1: logged.
 */
int	passwd_find(const char *user, bool scram, struct passwd_entry *);
enum auth_result passwd_check(const char *user, const char *password);
/* -t: what is wrong with the file, on standard error; count of it. */
int	passwd_test(const char *setting, const char *path);

/* checkpw.c: the checkpassword interface. */

enum auth_result checkpw_check(const struct connection *, const char *user,
	    const char *password);
int	checkpw_test(char *const *words);

#endif
