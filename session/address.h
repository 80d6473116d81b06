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

struct address {
	char	*text;		/* local@domain, NUL-terminated in the line */
	bool	 utf8;		/* has octets past ASCII, valid UTF-8 */
};

/* Domain or address-literal up to the end of the line (RFC 5321 4.1.3). */
bool	address_helo(const char *);

/*
 * "<" [source route] mailbox ">", the route dropped (RFC 5321 section 4.1.2).
 * The empty path and <postmaster> match as well: the caller says what it takes.
 */
char	*address_path(char *, struct address *);
/* The same without the brackets, up to the end of the line (AUTH=). */
bool	address_mailbox(const char *);

/* The length of the valid UTF-8 sequence past ASCII that starts here, or 0. */
unsigned address_utf8(const char *);

/*
 * The length of the enhanced status code that starts here, "5.7.1" (RFC 3463
 * section 2), or 0.  What follows it is the caller's business.
 */
unsigned address_status(const char *);

bool	address_is_alnum(char);

#endif
