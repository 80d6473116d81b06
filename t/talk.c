/* SPDX-License-Identifier: ISC */
/*
 * talk.c - the tests' SMTP client: plays the script on standard input.
 *
 *	talk [option ...] [host port | -- command argument ...]
 *
 * A command is started on one end of a pair of sockets.  Without a host it is
 * 127.0.0.1, and the port from the environment's PORT.  The script, by lines:
 *
 *	> text		send text and CRLF
 *	>> octets	send octets; \r \n \0 \t \\ \xNN are understood
 *	* n octets	send them n times
 *	< code [regex]	read a whole reply; its code and its text must be these
 *	tls		shake hands
 *	notls		shake hands, which must fail
 *	notify		send TLS's close_notify
 *	shut		send no more (the end of input)
 *	close		close the connection
 *	reset		the same with a TCP reset
 *	eof		the other side must close
 *	records		it must close, and say nothing before but TLS records
 *	exit n		the command's exit status, after the script
 *	# text		a comment
 *
 * Options: -tls (from the first octet), -b (one octet a write), -ca file
 * (verify), -cert file, -key file, -sni name, -alpn name, -sigalgs list,
 * -tls10, -tls11, -tls12 and -tls13 (only that version), -weak (keys and
 * versions of any kind), -session file (resume from it, keep it there),
 * -log file (the command's standard error), -from address (of our end), -wait
 * seconds (20).
 *
 * The dialogue is written to standard output.  The exit status is 0 if all went
 * as the script says.
 */
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

static struct {
	int		 fd;
	pid_t		 child;
	SSL		*ssl;
	bool		 by_octet;
	bool		 implicit;
	bool		 weak;
	const char	*ca, *cert, *key, *sni, *alpn, *sigalgs, *session, *log;
	const char	*from;
	int		 version;
	int		 wait;		/* seconds */
	int		 exit_status;	/* expected of the child; -1: any */
	unsigned	 line;		/* of the script */
	char		 buf[65536];
	size_t		 start, len;
} t = { .fd = -1, .child = -1, .wait = 20, .exit_status = -1 };

static void
fail(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "talk: line %u: ", t.line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (t.child > 0)
		kill(t.child, SIGTERM);
	_exit(1);
}

static void
fail_tls(const char *what)
{
	const char *why;

	why = ERR_reason_error_string(ERR_peek_last_error());
	fail("%s: %s", what, why != NULL ? why : "connection lost");
}

/* The connection. */

static int
start(char **argv)
{
	int fd, sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		err(1, "socketpair");
	if ((t.child = fork()) == -1)
		err(1, "fork");
	if (t.child != 0) {
		close(sv[1]);
		return (sv[0]);
	}
	if (dup2(sv[1], 0) == -1 || dup2(sv[1], 1) == -1)
		err(1, "dup2");
	if (t.log != NULL) {
		fd = open(t.log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		if (fd == -1 || dup2(fd, 2) == -1)
			err(1, "%s", t.log);
	}
	execvp(argv[0], argv);
	err(127, "%s", argv[0]);
}

static void
bind_from(int fd, int family)
{
	struct addrinfo hints = { .ai_family = family,
	    .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *ai;

	if (getaddrinfo(t.from, NULL, &hints, &ai) != 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == -1)
		err(1, "%s", t.from);
	freeaddrinfo(ai);
}

static int
dial(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai, *p;
	int error, fd, on = 1;

	if ((error = getaddrinfo(host, port, &hints, &ai)) != 0)
		errx(1, "%s %s: %s", host, port, gai_strerror(error));
	for (fd = -1, p = ai; fd == -1 && p != NULL; p = p->ai_next) {
		fd = socket(p->ai_family, p->ai_socktype, p->ai_protocol);
		if (fd != -1 && t.from != NULL)
			bind_from(fd, p->ai_family);
		if (fd != -1 && connect(fd, p->ai_addr, p->ai_addrlen) == -1) {
			close(fd);
			fd = -1;
		}
	}
	if (fd == -1)
		err(1, "%s %s", host, port);
	freeaddrinfo(ai);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return (fd);
}

static int
new_session(SSL *ssl, SSL_SESSION *session)
{
	FILE *f;

	(void)ssl;
	if ((f = fopen(t.session, "w")) == NULL)
		err(1, "%s", t.session);
	PEM_write_SSL_SESSION(f, session);
	fclose(f);
	return (0);
}

static SSL_CTX *
tls_context(void)
{
	SSL_CTX *ctx;

	if ((ctx = SSL_CTX_new(TLS_client_method())) == NULL)
		fail_tls("SSL_CTX_new");
	if (t.weak)
		SSL_CTX_set_security_level(ctx, 0);
	if (t.sigalgs != NULL && !SSL_CTX_set1_sigalgs_list(ctx, t.sigalgs))
		fail_tls(t.sigalgs);
	if (t.version != 0) {
		SSL_CTX_set_min_proto_version(ctx, t.version);
		SSL_CTX_set_max_proto_version(ctx, t.version);
	}
	if (t.ca != NULL) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		if (SSL_CTX_load_verify_locations(ctx, t.ca, NULL) != 1)
			fail_tls(t.ca);
	}
	if (t.cert != NULL &&
	    (SSL_CTX_use_certificate_chain_file(ctx, t.cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, t.key != NULL ? t.key : t.cert,
	    SSL_FILETYPE_PEM) != 1))
		fail_tls(t.cert);
	if (t.session != NULL) {
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
		    SSL_SESS_CACHE_NO_INTERNAL_STORE);
		SSL_CTX_sess_set_new_cb(ctx, new_session);
	}
	return (ctx);
}

