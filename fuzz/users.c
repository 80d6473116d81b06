/* SPDX-License-Identifier: ISC */
/*
 * users.c - a libFuzzer target for the file of users: auth-file, with hashes
 * for crypt(3) and verifiers for SCRAM, or auth-users.
 *
 * An input is an octet that says which, a user, a line end, and the file.  What
 * is said of the user must be what a slow and obvious reader finds in it.  The
 * one right password is "right", and no hash of it is computed.
 */
#include <crypt.h>
#include <errno.h>

#include "auth.h"
#include "fuzz/file.h"
#include "fuzz/fuzz.h"
#include "session/base64.h"

#define RIGHT	"right"

int
inspect_secret(const char *setting, const char *path)
{
	(void)setting, (void)path;
	return 0;
}

/* The hashes. */

char *
crypt_rn(const char *password, const char *hash, void *data, int size)
{
	char *to = data;

	CHECK(hash[0] == '$' && auth_text(hash) && (int)strlen(hash) < size);
	if (strcmp(password, RIGHT) != 0) {
		errno = EINVAL;
		return NULL;
	}
	return memcpy(to, hash, strlen(hash) + 1);
}

int
verifier_password(const struct verifier *v, const char *password)
{
	CHECK(v->salt_len <= sizeof(v->salt));
	return strcmp(password, RIGHT) == 0;
}

/* The slow reader. */

struct field {
	const char	*text;
	size_t		 len;
};

/* The rest of the user's first line, if there is one. */
static bool
find(const char *s, size_t len, const char *user, bool names,
    struct field *rest)
{
	const char *end = s + len, *next;
	size_t n = strlen(user);

	for (; s < end; s = next + 1) {
		if ((next = memchr(s, '\n', (size_t)(end - s))) == NULL)
			next = end;
		rest->text = s + n;
		rest->len = (size_t)(next - s) - n;
		if (s == next || *s == '#' || (size_t)(next - s) < n ||
		    memcmp(s, user, n) != 0)
			continue;
		if (names ? rest->len == 0 : rest->len > 0 && n > 0 &&
		    s[n] == ':' && strchr(user, ':') == NULL)
			return true;
	}
	return false;
}

static bool
is_locked(const struct field *rest)
{
	return rest->len > 1 && rest->text[1] == '!';
}

/* What can be shown of it, shown, and read again. */
static void
check_verifier(const struct verifier *v)
{
	char text[512], salt[BASE64_MAX(AUTH_SALT_MAX)];
	char stored[BASE64_MAX(CRYPTO_HASH)], server[BASE64_MAX(CRYPTO_HASH)];
	struct verifier again;
	int n;

	CHECK(v->iterations > 0 && v->iterations <= 10000000);
	CHECK(v->salt_len > 0 && v->salt_len <= sizeof(v->salt));
	base64_encode(salt, v->salt, v->salt_len);
	base64_encode(stored, v->stored_key, CRYPTO_HASH);
	base64_encode(server, v->server_key, CRYPTO_HASH);
	n = snprintf(text, sizeof(text), "%u,%s,%s,%s", v->iterations, salt,
	    stored, server);
	CHECK(verifier_parse(text, (size_t)n, &again));
	CHECK(again.iterations == v->iterations &&
	    again.salt_len == v->salt_len &&
	    memcmp(again.salt, v->salt, v->salt_len) == 0 &&
	    memcmp(again.stored_key, v->stored_key, CRYPTO_HASH) == 0 &&
	    memcmp(again.server_key, v->server_key, CRYPTO_HASH) == 0);
}

static void
check_hashes(const char *user, bool there)
{
	struct verifier v, again;
	int any = passwd_has_verifier(), own = passwd_verifier(user, &v);

	CHECK(own == 0 || (own == 1 && there && any == 1));
	CHECK((v.iterations > 0) == (any == 1));
	if (own == 1)
		check_verifier(&v);
	else if (any == 1) {	/* a decoy is always the same */
		CHECK(passwd_verifier(user, &again) == 0);
		CHECK(memcmp(&v, &again, sizeof(v)) == 0);
	}
	if (passwd_verify(user, RIGHT) == AUTH_RIGHT)
		CHECK(there);
	else
		CHECK(own == 0);
}

static void
check(const char *user, const char *s, size_t len, bool names)
{
	const char *setting = names ? "auth-users" : "auth-file";
	struct field rest;
	bool there = find(s, len, user, names, &rest);

	file_begin(s, len);
	CHECK(passwd_open(setting, "users") == 0);
	CHECK(passwd_lists(user) == (there && (names || !is_locked(&rest))));
	if (!names)
		check_hashes(user, there);
	CHECK(passwd_verify(user, "wrong") == AUTH_WRONG);
	CHECK(passwd_check(setting, "users") >= 0);
	file_end();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *text = memchr(data, '\n', len);
	char *user;

	if (text == NULL || text == data || text - data > AUTH_USER_MAX)
		return 0;
	user = fuzz_string(data + 1, (size_t)(text - data) - 1);
	text++;
	check(user, (const char *)text, len - (size_t)(text - data),
	    *data % 2 != 0);
	free(user);
	return 0;
}
