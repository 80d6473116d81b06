/* SPDX-License-Identifier: ISC */
/*
 * address.c - the grammar of RFC 5321 section 4.1.2 and 4.1.3, as extended by
 * RFC 6531 section 3.3: paths, domains, address literals, parameters.
 *
 * What is here matches exactly the published grammar and nothing else: no
 * blanks, no underscores, no addresses without brackets.  That nothing here is
 * ever rewritten is what keeps the classic overflows of address parsers away.
 */
#include "address.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../session.h"

#define LABEL_MAX	63	/* RFC 1035 section 2.3.4 */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
address_is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 5322 section 3.2.3. */
static bool
is_atext(char c)
{
	return address_is_alnum(c) ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/*
 * RFC 3629: no overlong form, no surrogate, nothing past U+10FFFF; the C1
 * controls are left out as well, since nobody needs them in an address.
 */
unsigned
address_utf8(const char *text)
{
	static const struct {
		unsigned char first, last, low, high, len;
	} forms[] = {	/* of the first octet; of the second; length */
		{ 0xc2, 0xc2, 0xa0, 0xbf, 2 }, { 0xc3, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *p = (const unsigned char *)text;
	size_t i;
	unsigned k;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (p[0] < forms[i].first || p[0] > forms[i].last)
			continue;
		if (p[1] < forms[i].low || p[1] > forms[i].high)
			return 0;
		for (k = 2; k < forms[i].len; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].len;
	}
	return 0;
}

/* sub-domain = Let-dig [Ldh-str], or a U-label (RFC 6531 section 3.3). */
static const char *
label(const char *p, bool *utf8)
{
	const char *start = p;
	unsigned n;

	for (;;) {
		if (address_is_alnum(*p) || (*p == '-' && p > start))
			p++;
		else if (utf8 != NULL && (n = address_utf8(p)) > 0) {
			*utf8 = true;
			p += n;
		} else
			break;
	}
	if (p == start || p[-1] == '-' || p - start > LABEL_MAX)
		return NULL;
	return p;
}

/* utf8: NULL where only ASCII may stand. */
static const char *
domain(const char *p, bool *utf8)
{
	const char *start = p;

	while ((p = label(p, utf8)) != NULL && *p == '.')
		p++;
	if (p == NULL || p - start > SESSION_NAME_MAX)
		return NULL;
	return p;
}

/* Snum = 1*3DIGIT, 0 to 255. */
static const char *
ipv4(const char *p)
{
	int part, digits, value;

	for (part = 0; part < 4; part++) {
		if (part > 0 && *p++ != '.')
			return NULL;
		value = 0;
		for (digits = 0; digits < 3 && is_digit(*p); digits++)
			value = value * 10 + *p++ - '0';
		if (digits == 0 || value > 255)
			return NULL;
	}
	return p;
}

static const char *
hex_group(const char *p)
{
	int n;

	for (n = 0; n < 4 && is_hex(p[n]); n++)
		;
	return n > 0 ? p + n : NULL;
}

/*
 * IPv6-full has eight groups, IPv6-comp at most six beside its "::", and a
 * dotted IPv4 tail counts as two (RFC 5321 section 4.1.3).
 */
static const char *
ipv6(const char *p)
{
	const char *tail;
	int groups = 0;
	bool compressed = false;

	while (*p != ']') {
		if (p[0] == ':' && p[1] == ':') {
			if (compressed)
				return NULL;
			compressed = true;
			p += 2;
			if (*p == ']')
				break;
		} else if (groups > 0 && *p++ != ':')
			return NULL;
		if ((tail = ipv4(p)) != NULL && *tail == ']') {
			groups += 2;
			p = tail;
			break;
		}
		if (++groups > 8 || (p = hex_group(p)) == NULL ||
		    (*p != ':' && *p != ']'))
			return NULL;
	}
	if (compressed ? groups > 6 : groups != 8)
		return NULL;
	return p;
}

/* No tag but IPv6 was ever registered, so there are no others. */
static const char *
literal(const char *p)
{
	static const char tag[] = "ipv6:";
	size_t i = 0;

	if (*p++ != '[')
		return NULL;
	while (i < sizeof(tag) - 1 && (p[i] | 0x20) == (tag[i] | 0x20))
		i++;
	p = i == sizeof(tag) - 1 ? ipv6(p + i) : ipv4(p);
	return p != NULL && *p == ']' ? p + 1 : NULL;
}

bool
address_helo(const char *name)
{
	const char *end = *name == '[' ? literal(name) : domain(name, NULL);

	return end != NULL && *end == '\0' && end - name <= SESSION_NAME_MAX;
}

/* One quoted-pair or qtextSMTP or UTF-8 sequence; its length, or 0. */
static unsigned
quoted_character(const char *p, bool *utf8)
{
	unsigned n;

	if (*p == '\\')
		return p[1] >= ' ' && p[1] <= '~' ? 2 : 0;
	if (*p >= ' ' && *p <= '~')
		return *p != '"';
	if ((n = address_utf8(p)) > 0)
		*utf8 = true;
	return n;
}

static const char *
quoted_string(const char *p, bool *utf8)
{
	unsigned n;

	for (p++; *p != '"'; p += n)
		if ((n = quoted_character(p, utf8)) == 0)
			return NULL;
	return p + 1;
}

static const char *
dot_string(const char *p, bool *utf8)
{
	const char *atom;
	unsigned n;

	for (;; p++) {
		for (atom = p;; p += n) {
			n = is_atext(*p) ? 1 : address_utf8(p);
			if (n == 0)
				break;
			*utf8 |= n > 1;
		}
		if (p == atom)
			return NULL;
		if (*p != '.')
			return p;
	}
}

static const char *
local_part(const char *p, bool *utf8)
{
	const char *end;

	end = *p == '"' ? quoted_string(p, utf8) : dot_string(p, utf8);
	if (end == NULL || end - p > SESSION_LOCAL_MAX)
		return NULL;
	return end;
}

/* Local-part "@" ( Domain / address-literal ) */
static const char *
mailbox(const char *p, bool *utf8)
{
	if ((p = local_part(p, utf8)) == NULL || *p++ != '@')
		return NULL;
	return *p == '[' ? literal(p) : domain(p, utf8);
}

bool
address_mailbox(const char *p)
{
	bool utf8 = false;

	return (p = mailbox(p, &utf8)) != NULL && *p == '\0';
}

/*
 * A-d-l ":", which must be accepted and should be ignored (RFC 5321 section
 * 4.1.2 and appendix C).
 */
static const char *
source_route(const char *p, bool *utf8)
{
	for (;;) {
		if (*p++ != '@' || (p = domain(p, utf8)) == NULL)
			return NULL;
		if (*p == ':')
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

static const char *
postmaster(const char *p)
{
	static const char name[] = "postmaster";
	size_t i;

	for (i = 0; i < sizeof(name) - 1; i++)
		if ((p[i] | 0x20) != name[i])
			return NULL;
	return p[i] == '>' ? p + i : NULL;
}

char *
address_path(char *line, struct address *a)
{
	const char *p = line, *start, *end;

	a->utf8 = false;
	if (*p++ != '<')
		return NULL;
	if (*p == '@' && (p = source_route(p, &a->utf8)) == NULL)
		return NULL;
	start = end = p;
	if (*p != '>' || p[-1] == ':') {
		if ((end = postmaster(p)) == NULL &&
		    (end = mailbox(p, &a->utf8)) == NULL)
			return NULL;
	}
	if (*end != '>')
		return NULL;
	a->text = line + (start - line);
	line[end - line] = '\0';
	return line + (end - line) + 1;
}

/* class "." subject "." detail, of one to three digits the latter two. */
unsigned
address_status(const char *text)
{
	const char *p = text + 1;
	int part, digits;

	if (*text != '2' && *text != '4' && *text != '5')
		return 0;
	for (part = 0; part < 2; part++) {
		if (*p++ != '.')
			return 0;
		for (digits = 0; digits < 3 && is_digit(*p); digits++)
			p++;
		if (digits == 0)
			return 0;
	}
	return (unsigned)(p - text);
}
