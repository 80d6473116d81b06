/* SPDX-License-Identifier: ISC */
/*
 * engine.h - what the engine's own files share: session.c (input, output and
 * the public interface), command.c (the verbs), ehlo.c (the answer to EHLO),
 * parameter.c (of MAIL and RCPT), data.c (messages), sasl.c (the framing of
 * AUTH), reply.c (every word that is said), address.c (the grammar).
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "../session.h"

/* Every reply of the engine's own; the table is in reply.c. */
enum reply {
	R_NONE,		/* nothing against it; nothing to say */
	R_SAID,		/* a hook's words said it */
	R_CLOSING, R_OK, R_HELO, R_MAIL, R_RCPT,
	R_STARTTLS,
	R_HELP, R_VERIFY, R_AUTHENTICATED, R_START_INPUT, R_MESSAGE, R_CHUNK,
	R_NO_TLS_NOW, R_AUTH_BROKEN, R_LOCAL_ERROR, R_TOO_MANY_RECIPIENTS,
	R_HTTP, R_TOO_MANY_ERRORS, R_TOO_MUCH_JUNK, R_TOO_MANY_MESSAGES,
	R_TOO_MANY_FAILURES,
	R_NO_SERVICE, R_LINE_TOO_LONG, R_CONTROL, R_LINE_END, R_TLS_HELLO,
	R_PROXY, R_UNKNOWN, R_USE_EHLO, R_USE_LHLO, R_OBSOLETE, R_NOT_OFFERED,
	R_AUTH_NOT_OFFERED, R_NO_ARGUMENT, R_ARGUMENT, R_HELO_NAME,
	R_MAIL_SYNTAX, R_RCPT_SYNTAX, R_SENDER, R_RECIPIENT,
	R_PARAMETER_SYNTAX, R_PARAMETER, R_PARAMETER_NOT_OFFERED,
	R_PARAMETER_TWICE, R_PARAMETER_VALUE, R_HELO_FIRST, R_HELO_REFUSED,
	R_MAIL_FIRST, R_NESTED_MAIL, R_NO_RECIPIENTS, R_RCPT_FIRST,
	R_EHLO_FIRST, R_TLS_ALREADY, R_GLUED, R_AUTH_ALREADY, R_AUTH_IN_MAIL,
	R_USE_BDAT, R_MIXED, R_BDAT_SYNTAX,
	R_TLS_REQUIRED, R_AUTH_REQUIRED, R_AUTH_NEEDS_TLS, R_MECHANISM,
	R_BASE64, R_CANCELLED, R_AUTH_LINE, R_CREDENTIALS,
	R_NEEDS_UTF8, R_TOO_BIG, R_BARE, R_NUL, R_LOOP, R_REFUSED_RCPT,
	R_REFUSED
};

/* What a hook was asked, and so where its verdict goes. */
enum question {
	ASK_NOTHING, ASK_CONNECT, ASK_HELO, ASK_MAIL, ASK_RCPT, ASK_DATA,
	ASK_BDAT, ASK_END,
	ASK_VERIFY, ASK_UNKNOWN, ASK_STARTTLS, ASK_AUTH
};

/* reply.c */
void	reply(struct session *, enum reply);
/* The same with lines before the last, for HELP and EHLO. */
void	reply_line(struct session *, int code, char separator,
	    const char *text);
void	reply_verdict(struct session *, const struct session_verdict *,
	    enum reply accepted, enum reply refused);
void	reply_banner(struct session *, const char *text);
/* 421 with our name before the text. */
void	reply_goodbye(struct session *, const char *status, const char *text);
/* 334 with a challenge in base64. */
void	reply_challenge(struct session *, const char *);
bool	reply_room(const struct session *);
const char *reply_text(enum reply);	/* without our name before it */
/* The same with the session's detail in it, by way of the buffer. */
#define REPLY_WORDS	128
const char *reply_words(const struct session *, enum reply, char *);
int	reply_code(enum reply);

