/*
 * settings.c - the one table of settings.
 *
 * The command line, the file, the dump and their messages all follow from the
 * table; a test compares it with smtpd.conf.5.  Values stay where they were
 * read, in one static store: a start with a settings file costs an open, a
 * read and a close, and no malloc.
 */
#include <sys/types.h>
#include <sys/stat.h>

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "session/address.h"
#include "smtpd.h"

#define FILE_SIZE_MAX	65536
#define LINE_LENGTH_MAX	4096
#define STORE_SIZE	(4 * FILE_SIZE_MAX)	/* untouched pages are free */
#define BLANK		" \t"

enum type {
	STRING, DOMAIN, SERVER, WORDS, LIST, BOOL, ENUM, NUMBER, SIZE, KEYWORDS
};

struct setting {
	const char	*name;
	enum type	 type;
	size_t		 offset;	/* in struct settings */
	const char	*value;		/* the default; "": none */
	const char	*const *words;	/* BOOL, ENUM: in the order of values */
	unsigned	 min, max;	/* NUMBER */
};

struct keyword {
	const char	*name;
	unsigned	 bit;
};

static struct {
	size_t		 used;
	unsigned	 by_option;	/* LISTs that -o has begun anew */
	alignas(16) char text[STORE_SIZE];
} store;

static int	set_string(const struct setting *, void *, char *);
static int	set_domain(const struct setting *, void *, char *);
static int	set_server(const struct setting *, void *, char *);
static int	set_words(const struct setting *, void *, char *);
static int	set_list(const struct setting *, void *, char *);
static int	set_bool(const struct setting *, void *, char *);
static int	set_enum(const struct setting *, void *, char *);
static int	set_number(const struct setting *, void *, char *);
static int	set_size(const struct setting *, void *, char *);
static int	set_keywords(const struct setting *, void *, char *);
static void	dump_string(const struct setting *, const void *);
static void	dump_words(const struct setting *, const void *);
static void	dump_list(const struct setting *, const void *);
static void	dump_bool(const struct setting *, const void *);
static void	dump_enum(const struct setting *, const void *);
static void	dump_number(const struct setting *, const void *);
static void	dump_size(const struct setting *, const void *);
static void	dump_keywords(const struct setting *, const void *);

static const struct {
	int	(*set)(const struct setting *, void *, char *);
	void	(*dump)(const struct setting *, const void *);
	const char *want;
} types[] = {
	[STRING] =	{ set_string, dump_string, "a value" },
	[DOMAIN] =	{ set_domain, dump_string, "a domain name" },
	[SERVER] =	{ set_server, dump_string,
			    "unix:PATH or inet:ADDRESS:PORT" },
	[WORDS] =	{ set_words, dump_words,
			    "a program and its arguments" },
	[LIST] =	{ set_list, dump_list, "a file, at most 8 times" },
	[BOOL] =	{ set_bool, dump_bool, "one of" },
	[ENUM] =	{ set_enum, dump_enum, "one of" },
	[NUMBER] =	{ set_number, dump_number, "a number" },
	[SIZE] =	{ set_size, dump_size,
			    "a number of bytes, or of K, M or G" },
	[KEYWORDS] =	{ set_keywords, dump_keywords, "EHLO keywords of" },
};
_Static_assert(TLS_CERTS_MAX == 8, "the text for LIST says 8");

static const char *const no_yes[] = { "no", "yes", NULL };
static const char *const newlines[] = { "lf", "crlf", NULL };
static const char *const traces[] = { "full", "private", NULL };
static const char *const failures[] = { "defer", "accept", NULL };
static const char *const protocols[] = { "smtp", "lmtp", NULL };
static const char *const levels[] = { "info", "debug", NULL };
static const char *const tls_modes[] = {
	[TLS_AUTO] = "auto", [TLS_OFF] = "off", [TLS_OFFER] = "offer",
	[TLS_REQUIRE] = "require", [TLS_IMPLICIT] = "implicit", NULL
};
static const char *const auth_modes[] = {
	[AUTH_AUTO] = "auto", [AUTH_OFF] = "off", [AUTH_OFFER] = "offer",
	[AUTH_REQUIRE] = "require", NULL
};
static const char *const logs[] = {
	[LOGTO_AUTO] = "auto", [LOGTO_STDERR] = "stderr",
	[LOGTO_SYSLOG] = "syslog", [LOGTO_OFF] = "off", NULL
};

