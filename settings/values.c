/* SPDX-License-Identifier: ISC */
/*
 * values.c - the types of settings: how each is read, shown and described.
 *
 * Values stay where they were read, in one static store: a start with a
 * settings file costs an open, a read and a close, and no malloc.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <ctype.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "session/address.h"
#include "settings/values.h"
#include "smtpd.h"

#define STORE_SIZE	262144	/* untouched pages are free */
#define BLANK		" \t"
#define UNIX_PATH_SIZE	sizeof(((struct sockaddr_un *)0)->sun_path)

static struct store {
	size_t		 used;
	alignas(16) char text[STORE_SIZE];
} stores[2], *store = stores;	/* the second: see settings_aside() */

void *
store_take(size_t size)
{
	void *p = store->text + store->used;

	if (size > sizeof(store->text) - store->used)
		return NULL;
	store->used += (size + 15) & ~(size_t)15;
	if (store->used > sizeof(store->text))
		store->used = sizeof(store->text);
	return p;
}

char *
store_next(size_t *left)
{
	*left = sizeof(store->text) - store->used;
	return store->text + store->used;
}

void
store_swap(void)
{
	store = &stores[store == stores];
}

void
store_reset(void)
{
	store->used = 0;
}

static int
set_string(const struct setting *setting, void *at, char *value)
{
	char **string = at;

	(void)setting;
	*string = *value == '\0' ? NULL : value;
	return 0;
}

static void
dump_string(const struct setting *setting, const void *at)
{
	const char *const *string = at;

	if (*string == NULL)
		printf("%s =\n", setting->name);
	else
		printf("%s = %s\n", setting->name, *string);
}

/* What a client may say in HELO, except an address literal. */
bool
value_is_domain(const char *s)
{
	return *s != '[' && address_helo(s) == NULL;
}

static int
set_domain(const struct setting *setting, void *at, char *value)
{
	if (*value != '\0' && !value_is_domain(value))
		return -1;
	return set_string(setting, at, value);
}

static bool
is_digits(const char *s)
{
	return *s != '\0' && s[strspn(s, "0123456789")] == '\0';
}

static size_t
count_words(const char *s)
{
	size_t n;

	for (n = 0; *s != '\0'; n++) {
		s += strcspn(s, BLANK);
		s += strspn(s, BLANK);
	}
	return n;
}

/* Split at blanks, in place. */
static int
set_words(const struct setting *setting, void *at, char *value)
{
	char ***words = at, **word, *next;
	size_t n = count_words(value);

	(void)setting;
	*words = NULL;
	if (n == 0)
		return 0;
	if ((word = store_take((n + 1) * sizeof(*word))) == NULL)
		return -1;
	*words = word;
	for (; *value != '\0'; value = next) {
		*word++ = value;
		next = value + strcspn(value, BLANK);
		if (*next != '\0')
			*next++ = '\0';
		next += strspn(next, BLANK);
	}
	*word = NULL;
	return 0;
}

static void
dump_words(const struct setting *setting, const void *at)
{
	char *const *const *words = at;
	size_t i;

	printf("%s =", setting->name);
	for (i = 0; *words != NULL && (*words)[i] != NULL; i++)
		printf(" %s", (*words)[i]);
	putchar('\n');
}

/* The words again, one blank between them: equal text is the same program. */
static char *
join_words(const char *prefix, char *const *words, size_t size)
{
	char *text = store_take(size);
	size_t i;

	if (text == NULL)
		return NULL;
	strlcpy(text, prefix, size);
	for (i = 0; words[i] != NULL; i++) {
		if (i > 0)
			strlcat(text, " ", size);
		strlcat(text, words[i], size);
	}
	return text;
}

static int
read_program(struct server *s, char *words)
{
	size_t size = sizeof("exec:") + strlen(words);

	s->kind = SERVER_EXEC;
	if (set_words(NULL, &s->words, words) == -1 || s->words == NULL)
		return -1;
	s->text = join_words("exec:", s->words, size);
	return s->text == NULL ? -1 : 0;
}

