/* SPDX-License-Identifier: ISC */
/*
 * strlist.h - a list of strings, in the order in which they were added, one
 * after the other in one piece of memory.
 */
#ifndef STRLIST_H
#define STRLIST_H

#include <stddef.h>

struct strings {		/* all zeros: empty */
	char		*text;		/* each ended by NUL */
	size_t		 len, size;	/* of text: in use, allocated */
	unsigned	 count;
	size_t		 at;		/* where the one asked for last is */
	unsigned	 number;	/* and which one that was */
};

int	strings_add(struct strings *, const char *);	/* 0, or -1: memory */
/* The same; -1 as well if the list would be longer than max octets. */
int	strings_add_within(struct strings *, const char *, size_t max);
void	strings_pop(struct strings *);		/* drop the one added last */
void	strings_free(struct strings *);		/* it is empty after that */
/* The string of this number or NULL; cheap if they are asked for in order. */
const char *strings_at(struct strings *, unsigned number);
/* The one after another, or after NULL the first; NULL: there are no more. */
const char *strings_next(const struct strings *, const char *);

#endif
