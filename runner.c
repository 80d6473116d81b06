/*
 * runner.c - runs the delivery program for a session that may not.
 *
 * A delivery program must not inherit the sandbox: it may be set-user-ID, and
 * writes where it likes.  So a process is forked before the sandbox closes; it
 * makes the messages' files and runs the program of the settings, and nothing
 * else, whatever the session may have become: arguments and environment are
 * compared with what the settings and exec.c allow.  It ends with the session,
 * whose end of the socket is the only one, and goes along to smtpd-tls.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver.h"

#define VARIABLE	"SMTPD_RUNNER"	/* for smtpd-tls: the descriptor */
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

static int	runner = -1;

/* One struct, with a descriptor unless that is -1. */
static bool
send_with(int socket, const void *p, size_t len, int fd)
{
	union { const void *in; void *out; } u = { p };
	struct iovec	 iov = { u.out, len };
	union control	 control;
	struct msghdr	 msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr	*c;

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
	struct iovec	 iov = { p, len };
	union control	 control;
	struct msghdr	 msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.buf, .msg_controllen = sizeof(control.buf) };
	struct cmsghdr	*c;
	ssize_t		 n;

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
	char	**list;
	size_t	 i;

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
	struct answer	 a = { EPERM, { .status = 0 } };
	char		*strings, *p, **argv = NULL, **env = NULL;

	if (r->len > STRINGS_MAX || (p = strings = malloc(r->len + 1)) == NULL)
		_exit(1);
	if (recv(socket, strings, r->len, MSG_WAITALL) != (ssize_t)r->len)
		_exit(1);
	argv = split(&p, strings + r->len, r->argc);
	env = argv != NULL ? split(&p, strings + r->len, r->envc) : NULL;
	if (env != NULL && fd != -1 && exec_allowed(c, argv, r->argc, env))
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
	struct answer	 a = { .error = 0 };
	int		 fd = exec_create();

	a.error = fd == -1 ? errno : 0;
	send_with(socket, &a, sizeof(a), fd);
	if (fd != -1)
		close(fd);
}

/* The client's descriptors are not kept open here. */
static void __attribute__((noreturn))
serve(int socket, struct connection *c)
{
	struct request	 r;
	int		 fd;

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
	return runner != -1;
}

/* smtpd-tls finds the one that smtpd had. */
static bool
inherited(void)
{
	const char	*text = getenv(VARIABLE);

	if (text == NULL)
		return false;
	runner = (int)strtonum(text, 3, 1023, NULL);
	unsetenv(VARIABLE);
	if (runner == 0)
		runner = -1;
	return runner != -1;
}

int
runner_start(struct connection *c)
{
	char	 text[16];
	int	 ends[2];
	pid_t	 pid;

	if (inherited())
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
		return -1;
	if ((pid = fork()) == 0) {
		close(ends[0]);
		serve(ends[1], c);
	}
	close(ends[1]);
	snprintf(text, sizeof(text), "%d", ends[0]);
	if (pid == -1 || setenv(VARIABLE, text, 1) == -1) {
		close(ends[0]);
		return -1;
	}
	runner = ends[0];
	return 0;
}

int
runner_create(void)
{
	const struct request	 r = { .run = false };
	struct answer		 a;
	int			 fd;

	if (!send_with(runner, &r, sizeof(r), -1) ||
	    !receive_with(runner, &a, sizeof(a), &fd)) {
		log_error(EPIPE, "runner", NULL);
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
	size_t	 len, all = 0;

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
	ssize_t	 n;

	for (; len > 0; p += n, len -= (size_t)n)
		if ((n = send(runner, p, len, MSG_NOSIGNAL)) == -1)
			return false;
	return true;
}

int
runner_run(char *const *argv, char *const *env, int in,
    struct exec_result *result)
{
	struct request	 r = { .run = true };
	struct answer	 a;
	size_t		 len;
	char		*strings;
	bool		 done;
	int		 fd;

	len = join(NULL, argv, &r.argc);
	r.len = len + join(NULL, env, &r.envc);
	if (r.len > STRINGS_MAX)
		return E2BIG;
	if ((strings = malloc(r.len)) == NULL)
		return errno;
	join(strings, argv, &r.argc);
	join(strings + len, env, &r.envc);
	done = send_with(runner, &r, sizeof(r), in) &&
	    send_all(strings, r.len) &&
	    receive_with(runner, &a, sizeof(a), &fd);
	free(strings);
	if (!done)
		return EPIPE;
	*result = a.result;
	return a.error;
}
