/*
 * program.c - a program that takes the message.
 *
 * No shell: what arguments.c makes, the message in a file without a name as
 * standard input, and no other descriptor of ours.  The child is started
 * without a copy of our memory (posix_spawn), in a session of its own, and is
 * watched with a deadline; its exit status is the verdict.
 */
#define _GNU_SOURCE	/* O_TMPFILE, pipe2(2) */

#include <sys/types.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "session/address.h"
#include "deliver.h"

#define LOG_LINES	100	/* of standard error, for each run */
#define LOG_LINE_MAX	500
#define QMAIL_TEMPFAIL	111
#define TICK		50	/* ms, where there are no pidfds */
#define LOOK		1000	/* ms, between looks for SIGTERM */

struct line {
	char		 text[LOG_LINE_MAX + 1];
	size_t		 len;
	unsigned	 count;		/* lines seen before this one */
};

enum { OUT, ERR, PID, WATCHED };	/* in struct run's pollfds */

struct run {
	char		**argv;
	char *const	*env;
	pid_t		 pid;
	struct pollfd	 fds[WATCHED];
	int		 status;
	bool		 late;		/* it had to be killed */
	struct line	 out;		/* the first one counts */
	struct line	 err;
};

/* How a program that takes too long is ended: a signal, then ms of patience. */
static const struct {
	int		 signal;
	int		 patience;
} endings[] = {
	{ SIGTERM, 2000 },
	{ SIGKILL, 5000 }
};
#define ENDINGS	(sizeof(endings) / sizeof(endings[0]))

/* By exit status; the last one is for all others. */
static const struct {
	int		 status;
	struct session_verdict verdict;
} outcomes[] = {
	{ EX_OK, { SESSION_ACCEPT, 250, "2.0.0", NULL } },
	{ EX_NOUSER, { SESSION_REFUSE, 550, "5.1.1", "No such user here" } },
	{ EX_TEMPFAIL, { SESSION_REFUSE, 451, "4.3.0",
	    "Delivery failed for now, try later" } },
	{ QMAIL_TEMPFAIL, { SESSION_REFUSE, 451, "4.3.0",
	    "Delivery failed for now, try later" } },
	{ -1, { SESSION_REFUSE, 554, "5.3.0", "Message refused" } }
};

/* The message's file.  Not for keeps: no name, no fsync. */

static const char *
tmp_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir != NULL && dir[0] != '\0' ? dir : "/tmp";
}

static int
create_unlinked(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/smtpd.XXXXXXXXXX", dir) >=
	    (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if ((fd = mkostemp(path, O_CLOEXEC)) != -1)
		unlink(path);
	return fd;
}

int
exec_create(void)
{
	const char *dir = tmp_dir();
	int error, fd;

	if (runner_active())
		return runner_create();
	fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR ||
	    errno == EINVAL))
		fd = create_unlinked(dir);
	if (fd == -1) {
		error = errno;
		log_error(error, "temporary file", dir);
		errno = error;
	}
	return fd;
}

static void
close_run(struct run *r)
{
	size_t i;

	for (i = 0; i < WATCHED; i++)
		if (r->fds[i].fd != -1)
			close(r->fds[i].fd);
}

/* Starting it. */

/*
 * The child runs in /, so that it keeps no file system busy; a program named
 * relative to where we were started is still found.
 */
static const char *
program_path(const char *word)
{
	static char path[PATH_MAX];
	char dir[PATH_MAX];

	if (word[0] == '/' || strchr(word, '/') == NULL ||
	    getcwd(dir, sizeof(dir)) == NULL ||
	    snprintf(path, sizeof(path), "%s/%s", dir, word) >=
	    (int)sizeof(path))
		return word;
	return path;
}

/* In this order: an end of a pipe may be 2, but is never 0 or 1. */
static int
child_files(posix_spawn_file_actions_t *a, int in, int out, int error)
{
	int e;

	if ((e = posix_spawn_file_actions_adddup2(a, in, 0)) == 0 &&
	    (e = posix_spawn_file_actions_adddup2(a, out, 1)) == 0 &&
	    (e = posix_spawn_file_actions_adddup2(a, error, 2)) == 0 &&
	    (e = posix_spawn_file_actions_addclosefrom_np(a, 3)) == 0)
		e = posix_spawn_file_actions_addchdir_np(a, "/");
	return e;
}

static int
child_state(posix_spawnattr_t *a)
{
	sigset_t all, none;
	int e;

	sigfillset(&all);
	sigemptyset(&none);
	if ((e = posix_spawnattr_setsigdefault(a, &all)) == 0 &&
	    (e = posix_spawnattr_setsigmask(a, &none)) == 0)
		e = posix_spawnattr_setflags(a, POSIX_SPAWN_SETSID |
		    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	return e;
}

static int
spawn(struct run *r, int in, int out, int error)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t state;
	int e;

	if ((e = posix_spawn_file_actions_init(&files)) != 0)
		return e;
	if ((e = posix_spawnattr_init(&state)) == 0) {
		if ((e = child_files(&files, in, out, error)) == 0 &&
		    (e = child_state(&state)) == 0)
			e = posix_spawnp(&r->pid, program_path(r->argv[0]),
			    &files, &state, r->argv, r->env);
		posix_spawnattr_destroy(&state);
	}
	posix_spawn_file_actions_destroy(&files);
	return e;
}

