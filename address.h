/*
 * address.h - the grammar of paths, names and parameters; the engine's own.
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

/*
 * One esmtp-param, "keyword[=value]", both NUL-terminated in the line; value
 * is NULL when there is none.  Returns where the next one starts.
 */
char	*address_parameter(char *, char **keyword, char **value);

/* The length of the valid UTF-8 sequence past ASCII that starts here, or 0. */
unsigned address_utf8(const char *);

bool	address_is_alnum(char);

#endif
