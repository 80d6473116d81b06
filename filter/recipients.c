/* SPDX-License-Identifier: ISC */
/*
 * recipients.c - the list of those who get mail here.
 *
 * There are two formats, told apart by what is in the file.  A text file is
 * read from its start to its end: nothing faster is right for a file in no
 * order, or worth having up to some thousand lines.  For more there is the
 * constant database of cdb(5), in which a name costs two or three reads however
 * many there are; unlike a sorted file it can't be silently out of order, and
 * the program that makes it replaces it in one step.
 *
 * The file is opened once a session, before the sandbox closes: should another
 * take its place, the session keeps using the old one.  It is read for each
 * question, with pread(2): a mapped file that somebody cuts short is a SIGBUS.
 */
#include <sys/types.h>
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "filter.h"
#include "session/address.h"
#include "verdict.h"

#define BLOCK_SIZE	16384
#define KEY_SIZE	(SESSION_PATH_MAX + 1)
#define KEYS		6
#define CDB_HEADER	2048	/* 256 times position and length of a table */
#define CDB_RECORD	8	/* octets before its key */
#define TEXT_SLOW	65536	/* octets; from here on -t points to cdb */
#define FAULTS_SHOWN	10

struct key {
	char		 text[KEY_SIZE];
	size_t		 len;
};

/* What the list may contain for a recipient to be accepted. */
struct keys {
	struct key	 key[KEYS];
	size_t		 n;
};

struct list {
	int		 fd;		/* kept; below 1, as at first: none */
	struct stat	 st;
	size_t		 len;		/* octets in buf */
	char		 buf[BLOCK_SIZE];
};

struct test {
	const char	*path;
	unsigned	 line, faults;
	unsigned	 entries;
};

/* A line or a cdb's key; other than 0 ends the walk and is its result. */
typedef int	each(void *, const char *, size_t);

static struct list the_list;

/* Addresses. */

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}
/* A carriage return, too: lists are written on any system. */
static bool
ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The length of the local part as written; -1: no "@" follows it. */
static ssize_t
local_length(const char *s, size_t len)
{
	const char *at;
	size_t i = 1;

	if (len == 0 || s[0] != '"') {
		at = memchr(s, '@', len);
		return at == NULL ? -1 : at - s;
	}
	while (i < len && s[i] != '"')
		i += s[i] == '\\' ? 2 : 1;
	return i + 1 < len && s[i + 1] == '@' ? (ssize_t)i + 1 : -1;
}

/* Could this be written without quotes (RFC 5321 section 4.1.2)? */
static bool
is_dot_string(const char *s, size_t len)
{
	static const char special[] = "\"(),:;<>@[\\]";
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] == '.' && (i == 0 || s[i - 1] == '.'))
			return false;
		if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f ||
		    strchr(special, s[i]) != NULL)
			return false;
	}
	return len > 0 && s[len - 1] != '.';
}

/*
 * A quoted local part in its canonical form: without quotes where they are not
 * needed, else with no more backslashes than needed.  Never longer than what
 * was given.
 */
static size_t
put_quoted(char *out, const char *s, size_t len)
{
	char plain[KEY_SIZE];
	size_t i, n = 0, size = 0;

	for (i = 1; i < len - 1; i++) {
		if (s[i] == '\\')
			i++;
		plain[n++] = s[i];
	}
	if (is_dot_string(plain, n)) {
		memcpy(out, plain, n);
		return n;
	}
	out[size++] = '"';
	for (i = 0; i < n; i++) {
		if (plain[i] == '"' || plain[i] == '\\')
			out[size++] = '\\';
		out[size++] = plain[i];
	}
	out[size++] = '"';
	return size;
}

/*
 * An address or a piece of one in the form in which addresses are compared:
 * quotes as above, and ASCII letters small, in the local part as well.  RFC
 * 5321 section 2.4 leaves that to the host it belongs to, and a list in which
 * Joe and joe were two people would be no help to either.
 */
static bool
normalize(struct key *key, const char *s, size_t len)
{
	ssize_t length = local_length(s, len);
	size_t i, n, local = (size_t)length;

	if (length == -1 || len >= sizeof(key->text))
		return false;
	n = local;
	if (s[0] == '"')
		n = put_quoted(key->text, s, local);
	else
		memcpy(key->text, s, local);
	memcpy(key->text + n, s + local, len - local);
	key->len = n + len - local;
	key->text[key->len] = '\0';
	for (i = 0; i < key->len; i++)
		key->text[i] = lower(key->text[i]);
	return true;
}

