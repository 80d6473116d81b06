/* SPDX-License-Identifier: ISC */
/*
 * model - the engine against a model of it: random commands, verdicts and cuts.
 *
 *	model [sequences [first]]
 *
 * The model says what is replied and which hooks are called, in what order; the
 * hooks say what it drew for them.  Sequence 7 is always the same one.  If one
 * goes wrong, its commands are printed, by their names below.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define COMMANDS	40	/* of a sequence, at most */
#define ERRORS		6
#define JUNK		8
#define RECIPIENTS	3
#define MESSAGES	4
#define FAILURES	2
#define SIZE		20	/* of a message */

/* A call of a hook that is to come, and what it says. */
struct call {
	char	hook;
	int	code;		/* 0: nothing */
};

/* What is expected, and what happened. */
static struct {
	uint64_t	 random;
	char		 input[4096];	/* up to where it can't be pipelined */
	size_t		 len;
	struct call	 calls[512];
	size_t		 ncalls, called;
	int		 want[512], got[512];	/* the replies' codes */
	size_t		 nwant, ngot;
	struct session_verdict answer;	/* a late one */
} r;

static struct session	s;
static struct session_buffers buffers;
static struct session_config config = {
	.size = sizeof(config), .hostname = "mx.test", .extensions = ~0u,
	.auth_cleartext = true, .max_size = SIZE,
	.max_recipients = RECIPIENTS, .max_messages = MESSAGES,
	.max_errors = ERRORS, .max_junk = JUNK, .max_auth_failures = FAILURES,
};

static unsigned
below(unsigned n)
{
	r.random ^= r.random << 13;
	r.random ^= r.random >> 7;
	r.random ^= r.random << 17;
	return (unsigned)(r.random >> 33) % n;
}

static void
input(const char *text)
{
	size_t n = strlen(text);

	memcpy(r.input + r.len, text, n);
	r.len += n;
}

/* The next call: yes, or what is seen of another answer. */
static int
ask(char hook, int yes, int undecided)
{
	const int codes[] = { yes, yes, yes, yes, 535, 450, 0 };
	int code = codes[below(sizeof(codes) / sizeof(codes[0]))];

	r.calls[r.ncalls++] = (struct call){ hook, code };
	return code == 0 ? undecided : code;
}

/* The model, from here to its end. */

/* What is so, as bits. */
enum {
	LMTP = 1, GREETED = 2, ESMTP = 4, TLS = 8, KNOWN = 16, MAIL = 32,
	MESSAGE = 64, BDAT = 128, REFUSED = 256,
	TRANSACTION = MAIL | MESSAGE | BDAT | REFUSED,
};
static struct {
	unsigned is, recipients, errors, junk, messages, failures, size;
	bool	 over, charged, free;	/* its 4xx, any reply: costs nothing */
} m;

/* Commands that are a line: what one needs, and what else is said; what is
 * counted up to a maximum; which hook decides; what a yes changes. */
static const struct rule {
	char	  command;
	unsigned  needs, bars;
	int	  otherwise;
	char	  hook;
	int	  yes, undecided;
	unsigned  takes, gives;
	unsigned *count, max;
	int	  full, counts;
	bool	  junk;
} rules[] = {
	{ 'H', 0, LMTP, 500, 'H', 250, 451, TRANSACTION | ESMTP, GREETED,
	    .junk = true },
	{ 'E', 0, LMTP, 500, 'H', 250, 451, TRANSACTION, GREETED | ESMTP,
	    .junk = true },
	{ 'L', LMTP, 0, 500, 'H', 250, 451, TRANSACTION, GREETED | ESMTP,
	    .junk = true },
	{ 'M', GREETED, MAIL, 503, 'M', 250, 451, 0, MAIL,
	    &m.messages, MESSAGES, 421, 0, false },
	{ 'T', MAIL, MESSAGE, 503, 'T', 250, 451, 0, 0,
	    &m.recipients, RECIPIENTS, 452, 250, false },
	{ 'A', GREETED, KNOWN | MAIL, 503, 'A', 235, 454, 0, KNOWN,
	    &m.failures, FAILURES, 421, 535, false },
	{ 'S', 0, TLS, 503, 'S', 220, 454, GREETED | ESMTP | KNOWN, TLS,
	    .junk = false },
	{ 'R', .yes = 250, .takes = TRANSACTION, .junk = true },
	{ 'N', .yes = 250, .junk = true },
	{ 'V', .yes = 252, .junk = true },
	{ 'Q', .yes = 221 },
	{ 'X', .yes = 500 },
};

static void
reset(void)
{
	if (m.is & MAIL)
		r.calls[r.ncalls++] = (struct call){ 'R', 0 };
	m.is &= ~(unsigned)TRANSACTION;
	m.recipients = m.size = 0;
}

