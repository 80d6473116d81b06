/* SPDX-License-Identifier: ISC */
/*
 * embedder - the engine in the hands of a hostile program: each function is
 * called from each hook and after each octet, with arguments that it may and
 * may not be given, and hooks answer whatever comes to mind.
 *
 * What must hold: once the session is over, no hook is called and not an octet
 * is sent; each accepted MAIL is reset once; replies are whole; and a message
 * is accepted by the end hook or not at all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define CHECK(x)	do { if (!(x)) fail(#x, __LINE__); } while (0)
#define OTHERS		3	/* other buffers that are lent */
#define STRIDE		7	/* of the octets after which it is done */

static const char smtp[] =
    "NOOP\r\nEHLO client.test\r\nHELP\r\nXUNKNOWN x\r\nVRFY a\r\n"
    "AUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\nAUTH PLAIN AGEAYg==\r\n"
    "MAIL FROM:<a@b> XP=1\r\nRCPT TO:<c@d> XR\r\nRCPT TO:<e@f>\r\nDATA\r\n"
    "Subject: x\r\n\r\n.text\r\n.\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
    "BDAT 3\r\nabcBDAT 2 LAST\r\n\r\nMAIL FROM:<a@b>\r\nRSET\r\n"
    "MAIL FROM:<a\r\nRCPT TO:<a@b>\r\n\x01\r\nAUTH LOGIN\r\n*\r\n"
    "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\na\nb\r\n.\r\n"
    "STARTTLS\r\nEHLO client.test\r\nAUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\n"
    "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\nx\r\n.\r\n"
    "QUIT\r\n";

/* Something that a program does; see actions. */
struct action {
	const char	*name;
	void		(*run)(void);
	bool		 ends;		/* the session, when it may */
};

/* How hooks answer. */
enum manner {
	ACCEPT, REFUSE, EARLY, LATER, UNDECIDED, GARBAGE, MANNERS
};

struct run {
	struct session	 session;
	struct session_buffers own, others[OTHERS];
	enum manner	 manner;
	const struct action *action;
	unsigned	 at;		/* the hook, or octet, to do it in */
	bool		 in_hook;
	unsigned	 calls, octets;
	bool		 ended;		/* by the action, in a hook */
	bool		 over;		/* SESSION_CLOSE was seen */
	unsigned	 mails, resets, ends;
	bool		 accepted;	/* by the end hook */
	bool		 was_auth;	/* what is pending */
	char		 out[65536];
	size_t		 len;
};

static struct run r;
static const char *what;

static void
fail(const char *check, int line)
{
	fprintf(stderr, "line %d: %s (%s: manner %d, %s %s %u)\n%.*s", line,
	    check, what, (int)r.manner, r.action->name, r.in_hook ?
	    "in hook" : "after octet", r.at, (int)r.len, r.out);
	abort();
}

static void
answer(enum session_answer_kind kind)
{
	struct session_verdict v = { .kind = kind };

	memset(v.text, 'x', sizeof(v.text));	/* without an end */
	memset(v.status, '5', sizeof(v.status));
	session_answer(&r.session, &v);
}

/* All functions that only look. */
static void
ask(void)
{
	struct session_info info = { .size = sizeof(info) };
	struct session_counters n;
	const char *p;

	CHECK(session_info(&r.session, &info));
	info.size--;
	CHECK(!session_info(&r.session, &info));
	session_counters(&r.session, &n);
	CHECK(session_output(&r.session, &p) <= SESSION_OUTPUT_SIZE);
	CHECK(session_want(&r.session) <= SESSION_CLOSE);
	CHECK(session_phase(&r.session) <= SESSION_PHASE_ENDED);
	CHECK(session_helo(&r.session) != NULL);
	CHECK(session_protocol(&r.session) != NULL);
	(void)session_idle(&r.session);
	(void)session_secret(&r.session);
}

static void
take(size_t n)
{
	const char *p;
	size_t len = session_output(&r.session, &p);

	CHECK(len <= sizeof(r.out) - r.len);
	memcpy(r.out + r.len, p, len);
	r.len += len;
	session_sent(&r.session, n > len ? n : len);
}

static void
do_nothing(void)
{
}

static void
do_shutdown(void)
{
	session_shutdown(&r.session, "4.3.2", "service is shutting down");
}

