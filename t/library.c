/* SPDX-License-Identifier: ISC */
/*
 * library - what an embedder may rely on, one promise of session(3) at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define CHECK(x)	do { if (!(x)) fail(#x, __LINE__); } while (0)

#define ENVELOPE_ONLY	"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define ENVELOPE	"EHLO c\r\n" ENVELOPE_ONLY
#define TEN	"xxxxxxxxxx"
#define WORDS	TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN \
	TEN TEN TEN TEN TEN	/* SESSION_TEXT_MAX octets */

/* What the current test's hooks say, and how often they were called. */
static struct {
	struct session_verdict connect, rcpt, data, end, verify, unknown, auth;
	struct session_sasl sasl;	/* what auth sets of it */
	bool		 body;
	bool		 shut_in_body, shut_in_parameter, early, restart;
	unsigned	 bodies, ends, resets, parameters, proxies;
	char		 text[100];	/* of the last piece */
} h;

static struct session s;
static struct session_buffers buffers;
static struct session_config config;
static struct session_hooks hooks;
static char	out[65536];

static void
fail(const char *check, int line)
{
	fprintf(stderr, "line %d: %s\n%s", line, check, out);
	exit(1);
}

static void
on_connect(void *arg, struct session_verdict *v)
{
	(void)arg;
	*v = h.connect;
}

static void
on_helo(void *arg, const char *name, struct session_verdict *v)
{
	(void)arg;
	(void)name;
	v->kind = SESSION_LATER;
}

static void
on_rcpt(void *arg, const struct session_rcpt *r, struct session_verdict *v)
{
	struct session_verdict yes;

	(void)arg;
	(void)r;
	session_accept(&yes, "early");
	if (h.early)
		session_answer(&s, &yes);
	*v = h.rcpt;
}

static void
on_parameter(void *arg, bool recipient, const char *name, const char *value,
    struct session_verdict *v)
{
	(void)arg;
	CHECK(recipient && strcmp(name, "XKEY") == 0 &&
	    strcmp(value, "1") == 0);
	h.parameters++;
	if (h.shut_in_parameter)
		session_shutdown(&s, "4.3.2", "enough");
	session_accept(v, NULL);
}

static void
on_data(void *arg, struct session_verdict *v)
{
	(void)arg;
	*v = h.data;
}

static bool
on_body(void *arg, const char *p, size_t n)
{
	(void)arg;
	CHECK(n < sizeof(h.text));
	memcpy(h.text, p, n);
	h.text[n] = '\0';
	h.bodies++;
	if (h.shut_in_body)
		session_shutdown(&s, "4.3.1", "no space");
	return h.body;
}

static void
on_end(void *arg, uint64_t size, unsigned recipient, struct session_verdict *v)
{
	(void)arg;
	(void)size;
	(void)recipient;
	h.ends++;
	*v = h.end;
}

static void
on_reset(void *arg)
{
	(void)arg;
	h.resets++;
}

static void
on_verify(void *arg, const char *name, bool expand, struct session_verdict *v)
{
	(void)arg;
	(void)name;
	(void)expand;
	*v = h.verify;
}

static void
on_unknown(void *arg, const char *line, struct session_verdict *v)
{
	(void)arg;
	(void)line;
	if (h.restart)
		session_restart(&s);
	*v = h.unknown;
}

static const char *
on_mechanisms(void *arg)
{
	(void)arg;
	return "PLAIN";
}

static void
on_auth(void *arg, struct session_sasl *x, struct session_verdict *v)
{
	(void)arg;
	x->challenge_len = h.sasl.challenge_len;
	x->disclosed = h.sasl.disclosed;
	x->uncounted = h.sasl.uncounted;
	*v = h.auth;
}

static void
on_refused(void *arg, const struct session_refusal *is)
{
	(void)arg;
	h.proxies += strstr(is->why, "PROXY") != NULL;
}

