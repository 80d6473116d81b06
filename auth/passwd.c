/* SPDX-License-Identifier: ISC */
/*
 * passwd.c - the file of users: "user:hash" lines.
 *
 * A hash is one of crypt(3) that starts with "$", perhaps after the name that
 * Dovecot gives it ("{BLF-CRYPT}"), or "{SCRAM-SHA-256}" and a verifier.
 * Anything after a second colon is ignored, as are empty lines and lines that
 * start with "#".  The first of several entries for a user counts.
 *
 * The file is read a block at a time and always up to its end, so that time
 * does not tell where in it a user is, or whether at all.  With 100 000 users
 * that takes about 2 ms, less than any hash worth its name; a binary search
 * would need a sorted file, and tell who is not in it.  Mapping the file would
 * not be faster, and would mean a SIGBUS if it is truncated meanwhile.
 *
 * For a user who is not there the same work is done on somebody else's entry,
 * chosen by a secret and the user's name, so that it is always the same one and
 * each kind of hash is met as often as it is in the file.  The salt that SCRAM
 * shows for such a user is made from the secret and the name, too, with the
 * length and the iterations of the file's first verifier.  The secret is made
 * from the machine's id: clients don't know it, it is the same in all
 * processes, and it outlives every change of the file.  (A salt that changed
 * with the file would tell who is not in it.)  A machine without an id, such as
 * a container, uses the beginning of the file instead.
 */
#include <sys/types.h>
#include <sys/stat.h>

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <err.h>

#include "auth.h"

#define BLOCK		65536	/* the longest line */
#define SECRET_FROM	4096	/* octets of the file */
#define MACHINE_ID_LEN	32	/* in hexadecimal */

struct line {
	const char	*text;
	size_t		 len;
	off_t		 at;		/* offset of its end */
	const char	*user;
	size_t		 user_len;
	const char	*hash;
	size_t		 hash_len;
};

struct entry {
	bool		 scram;		/* which of the two it is */
	struct verifier	 verifier;
	char		 hash[CRYPT_OUTPUT_SIZE];
};

static struct {
	bool		 open;
	int		 fd;
	const char	*setting;	/* that names the file */
	const char	*path;
	bool		 names;		/* there are no hashes in it */
	unsigned char	 secret[CRYPTO_HASH];	/* of decoys */
	off_t		 offset;	/* of what is to be read next */
	size_t		 start, end;	/* of what is not scanned yet */
	size_t		 used;		/* of the block, to be cleared */
	char		 block[BLOCK];
	struct crypt_data crypt;
} passwd;		/* untouched pages cost nothing */

_Static_assert(AUTH_PASSWORD_MAX == CRYPT_MAX_PASSPHRASE_SIZE,
    "the longest password that crypt(3) takes");

static const char scram_prefix[] = "{SCRAM-SHA-256}";

/* Those of Dovecot's schemes whose value is one of crypt(3)'s. */
static const char *const crypt_prefixes[] = {
	"", "{CRYPT}", "{BLF-CRYPT}", "{SHA512-CRYPT}", "{SHA256-CRYPT}",
	"{MD5-CRYPT}"
};
#define NPREFIXES	nitems(crypt_prefixes)

static void
first_line(void)
{
	passwd.offset = 0;
	passwd.start = passwd.end = 0;
}

/* Read more after what is not scanned yet: 1, 0 at the file's end, or -1. */
static int
more(void)
{
	ssize_t n;

	passwd.end -= passwd.start;
	memmove(passwd.block, passwd.block + passwd.start, passwd.end);
	passwd.start = 0;
	if (passwd.end == BLOCK) {
		errno = E2BIG;
		return -1;
	}
	do
		n = pread(passwd.fd, passwd.block + passwd.end,
		    BLOCK - passwd.end, passwd.offset);
	while (n == -1 && errno == EINTR);
	if (n <= 0)
		return (int)n;
	passwd.end += (size_t)n;
	passwd.offset += n;
	if (passwd.used < passwd.end)
		passwd.used = passwd.end;
	return 1;
}

