/* SPDX-License-Identifier: ISC */
/*
 * inject - run a program, and fail, shorten or kill one of its system calls.
 *
 *	inject [-n] [-f PROCESS:NUMBER:FAULT] TRACE PROGRAM [ARGUMENT ...]
 *
 * By ptrace(2), so a static program, its sandbox and its children are reached
 * as well.  Process 0 is PROGRAM and what it becomes, 1 its first child and so
 * on; a child that becomes another program is let go.  The calls of each are
 * counted from 1.  A FAULT is
 *
 *	EIO	the call is not made, and gives that error (or another)
 *	EIO!	it is made, and gives that error all the same
 *	EIO+	it is not made, nor is any later one of its name in that process
 *	short	it moves half its octets
 *	kill	the process is killed in its place;  killall: all of them
 *
 * With -n the file system has no O_TMPFILE.  As on Linux, a close(2) that fails
 * has closed, and a brk(2) that fails gives the old end.
 *
 * TRACE gets "+ PROCESS PID" for a new process, "PROCESS NUMBER CALL ARGUMENT"
 * for a call, with " *" if it was the one, "= PROCESS NUMBER RESULT", and "exit
 * STATUS" or "signal NUMBER" for process 0.  Standard input and output are the
 * program's alone.  The registers are those of x86-64.
 */
#define _GNU_SOURCE

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <linux/ptrace.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCS	64

enum what { NOTHING, FAIL, FAIL_AFTER, FAIL_ALWAYS, SHORT, KILL, KILL_ALL };

static const char *const names[] = {
#include "names.h"
};

/* Which argument is a name or what is written. */
static const struct {
	int	 call, argument;
} texts[] = {
	{ SYS_open, 1 }, { SYS_access, 1 }, { SYS_execve, 1 },
	{ SYS_mkdir, 1 }, { SYS_readlink, 1 }, { SYS_unlink, 1 },
	{ SYS_openat, 2 }, { SYS_newfstatat, 2 }, { SYS_mkdirat, 2 },
	{ SYS_unlinkat, 2 }, { SYS_faccessat2, 2 }, { SYS_write, 2 },
	{ SYS_sendto, 2 }, { SYS_linkat, 4 }, { SYS_renameat, 4 },
	{ SYS_renameat2, 4 },
};

static struct proc {
	pid_t	 pid;
	int	 calls;
	int	 nr;		/* the call that it is in */
	int	 error;		/* to give at its end */
	int	 changed;	/* these are to be put back then */
	unsigned long long rdi, rdx;
	int	 gone;
} procs[PROCS];
static int	 nprocs;

static FILE	*trace;
static int	 no_tmpfile;
static struct {
	int	 proc, number;
	enum what what;
	int	 error;
	int	 nr;		/* FAIL_ALWAYS: the call, once it is known */
} fault = { .nr = -1 };

static int
number(const struct proc *p)
{
	return (int)(p - procs);
}

static struct proc *
find(pid_t pid)
{
	int i;

	for (i = 0; i < nprocs; i++)
		if (procs[i].pid == pid && !procs[i].gone)
			return &procs[i];
	if (nprocs == PROCS)
		errx(1, "too many processes");
	procs[nprocs].pid = pid;
	fprintf(trace, "+ %d %d\n", nprocs, (int)pid);
	fflush(trace);
	return &procs[nprocs++];
}

/* The string at that address, as far as it is in one page. */
static void
text(pid_t pid, unsigned long long at, char *buf, size_t size)
{
	size_t i, n = 4096 - at % 4096 < size - 1 ? 4096 - at % 4096 : size - 1;
	struct iovec to = { buf, n }, from = { (void *)at, n };

	if (process_vm_readv(pid, &to, 1, &from, 1, 0) == -1)
		n = 0;
	buf[n] = '\0';
	for (i = 0; buf[i] != '\0'; i++)
		if (buf[i] <= ' ' || buf[i] > '~')
			buf[i] = '?';
}

static void
describe(struct proc *p, const struct user_regs_struct *r, int hit)
{
	unsigned long long arguments[] = { r->rdi, r->rsi, r->rdx, r->r10 };
	const char *name = "?";
	char s[48];
	size_t i;

	if ((size_t)p->nr < sizeof(names) / sizeof(names[0]) &&
	    names[p->nr] != NULL)
		name = names[p->nr];
	snprintf(s, sizeof(s), "%#llx,%#llx,%#llx", r->rdi, r->rsi, r->rdx);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].call == p->nr)
			text(p->pid, arguments[texts[i].argument - 1], s,
			    sizeof(s));
	fprintf(trace, "%d %d %s %s%s\n", number(p), p->calls, name, s,
	    hit ? " *" : "");
}

static void
fail(struct proc *p, struct user_regs_struct *r, int error, int made)
{
	p->changed = 1;
	if (p->nr == SYS_brk)
		r->rdi = 0;
	else {
		p->error = error;
		if (!made && p->nr != SYS_close)
			r->orig_rax = (unsigned long long)-1;
	}
	ptrace(PTRACE_SETREGS, p->pid, 0, r);
}

/* The third argument is a number of octets, not how to open a file. */
static int
moves_octets(int call)
{
	return call == SYS_read || call == SYS_write || call == SYS_pread64 ||
	    call == SYS_pwrite64 || call == SYS_sendto || call == SYS_recvfrom;
}

static void
kill_all(void)
{
	struct proc *p;

	for (p = procs; p < procs + nprocs; p++)
		if (!p->gone)
			kill(p->pid, SIGKILL);
}