static void
tls_resume(void)
{
	SSL_SESSION *session;
	FILE *f;

	if (t.session == NULL || (f = fopen(t.session, "r")) == NULL)
		return;
	if ((session = PEM_read_SSL_SESSION(f, NULL, NULL, NULL)) == NULL ||
	    SSL_set_session(t.ssl, session) != 1)
		fail_tls(t.session);
	SSL_SESSION_free(session);
	fclose(f);
}

static void
tls_prepare(void)
{
	unsigned char alpn[256];
	size_t len;
	SSL_CTX *ctx;

	if (t.ssl != NULL)
		fail("TLS is up already");
	if (t.len != 0)
		fail("%zu octets in clear after the reply", t.len);
	ctx = tls_context();
	if ((t.ssl = SSL_new(ctx)) == NULL)
		fail_tls("SSL_new");
	SSL_CTX_free(ctx);		/* t.ssl holds it */
	SSL_set_fd(t.ssl, t.fd);
	if (t.sni != NULL) {
		SSL_set_tlsext_host_name(t.ssl, t.sni);
		if (t.ca != NULL)
			SSL_set1_host(t.ssl, t.sni);
	}
	if (t.alpn != NULL && (len = strlen(t.alpn)) < sizeof(alpn)) {
		alpn[0] = (unsigned char)len;
		memcpy(alpn + 1, t.alpn, len);
		SSL_set_alpn_protos(t.ssl, alpn, (unsigned)len + 1);
	}
	tls_resume();
}

static void
tls_start(void)
{
	tls_prepare();
	if (SSL_connect(t.ssl) != 1)
		fail_tls("handshake");
	printf("tls %s %s %s\n", SSL_get_version(t.ssl),
	    SSL_get_cipher_name(t.ssl),
	    SSL_session_reused(t.ssl) ? "resumed" : "full");
}

static void
tls_refused(void)
{
	tls_prepare();
	if (SSL_connect(t.ssl) == 1)
		fail("the handshake was done, unexpectedly");
	SSL_free(t.ssl);
	t.ssl = NULL;
	printf("notls\n");
}

/* Wait until there is something to read: input, its end or an error. */
static void
wait_input(void)
{
	struct pollfd pfd = { .fd = t.fd, .events = POLLIN };
	int n;

	if (t.ssl != NULL && SSL_has_pending(t.ssl))
		return;
	while ((n = poll(&pfd, 1, t.wait * 1000)) == -1 && errno == EINTR)
		;
	if (n == 0)
		fail("no answer within %d seconds", t.wait);
	if (n == -1)
		fail("poll: %s", strerror(errno));
}

/* Read more into the buffer; false at the end of input. */
static bool
fill(void)
{
	ssize_t n;
	size_t room;

	if (t.start > 0) {
		memmove(t.buf, t.buf + t.start, t.len);
		t.start = 0;
	}
	if ((room = sizeof(t.buf) - t.len) == 0)
		fail("line too long");
	wait_input();
	if (t.ssl != NULL)
		n = SSL_read(t.ssl, t.buf + t.len, (int)room);
	else
		n = read(t.fd, t.buf + t.len, room);
	if (n <= 0)
		return (false);
	t.len += (size_t)n;
	return (true);
}

/* The peer may close at any time; what it said before must still be read. */
static void
send_piece(const char *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		if (t.ssl != NULL)
			n = SSL_write(t.ssl, p, (int)len);
		else
			n = send(t.fd, p, len, MSG_NOSIGNAL);
		if (n <= 0) {
			printf("(not sent)\n");
			return;
		}
		p += n;
		len -= (size_t)n;
	}
}

static void
send_all(const char *p, size_t len)
{
	size_t i;

	if (t.fd == -1)
		fail("closed already");
	if (!t.by_octet) {
		send_piece(p, len);
		return;
	}
	for (i = 0; i < len; i++)
		send_piece(p + i, 1);
}

/* The script. */