static void
do_shutdown_null(void)
{
	session_shutdown(&r.session, NULL, NULL);
}

static void
do_hangup(void)
{
	session_hangup(&r.session);
}

static void
do_input(void)
{
	(void)session_input(&r.session, "NOOP\r\nNOOP\r\n", 12);
}

static void
do_input_none(void)
{
	CHECK(session_input(&r.session, NULL, 0) == 0);
}

static void
do_rewrite(void)
{
	char copy[] = "NOOP\r\n";

	(void)session_rewrite(&r.session, copy, sizeof(copy) - 1);
}

static void
do_sent_none(void)
{
	session_sent(&r.session, 0);
}

static void
do_sent_all(void)
{
	take(0);
}

static void
do_sent_too_much(void)
{
	take((size_t)-1);
}

static void
do_accept(void)
{
	answer(SESSION_ACCEPT);
}

static void
do_refuse(void)
{
	answer(SESSION_REFUSE);
}

static void
do_later(void)
{
	answer(SESSION_LATER);
}

static void
do_garbage(void)
{
	answer((enum session_answer_kind)99);
}

static void
do_twice(void)
{
	answer(SESSION_ACCEPT);
	answer(SESSION_REFUSE);
}

static const unsigned char zeros[SESSION_CHALLENGE_MAX + 1];

static void
do_challenge(void)
{
	session_challenge(&r.session, zeros, SESSION_CHALLENGE_MAX);
	session_challenge(&r.session, zeros, 0);
}

static void
do_challenge_too_long(void)
{
	session_challenge(&r.session, zeros, sizeof(zeros));
}

static void
do_tls(void)
{
	session_tls(&r.session);
}

static void
do_restart(void)
{
	session_restart(&r.session);
}

static void
do_lend(void)
{
	session_lend(&r.session, &r.others[r.octets % OTHERS]);
}

static void
do_lend_none(void)
{
	session_lend(&r.session, NULL);
	CHECK(session_input(&r.session, "x", 1) <= 1);
	session_lend(&r.session, &r.own);
}

static const struct action actions[] = {
	{ "nothing", do_nothing, false },
	{ "shutdown", do_shutdown, true },
	{ "shutdown of NULL", do_shutdown_null, true },
	{ "hangup", do_hangup, true },
	{ "input", do_input, false },
	{ "no input", do_input_none, false },
	{ "rewrite", do_rewrite, false },
	{ "nothing sent", do_sent_none, false },
	{ "all sent", do_sent_all, false },
	{ "too much sent", do_sent_too_much, false },
	{ "accept", do_accept, false },
	{ "refuse", do_refuse, false },
	{ "later", do_later, false },
	{ "garbage", do_garbage, false },
	{ "two answers", do_twice, false },
	{ "challenge", do_challenge, false },
	{ "long challenge", do_challenge_too_long, false },
	{ "TLS", do_tls, false },
	{ "restart", do_restart, false },
	{ "lend", do_lend, false },
	{ "lend NULL", do_lend_none, false },
	{ "ask", ask, false },
};
#define ACTIONS	(sizeof(actions) / sizeof(actions[0]))

/* Each hook begins with this. */
static void
hook(bool at_end)
{
	CHECK(!r.over);
	CHECK(!r.ended || at_end);
	if (r.in_hook && r.calls++ == r.at) {
		r.ended = r.action->ends;
		r.action->run();
	}
}

static void
judge(struct session_verdict *v, bool is_auth)
{
	CHECK(v->kind == SESSION_UNDECIDED && v->code == 0);
	CHECK(*v->status == '\0' && *v->text == '\0');
	r.was_auth = is_auth;
	switch (r.manner) {
	case ACCEPT:
		session_accept(v, "fine\nand well\n");
		break;
	case REFUSE:
		session_refuse(v, 599, "5.9.9", "%no\nand no\n\nand\nnever");
		break;
	case EARLY:
		answer(SESSION_ACCEPT);
		answer(SESSION_REFUSE);
		v->kind = SESSION_LATER;
		break;
	case LATER:
		v->kind = SESSION_LATER;
		break;
	case UNDECIDED:
		break;
	default:
		memset(v, 0x77, sizeof(*v));
		break;
	}
	/* Nobody would see what is left of the script. */
	if (r.manner == REFUSE && r.calls % 3 != 0)
		session_accept(v, NULL);
}

