/* SPDX-License-Identifier: ISC */
/*
 * split - the engine, in process: however its input is cut up, however late
 * the hooks answer and however slowly the output is taken, the replies, the
 * hooks' calls and the messages are the same.
 *
 *	split [-l] [-n] [-s] file
 *
 * -l: LMTP; -n: line ends as LF; -s: nothing is tolerated.  The replies go to
 * standard output.
 */
#define _GNU_SOURCE	/* memmem */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"

#define RANDOM_RUNS	300

struct text {
	char	*p;
	size_t	 len, size;
};

struct run {
	bool		 late;		/* hooks answer SESSION_LATER */
	bool		 slowly;	/* output is taken by the octet */
	bool		 rewrite;	/* the input may be changed */
	struct session_verdict verdict;	/* what they would have said */
	bool		 challenge;
	unsigned	 steps;		/* of an exchange of AUTH */
	struct text	 out, calls, body;
};

static struct session_config config = {
	.size = sizeof(config),
	.hostname = "mx.test",
	.extensions = ~0u & ~SESSION_EXT_STARTTLS,
	.auth_cleartext = true,
	.max_size = 600,
	.max_recipients = 3,
	.max_messages = 20,
	.max_errors = 60,
	.max_junk = 40,
	.max_auth_failures = 3,
	.max_hops = 4,
};

static const struct session_verdict yes = { .kind = SESSION_ACCEPT };
static const struct session_verdict no = {
	SESSION_REFUSE, 550, "5.7.9", "refused by hook"
};
static const struct session_verdict wait_a_bit = {
	SESSION_REFUSE, 450, "4.7.9", "not yet"
};

static void
add(struct text *t, const char *p, size_t n)
{
	if (t->size - t->len < n) {
		t->size = (t->size + n) * 2;
		if ((t->p = realloc(t->p, t->size)) == NULL)
			err(2, NULL);
	}
	memcpy(t->p + t->len, p, n);
	t->len += n;
}

static void
note(struct run *r, const char *call, const char *what)
{
	add(&r->calls, call, strlen(call));
	add(&r->calls, " ", 1);
	add(&r->calls, what, strlen(what));
	add(&r->calls, "\n", 1);
}

static void
answer(struct run *r, struct session_verdict *to, struct session_verdict v)
{
	if (!r->late)
		*to = v;
	else
		to->kind = SESSION_LATER;
	r->verdict = v;
}

static struct session_verdict
judge(const char *text)
{
	if (strstr(text, "refuse") != NULL)
		return no;
	return strstr(text, "wait") != NULL ? wait_a_bit : yes;
}

static void
on_helo(void *arg, const char *name, struct session_verdict *v)
{
	note(arg, "helo", name);
	answer(arg, v, judge(name));
}

static void
on_mail(void *arg, const struct session_mail *m, struct session_verdict *v)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s size=%llu body=%d utf8=%d auth=%s "
	    "ret=%s envid=%s priority=%d", m->path,
	    (unsigned long long)m->size, m->body, m->utf8,
	    m->auth != NULL ? m->auth : "", m->ret != NULL ? m->ret : "",
	    m->envid != NULL ? m->envid : "", m->priority);
	note(arg, "mail", line);
	answer(arg, v, judge(m->path));
}

static void
on_rcpt(void *arg, const struct session_rcpt *m, struct session_verdict *v)
{
	note(arg, "rcpt", m->path);
	note(arg, "notify", m->notify != NULL ? m->notify : "");
	note(arg, "orcpt", m->orcpt != NULL ? m->orcpt : "");
	answer(arg, v, judge(m->path));
}

static void
on_data(void *arg, struct session_verdict *v)
{
	note(arg, "data", "");
	answer(arg, v, yes);
}

static bool
on_body(void *arg, const char *p, size_t n)
{
	struct run *r = arg;

	add(&r->body, p, n);
	return true;
}

static void
on_end(void *arg, uint64_t size, unsigned recipient, struct session_verdict *v)
{
	struct run *r = arg;
	char line[64];
	bool bad;

	snprintf(line, sizeof(line), "%llu for %u", (unsigned long long)size,
	    recipient);
	note(r, "end", line);
	add(&r->calls, r->body.p != NULL ? r->body.p : "", r->body.len);
	bad = r->body.len > 0 &&
	    memmem(r->body.p, r->body.len, "REFUSE", 6) != NULL;
	answer(r, v, bad ? no : yes);
}

/* How much of a refused message was given depends on the cuts. */
static void
on_reset(void *arg)
{
	struct run *r = arg;

	note(r, "reset", "");
	r->body.len = 0;
}

static void
on_verify(void *arg, const char *what, bool expand, struct session_verdict *v)
{
	note(arg, expand ? "expn" : "vrfy", what);
	answer(arg, v, judge(what));
}

static const char *
on_mechanisms(void *arg)
{
	(void)arg;
	return "PLAIN LOGIN";
}

static void
on_auth(void *arg, struct session_sasl *x, struct session_verdict *v)
{
	struct run *r = arg;
	bool right = x->input_len == 2 &&
	    memcmp(x->input, "ok", 2) == 0;

	note(r, "auth", x->mechanism);
	if (x->have_input)
		add(&r->calls, (const char *)x->input, x->input_len);
	if (x->first)
		r->steps = 0;
	if (!x->have_input && r->steps++ == 0) {
		r->challenge = true;
		v->kind = r->late ? SESSION_LATER : SESSION_CHALLENGE;
		memcpy(x->challenge, "who?", 4);
		x->challenge_len = 4;
		return;
	}
	answer(r, v, right ? yes : (struct session_verdict){
	    .kind = SESSION_REFUSE, .code = 535 });
}

