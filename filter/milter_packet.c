/* SPDX-License-Identifier: ISC */
/*
 * milter_packet.c - the milter protocol's packets, made and read.
 *
 * No I/O and no state: the form of what a filter sends is judged here, length
 * before content, before anything is done with it.
 */
#include <stdio.h>
#include <string.h>

#include "session/address.h"
#include "milter.h"

/* Making. */

void
milter_put(struct milter_output *o, const void *p, size_t len)
{
	if (len > o->size - o->len) {
		o->full = true;
		return;
	}
	if (len > 0)
		memcpy(o->buf + o->len, p, len);
	o->len += len;
}

void
milter_put_string(struct milter_output *o, const char *s)
{
	milter_put(o, s, strlen(s) + 1);
}

static void
write_number(unsigned char *p, uint32_t n)
{
	p[0] = (unsigned char)(n >> 24);
	p[1] = (unsigned char)(n >> 16);
	p[2] = (unsigned char)(n >> 8);
	p[3] = (unsigned char)n;
}

static uint32_t
read_number(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

void
milter_put_number(struct milter_output *o, uint32_t n)
{
	unsigned char p[4];

	write_number(p, n);
	milter_put(o, p, sizeof(p));
}

void
milter_begin(struct milter_output *o, enum milter_command command)
{
	unsigned char letter = (unsigned char)command;

	o->start = o->len;
	o->full = false;
	milter_put_number(o, 0);
	milter_put(o, &letter, 1);
}

bool
milter_finish(struct milter_output *o)
{
	if (o->full || o->len - o->start > MILTER_PACKET_MAX) {
		o->len = o->start;
		return false;
	}
	write_number(o->buf + o->start, (uint32_t)(o->len - o->start - 4));
	return true;
}

void
milter_offer(struct milter_output *o)
{
	milter_begin(o, MILTER_NEGOTIATE);
	milter_put_number(o, MILTER_VERSION);
	milter_put_number(o, MILTER_ACTIONS);
	milter_put_number(o, MILTER_STEPS);
	milter_finish(o);
}

/* Reading. */

int
milter_length(const unsigned char *p, size_t len)
{
	uint32_t n;

	if (len < 4)
		return 0;
	n = read_number(p);
	return n == 0 || n > 1 + MILTER_DATA_MAX ? -1 : (int)n + 4;
}

/* The string at *p, which is moved behind its NUL; or NULL. */
static const char *
take_string(const unsigned char **p, const unsigned char *end)
{
	const unsigned char *s = *p;
	const unsigned char *nul = memchr(s, '\0', (size_t)(end - s));

	if (nul == NULL)
		return NULL;
	*p = nul + 1;
	return (const char *)s;
}

/* RFC 5322 section 2.2: printable, no blank, no colon. */
static bool
is_name(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s >= 0x7f || *s == ':')
			return false;
	return true;
}

/* What follows the letter, for each reply that has more. */
enum { NUMBER = 1, NAME = 2, VALUE = 4 };
static const struct {
	char		 kind;
	unsigned char	 parts;
} forms[] = {
	{ MILTER_CONTINUE, 0 }, { MILTER_ACCEPT, 0 }, { MILTER_DISCARD, 0 },
	{ MILTER_REJECT, 0 }, { MILTER_TEMPFAIL, 0 }, { MILTER_CODE, VALUE },
	{ MILTER_SKIP, 0 }, { MILTER_PROGRESS, 0 }, { MILTER_SHUTDOWN, 0 },
	{ MILTER_ADD, NAME | VALUE },
	{ MILTER_INSERT, NUMBER | NAME | VALUE },
	{ MILTER_CHANGE, NUMBER | NAME | VALUE },
	{ MILTER_QUARANTINE, VALUE },
};

static const char *
parse_parts(const unsigned char *p, const unsigned char *end, unsigned parts,
    struct milter_reply *r)
{
	if ((parts & NUMBER) != 0) {
		if (end - p < 4)
			return "reply cut short";
		r->index = read_number(p);
		p += 4;
	}
	if ((parts & NAME) != 0 && (r->name = take_string(&p, end)) == NULL)
		return "reply not terminated";
	if ((parts & VALUE) != 0 && (r->value = take_string(&p, end)) == NULL)
		return "reply not terminated";
	if (p != end)
		return "reply too long";
	if (r->name != NULL && !is_name(r->name))
		return "not a header field's name";
	return NULL;
}

