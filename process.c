/* SPDX-License-Identifier: ISC */
/*
 * process.c - another program: started, watched with a deadline, ended.
 *
 * The child is started without a copy of our memory (posix_spawn).  What it
 * prints is taken while it runs, so that it never waits for us.  What counts is
 * its exit, not the end of its pipes, which others may hold open as well.
 */
#define _GNU_SOURCE	/* pipe2(2), posix_spawn's extensions */

#include <sys/types.h>
#if __has_include(<sys/pidfd.h>)
#include <sys/pidfd.h>
#else				/* glibc before 2.36, musl */
#include <sys/syscall.h>
#define pidfd_open(pid, flags)	(int)syscall(SYS_pidfd_open, pid, flags)
#endif
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "process.h"
#include "smtpd.h"

#define LOG_LINES	100	/* of standard error, for each run */
#define TICK		50	/* ms, where there is nothing to wait for */
#define DRAIN_READS	32	/* of what is left in the pipes */

/* How a program that takes too long is ended: a signal, then ms of patience. */
static const struct {
	int		 signal;
	int		 patience;
} endings[] = {
	{ SIGTERM, 2000 },
	{ SIGKILL, 5000 }
};
#define ENDINGS	nitems(endings)

/* Starting it. */

/*
 * The child runs in /, so that it keeps no file system busy; a program named
 * relative to where we were started is still found.
 */
static const char *
process_path(const char *word)
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

