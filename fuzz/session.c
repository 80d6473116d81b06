/* SPDX-License-Identifier: ISC */
/*
 * session.c - the engine under attack: a libFuzzer target, and with
 * -DSTANDALONE a test that runs the same checks over transcripts, cut at each
 * offset.
 *
 * However the input is cut, whether it may be rewritten, and whether the hooks
 * answer at once or later, the replies, the order of the hooks and the message
 * must be the same; replies must be well-formed, and hooks come only in an
 * order that RFC 5321 allows; and what is passed on of a message must be what a
 * slow and obvious decoder makes of the same octets.
 *
 * All of that is done for an input that takes a new way through the engine; the
 * others are only fed whole, which is a hundred times as fast.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define MAX_INPUT	(1 << 16)
#define MAX_SIZE	2000
#define CHECK(x)	do { if (!(x)) fail(#x, __LINE__); } while (0)

struct text {
	size_t	len;
	char	p[1 << 20];
};

/* One way to run an input, and what came of it. */
struct run {
	struct session_config config;
	struct session	 session;
	struct session_buffers buffers;
	bool		 quick;		/* nothing will be compared */
	bool		 later;		/* all hooks answer later */
	bool		 rewrite;	/* the input may be changed */
	unsigned	 closing;	/* the hook that ends the session */
	bool		 closed;
	bool		 asked;
	struct session_verdict answer;
	unsigned char	 challenge[8];
	struct text	 out, trace, body;

	bool		 greeted, mail, rcpt, data;	/* the model */
	unsigned	 ends;

	bool		 in_data;	/* the slow decoder */
	size_t		 message_ends;	/* end hooks before it */
	struct text	 raw;
};

static void
fail(const char *what, int line)
{
	fprintf(stderr, "line %d: %s\n", line, what);
	abort();
}

static void
add(struct text *t, const char *p, size_t n)
{
	if (n > sizeof(t->p) - t->len)
		n = sizeof(t->p) - t->len;
	memcpy(t->p + t->len, p, n);
	t->len += n;
}

static void __attribute__((format(printf, 2, 3)))
trace(struct run *r, const char *fmt, ...)
{
	char line[SESSION_AUTH_MAX + 64];
	va_list ap;
	int n;

	if (r->quick)
		return;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	add(&r->trace, line, (size_t)n < sizeof(line) ? (size_t)n :
	    sizeof(line) - 1);
}

/* Each hook but reset and auth_end begins with this. */
static void
hook(struct run *r)
{
	CHECK(!r->closed);
	if (r->closing == 0 || --r->closing > 0)
		return;
	session_shutdown(&r->session, "4.3.0", "so said a hook");
	session_hangup(&r->session);
	r->closed = true;
}

/* Some are refused, so that both ways are taken; the length decides. */
static void
judge(struct run *r, struct session_verdict *v, const char *text)
{
	hook(r);
	if (strlen(text) % 7 == 6)
		session_refuse(v, 400 + (int)strlen(text) % 150, NULL, text);
	else
		session_accept(v, NULL);
	if (!r->later)
		return;
	r->asked = true;
	r->answer = *v;
	v->kind = SESSION_LATER;
}

