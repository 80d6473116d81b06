/* SPDX-License-Identifier: ISC */
/*
 * lines - the grammar from both sides, in process: a line, and how the reply to
 * it begins, where syntax is strict and where it is not.
 *
 * Each row has a session of its own, which begins with its group's lines.
 */
#include <stdio.h>
#include <string.h>

#include "session.h"

#define X10	"xxxxxxxxxx"
#define X50	X10 X10 X10 X10 X10
#define X63	X50 X10 "xxx"
#define X2500	X500 X500 X500 X500 X500
#define X500	X250 X250
#define X250	X50 X50 X50 X50 X50
#define LABEL	X63 "."
#define D250	LABEL LABEL LABEL X50 ".xxxxxxx"
#define XTEXT	"+41+41+41+41+41+41+41+41+41+41"
#define HEX	"\\x{C4}\\x{C4}\\x{C4}\\x{C4}\\x{C4}\\x{C4}\\x{C4}\\x{C4}"

#define NAME	"501 5.5.4 Name is malformed: "
#define SENDER	"501 5.1.7 Address is malformed: "
#define RCPT	"501 5.1.3 Address is malformed: "
#define OK	"250"
#define SAME	NULL

#define HELLO	"EHLO c\r\n"
#define MAIL	HELLO "MAIL FROM:<a@b>\r\n"
#define ENVELOPE	MAIL "RCPT TO:<a@b>\r\n"

struct row {
	const char	*line;		/* CRLF follows */
	const char	*strict;	/* the last line of the reply */
	const char	*tolerant;
};

static struct session_config config;
static struct session_hooks hooks;

static void
on_verdict(void *arg, struct session_verdict *v)
{
	(void)arg;
	session_accept(v, NULL);
}

static const char *
on_mechanisms(void *arg)
{
	(void)arg;
	return "LOGIN PLAIN MECHANISM-OF-21-OCTETS";
}

/* A challenge, and then no. */
static void
on_auth(void *arg, struct session_sasl *x, struct session_verdict *v)
{
	(void)arg;
	session_refuse(v, 535, NULL, NULL);
	if (x->first && !x->have_input)
		v->kind = SESSION_CHALLENGE;
}

static void
on_verify(void *arg, const char *what, bool expand, struct session_verdict *v)
{
	(void)arg;
	(void)what;
	(void)expand;
	session_accept(v, NULL);
}

static void
on_parameter(void *arg, bool recipient, const char *name, const char *value,
    struct session_verdict *v)
{
	(void)arg;
	(void)recipient;
	(void)name;
	(void)value;
	(void)v;
}

static void
everything(void)
{
	config = (struct session_config){ .size = sizeof(config),
	    .hostname = "mx.test", .extensions = ~0u,
	    .auth_cleartext = true };
	hooks = (struct session_hooks){ .size = sizeof(hooks),
	    .data = on_verdict, .verify = on_verify,
	    .mechanisms = on_mechanisms, .auth = on_auth };
}

static void
lmtp(void)
{
	config.lmtp = true;
}

static void
few_hooks(void)
{
	hooks = (struct session_hooks){ .size = sizeof(hooks),
	    .mechanisms = on_mechanisms };
}

static void
no_mechanisms(void)
{
	hooks.mechanisms = NULL;
	hooks.parameter = on_parameter;
	config.extensions &= ~(SESSION_EXT_DSN | SESSION_EXT_CHUNKING);
	config.max_recipients = 1000000;
	config.max_messages = 5;
}

static void
nothing_offered(void)
{
	config.extensions = 0;
}

static void
binary_alone(void)
{
	config.extensions = SESSION_EXT_CHUNKING | SESSION_EXT_BINARYMIME |
	    SESSION_EXT_SMTPUTF8 | SESSION_EXT_LIMITS;
	config.max_messages = 1000000;
}

static void
limited(void)
{
	config.max_size = 1000;
	config.max_recipients = 1;
	config.max_messages = 1;
	config.max_auth_failures = 1;
}

static void
tls_required(void)
{
	config.tls_required = true;
}

static void
auth_required(void)
{
	config.auth_required = true;
	config.auth_cleartext = false;
}

static void
long_name(void)
{
	config.hostname = D250 D250;
}

