/*
 * runner.c - runs the delivery program for a session that may not.
 *
 * A delivery program must not inherit the sandbox: it may be set-user-ID, and
 * writes where it likes.  So a process is forked before the sandbox closes; it
 * makes the messages' files and runs the program of the settings, and nothing
 * else, whatever the session may have become: arguments and environment are
 * compared with what the settings and program.c allow.  It ends with the session,
 * whose end of the socket is the only one, and goes along to smtpd-tls.  One
 * that does not answer in time (the program can stop it, being of the same
 * user) is given up, and with it all messages that are still to come.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver.h"
#include "process.h"

#define VARIABLE	"SMTPD_RUNNER"	/* for smtpd-tls: our pid, descriptor */
#define MARGIN		1000	/* ms; a run itself never takes as long */
#define STRINGS_MAX	(64UL << 20)	/* more than execve(2) takes */

struct request {
	bool		 run;		/* false: make a file */
	size_t		 argc, envc;
	size_t		 len;		/* of their strings, which follow */
};

struct answer {
	int		 error;
	struct exec_result result;
};

/* Room for one descriptor, aligned as it must be. */
union control {
	char		 buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr	 align;
};

static struct {
	bool		 active;
	int		 fd;		/* -1: given up */
	int64_t		 patience;	/* ms, for an answer */
	int64_t		 stop;		/* end of all programs' grace, or 0 */
} runner = { .fd = -1 };