/* 1, or 0 at the end of the file, or -1 with errno. */
static int
next_line(struct line *line)
{
	char *text, *newline;
	size_t left;
	int n = 1;

	for (;;) {
		text = passwd.block + passwd.start;
		left = passwd.end - passwd.start;
		newline = memchr(text, '\n', left);
		if (newline != NULL || n == 0)
			break;
		if ((n = more()) == -1)
			return -1;
	}
	if (newline == NULL && left == 0)
		return 0;
	line->text = text;
	line->len = newline == NULL ? left : (size_t)(newline - text);
	passwd.start += line->len + (newline != NULL);
	line->at = passwd.offset - (off_t)(passwd.end - passwd.start);
	return 1;
}

/* Only what was used: memory that was never touched costs nothing. */
static void
forget(void)
{
	explicit_bzero(passwd.block, passwd.used);
	passwd.used = passwd.start = passwd.end = 0;
}

static int
open_file(const char *setting, const char *path)
{
	struct stat st;

	passwd.setting = setting;
	passwd.path = path;
	passwd.names = strcmp(setting, "auth-users") == 0;
	if (passwd.open)
		close(passwd.fd);
	passwd.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	passwd.open = passwd.fd != -1;
	if (!passwd.open)
		return -1;
	if (fstat(passwd.fd, &st) == 0 && S_ISREG(st.st_mode))
		return 0;
	close(passwd.fd);
	passwd.open = false;
	errno = EINVAL;
	return -1;
}

static int
failed(void)
{
	log_error(errno, passwd.setting, passwd.path);
	return -1;
}

/* Read this many octets from the beginning; -1 with errno. */
static ssize_t
beginning(int fd, size_t size)
{
	ssize_t n;

	n = pread(fd, passwd.block, size, 0);
	if (n > 0 && passwd.used < (size_t)n)
		passwd.used = (size_t)n;
	return n;
}

/* A key for this program alone, as machine-id(5) asks. */
static int
make_secret(void)
{
	static const char name[] = "smtpd: users who are not there";
	ssize_t n = -1;
	int fd, rc;

	if ((fd = open(MACHINE_ID, O_RDONLY | O_CLOEXEC)) != -1) {
		n = beginning(fd, MACHINE_ID_LEN);
		close(fd);
	}
	if (n != MACHINE_ID_LEN)
		n = beginning(passwd.fd, SECRET_FROM);
	if (n == -1)
		return failed();
	rc = crypto_hmac(passwd.block, (size_t)n, name, sizeof(name),
	    passwd.secret);
	forget();
	return rc;
}

int
passwd_open(const char *setting, const char *path)
{
	if (open_file(setting, path) == -1)
		return failed();
	return make_secret();
}

/* Find user and hash; false: there are none. */
static bool
fields(struct line *line)
{
	const char *colon, *end = line->text + line->len;

	if (line->len == 0 || line->text[0] == '#')
		return false;
	colon = memchr(line->text, ':', line->len);
	if (colon == NULL || colon == line->text)
		return false;
	line->user = line->text;
	line->user_len = (size_t)(colon - line->text);
	line->hash = colon + 1;
	colon = memchr(line->hash, ':', (size_t)(end - line->hash));
	line->hash_len = (size_t)((colon == NULL ? end : colon) - line->hash);
	return true;
}

static bool
is_scram(const struct line *line)
{
	return line->hash_len >= sizeof(scram_prefix) - 1 &&
	    memcmp(line->hash, scram_prefix, sizeof(scram_prefix) - 1) == 0;
}

/* Is it a hash that we can use? */
static bool
parse_entry(const struct line *line, struct entry *entry)
{
	const char *hash = line->hash;
	size_t i, n, len = line->hash_len;
	int salt;

	memset(entry, 0, sizeof(*entry));
	if (is_scram(line)) {
		entry->scram = true;
		n = sizeof(scram_prefix) - 1;
		return verifier_parse(hash + n, len - n, &entry->verifier);
	}
	for (i = 0; i < NPREFIXES; i++) {
		n = strlen(crypt_prefixes[i]);
		if (len > n && hash[n] == '$' &&
		    strncasecmp(hash, crypt_prefixes[i], n) == 0)
			break;
	}
	if (i == NPREFIXES || !auth_keep(entry->hash, sizeof(entry->hash),
	    hash + n, len - n) || !auth_text(entry->hash))
		return false;
	salt = crypt_checksalt(entry->hash);
	return salt == CRYPT_SALT_OK || salt == CRYPT_SALT_METHOD_LEGACY ||
	    salt == CRYPT_SALT_TOO_CHEAP;
}

