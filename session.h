/* SPDX-License-Identifier: ISC */
/*
 * session.h - the SMTP and LMTP engine: one session, without any I/O.
 *
 * Bytes from the client go in with session_input(), replies come out of
 * session_output(), and every decision is left to the embedding program,
 * through the hooks.  The engine has no descriptor, no clock and no allocator:
 * all its memory is in structs that the caller owns, so that a process can run
 * one session or ten thousand.  session(3) says when each hook is called and
 * what it may call.
 *
 *	session_init(&s, &buffers, &config, &hooks, arg);
 *	for (;;) {
 *		write out what session_output() has, session_sent();
 *		switch (session_want(&s)) {
 *		case SESSION_INPUT:  read; session_input();	break;
 *		case SESSION_ANSWER: decide; session_answer();	break;
 *		case SESSION_TLS:    handshake; session_tls();	break;
 *		case SESSION_CLOSE:  return;
 *		}
 *	}
 */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SESSION_VERSION		100	/* of this header: 0.1.0 */

/*
 * Limits.  RFC 5321 section 4.5.3.1 gives minima and asks for more where that
 * is possible; a command line has 512 octets there, to which the extensions
 * add: SIZE 26 (RFC 1870), BODY 17 (6152, 3030), SMTPUTF8 10 (6531), AUTH 500
 * (4954), DSN 628 (3461), MT-PRIORITY 15 (6710).
 */
#define SESSION_LINE_MAX	2048	/* a command line, CRLF included */
#define SESSION_AUTH_MAX	12288	/* an AUTH line (RFC 4954 section 4) */
#define SESSION_NAME_MAX	255	/* a domain; a HELO name */
#define SESSION_LOCAL_MAX	255	/* a local part: VERP and SRS pass 64 */
#define SESSION_PATH_MAX	512	/* local part, @ and domain */
#define SESSION_TEXT_MAX	200	/* a line of a hook's reply */
#define SESSION_SAID_MAX	120	/* of a refused line, for the log */
#define SESSION_LINES_MAX	4	/* lines of it */
#define SESSION_KEYWORDS_MAX	6	/* of the program's own, in EHLO */
#define SESSION_CHALLENGE_MAX	512	/* octets, before base64 */
#define SESSION_MECH_MAX	20	/* a SASL mechanism's name (RFC 4422) */
#define SESSION_OUTPUT_SIZE	4096

/*
 * The service extensions.  config.extensions says which of them may be used;
 * what EHLO announces and what is accepted both follow from it.
 */
#define SESSION_EXT_PIPELINING	(1u << 0)	/* RFC 2920 */
#define SESSION_EXT_SIZE		(1u << 1)	/* RFC 1870 */
#define SESSION_EXT_8BITMIME	(1u << 2)	/* RFC 6152 */
#define SESSION_EXT_STATUSCODES	(1u << 3)	/* RFC 2034 */
#define SESSION_EXT_STARTTLS	(1u << 4)	/* RFC 3207 */
#define SESSION_EXT_AUTH		(1u << 5)	/* RFC 4954 */
#define SESSION_EXT_CHUNKING	(1u << 6)	/* RFC 3030 */
#define SESSION_EXT_BINARYMIME	(1u << 7)	/* 3030, with CHUNKING */
#define SESSION_EXT_SMTPUTF8	(1u << 8)	/* 6531, with 8BITMIME */
#define SESSION_EXT_DSN		(1u << 9)	/* RFC 3461 */
#define SESSION_EXT_LIMITS		(1u << 10)	/* RFC 9422 */
#define SESSION_EXT_MT_PRIORITY	(1u << 11)	/* RFC 6710 */
#define SESSION_EXT_HELP		(1u << 12)	/* RFC 1869 */

/* The i-th keyword of EHLO and its bit; NULL: there are no more. */
const char *session_keyword(unsigned i, unsigned *extension);

