/* SPDX-License-Identifier: ISC */
/*
 * smtpd.h - what the files of the program share.
 *
 * One process serves one connection, so what belongs to the connection is in
 * one struct, which is passed around.
 */
#ifndef SMTPD_H
#define SMTPD_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server.h"
#include "session.h"
#include "strlist.h"

#define nitems(array)	(sizeof(array) / sizeof((array)[0]))

/* settings.c: the one table of settings. */

enum tls_mode { TLS_AUTO, TLS_OFF, TLS_OFFER, TLS_REQUIRE, TLS_IMPLICIT };
enum auth_mode { AUTH_AUTO, AUTH_OFF, AUTH_OFFER, AUTH_REQUIRE };
/* Bits, in the order of settings.c's words: the better mechanism first. */
#define MECHANISM_EXTERNAL	(1u << 0)
#define MECHANISM_PLUS		(1u << 1)
#define MECHANISM_SCRAM		(1u << 2)
#define MECHANISM_PLAIN		(1u << 3)
#define MECHANISM_LOGIN		(1u << 4)
enum envelope_mode { ENVELOPE_AUTO, ENVELOPE_YES, ENVELOPE_NO };
enum log_target { LOGTO_AUTO, LOGTO_STDERR, LOGTO_SYSLOG, LOGTO_OFF };

/* The setting that names a server: the first index of settings.servers. */
enum { POLICY, POLICY_END, MILTER, SERVER_LISTS };

#define TLS_CERTS_MAX	8

struct settings {
	char		*hostname;
	char		*spool;
	char		**exec;		/* words, NULL at the end; NULL: none */
	bool		 newline_crlf;
	enum envelope_mode envelope;
	bool		 received_private;
	bool		 received_user;
	char		*recipients;
	struct server	 servers[SERVER_LISTS][SERVERS_MAX];
	bool		 policy_fail_accept;	/* no answer: accept, not 451 */
	bool		 milter_fail_accept;
	bool		 milter_quarantine_refuse;	/* else a header line */
	char		*recipient_delimiter;	/* characters; NULL: none */
	enum tls_mode	 tls;
	char		*tls_cert[TLS_CERTS_MAX];
	char		*tls_key[TLS_CERTS_MAX];
	char		*tls_ticket_key;
	char		*tls_priority;
	char		*tls_client_ca;
	char		*tls_client_crl;
	char		*tls_client_fingerprints;
	bool		 tls_client_server_certs;
	bool		 tls_client_require;
	enum auth_mode	 auth;
	unsigned	 auth_mechanisms;	/* MECHANISM_EXTERNAL | ... */
	char		*auth_file;
	char		*auth_users;
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
	unsigned	 max_connections;	/* where we listen */
	unsigned	 max_connections_source;
	unsigned	 timeout;	/* seconds; never 0 */
	unsigned	 session_timeout;
	bool		 lmtp;
	bool		 strict;
	bool		 refuse_stray;
	unsigned	 extensions;	/* SESSION_EXT_DSN | ..., asked for */
	bool		 proxy_protocol;
	char		**proxy_from;	/* prefixes of addresses; NULL: all */
	unsigned	 disable;	/* SESSION_EXT_SIZE | ... */
	enum log_target	 log;
	bool		 log_debug;
	bool		 sandbox;
	const char	*file;		/* they were read from, or NULL */
};

/* The defaults, without a look at the machine. */
void	settings_init(struct settings *);
/*
 * Make the next settings_init() leave the settings in use alone; called once
 * more, it returns to those.  Two are kept at most.
 */
void	settings_aside(void);
/*
 * Read a file, or one "name=value"; settings later in order win.  0, or -1
 * with the reason in err: file, line and setting in one line of text.
 */
int	settings_file(struct settings *, const char *path, char *err, size_t);
int	settings_option(struct settings *, const char *, char *err, size_t);
/* Complete what depends on other settings or the machine (hostname, auto). */
int	settings_finish(struct settings *, char *err, size_t);

/* A file that a setting names, and the part of the program that reads it. */
enum reader { READ_BY_SESSION, READ_BY_TLS, READ_BY_AUTH };
struct named_file {
	const char	*path;
	enum reader	 reader;
	size_t		 setting, nth;	/* where the search goes on */
};
/* One after the other, into a struct that is { 0 } at first; false: no more. */
bool	settings_next_file(const struct settings *, struct named_file *);