int
passwd_has_verifier(void)
{
	struct entry entry;
	struct line line;
	int n;

	first_line();
	while ((n = next_line(&line)) == 1)
		if (fields(&line) && is_scram(&line) &&
		    parse_entry(&line, &entry))
			break;
	forget();
	explicit_bzero(&entry, sizeof(entry));
	return n == -1 ? failed() : n;
}

/* Find the name on a line of auth-users; false: there is none. */
static bool
name_alone(struct line *line)
{
	line->user = line->text;
	line->user_len = line->len;
	line->hash_len = 0;
	return line->len > 0 && line->text[0] != '#';
}

int
passwd_lists(const char *user)
{
	struct line line;
	size_t len = strlen(user);
	bool listed = false, seen = false;
	int n;

	first_line();
	while ((n = next_line(&line)) == 1)
		if (!seen && (passwd.names ? name_alone(&line) :
		    fields(&line)) && line.user_len == len &&
		    memcmp(line.user, user, len) == 0) {
			seen = true;
			listed = line.hash_len == 0 || line.hash[0] != '!';
		}
	forget();
	return n == -1 ? failed() : listed;
}

static bool
is_user(const struct line *line, const char *user, size_t len)
{
	return line->len > len && line->text[len] == ':' &&
	    line->text[0] != '#' && memcmp(line->text, user, len) == 0;
}

/* Where in the file to look for the entry that stands for an unknown user. */
static int
decoy_offset(const char *user, off_t *offset)
{
	unsigned char key[CRYPTO_HASH];
	struct stat st;
	uint64_t n;

	*offset = 0;
	if (fstat(passwd.fd, &st) == -1 || crypto_hmac(passwd.secret,
	    sizeof(passwd.secret), user, strlen(user), key) == -1)
		return -1;
	memcpy(&n, key, sizeof(n));
	if (st.st_size > 0)
		*offset = (off_t)(n % (uint64_t)st.st_size);
	return 0;
}

/*
 * One pass: the user's own entry, and the first usable one behind the decoy's
 * offset, or else the first one.
 */
static int
scan_users(const char *user, bool scram, off_t offset, struct entry *own,
    struct entry *decoy)
{
	struct entry entry;
	struct line line;
	size_t len = strlen(user);
	bool any = false, beyond = false, known = false, seen = false;
	int n;

	first_line();
	while ((n = next_line(&line)) == 1) {
		if (!seen && is_user(&line, user, len)) {
			seen = true;
			known = fields(&line) && parse_entry(&line, own) &&
			    (!scram || own->scram);
		} else if ((!any || (!beyond && line.at > offset)) &&
		    fields(&line) && parse_entry(&line, &entry) &&
		    (!scram || entry.scram)) {
			*decoy = entry;
			any = true;
			beyond = line.at > offset;
		}
	}
	explicit_bzero(&entry, sizeof(entry));
	return n == -1 ? -1 : known;
}

/*
 * 1 with the user's own entry, 0 with the decoy's, or -1: logged.  A name with
 * a colon could match two fields of a line.
 */
static int
find_user(const char *user, bool scram, off_t offset, struct entry *entry)
{
	struct entry decoy = { 0 };
	int found;

	memset(entry, 0, sizeof(*entry));
	found = scan_users(strchr(user, ':') != NULL ? "" : user, scram, offset,
	    entry, &decoy);
	if (found == 0)
		*entry = decoy;
	forget();
	explicit_bzero(&decoy, sizeof(decoy));
	return found == -1 ? failed() : found;
}

/* The salt is shown to the client: not another user's. */
static int
decoy_salt(const char *user, struct verifier *v)
{
	char text[AUTH_USER_MAX + 2] = "1";
	size_t n = 1 + strlcpy(text + 1, user, sizeof(text) - 1);

	_Static_assert(sizeof(v->salt) == 2 * CRYPTO_HASH, "two hashes");
	if (crypto_hmac(passwd.secret, sizeof(passwd.secret), text, n,
	    v->salt) == -1)
		return -1;
	text[0] = '2';
	return crypto_hmac(passwd.secret, sizeof(passwd.secret), text, n,
	    v->salt + CRYPTO_HASH);
}

