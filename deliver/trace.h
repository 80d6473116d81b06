/* SPDX-License-Identifier: ISC */
/*
 * trace.h - the lines on top of a message, and where they go.
 */
#ifndef TRACE_H
#define TRACE_H

#include "../smtpd.h"

struct output {
	void		(*write)(void *arg, const char *, size_t);
	void		*arg;
	const char	*line_end;
	size_t		 column;	/* of the field at hand */
};

/* The envelope, with count recipients from this one on. */
void	trace_envelope(struct output *, struct connection *, unsigned first,
	    unsigned count);
/* Lines from filters, and Received: with "for" unless recipient is NULL. */
void	trace_received(struct output *, struct connection *,
	    const char *recipient);

#define TRACE_FIRST	256	/* octets that always suffice to tell */
enum trace_first {
	TRACE_MORE,		/* can't tell from so few octets */
	TRACE_HEADER,		/* a field, or the empty line of no header */
	TRACE_TEXT		/* needs an empty line before it */
};
/* What a message that begins like this begins with. */
enum trace_first trace_first(const char *, size_t);

#endif