/* The child has no descriptor from this one on. */
static int
child_closes(posix_spawn_file_actions_t *a, int from)
{
#ifdef __GLIBC__
	return posix_spawn_file_actions_addclosefrom_np(a, from);
#else				/* musl: one by one */
	int fd, e = 0, max = (int)sysconf(_SC_OPEN_MAX);

	for (fd = from; fd < max && e == 0; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			e = posix_spawn_file_actions_addclose(a, fd);
	return e;
#endif
}

/* All of files are above the child's numbers, so that none is overwritten. */
static int
child_files(posix_spawn_file_actions_t *a, const int *files, size_t n)
{
	size_t i;
	int e = 0;

	for (i = 0; i < n && e == 0; i++)
		e = files[i] == PROCESS_NULL ?
		    posix_spawn_file_actions_addopen(a, (int)i, "/dev/null",
		    O_RDWR, 0) :
		    posix_spawn_file_actions_adddup2(a, files[i], (int)i);
	if (e == 0)
		e = child_closes(a, (int)n);
	return e != 0 ? e : posix_spawn_file_actions_addchdir_np(a, "/");
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
spawn(struct process *p, char *const *words, char *const *env,
    const int *files, size_t n)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t state;
	int e;

	/* If it were ignored, we would never learn how the child ended. */
	signal(SIGCHLD, SIG_DFL);
	if ((e = posix_spawn_file_actions_init(&actions)) != 0)
		return e;
	if ((e = posix_spawnattr_init(&state)) == 0) {
		if ((e = child_files(&actions, files, n)) == 0 &&
		    (e = child_state(&state)) == 0)
			e = posix_spawnp(&p->pid, process_path(words[0]),
			    &actions, &state, words, env);
		posix_spawnattr_destroy(&state);
	}
	posix_spawn_file_actions_destroy(&actions);
	return e;
}

static void
close_all(int *fds, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* A pipe: our end goes into p, the child's is returned; or -1. */
static int
make_pipe(struct process *p, int which)
{
	int ends[2], fd;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return -1;
	fd = fcntl(ends[1], F_DUPFD_CLOEXEC, PROCESS_FILES);
	close(ends[1]);
	if (fd == -1)
		close(ends[0]);
	else
		p->fds[which].fd = ends[0];
	return fd;
}

/* Copy the descriptors above the child's numbers; errno, or 0. */
static int
lift(struct process *p, const int *files, int *lifted, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		lifted[i] = PROCESS_NULL;
		if (files[i] == PROCESS_PIPE)
			lifted[i] = make_pipe(p, i == STDERR_FILENO ?
			    PROCESS_ERR : PROCESS_OUT);
		else if (files[i] != PROCESS_NULL)
			lifted[i] = fcntl(files[i], F_DUPFD_CLOEXEC,
			    PROCESS_FILES);
		if (lifted[i] == -1 && files[i] != PROCESS_NULL) {
			close_all(lifted, i);
			return errno;
		}
	}
	return 0;
}

static void
close_watched(struct process *p)
{
	size_t i;

	for (i = 0; i < PROCESS_WATCH; i++) {
		if (p->fds[i].fd != -1)
			close(p->fds[i].fd);
		p->fds[i].fd = -1;
	}
}

int
process_start(struct process *p, const char *what, char *const *words,
    char *const *env, const int *files, size_t n)
{
	int lifted[PROCESS_FILES] = { 0 }, e;
	size_t i;

	memset(p, 0, sizeof(*p));
	p->what = what;
	p->name = words[0];
	for (i = 0; i < PROCESS_FDS; i++)
		p->fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	if ((e = lift(p, files, lifted, n)) == 0) {
		e = spawn(p, words, env, lifted, n);
		close_all(lifted, n);
	}
	if (e == 0)
		p->fds[PROCESS_PID].fd = pidfd_open(p->pid, 0);
	else
		close_watched(p);
	return e;
}

/* What it prints. */

/* Add a character if it fits; all but printable ASCII becomes "?". */
static void
add_char(struct process_line *l, char c, size_t limit)
{
	if (l->len < limit)
		l->text[l->len++] = c >= ' ' && c <= '~' ? c : '?';
}

static void
end_line(struct process_line *l)
{
	while (l->len > 0 && l->text[l->len - 1] == ' ')
		l->len--;
	l->text[l->len] = '\0';
}

static void
log_line(struct process_line *l)
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
take_output(struct process_line *l, const char *s, size_t len)
{
	for (; len > 0 && l->count == 0; s++, len--) {
		if (*s == '\n')
			l->count++;
		else if (*s != '\r')
			add_char(l, *s, SESSION_TEXT_MAX);
	}
}

static void
take_errors(struct process_line *l, const char *s, size_t len)
{
	for (; len > 0; s++, len--) {
		if (*s == '\n')
			log_line(l);
		else
			add_char(l, *s == '\t' || *s == '\r' ? ' ' : *s,
			    PROCESS_LOG_LINE);
	}
}

static void
take(struct process *p, int which)
{
	char buf[4096];
	ssize_t n;

	if (p->fds[which].revents == 0)
		return;
	n = read(p->fds[which].fd, buf, sizeof(buf));
	if (n == -1 && errno == EINTR)
		return;
	if (n <= 0) {
		close(p->fds[which].fd);
		p->fds[which].fd = -1;
	} else if (which == PROCESS_OUT) {
		take_output(&p->out, buf, (size_t)n);
	} else {
		take_errors(&p->err, buf, (size_t)n);
	}
}

/* Take what is still in the pipes, but not what others go on to write. */
static void
drain(struct process *p)
{
	int tries = DRAIN_READS;

	while (tries-- > 0 && poll(p->fds, PROCESS_PID, 0) > 0) {
		take(p, PROCESS_OUT);
		take(p, PROCESS_ERR);
	}
	if (p->err.len > 0)
		log_line(&p->err);
	end_line(&p->out);
}

/* Waiting for it. */

static void
pause_for(int64_t ms)
{
	const struct timespec t = { 0, ms * 1000000 };

	nanosleep(&t, NULL);
}

/*
 * One wait for whatever comes, of at most ms.  Without a pidfd (a kernel before
 * 5.3, or a supervisor that forbids it), and where poll(2) fails, we look again
 * and again.
 */
static void
watch(struct process *p, int64_t ms)
{
	size_t i;
	bool blind = p->fds[PROCESS_PID].fd == -1;

	if (blind && ms > TICK)
		ms = TICK;
	if (poll(p->fds, PROCESS_FDS, (int)ms) >= 0) {
		take(p, PROCESS_OUT);
		take(p, PROCESS_ERR);
		return;
	}
	for (i = 0; i < PROCESS_FDS; i++)
		p->fds[i].revents = 0;
	if (errno != EINTR)
		pause_for(ms < TICK ? ms : TICK);
}

static bool
has_exited(struct process *p)
{
	return waitpid(p->pid, &p->status, WNOHANG) == p->pid;
}

/* For at most ms; less if nobody wants the result any more, or at SIGTERM. */
static bool
wait_for_exit(struct process *p, int64_t ms)
{
	int64_t end = conn_now() + ms, left = ms;

	do {
		watch(p, left);
		if (has_exited(p))
			return true;
		if (p->fds[PROCESS_WATCH].revents != 0 ||
		    p->fds[PROCESS_STOP].revents != 0)
			return false;
	} while ((left = end - conn_now()) > 0);
	return false;
}

/* A signal to us is not one to the child: it may finish, but not take long. */
static bool
wait_for_end(struct process *p, const struct process_limits *limits)
{
	int64_t end = conn_now() + limits->time, left;

	while ((left = end - conn_now()) > 0) {
		if (wait_for_exit(p, left))
			return true;
		if (p->fds[PROCESS_WATCH].revents != 0)
			return false;
		if (p->fds[PROCESS_STOP].revents == 0)
			continue;
		p->fds[PROCESS_STOP].fd = -1;
		if (end > conn_now() + limits->grace)
			end = conn_now() + limits->grace;
	}
	return false;
}

/* End the child with its process group, which is its own. */
static void
end_group(struct process *p)
{
	bool gone = false;
	char what[64];
	size_t i;

	p->late = true;
	p->fds[PROCESS_WATCH].fd = p->fds[PROCESS_STOP].fd = -1;
	for (i = 0; i < ENDINGS && !gone; i++) {
		kill(-p->pid, endings[i].signal);
		gone = wait_for_exit(p, endings[i].patience);
	}
	kill(-p->pid, SIGKILL);		/* those it left behind */
	/* One that became root can't be killed, and may take the message. */
	if (gone)
		return;
	snprintf(what, sizeof(what), "%s: could not be ended", p->what);
	log_error(0, what, p->name);
}

int64_t
process_longest(int64_t time)
{
	size_t i;

	for (i = 0; i < ENDINGS; i++)
		time += endings[i].patience;
	return time;
}

void
process_finish(struct process *p, const struct process_limits *limits)
{
	p->fds[PROCESS_WATCH].fd = limits->watch;
	p->fds[PROCESS_WATCH].events = POLLRDHUP;
	p->fds[PROCESS_STOP].fd = conn_signals();
	if (!wait_for_end(p, limits))
		end_group(p);
	drain(p);
	close_watched(p);
}
