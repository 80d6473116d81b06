/* SPDX-License-Identifier: ISC */
/*
 * base64.h - base64 (RFC 4648) for AUTH: not part of the engine's interface,
 * but the program uses it as well.
 */
#ifndef BASE64_H
#define BASE64_H

#include <stddef.h>

#define BASE64_MAX(n)	(((n) + 2) / 3 * 4 + 1)	/* n octets, with the NUL */

/*
 * In place, strictly: whole groups, padding only at the end and the bits under
 * it zero (section 3.5).  Returns the length, or -1.
 */
long	base64_decode(char *, size_t);
/* Writes BASE64_MAX(n) octets. */
void	base64_encode(char *, const unsigned char *, size_t n);

#endif