/* session.c */

/*
 * Call a hook for its verdict.  A hook may end the session or answer before it
 * says SESSION_LATER: neither is acted on until it has returned.
 */
struct engine_question {
	struct session_verdict verdict, early;
};
/* False: there is nobody to ask, and the verdict stays undecided. */
bool	engine_enter(struct session *, bool hook, struct engine_question *);
void	engine_leave(struct session *, struct engine_question *);
void	engine_decide(struct session *, enum question,
	    const struct session_verdict *);
#define engine_ask_or(s, nobody, what, hook, ...) do {			\
	struct engine_question q_;					\
									\
	if (engine_enter(s, (s)->hooks->hook != NULL, &q_)) {		\
		(s)->hooks->hook((s)->arg, ##__VA_ARGS__, &q_.verdict);	\
		engine_leave(s, &q_);					\
	} else								\
		q_.verdict.kind = (nobody);				\
	engine_decide(s, what, &q_.verdict);				\
} while (0)
/* A hook that is NULL accepts, with a few exceptions. */
#define engine_ask(s, ...) engine_ask_or(s, SESSION_ACCEPT, __VA_ARGS__)
/* Call a hook that is only told. */
#define engine_tell(s, hook, ...) do {					\
	if ((s)->hooks->hook != NULL) {					\
		(s)->in_hook = true;					\
		(s)->hooks->hook((s)->arg, ##__VA_ARGS__);		\
		(s)->in_hook = false;					\
	}								\
} while (0)
/* A hook ended the session: nothing more is asked, told or said. */
bool	engine_muted(const struct session *);
const char *engine_mechanisms(struct session *);	/* never NULL */

void	engine_event(struct session *, enum session_event, const char *why);
/* For a log; path: of MAIL or RCPT, if it could be read. */
void	engine_refused(struct session *, enum session_refused,
	    const char *path, enum reply);
void	engine_close(struct session *);
void	engine_end_transaction(struct session *);
void	engine_connect(struct session *);	/* the banner, or a refusal */
/* Forget all that was said. */
void	engine_forget(struct session *);
/* Why an extension can't be used now; R_NONE: it can, and EHLO says so. */
enum reply engine_refuses(struct session *, unsigned extension);
bool	engine_limit(unsigned);
bool	engine_offers(struct session *, unsigned extension);
bool	engine_over(unsigned count, unsigned limit);	/* 0: never */
/* One more command that leads nowhere; false: one too many. */
bool	engine_junk(struct session *);
const char *engine_name(const struct session *);	/* ours */

/* ehlo.c */
void	ehlo_announce(struct session *);	/* EHLO was accepted */

/* command.c */
void	command_line(struct session *, char *line);
void	command_answered(struct session *, enum question,
	    const struct session_verdict *);

/* parameter.c: R_NONE, or why the parameters are refused. */
enum reply parameter_mail(struct session *, char *, struct session_mail *);
enum reply parameter_rcpt(struct session *, char *, struct session_rcpt *);
/* A decimal number with nothing around it; false on overflow, too. */
bool	parameter_number(const char *, uint64_t *);

/* data.c */
void	data_start(struct session *);
size_t	data_input(struct session *, const char *, size_t);
size_t	chunk_input(struct session *, const char *, size_t);
void	chunk_start(struct session *, uint64_t, enum reply refusal);
void	data_finish(struct session *);	/* replies, as far as there is room */
void	data_answered(struct session *, const struct session_verdict *);

/* sasl.c */
/* engine_refuses() for AUTH, once EHLO was said and AUTH is configured. */
enum reply sasl_refuses(struct session *);
enum reply sasl_start(struct session *, char *);
void	sasl_line(struct session *, char *, size_t);
void	sasl_end(struct session *);	/* without a verdict, if there is one */
void	sasl_answered(struct session *, const struct session_verdict *);
void	sasl_challenge(struct session *, const unsigned char *, size_t);

#endif