/*
 * The engine reads a member whenever it needs it, so a program may change them
 * during a session, for instance the limits for a user who has authenticated.
 * Members are only ever added at the end, and size says how many there are:
 * session_init() closes a session whose size is too small.
 */
struct session_config {
	size_t		 size;		/* sizeof(struct session_config) */
	const char	*hostname;	/* in the banner and in EHLO's answer */
	unsigned	 extensions;	/* SESSION_EXT_PIPELINING | ... */
	bool		 lmtp;		/* LHLO, replies each: RFC 2033 */
	bool		 lf;		/* pass the body with LF line ends */
	bool		 tls_required;	/* 530 until TLS (RFC 3207 section 4) */
	bool		 auth_required;	/* MAIL: 530 until AUTH (RFC 4954) */
	bool		 auth_cleartext;	/* AUTH outside TLS as well */
	uint64_t	 max_size;	/* octets of a message; 0 in any of */
	unsigned	 max_recipients;	/* these: no limit */
	unsigned	 max_messages;	/* accepted or refused, a session */
	unsigned	 max_errors;	/* commands answered 5xx */
	unsigned	 max_junk;	/* that lead nowhere, 4xx; session(3) */
	unsigned	 max_auth_failures;
	unsigned	 max_hops;	/* Received fields */
	const char *const *keywords;	/* more lines for EHLO, or NULL; the */
					/* last is NULL */
	bool		 strict;	/* RFC 5321's grammar to the letter */
	bool		 refuse_stray;	/* CR or LF alone in a message: 550 */
};

/*
 * What a hook says, and what session_answer() is given.  It owns its strings.
 * A refusal has its own code (400 to 599), enhanced status code (RFC 3463,
 * "5.1.1") and text; an acceptance may have a code (200 to 299), status and
 * text, too.  0, "" or what is out of range gives the engine's own.  A text has
 * up to SESSION_LINES_MAX lines with '\n' between them, each cleaned of all
 * that is not printable ASCII and cut at SESSION_TEXT_MAX.
 *
 * A hook is given an undecided one: what nobody decides is 451 4.3.0.
 */
enum session_answer_kind {
	SESSION_UNDECIDED,
	SESSION_ACCEPT,
	SESSION_REFUSE,
	SESSION_LATER,		/* session_answer() will decide */
	SESSION_CHALLENGE	/* auth only: go on with 334 */
};

struct session_verdict {
	enum session_answer_kind kind;
	int		 code;
	char		 status[12];
	char		 text[512];
};

/*
 * A transaction's parameters, as validated.  All strings are in the form in
 * which the client gave them, NUL-terminated, without control characters, and
 * last until the hook returns; NULL: not given.
 */
enum session_body {
	SESSION_BODY_NONE, SESSION_BODY_7BIT, SESSION_BODY_8BIT,
	SESSION_BODY_BINARY
};

struct session_mail {
	const char	*path;		/* reverse-path: local@domain or "" */
	uint64_t	 size;		/* as declared, or 0 */
	enum session_body body;
	bool		 utf8;		/* SMTPUTF8 */
	const char	*auth;		/* AUTH=, still encoded; "<>": nobody */
	const char	*ret;		/* FULL or HDRS */
	const char	*envid;		/* still xtext */
	int		 priority;	/* MT-PRIORITY, -9 to 9, or 0 */
};

struct session_rcpt {
	const char	*path;		/* forward-path: local@domain, */
					/* or "postmaster" in any case */
	const char	*notify;	/* as given: NEVER or SUCCESS,... */
	const char	*orcpt;		/* addr-type;xtext (utf-8: RFC 6533) */
};

/*
 * One step of a SASL exchange.  The engine does the framing of RFC 4954, the
 * base64 and the cancelling; what the octets mean is left to the hook.
 */
