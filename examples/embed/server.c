/* SPDX-License-Identifier: ISC */
/*
 * server - an SMTP server in one process: an event loop around the engine.
 *
 *	cc -o server server.c $(pkg-config --cflags --libs smtpd-session gnutls)
 *	server [-l] [-c certificate -k key] port [directory]
 *
 * Each message becomes a file in the directory, which needs room and rights;
 * without one it is dropped.
 * -l: hooks answer at random, at once or, as after a database query, in a later
 * turn of the loop.  See session(3).
 */
#define _GNU_SOURCE	/* accept4 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include <smtpd/session.h>

struct client {
	struct session	 session;
	struct session_buffers *own;	/* while it is not idle */
	int		 fd;
	gnutls_session_t tls;
	bool		 handshaking;
	bool		 drained;	/* all input that had come was read */
	uint32_t	 events;	/* that epoll waits for */
	time_t		 deadline;
	char		*rest;		/* input for after an answer */
	size_t		 rest_len;
	char		*mail;		/* the message */
	size_t		 mail_len, mail_size;
	struct session_verdict answer;	/* to be given in a later turn */
	bool		 waiting;	/* in the list of those */
	struct client	*next_waiting;
	struct client	*next, **link;	/* all of them */
};

static struct session_config config = {
	.size = sizeof(config),
	.hostname = "mx.test",
	.extensions = SESSION_EXT_PIPELINING | SESSION_EXT_SIZE |
	    SESSION_EXT_8BITMIME | SESSION_EXT_STATUSCODES |
	    SESSION_EXT_CHUNKING | SESSION_EXT_SMTPUTF8,
	.lf = true,
	.max_size = 10 << 20,
	.max_recipients = 100,
	.max_messages = 100,
	.max_errors = 10,
	.max_junk = 100,
	.max_hops = 50,
};

static struct session_buffers *shared;	/* of all idle sessions */
static struct client	*clients, *waiting;
static gnutls_certificate_credentials_t credentials;
static const char	*directory;
static bool		 late;
static int		 epoll;
static char		 input[65536];

/* The hooks. */

/* A verdict, now or later. */
static void
decide(struct client *c, struct session_verdict *v)
{
	if (!late || random() % 2 == 0)
		return;
	c->answer = *v;
	v->kind = SESSION_LATER;
	c->waiting = true;
	c->next_waiting = waiting;
	waiting = c;
}

static void
on_mail(void *arg, const struct session_mail *m, struct session_verdict *v)
{
	struct client *c = arg;

	(void)m;	/* a real one would keep it */
	c->mail_len = 0;
	session_accept(v, NULL);
	decide(c, v);
}

static void
on_rcpt(void *arg, const struct session_rcpt *r, struct session_verdict *v)
{
	if (strncmp(r->path, "nobody@", 7) == 0)
		session_refuse(v, 550, "5.1.1", "No such user");
	else
		session_accept(v, NULL);
	decide(arg, v);
}

static bool
on_body(void *arg, const char *p, size_t n)
{
	struct client *c = arg;
	size_t size = c->mail_size;
	char *grown;

	while (size - c->mail_len < n)
		size = size == 0 ? 4096 : size * 2;
	if (size != c->mail_size) {
		if ((grown = realloc(c->mail, size)) == NULL)
			return false;
		c->mail = grown;
		c->mail_size = size;
	}
	memcpy(c->mail + c->mail_len, p, n);
	c->mail_len += n;
	return true;
}

/* 250 promises that it is safe, so it is synced; a busy server has threads. */
static int
store(const struct client *c)
{
	static unsigned long long number;
	char path[4096];
	int fd, bad;

	snprintf(path, sizeof(path), "%s/%llu", directory, number++);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	bad = write(fd, c->mail, c->mail_len) != (ssize_t)c->mail_len ||
	    fsync(fd) == -1;
	if (close(fd) == -1 || bad) {
		unlink(path);
		return -1;
	}
	return 0;
}

static void
on_end(void *arg, uint64_t size, unsigned recipient, struct session_verdict *v)
{
	(void)size;
	(void)recipient;
	if (directory != NULL && store(arg) == -1)
		session_refuse(v, 452, "4.3.1", "Can't keep it now");
	else
		session_accept(v, NULL);
	decide(arg, v);
}

static void
on_reset(void *arg)
{
	struct client *c = arg;

	free(c->mail);
	c->mail = NULL;
	c->mail_len = c->mail_size = 0;
}