/* -T: every setting in effect, as a settings file, on standard output. */
void	settings_dump(const struct settings *);

/* check.c: -t, what is wrong, on standard error. */

/* All of it: the exit status. */
int	check_all(const struct settings *);

/* inspect.c: for -t, with the setting's name in what it says. */

/* A program and its words; the number of faults. */
int	inspect_program(const char *setting, char *const *words);
/* A file with secrets: 1 if everybody may read it, or 0. */
int	inspect_secret(const char *setting, const char *path);

/* The connection. */

struct tls_info {
	const char	*protocol;	/* "TLSv1.3"; NULL: no TLS */
	const char	*cipher;	/* "TLS_AES_256_GCM_SHA384" */
	unsigned	 bits;		/* of its key, 256 */
	const char	*group;		/* of the key exchange, "X25519" */
	const char	*sni;		/* the name that the client asked for */
	const char	*offered;	/* the client's highest version */
	const char	*client;	/* verified certificate's subject */
	const char	*name;		/* the subject's common name, or "" */
	const char	*issuer;	/* the issuer's, or "" */
	/* SHA-256 of any client's certificate and key, "C2:9D:...". */
	const char	*print, *key_print;
	const char	*verify;	/* "ok", "none" or why it failed */
};

/* From MAIL to reset. */
struct transaction {
	struct session_mail mail;	/* its strings are kept here, or "": */
	char		 sender[SESSION_PATH_MAX + 1];
	char		 ret[5];
	char		 envid[101];
	char		 auth[SESSION_LINE_MAX];
	struct strings	 recipients;
	struct strings	 dsn;		/* of each: "NOTIFY ORCPT", with dsn */
	struct strings	 lines;		/* header lines from filters */
	bool		 discard;	/* a filter wants it thrown away */
	bool		 judged;	/* filters have seen it to its end: */
	struct session_verdict judgement;
	uint64_t	 size;		/* on the wire, once it is known */
	unsigned	 at_hand;	/* the recipient that is delivered to */
	bool		 counted;	/* as one of connection.accepted */
	bool		 crowded;	/* too many recipients: it was logged */
};

struct connection {
	struct settings	 settings;
	char		 id[17];	/* of the session, for logs and names */
	char		 addr[64];	/* or "local"; IPv6 with zone */
	char		 port[6];	/* or "" */
	char		 server_addr[64];	/* from a PROXY header, or "" */
	char		 server_port[6];
	char		 user[256];	/* authenticated, or "" */
	char		 method[SESSION_MECH_MAX + 1];	/* by which */
	struct tls_info	 tls;
	unsigned	 messages;	/* transactions so far */
	unsigned	 accepted;	/* of them */
	const char	*reason;	/* of the end, for the log */
	bool		 quit;		/* the client said so */
	/* What was refused already, and so has its line in the log. */
	bool		 refused[SESSION_REFUSED_LINE + 1][SESSION_KINDS];
	bool		 wipe;		/* what was read has a secret in it */
	bool		 forked;	/* by our own listener, */
	bool		 hurry;		/* which has few places left */
	bool		 no_tls;	/* or lacks what TLS needs */
	unsigned	 filters;	/* filter.c: those that take part */
	struct transaction tx;
	struct session	 session;	/* last: most of it stays untouched */
};

/*
 * conn.c: the client's descriptors, in clear or inside TLS, with deadlines.
 * Reading and writing wait at most settings.timeout, and not past the session's
 * end.  They return -1 with errno ETIMEDOUT (idle), ETIME (session), EINTR
 * (SIGTERM) or the system's; conn_read() returns 0 at the end of input.
 */
ssize_t	conn_read(void *, size_t);
int	conn_write(const void *, size_t);	/* all of it, or -1 */
/* end: 0, or what conn_end() said before a handover. */
void	conn_open(const struct settings *, int64_t end);
/*
 * close_notify, inside TLS.  early: the client may be in the middle of saying
 * something, and should read our last word all the same.
 */