static void
collect(void)
{
	const char *p;
	size_t n, len = strlen(out);

	while ((n = session_output(&s, &p)) > 0) {
		CHECK(n < sizeof(out) - len);
		memcpy(out + len, p, n);
		len += n;
		out[len] = '\0';
		session_sent(&s, n);
	}
}

/* A new session in which all is accepted, with its banner in out. */
static void
begin(void)
{
	static const struct session_verdict yes = { .kind = SESSION_ACCEPT };

	out[0] = '\0';
	session_init(&s, &buffers, &config, &hooks, NULL);
	collect();
	h.connect = h.rcpt = h.data = h.end = h.verify = h.unknown = h.auth =
	    yes;
	h.body = true;
	h.shut_in_body = h.shut_in_parameter = h.early = h.restart = false;
	h.sasl = (struct session_sasl){ 0 };
	h.bodies = h.ends = h.resets = h.parameters = h.proxies = 0;
}

static void
start(void)
{
	config = (struct session_config){ .size = sizeof(config),
	    .hostname = "mx.test", .extensions = SESSION_EXT_STATUSCODES |
	    SESSION_EXT_AUTH | SESSION_EXT_STARTTLS, .auth_cleartext = true };
	hooks = (struct session_hooks){ .size = sizeof(hooks),
	    .connect = on_connect, .rcpt = on_rcpt,
	    .parameter = on_parameter, .data = on_data, .body = on_body,
	    .end = on_end, .reset = on_reset, .verify = on_verify,
	    .unknown = on_unknown, .mechanisms = on_mechanisms,
	    .auth = on_auth };
	h.connect = (struct session_verdict){ .kind = SESSION_ACCEPT };
	begin();
}

/* The replies to some input. */
static const char *
say(const char *text)
{
	size_t n, len = strlen(text);

	out[0] = '\0';
	while (len > 0 && session_want(&s) == SESSION_INPUT) {
		n = session_input(&s, text, len);
		text += n;
		len -= n;
		collect();
	}
	return out;
}

static bool
says(const char *text, const char *end)
{
	size_t n = strlen(end);

	say(text);
	return strlen(out) >= n && strcmp(out + strlen(out) - n, end) == 0;
}

static void
undecided_is_deferred(void)
{
	static const struct session_verdict none = { .code = 250 };

	start();
	h.rcpt = h.data = h.end = h.verify = h.unknown = h.auth = none;
	CHECK(says("EHLO c\r\nAUTH PLAIN AGEAYg==\r\n", "454 4.7.0 "
	    "Authentication not available now\r\n"));
	CHECK(says("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n",
	    "451 4.3.0 Local error, try again later\r\n"));
	CHECK(strncmp(say("VRFY a\r\n"), "451 4.3.0", 9) == 0);
	CHECK(strncmp(say("XCLIENT\r\n"), "451 4.3.0", 9) == 0);
	h.rcpt.kind = SESSION_ACCEPT;
	CHECK(strstr(say("RCPT TO:<c@d>\r\nDATA\r\n"), "\r\n451 4.3.0"));
	h.data.kind = SESSION_ACCEPT;
	CHECK(strstr(say(ENVELOPE "DATA\r\n.\r\n"), "\r\n451 4.3.0"));
	CHECK(h.ends == 1 && h.resets == 2);
	hooks.end = NULL;
	CHECK(strstr(say(ENVELOPE "DATA\r\n.\r\n"), "\r\n451 4.3.0"));
	h.connect = none;
	begin();
	CHECK(strncmp(out, "421 4.3.0 mx.test", 13) == 0);
	CHECK(session_want(&s) == SESSION_CLOSE);
}

static void
early_answer_is_kept(void)
{
	start();
	h.early = true;
	h.rcpt.kind = SESSION_LATER;
	CHECK(says(ENVELOPE, "250 2.1.5 early\r\n"));
	h.rcpt.kind = SESSION_REFUSE;
	CHECK(says("RCPT TO:<c@d>\r\n", "550 5.1.1 No such recipient\r\n"));
}