static void
check_text(const char *text)
{
	for (; *text != '\0'; text++)
		CHECK((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void
on_helo(void *arg, const char *name,
    struct session_verdict *v)
{
	struct run *r = arg;

	check_text(name);
	CHECK(strlen(name) <= SESSION_NAME_MAX && *name != '\0');
	trace(r, "helo %s\n", name);
	r->greeted = true;
	judge(r, v, name);
}

static void
on_mail(void *arg, const struct session_mail *m,
    struct session_verdict *v)
{
	struct run *r = arg;

	CHECK(r->greeted && !r->mail);
	check_text(m->path);
	CHECK(strlen(m->path) <= SESSION_PATH_MAX);
	trace(r, "mail %s %d %d %d\n", m->path, (int)m->body, m->utf8,
	    m->priority);
	r->rcpt = r->data = false;
	r->mail = strlen(m->path) % 7 != 6;
	judge(r, v, m->path);
}

static void
on_rcpt(void *arg, const struct session_rcpt *m,
    struct session_verdict *v)
{
	struct run *r = arg;

	CHECK(r->mail && !r->data);
	check_text(m->path);
	CHECK(*m->path != '\0' && strlen(m->path) <= SESSION_PATH_MAX);
	trace(r, "rcpt %s\n", m->path);
	r->rcpt |= strlen(m->path) % 7 != 6;
	judge(r, v, m->path);
}

static void
on_data(void *arg,
    struct session_verdict *v)
{
	struct run *r = arg;

	CHECK(r->rcpt && !r->data);
	trace(r, "data\n");
	r->data = true;
	r->body.len = 0;
	judge(r, v, "");
}

static bool
on_body(void *arg, const char *p, size_t n)
{
	struct run *r = arg;

	CHECK(r->data && n > 0);
	hook(r);
	add(&r->body, p, n);
	return true;
}

static void
on_end(void *arg, uint64_t size, unsigned recipient,
    struct session_verdict *v)
{
	struct run *r = arg;

	CHECK(r->data);
	CHECK(size <= MAX_SIZE);
	r->ends++;
	trace(r, "end %u %u ", (unsigned)size, recipient);
	add(&r->trace, r->body.p, r->body.len);
	judge(r, v, recipient == 6 ? "refused" : "");
}

static void
on_reset(void *arg)
{
	struct run *r = arg;

	CHECK(r->mail);
	trace(r, "reset\n");
	r->mail = r->rcpt = r->data = false;
}

static void
on_starttls(void *arg,
    struct session_verdict *v)
{
	judge(arg, v, "");
}

static const char *
on_mechanisms(void *arg)
{
	hook(arg);
	return "PLAIN LOGIN";
}

static void
on_auth(void *arg, struct session_sasl *x,
    struct session_verdict *v)
{
	struct run *r = arg;

	trace(r, "auth %s %zu ", x->mechanism, x->input_len);
	if (x->input_len > 0)
		add(&r->trace, (const char *)x->input, x->input_len);
	if (!x->have_input) {
		hook(r);
		memcpy(x->challenge, "why", 3);
		x->challenge_len = 3;
		v->kind = SESSION_CHALLENGE;
		return;
	}
	judge(r, v, x->input_len % 2 != 0 ? "refused" : "");
}

static void
on_auth_end(void *arg)
{
	trace(arg, "auth_end\n");
}

static const struct session_hooks hooks = {
	.size = sizeof(hooks),
	.helo = on_helo, .mail = on_mail, .rcpt = on_rcpt, .data = on_data,
	.body = on_body, .end = on_end, .reset = on_reset,
	.starttls = on_starttls, .mechanisms = on_mechanisms,
	.auth = on_auth, .auth_end = on_auth_end,
};

/* Code, blank or hyphen, printable text, CRLF; the codes of a reply agree. */
static void
check_replies(const struct text *out)
{
	const char *p = out->p, *end = out->p + out->len, *eol, *c;
	const char *before = NULL;

	for (; p < end; p = eol + 2) {
		eol = memchr(p, '\r', (size_t)(end - p));
		CHECK(eol != NULL && eol + 1 < end && eol[1] == '\n');
		CHECK(eol - p >= 4 && *p >= '2' && *p <= '5');
		CHECK(p[3] == ' ' || p[3] == '-');
		for (c = p; c < eol; c++)
			CHECK(*c >= ' ' && *c <= '~');
		CHECK(before == NULL || memcmp(before, p, 3) == 0);
		before = p[3] == '-' ? p : NULL;
	}
	CHECK(before == NULL);
}

/*
 * The slow decoder of the octets after DATA: 0, with the message in m, or -1 if
 * they must be refused.
 */
static int
decode(const struct text *raw, const struct session_config *set,
    struct text *m)
{
	const char *end = set->lf ? "\n" : "\r\n";
	size_t i, size = 0;
	bool line = true, is_line;	/* at the start of one: after CRLF */

	m->len = 0;
	for (i = 0; i < raw->len - 3; i++, line = is_line) {
		char c = raw->p[i];

		is_line = c == '\r' && raw->p[i + 1] == '\n';
		i += is_line;
		if (c == '\0' || (set->refuse_stray && !is_line &&
		    (c == '\r' || c == '\n')))
			return -1;
		size += is_line || c == '\n' ? 2 : 1;
		if (is_line || c == '\n')
			add(m, end, strlen(end));
		else if (c == '.' && line)
			size--;
		else
			add(m, c == '\r' ? " " : &c, 1);
	}
	return size > MAX_SIZE ? -1 : 0;
}

static bool
is_end(const struct text *raw)
{
	if (raw->len == 3)
		return memcmp(raw->p, ".\r\n", 3) == 0;
	return raw->len >= 5 &&
	    memcmp(raw->p + raw->len - 5, "\r\n.\r\n", 5) == 0;
}

/* After each octet of a run by octets. */
static void
watch(struct run *r, char c)
{
	static struct text m;

	if (!r->in_data) {
		r->in_data = r->session.state == SESSION_STATE_DATA;
		r->raw.len = 0;
		r->message_ends = r->ends;
		return;
	}
	add(&r->raw, &c, 1);
	CHECK(is_end(&r->raw) == (r->session.state != SESSION_STATE_DATA));
	if (!is_end(&r->raw))
		return;
	r->in_data = false;
	if (decode(&r->raw, &r->config, &m) == -1) {
		CHECK(r->ends == r->message_ends);
		return;
	}
	CHECK(r->ends > r->message_ends);
	CHECK(r->body.len == m.len && memcmp(r->body.p, m.p, m.len) == 0);
}

static void
drain(struct run *r)
{
	const char *p;
	size_t n;

	for (;;) {
		n = session_output(&r->session, &p);
		add(&r->out, p, n);
		session_sent(&r->session, n);
		if (session_want(&r->session) == SESSION_ANSWER) {
			CHECK(r->asked);
			r->asked = false;
			session_answer(&r->session, &r->answer);
		} else if (session_want(&r->session) == SESSION_TLS)
			session_tls(&r->session);
		else if (session_want(&r->session) != SESSION_FLUSH &&
		    session_output(&r->session, &p) == 0)
			return;
	}
}

/* Input that may be rewritten is a copy, at the end of its own memory. */
static void
feed(struct run *r, const char *p, size_t n)
{
	static char room[MAX_INPUT];
	char *copy = room + sizeof(room) - n;
	size_t used = 0;

	if (r->rewrite)
		memcpy(copy, p, n);
	while (used < n && session_want(&r->session) == SESSION_INPUT) {
		used += r->rewrite ?
		    session_rewrite(&r->session, copy + used, n - used) :
		    session_input(&r->session, p + used, n - used);
		drain(r);
	}
}

/* How an input is to be read: five bits. */
#define LMTP	1
#define LF	2
#define STRICT	4
#define LATER	8
#define REWRITE	16

static void
begin(struct run *r, unsigned how)
{
	r->config = (struct session_config){
		.size = sizeof(r->config),
		.hostname = "mx.test", .extensions = ~0u,
		.lmtp = how & LMTP, .lf = how & LF, .strict = how & STRICT,
		.refuse_stray = how & STRICT, .auth_cleartext = true,
		.max_size = MAX_SIZE,
		.max_recipients = 9, .max_messages = 20, .max_errors = 60,
		.max_junk = 60, .max_auth_failures = 3,
	};
	r->later = how & LATER;
	r->rewrite = how & REWRITE;
	r->out.len = r->trace.len = r->body.len = 0;
	r->greeted = r->mail = r->rcpt = r->data = r->in_data = false;
	r->asked = r->closed = r->quick = false;
	r->closing = 0;
	r->ends = 0;
	session_init(&r->session, &r->buffers, &r->config, &hooks, r);
	drain(r);
}

static void
finish(struct run *r)
{
	session_hangup(&r->session);
	check_replies(&r->out);
	CHECK(!r->mail);
}

static void
by_octets(struct run *r, const char *p, size_t n)
{
	for (; n > 0 && session_want(&r->session) == SESSION_INPUT; p++, n--) {
		feed(r, p, 1);
		watch(r, *p);
	}
	finish(r);
}

static void
check_same(const struct run *a, const struct run *b)
{
	CHECK(a->trace.len == b->trace.len);
	CHECK(memcmp(a->trace.p, b->trace.p, a->trace.len) == 0);
	CHECK(a->out.len == b->out.len);
	CHECK(memcmp(a->out.p, b->out.p, a->out.len) == 0);
}

/* What is sent along with STARTTLS is judged by how it was cut, on purpose. */
static bool
has_starttls(const char *p, size_t n)
{
	size_t i, k;

	for (i = 0; i + 8 <= n; i++) {
		for (k = 0; k < 8 && (p[i + k] | 0x20) == "starttls"[k]; k++)
			;
		if (k == 8)
			return true;
	}
	return false;
}

static struct run	one, other;

static void
cut_at(const char *p, size_t n, size_t at, unsigned how)
{
	begin(&other, how);
	feed(&other, p, at);
	feed(&other, p + at, n - at);
	finish(&other);
	check_same(&one, &other);
}

static unsigned
how_to_read(const char *p, size_t n)
{
	return (n > 0 && *p == 'L' ? LMTP : 0) | (n % 2 ? LF : 0);
}

/* A hook ends the session: 421 is the last word, unless it was over before. */
static void
end_in_hook(const char *p, size_t n, unsigned closing, unsigned how)
{
	static const char last[] = "421 4.3.0 mx.test so said a hook\r\n";
	size_t len = sizeof(last) - 1;

	begin(&other, how);
	other.closing = closing;
	feed(&other, p, n);
	if (other.closed)
		CHECK(other.out.len > len && memcmp(other.out.p +
		    other.out.len - len, last, len) == 0);
	other.mail &= !other.closed;
	finish(&other);
}

static void
check(const char *p, size_t n, unsigned how)
{
	begin(&one, how);
	by_octets(&one, p, n);
	begin(&other, how | LATER);
	by_octets(&other, p, n);
	check_same(&one, &other);
	if (n > 0)
		end_in_hook(p, n, 1 + (unsigned char)p[n / 3] % 16, how);
	if (has_starttls(p, n))
		return;
	cut_at(p, n, 0, how | REWRITE);
	cut_at(p, n, n > 0 ? (unsigned char)p[n / 2] % n : 0, how);
}

#ifndef STANDALONE
int	LLVMFuzzerTestOneInput(const unsigned char *, size_t);

/* How often each edge of the engine was taken, as the compiler counts. */
extern unsigned char __start___sancov_cntrs[], __stop___sancov_cntrs[];

#define EDGES	((size_t)(__stop___sancov_cntrs - __start___sancov_cntrs))
#define EDGES_MAX	8192

/* Once, twice, four times ...: one more than a hundred is not a new way. */
static bool
is_new(void)
{
	static unsigned char seen[EDGES_MAX];
	const unsigned char *taken = __start___sancov_cntrs;
	int magnitude;
	bool any = false;
	size_t i;

	CHECK(EDGES <= EDGES_MAX);
	for (i = 0; i < EDGES; i++) {
		if (taken[i] == 0)
			continue;
		magnitude = 0x80 >> __builtin_clz(taken[i]) % 8;
		any |= (seen[i] & magnitude) == 0;
		seen[i] = (unsigned char)(seen[i] | magnitude);
	}
	return any;
}

/* libFuzzer must see the same ways whether an input is new or not. */
static void
check_unseen(const char *p, size_t n, unsigned how)
{
	static unsigned char saved[EDGES_MAX];

	memcpy(saved, __start___sancov_cntrs, EDGES);
	check(p, n, how | STRICT);
	check(p, n, how);
	memcpy(__start___sancov_cntrs, saved, EDGES);
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const char *p = (const char *)data;
	unsigned how = how_to_read(p, n);

	if (n > MAX_INPUT)
		return 0;
	begin(&one, how | (n / 2 % 2 ? STRICT : 0) | (n / 4 % 2 ? LATER : 0) |
	    (n / 8 % 2 ? REWRITE : 0));
	one.quick = true;
	feed(&one, p, n);
	finish(&one);
	if (is_new())
		check_unseen(p, n, how);
	return 0;
}
#endif

#ifdef STANDALONE
static char	input[MAX_INPUT];

/* session file ...: each whole, by octets, and cut in two at every offset. */
int
main(int argc, char **argv)
{
	unsigned how;
	FILE *f;
	size_t n, at;
	int i;

	for (i = 1; i < argc; i++) {
		if ((f = fopen(argv[i], "rb")) == NULL) {
			perror(argv[i]);
			return 1;
		}
		n = fread(input, 1, sizeof(input), f);
		fclose(f);
		how = how_to_read(input, n);
		check(input, n, how);
		for (at = 0; at <= n && !has_starttls(input, n); at++)
			cut_at(input, n, at, how);
		check(input, n, how | STRICT);
		if (has_starttls(input, n))
			continue;
		for (at = 0; at <= n; at++)
			cut_at(input, n, at, how | STRICT);
		printf("%s: %zu octets, %zu of replies, %u messages\n",
		    argv[i], n, one.out.len, one.ends);
	}
	return argc < 2;
}
#endif