/* User, which may be empty, and the domain with its "@" (or only that). */
static void
add_key(struct keys *keys, const char *user, size_t user_len,
    const char *domain, size_t domain_len)
{
	struct key *key = &keys->key[keys->n++];

	memcpy(key->text, user, user_len);
	memcpy(key->text + user_len, domain, domain_len);
	key->len = user_len + domain_len;
	key->text[key->len] = '\0';
}

/* False: not an address; the engine lets no such path through. */
static bool
make_keys(struct keys *keys, const char *path, const char *delimiter)
{
	struct key full;
	const char *domain;
	size_t user, domain_len, detail = 0;

	keys->n = 0;
	if (!normalize(&full, path, strlen(path)))
		return false;
	user = (size_t)local_length(full.text, full.len);
	domain = full.text + user;
	domain_len = full.len - user;
	add_key(keys, full.text, user, domain, domain_len);
	add_key(keys, full.text, user, "@", 1);
	add_key(keys, "", 0, domain, domain_len);
	add_key(keys, "", 0, "@", 1);
	if (delimiter != NULL && full.text[0] != '"')
		detail = strcspn(full.text, delimiter);
	if (detail > 0 && detail < user) {
		add_key(keys, full.text, detail, domain, domain_len);
		add_key(keys, full.text, detail, "@", 1);
	}
	return true;
}

/* The question. */

static bool
line_is(const char *line, size_t len, const struct key *key)
{
	return len >= key->len && lower(line[0]) == key->text[0] &&
	    strncasecmp(line, key->text, key->len) == 0 &&
	    (len == key->len || ends_word(line[key->len]));
}

/* The address on a line: up to the first blank that is not in quotes. */
static size_t
word_length(const char *line, size_t len)
{
	ssize_t local = len > 0 && line[0] == '"' ?
		    local_length(line, len) : 0;
	size_t n;

	n = local == -1 ? 0 : (size_t)local;
	while (n < len && !ends_word(line[n]))
		n++;
	return n;
}

static int
match_line(void *arg, const char *line, size_t len)
{
	const struct keys *keys = arg;
	struct key quoted;
	size_t i;

	if (len == 0 || line[0] == '#')
		return 0;
	if (line[0] == '"') {
		if (!normalize(&quoted, line, word_length(line, len)))
			return 0;
		line = quoted.text;
		len = quoted.len;
	}
	for (i = 0; i < keys->n; i++)
		if (line_is(line, len, &keys->key[i]))
			return 1;
	return 0;
}

/* The file. */

static int
list_open(struct list *list, const char *path)
{
	int error;

	list->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (list->fd == -1)
		return -1;
	if (fstat(list->fd, &list->st) == -1)
		error = errno;
	else if (!S_ISREG(list->st.st_mode))
		error = S_ISDIR(list->st.st_mode) ? EISDIR : EINVAL;
	else
		return 0;
	close(list->fd);
	list->fd = -1;
	errno = error;
	return -1;
}

static uint32_t
u32(const char *s)
{
	const unsigned char *b = (const unsigned char *)s;

	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	    (uint32_t)b[3] << 24;
}

/*
 * A header in which all 256 tables are inside the file: no text passes for one,
 * since four of its characters are a position past any file of 500 MB.
 */
static bool
is_cdb(const struct list *list)
{
	uint64_t pos, len;
	size_t i;

	if (list->len < CDB_HEADER)
		return false;
	for (i = 0; i < CDB_HEADER; i += 8) {
		pos = u32(list->buf + i);
		len = u32(list->buf + i + 4);
		if (pos < CDB_HEADER ||
		    pos + len * 8 > (uint64_t)list->st.st_size)
			return false;
	}
	return true;
}

/* Read the first block. */
static int
list_start(struct list *list, const char *path)
{
	ssize_t n;

	if (list->fd < 1 && list_open(list, path) == -1)
		return -1;
	if (fstat(list->fd, &list->st) == -1 ||
	    (n = pread(list->fd, list->buf, sizeof(list->buf), 0)) == -1)
		return -1;
	list->len = (size_t)n;
	/* No text has this octet; any cdb of less than 16 MB has it. */
	if (memchr(list->buf, '\0', list->len) != NULL && !is_cdb(list)) {
		errno = EBADMSG;
		return -1;
	}
	return 0;
}

/*
 * -1: what was read is worth nothing, since the file was written to meanwhile,
 * and half a line may be another address.  Otherwise errno is kept.
 */
static int
list_finish(struct list *list)
{
	struct stat st;

	if (fstat(list->fd, &st) == -1)
		return -1;
	if (st.st_size == list->st.st_size &&
	    st.st_mtim.tv_sec == list->st.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == list->st.st_mtim.tv_nsec)
		return 0;
	errno = ESTALE;
	return -1;
}

