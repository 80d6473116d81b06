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
};

struct parameter {
	const char	*keyword;
	unsigned	 extension;
	bool		 of_rcpt;
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

/* RFC 1870 section 4: 20 digits at most. */
static enum reply
parse_size(struct session *s, struct envelope *e, char *value)
{
	if (value == NULL || !parameter_number(value, &e->mail->size))
		return R_PARAMETER_VALUE;
	if (s->config->max_size != 0 && e->mail->size > s->config->max_size)
		return R_TOO_BIG;
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
	    engine_offers(s, SESSION_BINARYMIME))
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

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * xtext (RFC 3461 section 4): printable but + and =, or "+" and two upper case
 * hexadecimal digits.  What it hides must be printable, too: this is where
 * newlines once came into other servers' spools (CVE-2020-28021).
 */
static bool
is_xtext(const char *p)
{
	int c;

	for (; *p != '\0'; p++) {
		if (*p != '+')
			continue;
		if (hex(p[1]) < 0 || hex(p[2]) < 0)
			return false;
		c = hex(p[1]) * 16 + hex(p[2]);
		if (c < ' ' || c > '~')
			return false;
		p += 2;
	}
	return true;
}

static bool
decode_xtext(const char *p, char *out, size_t size)
{
	size_t n = 0;

	if (!is_xtext(p))
		return false;
	for (; *p != '\0'; p++) {
		if (n == size - 1)
			return false;
		if (*p != '+')
			out[n++] = *p;
		else {
			out[n++] = (char)(hex(p[1]) * 16 + hex(p[2]));
			p += 2;
		}
	}
	out[n] = '\0';
	return true;
}

/* RFC 4954 section 5: a mailbox in xtext, or <>. */
static enum reply
parse_auth(struct session *s, struct envelope *e, char *value)
{
	char box[SESSION_PATH_MAX + 1];

	(void)s;
	if (value == NULL)
		return R_PARAMETER_VALUE;
	if (strcmp(value, "<>") != 0 && (!decode_xtext(value, box,
	    sizeof box) || !address_mailbox(box)))
		return R_PARAMETER_VALUE;
	e->mail->auth = value;
	return R_NONE;
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
	(void)s;
	if (value == NULL || strlen(value) > 100 || !is_xtext(value))
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

/* RFC 3461 section 4.2: addr-type ";" xtext, 500 characters at most. */
static enum reply
parse_orcpt(struct session *s, struct envelope *e, char *value)
{
	const char *p = value;

	(void)s;
	if (value == NULL || strlen(value) > 500)
		return R_PARAMETER_VALUE;
	while (address_is_alnum(*p) || *p == '-')
		p++;
	if (p == value || *p != ';' || p[1] == '\0' || !is_xtext(p + 1))
		return R_PARAMETER_VALUE;
	e->rcpt->orcpt = value;
	return R_NONE;
}

static const struct parameter parameters[] = {
	{ "SIZE",	SESSION_SIZE,		false,	parse_size },
	{ "BODY",	SESSION_8BITMIME,	false,	parse_body },
	{ "SMTPUTF8",	SESSION_SMTPUTF8,	false,	parse_utf8 },
	{ "AUTH",	SESSION_AUTH,		false,	parse_auth },
	{ "RET",	SESSION_DSN,		false,	parse_ret },
	{ "ENVID",	SESSION_DSN,		false,	parse_envid },
	{ "MT-PRIORITY", SESSION_MT_PRIORITY,	false,	parse_priority },
	{ "NOTIFY",	SESSION_DSN,		true,	parse_notify },
	{ "ORCPT",	SESSION_DSN,		true,	parse_orcpt },
};

#define NPARAMETERS	(sizeof parameters / sizeof parameters[0])

static enum reply
parse(struct session *s, char *p, struct envelope *e)
{
	unsigned seen = 0;
	char *keyword, *value;
	enum reply why;
	size_t i;

	while (*p != '\0') {
		p = address_parameter(p, &keyword, &value);
		if (p == NULL)
			return R_PARAMETER_SYNTAX;
		for (i = 0; i < NPARAMETERS; i++)
			if (parameters[i].of_rcpt == (e->rcpt != NULL) &&
			    same(keyword, parameters[i].keyword))
				break;
		if (i == NPARAMETERS ||
		    !engine_offers(s, parameters[i].extension))
			return R_PARAMETER;
		if (seen & 1u << i)
			return R_PARAMETER_TWICE;
		seen |= 1u << i;
		why = parameters[i].parse(s, e, value);
		if (why != R_NONE)
			return why;
	}
	return R_NONE;
}

enum reply
parameter_mail(struct session *s, char *p, struct session_mail *mail)
{
	struct envelope e = { .mail = mail };

	return parse(s, p, &e);
}

enum reply
parameter_rcpt(struct session *s, char *p, struct session_rcpt *rcpt)
{
	struct envelope e = { .rcpt = rcpt };

	return parse(s, p, &e);
}