struct session_sasl {
	const char	*mechanism;	/* in upper case, from mechanisms() */
	bool		 first;		/* first call of an exchange */
	bool		 have_input;	/* false: no initial response */
	const unsigned char *input;	/* the client's response, decoded */
	size_t		 input_len;
	unsigned char	*challenge;	/* SESSION_CHALLENGE: to be filled in */
	size_t		 challenge_size;
	size_t		 challenge_len;
	/*
	 * With a challenge: cancelling now is a failed attempt.  With a
	 * refusal: it is one, whatever its code.
	 */
	bool		 disclosed;
	/* With a refusal: it does not count towards max_auth_failures. */
	bool		 uncounted;
};

enum session_event {
	SESSION_EV_ERRORS,	/* closing: too many errors */
	SESSION_EV_JUNK,	/* closing: too many idle commands */
	SESSION_EV_AUTH,	/* closing: too many failed authentications */
	SESSION_EV_HTTP,	/* closing: the client speaks HTTP */
	SESSION_EV_GLUED,	/* closing: bytes sent along with STARTTLS */
	SESSION_EV_BDAT,	/* closing: a BDAT whose size is not known */
	SESSION_EV_QUIT,	/* closing: QUIT */
	SESSION_EV_REFUSED	/* the engine refused a message by itself */
};

/* What the engine refused; its strings last until the hook returns. */
enum session_refused {
	SESSION_REFUSED_NOTHING,
	SESSION_REFUSED_HELO,	/* HELO, EHLO, LHLO */
	SESSION_REFUSED_MAIL,
	SESSION_REFUSED_RCPT,
	SESSION_REFUSED_AUTH,
	SESSION_REFUSED_LINE	/* not a command: control octets, TLS */
};

struct session_refusal {
	enum session_refused what;
	const char	*path;	/* of MAIL or RCPT, if it could be read */
	const char	*input;	/* the line's beginning, of any octets but */
				/* NUL; NULL where it may be a secret */
	int		 code;	/* of the reply, and its text: the fault */
	const char	*why;
	unsigned	 kind;	/* below SESSION_KINDS; the fault's number, */
};				/* so that a log can have one line for each */
#define SESSION_KINDS	128

/*
 * The hooks.  arg is the one that session_init() was given.  A hook that is
 * NULL accepts, except for end: a message that nobody takes is 451.  Those with
 * a verdict may answer SESSION_LATER.
 *
 * A hook may call the functions below that take a const struct session,
 * session_sent(), session_shutdown() and session_hangup(), which take effect
 * when it has returned, and the answer to its own question, if it is going to
 * return SESSION_LATER.  All other calls are ignored.
 *
 *	connect	before the banner: a refusal is said in its place, as 421 or
 *		554, and ends the session; an acceptance's text ends the banner
 *	helo	a HELO, EHLO or LHLO with a valid name
 *	mail	a new transaction
 *	rcpt	one more recipient
 *	parameter	one of MAIL or of RCPT (recipient) that the engine does
 *		not know; called before mail or rcpt.  value NULL: it has none.
 *		Without this hook they are 555.  Can't be answered later
 *	data	DATA or the first BDAT: the last moment to refuse before the
 *		message itself
 *	body	a piece of the message, un-dotted, lines ending as config.lf
 *		says; a slice of session_input()'s buffer.  There may be no
 *		more calls for a message that is going to be refused; false:
 *		there are none, and it is 451
 *	end	the whole message, size octets on the wire (CRLF, un-dotted):
 *		250 means that it is safe.  In LMTP called once for each
 *		accepted recipient, counted from 0; in SMTP once, with 0
 *	reset	the transaction is over, however it ended; called once for each
 *		whose mail was accepted
 *	verify	VRFY or EXPN (expand): an acceptance's text is the answer
 *	unknown	a command that the engine does not know; see session_restart()
 *	starttls	454 instead of 220 if this refuses; a transaction that
 *		was open is over
 *	mechanisms	the SASL mechanisms that may be used now, separated by
 *		blanks; NULL or "": none.  Must last until the next call
 *	auth	one step of an exchange
 *	auth_end	the exchange is over without a verdict (cancelled, cut):
 *		forget it
 *	command	each command line, for a log; secret: nothing of it is safe to
 *		show, and line is then "AUTH" or "*"; one that is not
 *		known is "?", since it may be a password
 *	reply	each reply line, for a log
 *	refused	the engine refused something by itself: for a log
 *	event	something the program may want to count or log
 */