/* "HOST:PORT", an IPv6 address in brackets; names are not looked up. */
static int
read_place(struct server *s, const char *place)
{
	size_t len = strlen(place) + 1;
	char *host = store_take(len), *colon;
	const char *error = NULL;

	if (host == NULL)
		return -1;
	memcpy(host, place, len);
	if ((colon = strrchr(host, ':')) == NULL || colon == host ||
	    !is_digits(colon + 1))
		return -1;
	*colon = '\0';
	s->port = (uint16_t)strtonum(colon + 1, 1, UINT16_MAX, &error);
	if (host[0] == '[' && colon[-1] == ']') {
		host++;
		colon[-1] = '\0';
	}
	s->kind = SERVER_INET;
	s->host = host;
	/* We could not connect to an address with a zone. */
	return error == NULL && ((peer_is_address(host) &&
	    strchr(host, '%') == NULL) ||
	    strcasecmp(host, "localhost") == 0) ? 0 : -1;
}

static int
read_server(struct server *s, char *value, bool programs)
{
	s->text = value;
	if (programs && strncmp(value, "exec:", 5) == 0)
		return read_program(s, value + 5);
	if (strncmp(value, "inet:", 5) == 0)
		return read_place(s, value + 5);
	if (strncmp(value, "unix:", 5) != 0)
		return -1;
	s->kind = SERVER_UNIX;
	s->path = value + 5;
	return *s->path != '\0' && strlen(s->path) < UNIX_PATH_SIZE ? 0 : -1;
}

static int
set_servers(const struct setting *setting, void *at, char *value)
{
	struct server *list = at, one = { 0 };
	size_t i;

	if (*value == '\0') {
		memset(list, 0, SERVERS_MAX * sizeof(*list));
		return 0;
	}
	if (read_server(&one, value, setting->type == DECIDERS) == -1)
		return -1;
	for (i = 0; i < SERVERS_MAX; i++)
		if (list[i].text == NULL) {
			list[i] = one;
			return 0;
		}
	return -1;
}

static void
dump_servers(const struct setting *setting, const void *at)
{
	const struct server *list = at;
	size_t i;

	if (list[0].text == NULL)
		printf("%s =\n", setting->name);
	for (i = 0; i < SERVERS_MAX && list[i].text != NULL; i++)
		printf("%s = %s\n", setting->name, list[i].text);
}

static int
set_prefixes(const struct setting *setting, void *at, char *value)
{
	char ***words = at;
	size_t i;

	if (set_words(setting, at, value) == -1)
		return -1;
	for (i = 0; *words != NULL && (*words)[i] != NULL; i++)
		if (!prefix_valid((*words)[i]))
			return -1;
	return 0;
}

static int
set_filenames(const struct setting *setting, void *at, char *value)
{
	char **list = at;
	size_t i;

	(void)setting;
	if (*value == '\0') {
		memset(list, 0, TLS_CERTS_MAX * sizeof(*list));
		return 0;
	}
	for (i = 0; i < TLS_CERTS_MAX; i++)
		if (list[i] == NULL) {
			list[i] = value;
			return 0;
		}
	return -1;
}

static void
dump_filenames(const struct setting *setting, const void *at)
{
	char *const *list = at;
	size_t i;

	if (list[0] == NULL)
		printf("%s =\n", setting->name);
	for (i = 0; i < TLS_CERTS_MAX && list[i] != NULL; i++)
		printf("%s = %s\n", setting->name, list[i]);
}

static int
find_word(const struct setting *setting, const char *value)
{
	int i;

	for (i = 0; setting->words[i] != NULL; i++)
		if (strcmp(setting->words[i], value) == 0)
			return i;
	return -1;
}

static int
set_bool(const struct setting *setting, void *at, char *value)
{
	bool *b = at;
	int i = find_word(setting, value);

	if (i == -1)
		return -1;
	*b = i == 1;
	return 0;
}

static void
dump_bool(const struct setting *setting, const void *at)
{
	const bool *b = at;

	printf("%s = %s\n", setting->name, setting->words[*b]);
}

static int
set_switch(const struct setting *setting, void *at, char *value)
{
	unsigned *bits = at;
	bool on;

	if (set_bool(setting, &on, value) == -1)
		return -1;
	*bits = on ? *bits | setting->max : *bits & ~setting->max;
	return 0;
}