static void
on_connect(void *arg, struct session_verdict *v)
{
	(void)arg;
	hook(false);
	session_accept(v, "ready");
}

static void
on_helo(void *arg, const char *name, struct session_verdict *v)
{
	(void)arg;
	CHECK(*name != '\0');
	hook(false);
	CHECK(*name != '\0');
	judge(v, false);
}

static void
on_mail(void *arg, const struct session_mail *m, struct session_verdict *v)
{
	(void)arg;
	hook(false);
	CHECK(m->path != NULL);
	session_accept(v, NULL);
	CHECK(r.mails == r.resets);
	r.mails += !r.ended;
}

static void
on_rcpt(void *arg, const struct session_rcpt *m, struct session_verdict *v)
{
	(void)arg;
	CHECK(r.mails == r.resets + 1);
	hook(false);
	CHECK(*m->path != '\0');
	judge(v, false);
}

static void
on_parameter(void *arg, bool recipient, const char *name, const char *value,
    struct session_verdict *v)
{
	(void)arg;
	hook(false);
	(void)recipient;
	CHECK(*name != '\0' && (value == NULL || *value != '\0'));
	judge(v, false);
}

static void
on_data(void *arg, struct session_verdict *v)
{
	(void)arg;
	hook(false);
	judge(v, false);
	r.accepted = false;
}

static bool
on_body(void *arg, const char *p, size_t n)
{
	(void)arg;
	CHECK(n > 0 && *p != '\0');
	hook(false);
	return r.manner != UNDECIDED || r.calls % 2 != 0;
}

static void
on_end(void *arg, uint64_t size, unsigned recipient, struct session_verdict *v)
{
	(void)arg;
	(void)recipient;
	(void)size;
	hook(false);
	judge(v, false);
	r.ends++;
}

static void
on_reset(void *arg)
{
	(void)arg;
	CHECK(++r.resets == r.mails);
	hook(true);
}

static void
on_verify(void *arg, const char *name, bool expand, struct session_verdict *v)
{
	(void)arg;
	(void)expand;
	hook(false);
	CHECK(*name != '\0');
	judge(v, false);
}

static void
on_unknown(void *arg, const char *line, struct session_verdict *v)
{
	(void)arg;
	hook(false);
	CHECK(line != NULL);
	judge(v, false);
}

static void
on_starttls(void *arg, struct session_verdict *v)
{
	(void)arg;
	hook(false);
	judge(v, false);
}

static const char *
on_mechanisms(void *arg)
{
	(void)arg;
	hook(false);
	return r.manner == GARBAGE && r.calls % 2 == 0 ? NULL : "LOGIN PLAIN";
}

static void
on_auth(void *arg, struct session_sasl *x, struct session_verdict *v)
{
	(void)arg;
	hook(false);
	if (x->first && !x->have_input && r.manner != LATER) {
		v->kind = SESSION_CHALLENGE;
		x->challenge_len = r.manner == GARBAGE ? 9999 : 5;
		return;
	}
	judge(v, true);
}

static void
on_auth_end(void *arg)
{
	(void)arg;
	hook(true);
}

static void
on_command(void *arg, const char *line, bool secret)
{
	(void)arg;
	(void)secret;
	hook(false);
	CHECK(*line != '\0');
}

static void
on_reply(void *arg, const char *line, size_t len)
{
	(void)arg;
	CHECK(len >= 4 && strlen(line) == len);
	hook(r.ended && memcmp(line, "421 ", 4) == 0);
}

static void
on_refused(void *arg, const struct session_refusal *is)
{
	(void)arg;
	hook(false);
	CHECK(is->code >= 400 && *is->why != '\0' && is->kind < SESSION_KINDS);
	CHECK(is->input == NULL || strlen(is->input) <= SESSION_SAID_MAX);
}

static void
on_event(void *arg, enum session_event event, const char *why)
{
	(void)arg;
	(void)event;
	hook(false);
	CHECK(*why != '\0');
}

static const struct session_hooks hooks = {
	.size = sizeof(hooks), .connect = on_connect, .helo = on_helo,
	.mail = on_mail, .rcpt = on_rcpt, .parameter = on_parameter,
	.data = on_data, .body = on_body, .end = on_end, .reset = on_reset,
	.verify = on_verify, .unknown = on_unknown, .starttls = on_starttls,
	.mechanisms = on_mechanisms, .auth = on_auth, .auth_end = on_auth_end,
	.command = on_command, .reply = on_reply, .refused = on_refused,
	.event = on_event,
};

