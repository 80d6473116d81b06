/* SPDX-License-Identifier: ISC */
/*
 * runner.c - the one process outside the sandbox.
 *
 * A process that is forked before the sandbox closes does what the session
 * needs but must not be able to do, even if it has been subverted: it reads
 * requests, compares each with the settings, and answers.  Programs that it
 * starts must not inherit the sandbox: a delivery program may be set-user-ID,
 * and writes where it likes.  It ends with the session, which alone has the
 * other end of its socket, and hands that on to smtpd-tls.
 */
#define _GNU_SOURCE	/* POLLRDHUP */

#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "pass.h"
#include "process.h"
#include "runner.h"

#define VARIABLE	"SMTPD_RUNNER"	/* for smtpd-tls: its descriptor */
#define EXTRA		1000	/* ms: more than the runner itself takes */
#define STRINGS_MAX	(64UL << 20)	/* more than execve(2) takes */
#define PROGRAMS_MAX	(SERVER_LISTS * SERVERS_MAX)
#define LAST_WORDS	2000	/* ms for a program, once the session is over */
#define FILES_MAX	2	/* a message, and a copy for one recipient */
#define SEND_TRIES	100	/* 10 ms apart, while the kernel has no room */

enum request_kind {
	MAKE_FILE,		/* answered with a descriptor */
	DROP_FILE,		/* not answered */
	RUN_PROGRAM,
	CHECK_PASSWORD,
	CONNECT			/* answered with a descriptor */
};

struct request {
	enum request_kind kind;
	ino_t		 file;		/* DROP_FILE, RUN_PROGRAM */
	size_t		 argc, envc;	/* RUN_PROGRAM: of the strings */
	int64_t		 time;		/* CONNECT: ms for it */
	size_t		 len;		/* of the strings, which follow */
};

struct answer {
	int		 error;
	enum auth_result password;
	struct exec_result result;
};

static struct {
	int		 fd;		/* -1: given up */
	int64_t		 patience;	/* ms, for what a program does */
	int64_t		 stop;		/* end of all programs' grace, or 0 */
} runner = { .fd = -1 };

/* The kernel may have no room for what is sent now, but that passes. */
static bool
try_again(int *tries)
{
	const struct timespec moment = { 0, 10000000 };

	if (errno == EINTR)
		return true;
	if ((errno != ENOBUFS && errno != ENOMEM && errno != ETOOMANYREFS) ||
	    ++*tries == SEND_TRIES)
		return false;
	nanosleep(&moment, NULL);
	return true;
}

/* The runner's side. */

/*
 * The files it has made, which the session names by their inode's number: it
 * must not pass descriptors, since all of a user's that are under way count,
 * and too many of one session's would stop those of others.
 */
static struct {
	int	fd;
	ino_t	number;			/* 0: none */
} made[FILES_MAX];

/* Filters that it has started, each for a server of the settings. */
static struct {
	const struct server *server;	/* NULL: none */
	struct process	 process;
} programs[PROGRAMS_MAX];

/* n strings, one after the other, as a list; NULL: they are not that. */
static char **
split_strings(char **p, const char *end, size_t n)
{
	char **list;
	size_t i;

	if (n > (size_t)(end - *p) ||
	    (list = calloc(n + 1, sizeof(*list))) == NULL)
		return NULL;
	for (i = 0; i < n; i++) {
		list[i] = *p;
		*p = memchr(*p, '\0', (size_t)(end - *p));
		if (*p == NULL) {
			free(list);
			return NULL;
		}
		(*p)++;
	}
	return list;
}

/* A session that is gone needs no runner. */
static void
send_answer(const struct answer *a, int fd)
{
	int tries = 0;
	ssize_t n;

	while ((n = pass(STDIN_FILENO, a, sizeof(*a), fd, 0)) == -1 &&
	    try_again(&tries))
		;
	if (n != sizeof(*a))
		_exit(1);
}

/* The place of this file, or for 0 a free one; or FILES_MAX. */
static int
find_file(ino_t number)
{
	int i;

	for (i = 0; i < FILES_MAX; i++)
		if (made[i].number == number)
			break;
	return i;
}

static int
make(void)
{
	struct stat st;
	int i = find_file(0), fd;

	if (i == FILES_MAX) {
		errno = EMFILE;
		return -1;
	}
	if ((fd = exec_create()) == -1)
		return -1;
	if (fstat(fd, &st) == -1) {
		close(fd);
		return -1;
	}
	made[i].fd = fd;
	made[i].number = st.st_ino;
	return fd;
}

