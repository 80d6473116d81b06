/* SPDX-License-Identifier: ISC */
/*
 * smtpd.c - the program: one SMTP session on standard input and output.
 *
 * The engine's decisions are in session.c, the handling of a message in
 * transaction.c; here the bytes are moved, and the hooks about the session
 * itself are answered with the help of tls.c and auth.c.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "filter.h"
#include "runner.h"
#include "transaction.h"
#include "verdict.h"

static struct connection	 client;
static struct session_config	 config;
static char			 input[65536];
static struct session_buffers	 buffers;	/* most of it untouched */

/*
 * Replies go out when there is nothing else to do: pipelining costs nothing.
 * What was sent may make room for more.
 */
static int
flush_replies(struct session *s)
{
	const char *p;
	size_t n;

	while ((n = session_output(s, &p)) > 0) {
		if (conn_write(p, n) == -1)
			return -1;
		log_release(true);
		session_sent(s, n);
	}
	return 0;
}

/* If TLS is in another program, that goes on with this same question. */
static void
on_starttls(void *arg, struct session_verdict *v)
{
	struct connection *c = arg;

	if (tls_module == NULL && flush_replies(&c->session) == 0)
		handover_starttls(c);
	if (c->no_tls || (c->forked && !keys_there()) ||
	    conn_tls_load(&c->settings) == -1)
		session_refuse(v, 454, "4.7.0", "TLS not available now");
	else
		session_accept(v, NULL);
}

static const char *
on_mechanisms(void *arg)
{
	return auth_module == NULL ? NULL : auth_module->mechanisms(arg);
}

static void
on_auth(void *arg, struct session_sasl *x, struct session_verdict *v)
{
	*v = auth_module->step(arg, x);
}

static void
on_auth_end(void *arg)
{
	auth_module->end(arg);
}

static void
on_command(void *arg, const char *line, bool secret)
{
	(void)arg;
	log_dialogue('<', secret ? "AUTH ****" : line,
	    strlen(secret ? "AUTH ****" : line));
}

static void
on_reply(void *arg, const char *line, size_t len)
{
	(void)arg;
	/* A challenge is half of a secret. */
	if (len > 4 && memcmp(line, "334 ", 4) == 0)
		len = 3;
	log_dialogue('>', line, len);
}

static void
on_event(void *arg, enum session_event event, const char *why)
{
	struct connection *c = arg;

	if (event == SESSION_EV_REFUSED) {
		transaction_refused(c, why);
		return;
	}
	c->reason = why;
	c->quit = event == SESSION_EV_QUIT;
}

static struct session_hooks hooks = {
	.size = sizeof(hooks),
	.mail = transaction_mail, .rcpt = transaction_rcpt,
	.data = transaction_data, .body = transaction_body,
	.end = transaction_end, .reset = transaction_reset,
	.refused = transaction_rejected, .starttls = on_starttls,
	.mechanisms = on_mechanisms, .auth = on_auth, .auth_end = on_auth_end,
	.event = on_event,
};

/* The session. */

static unsigned
extensions(const struct settings *set)
{
	unsigned all = SESSION_EXT_PIPELINING | SESSION_EXT_SIZE |
	    SESSION_EXT_8BITMIME | SESSION_EXT_STATUSCODES |
	    SESSION_EXT_CHUNKING | SESSION_EXT_BINARYMIME |
	    SESSION_EXT_SMTPUTF8 | SESSION_EXT_LIMITS | SESSION_EXT_HELP;

	if (set->tls == TLS_OFFER || set->tls == TLS_REQUIRE)
		all |= SESSION_EXT_STARTTLS;
	if (set->auth == AUTH_OFFER || set->auth == AUTH_REQUIRE)
		all |= SESSION_EXT_AUTH;
	return (all | set->extensions) & ~set->disable;
}

