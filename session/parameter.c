/* SPDX-License-Identifier: ISC */
/*
 * parameter.c - the parameters of MAIL and RCPT: which there are, the extension
 * that each belongs to, and the grammar of each value.
 */
#include "engine.h"

#include <string.h>

#include "address.h"

struct envelope {
	struct session_mail *mail;	/* one of the two */
	struct session_rcpt *rcpt;
	bool		 needs_utf8;	/* MAIL must have SMTPUTF8 as well */
};

struct parameter {
	const char	*keyword;
	unsigned	 extension;
	bool		 of_rcpt;
	bool		 dropped;	/* if not offered: nothing is lost */
	enum reply	 (*parse)(struct session *, struct envelope *, char *);
};

bool
parameter_number(const char *p, uint64_t *number)
{
	uint64_t n = 0, digit;

	if (p == NULL || *p == '\0')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		digit = (uint64_t)(*p - '0');
		if (n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*number = n;
	return *p == '\0';
}

static char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 0x20) : c;
}

static bool
same(const char *a, const char *b)
{
	while (*a != '\0' && upper(*a) == upper(*b))
		a++, b++;
	return *a == '\0' && *b == '\0';
}

/* RFC 1870 section 4: 20 digits at most, which may not fit in 64 bits. */
static enum reply
parse_size(struct session *s, struct envelope *e, char *value)
{
	(void)s;
	if (value == NULL)
		return R_PARAMETER_VALUE;
	if (!parameter_number(value, &e->mail->size)) {
		if (strspn(value, "0123456789") != 20 || value[20] != '\0')
			return R_PARAMETER_VALUE;
		e->mail->size = UINT64_MAX;
	}
	return R_NONE;
}

static enum reply
parse_body(struct session *s, struct envelope *e, char *value)
{
	if (value == NULL)
		return R_PARAMETER_VALUE;
	if (same(value, "7BIT"))
		e->mail->body = SESSION_BODY_7BIT;
	else if (same(value, "8BITMIME"))
		e->mail->body = SESSION_BODY_8BIT;
	else if (same(value, "BINARYMIME") &&
	    engine_offers(s, SESSION_EXT_BINARYMIME))
		e->mail->body = SESSION_BODY_BINARY;
	else
		return R_PARAMETER_VALUE;
	return R_NONE;
}

static enum reply
parse_utf8(struct session *s, struct envelope *e, char *value)
{
	(void)s;
	e->mail->utf8 = true;
	return value == NULL ? R_NONE : R_PARAMETER_VALUE;
}

/* In capitals (RFC 3461 section 4); X.400 gateways send small letters. */
static int
hex(char c, bool strict)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (!strict)
		c = upper(c);
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * xtext (RFC 3461 section 4): printable except + and =, or "+" and two
 * hexadecimal digits.  What it encodes must be printable, too: in this way
 * newlines once got into another server's spool (CVE-2020-28021).
 */
static bool
is_xtext(const char *p, bool strict)
{
	int c;

	for (; *p != '\0'; p++) {
		if ((unsigned char)*p >= 0x80 || *p == '=')
			return false;
		if (*p != '+')
			continue;
		if (hex(p[1], strict) < 0 || hex(p[2], strict) < 0)
			return false;
		c = hex(p[1], strict) * 16 + hex(p[2], strict);
		if (c < ' ' || c > '~')
			return false;
		p += 2;
	}
	return true;
}

static bool
decode_xtext(const char *p, bool strict, char *out, size_t size)
{
	size_t n = 0;

	if (!is_xtext(p, strict))
		return false;
	for (; *p != '\0'; p++) {
		if (n == size - 1)
			return false;
		if (*p != '+')
			out[n++] = *p;
		else {
			out[n++] = (char)(hex(p[1], strict) * 16 +
			    hex(p[2], strict));
			p += 2;
		}
	}
	out[n] = '\0';
	return true;
}