static size_t
unescape(char *dst, const char *src)
{
	static const char from[] = "rn0t\\", to[] = "\r\n\0\t\\";
	const char *p;
	char *start = dst;
	unsigned hex;

	for (; *src != '\0'; src++) {
		if (*src != '\\') {
			*dst++ = *src;
		} else if (*++src == 'x') {
			if (sscanf(src + 1, "%2x", &hex) != 1)
				fail("bad \\x");
			*dst++ = (char)hex;
			src += 2;
		} else if (*src != '\0' && (p = strchr(from, *src)) != NULL)
			*dst++ = to[p - from];
		else
			fail("bad escape");
	}
	return ((size_t)(dst - start));
}

static void
do_line(char *arg)
{
	size_t len = strlen(arg);

	printf("> %s\n", arg);
	memcpy(arg + len, "\r\n", 2);
	send_all(arg, len + 2);
}

static void
do_octets(char *arg)
{
	printf(">> %s\n", arg);
	send_all(arg, unescape(arg, arg));
}

static void
do_repeat(char *arg)
{
	char *block, *octets;
	long n;
	size_t len, fit, used = 0;

	printf("* %s\n", arg);
	if ((n = strtol(arg, &octets, 10)) < 1 || *octets++ != ' ')
		fail("* needs a number and octets");
	if ((len = unescape(octets, octets)) == 0)
		fail("nothing to repeat");
	fit = len < 65536 ? 65536 / len : 1;
	if ((block = malloc(fit * len)) == NULL)
		err(1, NULL);
	for (; n > 0; n--) {
		memcpy(block + used, octets, len);
		used += len;
		if (used == fit * len || n == 1) {
			send_all(block, used);
			used = 0;
		}
	}
	free(block);
}

/* One line without its CRLF, NUL-terminated. */
static char *
read_line(void)
{
	char *line, *end;

	while (t.len == 0 ||
	    (end = memchr(t.buf + t.start, '\n', t.len)) == NULL)
		if (!fill())
			fail("closed instead of a reply");
	line = t.buf + t.start;
	t.len -= (size_t)(end + 1 - line);
	t.start = (size_t)(end + 1 - t.buf);
	if (end == line || end[-1] != '\r')
		fail("reply line does not end with CRLF");
	end[-1] = '\0';
	printf("< %s\n", line);
	if (strlen(line) != (size_t)(end - 1 - line))
		fail("NUL in a reply");
	return (line);
}

static void
match(const char *pattern, const char *text)
{
	regex_t re;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE) != 0)
		fail("bad regex: %s", pattern);
	if (regexec(&re, text, 0, NULL, 0) != 0)
		fail("reply does not match: %s", pattern);
	regfree(&re);
}

static void
do_reply(char *arg)
{
	static char text[65536];
	char *line, *pattern;
	size_t len = 0;
	bool more = true;

	if (strlen(arg) < 3)
		fail("no code");
	pattern = arg[3] == ' ' ? arg + 4 : NULL;
	while (more) {
		line = read_line();
		if (strncmp(line, arg, 3) != 0)
			fail("expected %.3s", arg);
		if (line[3] != ' ' && line[3] != '-' && line[3] != '\0')
			fail("malformed reply");
		more = line[3] == '-';
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%s%s", len > 0 ? "\n" : "", line);
		if (len >= sizeof(text))
			fail("reply too long");
	}
	if (pattern != NULL)
		match(pattern, text);
}

static void
do_tls(char *arg)
{
	(void)arg;
	tls_start();
}

static void
do_notls(char *arg)
{
	(void)arg;
	tls_refused();
}

static void
do_notify(char *arg)
{
	(void)arg;
	printf("notify\n");
	if (t.ssl == NULL)
		fail("no TLS");
	SSL_shutdown(t.ssl);
	/* What follows goes out in clear, as an attacker would send it. */
	SSL_free(t.ssl);
	t.ssl = NULL;
}

static void
do_shut(char *arg)
{
	(void)arg;
	printf("shut\n");
	shutdown(t.fd, SHUT_WR);
}

static void
do_close(char *arg)
{
	(void)arg;
	printf("close\n");
	if (t.fd != -1)
		close(t.fd);
	t.fd = -1;
}

static void
do_reset(char *arg)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(t.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	do_close(arg);
}

static void
do_eof(char *arg)
{
	(void)arg;
	if (t.len > 0 || fill())
		fail("more instead of the end: %.*s", (int)t.len,
		    t.buf + t.start);
	printf("eof\n");
}