static void
dump_switch(const struct setting *setting, const void *at)
{
	const unsigned *bits = at;
	bool on = (*bits & setting->max) != 0;

	dump_bool(setting, &on);
}

/* Each enum is a type of its own, but they all have one size. */
static int
set_enum(const struct setting *setting, void *at, char *value)
{
	int i = find_word(setting, value);
	unsigned u = (unsigned)i;

	if (i == -1)
		return -1;
	memcpy(at, &u, sizeof(u));
	return 0;
}

static void
dump_enum(const struct setting *setting, const void *at)
{
	unsigned u;

	memcpy(&u, at, sizeof(u));
	printf("%s = %s\n", setting->name, setting->words[u]);
}

/* The bit of a word in any case; 0: there is none. */
static unsigned
find_bit(const char *const *words, const char *name, size_t len)
{
	unsigned i;

	for (i = 0; words[i] != NULL; i++)
		if (strncasecmp(words[i], name, len) == 0 &&
		    words[i][len] == '\0')
			return 1u << i;
	return 0;
}

static int
set_set(const struct setting *setting, void *at, char *value)
{
	unsigned *bits = at, bit, all = 0;
	size_t len;

	for (; *value != '\0'; value += strspn(value, BLANK)) {
		len = strcspn(value, BLANK);
		if ((bit = find_bit(setting->words, value, len)) == 0)
			return -1;
		all |= bit;
		value += len;
	}
	if (all == 0)
		return -1;
	*bits = all;
	return 0;
}

static void
dump_set(const struct setting *setting, const void *at)
{
	const unsigned *bits = at;
	unsigned i;

	printf("%s =", setting->name);
	for (i = 0; setting->words[i] != NULL; i++)
		if (*bits & 1u << i)
			printf(" %s", setting->words[i]);
	putchar('\n');
}

static int
set_number(const struct setting *setting, void *at, char *value)
{
	unsigned *number = at, u;
	const char *error;

	if (!is_digits(value))
		return -1;
	u = (unsigned)strtonum(value, setting->min, setting->max, &error);
	if (error != NULL)
		return -1;
	*number = u;
	return 0;
}

static void
dump_number(const struct setting *setting, const void *at)
{
	const unsigned *number = at;

	printf("%s = %u\n", setting->name, *number);
}

static const char units[] = "KMG";

static int
set_size(const struct setting *setting, void *at, char *value)
{
	uint64_t *size = at;
	size_t len = strlen(value);
	const char *unit, *error;
	unsigned shift = 0;
	long long n;

	(void)setting;
	if (len > 1 && (unit = strchr(units, toupper(
	    (unsigned char)value[len - 1]))) != NULL) {
		shift = 10 * (unsigned)(unit - units + 1);
		value[len - 1] = '\0';
	}
	if (!is_digits(value))
		return -1;
	n = strtonum(value, 0, INT64_MAX >> shift, &error);
	if (error != NULL)
		return -1;
	*size = (uint64_t)n << shift;
	return 0;
}

static void
dump_size(const struct setting *setting, const void *at)
{
	const uint64_t *size = at;
	uint64_t n = *size;
	size_t i;

	for (i = 0; i < strlen(units) && n != 0 && n % 1024 == 0; i++)
		n /= 1024;
	printf("%s = %llu", setting->name, (unsigned long long)n);
	if (i > 0)
		putchar(units[i - 1]);
	putchar('\n');
}

static unsigned
find_keyword(const char *name, size_t len)
{
	const char *keyword;
	unsigned i, bit;

	for (i = 0; (keyword = session_keyword(i, &bit)) != NULL; i++)
		if (strncasecmp(keyword, name, len) == 0 &&
		    keyword[len] == '\0')
			return bit;
	return 0;
}

static int
set_keywords(const struct setting *setting, void *at, char *value)
{
	unsigned *bits = at, bit, all = 0;
	size_t len;

	(void)setting;
	for (; *value != '\0'; value += strspn(value, BLANK)) {
		len = strcspn(value, BLANK);
		if ((bit = find_keyword(value, len)) == 0)
			return -1;
		all |= bit;
		value += len;
	}
	*bits = all;
	return 0;
}