static void
make_file(struct connection *c, const struct request *r, char *strings)
{
	struct answer a = { .error = 0 };
	int fd = make();

	(void)c, (void)r, (void)strings;
	a.error = fd == -1 ? errno : 0;
	send_answer(&a, fd);
}

static void
drop_file(struct connection *c, const struct request *r, char *strings)
{
	int i = find_file(r->file);

	(void)c, (void)strings;
	if (i == FILES_MAX || r->file == 0)
		return;
	close(made[i].fd);
	made[i].number = 0;
}

/* SIGTERM or the session's end came first: don't begin. */
static bool
is_over(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLRDHUP };

	return conn_stopped() || poll(&p, 1, 0) != 0;
}

static void
run_program(struct connection *c, const struct request *r, char *strings)
{
	struct answer a = { .error = EPERM };
	char *p = strings, **argv, **env = NULL;
	int i = find_file(r->file);

	argv = split_strings(&p, strings + r->len, r->argc);
	if (argv != NULL)
		env = split_strings(&p, strings + r->len, r->envc);
	if (is_over())
		a.error = ECANCELED;
	else if (env != NULL && i != FILES_MAX && r->file != 0 &&
	    arguments_allowed(c, argv, r->argc, env))
		a.error = exec_program(argv, env, made[i].fd, STDIN_FILENO,
		    c->settings.timeout, &a.result);
	send_answer(&a, -1);
	free(env);
	free(argv);
}

/*
 * Its strings: the client's address and port, the user, the password.  A
 * session whose guesses were wrong so often asks no more by itself.
 */
static void
check_password(struct connection *c, const struct request *r, char *strings)
{
	static unsigned failures;
	const unsigned most = c->settings.max_auth_failures;
	struct answer a = { .error = EPERM };
	char *p = strings, **list;

	list = split_strings(&p, strings + r->len, 4);
	if (list != NULL && c->settings.auth_program != NULL &&
	    (most == 0 || failures < most) &&
	    (strcmp(list[0], "local") == 0 || peer_is_address(list[0]))) {
		strlcpy(c->addr, list[0], sizeof(c->addr));
		strlcpy(c->port, list[1], sizeof(c->port));
		a.password = checkpw_run(c, list[2], list[3], STDIN_FILENO);
		a.error = 0;
		failures += a.password == AUTH_WRONG;
	}
	explicit_bzero(strings, r->len);
	send_answer(&a, -1);
	free(list);
}

static const struct server *
find_server(const struct settings *set, const char *text)
{
	const struct server *s;
	size_t list, i;

	for (list = 0; list < SERVER_LISTS; list++)
		for (i = 0; i < SERVERS_MAX; i++) {
			s = &set->servers[list][i];
			if (s->text != NULL && strcmp(s->text, text) == 0)
				return s;
		}
	return NULL;
}

static void
end_program(size_t i)
{
	const struct process_limits limits = { LAST_WORDS, LAST_WORDS, -1 };

	if (programs[i].server != NULL)
		process_finish(&programs[i].process, &limits);
	programs[i].server = NULL;
}

/* A program's place in the table: the one it had, or a free one. */
static size_t
place_of(const struct server *s)
{
	size_t i, free = 0;

	for (i = 0; i < PROGRAMS_MAX; i++) {
		if (programs[i].server == s)
			return i;
		if (programs[i].server == NULL)
			free = i;
	}
	return free;
}

/* Standard error goes where our log goes, unless that is syslog. */
static int
start_filter(const struct server *s)
{
	static char path[] = "PATH=" _PATH_STDPATH;
	char *const env[] = { path, NULL };
	size_t i = place_of(s);
	int ends[2], files[3], error;

	end_program(i);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1)
		return -1;
	files[0] = files[1] = ends[1];
	files[2] = log_where() == LOGTO_STDERR ? STDERR_FILENO : PROCESS_NULL;
	error = process_start(&programs[i].process, "policy", s->words, env,
	    files, nitems(files));
	close(ends[1]);
	if (error == 0) {
		programs[i].server = s;
		return ends[0];
	}
	close(ends[0]);
	errno = error;
	return -1;
}

static void
open_stream(struct connection *c, const struct request *r, char *strings)
{
	struct answer a = { .error = EPERM };
	const struct server *s = find_server(&c->settings, strings);
	int fd = -1;

	if (s != NULL && r->time >= 0 && r->time <= INT32_MAX) {
		fd = s->kind == SERVER_EXEC ? start_filter(s) :
		    server_connect(s, STDIN_FILENO, conn_now() + r->time);
		a.error = fd == -1 ? errno : 0;
	}
	send_answer(&a, fd);
	if (fd != -1)
		close(fd);
}