static const struct session_hooks hooks = {
	.size = sizeof(hooks), .mail = on_mail, .rcpt = on_rcpt,
	.body = on_body, .end = on_end, .reset = on_reset,
};

/* Octets, in clear or inside TLS: -1 with EAGAIN if there are none yet. */

static ssize_t
tls_result(ssize_t n)
{
	if (n >= 0)
		return n;
	errno = n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED ? EAGAIN :
	    EIO;
	return -1;
}

static ssize_t
client_read(struct client *c, void *p, size_t n)
{
	return c->tls != NULL ? tls_result(gnutls_record_recv(c->tls, p, n)) :
	    recv(c->fd, p, n, 0);
}

static ssize_t
client_write(struct client *c, const void *p, size_t n)
{
	return c->tls != NULL ? tls_result(gnutls_record_send(c->tls, p, n)) :
	    send(c->fd, p, n, MSG_NOSIGNAL);
}

static void
start_tls(struct client *c)
{
	gnutls_init(&c->tls, GNUTLS_SERVER | GNUTLS_NONBLOCK |
	    GNUTLS_NO_SIGNAL);
	gnutls_set_default_priority(c->tls);
	gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(c->tls, c->fd);
	c->handshaking = true;
}

/* The loop of one client, until it has to wait. */

/* Buffers for the calls to come: the client's own, or the shared ones. */
static void
lend(struct client *c)
{
	session_lend(&c->session, c->own != NULL ? c->own : shared);
}

/* A client that has something in the buffers keeps them. */
static void
take_back(struct client *c)
{
	if (session_idle(&c->session)) {
		free(c->own);
		c->own = NULL;
	} else if (c->own == NULL) {
		c->own = shared;
		if ((shared = malloc(sizeof(*shared))) == NULL)
			err(1, NULL);
	}
}

/* 0: all is sent; 1: the client is slow. */
static int
flush(struct client *c)
{
	const char *p;
	size_t len;
	ssize_t n;

	while ((len = session_output(&c->session, &p)) > 0) {
		if ((n = client_write(c, p, len)) == -1) {
			if (errno == EAGAIN)
				return 1;
			session_hangup(&c->session);
			n = (ssize_t)len;
		}
		session_sent(&c->session, (size_t)n);
	}
	return 0;
}

/* Give input; what is not taken waits with the client. */
static void
feed(struct client *c, char *p, size_t len)
{
	size_t used = session_rewrite(&c->session, p, len);
	char *rest = NULL;

	if (used < len && (rest = malloc(len - used)) == NULL)
		session_hangup(&c->session);
	if (rest != NULL)
		memcpy(rest, p + used, len - used);
	free(c->rest);
	c->rest = rest;
	c->rest_len = rest != NULL ? len - used : 0;
}

/* False: there is nothing to read yet. */
static bool
take_input(struct client *c)
{
	ssize_t n;

	if (c->rest_len > 0) {
		feed(c, c->rest, c->rest_len);
		return true;
	}
	if (c->drained) {
		c->drained = false;
		return false;
	}
	if ((n = client_read(c, input, sizeof(input))) > 0) {
		c->drained = c->tls == NULL && n < (ssize_t)sizeof(input);
		feed(c, input, (size_t)n);
	} else if (n == -1 && errno == EAGAIN)
		return false;
	else
		session_hangup(&c->session);
	return true;
}

/* False: there is more of the handshake to come. */
static bool
shake_hands(struct client *c)
{
	int rc;

	if (c->rest_len > 0) {		/* sent with STARTTLS: it is closed */
		feed(c, c->rest, c->rest_len);
		return true;
	}
	if (!c->handshaking)
		start_tls(c);
	if ((rc = gnutls_handshake(c->tls)) == 0) {
		c->handshaking = false;
		session_tls(&c->session);
	} else if (gnutls_error_is_fatal(rc))
		session_hangup(&c->session);
	else
		return false;
	return true;
}

static void
wait_for(struct client *c, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	if (events != c->events &&
	    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &ev) == -1)
		err(1, "epoll_ctl");
	c->events = events;
}

/* A client that waits for an answer is freed when that comes. */
static void
drop(struct client *c)
{
	if (c->fd != -1)
		close(c->fd);	/* unread input may reset it: session(3) */
	c->fd = -1;
	if (c->waiting)
		return;
	if (c->tls != NULL)
		gnutls_deinit(c->tls);
	if ((*c->link = c->next) != NULL)
		c->next->link = c->link;
	free(c->own);
	free(c->rest);
	free(c->mail);
	free(c);
}

