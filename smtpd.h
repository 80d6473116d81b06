/*
 * smtpd.h - what the files of the program share.
 *
 * One process serves one connection, so what belongs to the connection is in
 * one struct, passed to whoever needs it.
 */
#ifndef SMTPD_H
#define SMTPD_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session.h"

#define SMTPD_VERSION	"0.1.0"

/* settings.c: the one table of settings. */

enum tls_mode { TLS_AUTO, TLS_OFF, TLS_OFFER, TLS_REQUIRE, TLS_IMPLICIT };
enum auth_mode { AUTH_AUTO, AUTH_OFF, AUTH_OFFER, AUTH_REQUIRE };
enum log_target { LOG_AUTO, LOG_STDERR, LOG_SYSLOG, LOG_OFF };

#define TLS_CERTS_MAX	8

struct settings {
	char		*hostname;
	char		*spool;
	char		**exec;		/* words, NULL at the end; NULL: none */
	bool		 newline_crlf;
	bool		 received_private;
	char		*recipients;
	char		*policy;
	char		*policy_end;
	enum tls_mode	 tls;
	char		*tls_cert[TLS_CERTS_MAX];
	char		*tls_key[TLS_CERTS_MAX];
	char		*tls_ticket_key;
	char		*tls_priority;
	char		*tls_client_ca;
	enum auth_mode	 auth;
	char		*auth_file;
	char		**auth_program;
	bool		 auth_any;
	bool		 auth_cleartext;
	uint64_t	 max_size;
	unsigned	 max_recipients;
	unsigned	 max_messages;
	unsigned	 max_errors;
	unsigned	 max_junk;
	unsigned	 max_auth_failures;
	unsigned	 max_hops;
	unsigned	 timeout;	/* seconds; never 0 */
	unsigned	 session_timeout;
	bool		 lmtp;
	bool		 dsn;
	bool		 proxy_protocol;
	unsigned	 disable;	/* SESSION_SIZE | ... */
	enum log_target	 log;
	bool		 log_debug;
};

/* The defaults, without a look at the machine. */
void	settings_init(struct settings *);
/*
 * Read a file, or one "name=value"; settings later in order win.  0, or -1
 * with the reason in err: file, line and setting in one line of text.
 */
int	settings_file(struct settings *, const char *path, char *err, size_t);
int	settings_option(struct settings *, const char *, char *err, size_t);
/* Complete what depends on other settings or the machine (hostname, auto). */
int	settings_finish(struct settings *, char *err, size_t);
/* -T: every setting in effect, as a settings file, on standard output. */
void	settings_dump(const struct settings *);

/* The connection. */

struct tls_info {
	const char	*protocol;	/* "TLSv1.3"; NULL: no TLS */
	const char	*cipher;	/* "TLS_AES_256_GCM_SHA384" */
	const char	*client;	/* verified client certificate's subject */
	const char	*verify;	/* "ok", "none" or why it failed */
};

struct recipients {		/* in the order of their RCPT */
	char		*text;		/* addresses, each ended by NUL */
	size_t		 len, size;
	unsigned	 count;
};

struct connection {
	struct settings	 settings;
	struct session	 session;
	char		 id[17];	/* of the session, for logs and names */
	char		 addr[64];	/* address, or "local"; IPv6 with zone */
	char		 port[6];	/* or "" */
	char		 user[256];	/* authenticated, or "" */
	struct tls_info	 tls;
	unsigned	 messages;	/* transactions so far */

	/* The transaction, valid from MAIL to reset. */
	char		 sender[SESSION_PATH_MAX + 1];
	struct recipients recipients;
	enum session_body body;
	bool		 utf8;
};

/*
 * conn.c: the client's descriptors, in clear or inside TLS, with deadlines.
 * Both wait at most settings.timeout, and not past the session's end.  They
 * return -1 with errno ETIMEDOUT (idle), ETIME (session), EINTR (SIGTERM) or
 * the system's; conn_read() returns 0 at the end of input.
 */
ssize_t	conn_read(void *, size_t);
int	conn_write(const void *, size_t);	/* all of it, or -1 */

/* log.c: one event a line, key=value. */

void	log_open(enum log_target, bool debug, const char *id);
/*
 * log_event("message", "status", "accepted", "size", n, NULL): pairs of key and
 * value, both strings, up to a NULL key; a NULL value leaves its pair out.
 */
void	log_event(const char *event, ...) __attribute__((sentinel));
/*
 * Something of ours failed: event=error with what failed, on what, and errno's
 * text (with an error of 0, without it).
 */
void	log_error(int error, const char *what, const char *object);
/* The dialogue, when log-level says so. */
void	log_dialogue(char direction, const char *line, size_t len);
bool	log_is_debug(void);

/* deliver.c: a message on its way to the spool or to the program. */

struct session_verdict deliver_start(struct connection *);
void	deliver_body(const char *, size_t);
/* recipient: for which of them (LMTP); in SMTP called once, with 0. */
struct session_verdict deliver_end(struct connection *, unsigned recipient);
void	deliver_reset(void);		/* drop what was not delivered */
/* -t: what is wrong with spool and exec, on standard error; count of it. */
int	deliver_check(const struct settings *);
/* The trace header and the envelope lines above it; "\n" line ends. */
size_t	deliver_header(struct connection *, unsigned recipient, char *, size_t);

/* policy.c: recipients and policy servers. */

struct session_verdict policy_rcpt(struct connection *, const char *path);
struct session_verdict policy_end(struct connection *, uint64_t size);
int	policy_check(const struct settings *);

/* auth.c: is a user who they say they are? */

/* What may be offered now, or NULL.  tls: under TLS. */
const char *auth_mechanisms(struct connection *);
struct session_verdict auth_step(struct connection *, struct session_sasl *);
void	auth_end(void);
int	auth_check(const struct settings *);

/* proxy.c: the header of haproxy's PROXY protocol, v1 and v2. */

/* Reads it and sets addr and port; 0, or -1 with the reason logged. */
int	proxy_read(struct connection *);

/*
 * tls.c: GnuTLS, in a module of its own that is only loaded when TLS starts,
 * since loading it costs more than a whole session without.
 */
struct tls_module {
	/* Load certificates and keys; NULL with the reason in err. */
	void	*(*open)(const struct settings *, char *err, size_t);
	/* read and write: the client's descriptors, as conn_read(). */
	int	 (*handshake)(void *, ssize_t (*read)(void *, size_t),
		    int (*write)(const void *, size_t), struct tls_info *,
		    char *err, size_t);
	ssize_t	 (*read)(void *, void *, size_t);	/* as conn_read() */
	int	 (*write)(void *, const void *, size_t);	/* all or -1 */
	void	 (*close)(void *);	/* close_notify */
	/* tls-exporter channel binding (RFC 9266); its length or -1. */
	int	 (*binding)(void *, unsigned char *, size_t);
	/* -t: what is wrong with the files, on standard error; count of it. */
	int	 (*check)(const struct settings *);
};
#define TLS_MODULE_SYMBOL "smtpd_tls_module"

#endif
