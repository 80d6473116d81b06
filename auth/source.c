/* SPDX-License-Identifier: ISC */
/*
 * source.c - who is asked about a user: the file, here or in another process,
 * or a program.
 *
 * A process for one connection opens the file itself.  Where one process
 * serves many, sessions have no file: a separate process has it (source_open(),
 * source_answer()), and the sessions ask that (source_elsewhere()), so that
 * none of them can read a hash.
 */
#include <string.h>

#include "auth.h"
#include "runner.h"

static struct {
	bool		 opened;	/* the file, or an attempt */
	bool		 broken;	/* it can't be used */
	auth_asker	*asker;		/* NULL: this process answers */
} source;

/* The file of those who are known here: auth-file, or only their names. */
void
source_open(const struct settings *s)
{
	bool passwords = s->auth_file != NULL && !s->auth_any;

	if (source.asker != NULL || source.opened || s->auth == AUTH_OFF ||
	    (!passwords && (s->auth_mechanisms & MECHANISM_EXTERNAL) == 0))
		return;
	source.opened = true;
	if (s->auth_file != NULL)
		source.broken = passwd_open("auth-file", s->auth_file) == -1;
	else
		source.broken = passwd_open("auth-users", s->auth_users) == -1;
}

void
source_elsewhere(auth_asker *asker)
{
	source.asker = asker;
}

static enum auth_result
answer_proof(const struct auth_question *q, struct auth_answer *a)
{
	struct verifier v;
	int known = passwd_verifier(q->user, &v), right = -1;

	if (known != -1)
		right = verifier_proof(&v, q->message, q->proof, a->signature);
	explicit_bzero(&v, sizeof(v));
	if (right == 1 && known == 1)
		return AUTH_RIGHT;
	explicit_bzero(a->signature, sizeof(a->signature));
	return right == -1 ? AUTH_BROKEN : AUTH_WRONG;
}

static enum auth_result
answer_salt(const struct auth_question *q, struct auth_answer *a)
{
	struct verifier v;
	int known = passwd_verifier(q->user, &v);

	a->iterations = v.iterations;
	a->salt_len = v.salt_len;
	memcpy(a->salt, v.salt, sizeof(a->salt));
	explicit_bzero(&v, sizeof(v));
	return known == -1 ? AUTH_BROKEN : AUTH_RIGHT;
}

static enum auth_result
result_of(int yes)
{
	return yes == -1 ? AUTH_BROKEN : yes ? AUTH_RIGHT : AUTH_WRONG;
}

static enum auth_result
answer_question(const struct auth_question *q, struct auth_answer *a)
{
	if (!source.opened || source.broken)
		return AUTH_BROKEN;
	switch (q->what) {
	case AUTH_ASK_SCRAM:
		return result_of(passwd_has_verifier());
	case AUTH_ASK_LISTED:
		return result_of(passwd_lists(q->user));
	case AUTH_ASK_PASSWORD:
		return passwd_verify(q->user, q->password);
	case AUTH_ASK_SALT:
		return answer_salt(q, a);
	case AUTH_ASK_PROOF:
		return answer_proof(q, a);
	}
	return AUTH_BROKEN;
}

static bool
is_string(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* A question from another process may be anything. */
int
source_answer(const struct auth_question *q, struct auth_answer *a)
{
	memset(a, 0, sizeof(*a));
	a->result = AUTH_BROKEN;
	if (!is_string(q->user, sizeof(q->user)) ||
	    !is_string(q->password, sizeof(q->password)) ||
	    !is_string(q->message, sizeof(q->message)))
		return -1;
	a->result = answer_question(q, a);
	return 0;
}

enum auth_result
source_ask(const struct auth_question *q, struct auth_answer *a)
{
	int rc = (source.asker != NULL ? source.asker : source_answer)(q, a);

	/* Nor is the answer from there trusted. */
	if (rc == -1 || a->salt_len > sizeof(a->salt))
		a->result = AUTH_BROKEN;
	return a->result;
}

enum auth_result
source_verify(const struct connection *c, const char *user,
    const char *password)
{
	const struct settings *s = &c->settings;
	struct auth_question q = { .what = AUTH_ASK_PASSWORD };
	struct auth_answer a;

	if (s->auth_any)
		return AUTH_RIGHT;
	if (s->auth_file == NULL)
		return runner_check_password(c, user, password);
	strlcpy(q.user, user, sizeof(q.user));
	strlcpy(q.password, password, sizeof(q.password));
	source_ask(&q, &a);
	explicit_bzero(&q, sizeof(q));
	return a.result;
}