static const struct keyword keywords[] = {
	{ "PIPELINING",			SESSION_PIPELINING },
	{ "SIZE",			SESSION_SIZE },
	{ "8BITMIME",			SESSION_8BITMIME },
	{ "ENHANCEDSTATUSCODES",	SESSION_STATUSCODES },
	{ "STARTTLS",			SESSION_STARTTLS },
	{ "AUTH",			SESSION_AUTH },
	{ "CHUNKING",			SESSION_CHUNKING },
	{ "BINARYMIME",			SESSION_BINARYMIME },
	{ "SMTPUTF8",			SESSION_SMTPUTF8 },
	{ "DSN",			SESSION_DSN },
	{ "LIMITS",			SESSION_LIMITS },
	{ "MT-PRIORITY",		SESSION_MT_PRIORITY },
	{ "HELP",			SESSION_HELP },
	{ NULL,				0 }
};

#define AT(member)	offsetof(struct settings, member)
#define TEXT(name, type, member) \
	{ name, type, AT(member), "", NULL, 0, 0 }
#define CHOICE(name, type, member, words, value) \
	{ name, type, AT(member), value, words, 0, 0 }
#define COUNT(name, member, value, min, max) \
	{ name, NUMBER, AT(member), value, NULL, min, max }
#define MANY	1000000000	/* as many as you like is 0 */

static const struct setting settings[] = {
	TEXT("hostname", DOMAIN, hostname),
	TEXT("spool", STRING, spool),
	TEXT("exec", WORDS, exec),
	CHOICE("newline", BOOL, newline_crlf, newlines, "lf"),
	CHOICE("received", BOOL, received_private, traces, "full"),
	TEXT("recipients", STRING, recipients),
	TEXT("recipient-delimiter", STRING, recipient_delimiter),
	TEXT("policy", SERVER, policy),
	TEXT("policy-end", SERVER, policy_end),
	CHOICE("policy-fail", BOOL, policy_fail_accept, failures, "defer"),
	CHOICE("tls", ENUM, tls, tls_modes, "auto"),
	TEXT("tls-cert", LIST, tls_cert),
	TEXT("tls-key", LIST, tls_key),
	TEXT("tls-ticket-key", STRING, tls_ticket_key),
	TEXT("tls-priority", STRING, tls_priority),
	TEXT("tls-client-ca", STRING, tls_client_ca),
	CHOICE("tls-client-require", BOOL, tls_client_require, no_yes, "no"),
	CHOICE("auth", ENUM, auth, auth_modes, "auto"),
	TEXT("auth-file", STRING, auth_file),
	TEXT("auth-program", WORDS, auth_program),
	CHOICE("auth-any", BOOL, auth_any, no_yes, "no"),
	CHOICE("auth-cleartext", BOOL, auth_cleartext, no_yes, "no"),
	{ "max-size", SIZE, AT(max_size), "50M", NULL, 0, 0 },
	COUNT("max-recipients", max_recipients, "100", 0, MANY),
	COUNT("max-messages", max_messages, "100", 0, MANY),
	COUNT("max-errors", max_errors, "10", 0, MANY),
	COUNT("max-junk", max_junk, "100", 0, MANY),
	COUNT("max-auth-failures", max_auth_failures, "3", 0, MANY),
	COUNT("max-hops", max_hops, "100", 0, MANY),
	COUNT("timeout", timeout, "300", 1, 86400),
	COUNT("session-timeout", session_timeout, "7200", 1, 604800),
	CHOICE("protocol", BOOL, lmtp, protocols, "smtp"),
	CHOICE("dsn", BOOL, dsn, no_yes, "no"),
	CHOICE("mt-priority", BOOL, mt_priority, no_yes, "no"),
	CHOICE("proxy-protocol", BOOL, proxy_protocol, no_yes, "no"),
	TEXT("disable", KEYWORDS, disable),
	CHOICE("log", ENUM, log, logs, "auto"),
	CHOICE("log-level", BOOL, log_debug, levels, "info"),
	CHOICE("sandbox", BOOL, sandbox, no_yes, "yes"),
};
#define SETTINGS	(sizeof(settings) / sizeof(settings[0]))

_Static_assert(sizeof(enum tls_mode) == sizeof(unsigned) &&
    sizeof(enum auth_mode) == sizeof(unsigned) &&
    sizeof(enum log_target) == sizeof(unsigned), "ENUM is an unsigned");