static const struct row greetings[] = {
	{ "NOOP", OK, SAME },
	{ "HELO c", "250 mx.test", SAME },
	{ "helo c.test. ", NAME "empty label", OK },
	{ "EHLO a.b-c.d1", OK, SAME },
	{ "EHLO", "501 5.5.4 This command needs an argument", SAME },
	{ "EHLO  c", NAME "blank in it", OK },
	{ "EHLO c d", NAME "blank in it", OK },
	{ "EHLO a\tb", "501 5.5.2 Control character", OK },
	{ "EHLO a_b", NAME "underscore", OK },
	{ "EHLO a@b", NAME "two @", OK },
	{ "EHLO a{b", NAME "a character that cannot stand there", OK },
	{ "EHLO a$b", NAME "a character that cannot stand there", OK },
	{ "EHLO a..b", NAME "empty label", OK },
	{ "EHLO .", NAME "empty label", OK },
	{ "EHLO >", NAME "empty label", OK },
	{ "EHLO \xc3\xa4", NAME "octets past ASCII", OK },
	{ "EHLO \xc1\xa4", NAME "octets that are not UTF-8", OK },
	{ "EHLO -a", NAME "hyphen", OK },
	{ "EHLO a-", NAME "hyphen", OK },
	{ "EHLO " X63, OK, SAME },
	{ "EHLO " X63 "x", NAME "label of more than 63 octets", OK },
	{ "EHLO " D250, OK, SAME },
	{ "EHLO x." D250 ".xxxx", NAME "domain of more than 255 octets",
	    NAME "more than 255 octets" },
	{ "EHLO [1.22.255.0]", OK, SAME },
	{ "EHLO [1.2.3.256]", NAME "bad address in brackets", OK },
	{ "EHLO [1.2.3]", NAME "bad address in brackets", OK },
	{ "EHLO [1..3.4]", NAME "bad address in brackets", OK },
	{ "EHLO [1.2.3.4444]", NAME "bad address in brackets", OK },
	{ "EHLO [1.2.3.4", NAME "bad address in brackets", OK },
	{ "EHLO [1.2.3.4]x", NAME "a character", OK },
	{ "EHLO [IPv6:1:2:3:4:5:6:7:8]", OK, SAME },
	{ "EHLO [ipv6:1234:Ab:cD::]", OK, SAME },
	{ "EHLO [IPv6:::1]", OK, SAME },
	{ "EHLO [IPv6:::]", OK, SAME },
	{ "EHLO [IPv6:::ffff:1.2.3.4]", OK, SAME },
	{ "EHLO [IPv6:1:2:3:4:5:6:1.2.3.4]", OK, SAME },
	{ "EHLO [IPv6:1::2::3]", NAME "bad address", OK },
	{ "EHLO [IPv6:1:2]", NAME "bad address", OK },
	{ "EHLO [IPv6:1:2:3:4:5:6:7:8:9]", NAME "bad address", OK },
	{ "EHLO [IPv6:1:2:3:4:5:6:7::]", NAME "bad address", OK },
	{ "EHLO [IPv6:1:2:3:4:5:6:7.7.7.7x]", NAME "bad address", OK },
	{ "EHLO [IPv6::1]", NAME "bad address", OK },
	{ "EHLO [IPv6:12345::]", NAME "bad address", OK },
	{ "EHLO [IPv6:g::]", NAME "bad address", OK },
	{ "EHLO [IPv6:1:2:3", NAME "bad address", OK },
	{ "EHLO [::1]", NAME "no IPv6: before the address", OK },
	{ "EHLO [X:1]", NAME "no IPv6: before the address", OK },
	{ "LHLO c", "500 5.5.1 This is SMTP", SAME },
	{ "MAIL FROM:<a@b>", "503 5.5.1 Say hello first", SAME },
	{ "STARTTLS", "503 5.5.1 Say hello first", "220" },
	{ "STARTTLS now", "501 5.5.4 This command has no argument", SAME },
	{ "STARTTLS\r\nNOOP", OK, "554 5.5.1 Nothing may be sent with" },
	{ "VRFY a", "252", SAME },
	{ "EXPN a", "252", SAME },
	{ "VRFY", "501", SAME },
	{ "VRFY \xc3\xa4", "553 5.6.7", SAME },
	{ "RSET now", "501 5.5.4 This command has no argument", OK },
	{ "HELP me", "214 2.0.0", SAME },
	{ "SEND FROM:<a@b>", "502 5.5.1", SAME },
	{ "NONSENSE", "500 5.5.1 Unknown command", SAME },
	{ "MAILX", "500 5.5.1 Unknown command", SAME },
	{ "PROXY TCP4 1.2.3.4 5.6.7.8 9 10", "500 5.5.1 This port", SAME },
	{ "GET / HTTP/1.1", "421 4.7.0 mx.test does not speak HTTP", SAME },
	{ "\x16\x03\x01", "501 5.5.2 This port does not begin", SAME },
	{ "\x16\x01", "501 5.5.2 Control character", SAME },
	{ "\x16", "501 5.5.2 Control character", SAME },
	{ "N\x16", "501 5.5.2 Control character", SAME },
	{ "\x16\n", "501 5.5.2 Control character", "500" },
	{ "NOOP \x7f", "501 5.5.2 Control character", SAME },
	{ "NOOP\r", "501 5.5.2 Lines end", OK },
	{ "NOOP\r\r", "501 5.5.2 Lines end", SAME },
	{ "NOOP\rX", "501 5.5.2 Lines end", SAME },
	{ "NOOP\nNOOP", "501 5.5.2 Lines end", OK },
	{ "\n", "501 5.5.2 Lines end", "500 5.5.1" },
	{ "NOOP " X250 X250 X250 X250 X250 X250 X250 X250 X50,
	    "500 5.5.2 Line too long", SAME },
	{ "\r\n\r\n", "500 5.5.1 Unknown", SAME },
};