static void
closing_from_a_hook(void)
{
	start();
	h.shut_in_body = true;
	CHECK(says(ENVELOPE "DATA\r\na\r\n.b\r\n.\r\nNOOP\r\n",
	    "354 End data with <CR><LF>.<CR><LF>\r\n"
	    "421 4.3.1 mx.test no space\r\n"));
	CHECK(h.bodies == 1 && h.ends == 0 && h.resets == 1);
	/* What would have made the engine end the session comes too late. */
	start();
	config.max_errors = 1;
	h.shut_in_parameter = true;
	CHECK(says(ENVELOPE "BAD\x01\r\nRCPT TO:<c@d> XKEY=1 =\r\n",
	    "\r\n421 4.3.2 mx.test enough\r\n"));
}

static void
body_may_fail(void)
{
	start();
	h.body = false;
	CHECK(strstr(say(ENVELOPE "DATA\r\na\r\n.b\r\n..c\r\n.\r\n"),
	    "\r\n451 4.3.0"));
	CHECK(h.bodies == 1 && h.ends == 0 && h.resets == 1);
	CHECK(strncmp(say("NOOP\r\n"), "250", 3) == 0);
}

/* Lines that end with LF, a dot that was stuffed, and one call for each. */
static void
rewritten_in_place(void)
{
	static char text[] = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
	    "DATA\r\n..a\r\nb\r\n\r\nc\r\n.\r\nNOOP\r\n";
	static char stray[] = "a\r\nb\nc\r\n.\r\n", shut[] = "a\r\nb\nc\r\n";

	start();
	config.lf = true;
	CHECK(session_rewrite(&s, text, 0) == 0);
	CHECK(session_rewrite(&s, text, sizeof(text) - 1) ==
	    sizeof(text) - 1);
	CHECK(h.bodies == 1 && h.ends == 1);
	CHECK(strcmp(h.text, ".a\nb\n\nc\n") == 0);
	say(ENVELOPE "DATA\r\na\r\nb\r\n.\r\n");
	CHECK(h.bodies == 4 && h.ends == 2);
	config.refuse_stray = true;
	say(ENVELOPE "DATA\r\n");
	CHECK(session_rewrite(&s, stray, sizeof(stray) - 1) ==
	    sizeof(stray) - 1);
	CHECK(h.bodies == 4 && h.ends == 2);
	config.refuse_stray = config.lf = false;
	h.shut_in_body = true;
	say(ENVELOPE "DATA\r\n");
	session_rewrite(&s, shut, sizeof(shut) - 1);
	CHECK(h.bodies == 5 && session_want(&s) == SESSION_CLOSE);
}

static void
at_connect(void)
{
	start();
	session_accept(&h.connect, "no spam please");
	begin();
	CHECK(strcmp(out, "220 mx.test ESMTP no spam please\r\n") == 0);
	session_refuse(&h.connect, 550, "5.7.1", "go\naway");
	begin();
	CHECK(strcmp(out, "554-5.7.1 mx.test go\r\n554 5.7.1 away\r\n") == 0);
	CHECK(session_want(&s) == SESSION_CLOSE);
	session_refuse(&h.connect, 0, NULL, NULL);
	begin();
	CHECK(strcmp(out, "554 5.3.2 mx.test has no service for you\r\n") == 0);
	session_refuse(&h.connect, 450, "4.7.1", "busy");
	begin();
	CHECK(strcmp(out, "421 4.7.1 mx.test busy\r\n") == 0);
	session_accept(&h.connect, NULL);
	h.connect.kind = SESSION_LATER;
	begin();
	CHECK(*out == '\0' && session_want(&s) == SESSION_ANSWER);
	session_answer(&s, &h.data);
	collect();
	CHECK(strcmp(out, "220 mx.test ESMTP\r\n") == 0);
	config.hostname = NULL;
	session_accept(&h.connect, NULL);
	begin();
	CHECK(strcmp(out, "220 localhost ESMTP\r\n") == 0);
}

