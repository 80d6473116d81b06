/* SPDX-License-Identifier: ISC */
/*
 * settings.c - the one table of settings.
 *
 * The command line, the file, the dump, the sandbox's list of files and their
 * messages all follow from the table; a test compares it with smtpd.conf.5.
 * What a value can be is in settings/values.c.
 */
#include <sys/types.h>
#include <sys/stat.h>

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "settings/values.h"
#include "smtpd.h"

#define FILE_SIZE_MAX	65536
#define LINE_LENGTH_MAX	4096
#define BLANK		" \t"

static const char *const no_yes[] = { "no", "yes", NULL };
static const char *const newlines[] = { "lf", "crlf", NULL };
static const char *const traces[] = { "full", "private", NULL };
static const char *const envelopes[] = {
	[ENVELOPE_AUTO] = "auto", [ENVELOPE_YES] = "yes",
	[ENVELOPE_NO] = "no", NULL
};
static const char *const failures[] = { "defer", "accept", NULL };
static const char *const quarantines[] = { "header", "refuse", NULL };
static const char *const protocols[] = { "smtp", "lmtp", NULL };
static const char *const syntaxes[] = { "tolerant", "strict", NULL };
static const char *const strays[] = { "accept", "refuse", NULL };
static const char *const levels[] = { "info", "debug", NULL };
static const char *const tls_modes[] = {
	[TLS_AUTO] = "auto", [TLS_OFF] = "off", [TLS_OFFER] = "offer",
	[TLS_REQUIRE] = "require", [TLS_IMPLICIT] = "implicit", NULL
};
static const char *const auth_modes[] = {
	[AUTH_AUTO] = "auto", [AUTH_OFF] = "off", [AUTH_OFFER] = "offer",
	[AUTH_REQUIRE] = "require", NULL
};
static const char *const mechanisms[] = {
	"EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN",
	NULL
};
static const char *const logs[] = {
	[LOGTO_AUTO] = "auto", [LOGTO_STDERR] = "stderr",
	[LOGTO_SYSLOG] = "syslog", [LOGTO_OFF] = "off", NULL
};

#define AT(member)	offsetof(struct settings, member)
#define TEXT(name, type, member) \
	{ name, type, AT(member), "", NULL, 0, 0, 0 }
#define FILES(name, type, member, reader) \
	{ name, type, AT(member), "", NULL, 0, 0, reader }
#define CHOICE(name, type, member, words, value) \
	{ name, type, AT(member), value, words, 0, 0, 0 }
#define COUNT(name, member, value, min, max) \
	{ name, NUMBER, AT(member), value, NULL, min, max, 0 }
/* An extension of SMTP's that is not there unless it is asked for. */
#define EXTENSION(name, bit) \
	{ name, SWITCH, AT(extensions), "no", no_yes, 0, bit, 0 }
#define MANY	1000000000	/* 0 is no limit */