static void
say(int code)
{
	if (!m.free && code >= 400 && code != 421 && (code >= 500 ?
	    ++m.errors > ERRORS : !m.charged && ++m.junk > JUNK))
		code = 421;
	r.want[r.nwant++] = code;
	if ((m.over |= code == 421 || code == 221))
		reset();
}

static int
junk(int code)
{
	m.charged = true;
	return ++m.junk > JUNK ? 421 : code;
}

static int
line(const struct rule *u)
{
	int code = u->yes;

	if ((m.is & u->needs) != u->needs || m.is & u->bars)
		return u->otherwise;
	if (u->junk && junk(0) != 0)
		return 421;
	if (u->command == 'T') {
		m.charged = true;
		m.free = m.is & REFUSED;
	} else if (u->command == 'S')
		reset();
	if (u->count != NULL && *u->count == u->max)
		code = u->full;
	else if (u->hook != 0)
		code = ask(u->hook, u->yes, u->undecided);
	if (u->count != NULL)
		*u->count += code == u->counts;
	if (code == u->yes && u->takes & MAIL)
		reset();
	if (code == u->yes)
		m.is = (m.is & ~u->takes) | u->gives;
	else if (code >= 500 && u->command == 'T')
		m.is |= REFUSED;
	return code;
}

/* The end of a message, or a refusal: with LMTP for each recipient. */
static int
replies(int refusal, unsigned n)
{
	int code = refusal;

	m.messages += refusal == 0;
	for (; n > 0 && !m.over; n--, m.free = true) {
		if (refusal == 0)
			code = m.size > SIZE ? 552 : ask('E', 250, 451);
		m.junk = code == 250 ? 0 : m.junk;
		say(code);
		code = code >= 500 ? 550 : 451;
	}
	reset();
	return 0;
}

static int
data(int code)
{
	unsigned lines = below(5);

	if (code == 0 && (code = ask('D', 354, 451)) != 354)
		reset();
	if (code != 354)
		return code;
	say(354);
	for (m.size = lines * 6; lines > 0; lines--)
		input(lines % 2 ? "text\r\n" : "..QED\r\n");
	input(".\r\n");
	return replies(0, m.is & LMTP ? m.recipients : 1);
}

static int
chunk(int code, unsigned size, bool last)
{
	unsigned n = last && m.is & LMTP ? m.recipients : 1;

	if (code != 0)
		reset();
	else if (size == 0 && !last)
		code = junk(0);
	if (code != 0)
		return code;
	if (!(m.is & MESSAGE) && (code = ask('D', 250, 451)) != 250)
		return replies(code, n);
	m.is |= MESSAGE | BDAT;
	m.size += size;
	if (last)
		return replies(0, n);
	if (m.size <= SIZE)
		return 250;
	m.messages++;
	reset();
	return 552;
}

/* The reply to a command, or 0: all was said. */
static int
model(char command)
{
	const struct rule *u = rules;
	int ready = !(m.is & MAIL) ? 503 : m.recipients > 0 ? 0 :
	    m.is & LMTP ? 503 : 554;
	int offered = !(m.is & GREETED) ? 503 : !(m.is & ESMTP) ? 502 : ready;

	if (command == 'D')
		return data(m.is & BDAT ? 503 : ready);
	if (strchr("0167", command) != NULL)
		return chunk(offered, command < '6' ? 0 : 6, command % 2);
	while (u->command != command)
		u++;
	return line(u);
}

/* The end of the model. */

static const struct {
	char		 name;
	const char	*text;
} commands[] = {
	{ 'H', "HELO c\r\n" }, { 'E', "EHLO c\r\n" }, { 'L', "LHLO c\r\n" },
	{ 'M', "MAIL FROM:<a@b>\r\n" }, { 'T', "RCPT TO:<c@d>\r\n" },
	{ 'D', "DATA\r\n" }, { '6', "BDAT 6\r\nQUIT\r\n" },
	{ '7', "BDAT 6 LAST\r\nRSET\r\n" }, { '0', "BDAT 0\r\n" },
	{ '1', "BDAT 0 LAST\r\n" }, { 'R', "RSET\r\n" },
	{ 'N', "NOOP\r\n" }, { 'V', "VRFY a\r\n" },
	{ 'A', "AUTH PLAIN =\r\n" }, { 'S', "STARTTLS\r\n" },
	{ 'Q', "QUIT\r\n" }, { 'X', "XYZZY\r\n" },
};

/* The engine must ask what the model has said. */
static void
hook(char name, struct session_verdict *v)
{
	const struct call *c = &r.calls[r.called];

	if (r.called++ >= r.ncalls || c->hook != name) {
		r.got[r.ngot++] = name;		/* never a code */
		return;
	}
	if (v == NULL)
		return;
	if (c->code >= 400)
		session_refuse(v, c->code, NULL, NULL);
	else if (c->code != 0)
		session_accept(v, NULL);
	if (below(2)) {
		r.answer = *v;
		v->kind = SESSION_LATER;
	}
}