/* So many bytes that last as long as the process; NULL: the store is full. */
static void *
store_take(size_t size)
{
	void *p = store.text + store.used;

	if (size > sizeof(store.text) - store.used)
		return NULL;
	store.used += (size + 15) & ~(size_t)15;
	if (store.used > sizeof(store.text))
		store.used = sizeof(store.text);
	return p;
}

static int
set_string(const struct setting *setting, void *at, char *value)
{
	char **string = at;

	(void)setting;
	*string = *value == '\0' ? NULL : value;
	return 0;
}

/* What a client may say in HELO, but an address literal names nobody. */
static bool
is_domain(const char *s)
{
	return *s != '[' && address_helo(s);
}

static int
set_domain(const struct setting *setting, void *at, char *value)
{
	if (*value != '\0' && !is_domain(value))
		return -1;
	return set_string(setting, at, value);
}

static bool
is_digits(const char *s)
{
	return *s != '\0' && s[strspn(s, "0123456789")] == '\0';
}

static int
set_server(const struct setting *setting, void *at, char *value)
{
	if (*value != '\0' && !ask_valid(value))
		return -1;
	return set_string(setting, at, value);
}

/* Split at blanks, in place. */
static int
set_words(const struct setting *setting, void *at, char *value)
{
	char ***words = at, **word, *next = value;
	size_t n;

	(void)setting;
	for (n = 0; *next != '\0'; n++) {
		next += strcspn(next, BLANK);
		next += strspn(next, BLANK);
	}
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

static int
set_list(const struct setting *setting, void *at, char *value)
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

static int
set_size(const struct setting *setting, void *at, char *value)
{
	static const char units[] = "KMG";
	uint64_t *size = at;
	size_t len = strlen(value);
	const char *unit, *error;
	unsigned shift = 0;
	long long	 n;

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

static unsigned
find_keyword(const char *name, size_t len)
{
	const struct keyword *k;

	for (k = keywords; k->name != NULL; k++)
		if (strncasecmp(k->name, name, len) == 0 &&
		    k->name[len] == '\0')
			return k->bit;
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
dump_string(const struct setting *setting, const void *at)
{
	const char *const *string = at;

	if (*string == NULL)
		printf("%s =\n", setting->name);
	else
		printf("%s = %s\n", setting->name, *string);
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

static void
dump_list(const struct setting *setting, const void *at)
{
	char *const *list = at;
	size_t i;

	if (list[0] == NULL)
		printf("%s =\n", setting->name);
	for (i = 0; i < TLS_CERTS_MAX && list[i] != NULL; i++)
		printf("%s = %s\n", setting->name, list[i]);
}

static void
dump_bool(const struct setting *setting, const void *at)
{
	const bool *b = at;

	printf("%s = %s\n", setting->name, setting->words[*b]);
}

static void
dump_enum(const struct setting *setting, const void *at)
{
	unsigned u;

	memcpy(&u, at, sizeof(u));
	printf("%s = %s\n", setting->name, setting->words[u]);
}

static void
dump_number(const struct setting *setting, const void *at)
{
	const unsigned *number = at;

	printf("%s = %u\n", setting->name, *number);
}

static void
dump_size(const struct setting *setting, const void *at)
{
	const uint64_t *size = at;
	uint64_t n = *size;
	int i;

	for (i = 0; i < 3 && n != 0 && n % 1024 == 0; i++)
		n /= 1024;
	printf("%s = %llu%.*s\n", setting->name, (unsigned long long)n,
	    i > 0, &"KMG"[i > 0 ? i - 1 : 0]);
}

static void
dump_keywords(const struct setting *setting, const void *at)
{
	const unsigned *bits = at;
	const struct keyword *k;

	printf("%s =", setting->name);
	for (k = keywords; k->name != NULL; k++)
		if (*bits & k->bit)
			printf(" %s", k->name);
	putchar('\n');
}

void
settings_dump(const struct settings *s)
{
	size_t i;

	for (i = 0; i < SETTINGS; i++)
		types[settings[i].type].dump(&settings[i],
		    (const char *)s + settings[i].offset);
	if (fflush(stdout) == EOF)
		err(EX_IOERR, "standard output");
}

void
settings_init(struct settings *s)
{
	char value[16];
	size_t i;

	memset(s, 0, sizeof(*s));
	store.used = store.by_option = 0;
	for (i = 0; i < SETTINGS; i++) {
		if (settings[i].value[0] == '\0')
			continue;	/* NULL or 0 already */
		strlcpy(value, settings[i].value, sizeof(value));
		types[settings[i].type].set(&settings[i],
		    (char *)s + settings[i].offset, value);
	}
}

/* "want ...", for the message about a bad value. */
static void
describe_setting(const struct setting *setting, char *to, size_t size)
{
	const struct keyword *k;
	size_t i;

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
	for (k = keywords; setting->type == KEYWORDS && k->name != NULL; k++) {
		strlcat(to, " ", size);
		strlcat(to, k->name, size);
	}
}

static const struct setting *
find_setting(const char *name)
{
	size_t i;

	for (i = 0; i < SETTINGS; i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

/* -o beats the file: the first one for a list begins it anew. */
static void
renew_list(const struct setting *setting, struct settings *s)
{
	unsigned bit = 1u << (setting->offset == AT(tls_key));

	if (setting->type != LIST || (store.by_option & bit) != 0)
		return;
	store.by_option |= bit;
	memset((char *)s + setting->offset, 0,
	    TLS_CERTS_MAX * sizeof(char *));
}

/* Cut a string's blanks off at both ends, in place. */
static char *
trim(char *s)
{
	size_t len;

	s += strspn(s, BLANK);
	for (len = strlen(s); len > 0 && strchr(BLANK, s[len - 1]); len--)
		;
	s[len] = '\0';
	return s;
}

/*
 * One "name = value", which is cut up and kept.  where: what comes before the
 * name in the message.
 */
static int
assign(struct settings *s, char *line, const char *where, bool option,
    char *error, size_t size)
{
	const struct setting *setting;
	char *value, *name, want[256];

	if ((value = strchr(line, '=')) == NULL || value == line) {
		snprintf(error, size, "%swant name = value", where);
		return -1;
	}
	*value++ = '\0';
	name = trim(line);
	if ((setting = find_setting(name)) == NULL) {
		snprintf(error, size, "%s%.64s: no such setting", where, name);
		return -1;
	}
	if (option)
		renew_list(setting, s);
	if (types[setting->type].set(setting, (char *)s + setting->offset,
	    trim(value)) == 0)
		return 0;
	describe_setting(setting, want, sizeof(want));
	snprintf(error, size, "%s%s: %s", where, name, want);
	return -1;
}

/* Why a line can't be one, or NULL. */
static const char *
line_fault(const char *line, size_t len)
{
	size_t i;

	if (len > LINE_LENGTH_MAX)
		return "line too long";
	for (i = 0; i < len; i++)
		if (iscntrl((unsigned char)line[i]) && line[i] != '\t')
			return "control character";
	return NULL;
}

int
settings_option(struct settings *s, const char *option, char *error,
    size_t size)
{
	size_t len = strlen(option);
	const char *reason = line_fault(option, len);
	char *copy = NULL;

	if (reason == NULL && (copy = store_take(len + 1)) == NULL)
		reason = "too many settings";
	if (reason != NULL) {
		snprintf(error, size, "-o %.*s: %s",
		    (int)strspn(option, "abcdefghijklmnopqrstuvwxyz-"), option,
		    reason);
		return -1;
	}
	memcpy(copy, option, len + 1);
	return assign(s, copy, "-o ", true, error, size);
}

/* The lines of a file, which are cut up and kept. */
static int
parse_lines(struct settings *s, char *line, char *end, const char *path,
    char *error, size_t size)
{
	const char *reason;
	char *next, where[256];
	unsigned n;

	for (n = 1; line < end; n++, line = next + 1) {
		if ((next = memchr(line, '\n', (size_t)(end - line))) == NULL)
			next = end;
		*next = '\0';
		snprintf(where, sizeof(where), "%.200s:%u: ", path, n);
		reason = line_fault(line, (size_t)(next - line));
		if (reason != NULL) {
			snprintf(error, size, "%s%s", where, reason);
			return -1;
		}
		line += strspn(line, BLANK);
		if (*line == '#' || *line == '\0')
			continue;
		if (assign(s, line, where, false, error, size) == -1)
			return -1;
	}
	return 0;
}

/* The file into size bytes; its length, or -1 with the reason. */
static ssize_t
slurp(int fd, char *to, size_t size, const char **reason)
{
	struct stat st;
	size_t len = 0;
	ssize_t n;

	*reason = NULL;
	if (fstat(fd, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		*reason = "not a regular file";
		return -1;
	}
	while ((n = read(fd, to + len, size - len)) > 0)
		if ((len += (size_t)n) == size) {
			*reason = "larger than 64 KiB";
			return -1;
		}
	return n == -1 ? -1 : (ssize_t)len;
}

int
settings_file(struct settings *s, const char *path, char *error, size_t size)
{
	const char *reason = NULL;
	char *text;
	ssize_t len = -1;
	int fd;

	/* A FIFO or a terminal must not hold up the client. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	text = store.text + store.used;
	if (sizeof(store.text) - store.used <= FILE_SIZE_MAX)
		reason = "too many settings";
	else if (fd != -1)
		len = slurp(fd, text, FILE_SIZE_MAX + 1, &reason);
	if (len == -1) {
		snprintf(error, size, "%.200s: %s", path,
		    reason != NULL ? reason : strerror(errno));
		if (fd != -1)
			close(fd);
		return -1;
	}
	close(fd);
	store_take((size_t)len + 1);
	s->file = path;
	return parse_lines(s, text, text + len, path, error, size);
}

/* The machine's name, never looked up: DNS would hold up the banner. */
static void
default_hostname(struct settings *s)
{
	char *name = store_take(SESSION_NAME_MAX + 1);
	static char localhost[] = "localhost";

	s->hostname = localhost;
	if (name == NULL || gethostname(name, SESSION_NAME_MAX + 1) == -1)
		return;
	name[SESSION_NAME_MAX] = '\0';
	if (is_domain(name))
		s->hostname = name;
}

/* What is wrong with exec, or NULL. */
static const char *
check_exec(char *const *words)
{
	bool one = false, all = false;
	size_t i;

	if (words == NULL)
		return NULL;
	/* Or the client would choose the program. */
	if (words[0][0] == '{')
		return "exec: the first word must be a program";
	for (i = 0; words[i] != NULL; i++) {
		one |= strcmp(words[i], "{recipient}") == 0;
		all |= strcmp(words[i], "{recipients}") == 0;
	}
	if (one && all)
		return "exec: {recipient} or {recipients}, not both";
	return NULL;
}

static size_t
list_len(char *const *list)
{
	size_t n;

	for (n = 0; n < TLS_CERTS_MAX && list[n] != NULL; n++)
		;
	return n;
}

static const char *
finish_tls(struct settings *s)
{
	size_t certs = list_len(s->tls_cert), keys = list_len(s->tls_key);

	if (keys == 0)	/* certificate and key in one file */
		memcpy(s->tls_key, s->tls_cert, sizeof(s->tls_key));
	else if (keys != certs)
		return "tls-key: want one for each tls-cert";
	if (s->tls == TLS_AUTO)
		s->tls = certs > 0 ? TLS_OFFER : TLS_OFF;
	if (s->tls != TLS_OFF && certs == 0)
		return "tls: want tls-cert and tls-key";
	if (s->tls == TLS_REQUIRE && (s->disable & SESSION_STARTTLS) != 0)
		return "tls: require, but STARTTLS is disabled";
	if (s->tls_client_require && s->tls_client_ca == NULL)
		return "tls-client-require: want tls-client-ca";
	return NULL;
}

static const char *
finish_auth(struct settings *s)
{
	bool source;

	source = s->auth_file != NULL || s->auth_program != NULL || s->auth_any;
	if (s->auth == AUTH_AUTO)
		s->auth = source ? AUTH_OFFER : AUTH_OFF;
	if (s->auth == AUTH_OFF)
		return NULL;
	if (!source && s->tls_client_ca == NULL)	/* that is EXTERNAL */
		return "auth: want auth-file, auth-program or auth-any";
	if (s->auth != AUTH_REQUIRE)
		return NULL;
	if (s->tls == TLS_OFF && !s->auth_cleartext)
		return "auth: require, but without tls or auth-cleartext";
	if ((s->disable & SESSION_AUTH) != 0)
		return "auth: require, but AUTH is disabled";
	return NULL;
}

int
settings_finish(struct settings *s, char *error, size_t size)
{
	const char *reason;

	if (s->hostname == NULL)
		default_hostname(s);
	reason = s->spool != NULL && s->exec != NULL ?
	    "exec: spool is set as well" : check_exec(s->exec);
	if (reason == NULL)
		reason = finish_tls(s);
	if (reason == NULL)
		reason = finish_auth(s);
	if (reason == NULL)
		return 0;
	snprintf(error, size, "%s", reason);
	return -1;
}