static const struct row senders[] = {
	{ "MAIL FROM:<>", OK, SAME },
	{ "mail from:<a@b>", OK, SAME },
	{ "MAIL FROM: <a@b>", "501 5.5.4 Syntax: MAIL", OK },
	{ "MAIL FROM:< a@b>", SENDER "blank in it", OK },
	{ "MAIL FROM :<a@b>", "501 5.5.4 Syntax: MAIL", OK },
	{ "MAIL  FROM:\t<a@b>", "501 5.5", OK },
	{ "MAIL FROM <a@b>", "501 5.5.4 Syntax: MAIL", SAME },
	{ "MAIL TO:<a@b>", "501 5.5.4 Syntax: MAIL", SAME },
	{ "MAIL FROM:a@b", "501 5.5.4 Syntax: MAIL", OK },
	{ "MAIL FROM:a@b SIZE=1", "501 5.5.4 Syntax: MAIL", OK },
	{ "MAIL FROM:a=c@b SIZE=1", "501 5.5.4 Syntax: MAIL", OK },
	{ "MAIL FROM:a@b>", "501 5.5.4 Syntax: MAIL", SAME },
	{ "MAIL FROM: SIZE=1", "501 5.5.4 Syntax: MAIL", SAME },
	{ "MAIL FROM:", "501 5.5.4 Syntax: MAIL", SAME },
	{ "MAIL FROM: ", "501 5.5.4 Syntax: MAIL", SAME },
	{ "MAIL FROM:<a@b", "501 5.5.4 Syntax: MAIL", SAME },
	{ "MAIL FROM:<a@b>x", "501 5.5.4 Syntax: MAIL", SAME },
	{ "MAIL FROM:<a@b >", SENDER "blank in it", OK },
	{ "MAIL FROM:<a@b c>", SENDER "blank in it", SAME },
	{ "MAIL FROM:<a b@c>", SENDER "blank in it", SAME },
	{ "MAIL FROM:<a@b@c>", SENDER "two @", SAME },
	{ "MAIL FROM:<a>", SENDER "no domain", OK },
	{ "MAIL FROM:<a", SENDER "no domain", "501 5.5.4 Syntax: MAIL" },
	{ "MAIL FROM:<a,b>", SENDER "a character", OK },
	{ "MAIL FROM:<postmaster>", SENDER "no domain", OK },
	{ "MAIL FROM:<postmasterx>", SENDER "no domain", OK },
	{ "MAIL FROM:<@b>", SENDER "bad source route", SAME },
	{ "MAIL FROM:<.@b>", SENDER "dot at an end", OK },
	{ "MAIL FROM:<a.@b>", SENDER "dot at an end", OK },
	{ "MAIL FROM:<a..c@b>", SENDER "dot at an end", OK },
	{ "MAIL FROM:<a.c@b>", OK, SAME },
	{ "MAIL FROM:<(@b>", SENDER "a character", OK },
	{ "MAIL FROM:<", SENDER "nothing before the @", SAME },
	{ "MAIL FROM:<<a@b>", SENDER "a character", SAME },
	{ "MAIL FROM:<a@>", SENDER "nothing after the @", SAME },
	{ "MAIL FROM:<a@", SENDER "nothing after the @", SAME },
	{ "MAIL FROM:<a@ >", SENDER "nothing after the @", SAME },
	{ "MAIL FROM:<a@b.>", SENDER "empty label", OK },
	{ "MAIL FROM:<a@b.\xc3\xa4> SMTPUTF8", OK, SAME },
	{ "MAIL FROM:<a@b._>", SENDER "underscore", OK },
	{ "MAIL FROM:<a@b._", SENDER "underscore", "501 5.5.4 Syntax" },
	{ "MAIL FROM:<a@[1.2.3.4]>", OK, SAME },
	{ "MAIL FROM:<a@[host]>", SENDER "bad address in brackets", OK },
	{ "MAIL FROM:<a@[fe80::1%eth0]>", SENDER "no IPv6:", OK },
	{ "MAIL FROM:<a@[]>", SENDER "bad address in brackets", SAME },
	{ "MAIL FROM:<a@[1", SENDER "bad address in brackets", SAME },
	{ "MAIL FROM:<a@[" X250 "xxxx]>", SENDER "bad address in brackets",
	    SAME },
	{ "MAIL FROM:<\"a b\\\"\"@b>", OK, SAME },
	{ "MAIL FROM:<\"a\\\t\"@b>", "501", SENDER "quotes that do not end" },
	{ "MAIL FROM:<\"a\\\x80\"@b>", SENDER "quotes that do not end",
	    SAME },
	{ "MAIL FROM:<\"a\t\"@b>", "501", SENDER "octets that" },
	{ "MAIL FROM:<\"a\x80\"@b>", SENDER "octets that are not UTF-8",
	    SAME },
	{ "MAIL FROM:<\"a", SENDER "quotes that do not end", SAME },
	{ "MAIL FROM:<\"\xc3\xa4\"@b> SMTPUTF8", OK, SAME },
	{ "MAIL FROM:<\xc3\xa4@b>", "553 5.6.7", SAME },
	{ "MAIL FROM:<\xe0\xa0\x80@b> SMTPUTF8", OK, SAME },
	{ "MAIL FROM:<\xe0\xa0@b> SMTPUTF8", SENDER, SAME },
	{ "MAIL FROM:<\xe0\x80\x80@b> SMTPUTF8", SENDER, SAME },
	{ "MAIL FROM:<\xf4\x8f\xbf\xbf@b> SMTPUTF8", OK, SAME },
	{ "MAIL FROM:<\xf5@b> SMTPUTF8", SENDER "octets", SAME },
	{ "MAIL FROM:<" X250 "xxxxx@b>", OK, SAME },
	{ "MAIL FROM:<" X250 "xxxxxx@b>", SENDER "more than 255", SAME },
	{ "MAIL FROM:<@c,@d:a@b>", OK, SAME },
	{ "MAIL FROM:<@c,d:a@b>", SENDER "bad source route", SAME },
	{ "MAIL FROM:<@c;@d:a@b>", SENDER "bad source route", SAME },
	{ "MAIL FROM:<@:a@b>", SENDER "a character", SAME },
	{ "MAIL FROM:<@c:@b>", SENDER "nothing before the @", SAME },
	{ "MAIL FROM:<@c:>", SENDER "nothing before the @", SAME },
};