static const struct setting settings[] = {
	TEXT("hostname", DOMAIN, hostname),
	TEXT("spool", STRING, spool),
	TEXT("exec", WORDS, exec),
	CHOICE("newline", BOOL, newline_crlf, newlines, "lf"),
	CHOICE("envelope-lines", ENUM, envelope, envelopes, "auto"),
	CHOICE("received", BOOL, received_private, traces, "full"),
	CHOICE("received-user", BOOL, received_user, no_yes, "no"),
	FILES("recipients", FILENAME, recipients, READ_BY_SESSION),
	TEXT("recipient-delimiter", STRING, recipient_delimiter),
	TEXT("policy", DECIDERS, servers[POLICY]),
	TEXT("policy-end", DECIDERS, servers[POLICY_END]),
	CHOICE("policy-fail", BOOL, policy_fail_accept, failures, "defer"),
	TEXT("milter", SERVERS, servers[MILTER]),
	CHOICE("milter-fail", BOOL, milter_fail_accept, failures, "defer"),
	CHOICE("milter-quarantine", BOOL, milter_quarantine_refuse,
	    quarantines, "header"),
	CHOICE("tls", ENUM, tls, tls_modes, "auto"),
	FILES("tls-cert", FILENAMES, tls_cert, READ_BY_TLS),
	FILES("tls-key", FILENAMES, tls_key, READ_BY_TLS),
	FILES("tls-ticket-key", FILENAME, tls_ticket_key, READ_BY_TLS),
	TEXT("tls-priority", STRING, tls_priority),
	FILES("tls-client-ca", FILENAME, tls_client_ca, READ_BY_TLS),
	FILES("tls-client-crl", FILENAME, tls_client_crl, READ_BY_TLS),
	FILES("tls-client-fingerprints", FILENAME, tls_client_fingerprints,
	    READ_BY_TLS),
	CHOICE("tls-client-server-certs", BOOL, tls_client_server_certs,
	    no_yes, "no"),
	CHOICE("tls-client-require", BOOL, tls_client_require, no_yes, "no"),
	CHOICE("auth", ENUM, auth, auth_modes, "auto"),
	CHOICE("auth-mechanisms", SET, auth_mechanisms, mechanisms,
	    "SCRAM-SHA-256 PLAIN LOGIN"),
	FILES("auth-file", FILENAME, auth_file, READ_BY_AUTH),
	FILES("auth-users", FILENAME, auth_users, READ_BY_AUTH),
	TEXT("auth-program", WORDS, auth_program),
	CHOICE("auth-any", BOOL, auth_any, no_yes, "no"),
	CHOICE("auth-cleartext", BOOL, auth_cleartext, no_yes, "no"),
	{ "max-size", SIZE, AT(max_size), "50M", NULL, 0, 0, 0 },
	COUNT("max-recipients", max_recipients, "100", 0, MANY),
	COUNT("max-messages", max_messages, "100", 0, MANY),
	COUNT("max-errors", max_errors, "10", 0, MANY),
	COUNT("max-junk", max_junk, "100", 0, MANY),
	COUNT("max-auth-failures", max_auth_failures, "3", 0, MANY),
	COUNT("max-connections", max_connections, "200", 0, MANY),
	COUNT("max-connections-source", max_connections_source, "20", 0, MANY),
	COUNT("max-hops", max_hops, "100", 0, MANY),
	COUNT("timeout", timeout, "300", 1, 86400),
	COUNT("session-timeout", session_timeout, "7200", 1, 604800),
	CHOICE("protocol", BOOL, lmtp, protocols, "smtp"),
	CHOICE("syntax", BOOL, strict, syntaxes, "tolerant"),
	CHOICE("stray-newline", BOOL, refuse_stray, strays, "accept"),
	EXTENSION("dsn", SESSION_EXT_DSN),
	EXTENSION("mt-priority", SESSION_EXT_MT_PRIORITY),
	CHOICE("proxy-protocol", BOOL, proxy_protocol, no_yes, "no"),
	TEXT("proxy-from", PREFIXES, proxy_from),
	TEXT("disable", KEYWORDS, disable),
	CHOICE("log", ENUM, log, logs, "auto"),
	CHOICE("log-level", BOOL, log_debug, levels, "info"),
	CHOICE("sandbox", BOOL, sandbox, no_yes, "yes"),
};
#define SETTINGS	nitems(settings)

/* For each setting: the line of the file that gave it, and whether -o did. */
static struct {
	unsigned	 line;
	bool		 option;
} given[SETTINGS];

void
settings_dump(const struct settings *s)
{
	size_t i;

	for (i = 0; i < SETTINGS; i++)
		value_dump(&settings[i], s);
	if (fflush(stdout) == EOF)
		err(EX_IOERR, "standard output");
}

void
settings_aside(void)
{
	store_swap();
}

void
settings_init(struct settings *s)
{
	char value[32];
	size_t i;

	memset(s, 0, sizeof(*s));
	memset(given, 0, sizeof(given));
	store_reset();
	for (i = 0; i < SETTINGS; i++) {
		if (settings[i].value[0] == '\0')
			continue;	/* NULL or 0 already */
		strlcpy(value, settings[i].value, sizeof(value));
		value_set(&settings[i], s, value);
	}
}