int
passwd_verifier(const char *user, struct verifier *v)
{
	struct entry entry;
	int found = find_user(user, true, 0, &entry);

	*v = entry.verifier;
	explicit_bzero(&entry, sizeof(entry));
	if (found == 0 && decoy_salt(user, v) == -1)
		return -1;
	return found;
}

/* 1, 0, or -1: logged. */
static int
crypt_password(const char *hash, const char *password)
{
	const char *result;
	int error, right;

	if (hash[0] == '\0')	/* a file without users */
		return 0;
	errno = 0;
	result = crypt_rn(password, hash, &passwd.crypt,
	    (int)sizeof(passwd.crypt));
	error = errno;
	right = result != NULL && crypto_equal(result, strlen(result), hash,
	    strlen(hash));
	explicit_bzero(&passwd.crypt, sizeof(passwd.crypt));
	if (result != NULL || error == EINVAL || error == ERANGE)
		return right;
	log_error(error, "crypt", NULL);
	return -1;
}

enum auth_result
passwd_verify(const char *user, const char *password)
{
	struct entry entry;
	off_t offset;
	int known, right;

	if (decoy_offset(user, &offset) == -1 ||
	    (known = find_user(user, false, offset, &entry)) == -1)
		return AUTH_BROKEN;
	right = entry.scram ? verifier_password(&entry.verifier, password) :
	    crypt_password(entry.hash, password);
	explicit_bzero(&entry, sizeof(entry));
	if (right == -1)
		return AUTH_BROKEN;
	return known == 1 && right == 1 ? AUTH_RIGHT : AUTH_WRONG;
}

/* An account that is locked on purpose ("!" or "*") is not a mistake. */
static bool
locked(const struct line *line)
{
	return line->hash_len > 0 && strchr("!*", line->hash[0]) != NULL;
}

/* Is it as long as crypt(5) says?  No password matches one that is cut off. */
static bool
is_whole(const char *hash)
{
	static const struct { const char *prefix; size_t len; } digests[] = {
		{ "$1$", 22 }, { "$2", 53 }, { "$5$", 43 }, { "$6$", 86 },
		{ "$7$", 43 }, { "$gy$", 43 }, { "$y$", 43 }
	};
	const char *digest = strrchr(hash, '$');
	size_t i;

	for (i = 0; i < nitems(digests); i++)
		if (strncmp(hash, digests[i].prefix,
		    strlen(digests[i].prefix)) == 0)
			return strlen(digest + 1) == digests[i].len;
	return true;
}

/* What is wrong with it, or NULL. */
static const char *
hash_fault(const struct line *line)
{
	struct entry entry;

	if (locked(line))
		return NULL;
	if (!parse_entry(line, &entry))
		return "no hash that can be used";
	return entry.scram || is_whole(entry.hash) ? NULL :
	    "the hash is cut off, or too long";
}

static int
check_line(struct line *line, unsigned long number)
{
	char user[AUTH_USER_MAX + 1];
	const char *wrong = NULL;

	if (line->len == 0 || line->text[0] == '#')
		return 0;
	if (!(passwd.names ? name_alone(line) : fields(line)))
		wrong = "not user:hash";
	else if (!auth_keep(user, sizeof(user), line->user, line->user_len) ||
	    !auth_text(user))
		wrong = "not a user name";
	else if (!passwd.names)
		wrong = hash_fault(line);
	if (wrong == NULL)
		return 0;
	warnx("%s: %s: line %lu: %s", passwd.setting, passwd.path, number,
	    wrong);
	return 1;
}

int
passwd_check(const char *setting, const char *path)
{
	struct line line;
	unsigned long number = 0;
	int n, problems = 0;

	if (open_file(setting, path) == -1) {
		warn("%s: %s", setting, path);
		return 1;
	}
	first_line();
	while ((n = next_line(&line)) == 1)
		problems += check_line(&line, ++number);
	if (n == -1) {
		warn("%s: %s: line %lu", setting, path, number + 1);
		problems++;
	}
	return passwd.names ? problems :
	    problems + inspect_secret(setting, path);
}