static const char *const keywords[] = { "XUNKNOWN A B", "X-MORE", NULL };
static struct session_config config = {
	.size = sizeof(config), .hostname = NULL, .extensions = ~0u,
	.lf = true, .auth_cleartext = true, .keywords = keywords,
};

/* Whole lines, each reply of one code, its last line last. */
static void
check_replies(void)
{
	const char *p = r.out, *end = r.out + r.len, *eol, *first = NULL;

	for (; p < end; p = eol + 2) {
		eol = memchr(p, '\r', (size_t)(end - p));
		CHECK(eol != NULL && eol + 1 < end && eol[1] == '\n');
		CHECK(eol - p >= 4 && (p[3] == ' ' || p[3] == '-'));
		CHECK(first == NULL || memcmp(first, p, 3) == 0);
		first = p[3] == '-' ? p : NULL;
	}
	CHECK(first == NULL);
}

/* What a session that the program ends says last, if it did not end before. */
static bool
said_goodbye(void)
{
	const char *p = r.out + r.len - 2;

	while (p > r.out && p[-1] != '\n')
		p--;
	return memcmp(p, "421 ", 4) == 0 || memcmp(p, "221 ", 4) == 0;
}

static void
settle(void)
{
	struct session *s = &r.session;

	for (;;) {
		take(0);
		switch (session_want(s)) {
		case SESSION_ANSWER:
			if (r.was_auth && r.octets % 2 == 0)
				session_challenge(s,
				    (const unsigned char *)"why", 3);
			else
				answer(SESSION_ACCEPT);
			break;
		case SESSION_TLS:
			session_tls(s);
			break;
		case SESSION_FLUSH:
			break;
		default:
			return;
		}
	}
}

/* It is over: it must stay so, whatever is done. */
static void
check_over(void)
{
	const char *p;
	size_t len = r.len, i;

	r.over = true;
	for (i = 0; i < ACTIONS; i++) {
		actions[i].run();
		CHECK(session_want(&r.session) == SESSION_CLOSE);
		CHECK(session_output(&r.session, &p) == 0 && r.len == len);
	}
}

static void
run(const char *script, enum manner manner, const struct action *action,
    bool in_hook, unsigned at)
{
	struct session *s = &r.session;

	memset(&r, 0xa5, sizeof(r));
	r.manner = manner;
	r.action = action;
	r.in_hook = in_hook;
	r.at = at;
	r.calls = r.octets = r.mails = r.resets = r.ends = 0;
	r.ended = r.over = r.was_auth = false;
	r.len = 0;
	session_init(s, &r.own, &config, &hooks, &r);
	settle();
	for (; *script != '\0' && session_want(s) == SESSION_INPUT; script++) {
		CHECK(session_input(s, script, 1) == 1);
		if (!in_hook && r.octets == at)
			action->run();
		r.octets++;
		settle();
	}
	session_hangup(s);
	take(0);
	CHECK(session_want(s) == SESSION_CLOSE);
	CHECK(r.mails == r.resets);
	check_replies();
	if (r.ended && action->run != do_hangup)
		CHECK(said_goodbye());
	check_over();
}

static void
run_all(const char *script)
{
	enum manner m;
	unsigned calls, octets, a, i;

	for (m = ACCEPT; m < MANNERS; m++) {
		run(script, m, &actions[0], true, 0);
		calls = r.calls;
		octets = r.octets;
		for (a = 0; a < ACTIONS; a++) {
			for (i = 0; i < calls; i++)
				run(script, m, &actions[a], true, i);
			for (i = a; i < octets; i += STRIDE)
				run(script, m, &actions[a], false, i);
		}
	}
}

int
main(void)
{
	static char lmtp[sizeof(smtp)];
	char *p;

	what = "smtp";
	run_all(smtp);
	memcpy(lmtp, smtp, sizeof(smtp));
	for (p = lmtp; (p = strstr(p, "EHLO")) != NULL; )
		*p = 'L';
	config.lmtp = true;
	config.hostname = "mx.test";
	what = "lmtp";
	run_all(lmtp);
	puts("nothing moved it");
	return 0;
}