void	conn_close(bool early);
/* At most 30 s for each wait; or as the settings have it. */
void	conn_hurry(const struct settings *, bool);
bool	conn_stopped(void);		/* SIGTERM came */
int	conn_signals(void);		/* readable once it did; or -1 */
int64_t	conn_now(void);			/* ms, of a clock that is never set */
/*
 * Wait for a descriptor other than the client's, or with -1 just wait: 0 if it
 * is ready, or -1 with errno ETIMEDOUT at the deadline, EINTR at SIGTERM.
 */
int	conn_await(int fd, short events, int64_t deadline);
/* Load certificates and keys: 0, or -1 with the reason logged. */
int	conn_tls_load(const struct settings *);
/* The handshake, after conn_tls_load(): from here on there is only TLS. */
int	conn_tls_start(struct tls_info *);
/* When the session must be over, for the next process; 0: never. */
int64_t	conn_end(void);
/* Channel binding of the TLS session (RFC 9266): its length, or -1. */
int	conn_tls_binding(unsigned char *, size_t);

/* listen.c: accepting connections ourselves, a process for each. */

/* -l: 0, or -1 if there are too many. */
int	listen_on(const char *where);
/* Is there anything to listen on?  Changes nothing. */
bool	listen_wanted(void);
/*
 * Returns only in the process forked for a connection, which is standard input
 * and output there, and has the client's address.  load: reads the settings
 * anew, as at the start.
 */
void	listen_run(struct connection *, int (*load)(struct settings *, char *,
	    size_t));
/* The settings are bad: returns the exit status, or tries again by exec(2). */
int	listen_misconfigured(const char *reason);

/* listen/keys.c: the listener's helper, and how its sessions reach it. */

/* Is this process to be that?  Then run it; bad: a fault of the settings. */
bool	keys_wanted(void);
int	keys_run(const struct settings *, const char *bad);
/* In a session: is there one now? */
bool	keys_there(void);

/* peer.c: sets addr and port; "local" if there is nobody to ask. */

void	peer_find(struct connection *);
struct sockaddr;
void	peer_set(struct connection *, const struct sockaddr *);
/*
 * As text, an IPv4 address mapped into IPv6 as an IPv4 address.  False: it is
 * neither.
 */
bool	peer_text(const struct sockaddr *, char *addr, size_t, char *port,
	    size_t);
/* Is it an address as text, with or without a zone? */
bool	peer_is_address(const char *);

/* handover.c: becoming smtpd-tls, the program with TLS and passwords. */

const char *handover_program(void);		/* its path */
void	handover_arguments(char **argv);	/* remember main()'s */
/* ahead: for all sessions that may come, or for a test. */
bool	handover_at_start(const struct settings *, bool ahead);
void	handover_now(void);		/* returns if it failed, logged */
/* Become another program, or the same once more; returns if it failed. */
void	handover_to(const char *program);
/* Does it run with our arguments, up to printing its settings? */
bool	handover_works(const char *program);
/* The same in mid-session; send the replies first. */
void	handover_starttls(const struct connection *);
/* The next word at *p, a number of at most max; false: it is none. */
bool	handover_number(char **p, long long max, long long *);
/*
 * At the start: what handover_starttls() handed over.  1; 0 if there is
 * nothing; -1 if it is malformed, as from another version.
 */
int	handover_taken(struct connection *, struct session_counters *,
	    char *helo, size_t, int64_t *end);

/*
 * kept.c: smtpd hands a descriptor on to smtpd-tls, under a name in the
 * environment; smtpd-tls gets it by that name, or -1.
 */
int	kept_set(const char *name, int fd);
int	kept_get(const char *name);

/* log.c: one event per line, key=value. */

/* A new session's id: 16 digits, unlike all others'. */
void	log_make_id(char *, size_t);
void	log_open(enum log_target, bool debug, const char *id);
/*
 * log_event("message", "status", "accepted", "size", n, NULL): pairs of key and
 * value, both strings, up to a NULL key; a NULL value leaves its pair out.
 */
void	log_event(const char *event, ...) __attribute__((sentinel));
/*
 * The same for a line about a reply: the client need not wait for the log, so
 * log_release() writes it.  If the reply was not sent, it says told=no.
 */