/* RFC 5321 section 4.5.3.2. */
static time_t
patience(const struct client *c)
{
	return session_phase(&c->session) == SESSION_PHASE_MESSAGE ? 180 : 300;
}

static void
run(struct client *c)
{
	enum session_want want;
	bool more = true;
	int slow = 0;

	lend(c);
	while (more && (want = session_want(&c->session)) != SESSION_CLOSE) {
		if (want == SESSION_INPUT && c->rest_len > 0)
			more = take_input(c);
		else if ((slow = flush(c)) == 1)
			break;
		else if ((want = session_want(&c->session)) == SESSION_INPUT)
			more = take_input(c);
		else if (want == SESSION_TLS)
			more = shake_hands(c);
		else
			more = want != SESSION_ANSWER;
	}
	if (session_want(&c->session) == SESSION_CLOSE) {
		slow = flush(c);
		take_back(c);
		drop(c);
		return;
	}
	take_back(c);
	c->deadline = time(NULL) + patience(c);
	if (slow)
		wait_for(c, EPOLLOUT);
	else
		wait_for(c, session_want(&c->session) == SESSION_ANSWER ? 0 :
		    EPOLLIN);
}

/* The loop for all clients. */

static void
welcome(int listener)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct client *c;
	int fd;

	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd == -1)
		return;
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return;
	}
	c->fd = fd;
	c->events = EPOLLIN;
	c->link = &clients;
	if ((c->next = clients) != NULL)
		c->next->link = &c->next;
	clients = c;
	ev.data.ptr = c;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) == -1)
		err(1, "epoll_ctl");
	session_init(&c->session, shared, &config, &hooks, c);
	run(c);
}

static void
give_answers(void)
{
	struct client *c, *next = waiting;

	waiting = NULL;
	while ((c = next) != NULL) {
		next = c->next_waiting;
		c->waiting = false;
		if (c->fd == -1) {
			drop(c);
			continue;
		}
		lend(c);
		session_answer(&c->session, &c->answer);
		run(c);
	}
}

static void
end_the_idle(void)
{
	static time_t before;
	struct client *c, *next;
	time_t now = time(NULL);

	if (now == before)
		return;
	before = now;
	for (c = clients; c != NULL; c = next) {
		next = c->next;
		if (c->fd == -1 || c->deadline > now)
			continue;
		lend(c);
		session_shutdown(&c->session, "4.4.2", "timeout");
		run(c);
	}
}

static int
listen_on(const char *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)atoi(port)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev = { .events = EPOLLIN };
	socklen_t len = sizeof(sin);
	int fd, on = 1;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 4096) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		err(1, "port %s", port);
	if ((epoll = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) == -1)
		err(1, "epoll");
	printf("%d\n", ntohs(sin.sin_port));	/* for port 0 */
	fflush(stdout);
	return fd;
}

static void
use_certificate(const char *cert, const char *key)
{
	if (gnutls_certificate_allocate_credentials(&credentials) != 0 ||
	    gnutls_certificate_set_x509_key_file(credentials, cert, key,
	    GNUTLS_X509_FMT_PEM) != 0)
		errx(1, "%s, %s: no certificate and key", cert, key);
	config.extensions |= SESSION_EXT_STARTTLS;
}

static void
serve(int listener)
{
	struct epoll_event events[512];
	int i, n;

	for (;;) {
		n = epoll_wait(epoll, events, 512, waiting != NULL ? 0 : 1000);
		for (i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				welcome(listener);
			else
				run(events[i].data.ptr);
		give_answers();
		end_the_idle();
	}
}

int
main(int argc, char **argv)
{
	const char *cert = NULL, *key = NULL;
	struct rlimit files;
	int ch;

	while ((ch = getopt(argc, argv, "c:k:l")) != -1)
		if (ch == 'c')
			cert = optarg;
		else if (ch == 'k')
			key = optarg;
		else
			late = ch == 'l';
	if (optind + 1 != argc && optind + 2 != argc)
		errx(1, "usage: server [-l] [-c cert -k key] port [directory]");
	directory = argv[optind + 1];	/* or NULL */
	if (cert != NULL && key != NULL)
		use_certificate(cert, key);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if ((shared = malloc(sizeof(*shared))) == NULL)
		err(1, NULL);
	serve(listen_on(argv[optind]));
}