static const struct row parameters[] = {
	{ "MAIL FROM:<a@b> SIZE=0 BODY=7bit", OK, SAME },
	{ "MAIL FROM:<a@b>  SIZE=1", "501 5.5.4 Malformed parameter", OK },
	{ "MAIL FROM:<a@b> SIZE=1  BODY=7BIT", "501", OK },
	{ "MAIL FROM:<a@b> -A=1", "501 5.5.4 Malformed parameter", SAME },
	{ "MAIL FROM:<a@b> =1", "501 5.5.4 Malformed parameter", SAME },
	{ "MAIL FROM:<a@b> A-B=1", "555", SAME },
	{ "MAIL FROM:<a@b> X=a=b", "501 5.5.4 Malformed", "555" },
	{ "MAIL FROM:<a@b> X=", "501 5.5.4 Malformed", "555" },
	{ "MAIL FROM:<a@b> X=\x80", "501 5.5.4 Malformed parameter", SAME },
	{ "MAIL FROM:<a@b> X=\xc3\xa4", "555", SAME },
	{ "MAIL FROM:<a@b> SIZE", "501 5.5.4 Bad value of SIZE", SAME },
	{ "MAIL FROM:<a@b> SIZE=", "501", "501 5.5.4 Bad value of SIZE" },
	{ "MAIL FROM:<a@b> SIZE=x", "501 5.5.4 Bad value of SIZE", SAME },
	{ "MAIL FROM:<a@b> SIZE=1 SIZE=2", "501 5.5.4 SIZE given twice", OK },
	{ "MAIL FROM:<a@b> SIZE=18446744073709551615", OK, SAME },
	{ "MAIL FROM:<a@b> SIZE=18446744073709551616", OK, SAME },
	{ "MAIL FROM:<a@b> SIZE=99999999999999999999x", "501", SAME },
	{ "MAIL FROM:<a@b> SIZE=999999999999999999999", "501", SAME },
	{ "MAIL FROM:<a@b> BODY", "501 5.5.4 Bad value of BODY", SAME },
	{ "MAIL FROM:<a@b> BODY=8BITMIME", OK, SAME },
	{ "MAIL FROM:<a@b> BODY=8BITMIMEX", "501", SAME },
	{ "MAIL FROM:<a@b> BODY=BINARYMIME", OK, SAME },
	{ "MAIL FROM:<a@b> BODY={", "501", SAME },
	{ "MAIL FROM:<a@b> SMTPUTF8", OK, SAME },
	{ "MAIL FROM:<a@b> SMTPUTF8=1", "501", SAME },
	{ "MAIL FROM:<a@b> AUTH", "501 5.5.4 Bad value of AUTH", SAME },
	{ "MAIL FROM:<a@b> AUTH=<>", OK, SAME },
	{ "MAIL FROM:<a@b> AUTH=a+40b", OK, SAME },
	{ "MAIL FROM:<a@b> AUTH=a+2Bx@b", OK, SAME },
	{ "MAIL FROM:<a@b> AUTH=a+2bx@b", "501", OK },
	{ "MAIL FROM:<a@b> AUTH=nobody", "501", OK },
	{ "MAIL FROM:<a@b> AUTH=\\x{C4}@b", "553 5.6.7", SAME },
	{ "MAIL FROM:<a@b> AUTH=\xc3\xa4@b SMTPUTF8", OK, SAME },
	{ "MAIL FROM:<a@b> AUTH=a@" XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT
	    XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT
	    XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT
	    XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT
	    XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT XTEXT
	    XTEXT, "501", OK },
	{ "MAIL FROM:<a@b> AUTH=" HEX HEX HEX HEX HEX HEX HEX HEX HEX HEX HEX
	    HEX HEX HEX HEX HEX HEX HEX HEX HEX HEX HEX HEX HEX HEX HEX HEX
	    HEX HEX HEX HEX HEX HEX, "501", OK },
	{ "MAIL FROM:<a@b> RET", "501 5.5.4 Bad value of RET", SAME },
	{ "MAIL FROM:<a@b> RET=full", OK, SAME },
	{ "MAIL FROM:<a@b> RET=HDRS", OK, SAME },
	{ "MAIL FROM:<a@b> RET=BODY", "501", SAME },
	{ "MAIL FROM:<a@b> ENVID", "501 5.5.4 Bad value of ENVID", SAME },
	{ "MAIL FROM:<a@b> ENVID=" X50 X50, OK, SAME },
	{ "MAIL FROM:<a@b> ENVID=" X50 X50 "x", "501", SAME },
	{ "MAIL FROM:<a@b> ENVID=x+", "501", SAME },
	{ "MAIL FROM:<a@b> ENVID=x+4", "501", SAME },
	{ "MAIL FROM:<a@b> ENVID=x+4G", "501", SAME },
	{ "MAIL FROM:<a@b> ENVID=x+0A", "501", SAME },
	{ "MAIL FROM:<a@b> ENVID=x+7F", "501", SAME },
	{ "MAIL FROM:<a@b> ENVID=x=y", "501", SAME },
	{ "MAIL FROM:<a@b> ENVID=\xc3\xa4", "501", SAME },
	{ "MAIL FROM:<a@b> MT-PRIORITY", "501", SAME },
	{ "MAIL FROM:<a@b> MT-PRIORITY=9", OK, SAME },
	{ "MAIL FROM:<a@b> MT-PRIORITY=-9", OK, SAME },
	{ "MAIL FROM:<a@b> MT-PRIORITY=-0", "501", SAME },
	{ "MAIL FROM:<a@b> MT-PRIORITY=10", "501", SAME },
	{ "MAIL FROM:<a@b> MT-PRIORITY=x", "501", SAME },
	{ "MAIL FROM:<a@b> NOTIFY=NEVER", "555", SAME },
};