static int
text_line(const char *line, size_t len, each *fn, void *arg)
{
	while (len > 0 && ends_word(*line)) {
		line++;
		len--;
	}
	return fn(arg, line, len);
}

/*
 * The lines in buf.  What is left of it, an unfinished line, is moved to its
 * start.  If a line fills buf, all but its start is passed over.
 */
static int
text_block(struct list *list, bool *over, each *fn, void *arg)
{
	char *s = list->buf, *end = s + list->len, *lf;
	int r;

	while ((lf = memchr(s, '\n', (size_t)(end - s))) != NULL) {
		if (!*over &&
		    (r = text_line(s, (size_t)(lf - s), fn, arg)) != 0)
			return r;
		*over = false;
		s = lf + 1;
	}
	list->len = (size_t)(end - s);
	if (list->len == sizeof(list->buf)) {
		if (!*over && (r = text_line(s, list->len, fn, arg)) != 0)
			return r;
		*over = true;
	}
	if (*over)
		list->len = 0;
	memmove(list->buf, s, list->len);
	return 0;
}

static int
text_each(struct list *list, each *fn, void *arg)
{
	off_t at = (off_t)list->len;
	bool over = false;
	ssize_t n = (ssize_t)list->len;
	int r;

	while (n > 0) {
		if ((r = text_block(list, &over, fn, arg)) != 0)
			return r;
		n = pread(list->fd, list->buf + list->len,
		    sizeof(list->buf) - list->len, at);
		if (n == -1)
			return -1;
		list->len += (size_t)n;
		at += n;
	}
	/* The last line may lack its end. */
	return list->len == 0 || over ? 0 :
	    text_line(list->buf, list->len, fn, arg);
}

/* cdb(5), D. J. Bernstein's constant database. */

static int
cdb_read(const struct list *list, char *buf, size_t len, off_t at)
{
	ssize_t n = pread(list->fd, buf, len, at);

	if (n == (ssize_t)len)
		return 0;
	if (n != -1)
		errno = EBADMSG;
	return -1;
}

/* Is the record at this place the key's? */
static int
cdb_is(const struct list *list, off_t at, const struct key *key)
{
	char head[CDB_RECORD], text[KEY_SIZE];

	if (cdb_read(list, head, sizeof(head), at) == -1)
		return -1;
	if (u32(head) != key->len)
		return 0;
	if (cdb_read(list, text, key->len, at + CDB_RECORD) == -1)
		return -1;
	return memcmp(text, key->text, key->len) == 0;
}

static int
cdb_find(const struct list *list, const struct key *key)
{
	char slot[8];
	const char *table;
	uint32_t hash = 5381, len, i, n, at;
	int r;

	for (n = 0; n < key->len; n++)
		hash = (hash * 33) ^ (unsigned char)key->text[n];
	table = list->buf + hash % 256 * 8;
	len = u32(table + 4);
	i = len == 0 ? 0 : (hash >> 8) % len;
	for (n = 0; n < len; n++) {
		if (cdb_read(list, slot, sizeof(slot),
		    u32(table) + (off_t)i * 8) == -1)
			return -1;
		if ((at = u32(slot + 4)) == 0)
			return 0;
		if (at >= list->st.st_size) {
			errno = EBADMSG;
			return -1;
		}
		if (u32(slot) == hash && (r = cdb_is(list, at, key)) != 0)
			return r;
		i = i + 1 == len ? 0 : i + 1;
	}
	return 0;
}

/* The records lie between the header and the first of the tables. */
static int
cdb_each(struct list *list, each *fn, void *arg)
{
	char head[CDB_RECORD], text[KEY_SIZE];
	off_t at = CDB_HEADER, end = list->st.st_size;
	size_t i, len;
	int r;

	for (i = 0; i < CDB_HEADER; i += 8)
		if ((off_t)u32(list->buf + i) < end)
			end = u32(list->buf + i);
	while (at < end) {
		if (cdb_read(list, head, sizeof(head), at) == -1)
			return -1;
		len = u32(head);
		if (len > sizeof(text))
			len = sizeof(text);
		if (cdb_read(list, text, len, at + CDB_RECORD) == -1)
			return -1;
		if ((r = fn(arg, text, len)) != 0)
			return r;
		at += CDB_RECORD + (off_t)u32(head) + u32(head + 4);
	}
	return 0;
}

/* The answer. */

