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

/* With those of count recipients from this one on. */
void	trace_write(struct output *, struct connection *, unsigned first,
	    unsigned count);

#endif
