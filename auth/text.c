/* SPDX-License-Identifier: ISC */
/*
 * text.c - what a user's name and a password may be.
 */
#include <string.h>

#include "auth.h"
#include "session/address.h"

bool
auth_text(const char *text)
{
	unsigned n;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text += n)
		if ((unsigned char)*text >= 0x80) {
			if ((n = address_utf8(text)) == 0)
				return false;
		} else if ((unsigned char)*text < ' ' || *text == '\177')
			return false;
		else
			n = 1;
	return true;
}

bool
auth_keep(char *to, size_t size, const void *from, size_t len)
{
	if (len >= size || (len > 0 && memchr(from, '\0', len) != NULL))
		return false;
	if (len > 0)
		memcpy(to, from, len);
	to[len] = '\0';
	return true;
}