void	log_later(const char *event, ...) __attribute__((sentinel));
void	log_release(bool sent);
/*
 * Something of ours failed: event=error with what failed, on what, and errno's
 * text (with an error of 0, without it).
 */
void	log_error(int error, const char *what, const char *object);
/* The session's lines so far, those left out too; and to go on from there. */
unsigned log_lines(void);
void	log_resume(unsigned lines);
/* A session is over: log how many lines were left out. */
void	log_finish(void);
/* The dialogue, when log-level says so. */
void	log_dialogue(char direction, const char *line, size_t len);
/* A number as a value, somewhere in buf. */
#define LOG_NUMBER	21	/* octets for any, with its NUL */
const char *log_number(char buf[LOG_NUMBER], uint64_t);
bool	log_is_debug(void);
enum log_target log_where(void);	/* never LOGTO_AUTO */
/* Close the socket to syslog, if any, before log_open() once more. */
void	log_leave(void);

/* deliver.c: a message on its way to the spool or to the program. */

struct session_verdict deliver_start(struct connection *);
void	deliver_body(const char *, size_t);
/* recipient: for which of them (LMTP); in SMTP called once, with 0. */
struct session_verdict deliver_end(struct connection *, unsigned recipient);
/* Can deliver_end() take long?  Replies should not wait for it. */
bool	deliver_slow(void);
/* The name of the file that was just kept, or NULL. */
const char *deliver_file(void);
void	deliver_reset(void);		/* drop what was not delivered */
/*
 * spool.c: make what is missing of a spool, durably, if that was not done
 * before.  What fails is logged, and fails again at a message.
 */
void	spool_make(const char *path);
/* The path of a part of it.  False: it does not fit. */
bool	spool_part(char *to, size_t, const char *path, const char *part);
/* -t: what is wrong with spool and exec, on standard error; count of it. */
int	deliver_check(const struct settings *);
/*
 * arguments.c: can a program be told of one more recipient?  If not, the client
 * is to send the message to the others first.
 */
bool	arguments_room(const struct connection *, const struct session_rcpt *);

/*
 * auth.c: is a user who they say they are?  In smtpd-tls only, since it needs
 * GnuTLS's hashes and libcrypt, and AUTH nearly always happens inside TLS.
 */
#define MACHINE_ID		"/etc/machine-id"	/* it reads that */
#define AUTH_USER_MAX		255
#define AUTH_PASSWORD_MAX	512	/* crypt(3) takes no more */
#define AUTH_SALT_MAX		64
#define AUTH_MESSAGE_MAX	6500	/* SCRAM's AuthMessage */

enum auth_result {
	AUTH_RIGHT,
	AUTH_CONTINUE,		/* there is a challenge */
	AUTH_WRONG,		/* the credentials are */
	AUTH_REPEATED,		/* wrong, and said before */
	AUTH_MALFORMED,		/* not what the mechanism wants */
	AUTH_SPOILED,		/* the same, after we told it something */
	AUTH_CANCELLED,		/* by the client, after we told it something */
	AUTH_BROKEN		/* can't tell; the reason is logged */
};

/* What a session asks of the file of users, wherever that is open. */
enum auth_what {
	AUTH_ASK_SCRAM,		/* does it hold verifiers for SCRAM? */
	AUTH_ASK_LISTED,	/* is the user in it? */
	AUTH_ASK_PASSWORD,	/* is this the user's? */
	AUTH_ASK_SALT,		/* and iterations; of strangers, too */
	AUTH_ASK_PROOF		/* is it good, and what is our signature? */
};

struct auth_question {
	enum auth_what	 what;
	unsigned char	 proof[32];
	char		 user[AUTH_USER_MAX + 1];
	char		 password[AUTH_PASSWORD_MAX + 1];
	char		 message[AUTH_MESSAGE_MAX];
};

struct auth_answer {
	enum auth_result result;	/* RIGHT (yes), WRONG (no), BROKEN */
	unsigned	 iterations;
	size_t		 salt_len;
	unsigned char	 salt[AUTH_SALT_MAX];
	unsigned char	 signature[32];
};
/* 0, or -1: there was nobody to ask. */
typedef int	auth_asker(const struct auth_question *, struct auth_answer *);