/* 1: it is in the list, 0: it is not, -1 with errno: unknown. */
static int
look_up(const char *path, struct keys *keys)
{
	struct list *list = &the_list;
	int found = 0;
	size_t i;

	if (list_start(list, path) == -1)
		return -1;
	if (!is_cdb(list))
		found = text_each(list, match_line, keys);
	else
		for (i = 0; i < keys->n && found == 0; i++)
			found = cdb_find(list, &keys->key[i]);
	return list_finish(list) == -1 ? -1 : found;
}

static bool
recipients_wanted(const struct settings *settings)
{
	return settings->recipients != NULL;
}

/* Before the sandbox closes.  A fault is reported when the list is needed. */
static void
recipients_start(struct connection *c)
{
	(void)list_open(&the_list, c->settings.recipients);
}

/* Accept, 550 5.1.1, or 451 if the list can't be read. */
static struct session_verdict
recipients_rcpt(struct connection *c, const struct session_rcpt *rcpt)
{
	const char *path = rcpt->path;
	struct keys keys;
	int found;

	/* RFC 5321 section 4.5.1: postmaster without a domain always works. */
	keys.n = 0;
	if (strchr(path, '@') != NULL &&
	    !make_keys(&keys, path, c->settings.recipient_delimiter))
		return verdict_refuse(550, "5.1.1", "No such recipient here");
	found = look_up(c->settings.recipients, &keys);
	if (found == 1 || (found == 0 && keys.n == 0))
		return verdict_accept();
	if (found == 0)
		return verdict_refuse(550, "5.1.1", "No such recipient here");
	log_error(errno, "recipients", c->settings.recipients);
	return verdict_refuse(451, "4.3.0", "List of recipients unavailable");
}

/* -t */

static void
test_fault(struct test *test, const char *what)
{
	if (test->faults++ < FAULTS_SHOWN)
		warnx("recipients: %s: %u: %s", test->path, test->line, what);
}

/*
 * user@domain, @domain, user@ or @, with nothing in it that no address could
 * have, such as the comma of a list.
 */
static bool
is_entry(const struct key *key)
{
	const char *at = strrchr(key->text, '@');
	char path[KEY_SIZE + 16];

	if (strpbrk(key->text, "<>") != NULL)
		return false;
	snprintf(path, sizeof(path), "%s%s%s", at == key->text ? "x" : "",
	    key->text, at[1] == '\0' ? "x" : "");
	return address_mailbox(path);
}

static int
test_text(void *arg, const char *line, size_t len)
{
	struct test *test = arg;
	struct key key;

	test->line++;
	if (len == 0 || line[0] == '#')
		return 0;
	len = word_length(line, len);
	test->entries++;
	/* Postmaster need not be in a list, but may be. */
	if (!address_is_postmaster(line, len) &&
	    !(normalize(&key, line, len) && is_entry(&key)))
		test_fault(test, "not user@domain, @domain, user@ or @");
	return 0;
}

/* Only keys in normal form are ever looked for. */
static int
test_record(void *arg, const char *text, size_t len)
{
	struct test *test = arg;
	struct key key;

	test->line++;
	test->entries++;
	if (address_is_postmaster(text, len))
		return 0;
	if (!normalize(&key, text, len) || !is_entry(&key))
		test_fault(test, "key is not user@domain, @domain, user@ or @");
	else if (key.len != len || memcmp(key.text, text, len) != 0)
		test_fault(test, "key is never found: it has capital letters "
		    "or needless quotes");
	return 0;
}

static int
test_list(struct list *list, struct test *test)
{
	bool cdb;
	int r;

	if (list_start(list, test->path) == -1)
		return -1;
	cdb = is_cdb(list);
	if (cdb)
		r = cdb_each(list, test_record, test);
	else
		r = text_each(list, test_text, test);
	if (!cdb && list->st.st_size > TEXT_SLOW)
		warnx("recipients: %s: %u lines are read for each recipient; "
		    "a cdb is faster", test->path, test->line);
	return list_finish(list) == -1 ? -1 : r;
}

static int
recipients_check(const struct settings *settings)
{
	struct test test = { .path = settings->recipients };

	if (test.path == NULL)
		return 0;
	if (test_list(&the_list, &test) == -1) {
		warn("recipients: %s", test.path);
		test.faults++;
	} else if (test.entries == 0) {
		warnx("recipients: %s: it names nobody", test.path);
		test.faults++;
	}
	return (int)test.faults;
}

const struct filter recipients_filter = {
	.name = "recipients", .wanted = recipients_wanted,
	.start = recipients_start, .rcpt = recipients_rcpt,
	.check = recipients_check
};