struct session_hooks {
	size_t	size;			/* sizeof(struct session_hooks) */
	void	(*connect)(void *arg, struct session_verdict *);
	void	(*helo)(void *arg, const char *name, struct session_verdict *);
	void	(*mail)(void *arg, const struct session_mail *,
		    struct session_verdict *);
	void	(*rcpt)(void *arg, const struct session_rcpt *,
		    struct session_verdict *);
	void	(*parameter)(void *arg, bool recipient, const char *name,
		    const char *value, struct session_verdict *);
	void	(*data)(void *arg, struct session_verdict *);
	bool	(*body)(void *arg, const char *, size_t);
	void	(*end)(void *arg, uint64_t size, unsigned recipient,
		    struct session_verdict *);
	void	(*reset)(void *arg);
	void	(*verify)(void *arg, const char *what, bool expand,
		    struct session_verdict *);
	void	(*unknown)(void *arg, const char *line,
		    struct session_verdict *);
	void	(*starttls)(void *arg, struct session_verdict *);
	const char *(*mechanisms)(void *arg);
	void	(*auth)(void *arg, struct session_sasl *,
		    struct session_verdict *);
	void	(*auth_end)(void *arg);
	void	(*command)(void *arg, const char *line, bool secret);
	void	(*reply)(void *arg, const char *line, size_t);
	void	(*refused)(void *arg, const struct session_refusal *);
	void	(*event)(void *arg, enum session_event, const char *why);
};

/* What the engine needs next; send the output before each. */
enum session_want {
	SESSION_INPUT,		/* session_input() */
	SESSION_FLUSH,		/* room for replies: session_sent() */
	SESSION_ANSWER,		/* session_answer() */
	SESSION_TLS,		/* a handshake, then session_tls() */
	SESSION_CLOSE		/* nothing: close the connection */
};

/* The parts below are the engine's own; the struct is here for its size. */

enum session_state {
	SESSION_STATE_COMMAND,		/* reading command lines */
	SESSION_STATE_DATA,		/* reading a message up to CRLF.CRLF */
	SESSION_STATE_CHUNK,		/* reading the octets of a BDAT */
	SESSION_STATE_SASL,		/* reading the answer to a 334 */
	SESSION_STATE_END,		/* giving LMTP's replies one by one */
	SESSION_STATE_TLS,		/* waiting for session_tls() */
	SESSION_STATE_CLOSED
};

/* What a refusal of the command at hand counts as. */
enum session_charge {
	SESSION_CHARGE_FULL,	/* 5xx: an error; 4xx: junk */
	SESSION_CHARGE_ERROR,	/* it was counted as junk before */
	SESSION_CHARGE_RECIPIENT
};

struct session_transaction {
	unsigned	 recipients;	/* accepted */
	unsigned	 refused;	/* refused and deferred */
	unsigned	 crowd;		/* more than there may be */
	unsigned	 reported;	/* recipients answered at LMTP's end */
	unsigned	 hops;
	uint64_t	 size;		/* octets on the wire, un-dotted */
	int		 refusal;	/* reply: why the engine refuses it */
	enum session_body body;
	unsigned char	 data;		/* state of the body's scanner */
	unsigned char	 column;	/* how much of a field name matched */
	bool		 header_over;
	bool		 erred;		/* a refused recipient was counted */
	bool		 mail;		/* MAIL was accepted */
	bool		 message;	/* DATA or a first BDAT was accepted */
	bool		 by_bdat;
	bool		 last;		/* BDAT LAST */
	bool		 utf8;
	bool		 stray;		/* a bare LF was seen in it */
};

enum session_closing {
	SESSION_OPEN,
	SESSION_HANGUP,		/* asked for from a hook */
	SESSION_SHUTDOWN,
	SESSION_LAST_WORDS	/* it is being done */
};