static void
configure(const struct settings *set)
{
	config = (struct session_config){
		.size = sizeof(config),
		.hostname = set->hostname,
		.extensions = extensions(set),
		.lmtp = set->lmtp,
		.lf = !set->newline_crlf,
		.strict = set->strict,
		.refuse_stray = set->refuse_stray,
		.tls_required = set->tls == TLS_REQUIRE,
		.auth_required = set->auth == AUTH_REQUIRE,
		.auth_cleartext = set->auth_cleartext,
		.max_size = set->max_size,
		.max_recipients = set->max_recipients,
		.max_messages = set->max_messages,
		.max_errors = set->max_errors,
		.max_junk = set->max_junk,
		.max_auth_failures = set->max_auth_failures,
		.max_hops = set->max_hops,
	};
	if (log_is_debug()) {
		hooks.command = on_command;
		hooks.reply = on_reply;
	}
}

/* A mail program that ends its message with LF . LF waits for an answer. */
static const char stray[] = "timeout in a message with bare LFs: "
    "only CR LF . CR LF ends it";

/* conn_read() said that it is over: say the last word, if there is one. */
static void
cut(struct connection *c, ssize_t n)
{
	static const struct {
		int		 error;
		const char	*status, *text;
	} words[] = {
		{ ETIMEDOUT, "4.4.2", "timeout, closing connection" },
		{ ETIME, "4.4.2", "session took too long" },
		{ EINTR, "4.3.2", "service is shutting down" },
	};
	bool waits = session_stray(&c->session) && errno != EINTR;
	size_t i;

	if (n == -1)
		for (i = 0; i < nitems(words); i++)
			if (errno == words[i].error) {
				c->reason = waits ? stray : words[i].text;
				session_shutdown(&c->session, words[i].status,
				    words[i].text);
				return;
			}
	c->reason = n == 0 ? "end of input" : "connection lost";
	session_hangup(&c->session);
}

/* What was to keep the session apart from the rest is not there. */
static void
end_at_once(struct connection *c, const char *why)
{
	c->reason = why;
	session_shutdown(&c->session, "4.3.0", "out of resources");
}

static void
start_session_tls(struct connection *c)
{
	if (conn_tls_start(&c->tls) == -1) {
		c->reason = "tls failed";
		session_hangup(&c->session);
		return;
	}
	if (sandbox_narrow(c) == -1) {
		end_at_once(c, "no sandbox");
		return;
	}
	/* RFC 3207 section 4.2: nor is anybody logged in any more. */
	*c->user = *c->method = '\0';
	log_event("tls", "status", "started", "protocol", c->tls.protocol,
	    "cipher", c->tls.cipher, "group", c->tls.group, "client",
	    c->tls.client, "verify", c->tls.verify, NULL);
	session_tls(&c->session);
}

/* False: the last thing that the client said was QUIT. */
static bool
serve_input(struct connection *c)
{
	struct session *s = &c->session;
	struct session_verdict v;
	size_t used = 0, len = 0, most = 0;
	ssize_t n;

	while (session_want(s) != SESSION_CLOSE) {
		if (session_want(s) == SESSION_INPUT && used < len) {
			used += session_rewrite(s, input + used,
			    len - used);
			c->wipe |= session_secret(s);
			continue;
		}
		if (c->wipe)
			explicit_bzero(input, used);
		c->wipe = false;
		if (flush_replies(s) == -1) {
			cut(c, -1);
			break;
		}
		if (session_want(s) == SESSION_TLS) {
			explicit_bzero(input, most);	/* said in clear */
			start_session_tls(c);
		} else if (session_want(s) == SESSION_ANSWER) {
			transaction_answer(c, &v);
			session_answer(s, &v);
		} else if (session_want(s) == SESSION_INPUT && used == len) {
			if ((n = conn_read(input, sizeof(input))) <= 0)
				cut(c, n);
			used = 0;
			len = n > 0 ? (size_t)n : 0;
			most = len > most ? len : most;
		}
	}
	if (c->wipe)
		explicit_bzero(input, len);
	log_release(flush_replies(s) == 0);
	return !c->quit || used < len;
}

static void
log_close(const struct connection *c)
{
	char messages[LOG_NUMBER], accepted[LOG_NUMBER];

	log_event("close", "messages", log_number(messages, c->messages),
	    "accepted", log_number(accepted, c->accepted), "helo",
	    *session_helo(&c->session) != '\0' ? session_helo(&c->session) :
	    NULL, "addr", c->addr, "reason", c->reason, NULL);
}