/* With a pipe for each of its outputs; errno, or 0. */
static int
start_program(struct run *r, int in)
{
	int out[2], error[2], e;

	if (pipe2(out, O_CLOEXEC) == -1)
		return errno;
	if (pipe2(error, O_CLOEXEC) == -1) {
		e = errno;
		close(out[0]);
		close(out[1]);
		return e;
	}
	r->fds[OUT].fd = out[0];
	r->fds[ERR].fd = error[0];
	/* Or we would never learn how it ended. */
	signal(SIGCHLD, SIG_DFL);
	if (lseek(in, 0, SEEK_SET) == -1)
		e = errno;
	else
		e = spawn(r, in, out[1], error[1]);
	close(out[1]);
	close(error[1]);
	if (e == 0)
		r->fds[PID].fd = pidfd_open(r->pid, 0);
	return e;
}

/* What it prints. */

/* A character more; what does not fit, or is not ASCII, is not kept. */
static void
add_char(struct line *l, char c, size_t limit)
{
	if (l->len < limit)
		l->text[l->len++] = c >= ' ' && c <= '~' ? c : '?';
}

static void
end_line(struct line *l)
{
	while (l->len > 0 && l->text[l->len - 1] == ' ')
		l->len--;
	l->text[l->len] = '\0';
}

static void
log_line(struct line *l)
{
	end_line(l);
	if (l->len > 0 && l->count < LOG_LINES)
		log_event("program", "stderr", l->text, NULL);
	else if (l->count == LOG_LINES)
		log_event("program", "stderr", "...", NULL);
	l->count++;
	l->len = 0;
}

static void
take_output(struct line *l, const char *p, size_t len)
{
	for (; len > 0 && l->count == 0; p++, len--) {
		if (*p == '\n')
			l->count++;
		else if (*p != '\r')
			add_char(l, *p, SESSION_TEXT_MAX);
	}
}

static void
take_errors(struct line *l, const char *p, size_t len)
{
	for (; len > 0; p++, len--) {
		if (*p == '\n')
			log_line(l);
		else
			add_char(l, *p == '\t' || *p == '\r' ? ' ' : *p,
			    LOG_LINE_MAX);
	}
}

static void
take(struct run *r, int which)
{
	char buf[4096];
	ssize_t n;

	if (r->fds[which].revents == 0)
		return;
	n = read(r->fds[which].fd, buf, sizeof(buf));
	if (n == -1 && errno == EINTR)
		return;
	if (n <= 0) {
		close(r->fds[which].fd);
		r->fds[which].fd = -1;
	} else if (which == OUT) {
		take_output(&r->out, buf, (size_t)n);
	} else {
		take_errors(&r->err, buf, (size_t)n);
	}
}

/* Waiting for it. */

/* A pipe that others hold open too does not keep us: the exit counts. */
static bool
exited(struct run *r)
{
	if (r->fds[PID].fd != -1 && r->fds[PID].revents == 0)
		return false;
	return waitpid(r->pid, &r->status, WNOHANG) == r->pid;
}

/* For at most ms. */
static bool
wait_for_exit(struct run *r, int64_t ms)
{
	int64_t end = conn_now() + ms, left = ms;
	int n;

	do {
		if (r->fds[PID].fd == -1 && left > TICK)
			left = TICK;
		n = poll(r->fds, WATCHED, (int)left);
		if (n > 0) {
			take(r, OUT);
			take(r, ERR);
		}
		if (n >= 0 && exited(r))
			return true;
	} while ((left = end - conn_now()) > 0);
	return false;
}

/* A signal for us is not for the child: it may finish, but not take long. */
static bool
wait_for_end(struct run *r, int64_t ms)
{
	int64_t end = conn_now() + ms, left;
	bool stopped = false;

	while ((left = end - conn_now()) > 0) {
		if (wait_for_exit(r, left < LOOK ? left : LOOK))
			return true;
		if (stopped || !conn_stopped())
			continue;
		stopped = true;
		if (end > conn_now() + EXEC_GRACE)
			end = conn_now() + EXEC_GRACE;
	}
	return false;
}

/* What is still in the pipes, but not what somebody goes on to write. */
static void
drain(struct run *r)
{
	int tries = 32;

	if (r->fds[PID].fd != -1)
		close(r->fds[PID].fd);
	r->fds[PID].fd = -1;
	while (tries-- > 0 && poll(r->fds, WATCHED, 0) > 0) {
		take(r, OUT);
		take(r, ERR);
	}
	if (r->err.len > 0)
		log_line(&r->err);
	end_line(&r->out);
}