const char *
milter_parse(const unsigned char *p, size_t len, struct milter_reply *r)
{
	size_t i;

	memset(r, 0, sizeof(*r));
	if (len < 5 || milter_length(p, len) != (int)len)
		return "reply of a wrong length";
	r->kind = p[4];
	for (i = 0; i < nitems(forms); i++)
		if (forms[i].kind == r->kind)
			return parse_parts(p + 5, p + len, forms[i].parts, r);
	return "reply not known";
}

/*
 * A filter may ask for more actions than it was offered, as rspamd does; what
 * counts is what it sends in the end.  What comes behind the three numbers
 * would be a list of macros, which was not offered.
 */
const char *
milter_agree(const unsigned char *p, size_t len, struct milter_terms *t)
{
	if (len < 5 || milter_length(p, len) != (int)len)
		return "reply of a wrong length";
	if (p[4] != MILTER_NEGOTIATE)
		return "no answer to the negotiation";
	if (len < 5 + 3 * 4)
		return "reply cut short";
	t->version = read_number(p + 5);
	t->actions = read_number(p + 9);
	t->steps = read_number(p + 13);
	if (t->version < MILTER_VERSION_MIN || t->version > MILTER_VERSION)
		return "a version that was not offered";
	if ((t->steps & ~MILTER_STEPS) != 0)
		return "steps that were not offered";
	if (t->version < MILTER_VERSION_DATA)
		t->steps |= MILTER_NO_DATA;
	return NULL;
}

/* What a refusal means. */

static const struct {
	char		 kind;
	int		 code;
	const char	*status, *text;
} refusals[] = {
	{ MILTER_REJECT, 550, "5.7.1", "Refused by a mail filter" },
	{ MILTER_TEMPFAIL, 451, "4.7.1", "Try later, says a mail filter" },
	{ MILTER_SHUTDOWN, 421, "4.7.0", "closing, says a mail filter" },
};

static bool
is_code(const char *s)
{
	return (s[0] == '4' || s[0] == '5') && s[1] >= '0' && s[1] <= '9' &&
	    s[2] >= '0' && s[2] <= '9' &&
	    (s[3] == '\0' || s[3] == ' ' || s[3] == '-');
}

/* Skip code and status of a line of the reply, if it has them. */
static const char *
skip_code(const char *s, const char *code)
{
	unsigned status;

	if (strncmp(s, code, 3) != 0 || !is_code(s))
		return s;
	s += s[3] == '\0' ? 3 : 4;
	status = address_status(s);
	if (s[status] == ' ' || s[status] == '\0')
		s += status;
	return s + strspn(s, " ");
}

/*
 * The text of each line; "%%" is a percent sign, as smfi_setreply(3) wants it.
 * Whoever takes the verdict cleans the text.
 */
static void
copy_text(char *text, size_t size, const char *s, const char *code)
{
	size_t len = 0;

	s = skip_code(s, code);
	for (; *s != '\0' && len + 1 < size; s++) {
		if (*s == '\r')
			continue;
		if (*s == '\n') {
			text[len++] = '\n';
			s = skip_code(s + 1, code) - 1;
			continue;
		}
		if (s[0] == '%' && s[1] == '%')
			s++;
		text[len++] = *s;
	}
	while (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
}

static bool
refuse_code(const char *s, struct session_verdict *v)
{
	unsigned len;

	if (!is_code(s))
		return false;
	v->code = (s[0] - '0') * 100 + (s[1] - '0') * 10 + s[2] - '0';
	strlcpy(v->status, s[0] == '4' ? "4.7.1" : "5.7.1",
	    sizeof(v->status));
	len = s[3] != '\0' ? address_status(s + 4) : 0;
	if (len > 0 && (s[4 + len] == ' ' || s[4 + len] == '\0')) {
		memcpy(v->status, s + 4, len);
		v->status[len] = '\0';
		v->status[0] = s[0];	/* not another class than the code's */
	}
	copy_text(v->text, sizeof(v->text), s, s);
	return true;
}

bool
milter_refuse(const struct milter_reply *reply, struct session_verdict *v)
{
	size_t i;

	session_refuse(v, 0, NULL, NULL);
	if (reply->kind == MILTER_CODE && !refuse_code(reply->value, v))
		return false;
	for (i = 0; i < nitems(refusals); i++)
		if (refusals[i].kind == reply->kind) {
			v->code = refusals[i].code;
			strlcpy(v->status, refusals[i].status,
			    sizeof(v->status));
			strlcpy(v->text, refusals[i].text, sizeof(v->text));
		}
	return v->code != 0;
}