static const struct {
	void	(*answer)(struct connection *, const struct request *, char *);
	size_t	 strings_max;
} requests[] = {
	[MAKE_FILE] = { make_file, 0 },
	[DROP_FILE] = { drop_file, 0 },
	[RUN_PROGRAM] = { run_program, STRINGS_MAX },
	[CHECK_PASSWORD] = { check_password, 2048 },
	[CONNECT] = { open_stream, 8192 }
};

static bool
read_whole(void *p, size_t len)
{
	ssize_t n;

	while ((n = recv(STDIN_FILENO, p, len, MSG_WAITALL)) == -1 &&
	    errno == EINTR)
		;
	return n == (ssize_t)len;
}

/* False: it can't be a request, or nobody is there any more. */
static bool
serve_request(struct connection *c, const struct request *r)
{
	char *strings;
	bool whole;

	if (r->kind >= nitems(requests) ||
	    r->len > requests[r->kind].strings_max ||
	    (strings = malloc(r->len + 1)) == NULL)
		return false;
	strings[r->len] = '\0';
	whole = r->len == 0 || read_whole(strings, r->len);
	if (whole)
		requests[r->kind].answer(c, r, strings);
	free(strings);
	return whole;
}

/*
 * An answer that was not read before the next request: its descriptor counts as
 * well (see made), so a session may not leave any number of them.
 */
static bool
is_unread(void)
{
	int octets;

	return ioctl(STDIN_FILENO, SIOCOUTQ, &octets) == 0 && octets > 0;
}

/*
 * The client's descriptors are not kept open here.  Nor may others read our
 * memory, as a program of the same user otherwise could.
 */
static void __attribute__((noreturn))
serve_session(int socket, struct connection *c)
{
	struct request r;
	size_t i;

	if (dup2(socket, STDIN_FILENO) == -1 ||
	    dup2(socket, STDOUT_FILENO) == -1)
		_exit(1);
	close(socket);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	while (read_whole(&r, sizeof(r)) && !is_unread() &&
	    serve_request(c, &r))
		;
	for (i = 0; i < PROGRAMS_MAX; i++)
		end_program(i);
	_exit(0);
}

/* The session's side. */

bool
runner_wanted(const struct settings *set)
{
	size_t i;

	for (i = 0; i < SERVER_LISTS; i++)
		if (set->servers[i][0].text != NULL)
			return true;
	return set->exec != NULL || set->auth_program != NULL;
}

int
runner_socket(void)
{
	return runner.fd;
}

int
runner_start(struct connection *c)
{
	int ends[2];
	pid_t pid;

	runner.patience = process_longest((int64_t)c->settings.timeout * 1000);
	if ((runner.fd = kept_get(VARIABLE)) != -1)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
		return -1;
	if ((pid = fork()) == 0) {
		close(ends[0]);
		serve_session(ends[1], c);
	}
	close(ends[1]);
	if (pid == -1 || kept_set(VARIABLE, ends[0]) == -1) {
		close(ends[0]);
		return -1;
	}
	runner.fd = ends[0];
	return 0;
}

/*
 * Give the runner up for good; errno is kept.  It sees that nobody waits any
 * more, and ends what it runs.
 */
static void
abandon(void)
{
	int error = errno;

	close(runner.fd);
	runner.fd = -1;
	errno = error;
}

/*
 * Wait until it answers.  At SIGTERM a program that has begun may finish within
 * grace: a message whose fate we do not learn comes a second time.
 */
static bool
await_answer(int64_t ms, int64_t grace)
{
	struct pollfd p = { .fd = runner.fd, .events = POLLIN };
	int64_t deadline = conn_now() + ms, left;
	int n;

	if (conn_await(runner.fd, POLLIN, deadline) == 0)
		return true;
	if (errno != EINTR)
		return false;
	if (runner.stop == 0)
		runner.stop = conn_now() + grace;
	left = (runner.stop < deadline ? runner.stop : deadline) - conn_now();
	n = poll(&p, 1, left > 0 ? (int)left : 0);
	if (n == 0)
		errno = EINTR;
	return n == 1;
}

static bool
send_all(const char *p, size_t len)
{
	int64_t deadline = conn_now() + runner.patience;
	int tries = 0;
	ssize_t n;

	while (len > 0) {
		n = send(runner.fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN ? conn_await(runner.fd, POLLOUT,
		    deadline) == -1 : !try_again(&tries)) {
			return false;
		}
	}
	return true;
}