/* One struct, with a descriptor unless that is -1. */
static bool
send_with(int socket, const void *p, size_t len, int fd)
{
	union { const void *in; void *out; } u = { p };
	struct iovec iov = { u.out, len };
	union control control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool
receive_with(int socket, void *p, size_t len, int *fd)
{
	struct iovec iov = { p, len };
	union control control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.buf, .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	n = recvmsg(socket, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC);
	if (n >= 0 && (c = CMSG_FIRSTHDR(&msg)) != NULL &&
	    c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n == (ssize_t)len;
}

/* The runner's side. */

/* So many strings, one behind the other, as a list; NULL: they are not. */
static char **
split(char **p, const char *end, size_t n)
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

static void
answer_run(int socket, struct connection *c, const struct request *r, int fd)
{
	struct answer a = { EPERM, { .status = 0 } };
	char *strings, *p, **argv = NULL, **env = NULL;

	if (r->len > STRINGS_MAX || (p = strings = malloc(r->len + 1)) == NULL)
		_exit(1);
	if (recv(socket, strings, r->len, MSG_WAITALL) != (ssize_t)r->len)
		_exit(1);
	argv = split(&p, strings + r->len, r->argc);
	env = argv != NULL ? split(&p, strings + r->len, r->envc) : NULL;
	if (env != NULL && fd != -1 && arguments_allowed(c, argv, r->argc, env))
		a.error = exec_program(argv, env, fd, c->settings.timeout,
		    &a.result);
	send_with(socket, &a, sizeof(a), -1);
	free(env);
	free(argv);
	free(strings);
}

static void
answer_create(int socket)
{
	struct answer a = { .error = 0 };
	int fd = exec_create();

	a.error = fd == -1 ? errno : 0;
	send_with(socket, &a, sizeof(a), fd);
	if (fd != -1)
		close(fd);
}

/* The client's descriptors are not kept open here. */
static void __attribute__((noreturn))
serve_session(int socket, struct connection *c)
{
	struct request r;
	int fd;

	dup2(socket, STDIN_FILENO);
	dup2(socket, STDOUT_FILENO);
	close(socket);
	while (receive_with(STDIN_FILENO, &r, sizeof(r), &fd)) {
		if (r.run)
			answer_run(STDIN_FILENO, c, &r, fd);
		else
			answer_create(STDIN_FILENO);
		if (fd != -1)
			close(fd);
	}
	_exit(0);
}

/* The session's side. */

bool
runner_active(void)
{
	return runner.active;
}

/*
 * smtpd-tls finds the one that smtpd had.  It is the same process: what else
 * may be in the environment is not for us.
 */
static bool
inherited(void)
{
	const char *text = getenv(VARIABLE);
	char ours[24];
	size_t len;
	int fd = 0;

	if (text == NULL)
		return false;
	len = (size_t)snprintf(ours, sizeof(ours), "%ld.", (long)getpid());
	if (strncmp(text, ours, len) == 0)
		fd = (int)strtonum(text + len, 3, 1023, NULL);
	unsetenv(VARIABLE);
	if (fd != 0)
		runner.fd = fd;
	return fd != 0;
}

int
runner_start(struct connection *c)
{
	char text[40];
	int ends[2];
	pid_t pid;

	runner.patience = process_longest((int64_t)c->settings.timeout * 1000) +
	    MARGIN;
	if (inherited()) {
		runner.active = true;
		return 0;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
		return -1;
	if ((pid = fork()) == 0) {
		close(ends[0]);
		serve_session(ends[1], c);
	}
	close(ends[1]);
	snprintf(text, sizeof(text), "%ld.%d", (long)getpid(), ends[0]);
	if (pid == -1 || setenv(VARIABLE, text, 1) == -1) {
		close(ends[0]);
		return -1;
	}
	runner.fd = ends[0];
	runner.active = true;
	return 0;
}

/* For good; errno is kept. */
static void
give_up(void)
{
	int error = errno;

	close(runner.fd);
	runner.fd = -1;
	errno = error;
}

/*
 * Until it answers.  At SIGTERM a program that has begun may finish, if that
 * does not take long: what we do not know of comes a second time.
 */
static bool
await_answer(void)
{
	struct pollfd p = { .fd = runner.fd, .events = POLLIN };
	int64_t deadline = conn_now() + runner.patience, left;
	int n;

	if (conn_await(runner.fd, POLLIN, deadline) == 0)
		return true;
	if (errno != EINTR)
		return false;
	if (runner.stop == 0)
		runner.stop = conn_now() + EXEC_GRACE;
	left = (runner.stop < deadline ? runner.stop : deadline) - conn_now();
	n = poll(&p, 1, left > 0 ? (int)left : 0);
	if (n == 0)
		errno = EINTR;
	return n == 1;
}

/* What it says to the question just asked, if that is sent; or -1. */
static int
take_answer(bool sent, struct answer *a, int *fd)
{
	if (sent && await_answer()) {
		if (receive_with(runner.fd, a, sizeof(*a), fd))
			return 0;
		errno = EPIPE;
	}
	give_up();
	return -1;
}

int
runner_create(void)
{
	const struct request r = { .run = false };
	struct answer a;
	int fd;

	if (runner.fd == -1) {
		errno = EPIPE;
		return -1;
	}
	if (take_answer(send_with(runner.fd, &r, sizeof(r), -1), &a,
	    &fd) == -1) {
		log_error(errno, "runner", NULL);
		errno = EPIPE;
		return -1;
	}
	if (fd == -1)
		errno = a.error;
	return fd;
}

/* Strings one behind the other; from NULL: only how long they are. */
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

static bool
send_all(const char *p, size_t len)
{
	int64_t deadline = conn_now() + runner.patience;
	ssize_t n;

	while (len > 0) {
		n = send(runner.fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN ||
		    conn_await(runner.fd, POLLOUT, deadline) == -1) {
			return false;
		}
	}
	return true;
}

int
runner_run(char *const *argv, char *const *env, int in,
    struct exec_result *result)
{
	struct request r = { .run = true };
	struct answer a;
	size_t len;
	char *strings;
	bool sent;
	int fd;

	if (runner.fd == -1)
		return EPIPE;
	len = join(NULL, argv, &r.argc);
	r.len = len + join(NULL, env, &r.envc);
	if (r.len > STRINGS_MAX)
		return E2BIG;
	if ((strings = malloc(r.len)) == NULL)
		return errno;
	join(strings, argv, &r.argc);
	join(strings + len, env, &r.envc);
	sent = send_with(runner.fd, &r, sizeof(r), in) &&
	    send_all(strings, r.len);
	free(strings);
	if (take_answer(sent, &a, &fd) == -1)
		return errno;
	*result = a.result;
	return a.error;
}