/* The only reply to a client for which the engine has not begun. */
static void
turn_away(const char *status, const char *text)
{
	char line[SESSION_NAME_MAX + 128];
	const char *name = client.settings.hostname;
	int n;

	n = snprintf(line, sizeof(line), "421 %s %s %s\r\n", status,
	    name != NULL ? name : "localhost", text);
	if ((size_t)n < sizeof(line))
		conn_write(line, (size_t)n);
	conn_close(true);
}

/* TLS from the first byte: the banner comes inside. */
static void
start_implicit(struct connection *c)
{
	if (conn_tls_load(&c->settings) == -1) {
		c->reason = "tls not available";
		session_hangup(&c->session);
		conn_close(false);
	} else
		start_session_tls(c);
}

static void
open_session(struct connection *c)
{
	log_event("connect", "addr", c->addr, "port",
	    *c->port != '\0' ? c->port : NULL, NULL);
	session_init(&c->session, &buffers, &config, &hooks, c);
}

/* Nothing is read before this.  False: it failed, and the session must end. */
static bool
go_inside(struct connection *c, bool again)
{
	if (runner_wanted(&c->settings) && runner_start(c) == -1) {
		log_error(errno, "runner", NULL);
		return false;
	}
	return sandbox_enter(c, again) == 0;
}

/*
 * A banner that depends on nothing from the client goes out first: the sandbox
 * is built while it is on its way.
 */
static int
welcome(struct connection *c)
{
	const struct settings *set = &c->settings;

	if (!set->proxy_protocol && set->tls != TLS_IMPLICIT) {
		open_session(c);
		flush_replies(&c->session);
		if (!go_inside(c, false))
			end_at_once(c, "no runner or sandbox");
		return 0;
	}
	if (!go_inside(c, false)) {
		if (set->tls != TLS_IMPLICIT)
			turn_away("4.3.0", "out of resources");
		return -1;
	}
	if (set->proxy_protocol && proxy_read(c) == -1)
		return -1;
	open_session(c);
	if (set->tls == TLS_IMPLICIT)
		start_implicit(c);
	return 0;
}

/* A client that waits for 220 to STARTTLS must not read a banner instead. */
static int
lost_in_handover(struct connection *c)
{
	conn_open(&c->settings, 0);
	log_error(0, "starttls", "malformed SMTPD_STARTTLS");
	turn_away("4.3.0", "TLS not available now");
	return -1;
}

/* Where we listen ourselves, all that can be done before the fork is done. */
static int
begin_forked(struct connection *c)
{
	log_open(c->settings.log, c->settings.log_debug, c->id);
	conn_open(&c->settings, 0);
	conn_hurry(&c->settings, c->hurry);
	configure(&c->settings);
	/* Where TLS is required, a 454 makes clients wait for it. */
	if (c->settings.tls == TLS_OFFER && c->no_tls)
		config.extensions &= ~SESSION_EXT_STARTTLS;
	filter_start(c);
	return welcome(c);
}

static int
begin_session(struct connection *c)
{
	struct session_counters counters;
	char helo[SESSION_NAME_MAX + 1];
	int64_t end = 0;
	int resumed;
	bool inside;

	resumed = handover_taken(c, &counters, helo, sizeof(helo), &end);
	if (resumed != 1)
		log_make_id(c->id, sizeof(c->id));
	log_open(c->settings.log, c->settings.log_debug, c->id);
	if (resumed == -1)
		return lost_in_handover(c);
	if (!resumed && handover_at_start(&c->settings, false))
		handover_now();
	conn_open(&c->settings, end);
	configure(&c->settings);
	if (!resumed)
		peer_find(c);
	filter_start(c);
	if (auth_module != NULL)
		auth_module->open(&c->settings);
	if (!resumed)
		return welcome(c);
	inside = go_inside(c, true);
	session_resume(&c->session, &buffers, &config, &hooks, c, helo,
	    &counters);
	if (!inside)
		end_at_once(c, "no runner or sandbox");
	return 0;
}

/* However it ends, to whoever started us the session was served. */
static void
session(struct connection *c)
{
	bool early;

	if ((c->forked ? begin_forked(c) : begin_session(c)) == -1)
		return;
	early = serve_input(c);
	filter_stop(c);
	log_close(c);
	log_finish();
	conn_close(early);
}