struct auth_module {
	/*
	 * Open the file of users, if there is one; later it need not be in
	 * reach.  What is wrong with it is logged and found when it is needed.
	 */
	void	 (*open)(const struct settings *);
	/* What may be offered now, or NULL; looks for TLS in conn->tls. */
	const char *(*mechanisms)(struct connection *);
	/* Sets conn->user on success.  Wrong credentials take their time. */
	struct session_verdict (*step)(struct connection *,
		    struct session_sasl *);
	/* Without a verdict; may take its time as well. */
	void	 (*end)(struct connection *);
	/* -t: what is wrong with the sources, on standard error; count. */
	int	 (*check)(const struct settings *);
	/*
	 * Where one process serves many: whom its sessions ask instead of
	 * opening the file; and what the process that has opened it answers.
	 */
	void	 (*elsewhere)(auth_asker *);
	auth_asker *answer;
};
/* modules-none.c: NULL, and smtpd becomes smtpd-tls; modules-tls.c: auth.c. */
extern const struct auth_module *const auth_module;

/* sandbox.c: what the process gives up. */

/*
 * Before the client's first octet; what this kernel has not is logged.  again:
 * this is smtpd-tls, and smtpd has given up its files already.  0, or -1, and
 * logged: the session must end.
 */
int	sandbox_enter(struct connection *, bool again);
/* After the handshake: no files are needed any more but the spool's. */
int	sandbox_narrow(struct connection *);
/* -t: says on standard error what this kernel lacks; 0: it works without. */
int	sandbox_check(const struct settings *);

/* proxy.c: the header of haproxy's PROXY protocol, v1 and v2. */

/*
 * Reads the header and nothing behind it, sets addr and port.  0, or -1 with
 * the reason logged; or -1 and nothing logged if the peer was gone before the
 * first octet, as after a health check.
 */
int	proxy_read(struct connection *);

#define PROXY_MAX	536	/* octets of a header; v1: 107 */

struct proxy_header {
	bool		 known;		/* false: keep the socket's address */
	char		 addr[64], port[6];	/* of the client */
	char		 server_addr[64], server_port[6];
};
/*
 * How many octets of the header are missing at least: 0 if it is complete, -1
 * if this is not a header.
 */
int	proxy_need(const unsigned char *, size_t len);
/* A complete header; 0 or -1. */
int	proxy_parse(const unsigned char *, size_t len, struct proxy_header *);

/* A prefix of addresses, "192.0.2.1" or "2001:db8::/32": can it be one? */
bool	prefix_valid(const char *);
/* Is the address in one of them? */
bool	prefix_match(char *const *prefixes, const char *addr);

/*
 * tls.c: GnuTLS, in smtpd-tls only, since loading it costs more than a whole
 * session without.
 */
#define TLS_SIGN_MAX		512	/* octets to sign: a hash, mostly */
#define TLS_SIGNATURE_MAX	2048	/* of RSA with 16384 bits */

struct tls_sign {		/* one signature that is asked for */
	unsigned	 key;		/* its place among tls-key */
	unsigned	 algorithm;	/* GnuTLS's number */
	bool		 hashed;	/* data is, already */
	size_t		 len;
	unsigned char	 data[TLS_SIGN_MAX];
};
/* Its length, or -1: refused, or nobody there to sign. */
typedef ssize_t	tls_signer(const struct tls_sign *, unsigned char *, size_t);

struct tls_module {
	/*
	 * Before a fork, and again when files have changed: load all but what
	 * belongs to one session.  signer: NULL, or who signs instead of the
	 * keys, whose files are not read then.  0, or -1 with the reason in
	 * err, and what was loaded before stays.  See tls.h.
	 */
	int	 (*load)(const struct settings *, tls_signer *signer,
		    char *err, size_t);
	/* A session; loads what is not loaded yet.  NULL: why is in err. */
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
	/*
	 * The process that has the private keys and nothing else: load them,
	 * as load() does; sign for another process, as a tls_signer.
	 */
	int	 (*keys_load)(const struct settings *, char *err, size_t);
	tls_signer *sign;
};
extern const struct tls_module *const tls_module;

#endif