/* Its whole process group, which is its own. */
static void
end_group(struct run *r)
{
	bool gone = false;
	size_t i;

	r->late = true;
	for (i = 0; i < ENDINGS && !gone; i++) {
		kill(-r->pid, endings[i].signal);
		gone = wait_for_exit(r, endings[i].patience);
	}
	kill(-r->pid, SIGKILL);		/* those it left behind */
	/* As one that became root: it may still take the message. */
	if (!gone)
		log_error(0, "exec: could not be ended", r->argv[0]);
}

int64_t
exec_longest(const struct settings *s)
{
	int64_t ms = (int64_t)s->timeout * 1000;
	size_t i;

	for (i = 0; i < ENDINGS; i++)
		ms += endings[i].patience;
	return ms;
}

/* The verdict. */

static const char *
log_status(const struct exec_result *r, char *buf, size_t size)
{
	if (r->late)
		snprintf(buf, size, "timeout");
	else if (WIFSIGNALED(r->status))
		snprintf(buf, size, "signal %d", WTERMSIG(r->status));
	else
		snprintf(buf, size, "%d", WEXITSTATUS(r->status));
	return buf;
}

static struct session_verdict
outcome(const struct exec_result *r)
{
	int status = EX_TEMPFAIL;
	size_t i;

	if (!r->late && WIFEXITED(r->status))
		status = WEXITSTATUS(r->status);
	for (i = 0; outcomes[i].status != -1; i++)
		if (outcomes[i].status == status)
			break;
	return outcomes[i].verdict;
}

/*
 * The program may begin its line with an enhanced status code of its own, if
 * that is of the reply's class and something follows.  Its length, or 0.
 */
static size_t
own_status(const char *text, int code)
{
	size_t len = address_status(text);

	return text[0] == '0' + code / 100 && text[len] == ' ' ? len : 0;
}

static struct session_verdict
verdict(const struct exec_result *r, const char *recipient)
{
	static char text[SESSION_TEXT_MAX + 1], status[12];
	char how[24];
	struct session_verdict v = outcome(r);
	size_t len;

	if (!r->late && r->text[0] != '\0') {
		len = own_status(r->text, v.code);
		strlcpy(text, r->text + (len > 0 ? len + 1 : 0),
		    sizeof(text));
		if (len > 0 && len < sizeof(status)) {
			strlcpy(status, r->text, len + 1);
			v.status = status;
		}
		v.text = text;
	}
	if (v.kind == SESSION_REFUSE)
		log_event("program", "exit", log_status(r, how, sizeof(how)),
		    "recipient", recipient, "text",
		    r->text[0] != '\0' ? r->text : NULL, NULL);
	return v;
}

int
exec_program(char **argv, char *const *env, int in, unsigned timeout,
    struct exec_result *result)
{
	struct run r = { .argv = argv, .env = env, .fds = {
	    [OUT] = { -1, POLLIN, 0 }, [ERR] = { -1, POLLIN, 0 },
	    [PID] = { -1, POLLIN, 0 } } };
	int error;

	error = start_program(&r, in);
	if (error == 0) {
		if (!wait_for_end(&r, (int64_t)timeout * 1000))
			end_group(&r);
		drain(&r);
		result->status = r.status;
		result->late = r.late;
		strlcpy(result->text, r.out.text, sizeof(result->text));
	}
	close_run(&r);
	return error;
}

struct session_verdict
exec_run(struct connection *c, int fd, uint64_t size, const char *recipient,
    const char *dsn)
{
	struct exec_result result;
	struct arguments a;
	int error = ENOMEM;

	if (arguments_make(&a, c, size, recipient, dsn))
		error = runner_active() ?
		    runner_run(a.argv, a.env, fd, &result) :
		    exec_program(a.argv, a.env, fd, c->settings.timeout,
		    &result);
	arguments_free(&a);
	if (error != 0) {
		log_error(error, "exec", c->settings.exec[0]);
		return deliver_failed(0);
	}
	return verdict(&result, recipient);
}

/* For -t. */

static int
check_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1 || access(path, X_OK) == -1)
		return errno;
	return S_ISREG(st.st_mode) ? 0 : EACCES;
}

/* As posix_spawnp() will look for it. */
static int
check_in_path(const char *name)
{
	const char *path = getenv("PATH"), *end;
	char full[PATH_MAX];
	size_t len;

	if (path == NULL)
		path = _PATH_STDPATH;
	for (;; path = end + 1) {
		len = strcspn(path, ":");
		end = path + len;
		if (snprintf(full, sizeof(full), "%.*s/%s", (int)len,
		    len > 0 ? path : ".", name) < (int)sizeof(full) &&
		    check_program(full) == 0)
			return 0;
		if (*end == '\0')
			return ENOENT;
	}
}

int
exec_check(const struct settings *s)
{
	const char *name = s->exec[0];
	int error, fd, wrong = 0;

	error = strchr(name, '/') != NULL ? check_program(program_path(name)) :
	    check_in_path(name);
	if (error != 0) {
		warnx("exec: %s: %s", name, strerror(error));
		wrong++;
	}
	fd = exec_create();
	if (fd == -1) {
		warn("exec: TMPDIR");
		return wrong + 1;
	}
	close(fd);
	return wrong;
}