static void
words_of_hooks(void)
{
	static const char *const bad[] = { "5", "5.", "5.1", "5.1.", "5.1234.1",
	    "5.1.1x", "4.1.1", "2.1.1", "x" };
	size_t i;

	start();
	h.rcpt.code = 251;
	session_accept(&h.verify, "one <a@b>\ntwo <c@d>\n");
	h.verify.code = 250;
	CHECK(says(ENVELOPE, "251 2.1.5 Recipient OK\r\n"));
	CHECK(says("VRFY x\r\n", "250-2.5.0 one <a@b>\r\n"
	    "250 2.5.0 two <c@d>\r\n"));
	session_refuse(&h.rcpt, 999, "4.1.1", "a\nb\nc\nd\ne\nf");
	CHECK(says("RCPT TO:<c@d>\r\n", "550-5.1.1 a\r\n550-5.1.1 b\r\n"
	    "550-5.1.1 c\r\n550 5.1.1 d\r\n"));
	session_refuse(&h.rcpt, 450, "9", "\x01\xff%");
	CHECK(says("RCPT TO:<c@d>\r\n", "450 4.0.0 ??%\r\n"));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		session_refuse(&h.rcpt, 550, bad[i], "no");
		CHECK(says("RCPT TO:<c@d>\r\n", "550 5.1.1 no\r\n"));
	}
	session_accept(&h.rcpt, "yes");
	memcpy(h.rcpt.status, "2.1.55", sizeof("2.1.55"));
	h.rcpt.code = 300;
	CHECK(says("RCPT TO:<c@d>\r\n", "250 2.1.55 yes\r\n"));
	session_refuse(&h.rcpt, 450, NULL, "\x01\xff%");
	session_accept(&h.unknown, "done");
	CHECK(says("XTRA\r\n", "250 2.0.0 done\r\n"));
	CHECK(says("RCPT TO:<c@d> XKEY=1\r\n", "450 4.0.0 ??%\r\n"));
	CHECK(h.parameters == 1);
}

static void
restarting(void)
{
	start();
	say(ENVELOPE);
	h.restart = true;
	CHECK(says("XCLIENT ADDR=1.2.3.4\r\n", "220 mx.test ESMTP\r\n"));
	CHECK(h.resets == 1 && *session_helo(&s) == '\0');
	CHECK(strncmp(say("MAIL FROM:<a@b>\r\n"), "503", 3) == 0);
	session_refuse(&h.unknown, 0, NULL, NULL);
	say(ENVELOPE);
	CHECK(strncmp(say("XCLIENT\r\n"), "500", 3) == 0 && h.resets == 1);
}

static void
more_keywords(void)
{
	static const char *const keywords[] = { "XA", "XB C", "XD", "XE", "XF",
	    "XG", "XH", NULL };

	start();
	config.keywords = keywords;
	CHECK(says("EHLO c\r\n", "250-XA\r\n250-XB C\r\n250-XD\r\n250-XE\r\n"
	    "250-XF\r\n250 XG\r\n"));
	config.keywords = keywords + 7;
	CHECK(says("EHLO c\r\n", "250 ENHANCEDSTATUSCODES\r\n"));
}

