/* SPDX-License-Identifier: ISC */
/*
 * transaction.h - the engine's hooks about a message; arg is the connection.
 */
#ifndef TRANSACTION_H
#define TRANSACTION_H

#include "smtpd.h"

void	transaction_mail(void *, const struct session_mail *,
	    struct session_verdict *);
void	transaction_rcpt(void *, const struct session_rcpt *,
	    struct session_verdict *);
void	transaction_data(void *, struct session_verdict *);
bool	transaction_body(void *, const char *, size_t);
void	transaction_end(void *, uint64_t size, unsigned recipient,
	    struct session_verdict *);
/* If that was SESSION_LATER: call once the replies before it are sent. */
void	transaction_answer(struct connection *, struct session_verdict *);
void	transaction_reset(void *);
/* The engine refused something by itself: its line in the log. */
void	transaction_rejected(void *, const struct session_refusal *);
/* The engine refused the message itself. */
void	transaction_refused(struct connection *, const char *why);

#endif