/* In UTF-8; returns its length. */
static size_t
encode_utf8(char *out, unsigned long c)
{
	static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, i;

	for (i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(first[n] | c);
	return n;
}

/*
 * "\x{" HEXPOINT "}" (RFC 6533 section 3): upper case, no leading zero, and
 * ASCII only where it could not stand for itself.  Controls could be written
 * like this, too, but not be part of a mailbox.  p is at the backslash.
 * Returns what follows, or NULL.
 */
static const char *
code_point(const char *p, unsigned long *c)
{
	int digits;

	if (p[1] != 'x' || p[2] != '{' || p[3] == '0')
		return NULL;
	*c = 0;
	for (p += 3, digits = 0; hex(*p, true) >= 0; p++) {
		if (++digits > 6)
			return NULL;
		*c = *c << 4 | (unsigned long)hex(*p, true);
	}
	if (*p != '}' || *c > 0x10ffff)
		return NULL;
	return *c >= 0x80 || *c == ' ' || *c == '+' || *c == '=' ||
	    *c == '\\' ? p + 1 : NULL;
}

/*
 * utf-8-addr-xtext and, where octets past ASCII may stand for themselves,
 * utf-8-addr-unitext: both must be a mailbox once they are decoded, and with
 * that valid UTF-8.
 */
static bool
is_utf8_address(const char *p)
{
	char box[SESSION_PATH_MAX + sizeof("\xf4\x8f\xbf\xbf")];
	unsigned long c;
	size_t n = 0;

	while (*p != '\0' && n <= SESSION_PATH_MAX) {
		if (*p == '+' || *p == '=')
			return false;
		if (*p != '\\')
			box[n++] = *p++;
		else if ((p = code_point(p, &c)) != NULL)
			n += encode_utf8(box + n, c);
		else
			return false;
	}
	box[n] = '\0';
	return *p == '\0' && address_mailbox(box);
}

static bool
is_ascii(const char *p)
{
	while (*p != '\0' && (unsigned char)*p < 0x80)
		p++;
	return *p == '\0';
}

/*
 * RFC 4954 section 5: a mailbox in xtext, or <>.  A mailbox that has no xtext
 * is written as in ORCPT, and is good only with SMTPUTF8.  Anything else says
 * nothing about who wrote the message, as if it had not been given.
 */
static enum reply
parse_auth(struct session *s, struct envelope *e, char *value)
{
	char box[SESSION_PATH_MAX + 1];
	bool strict = s->config->strict;

	if (value == NULL)
		return R_PARAMETER_VALUE;
	e->mail->auth = value;
	e->needs_utf8 = false;
	if (strcmp(value, "<>") == 0 || (decode_xtext(value, strict, box,
	    sizeof(box)) && address_mailbox(box)))
		return R_NONE;
	e->needs_utf8 = is_utf8_address(value);
	if (e->needs_utf8)
		return R_NONE;
	e->mail->auth = NULL;
	return strict ? R_PARAMETER_VALUE : R_NONE;
}

static enum reply
parse_ret(struct session *s, struct envelope *e, char *value)
{
	(void)s;
	if (value == NULL || (!same(value, "FULL") && !same(value, "HDRS")))
		return R_PARAMETER_VALUE;
	e->mail->ret = same(value, "FULL") ? "FULL" : "HDRS";
	return R_NONE;
}

/* RFC 3461 section 4.4: at most 100 characters. */
static enum reply
parse_envid(struct session *s, struct envelope *e, char *value)
{
	if (value == NULL || strlen(value) > 100 ||
	    !is_xtext(value, s->config->strict))
		return R_PARAMETER_VALUE;
	e->mail->envid = value;
	return R_NONE;
}

/* RFC 6710 section 5: -9 to 9, and no -0. */
static enum reply
parse_priority(struct session *s, struct envelope *e, char *value)
{
	bool minus = value != NULL && *value == '-';

	(void)s;
	if (value == NULL || value[minus] < '0' + minus || value[minus] > '9' ||
	    value[minus + 1] != '\0')
		return R_PARAMETER_VALUE;
	e->mail->priority = (value[minus] - '0') * (minus ? -1 : 1);
	return R_NONE;
}

/* RFC 3461 section 4.1: NEVER alone, or a list without repetition. */
static enum reply
parse_notify(struct session *s, struct envelope *e, char *value)
{
	static const char *const words[] = { "SUCCESS", "FAILURE", "DELAY" };
	const char *p = value;
	unsigned seen = 0, i;
	size_t n;

	(void)s;
	if (value == NULL)
		return R_PARAMETER_VALUE;
	e->rcpt->notify = value;
	if (same(value, "NEVER"))
		return R_NONE;
	for (;; p += n + 1) {
		n = strcspn(p, ",");
		for (i = 0; i < 3; i++) {
			size_t k = 0;

			while (k < n && upper(p[k]) == words[i][k])
				k++;
			if (k == n && words[i][k] == '\0')
				break;
		}
		if (i == 3 || seen & 1u << i)
			return R_PARAMETER_VALUE;
		seen |= 1u << i;
		if (p[n] == '\0')
			return R_NONE;
	}
}

/*
 * RFC 3461 section 4.2: addr-type ";" xtext, 500 characters at most.  The type
 * utf-8 has an encoding of its own (RFC 6533 section 3), whose ASCII form is
 * good even where SMTPUTF8 is not offered.
 */
static enum reply
parse_orcpt(struct session *s, struct envelope *e, char *value)
{
	char *p = value;
	bool valid;

	if (value == NULL || strlen(value) > 500)
		return R_PARAMETER_VALUE;
	while (address_is_alnum(*p) || *p == '-')
		p++;
	if (p == value || *p != ';' || p[1] == '\0')
		return R_PARAMETER_VALUE;
	*p = '\0';
	valid = same(value, "utf-8") ? is_utf8_address(p + 1) :
	    is_xtext(p + 1, s->config->strict);
	*p = ';';
	e->rcpt->orcpt = value;
	e->needs_utf8 = !is_ascii(p + 1);
	return valid ? R_NONE : R_PARAMETER_VALUE;
}

static const struct parameter parameters[] = {
	{ "SIZE",	SESSION_EXT_SIZE,	false,	false,	parse_size },
	{ "BODY",	SESSION_EXT_8BITMIME,	false,	false,	parse_body },
	{ "SMTPUTF8",	SESSION_EXT_SMTPUTF8,	false,	false,	parse_utf8 },
	{ "AUTH",	SESSION_EXT_AUTH,	false,	true,	parse_auth },
	{ "RET",	SESSION_EXT_DSN,	false,	true,	parse_ret },
	{ "ENVID",	SESSION_EXT_DSN,	false,	true,	parse_envid },
	{ "MT-PRIORITY", SESSION_EXT_MT_PRIORITY, false, false,
	    parse_priority },
	{ "NOTIFY",	SESSION_EXT_DSN,	true,	true,	parse_notify },
	{ "ORCPT",	SESSION_EXT_DSN,	true,	true,	parse_orcpt },
};

#define NPARAMETERS	(sizeof(parameters) / sizeof(parameters[0]))

/* AUTH= is most useful after AUTH, when AUTH itself is no longer offered. */
static bool
takes(struct session *s, unsigned extension)
{
	enum reply why = engine_refuses(s, extension);

	return why == R_NONE || why == R_AUTH_ALREADY ||
	    why == R_TOO_MANY_FAILURES;
}

static bool
is_value(char c, bool strict)
{
	return address_is_printable(c) && c != ' ' && (c != '=' || !strict);
}

/* Past one blank, or unless strict past all of them. */
static char *
next_word(char *p, bool strict)
{
	do
		p++;
	while (!strict && address_is_blank(*p));
	return p;
}

/*
 * One esmtp-param, "keyword[=value]" (RFC 5321 section 4.1.2; with UTF-8 RFC
 * 6531 section 3.3), both NUL-terminated in the line; value is NULL when there
 * is none.  Returns where the next one starts, or NULL; with the keyword, if
 * there is one, all the same.
 */
static char *
next(char *p, bool strict, char **keyword, char **value)
{
	char *end = p, c;
	unsigned n;

	while (address_is_alnum(*end) || (*end == '-' && end > p))
		end++;
	*keyword = p;
	*value = NULL;
	c = *end;
	if (c == '=' && end > p) {
		*end++ = '\0';
		*value = end;
		while ((n = is_value(*end, strict) ? 1 :
		    address_utf8(end)) > 0)
			end += n;
		c = *end;
	}
	*end = '\0';
	if (end == p || (end == *value && strict))
		return NULL;
	if (c == '\0')
		return end;
	return address_is_blank(c) ? next_word(end, strict) : NULL;
}

static const struct parameter *
find(const char *keyword, bool of_rcpt)
{
	size_t i;

	for (i = 0; i < NPARAMETERS; i++)
		if (parameters[i].of_rcpt == of_rcpt &&
		    same(keyword, parameters[i].keyword))
			return &parameters[i];
	return NULL;
}

/* A parameter that is not ours may be the program's. */
static enum reply
parse_other(struct session *s, const struct envelope *e, const char *keyword,
    const char *value, enum reply otherwise)
{
	struct engine_question q;

	if (!engine_enter(s, s->hooks->parameter != NULL, &q))
		return otherwise;
	s->hooks->parameter(s->arg, e->rcpt != NULL, keyword, value,
	    &q.verdict);
	engine_leave(s, &q);
	if (q.verdict.kind == SESSION_ACCEPT)
		return R_NONE;
	reply_verdict(s, &q.verdict, R_NONE, R_PARAMETER);
	return R_SAID;
}

/* One that is only dropped must have a value, and that is all. */
static enum reply
parse_one(struct session *s, struct envelope *e, const struct parameter *p,
    char *value)
{
	if (takes(s, p->extension))
		return p->parse(s, e, value);
	if (s->hooks->parameter != NULL || s->config->strict || !p->dropped)
		return parse_other(s, e, p->keyword, value,
		    R_PARAMETER_NOT_OFFERED);
	return value == NULL ? R_PARAMETER_VALUE : R_NONE;
}

static enum reply
parse(struct session *s, char *p, struct envelope *e)
{
	const struct parameter *known;
	bool strict = s->config->strict;
	unsigned seen = 0, bit;
	char *keyword, *value;
	enum reply why;

	if (*p != '\0')
		p = next_word(p, strict);
	while (*p != '\0') {
		p = next(p, strict, &keyword, &value);
		known = find(keyword, e->rcpt != NULL);
		s->detail = known != NULL ? known->keyword : "keyword";
		if (p == NULL)
			return R_PARAMETER_SYNTAX;
		why = known != NULL ? parse_one(s, e, known, value) :
		    parse_other(s, e, keyword, value, R_PARAMETER);
		if (why != R_NONE)
			return why;
		if (known == NULL)
			continue;
		bit = 1u << (known - parameters);
		if (strict && seen & bit)
			return R_PARAMETER_TWICE;
		seen |= bit;
	}
	return R_NONE;
}

enum reply
parameter_mail(struct session *s, char *p, struct session_mail *mail)
{
	struct envelope e = { .mail = mail };
	uint64_t max = s->config->max_size;
	enum reply why = parse(s, p, &e);

	if (why == R_NONE && max != 0 && mail->size > max)
		return R_TOO_BIG;
	/* SMTPUTF8 may come after what needs it. */
	return why == R_NONE && e.needs_utf8 && !mail->utf8 ? R_NEEDS_UTF8 :
	    why;
}

enum reply
parameter_rcpt(struct session *s, char *p, struct session_rcpt *rcpt)
{
	struct envelope e = { .rcpt = rcpt };
	enum reply why = parse(s, p, &e);

	return why == R_NONE && e.needs_utf8 && !s->tx.utf8 ? R_NEEDS_UTF8 :
	    why;
}