static const struct row recipients[] = {
	{ "MAIL FROM:<c@d>", "503 5.5.1 Sender was given already", SAME },
	{ "RCPT TO:<postmaster>", OK, SAME },
	{ "RCPT TO:<post>", RCPT "no domain", OK },
	{ "RCPT TO:<a>", RCPT "no domain", OK },
	{ "RCPT TO:<>", RCPT "nobody", SAME },
	{ "RCPT TO:<@c:a@b>", OK, SAME },
	{ "RCPT FROM:<a@b>", "501 5.5.4 Syntax: RCPT", SAME },
	{ "RCPT TO:a@b", "501 5.5.4 Syntax: RCPT", OK },
	{ "RCPT TO:<\xc3\xa4@b>", "553 5.6.7", SAME },
	{ "RCPT TO:<a@b> NOTIFY", "501 5.5.4 Bad value of NOTIFY", SAME },
	{ "RCPT TO:<a@b> NOTIFY=never", OK, SAME },
	{ "RCPT TO:<a@b> NOTIFY=SUCCESS,failure,DELAY", OK, SAME },
	{ "RCPT TO:<a@b> NOTIFY=DELAY,DELAY", "501", SAME },
	{ "RCPT TO:<a@b> NOTIFY=DELAY,NEVER", "501", SAME },
	{ "RCPT TO:<a@b> NOTIFY=DELA", "501", SAME },
	{ "RCPT TO:<a@b> NOTIFY=DELAYS", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT", "501 5.5.4 Bad value of ORCPT", SAME },
	{ "RCPT TO:<a@b> ORCPT=rfc822;a+2Bb", OK, SAME },
	{ "RCPT TO:<a@b> ORCPT=x-y;a", OK, SAME },
	{ "RCPT TO:<a@b> ORCPT=;a", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=rfc822", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=rfc822;", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=rfc822;" X250 X250, "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=rfc822;\xc3\xa4", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;a\\x{5C}@b", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\\x{C4}@b", OK, SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;a\\x{2B}c@b", OK, SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;a\\x{3D}c@b", OK, SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\"a\\x{20}\\x{5C}c\"@b", OK, SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\\x{41}@b", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\\x{20AC}\\x{10FFFF}@b", OK, SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\\x{110000}@b", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\\x{1234567}@b", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\\x{0C4}@b", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\\x{C4@b", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\\x(C4)@b", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\\y@b", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;a+@b", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;a=@b", "501", "501" },
	{ "RCPT TO:<a@b> ORCPT=utf-8;a", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;a@", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;postmaster", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;a@b>", "501", SAME },
	{ "RCPT TO:<a@b> ORCPT=utf-8;\xc3\xa4@b", "553 5.6.7", SAME },
	{ "RCPT TO:<a@b> SIZE=1", "555", SAME },
	{ "DATA", "554 5.5.1 No valid recipients", SAME },
	{ "BDAT 0", "554 5.5.1 No valid recipients", SAME },
	{ "AUTH PLAIN", "503 5.5.1 Not inside a transaction", SAME },
};

static const struct row messages[] = {
	{ "DATA now", "501 5.5.4 This command has no argument", "354" },
	{ "BDAT", "501 5.5.4 Syntax: BDAT", SAME },
	{ "BDAT x", "501 5.5.4 Syntax: BDAT", SAME },
	{ "BDAT 1 LASTS", "501 5.5.4 Syntax: BDAT", SAME },
	{ "BDAT 1 FIRST", "501 5.5.4 Syntax: BDAT", SAME },
	{ "BDAT 0  LAST", "501 5.5.4 Syntax: BDAT", "451" },
	{ "BDAT 0 last", "451", SAME },
	{ "BDAT 0", "250 2.0.0 Chunk received", SAME },
	{ "BDAT 0\r\nDATA", "503 5.5.1 DATA after BDAT", SAME },
	{ "BDAT 0\r\nRCPT TO:<a@b>", "503 5.5.1 MAIL FROM first", SAME },
	{ "BDAT 3\r\na\r\nBDAT 0 LAST", "451", SAME },
	{ "BDAT 3 LAST\r\na\rbNOOP", OK, SAME },
	{ "RSET\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nDATA",
	    "503 5.5.1 BINARYMIME needs BDAT", SAME },
	{ "RSET\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\n"
	    "BDAT 1 LAST\r\n\rNOOP", OK, SAME },
};

static const struct row verbs[] = {
	{ "VRFY \xc3\xa4 SMTPUTF8", "252", SAME },
	{ "VRFY \xc3 SMTPUTF8", "501 5.5.4 Bad value of the argument", SAME },
	{ "VRFY smtputf8", "252", SAME },
	{ "VRFY \xc3\xa4 SMTPUTF", "553", SAME },
	{ "VRFY a list", "252", SAME },
	{ "DATA", "503 5.5.1 MAIL FROM first", SAME },
	{ "RCPT TO:<a@b>", "503 5.5.1 MAIL FROM first", SAME },
	{ "BDAT 0", "503 5.5.1 MAIL FROM first", SAME },
	{ "STARTTLS", "220", SAME },
	{ "AUTH", "501", SAME },
	{ "AUTH NONE", "504 5.5.4 Mechanism", SAME },
	{ "AUTH LOG", "504", SAME },
	{ "AUTH LOGINS", "504", SAME },
	{ "AUTH LOGI.", "504", SAME },
	{ "AUTH LOGI{", "504", SAME },
	{ "AUTH plain", "334", SAME },
	{ "AUTH MECHANISM-OF-21-OCTETS", "504", SAME },
	{ "AUTH PLAIN ", "334", SAME },
	{ "AUTH PLAIN =", "535", SAME },
	{ "AUTH PLAIN  =", "501", "535" },
	{ "AUTH PLAIN aZ09+/==", "501 5.5.2 Malformed base64", SAME },
	{ "AUTH PLAIN aZ0z+/A=", "535", SAME },
	{ "AUTH PLAIN a", "501 5.5.2 Malformed base64", SAME },
	{ "AUTH PLAIN a===", "501", SAME },
	{ "AUTH PLAIN {aaa", "501", SAME },
	{ "AUTH PLAIN a:aa", "501", SAME },
	{ "AUTH LOGIN\r\nYQ==", "535", SAME },
	{ "AUTH LOGIN\r\nYQ== \t", "501", "535" },
	{ "AUTH LOGIN\r\n", "535", SAME },
	{ "AUTH LOGIN\r\n ", "501", "535" },
	{ "AUTH LOGIN\r\n" X2500 X2500 X2500 X2500 X2500,
	    "500 5.5.6 Authentication line too long", SAME },
	{ "AUTH LOGIN\r\n*", "501 5.0.0 Authentication cancelled", SAME },
	{ "AUTH LOGIN\r\n\x01", "501 5.5.2 Control character", SAME },
};

static const struct row after_helo[] = {
	{ "STARTTLS", "503 5.5.1 EHLO first", "220" },
	{ "BDAT 0", "502 5.5.1 Not offered here", SAME },
	{ "MAIL FROM:<a@b> SIZE=1", "555 5.5.4 Parameter of an ext", OK },
	{ "MAIL FROM:<a@b> BODY=BINARYMIME", "555", "501" },
	{ "MAIL FROM:<a@b> RET=FULL", "555", OK },
	{ "MAIL FROM:<a@b> RET", "555", "501" },
	{ "MAIL FROM:<a@b> MT-PRIORITY=1", "555", SAME },
};

static const struct row not_offered[] = {
	{ "STARTTLS", "502 Not offered here", SAME },
	{ "AUTH PLAIN", "502 AUTH is not offered here", SAME },
	{ "MAIL FROM:<a@b> AUTH=<>", "555", OK },
	{ "HELP", "214 See", SAME },
	{ "VRFY a SMTPUTF8", "252", SAME },
};

static const struct row incomplete[] = {
	{ "MAIL FROM:<a@b> BODY=BINARYMIME", "555", SAME },
	{ "MAIL FROM:<a@b> SMTPUTF8", "555", SAME },
	{ "EHLO d", "250 CHUNKING", SAME },
};

static const struct row no_hooks[] = {
	{ "AUTH PLAIN", "502 5.5.1 AUTH is not offered here", SAME },
	{ "VRFY a", "252", SAME },
	{ "EXPN a", "502 5.5.1", SAME },
	{ "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA", "354", SAME },
	{ "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 0", OK, SAME },
	{ "NONSENSE", "500", SAME },
	{ "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\na\r\n.", "451", SAME },
};

static const struct row unoffered[] = {
	{ "AUTH PLAIN", "502 5.5.1 AUTH is not offered here", SAME },
	{ "MAIL FROM:<a@b> RET=FULL", "451 4.3.0", SAME },
	{ "MAIL FROM:<a@b> BODY=BINARYMIME", "501", SAME },
	{ "EHLO d", "250 HELP", SAME },
};

static const struct row limits[] = {
	{ "EHLO d", "250 HELP", SAME },
	{ "MAIL FROM:<a@b> SIZE=1000", OK, SAME },
	{ "MAIL FROM:<a@b> SIZE=1001", "552 5.3.4", SAME },
	{ "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>", "452 4.5.3",
	    SAME },
	{ "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\nMAIL FROM:<a@b>",
	    "421 4.7.0 mx.test too many messages", SAME },
	{ "AUTH PLAIN =\r\nAUTH PLAIN =",
	    "421 4.7.0 mx.test too many failed", SAME },
	{ "AUTH PLAIN =\r\nMAIL FROM:<a@b> AUTH=<>", OK, SAME },
};

static const struct row clear[] = {
	{ "MAIL FROM:<a@b>", "530 5.7.0 STARTTLS first", SAME },
	{ "RCPT TO:<a@b>", "530 5.7.0 STARTTLS first", SAME },
	{ "AUTH PLAIN =", "530 5.7.0 STARTTLS first", SAME },
	{ "NOOP", OK, SAME },
};

static const struct row nobody[] = {
	{ "MAIL FROM:<a@b>", "530 5.7.0 Authentication required", SAME },
	{ "AUTH PLAIN =", "538 5.7.11", SAME },
};

static const struct row local[] = {
	{ "HELO c", "500 5.5.1 This is LMTP", SAME },
	{ "EHLO", "500 5.5.1 This is LMTP", SAME },
	{ "LHLO c", OK, SAME },
	{ "LHLO c\r\nMAIL FROM:<a@b>\r\nDATA", "503 5.5.1 No valid", SAME },
};

/* What no longer fits is left out. */
static const struct row completed[] = {
	{ "MAIL FROM:<" X250 ">", SENDER, OK },
	{ "MAIL FROM:<@c:" X250 ">", SENDER, OK },
	{ "EHLO d", OK, SAME },
};

#define ROWS(rows)	(rows), sizeof(rows) / sizeof((rows)[0])

static const struct group {
	const char	*before;
	void		 (*set)(void);
	const struct row *rows;
	size_t		 n;
} groups[] = {
	{ "", everything, ROWS(greetings) },
	{ HELLO, everything, ROWS(senders) },
	{ HELLO, everything, ROWS(parameters) },
	{ MAIL, everything, ROWS(recipients) },
	{ ENVELOPE, everything, ROWS(messages) },
	{ HELLO, everything, ROWS(verbs) },
	{ "HELO c\r\n", everything, ROWS(after_helo) },
	{ HELLO, nothing_offered, ROWS(not_offered) },
	{ HELLO, binary_alone, ROWS(incomplete) },
	{ HELLO, few_hooks, ROWS(no_hooks) },
	{ HELLO, no_mechanisms, ROWS(unoffered) },
	{ HELLO, limited, ROWS(limits) },
	{ HELLO, tls_required, ROWS(clear) },
	{ HELLO, auth_required, ROWS(nobody) },
	{ "", lmtp, ROWS(local) },
	{ HELLO, long_name, ROWS(completed) },
};

/* Where the last line of the output starts. */
static const char *
last_line(const char *p, size_t n)
{
	const char *last = p + n - (n > 2 ? 2 : n);

	while (last > p && last[-1] != '\n')
		last--;
	return last;
}

static void
give(struct session *s, const char *p)
{
	size_t n = strlen(p), used = 0;

	while (used < n && session_want(s) == SESSION_INPUT)
		used += session_input(s, p + used, n - used);
}

static int
check(const struct group *g, const struct row *row, const char *want)
{
	static struct session_buffers buffers;
	struct session s;
	char line[16384];
	const char *out;
	size_t n;

	session_init(&s, &buffers, &config, &hooks, NULL);
	give(&s, g->before);
	session_sent(&s, SESSION_OUTPUT_SIZE);
	snprintf(line, sizeof(line), "%s\r\n", row->line);
	give(&s, line);
	n = session_output(&s, &out);
	if (strncmp(last_line(out, n), want, strlen(want)) == 0)
		return 0;
	fprintf(stderr, "%s%s: %s: wanted %s, got %.*s", g->before, row->line,
	    config.strict ? "strict" : "tolerant", want, (int)n, out);
	return 1;
}

int
main(void)
{
	const struct group *g;
	size_t i, k;
	int wrong = 0;

	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		g = &groups[i];
		everything();
		g->set();
		for (k = 0; k < g->n; k++) {
			const struct row *row = &g->rows[k];

			config.strict = config.refuse_stray = true;
			wrong += check(g, row, row->strict);
			config.strict = config.refuse_stray = false;
			wrong += check(g, row, row->tolerant != SAME ?
			    row->tolerant : row->strict);
		}
	}
	return wrong > 0;
}