/* Starting. */

/* A setting is wrong: the administrator is told why, the client only that. */
static int
misconfigured(struct connection *c, const char *err, bool testing)
{
	if (testing) {
		fprintf(stderr, "smtpd: %s\n", err);
		return EX_CONFIG;
	}
	log_make_id(c->id, sizeof(c->id));
	log_open(c->settings.log, false, c->id);
	conn_open(&c->settings, 0);	/* the log may be a broken pipe */
	log_error(0, "settings", err);
	turn_away("4.3.5", "not configured properly");
	return EX_CONFIG;
}

static const char usage_text[] = "usage: smtpd [-htTV] [-f file] "
    "[-l address:port] [-o name=value] ...";

/* A client is told that it can't be served, a person what is wrong. */
static int
usage(void)
{
	int status = misconfigured(&client, usage_text, isatty(STDIN_FILENO));

	return isatty(STDIN_FILENO) ? EX_USAGE : status;
}

/* Where to look for more. */
static int
help(void)
{
	puts(usage_text);
	puts("  -f file  read settings from it: smtpd.conf(5)\n"
	    "  -h       this help; --help as well\n"
	    "  -l addr  listen there, not one session on standard input\n"
	    "  -o n=v   one setting, which beats the file's\n"
	    "  -t       test the settings and what they name\n"
	    "  -T       print the settings in effect\n"
	    "  -V       print the version; --version as well\n"
	    "See smtpd(8).");
	return 0;
}

#define OPTIONS	"f:hl:o:tTV"

static struct {
	int	 argc;
	char	**argv;
	const char *file;
} given;

/* -o wins over the file wherever it stands, so the file is read first. */
static int
load_settings(struct settings *set, char *err, size_t size)
{
	int ch;

	settings_init(set);
	if (given.file != NULL &&
	    settings_file(set, given.file, err, size) == -1)
		return -1;
	optind = 1;
	while ((ch = getopt(given.argc, given.argv, OPTIONS)) != -1)
		if (ch == 'o' && settings_option(set, optarg, err, size) == -1)
			return -1;
	return settings_finish(set, err, size);
}

/* If they are closed, nothing else must get the client's numbers. */
static void
occupy_descriptors(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDOUT_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1)
			open("/dev/null", O_RDWR);
}

/* -h, -t, -T, -V, 0 without any of them, or -1: wrong. */
static int
options(int argc, char **argv)
{
	int ch, action = 0;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return 'h';
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return 'V';
	given.argc = argc;
	given.argv = argv;
	opterr = 0;	/* standard error may be the client's socket */
	while ((ch = getopt(argc, argv, OPTIONS)) != -1)
		if (ch == 'f')
			given.file = optarg;
		else if (ch == '?' || (ch == 'l' && listen_on(optarg) == -1))
			return -1;
		else if (ch != 'o' && ch != 'l')
			action = ch;
	return optind < argc ? -1 : action;
}

/* A forked process needs no exit(3): what there is to free goes with it. */
static int
end_process(const struct connection *c)
{
#ifndef __SANITIZE_ADDRESS__	/* which looks for leaks at exit(3) */
	if (c->forked)
		_exit(0);
#endif
	(void)c;
	return 0;
}

int
main(int argc, char **argv)
{
	char err[1024];
	int action;

	occupy_descriptors();
	if ((action = options(argc, argv)) == -1)
		return usage();
	if (action == 'h')
		return help();
	if (action == 'V') {
		puts("smtpd " SMTPD_VERSION);
		return 0;
	}
	handover_arguments(argv);
	if (load_settings(&client.settings, err, sizeof(err)) == -1)
		return keys_wanted() ? keys_run(&client.settings, err) :
		    action == 0 && listen_wanted() ?
		    listen_misconfigured(err) :
		    misconfigured(&client, err, action != 0);
	if (action == 'T') {
		settings_dump(&client.settings);
		return 0;
	}
	if (action == 't') {
		log_open(LOGTO_STDERR, false, NULL);
		return check_all(&client.settings);
	}
	if (keys_wanted())
		return keys_run(&client.settings, NULL);
	if (listen_wanted())
		listen_run(&client, load_settings);
	session(&client);
	return end_process(&client);
}