static void
what_is_known(void)
{
	struct session_info info = { .size = sizeof(info) };
	struct session_counters n;

	start();
	CHECK(session_phase(&s) == SESSION_PHASE_GREETING);
	say("EHLO c\r\n");
	CHECK(session_phase(&s) == SESSION_PHASE_COMMAND);
	say("AUTH PLAIN\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
	CHECK(session_phase(&s) == SESSION_PHASE_ENVELOPE);
	CHECK(session_info(&s, &info) && info.transaction && info.esmtp);
	CHECK(info.recipients == 1 && info.authenticated && !info.tls);
	say("DATA\r\n12345");
	CHECK(session_phase(&s) == SESSION_PHASE_MESSAGE);
	CHECK(session_info(&s, &info) && info.octets == 5);
	say("\r\n.\r\nBAD\r\nSTARTTLS\r\n");
	CHECK(session_phase(&s) == SESSION_PHASE_HANDSHAKE);
	session_tls(&s);
	session_counters(&s, &n);
	CHECK(session_info(&s, &info) && info.tls && !info.authenticated);
	CHECK(n.messages == 1);
	h.auth.kind = SESSION_CHALLENGE;
	CHECK(says("EHLO c\r\nAUTH PLAIN\r\n", "334 \r\n"));
	CHECK(session_phase(&s) == SESSION_PHASE_EXCHANGE);
	session_hangup(&s);
	CHECK(session_phase(&s) == SESSION_PHASE_ENDED);
	CHECK(session_version() == SESSION_VERSION);
	CHECK(session_size() == sizeof(struct session));
}

/* The protocol's name, what goes with a message, and the keywords. */
static void
small_questions(void)
{
	unsigned extension, i;
	const char *name;

	start();
	config.extensions = ~0u;
	CHECK(!session_stray(&s));
	say(ENVELOPE "DATA\r\na\r\n");
	CHECK(!session_stray(&s));
	say("b\n");
	CHECK(session_stray(&s));
	CHECK(strcmp(session_protocol(&s), "ESMTP") == 0);
	say(".\r\n\r\n.\r\nMAIL FROM:<a@b> SMTPUTF8\r\n");
	CHECK(strcmp(session_protocol(&s), "UTF8SMTP") == 0);
	for (i = 0; (name = session_keyword(i, &extension)) != NULL; i++)
		CHECK(*name != '\0' && extension != 0);
	CHECK(i == 13);
}

/* TLS from the first octet, after STARTTLS, and what comes between. */
static void
tls(void)
{
	start();
	session_tls(&s);
	config.tls_required = true;
	CHECK(says("EHLO c\r\nMAIL FROM:<a@b>\r\n", "Sender OK\r\n"));
	session_tls(&s);
	CHECK(says("RCPT TO:<c@d>\r\n", "Recipient OK\r\n"));
	start();
	say("EHLO " WORDS TEN TEN TEN TEN TEN TEN "\r\nSTARTTLS\r\n");
	session_tls(&s);
	CHECK(strstr(say("MAIL FROM:<a@b>\r\n"), "Say hello first"));
	start();
	say("EHLO c\r\n");
	session_tls(&s);
	CHECK(session_want(&s) == SESSION_INPUT);
	say("STARTTLS\r\n");
	CHECK(session_want(&s) == SESSION_TLS);
	CHECK(session_input(&s, "", 0) == 0);
	CHECK(session_want(&s) == SESSION_TLS);
	CHECK(session_input(&s, "Q", 1) == 0);
	CHECK(session_want(&s) == SESSION_CLOSE);
}

/* This many commands that lead nowhere are answered; the next is 421. */
static void
too_much(void)
{
	static const struct {
		const char	*first, *round;
		int		 rcpt, others;	/* codes of the hooks */
		unsigned	 rounds;
	} floods[] = {
		{ "", "NOOP\r\n", 0, 0, 5 },
		{ "", "XFLOOD\r\n", 0, 0, 5 },
		{ "", "XFLOOD\r\n", 0, 500, 4 },
		{ "", "VRFY a\r\n", 0, 450, 5 },
		{ "", "\x01\r\n", 0, 0, 4 },
		{ ENVELOPE, "\x01\r\n", 0, 0, 4 },
		{ ENVELOPE, "BDAT 0\r\n", 0, 0, 4 },
		{ "EHLO c\r\n", ENVELOPE_ONLY "RSET\r\n", 550, 0, 4 },
		{ "EHLO c\r\n", ENVELOPE_ONLY "DATA\r\n", 0, 450, 4 },
		{ ENVELOPE, "RCPT TO:<c@d>\r\n", 450, 0, 150 },
		{ ENVELOPE, "RCPT TO:<c@d>\r\n", 0, 0, 149 + 1509 },
	};
	size_t i;
	unsigned n;

	for (i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
		start();
		config.extensions |= SESSION_EXT_CHUNKING;
		config.max_junk = 5;
		config.max_errors = 4;
		config.max_recipients = 150;
		say(floods[i].first);
		if (floods[i].rcpt != 0)
			session_refuse(&h.rcpt, floods[i].rcpt, NULL, NULL);
		if (floods[i].others != 0)
			session_refuse(&h.data, floods[i].others, NULL, NULL);
		h.verify = h.unknown = h.data;
		for (n = 0; strstr(say(floods[i].round), "421 ") == NULL; n++)
			CHECK(session_want(&s) == SESSION_INPUT);
		CHECK(n == floods[i].rounds);
		CHECK(session_want(&s) == SESSION_CLOSE);
	}
}

/* Trace fields are counted in the header, whatever is given of it. */
static void
loops(void)
{
	start();
	config.max_hops = 2;
	CHECK(says(ENVELOPE
	    "DATA\r\nReceived: 1\r\nRECEIVED: 2\r\nSubject: x\r\n"
	    "\r\nReceived: 3\r\n.\r\n", "250 2.0.0 Message accepted\r\n"));
	say(ENVELOPE "DATA\r\nReceived: 1\r\nReceived: 2\r\nReceived: 3\r\n");
	CHECK(says("x\r\n.\r\n", "554 5.4.6 Too many hops\r\n"));
	CHECK(h.ends == 1);
}

/* The last octets of a message by BDAT, and one that data refuses. */
static void
chunks(void)
{
	start();
	config.extensions |= SESSION_EXT_CHUNKING;
	CHECK(says(ENVELOPE "BDAT 2 LAST\r\na\r", "Message accepted\r\n"));
	CHECK(strcmp(h.text, " ") == 0 && h.bodies == 2);
	config.refuse_stray = true;
	CHECK(says(ENVELOPE "BDAT 2 LAST\r\na\r",
	    "550 5.6.0 Message has a bare CR or LF\r\n"));
	session_refuse(&h.data, 452, NULL, NULL);
	CHECK(says(ENVELOPE "BDAT 1 LAST\r\na", "452 4.3.0 Local error, "
	    "try again later\r\n"));
	config.lmtp = true;
	CHECK(says("LHLO c\r\n" ENVELOPE_ONLY "RCPT TO:<e@f>\r\n"
	    "BDAT 1 LAST\r\na", "452 4.3.0 Local error, try again later\r\n"
	    "451 4.3.0 Local error, try again later\r\n"));
	session_refuse(&h.data, 552, NULL, NULL);
	CHECK(says(ENVELOPE_ONLY "RCPT TO:<e@f>\r\nBDAT 1 LAST\r\na",
	    "552 5.0.0 Local error, try again later\r\n"
	    "550 5.7.1 Refused\r\n"));
	h.data.code = 600;
	CHECK(says(ENVELOPE_ONLY "BDAT 1 LAST\r\na",
	    "451 4.3.0 Local error, try again later\r\n"));
	h.data.code = 421;
	CHECK(says(ENVELOPE_ONLY "BDAT 1\r\na",
	    "421 4.3.0 Local error, try again later\r\n"));
	CHECK(session_want(&s) == SESSION_CLOSE);
}

/* The octets behind the message's end do not count, nor overflow. */
static void
largest(void)
{
	start();
	h.end.kind = SESSION_ACCEPT;
	config.max_size = UINT64_MAX;
	CHECK(strstr(say(ENVELOPE "DATA\r\n"), "\r\n354"));
	CHECK(strncmp(say("a\r\n"), "250", 3) != 0);
	CHECK(strncmp(say(".\r\n"), "250", 3) == 0);
	config.max_size = 3;
	CHECK(strstr(say(ENVELOPE "DATA\r\n"), "\r\n354"));
	say("a\r\n.\r");
	CHECK(strncmp(say("\n"), "250", 3) == 0);
}

/* What counts as a failure of AUTH, and a challenge that is too long. */
static void
authentication(void)
{
	static const struct {
		int	 code;
		bool	 disclosed, uncounted;
		unsigned failures;
	} refusals[] = {
		{ 0, false, false, 1 }, { 535, false, false, 1 },
		{ 535, true, true, 0 }, { 454, false, false, 0 },
		{ 454, true, false, 1 },
	};
	struct session_counters n;
	size_t i;

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		start();
		session_refuse(&h.auth, refusals[i].code, NULL, NULL);
		h.sasl.disclosed = refusals[i].disclosed;
		h.sasl.uncounted = refusals[i].uncounted;
		say("EHLO c\r\nAUTH PLAIN =\r\n");
		session_counters(&s, &n);
		CHECK(n.auth_failures == refusals[i].failures);
	}
	config.auth_required = true;
	CHECK(strncmp(say("MAIL FROM:<a@b>\r\n"), "530", 3) == 0);
	h.auth.kind = SESSION_ACCEPT;
	CHECK(says("AUTH PLAIN =\r\nMAIL FROM:<a@b>\r\n", "Sender OK\r\n"));
	start();
	say("EHLO c\r\n");
	h.auth.kind = SESSION_CHALLENGE;
	h.sasl.challenge_len = SESSION_CHALLENGE_MAX + 1;
	CHECK(strncmp(say("AUTH PLAIN =\r\n"), "454 4.7.0", 9) == 0);
	h.auth.kind = SESSION_LATER;
	say("AUTH PLAIN =\r\n");
	session_challenge(&s, (const unsigned char *)"1", 1);
	out[0] = '\0';
	collect();
	CHECK(strcmp(out, "334 MQ==\r\n") == 0);
}

