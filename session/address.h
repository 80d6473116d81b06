/* SPDX-License-Identifier: ISC */
/*
 * address.h - the grammar of paths, names and parameters: not part of the
 * engine's interface, but the program uses it as well.
 *
 * All parsers go forward over one NUL-terminated line and never past its end.
 * Each returns what follows the piece it matched, or NULL.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>

#include "../session.h"

struct address {
	bool		 strict;	/* in: RFC 5321 to the letter */
	bool		 alone;		/* in: it must not pass for a list */
	const char	*domain;	/* in: completes a local part alone */
	bool		 bare;		/* it was that, or is postmaster */
	bool		 utf8;		/* has octets past ASCII, valid UTF-8 */
	const char	*fault;		/* why there is none, in our words */
	char		 text[SESSION_PATH_MAX + 1];	/* local@domain */
};

/*
 * Domain or address-literal up to the end of the line (RFC 5321 4.1.3), to the
 * letter: NULL, or what is wrong, in our words.
 */
const char *address_helo(const char *);

/*
 * "<" [source route] mailbox ">", the route dropped (RFC 5321 section 4.1.2),
 * up to the end of the line or a blank.  The empty path and <postmaster> match
 * as well: the caller says what it takes.  NULL without a fault: the brackets
 * are wrong, or the address is missing.
 */
const char *address_path(const char *, struct address *);
/* A mailbox to the letter, up to the end of the line (AUTH=). */
bool	address_mailbox(const char *);
/* In whatever case (RFC 5321 section 4.5.1). */
bool	address_is_postmaster(const char *, size_t);

/* Blank or tab; the next octet that is neither. */
bool	address_is_blank(char);
const char *address_blanks(const char *);

/* The length of the valid UTF-8 sequence past ASCII that starts here, or 0. */
unsigned address_utf8(const char *);

/*
 * The length of the enhanced status code that starts here, "5.7.1" (RFC 3463
 * section 2), or 0.  What follows it is the caller's business.
 */
unsigned address_status(const char *);

bool	address_is_alnum(char);

/* From blank to tilde; inline, since every octet of a reply passes it. */
static inline bool
address_is_printable(char c)
{
	return (unsigned char)(c - ' ') <= '~' - ' ';
}

#endif