struct session {
	const struct session_config *config;
	const struct session_hooks *hooks;
	void		*arg;
	struct session_buffers *buffers;
	enum session_state state;
	struct session_transaction tx;
	enum session_charge charge;
	int		 pending;	/* what session_answer() is about */
	uint64_t	 chunk;		/* octets left of this BDAT */
	int		 chunk_refusal;	/* reply: why it is only swallowed */
	unsigned	 messages, errors, junk, auth_failures;
	bool		 auth_disclosed, auth_uncounted;
	bool		 greeted;	/* HELO, EHLO or LHLO was accepted */
	bool		 helo_refused;	/* one was refused, none accepted */
	bool		 esmtp;		/* EHLO or LHLO */
	bool		 helo_esmtp;	/* what the pending one asks for */
	bool		 begun;		/* there was input */
	bool		 tls;
	bool		 authenticated;
	bool		 more;		/* input follows the line at hand */
	bool		 eating;	/* a bad line, already answered */
	unsigned char	 cr;		/* CRs at the end of the line so far */
	unsigned char	 proxy;		/* octets of a PROXY v2 signature */
	bool		 auth_said;	/* what isn't a command may be secret */
	const char	*said;		/* the line's beginning, or NULL */
	const char	*detail;	/* of ours: completes the reply */
	bool		 line_secret;	/* the line may hold a password */
	bool		 input_secret;	/* and so may the last input */
	bool		 in_hook;
	bool		 in_reply;	/* its last line is yet to come */
	bool		 restart;	/* an unknown command asks for it */
	enum session_closing closing;
	struct session_verdict *early;	/* for an answer before SESSION_LATER */
	struct session_sasl *exchange;	/* the same, with a challenge */
	char		*kept;		/* session_rewrite(): its buffer */
	size_t		 kept_len;
	size_t		 out_len, line_len;
	char		 helo[SESSION_NAME_MAX + 1];
	char		 mechanism[SESSION_MECH_MAX + 1];
	char		 last_status[12];	/* of session_shutdown() */
	char		 last_text[SESSION_TEXT_MAX + 1];
};

/*
 * Replies on their way out and the command line on its way in.  One for each
 * session, or one for many: see session_lend().
 */
struct session_buffers {
	char		 out[SESSION_OUTPUT_SIZE];
	char		 line[SESSION_AUTH_MAX + 1];
};

/* SESSION_VERSION and sizeof(struct session) of the library that is linked. */
unsigned session_version(void);
size_t	session_size(void);

/*
 * Start a session: the banner is in the output.  The buffers, config, hooks and
 * the strings in them must outlive it; the struct may be moved when no call is
 * in progress.  Implicit TLS: call session_tls() right after.
 */
void	session_init(struct session *, struct session_buffers *,
	    const struct session_config *, const struct session_hooks *,
	    void *arg);

/*
 * STARTTLS in another process: the counters that outlive it; and a session that
 * begins as if EHLO (or LHLO) and STARTTLS had just been said, without a
 * banner.  The starttls hook is asked, and 220 or its refusal is in the output.
 */
struct session_counters {
	unsigned	 messages, errors, junk, auth_failures;
};

void	session_counters(const struct session *, struct session_counters *);
void	session_resume(struct session *, struct session_buffers *,
	    const struct session_config *, const struct session_hooks *,
	    void *arg, const char *helo, const struct session_counters *);

/*
 * A session that has nothing in its buffers needs none: session_idle() says so,
 * and then other buffers may be lent to it before the next call that is not
 * const, and NULL until then.  A session that is not idle keeps those it has.
 */
bool	session_idle(const struct session *);
void	session_lend(struct session *, struct session_buffers *);

/*
 * Feed len octets.  Returns how many were taken: fewer if session_want() is no
 * longer SESSION_INPUT; give the rest again when it is.  After STARTTLS there
 * must be no rest: if there is one, give it all the same, and the engine closes
 * the session (RFC 3207 section 4.2; the class of CVE-2011-0411).
 */