/* Nobody takes the replies: no more input is taken, and nothing overflows. */
static void
no_room(void)
{
	static const char *const keywords[] = { WORDS, WORDS, WORDS, WORDS,
	    WORDS, WORDS, NULL };
	const char *p;
	unsigned i;
	size_t n;

	start();
	while (session_want(&s) == SESSION_INPUT)
		session_input(&s, "NOOP\r\n", 6);
	CHECK(session_want(&s) == SESSION_FLUSH);
	CHECK(session_input(&s, "NOOP\r\n", 6) == 0);
	collect();
	CHECK(session_want(&s) == SESSION_INPUT);
	config.lmtp = true;
	say("LHLO c\r\nMAIL FROM:<a@b>\r\n");
	for (i = 0; i < 100; i++)
		say("RCPT TO:<c@d>\r\n");
	CHECK(strncmp(say("DATA\r\n"), "354", 3) == 0);
	session_input(&s, "\0\r\n.\r\n", 6);
	CHECK(session_want(&s) == SESSION_FLUSH);
	out[0] = '\0';
	collect();
	CHECK(strlen(out) == 100 * strlen("550 5.6.0 Message has a NUL\r\n"));
	config.lmtp = false;
	config.extensions = ~0u;
	config.hostname = WORDS TEN TEN TEN TEN TEN;
	config.keywords = keywords;
	while (session_output(&s, &p) < SESSION_OUTPUT_SIZE / 2 - 14)
		session_input(&s, "NOOP\r\n", 6);
	session_input(&s, "EHLO c\r\n", 8);
	session_shutdown(&s, NULL, WORDS);
	n = session_output(&s, &p);
	CHECK(n <= SESSION_OUTPUT_SIZE);
	CHECK(memcmp(p + n - 206, "250 " WORDS, 204) == 0);
	CHECK(session_want(&s) == SESSION_CLOSE);
}