static bool
send_request(const struct request *r, const char *strings)
{
	return send_all((const char *)r, sizeof(*r)) &&
	    send_all(strings, r->len);
}

/* Exactly one, with its descriptor or -1. */
static bool
receive_answer(struct answer *a, int *fd)
{
	return passed(runner.fd, a, sizeof(*a), fd, MSG_WAITALL) == sizeof(*a);
}

/*
 * One request with its strings.  fd: where the descriptor that comes back is
 * put.  0, or -1: the runner is given up.
 */
static int
request(const struct request *r, const char *strings, int64_t grace,
    struct answer *a, int *fd)
{
	*fd = -1;
	if (runner.fd == -1) {
		errno = EPIPE;
		return -1;
	}
	if (send_request(r, strings) && await_answer(runner.patience +
	    r->time + EXTRA, grace)) {
		if (receive_answer(a, fd))
			return 0;
		errno = EPIPE;
	}
	log_error(errno, "runner", NULL);
	abandon();
	return -1;
}

static ino_t
number_of(int file)
{
	struct stat st;

	return fstat(file, &st) == -1 ? 0 : st.st_ino;
}

/* The descriptor of an answer, or -1 with errno: we may have no room for it. */
static int
received(const struct answer *a, int fd)
{
	if (fd == -1 && a->error == 0)
		log_error(EMFILE, "runner", NULL);
	if (fd == -1)
		errno = a->error != 0 ? a->error : EMFILE;
	return fd;
}

int
runner_create(void)
{
	const struct request r = { .kind = MAKE_FILE };
	struct answer a;
	int fd;

	if (request(&r, NULL, EXEC_GRACE, &a, &fd) == -1) {
		errno = EPIPE;
		return -1;
	}
	return received(&a, fd);
}

void
runner_drop(int file)
{
	struct request r = { .kind = DROP_FILE, .file = number_of(file) };

	close(file);
	if (runner.fd == -1 || send_request(&r, NULL))
		return;
	log_error(errno, "runner", NULL);
	abandon();
}

/* Put strings one after the other; if to is NULL, only measure them. */
static size_t
join(char *to, char *const *list, size_t *n)
{
	size_t len, all = 0;

	for (*n = 0; list[*n] != NULL; (*n)++) {
		len = strlen(list[*n]) + 1;
		if (to != NULL)
			memcpy(to + all, list[*n], len);
		all += len;
	}
	return all;
}

int
runner_run(char *const *argv, char *const *env, int file,
    struct exec_result *result)
{
	struct request r = { .kind = RUN_PROGRAM, .file = number_of(file) };
	struct answer a;
	size_t len;
	char *strings;
	int error, fd;

	/* No program is begun once we are to end. */
	if (runner.fd == -1 || conn_stopped())
		return runner.fd == -1 ? EPIPE : ECANCELED;
	len = join(NULL, argv, &r.argc);
	r.len = len + join(NULL, env, &r.envc);
	if (r.len > STRINGS_MAX)
		return E2BIG;
	if ((strings = malloc(r.len)) == NULL)
		return errno;
	join(strings, argv, &r.argc);
	join(strings + len, env, &r.envc);
	error = request(&r, strings, EXEC_GRACE, &a, &fd) == -1 ? errno : 0;
	free(strings);
	if (error == 0) {
		*result = a.result;
		return a.error;
	}
	/* The runner ends what it runs, if it can; we can't know. */
	log_error(0, "exec: the message may have been taken all the same",
	    argv[0]);
	return error;
}

enum auth_result
runner_check_password(const struct connection *c, const char *user,
    const char *password)
{
	const char *const parts[] = { c->addr, c->port, user, password };
	struct request r = { .kind = CHECK_PASSWORD };
	char strings[2048];
	struct answer a = { .error = EPIPE };
	size_t i, len;
	int fd;

	for (i = 0; i < nitems(parts); i++) {
		len = strlen(parts[i]) + 1;
		if (len > sizeof(strings) - r.len)
			return AUTH_WRONG;
		memcpy(strings + r.len, parts[i], len);
		r.len += len;
	}
	if (request(&r, strings, 0, &a, &fd) == -1 || a.error != 0)
		a.password = AUTH_BROKEN;
	explicit_bzero(strings, sizeof(strings));
	return a.password;
}

int
runner_connect(const struct server *s, int64_t ms)
{
	const struct request r = { .kind = CONNECT, .time = ms,
	    .len = strlen(s->text) + 1 };
	struct answer a;
	int fd;

	return request(&r, s->text, 0, &a, &fd) == -1 ? -1 :
	    received(&a, fd);
}
