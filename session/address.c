/* SPDX-License-Identifier: ISC */
/*
 * address.c - the grammar of RFC 5321 section 4.1.2 and 4.1.3, as extended by
 * RFC 6531 section 3.3: paths, domains, address literals, parameters.
 *
 * There is one grammar with a flag: strict is the published one to the letter;
 * otherwise blanks, underscores, empty atoms and the like pass as well.
 * Nothing depends on those, since addresses are compared and handed on as whole
 * strings.  Parsers only go forward and never rewrite what they read; the
 * address itself is copied out once, at its end.
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

bool
address_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

const char *
address_blanks(const char *p)
{
	while (address_is_blank(*p))
		p++;
	return p;
}

/* Every caller returns at once, so there is one fault at most. */
static const char *
wrong(struct address *a, const char *fault)
{
	a->fault = fault;
	return NULL;
}

/* This character can't stand here; usual mistakes are named. */
static const char *
unexpected(struct address *a, const char *p)
{
	if (*p == '_')
		return wrong(a, "underscore in a domain");
	if (address_is_blank(*p))
		return wrong(a, "blank in it");
	if (*p == '@')
		return wrong(a, "two @");
	if ((unsigned char)*p >= 0x80)
		return wrong(a, "octets that are not UTF-8");
	return wrong(a, "a character that cannot stand there");
}

static bool
is_label(char c, const struct address *a)
{
	return address_is_alnum(c) || c == '-' || (c == '_' && !a->strict);
}

/* sub-domain = Let-dig [Ldh-str], or a U-label (RFC 6531 section 3.3). */
static const char *
label(const char *p, struct address *a)
{
	const char *start = p;
	unsigned n;

	for (;; p += n) {
		n = is_label(*p, a) ? 1 : address_utf8(p);
		if (n == 0)
			break;
		a->utf8 |= n > 1;
	}
	if (p == start)
		return *p == '.' || *p == '>' || *p == '\0' ?
		    wrong(a, "empty label in a domain") : unexpected(a, p);
	if (p - start > LABEL_MAX)
		return wrong(a, "label of more than 63 octets");
	if (a->strict && (*start == '-' || p[-1] == '-'))
		return wrong(a, "hyphen at the end of a label");
	return p;
}

/* The dot that may end a name in the DNS is not in RFC 5321's grammar. */
static const char *
domain(const char *p, struct address *a)
{
	const char *start = p;

	while ((p = label(p, a)) != NULL && *p == '.') {
		p++;
		if (!a->strict && !is_label(*p, a) && address_utf8(p) == 0)
			break;
	}
	if (p != NULL && p - start > SESSION_NAME_MAX)
		return wrong(a, "domain of more than 255 octets");
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
 * IPv6-full has eight groups, IPv6-comp at most six besides its "::", and a
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
		} else if (groups > 0)
			p++;
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

/* Anything that could be an address, such as one with a zone. */
static const char *
any_literal(const char *p, struct address *a)
{
	const char *start = p;

	while (address_is_alnum(*p) || (*p != '\0' && strchr(".:-_%", *p)))
		p++;
	if (p == start || *p != ']' || p - start > SESSION_NAME_MAX - 2)
		return wrong(a, "bad address in brackets");
	return p + 1;
}

/* No tag but IPv6 was ever registered, so no other is accepted. */
static const char *
literal(const char *p, struct address *a)
{
	static const char tag[] = "ipv6:";
	const char *end;
	size_t i = 0;

	if (!a->strict)
		return any_literal(p + 1, a);
	for (p++; i < sizeof(tag) - 1 && (p[i] | 0x20) == (tag[i] | 0x20); i++)
		;
	end = i == sizeof(tag) - 1 ? ipv6(p + i) : ipv4(p);
	if (end != NULL && *end == ']')
		return end + 1;
	end = p + strcspn(p, ":.]");
	return wrong(a, *end == ':' && i == 0 ?
	    "no IPv6: before the address in brackets" :
	    "bad address in brackets");
}

const char *
address_helo(const char *name)
{
	struct address a = { .strict = true };
	const char *end;

	end = *name == '[' ? literal(name, &a) : domain(name, &a);
	if (a.utf8)
		return "octets past ASCII";
	if (end != NULL && *end != '\0')
		unexpected(&a, end);
	return a.fault;
}

/* One quoted-pair or qtextSMTP or UTF-8 sequence; its length, or 0. */
static unsigned
quoted_character(const char *p, struct address *a)
{
	unsigned n;

	if (*p == '\\')
		return address_is_printable(p[1]) ? 2 : 0;
	if (address_is_printable(*p))
		return *p != '"';
	if ((n = address_utf8(p)) > 0)
		a->utf8 = true;
	return n;
}

static const char *
quoted_string(const char *p, struct address *a)
{
	unsigned n;

	for (p++; *p != '"'; p += n)
		if ((n = quoted_character(p, a)) == 0)
			return wrong(a, *p == '\0' || *p == '\\' ?
			    "quotes that do not end" :
			    "octets that are not UTF-8");
	return p + 1;
}