static void
strike(struct proc *p, struct user_regs_struct *r)
{
	switch (fault.what) {
	case FAIL_ALWAYS:
		fault.nr = p->nr;
		/* FALLTHROUGH */
	case FAIL:
		fail(p, r, fault.error, 0);
		break;
	case FAIL_AFTER:
		fail(p, r, fault.error, 1);
		break;
	case SHORT:
		if (!moves_octets(p->nr))
			break;
		p->changed = 1;
		if (r->rdx > 1)
			r->rdx /= 2;
		ptrace(PTRACE_SETREGS, p->pid, 0, r);
		break;
	case KILL:
		kill(p->pid, SIGKILL);
		break;
	case KILL_ALL:
		kill_all();
		break;
	case NOTHING:
		break;
	}
}

static void
enter(struct proc *p)
{
	struct user_regs_struct r;
	int hit;

	if (ptrace(PTRACE_GETREGS, p->pid, 0, &r) == -1)
		return;
	p->nr = (int)r.orig_rax;
	p->calls++;
	p->rdi = r.rdi;
	p->rdx = r.rdx;
	hit = number(p) == fault.proc && fault.what != NOTHING &&
	    (p->calls == fault.number || p->nr == fault.nr);
	describe(p, &r, hit);
	if (hit)
		strike(p, &r);
	else if (no_tmpfile && p->nr == SYS_openat &&
	    (r.rdx & O_TMPFILE) == O_TMPFILE)
		fail(p, &r, EOPNOTSUPP, 0);
}

static void
leave(struct proc *p)
{
	struct user_regs_struct r;

	if (ptrace(PTRACE_GETREGS, p->pid, 0, &r) == -1)
		return;
	if (p->changed) {
		r.rdi = p->rdi;
		r.rdx = p->rdx;
		if (p->error != 0)
			r.rax = (unsigned long long)-p->error;
		ptrace(PTRACE_SETREGS, p->pid, 0, &r);
		p->changed = p->error = 0;
	}
	fprintf(trace, "= %d %d %lld\n", number(p), p->calls,
	    (long long)r.rax);
}

static void
ended(struct proc *p, int status)
{
	p->gone = 1;
	if (p == procs && WIFEXITED(status))
		fprintf(trace, "exit %d\n", WEXITSTATUS(status));
	else if (p == procs)
		fprintf(trace, "signal %d\n", WTERMSIG(status));
	fflush(trace);
}

/* The process has stopped: at a call, with a child, or for a signal. */
static void
stopped(struct proc *p, int status)
{
	struct ptrace_syscall_info info;
	unsigned long child;
	int sig = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_EXEC && p != procs) {
		p->gone = 1;
		ptrace(PTRACE_DETACH, p->pid, 0, 0);
		return;
	}
	if (sig == (SIGTRAP | 0x80)) {
		if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, sizeof(info),
		    &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY)
			enter(p);
		else
			leave(p);
		sig = 0;
	} else if (event != 0) {
		if (event != PTRACE_EVENT_EXEC && ptrace(PTRACE_GETEVENTMSG,
		    p->pid, 0, &child) == 0)
			find((pid_t)child);
		sig = 0;
	} else if (sig == SIGSTOP && p->calls == 0)
		sig = 0;
	ptrace(PTRACE_SYSCALL, p->pid, 0, sig);
}

static int
alive(void)
{
	struct proc *p;

	for (p = procs; p < procs + nprocs; p++)
		if (!p->gone)
			return 1;
	return 0;
}

static int
named(const char *error)
{
	const char *name;
	int i;

	for (i = 1; i < 134; i++)
		if ((name = strerrorname_np(i)) != NULL &&
		    strcmp(name, error) == 0)
			return i;
	errx(64, "%s: not the name of an error", error);
}

static void
parse(const char *arg)
{
	static const struct {
		const char	*word;
		enum what	 what;
	} words[] = {
		{ "short", SHORT }, { "kill", KILL }, { "killall", KILL_ALL }
	};
	char word[16], mark = '\0';
	size_t i;

	if (sscanf(arg, "%d:%d:%15[A-Za-z]%c", &fault.proc, &fault.number,
	    word, &mark) < 3)
		errx(64, "%s: not PROCESS:NUMBER:FAULT", arg);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].word, word) == 0)
			fault.what = words[i].what;
	if (fault.what != NOTHING)
		return;
	fault.error = named(word);
	fault.what = mark == '!' ? FAIL_AFTER : mark == '+' ? FAIL_ALWAYS :
	    FAIL;
}

static pid_t
start(char **argv)
{
	pid_t pid;
	int fd, status;

	if ((pid = fork()) == -1)
		err(71, "fork");
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execv(argv[0], argv);
		err(127, "%s", argv[0]);
	}
	/* Others must see their end when the program closes them. */
	for (fd = 0; fd < 3; fd++) {
		close(fd);
		open("/dev/null", O_RDWR | O_CLOEXEC);
	}
	waitpid(pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD |
	    PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
	    PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
	return pid;
}

int
main(int argc, char **argv)
{
	int ch, status;
	pid_t pid;

	while ((ch = getopt(argc, argv, "+nf:")) != -1)
		if (ch == 'n')
			no_tmpfile = 1;
		else if (ch == 'f')
			parse(optarg);
		else
			return 64;
	if (argc - optind < 2)
		errx(64, "usage: inject [-n] [-f fault] trace program ...");
	if ((trace = fopen(argv[optind], "we")) == NULL)
		err(73, "%s", argv[optind]);
	pid = start(argv + optind + 1);
	find(pid);
	ptrace(PTRACE_SYSCALL, pid, 0, 0);
	while (alive() && (pid = waitpid(-1, &status, __WALL)) != -1) {
		struct proc *p = find(pid);

		if (WIFSTOPPED(status))
			stopped(p, status);
		else
			ended(p, status);
	}
	return 0;
}
