/* SPDX-License-Identifier: ISC */
/*
 * ehlo.c - the answer to EHLO: the table of keywords, which is also what
 * settings can disable.
 */
#include "engine.h"

#include <string.h>

/* What is too long is cut. */
static char *
append_at_most(char *p, const char *text, size_t max)
{
	size_t n = strnlen(text, max);

	memcpy(p, text, n);
	p[n] = '\0';
	return p + n;
}

static char *
append(char *p, const char *text)
{
	return append_at_most(p, text, strlen(text));
}

static char *
append_number(char *p, uint64_t number)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + number % 10);
	} while ((number /= 10) > 0);
	while (n > 0)
		*p++ = digits[--n];
	*p = '\0';
	return p;
}

static char *
append_limit(char *p, const char *name, unsigned limit)
{
	return engine_limit(limit) ? append_number(append(p, name), limit) : p;
}

static char *
limits_of(struct session *s, char *p)
{
	p = append_limit(p, " RCPTMAX=", s->config->max_recipients);
	return append_limit(p, " MAILMAX=", s->config->max_messages);
}

static char *
size_of(struct session *s, char *p)
{
	return append_number(append(p, " "), s->config->max_size);
}

static char *
mechanisms_of(struct session *s, char *p)
{
	return append_at_most(append(p, " "), engine_mechanisms(s),
	    SESSION_TEXT_MAX);
}

static const struct {
	unsigned	 extension;
	const char	*keyword;
	char		*(*arguments)(struct session *, char *);
} keywords[] = {
	{ SESSION_EXT_PIPELINING,	"PIPELINING",		NULL },
	{ SESSION_EXT_SIZE,		"SIZE",			size_of },
	{ SESSION_EXT_8BITMIME,	"8BITMIME",		NULL },
	{ SESSION_EXT_STARTTLS,	"STARTTLS",		NULL },
	{ SESSION_EXT_AUTH,		"AUTH",			mechanisms_of },
	{ SESSION_EXT_CHUNKING,	"CHUNKING",		NULL },
	{ SESSION_EXT_BINARYMIME,	"BINARYMIME",		NULL },
	{ SESSION_EXT_SMTPUTF8,	"SMTPUTF8",		NULL },
	{ SESSION_EXT_DSN,		"DSN",			NULL },
	{ SESSION_EXT_MT_PRIORITY,	"MT-PRIORITY",		NULL },
	{ SESSION_EXT_LIMITS,	"LIMITS",		limits_of },
	{ SESSION_EXT_STATUSCODES,	"ENHANCEDSTATUSCODES",	NULL },
	{ SESSION_EXT_HELP,		"HELP",			NULL },
};

#define NKEYWORDS	(sizeof(keywords) / sizeof(keywords[0]))

const char *
session_keyword(unsigned i, unsigned *extension)
{
	if (i >= NKEYWORDS)
		return NULL;
	*extension = keywords[i].extension;
	return keywords[i].keyword;
}

/* A line is held until it is known whether it is the last. */
void
ehlo_announce(struct session *s)
{
	char line[SESSION_NAME_MAX + SESSION_TEXT_MAX], *p;
	const char *const *more = s->config->keywords;
	size_t i;

	append_at_most(line, engine_name(s), SESSION_NAME_MAX);
	for (i = 0; i < NKEYWORDS; i++) {
		if (!engine_offers(s, keywords[i].extension))
			continue;
		reply_line(s, 250, '-', line);
		p = append(line, keywords[i].keyword);
		if (keywords[i].arguments != NULL)
			keywords[i].arguments(s, p);
	}
	for (i = 0; more != NULL && i < SESSION_KEYWORDS_MAX &&
	    more[i] != NULL; i++) {
		reply_line(s, 250, '-', line);
		append_at_most(line, more[i], SESSION_TEXT_MAX);
	}
	reply_line(s, 250, ' ', line);
}