/*
 * What can't be taken for the end of the address or of its local part; nor by
 * RFC 5322, as sendmail(1) reads a recipient, for that of one of several.
 */
static bool
is_local(char c, const struct address *a)
{
	return is_atext(c) ||
	    (!a->strict && address_is_printable(c) &&
	    strchr(a->alone ? " <>@\"(),:;[\\]" : " <>@\"", c) == NULL);
}

/* Unless strict, a dot is a character like any other, so no atom is empty. */
static const char *
dot_string(const char *p, struct address *a)
{
	const char *start = p, *atom;
	unsigned n;

	for (;; p++) {
		for (atom = p;; p += n) {
			n = is_local(*p, a) ? 1 : address_utf8(p);
			if (n == 0)
				break;
			a->utf8 |= n > 1;
		}
		if (p == atom)
			return p > start || *p == '.' ?
			    wrong(a, "dot at an end, or two together") :
			    *p == '>' || *p == '@' || *p == '\0' ?
			    wrong(a, "nothing before the @") :
			    unexpected(a, p);
		if (*p != '.')
			return p;
	}
}

static const char *
local_part(const char *p, struct address *a)
{
	const char *end;

	end = *p == '"' ? quoted_string(p, a) : dot_string(p, a);
	if (end != NULL && end - p > SESSION_LOCAL_MAX)
		return wrong(a, "more than 255 octets before the @");
	return end;
}

bool
address_is_postmaster(const char *p, size_t n)
{
	static const char name[] = "postmaster";
	size_t i;

	for (i = 0; i < n && i < sizeof(name) - 1; i++)
		if ((p[i] | 0x20) != name[i])
			return false;
	return i == n && i == sizeof(name) - 1;
}

/* Local-part "@" ( Domain / address-literal ); a->bare: without a domain. */
static const char *
mailbox(const char *p, struct address *a)
{
	const char *start = p;

	if ((p = local_part(p, a)) == NULL)
		return NULL;
	if (*p != '@') {
		a->bare = true;
		if (!a->strict ||
		    address_is_postmaster(start, (size_t)(p - start)))
			return p;
		return *p == '>' || *p == '\0' ? wrong(a, "no domain") :
		    unexpected(a, p);
	}
	p++;
	if (*p == '>' || *p == '\0' || address_is_blank(*p))
		return wrong(a, "nothing after the @");
	return *p == '[' ? literal(p, a) : domain(p, a);
}

bool
address_mailbox(const char *p)
{
	struct address a = { .strict = true };

	return (p = mailbox(p, &a)) != NULL && *p == '\0' && !a.bare;
}

/*
 * A-d-l ":", which must be accepted and should be ignored (RFC 5321 section
 * 4.1.2 and appendix C).
 */
static const char *
source_route(const char *p, struct address *a)
{
	for (;;) {
		if (*p++ != '@')
			return wrong(a, "bad source route");
		if ((p = domain(p, a)) == NULL)
			return NULL;
		if (*p == ':')
			return p + 1;
		if (*p++ != ',')
			return wrong(a, "bad source route");
	}
}

/* Copy it out; a local part alone is completed, except postmaster. */
static void
keep(struct address *a, const char *p, size_t n)
{
	size_t len = strlen(a->domain);

	memcpy(a->text, p, n);
	if (a->bare && !address_is_postmaster(p, n) &&
	    n + 1 + len < sizeof(a->text)) {
		a->text[n++] = '@';
		memcpy(a->text + n, a->domain, len);
		n += len;
	}
	a->text[n] = '\0';
}

/*
 * Without brackets an address is a word.  One with "=" is a parameter whose
 * address was forgotten.
 */
static bool
is_word(const char *p)
{
	size_t n = strcspn(p, " \t");

	return n > 0 && (memchr(p, '=', n) == NULL ||
	    memchr(p, '@', n) != NULL);
}

/* "<" [source route] [mailbox] ">" without the blanks inside the brackets. */
static const char *
route_and_mailbox(const char *p, struct address *a, bool brackets)
{
	const char *start, *end;
	bool route = *p == '@';

	if (route && (p = source_route(p, a)) == NULL)
		return NULL;
	start = end = p;
	if ((!brackets || route || *p != '>') && (end = mailbox(p, a)) == NULL)
		return NULL;
	p = brackets && !a->strict ? address_blanks(end) : end;
	if (*p != '\0' && *p != '>' && (brackets || !address_is_blank(*p)))
		return unexpected(a, p > end ? " " : p);
	keep(a, start, (size_t)(end - start));
	return p;
}

const char *
address_path(const char *p, struct address *a)
{
	bool brackets;

	if (!a->strict)
		p = address_blanks(p);
	brackets = *p == '<';
	if (brackets)
		p++;
	else if (a->strict || !is_word(p))
		return NULL;
	if (!a->strict)
		p = address_blanks(p);
	if ((p = route_and_mailbox(p, a, brackets)) == NULL)
		return NULL;
	if (brackets && *p++ != '>')
		return NULL;
	return *p == '\0' || address_is_blank(*p) ? p : NULL;
}

/* class "." subject "." detail, the latter two of one to three digits. */
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
