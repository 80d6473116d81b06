/* SPDX-License-Identifier: ISC */
/*
 * fail.c - system calls that fail when a test wants them to; for LD_PRELOAD.
 *
 *	FAIL=fsync:EIO:2,linkat:KILL:1
 *
 * CALL:WHAT:NUMBER: that call of the process, counted from 1, or each if the
 * number is 0.  WHAT is an error, SHORT (a write of half its octets), KILL (the
 * process ends before the call) or DONE (it ends after it).  Only writes to
 * files of ours count, and only open calls that make a file; "unnamed" is one
 * with O_TMPFILE.
 */
#define _GNU_SOURCE

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int	renameat2(int, const char *, int, const char *, unsigned);
int	pidfd_open(pid_t, unsigned);

enum { SHORT = 10001, KILL, DONE };

static const struct {
	const char	*name;
	int		 what;
} whats[] = {
	{ "EACCES", EACCES }, { "EAGAIN", EAGAIN }, { "EDQUOT", EDQUOT },
	{ "EEXIST", EEXIST }, { "EINTR", EINTR }, { "EINVAL", EINVAL },
	{ "EIO", EIO }, { "ENOBUFS", ENOBUFS }, { "EMFILE", EMFILE },
	{ "ENOENT", ENOENT }, { "ENOSPC", ENOSPC }, { "ENOSYS", ENOSYS },
	{ "EOPNOTSUPP", EOPNOTSUPP }, { "EPERM", EPERM }, { "EROFS", EROFS },
	{ "SHORT", SHORT }, { "KILL", KILL }, { "DONE", DONE }
};

static const char *const calls[] = {
	"write", "fsync", "linkat", "renameat", "renameat2", "unlinkat",
	"mkdirat", "create", "unnamed", "posix_spawnp", "pidfd_open", "pipe2",
	"kill", "signalfd", "socketpair", "sendmsg", "copy_file_range"
};
#define CALLS	(sizeof(calls) / sizeof(calls[0]))

static struct {
	int	 ready;
	int	 count[CALLS];
	struct {
		int	 what, number;
	} rule[CALLS];
} f;

static int
what_of(const char *s)
{
	size_t i;

	for (i = 0; i < sizeof(whats) / sizeof(whats[0]); i++)
		if (strcmp(whats[i].name, s) == 0)
			return whats[i].what;
	abort();
}

static size_t
call_of(const char *s)
{
	size_t i;

	for (i = 0; i < CALLS; i++)
		if (strcmp(calls[i], s) == 0)
			return i;
	abort();
}

static void
read_rules(void)
{
	const char *p = getenv("FAIL");
	char call[20], what[20];
	int len, number;
	size_t i;

	f.ready = 1;
	for (; p != NULL && *p != '\0'; p += len + (p[len] == ',')) {
		if (sscanf(p, "%19[^:]:%19[^:]:%d%n", call, what, &number,
		    &len) != 3)
			abort();
		i = call_of(call);
		f.rule[i].what = what_of(what);
		f.rule[i].number = number;
	}
}

/* As by SIGKILL, which a filter of system calls may keep us from sending. */
static void
die(void)
{
	syscall(SYS_exit_group, 137);
}

/* What this call is to do; 0: as usual. */
static int
turn(const char *name)
{
	size_t i = call_of(name);

	if (!f.ready)
		read_rules();
	f.count[i]++;
	if (f.rule[i].what == 0 || (f.rule[i].number != 0 &&
	    f.rule[i].number != f.count[i]))
		return 0;
	if (f.rule[i].what == KILL)
		die();
	return f.rule[i].what;
}

static long
call(const char *name, long number, long a, long b, long c, long d, long e)
{
	int what = turn(name);
	long n;

	if (what != 0 && what < SHORT) {
		errno = what;
		return -1;
	}
	if (what == SHORT)
		c = (c + 1) / 2;
	n = syscall(number, a, b, c, d, e);
	if (what == DONE)
		die();
	return n;
}

ssize_t
write(int fd, const void *p, size_t n)
{
	struct stat st;

	if (fd <= STDERR_FILENO || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		return syscall(SYS_write, fd, p, n);
	return call("write", SYS_write, fd, (long)p, (long)n, 0, 0);
}

int
fsync(int fd)
{
	return (int)call("fsync", SYS_fsync, fd, 0, 0, 0, 0);
}

int
linkat(int from, const char *old, int to, const char *new, int flags)
{
	/* This only asks whether it may, and links nothing. */
	if (strcmp(new, ".") == 0)
		return (int)syscall(SYS_linkat, from, old, to, new, flags);
	return (int)call("linkat", SYS_linkat, from, (long)old, to, (long)new,
	    flags);
}

int
renameat(int from, const char *old, int to, const char *new)
{
	return (int)call("renameat", SYS_renameat2, from, (long)old, to,
	    (long)new, 0);
}

int
renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	return (int)call("renameat2", SYS_renameat2, from, (long)old, to,
	    (long)new, (long)flags);
}

int
unlinkat(int fd, const char *name, int flags)
{
	return (int)call("unlinkat", SYS_unlinkat, fd, (long)name, flags, 0, 0);
}

int
mkdirat(int fd, const char *name, mode_t mode)
{
	return (int)call("mkdirat", SYS_mkdirat, fd, (long)name, mode, 0, 0);
}

int
pipe2(int fd[2], int flags)
{
	return (int)call("pipe2", SYS_pipe2, (long)fd, flags, 0, 0, 0);
}

int
pidfd_open(pid_t pid, unsigned flags)
{
	return (int)call("pidfd_open", SYS_pidfd_open, pid, (long)flags, 0, 0,
	    0);
}

int
signalfd(int fd, const sigset_t *mask, int flags)
{
	return (int)call("signalfd", SYS_signalfd4, fd, (long)mask, _NSIG / 8,
	    flags, 0);
}

int
socketpair(int domain, int type, int protocol, int ends[2])
{
	return (int)call("socketpair", SYS_socketpair, domain, type, protocol,
	    (long)ends, 0);
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	return call("sendmsg", SYS_sendmsg, fd, (long)message, flags, 0, 0);
}

ssize_t
copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t n,
    unsigned flags)
{
	int what = turn("copy_file_range");

	if (what == 0)
		return syscall(SYS_copy_file_range, in, from, out, to, n,
		    flags);
	errno = what;
	return -1;
}

int
kill(pid_t pid, int signal)
{
	return (int)call("kill", SYS_kill, pid, signal, 0, 0, 0);
}

static int
open_at(int dir, const char *name, int flags, mode_t mode)
{
	const char *what;

	if ((flags & O_TMPFILE) == O_TMPFILE)
		what = "unnamed";
	else if ((flags & O_CREAT) != 0)
		what = "create";
	else
		return (int)syscall(SYS_openat, dir, name, flags, mode);
	return (int)call(what, SYS_openat, dir, (long)name, flags, mode, 0);
}

int
openat(int dir, const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return open_at(dir, name, flags, mode);
}

int
open(const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return open_at(AT_FDCWD, name, flags, mode);
}

int
posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *a,
    const posix_spawnattr_t *attr, char *const argv[], char *const env[])
{
	union {
		void	*object;
		int	(*function)(pid_t *, const char *,
			    const posix_spawn_file_actions_t *,
			    const posix_spawnattr_t *, char *const [],
			    char *const []);
	} real = { dlsym(RTLD_NEXT, "posix_spawnp") };
	int what = turn("posix_spawnp");

	return what != 0 ? what :
	    real.function(pid, file, a, attr, argv, env);
}
