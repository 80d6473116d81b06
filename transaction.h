/*
 * transaction.h - the engine's hooks about a message; arg is the connection.
 */
#ifndef TRANSACTION_H
#define TRANSACTION_H

#include "smtpd.h"

struct session_verdict transaction_mail(void *, const struct session_mail *);
struct session_verdict transaction_rcpt(void *, const struct session_rcpt *);
struct session_verdict transaction_data(void *);
void	transaction_body(void *, const char *, size_t);
struct session_verdict transaction_end(void *, uint64_t size,
	    unsigned recipient);
void	transaction_reset(void *);
/* The engine refused a MAIL, or a recipient, by itself. */
void	transaction_rejected(void *, bool recipient, const char *path, int code,
	    const char *why);
/* The engine refused the message itself. */
void	transaction_refused(struct connection *, const char *why);

#endif
