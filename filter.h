/* SPDX-License-Identifier: ISC */
/*
 * filter.h - who decides about a transaction: a list of filters, asked in
 * their order at each step; the first that refuses ends the step.
 *
 * A filter sees what the engine accepted.  It may refuse with a reply of its
 * own, put lines on top of the message (tx.lines), or have it thrown away
 * (tx.discard).
 */
#ifndef FILTER_H
#define FILTER_H

#include "smtpd.h"

struct filter {
	const char	*name;
	/*
	 * A recipient that it refuses is one too many, which is not an error
	 * and may be followed by any number: only the first is logged.
	 */
	bool		 crowd;
	/* Do the settings ask for it?  If not, only check is called. */
	bool		(*wanted)(const struct settings *);	/* NULL: yes */
	/*
	 * The steps; NULL: it has no opinion.  start: once a session, before
	 * the sandbox closes, whether or not there ever is a message.
	 */
	void		(*start)(struct connection *);
	struct session_verdict (*mail)(struct connection *,
			    const struct session_mail *);
	struct session_verdict (*rcpt)(struct connection *,
			    const struct session_rcpt *);
	struct session_verdict (*data)(struct connection *);
	/* Once a transaction, whatever the number of replies. */
	struct session_verdict (*end)(struct connection *, uint64_t size);
	/* The transaction is over, however it ended. */
	void		(*reset)(struct connection *);
	void		(*stop)(struct connection *);	/* the session is */
	/* -t: what is wrong, on standard error; count of it. */
	int		(*check)(const struct settings *);
};

/* The steps, through the list. */

void	filter_start(struct connection *);
struct session_verdict filter_mail(struct connection *,
	    const struct session_mail *);
/* crowd: that of the filter that refused. */
struct session_verdict filter_rcpt(struct connection *,
	    const struct session_rcpt *, bool *crowd);
struct session_verdict filter_data(struct connection *);
/* Later calls in a transaction get the same answer. */
struct session_verdict filter_end(struct connection *, uint64_t size);
void	filter_reset(struct connection *);
void	filter_stop(struct connection *);
int	filter_check(const struct settings *);

/* Octets of all lines that filters put above our Received (tx.lines). */
#define FILTER_LINES_MAX	16384

/* filter/recipients.c: the list of those who get mail here. */
extern const struct filter recipients_filter;

/* filter/policy.c: Postfix's policy servers. */
extern const struct filter policy_filter;

/* filter/milter.c: filters that speak the milter protocol. */
extern const struct filter milter_filter;

/* One answer of a policy server, without the blank line that ends it. */
struct policy_answer {
	struct session_verdict verdict;
	const char	*fault;		/* why it is not understood, or NULL */
	const char	*prepend;	/* a header line, without its end */
	const char	*note;		/* to be logged, or NULL */
	bool		 discard;
	char		 status[12];
	char		 text[1024];
};
/* Takes len octets of any kind. */
void	policy_parse(const char *, size_t len, bool utf8,
	    struct policy_answer *);

#endif