bool
settings_next_file(const struct settings *s, struct named_file *f)
{
	for (; f->setting < SETTINGS; f->setting++, f->nth = 0) {
		f->path = value_file(&settings[f->setting], s, f->nth);
		if (f->path == NULL)
			continue;
		f->nth++;
		f->reader = settings[f->setting].reader;
		return true;
	}
	return false;
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
 * Take note of where the setting is given: line 0 is -o, which beats the file,
 * so that its first value for a list begins it anew.  Giving any other setting
 * twice in a file is a mistake: which of two spools would have the mail?
 * Returns the line of the first, or 0.
 */
static unsigned
note_given(const struct setting *setting, unsigned line, struct settings *s)
{
	size_t i = (size_t)(setting - settings);
	unsigned before = given[i].line;

	if (line == 0) {
		if (value_is_list(setting) && !given[i].option)
			value_clear(setting, s);
		given[i].option = true;
		return 0;
	}
	given[i].line = line;
	return value_is_list(setting) ? 0 : before;
}

/*
 * One "name = value", which is cut up and kept.  where: what comes before the
 * name in the message.
 */
static int
assign(struct settings *s, char *text, const char *where, unsigned line,
    char *error, size_t size)
{
	const struct setting *setting;
	char *value, *name, want[256];
	unsigned before;

	if ((value = strchr(text, '=')) == NULL || value == text) {
		snprintf(error, size, "%swant name = value", where);
		return -1;
	}
	*value++ = '\0';
	name = trim(text);
	if ((setting = find_setting(name)) == NULL) {
		snprintf(error, size, "%s%.64s: no such setting", where, name);
		return -1;
	}
	if ((before = note_given(setting, line, s)) != 0) {
		snprintf(error, size, "%s%s: is in line %u already", where,
		    name, before);
		return -1;
	}
	if (value_set(setting, s, trim(value)) == 0)
		return 0;
	value_describe(setting, want, sizeof(want));
	snprintf(error, size, "%s%s: %s", where, name, want);
	return -1;
}

/* What some editors write before the first line. */
static const char byte_order_mark[] = "\xef\xbb\xbf";

/* What is wrong with a line, or NULL. */
static const char *
line_fault(const char *line, size_t len)
{
	size_t i;

	if (len > LINE_LENGTH_MAX)
		return "line too long";
	if (len >= strlen(byte_order_mark) &&
	    memcmp(line, byte_order_mark, strlen(byte_order_mark)) == 0)
		return "begins with a byte order mark: write it without";
	if (len > 0 && line[len - 1] == '\r')
		return "ends with CR LF: write it with LF, as dos2unix does";
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
	return assign(s, copy, "-o ", 0, error, size);
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
		if (assign(s, line, where, n, error, size) == -1)
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
	size_t left;
	ssize_t len = -1;
	int fd;

	/* A FIFO or a terminal must not hold up the client. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	text = store_next(&left);
	if (left <= FILE_SIZE_MAX)
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
	if (value_is_domain(name))
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
	if (s->tls == TLS_REQUIRE && (s->disable & SESSION_EXT_STARTTLS) != 0)
		return "tls: require, but STARTTLS is disabled";
	if (s->tls_client_require && s->tls_client_ca == NULL &&
	    s->tls_client_fingerprints == NULL)
		return "tls-client-require: want tls-client-ca or "
		    "tls-client-fingerprints";
	/* Or a client that has none would just do without TLS. */
	if (s->tls_client_require && s->tls != TLS_REQUIRE &&
	    s->tls != TLS_IMPLICIT)
		return "tls-client-require: want tls = require or implicit";
	if (s->tls_client_server_certs && s->tls_client_ca == NULL)
		return "tls-client-server-certs: want tls-client-ca";
	if (s->tls_client_crl != NULL && s->tls_client_ca == NULL)
		return "tls-client-crl: want tls-client-ca";
	return NULL;
}

/* A certificate says whose it is; who may log in is for our list to say. */
static const char *
check_external(const struct settings *s)
{
	if ((s->auth_mechanisms & MECHANISM_EXTERNAL) == 0)
		return NULL;
	if (s->tls_client_ca == NULL && s->tls_client_fingerprints == NULL)
		return "auth-mechanisms: EXTERNAL wants tls-client-ca or "
		    "tls-client-fingerprints";
	if (s->auth_file == NULL && s->auth_users == NULL)
		return "auth-mechanisms: EXTERNAL wants auth-file or "
		    "auth-users";
	return NULL;
}

static const char *
finish_auth(struct settings *s)
{
	const char *reason;
	bool source;

	source = s->auth_file != NULL || s->auth_program != NULL ||
	    s->auth_any || (s->auth_users != NULL &&
	    (s->auth_mechanisms & MECHANISM_EXTERNAL) != 0);
	if (s->auth == AUTH_AUTO)
		s->auth = source ? AUTH_OFFER : AUTH_OFF;
	if (s->auth == AUTH_OFF)
		return NULL;
	if (!source)
		return "auth: want auth-file, auth-program or auth-any";
	if ((reason = check_external(s)) != NULL)
		return reason;
	if (s->auth != AUTH_REQUIRE)
		return NULL;
	if (s->tls == TLS_OFF && !s->auth_cleartext)
		return "auth: require, but without tls or auth-cleartext";
	if ((s->disable & SESSION_EXT_AUTH) != 0)
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