static void
on_helo(void *arg, const char *name, struct session_verdict *v)
{
	(void)arg, (void)name;
	hook('H', v);
}

static void
on_mail(void *arg, const struct session_mail *from, struct session_verdict *v)
{
	(void)arg, (void)from;
	hook('M', v);
}

static void
on_rcpt(void *arg, const struct session_rcpt *to, struct session_verdict *v)
{
	(void)arg, (void)to;
	hook('T', v);
}

static void
on_data(void *arg, struct session_verdict *v)
{
	(void)arg;
	hook('D', v);
}

static void
on_end(void *arg, uint64_t size, unsigned recipient, struct session_verdict *v)
{
	(void)arg, (void)size, (void)recipient;
	hook('E', v);
}

static void
on_reset(void *arg)
{
	(void)arg;
	hook('R', NULL);
}

static void
on_starttls(void *arg, struct session_verdict *v)
{
	(void)arg;
	hook('S', v);
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
	(void)arg, (void)x;
	hook('A', v);
}

static const struct session_hooks hooks = {
	.size = sizeof(hooks), .helo = on_helo, .mail = on_mail,
	.rcpt = on_rcpt, .data = on_data, .end = on_end, .reset = on_reset,
	.starttls = on_starttls, .mechanisms = on_mechanisms, .auth = on_auth,
};

/* The codes of the replies' last lines. */
static void
take(void)
{
	const char *p, *line;
	size_t n;

	for (; (n = session_output(&s, &p)) > 0; session_sent(&s, n))
		for (line = p; line < p + n; line = strchr(line, '\n') + 1)
			if (line[3] == ' ')
				r.got[r.ngot++] = atoi(line);
}

/* Give the input in pieces. */
static void
feed(void)
{
	size_t used = 0, n;

	for (;;) {
		take();
		if (session_want(&s) == SESSION_ANSWER)
			session_answer(&s, &r.answer);
		else if (session_want(&s) == SESSION_TLS)
			session_tls(&s);
		else if (session_want(&s) == SESSION_INPUT && used < r.len) {
			n = 1 + below(40);
			used += session_input(&s, r.input + used,
			    n < r.len - used ? n : r.len - used);
		} else if (session_want(&s) != SESSION_FLUSH)
			break;
	}
	r.len = 0;
}

/* What a client would say next, or, one time in four, anything. */
static char
draw(void)
{
	char usual = !(m.is & GREETED) ? (config.lmtp ? 'L' : 'E') :
	    !(m.is & MAIL) ? 'M' : m.recipients == 0 ? 'T' :
	    "TD667"[below(5)];
	size_t i, n = sizeof(commands) / sizeof(commands[0]);

	i = below((unsigned)n);
	if (below(4) != 0)
		for (i = 0; commands[i].name != usual; i++)
			;
	input(commands[i].text);
	return commands[i].name;
}

static void
report(unsigned long sequence, const char *script)
{
	size_t i;

	fprintf(stderr, "sequence %lu, %s: %s\nreplies wanted:", sequence,
	    config.lmtp ? "LMTP" : "SMTP", script);
	for (i = 0; i < r.nwant; i++)
		fprintf(stderr, " %d", r.want[i]);
	fprintf(stderr, "\nand got:");
	for (i = 0; i < r.ngot; i++)
		fprintf(stderr, r.got[i] < 200 ? " [%c]" : " %d", r.got[i]);
	fprintf(stderr, "\nhooks, %zu of them called:", r.called);
	for (i = 0; i < r.ncalls; i++)
		fprintf(stderr, " %c %d", r.calls[i].hook, r.calls[i].code);
	fprintf(stderr, "\n");
	exit(1);
}

static void
run(unsigned long sequence)
{
	char script[COMMANDS + 1];
	unsigned i, n;
	int code;

	memset(&m, 0, sizeof(m));
	r.len = r.ncalls = r.called = r.nwant = r.ngot = 0;
	r.random = 0x9e3779b97f4a7c15 * (sequence + 1);
	n = below(COMMANDS);
	config.lmtp = below(2);
	m.is = config.lmtp ? LMTP : 0;
	session_init(&s, &buffers, &config, &hooks, NULL);
	say(220);
	for (i = 0; i < n && !m.over; i++) {
		m.charged = m.free = false;
		script[i] = draw();
		if ((code = model(script[i])) != 0)
			say(code);
		if (script[i] == 'S')
			feed();
	}
	script[i] = '\0';
	feed();
	reset();
	if ((session_want(&s) == SESSION_CLOSE) != m.over)
		report(sequence, script);
	session_hangup(&s);
	if (r.called != r.ncalls || r.ngot != r.nwant ||
	    memcmp(r.got, r.want, r.ngot * sizeof(r.got[0])) != 0)
		report(sequence, script);
}

int
main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
	unsigned long first = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, i;

	for (i = 0; i < n; i++)
		run(first + i);
	printf("%lu sequences, from %lu on, are as the model has them\n", n,
	    first);
	return 0;
}