static void
dump_keywords(const struct setting *setting, const void *at)
{
	const unsigned *bits = at;
	const char *keyword;
	unsigned i, bit;

	printf("%s =", setting->name);
	for (i = 0; (keyword = session_keyword(i, &bit)) != NULL; i++)
		if (*bits & bit)
			printf(" %s", keyword);
	putchar('\n');
}

static const struct {
	int	(*set)(const struct setting *, void *, char *);
	void	(*dump)(const struct setting *, const void *);
	const char *want;
} types[] = {
	[STRING] =	{ set_string, dump_string, "a value" },
	[DOMAIN] =	{ set_domain, dump_string, "a domain name" },
	[FILENAME] =	{ set_string, dump_string, "a file" },
	[SERVERS] =	{ set_servers, dump_servers,
			    "unix:PATH or inet:ADDRESS:PORT, at most 8 times" },
	[DECIDERS] =	{ set_servers, dump_servers, "unix:PATH, "
			    "inet:ADDRESS:PORT or exec:PROGRAM, at most 8 "
			    "times" },
	[WORDS] =	{ set_words, dump_words,
			    "a program and its arguments" },
	[PREFIXES] =	{ set_prefixes, dump_words,
			    "addresses or ADDRESS/BITS" },
	[FILENAMES] =	{ set_filenames, dump_filenames,
			    "a file, at most 8 times" },
	[BOOL] =	{ set_bool, dump_bool, "one of" },
	[SWITCH] =	{ set_switch, dump_switch, "one of" },
	[ENUM] =	{ set_enum, dump_enum, "one of" },
	[SET] =		{ set_set, dump_set, "some of" },
	[NUMBER] =	{ set_number, dump_number, "a number" },
	[SIZE] =	{ set_size, dump_size,
			    "a number of bytes, or of K, M or G" },
	[KEYWORDS] =	{ set_keywords, dump_keywords, "EHLO keywords of" },
};
_Static_assert(TLS_CERTS_MAX == 8 && SERVERS_MAX == 8, "the texts say 8");
_Static_assert(sizeof(enum tls_mode) == sizeof(unsigned) &&
    sizeof(enum auth_mode) == sizeof(unsigned) &&
    sizeof(enum log_target) == sizeof(unsigned), "ENUM is an unsigned");

int
value_set(const struct setting *setting, struct settings *s, char *value)
{
	return types[setting->type].set(setting,
	    (char *)s + setting->offset, value);
}

void
value_clear(const struct setting *setting, struct settings *s)
{
	char none[] = "";

	value_set(setting, s, none);
}

bool
value_is_list(const struct setting *setting)
{
	return setting->type == FILENAMES || setting->type == SERVERS ||
	    setting->type == DECIDERS;
}

void
value_dump(const struct setting *setting, const struct settings *s)
{
	types[setting->type].dump(setting, (const char *)s + setting->offset);
}

void
value_describe(const struct setting *setting, char *to, size_t size)
{
	const char *keyword;
	unsigned i, bit;

	if (setting->type == NUMBER) {
		snprintf(to, size, "want a number from %u to %u",
		    setting->min, setting->max);
		return;
	}
	snprintf(to, size, "want %s", types[setting->type].want);
	for (i = 0; setting->words != NULL && setting->words[i] != NULL; i++) {
		strlcat(to, " ", size);
		strlcat(to, setting->words[i], size);
	}
	if (setting->type != KEYWORDS)
		return;
	for (i = 0; (keyword = session_keyword(i, &bit)) != NULL; i++) {
		strlcat(to, " ", size);
		strlcat(to, keyword, size);
	}
}

const char *
value_file(const struct setting *setting, const struct settings *s, size_t i)
{
	const char *at = (const char *)s + setting->offset;
	char *const *files = (char *const *)(const void *)at;
	size_t max;

	switch (setting->type) {
	case FILENAME:
		max = 1;
		break;
	case FILENAMES:
		max = TLS_CERTS_MAX;
		break;
	default:
		return NULL;
	}
	return i < max ? files[i] : NULL;
}