/* A header of PROXY protocol 2, which begins so that nobody takes it. */
static void
proxy_header(void)
{
	start();
	hooks.refused = on_refused;
	session_input(&s, "\r\n\r\n\0\r\nQUIT\n", 12);
	collect();
	CHECK(h.proxies == 1);
}

/* Two sessions that take turns with one pair of buffers. */
static void
lent_buffers(void)
{
	static struct session other;
	struct session saved;
	const char *p;

	start();
	CHECK(session_idle(&s) && sizeof(s) <= 1024);
	session_lend(&s, NULL);
	CHECK(session_input(&s, "NOOP\r\n", 6) == 0);
	session_init(&other, &buffers, &config, &hooks, NULL);
	CHECK(!session_idle(&other) && session_output(&other, &p) > 0);
	session_sent(&other, 9999);
	CHECK(session_idle(&other) && session_output(&other, &p) == 0);
	session_lend(&s, &buffers);
	say(ENVELOPE "DATA\r\nhalf a line");
	CHECK(session_idle(&s));
	hooks.helo = on_helo;
	saved = s;
	memset(&buffers, 0x55, sizeof(buffers));
	s = saved;
	CHECK(says("\r\n.\r\n", "250 2.0.0 Message accepted\r\n"));
	CHECK(strcmp(session_helo(&s), "c") == 0);
	say("EHLO d\r\n");
	CHECK(session_want(&s) == SESSION_ANSWER && !session_idle(&s));
	session_answer(&s, &h.rcpt);
	collect();
	session_input(&s, "NO", 2);
	CHECK(!session_idle(&s));
	session_lend(&s, NULL);
	CHECK(strncmp(say("OP\r\n"), "250", 3) == 0);
	session_lend(&s, NULL);
	session_shutdown(&s, NULL, "nowhere to say it");
	CHECK(session_output(&s, &p) == 0 && session_want(&s) == SESSION_CLOSE);
}