size_t	session_input(struct session *, const char *, size_t len);
/*
 * The same, but the octets may be changed: CRs and stuffed dots are dropped in
 * place, and body gets the rest in one piece instead of one per line.
 */
size_t	session_rewrite(struct session *, char *, size_t len);

/*
 * Was there a password among the octets just taken, or might there have been?
 * The engine keeps none past its line; the buffer is the caller's to wipe.
 */
bool	session_secret(const struct session *);

/* The replies not sent yet, and how many octets of them were sent. */
size_t	session_output(const struct session *, const char **);
void	session_sent(struct session *, size_t);

enum session_want session_want(const struct session *);

/*
 * The verdict of the hook that answered SESSION_LATER.  Nothing happens if none
 * did, or if the session is closed.
 */
void	session_answer(struct session *, const struct session_verdict *);
/* The same for auth with a challenge. */
void	session_challenge(struct session *, const unsigned char *, size_t len);

/*
 * Fill in a verdict.  status and text may be NULL; what is too long is cut.
 */
void	session_accept(struct session_verdict *, const char *text);
void	session_refuse(struct session_verdict *, int code, const char *status,
	    const char *text);

/*
 * TLS is up (RFC 3207 section 4.2): all that was said in clear is forgotten.
 * For a session that wants SESSION_TLS or has had no input yet.
 */
void	session_tls(struct session *);

/*
 * From the unknown hook, or while it is undecided: if it accepts, the session
 * starts again as if the client had just connected, with connect and the banner
 * in place of a reply, as XCLIENT has it.  TLS and the counters stay.
 */
void	session_restart(struct session *);

/*
 * The program ends the session: "421 hostname text" goes out, and the engine
 * takes nothing after it.  status such as "4.4.2"; both may be NULL.
 */
void	session_shutdown(struct session *, const char *status,
	    const char *text);
/* The client is gone: as shutdown, without a word. */
void	session_hangup(struct session *);

/* What the client is at: RFC 5321 section 4.5.3.2 has a time for each. */
enum session_phase {
	SESSION_PHASE_GREETING,	/* no HELO, EHLO or LHLO yet */
	SESSION_PHASE_COMMAND,	/* between messages */
	SESSION_PHASE_ENVELOPE,	/* between MAIL and DATA or BDAT */
	SESSION_PHASE_MESSAGE,	/* in the message, or between two BDATs */
	SESSION_PHASE_EXCHANGE,	/* in an exchange of AUTH */
	SESSION_PHASE_HANDSHAKE,	/* between STARTTLS and session_tls() */
	SESSION_PHASE_ENDED
};

enum session_phase session_phase(const struct session *);

/* The caller sets size; false, and nothing is filled in, if it is too small. */
struct session_info {
	size_t		 size;		/* sizeof(struct session_info) */
	bool		 tls;
	bool		 authenticated;
	bool		 esmtp;		/* EHLO or LHLO */
	bool		 transaction;	/* MAIL was accepted */
	bool		 utf8;		/* with SMTPUTF8 */
	unsigned	 recipients;	/* of the transaction, accepted */
	uint64_t	 octets;	/* of its message so far */
};

bool	session_info(const struct session *, struct session_info *);

/*
 * The name in the client's last accepted greeting, or "".  Letters, digits and
 * ".-_:[]" are as they came, all else is question marks.
 */
const char *session_helo(const struct session *);
/*
 * True in the middle of a message that has LFs without CR.  A client that falls
 * silent then may be waiting for an answer to LF . LF, which ends nothing.
 */
bool	session_stray(const struct session *);
/*
 * The protocol for Received (RFC 3848, RFC 6531 section 4.3): SMTP, ESMTP,
 * ESMTPS, ESMTPSA, UTF8SMTP, LMTP ...
 */
const char *session_protocol(const struct session *);

#ifdef __cplusplus
}
#endif
#endif
