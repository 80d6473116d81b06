/* SPDX-License-Identifier: ISC */
/*
 * values.h - what a setting's value can be, for settings.c's table.
 */
#ifndef VALUES_H
#define VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include "smtpd.h"

/* In brackets: what the member of struct settings is. */
enum type {
	STRING,			/* [char *] */
	DOMAIN,			/* [char *] */
	FILENAME,		/* [char *] */
	SERVERS,		/* [struct server[SERVERS_MAX]] one a line */
	DECIDERS,		/* the same, programs too */
	WORDS,			/* [char **] ended by NULL; NULL: none */
	PREFIXES,		/* [char **] */
	FILENAMES,		/* [char *[TLS_CERTS_MAX]] one a line */
	BOOL,			/* [bool] */
	SWITCH,			/* [unsigned] one bit of it, max */
	ENUM,			/* [enum] */
	SET,			/* [unsigned] a bit for each of words */
	NUMBER,			/* [unsigned] */
	SIZE,			/* [uint64_t] */
	KEYWORDS		/* [unsigned] bits */
};

struct setting {
	const char	*name;
	enum type	 type;
	size_t		 offset;	/* in struct settings */
	const char	*value;		/* the default; "": none */
	/*
	 * BOOL, SWITCH, ENUM: in the order of values; SET: of bits, from the
	 * lowest.
	 */
	const char	*const *words;
	unsigned	 min, max;	/* NUMBER; SWITCH: a bit */
	enum reader	 reader;	/* FILENAME, FILENAMES */
};

/*
 * Take the value from this text, which is cut up and must last as long as the
 * process does.  0, or -1 if it can't be one, or is one too many.
 */
int	value_set(const struct setting *, struct settings *, char *);
/* Drop its values: a list begins anew. */
void	value_clear(const struct setting *, struct settings *);
/* May a file give it on several lines? */
bool	value_is_list(const struct setting *);
/* "name = value" on standard output, for a list a line for each. */
void	value_dump(const struct setting *, const struct settings *);
/* "want ...", for the message about a bad value. */
void	value_describe(const struct setting *, char *to, size_t);
/* Its i-th file; NULL: no more of them, or it names none. */
const char *value_file(const struct setting *, const struct settings *,
	    size_t i);

/* Can this be the machine's name? */
bool	value_is_domain(const char *);

/*
 * Octets that last as long as the process; NULL: the store is full.
 * store_next(): those that will be taken next, and how many are left.
 */
void	*store_take(size_t);
char	*store_next(size_t *left);
void	 store_reset(void);
void	 store_swap(void);	/* there are two, one is in use */

#endif
