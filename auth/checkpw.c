/*
 * checkpw.c - asks a program of the checkpassword interface.
 *
 * The program reads user, password and a timestamp, each ended by NUL, from
 * descriptor 3, and exits 0 (right), 1 (wrong) or with anything else (no
 * telling).  It never sees the client: its standard descriptors are all
 * /dev/null.  Standard error too, for what a checker has to say about a
 * password has no business in a log.
 */
#define _GNU_SOURCE	/* pipe2(), addclosefrom_np() */

#include <sys/types.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "smtpd.h"
#include "auth.h"

/* What the interface allows on descriptor 3, the timestamp included. */
#define CHECKPW_MAX	512
#define TICK		50	/* ms, where there are no pidfds */

struct child {
	const char	*program;
	pid_t		 pid;
	int		 input;		/* to become its descriptor 3 */
	char		 env[5][96];
	char		*envp[6];
};

static int	 fill(const char *, const char *);
static void	 environment(const struct connection *, struct child *);
static int	 start_checker(struct child *, char *const *);
static int	 await_checker(const struct child *, unsigned);
static void	 log_end(const struct child *, int);

/*
 * All of it fits into the pipe's buffer, so it is written before there is
 * anybody to read it: no waiting, no SIGPIPE.
 */
enum auth_result
checkpw_check(const struct connection *conn, const char *user,
    const char *password)
{
	char *const *words = conn->settings.auth_program;
	struct child child = { .program = words[0] };
	int status;

	if ((child.input = fill(user, password)) == -1) {
		if (errno == EMSGSIZE)
			return AUTH_WRONG;
		log_error(errno, "auth-program", words[0]);
		return AUTH_BROKEN;
	}
	environment(conn, &child);
	status = start_checker(&child, words);
	close(child.input);
	if (status != 0) {
		log_error(status, "auth-program", words[0]);
		return AUTH_BROKEN;
	}
	if ((status = await_checker(&child, conn->settings.timeout)) == -1)
		return AUTH_BROKEN;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return AUTH_RIGHT;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		return AUTH_WRONG;
	log_end(&child, status);
	return AUTH_BROKEN;
}

/* A pipe that holds the question: its reading end, or -1. */
static int
fill(const char *user, const char *password)
{
	char text[CHECKPW_MAX];
	ssize_t written;
	int fds[2], n, error;

	n = snprintf(text, sizeof(text), "%s%c%s%c%lld%c", user, '\0',
	    password, '\0', (long long)time(NULL), '\0');
	if (n < 0 || (size_t)n >= sizeof(text)) {
		explicit_bzero(text, sizeof(text));
		errno = EMSGSIZE;
		return -1;
	}
	if (pipe2(fds, O_CLOEXEC) == -1) {
		explicit_bzero(text, sizeof(text));
		return -1;
	}
	written = write(fds[1], text, (size_t)n);
	error = errno;
	explicit_bzero(text, sizeof(text));
	close(fds[1]);
	if (written != n) {
		close(fds[0]);
		errno = written == -1 ? error : EIO;
		return -1;
	}
	return fds[0];
}

/* From scratch; TCPREMOTEIP is what such programs know from tcpserver. */
static void
environment(const struct connection *conn, struct child *c)
{
	size_t i;

	snprintf(c->env[0], sizeof(c->env[0]),
	    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
	    "/sbin:/bin");
	snprintf(c->env[1], sizeof(c->env[1]), "REMOTE_ADDR=%s", conn->addr);
	snprintf(c->env[2], sizeof(c->env[2]), "REMOTE_PORT=%s", conn->port);
	snprintf(c->env[3], sizeof(c->env[3]), "TCPREMOTEIP=%s", conn->addr);
	snprintf(c->env[4], sizeof(c->env[4]), "SESSION_ID=%s", conn->id);
	for (i = 0; i < 5; i++)
		c->envp[i] = c->env[i];
	c->envp[i] = NULL;
}

/* In a process group of its own: 0 or an error number. */
static int
start_checker(struct child *c, char *const *words)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, pipes;
	int e;

	/* Or we would never learn how it ended. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigemptyset(&pipes);
	sigaddset(&pipes, SIGPIPE);
	if ((e = posix_spawn_file_actions_init(&files)) != 0)
		return e;
	if ((e = posix_spawnattr_init(&attr)) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return e;
	}
	if ((e = posix_spawn_file_actions_adddup2(&files, c->input, 3)) == 0 &&
	    (e = posix_spawn_file_actions_addopen(&files, STDIN_FILENO,
	    "/dev/null", O_RDWR, 0)) == 0 &&
	    (e = posix_spawn_file_actions_adddup2(&files, STDIN_FILENO,
	    STDOUT_FILENO)) == 0 &&
	    (e = posix_spawn_file_actions_adddup2(&files, STDIN_FILENO,
	    STDERR_FILENO)) == 0 &&
	    (e = posix_spawn_file_actions_addclosefrom_np(&files, 4)) == 0 &&
	    (e = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP |
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) == 0 &&
	    (e = posix_spawnattr_setsigmask(&attr, &none)) == 0 &&
	    (e = posix_spawnattr_setsigdefault(&attr, &pipes)) == 0)
		e = posix_spawn(&c->pid, words[0], &files, &attr, words,
		    c->envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return e;
}

/*
 * Did it end before the deadline, and how?  A kernel before 5.3, or one whose
 * supervisor forbids it, has no pidfds: then we look again and again.
 */
static bool
ended(pid_t pid, int pidfd, int64_t deadline, int *status)
{
	int64_t tick;
	int n;

	do {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		tick = conn_now() + TICK;
		n = conn_await(pidfd, POLLIN, pidfd == -1 && tick < deadline ?
		    tick : deadline);
	} while (n == 0 || (errno == ETIMEDOUT && conn_now() < deadline));
	return false;
}

/*
 * What runs longer is killed, unless it became somebody else, whom we can't
 * kill: then it is not waited for either.
 */
static void
kill_checker(const struct child *c)
{
	int status;

	kill(-c->pid, SIGKILL);
	if (kill(c->pid, SIGKILL) == -1) {
		log_error(errno, "auth-program: kill", c->program);
		return;
	}
	while (waitpid(c->pid, &status, 0) == -1 && errno == EINTR)
		;
}

/* Its wait status, or -1: it had to be ended. */
static int
await_checker(const struct child *c, unsigned seconds)
{
	int64_t deadline = conn_now() + (int64_t)seconds * 1000;
	int status, error, pidfd = pidfd_open(c->pid, 0);
	bool done = ended(c->pid, pidfd, deadline, &status);

	error = errno;
	if (pidfd != -1)
		close(pidfd);
	if (done)
		return status;
	log_error(error, "auth-program", c->program);
	kill_checker(c);
	return -1;
}

static void
log_end(const struct child *c, int status)
{
	char what[48];

	if (WIFSIGNALED(status))
		snprintf(what, sizeof(what), "auth-program ended by signal %d",
		    WTERMSIG(status));
	else
		snprintf(what, sizeof(what), "auth-program exit status %d",
		    WEXITSTATUS(status));
	log_error(0, what, c->program);
}

int
checkpw_test(char *const *words)
{
	if (access(words[0], X_OK) == 0)
		return 0;
	warn("auth-program: %s", words[0]);
	return 1;
}