/* Seen from outside, without TLS: 5 octets, the last two a length, and that. */
static void
do_records(char *arg)
{
	const unsigned char *p;
	size_t len = 0;

	(void)arg;
	for (;;) {
		p = (const unsigned char *)t.buf + t.start;
		if (t.len > 0 && (p[0] < 20 || p[0] > 23 ||
		    (t.len > 1 && p[1] != 3)))
			fail("in clear: %.*s", (int)t.len, t.buf + t.start);
		len = t.len < 5 ? 0 : 5 + (size_t)(p[3] << 8 | p[4]);
		if (len > 0 && t.len >= len) {
			t.start += len;
			t.len -= len;
		} else if (!fill())
			break;
	}
	if (t.len > 0)
		fail("half a record");
	printf("records\n");
}

static void
do_exit(char *arg)
{
	t.exit_status = atoi(arg);
}

static void
do_comment(char *arg)
{
	(void)arg;
}

static const struct {
	const char	*name;
	void		 (*play)(char *);
} commands[] = {
	{ ">", do_line }, { ">>", do_octets }, { "*", do_repeat },
	{ "<", do_reply }, { "tls", do_tls }, { "notls", do_notls },
	{ "notify", do_notify }, { "shut", do_shut }, { "close", do_close },
	{ "reset", do_reset }, { "eof", do_eof }, { "exit", do_exit },
	{ "records", do_records },
	{ "#", do_comment }, { "", do_comment }
};

static void
play(char *line)
{
	char *arg = line + strcspn(line, " ");
	size_t i;

	if (*arg != '\0')
		*arg++ = '\0';
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, line) == 0) {
			commands[i].play(arg);
			return;
		}
	fail("not understood: %s", line);
}

static void
play_script(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) != -1) {
		t.line++;
		if (len > 0 && line[len - 1] == '\n')
			line[--len] = '\0';
		/* Room for a CRLF. */
		if ((line = realloc(line, (size_t)len + 3)) == NULL)
			err(1, NULL);
		size = (size_t)len + 3;
		play(line);
		fflush(stdout);
	}
	free(line);
}

/* The command is over: did it end by itself, and well? */
static void
finish(void)
{
	int status;

	if (t.fd != -1)
		close(t.fd);
	if (t.child == -1)
		return;
	alarm((unsigned)t.wait);
	if (waitpid(t.child, &status, 0) == -1)
		fail("waitpid: %s", strerror(errno));
	if (WIFSIGNALED(status))
		fail("command ended by signal %d", WTERMSIG(status));
	if (t.exit_status != -1 && WEXITSTATUS(status) != t.exit_status)
		fail("exit status %d, expected %d", WEXITSTATUS(status),
		    t.exit_status);
}

static void
flag(const char *name)
{
	if (strcmp(name, "-b") == 0)
		t.by_octet = true;
	else if (strcmp(name, "-tls") == 0)
		t.implicit = true;
	else if (strcmp(name, "-weak") == 0)
		t.weak = true;
	else if (strcmp(name, "-tls10") == 0)
		t.version = TLS1_VERSION;
	else if (strcmp(name, "-tls11") == 0)
		t.version = TLS1_1_VERSION;
	else if (strcmp(name, "-tls12") == 0)
		t.version = TLS1_2_VERSION;
	else if (strcmp(name, "-tls13") == 0)
		t.version = TLS1_3_VERSION;
	else
		errx(1, "unknown option %s", name);
}

/* An option with an argument: true if name is one. */
static bool
option(const char *name, const char *arg)
{
	const struct {
		const char	*name;
		const char	**value;
	} options[] = {
		{ "-ca", &t.ca }, { "-cert", &t.cert }, { "-key", &t.key },
		{ "-sni", &t.sni }, { "-alpn", &t.alpn },
		{ "-sigalgs", &t.sigalgs },
		{ "-session", &t.session }, { "-log", &t.log },
		{ "-from", &t.from }
	};
	size_t i;

	if (strcmp(name, "-wait") == 0 && arg != NULL) {
		t.wait = atoi(arg);
		return (true);
	}
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strcmp(options[i].name, name) == 0 && arg != NULL) {
			*options[i].value = arg;
			return (true);
		}
	return (false);
}

int
main(int argc, char **argv)
{
	const char *port;

	signal(SIGPIPE, SIG_IGN);
	for (argc--, argv++; argc > 0 && argv[0][0] == '-' &&
	    strcmp(argv[0], "--") != 0; argc--, argv++) {
		if (option(argv[0], argv[1]))
			argc--, argv++;
		else
			flag(argv[0]);
	}
	if (argc > 1 && strcmp(argv[0], "--") == 0)
		t.fd = start(argv + 1);
	else if (argc == 2)
		t.fd = dial(argv[0], argv[1]);
	else if (argc == 0 && (port = getenv("PORT")) != NULL)
		t.fd = dial("127.0.0.1", port);
	else
		errx(1, "usage: talk [option ...] [host port | -- command]");
	if (t.implicit)
		tls_start();
	play_script();
	finish();
	return (0);
}