static void
on_auth_end(void *arg)
{
	note(arg, "auth_end", "");
}

static void
on_event(void *arg, enum session_event event, const char *why)
{
	(void)event;
	note(arg, "event", why);
}

static const struct session_hooks hooks = {
	.helo = on_helo, .mail = on_mail, .rcpt = on_rcpt, .data = on_data,
	.size = sizeof(hooks), .body = on_body, .end = on_end,
	.reset = on_reset,
	.verify = on_verify, .mechanisms = on_mechanisms, .auth = on_auth,
	.auth_end = on_auth_end, .event = on_event,
};

static void
drain(struct run *r, struct session *s)
{
	const char *p;
	size_t n = session_output(s, &p);

	if (r->slowly && n > 1)
		n = 1;
	add(&r->out, p, n);
	session_sent(s, n);
}

static void
decide(struct run *r, struct session *s)
{
	if (r->challenge)
		session_challenge(s, (const unsigned char *)"who?", 4);
	else
		session_answer(s, &r->verdict);
	r->challenge = false;
}

/* One piece of input; true while the session lives. */
static bool
feed(struct run *r, struct session *s, const char *p, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);	/* for the sanitizer */
	size_t used = 0;

	if (copy == NULL)
		err(2, NULL);
	memcpy(copy, p, len);
	while (session_want(s) != SESSION_CLOSE) {
		if (session_want(s) == SESSION_ANSWER)
			decide(r, s);
		else if (session_want(s) == SESSION_FLUSH)
			drain(r, s);
		else if (used == len)
			break;
		else
			used += r->rewrite ?
			    session_rewrite(s, copy + used, len - used) :
			    session_input(s, copy + used, len - used);
	}
	free(copy);
	return session_want(s) != SESSION_CLOSE;
}

static void
finish(struct run *r, struct session *s)
{
	const char *p;

	session_hangup(s);
	while (session_output(s, &p) > 0)
		drain(r, s);
}

/* The next piece's length: all, at, or at random. */
static size_t
piece(size_t left, size_t at, unsigned *seed)
{
	size_t n = at;

	if (*seed != 0) {
		*seed = *seed * 1103515245 + 12345;
		n = 1 + (*seed >> 16) % 40;
	}
	return n == 0 || n > left ? left : n;
}

static struct run
run(const struct text *in, size_t first, size_t then, unsigned seed,
    unsigned mode)
{
	static struct session_buffers buffers;
	static struct session s;
	struct run r = { .late = mode & 1, .slowly = mode & 2,
	    .rewrite = mode & 4 };
	size_t i, n;

	memset(&s, 0xa5, sizeof(s));
	memset(&buffers, 0xa5, sizeof(buffers));
	session_init(&s, &buffers, &config, &hooks, &r);
	for (i = 0; i < in->len; i += n) {
		n = piece(in->len - i, i == 0 ? first : then, &seed);
		if (!feed(&r, &s, in->p + i, n))
			break;
	}
	finish(&r, &s);
	return r;
}

static bool
same(const struct text *a, const struct text *b)
{
	return a->len == b->len &&
	    (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

static void
compare(const struct run *want, struct run r, const char *how, size_t n,
    unsigned mode)
{
	if (!same(&want->out, &r.out) || !same(&want->calls, &r.calls)) {
		fprintf(stderr, "%s %zu, mode %u: wanted\n%.*s%.*s-- got\n"
		    "%.*s%.*s", how, n, mode, (int)want->out.len, want->out.p,
		    (int)want->calls.len, want->calls.p, (int)r.out.len,
		    r.out.p, (int)r.calls.len, r.calls.p);
		exit(1);
	}
	free(r.out.p);
	free(r.calls.p);
	free(r.body.p);
}

static void
slurp(const char *path, struct text *t)
{
	char buf[4096];
	FILE *f = fopen(path, "r");
	size_t n;

	if (f == NULL)
		err(2, "%s", path);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		add(t, buf, n);
	fclose(f);
}

int
main(int argc, char **argv)
{
	struct text in = { NULL, 0, 0 };
	struct run want;
	unsigned mode, seed;
	size_t at;
	int ch;

	while ((ch = getopt(argc, argv, "lns")) != -1) {
		config.lmtp |= ch == 'l';
		config.lf |= ch == 'n';
		config.strict |= ch == 's';
		config.refuse_stray |= ch == 's';
	}
	if (optind + 1 != argc)
		errx(2, "usage: split [-l] [-n] [-s] file");
	slurp(argv[optind], &in);
	want = run(&in, 0, 0, 0, 0);
	for (mode = 0; mode < 8; mode++) {
		compare(&want, run(&in, 1, 1, 0, mode), "octets", 1, mode);
		for (at = 0; at < in.len; at++)
			compare(&want, run(&in, at, 0, 0, mode), "cut at", at,
			    mode);
		for (seed = 1; seed <= RANDOM_RUNS; seed++)
			compare(&want, run(&in, 0, 0, seed, mode), "seed",
			    seed, mode);
	}
	fwrite(want.out.p, 1, want.out.len, stdout);
	compare(&want, want, "itself", 0, 0);
	free(in.p);
	return 0;
}