static void
too_old(void)
{
	start();
	config.size--;
	begin();
	CHECK(session_want(&s) == SESSION_CLOSE && *out == '\0');
	config.size++;
	hooks.size = 0;
	begin();
	CHECK(session_want(&s) == SESSION_CLOSE && *out == '\0');
	session_resume(&s, &buffers, &config, &hooks, NULL, "c", NULL);
	CHECK(session_want(&s) == SESSION_CLOSE);
}

static void
resumed(void)
{
	static const struct session_counters n = { .messages = 3 };
	struct session_counters now;

	start();
	out[0] = '\0';
	session_resume(&s, &buffers, &config, &hooks, NULL, NULL, &n);
	collect();
	CHECK(strcmp(out, "220 2.0.0 Ready to start TLS\r\n") == 0);
	CHECK(session_want(&s) == SESSION_TLS);
	session_tls(&s);
	session_counters(&s, &now);
	CHECK(now.messages == 3);
	CHECK(strcmp(session_protocol(&s), "SMTP") == 0);
	hooks.starttls = on_connect;
	session_refuse(&h.connect, 0, NULL, NULL);
	out[0] = '\0';
	session_resume(&s, &buffers, &config, &hooks, NULL, "c", &n);
	collect();
	CHECK(strcmp(out, "454 4.7.0 TLS not available now\r\n") == 0);
	CHECK(session_want(&s) == SESSION_INPUT);
}

static const struct {
	const char	*name;
	void		 (*run)(void);
} promises[] = {
	{ "what nobody decides is deferred", undecided_is_deferred },
	{ "an answer before SESSION_LATER is kept", early_answer_is_kept },
	{ "a hook may end the session", closing_from_a_hook },
	{ "body may fail", body_may_fail },
	{ "a body in one piece", rewritten_in_place },
	{ "connect: banner or refusal", at_connect },
	{ "codes, lines and parameters of hooks", words_of_hooks },
	{ "session_restart", restarting },
	{ "keywords of the program", more_keywords },
	{ "phase, info, counters, sizes", what_is_known },
	{ "stray, protocol, keywords", small_questions },
	{ "TLS at once, after STARTTLS, and no other time", tls },
	{ "limits of what leads nowhere", too_much },
	{ "limits of Received fields", loops },
	{ "the largest message", largest },
	{ "BDAT: a CR at the end, refusals by data", chunks },
	{ "AUTH: failures that count, challenges", authentication },
	{ "replies that nobody takes", no_room },
	{ "a PROXY header is told of", proxy_header },
	{ "lent buffers", lent_buffers },
	{ "structs that are too small", too_old },
	{ "session_resume", resumed },
};

int
main(void)
{
	size_t i;

	for (i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		promises[i].run();
		puts(promises[i].name);
	}
	return 0;
}
