/* SPDX-License-Identifier: ISC */
/*
 * sandbox.c - what the process gives up before it reads the client's first
 * octet.
 *
 * Landlock leaves it the spool to write to and the files that the settings
 * name, seccomp the system calls of a session: no new descriptors but files, no
 * processes, no sockets, no programs but smtpd-tls, which starts with all of
 * this in force.  Everything else is done by runner.c.  (By way of the dynamic
 * loader, which must be executable, any program in reach can be run; but none
 * could do more than what ran it.)  Both are set up without a library and kept
 * small: a filter costs by its length, a rule by the path that it opens.
 */
#define _GNU_SOURCE	/* O_PATH */

#include <sys/types.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "runner.h"
#include "smtpd.h"


/*
 * Landlock's numbers are here, since its header is older than the kernel on
 * many systems.
 */
#define LL_CREATE_RULESET	444
#define LL_ADD_RULE		445
#define LL_RESTRICT_SELF	446
#define LL_VERSION		1
#define LL_PATH_BENEATH		1
#define LL_EXECUTE		(1ULL << 0)
#define LL_WRITE_FILE		(1ULL << 1)
#define LL_READ_FILE		(1ULL << 2)
#define LL_READ_DIR		(1ULL << 3)
#define LL_REMOVE_FILE		(1ULL << 5)
#define LL_MAKE_REG		(1ULL << 8)
#define LL_REFER		(1ULL << 13)
#define LL_TRUNCATE		(1ULL << 14)
#define LL_MIN_ABI		2	/* has REFER: links out of tmp/ */


#ifndef PR_SET_MDWE
#define PR_SET_MDWE		65	/* Linux 6.3 */
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

#if defined(__x86_64__)
#define ARCH	AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH	AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH	AUDIT_ARCH_RISCV64
#endif				/* others: Landlock alone */

/* As the kernel has them: what is longer than its own must be 0 there. */
struct ll_ruleset {
	uint64_t	 fs, net, scoped;
};
struct ll_path {
	uint64_t	 access;
	int32_t		 fd;
} __attribute__((packed));

/* What each version of Landlock can govern. */
static const struct {
	int		 abi;
	struct ll_ruleset handled;
} levels[] = {
	{ 6, { 0xffff, 3, 3 } },	/* abstract sockets, signals */
	{ 5, { 0xffff, 3, 0 } },	/* ioctl(2) on devices */
	{ 4, { 0x7fff, 3, 0 } },	/* TCP: bind(2) and connect(2) */
	{ 3, { 0x7fff, 0, 0 } },	/* truncate(2) */
	{ LL_MIN_ABI, { 0x3fff, 0, 0 } },
};

/*
 * What smtpd-tls reads when it starts: the dynamic loader, which is executed,
 * the libraries, and some files of the system.  The rules are few, since each
 * costs as much as twenty system calls: /lib needs none where it is a link into
 * /usr.
 */
#define NO_LINK		(O_DIRECTORY | O_NOFOLLOW)
static const struct {
	const char	*path;
	int		 flags;
	uint64_t	 access;
} start_files[] = {
	{ LOADER,		0, LL_READ_FILE | LL_EXECUTE },
	{ "/usr",		NO_LINK, LL_READ_FILE },
	{ "/lib",		NO_LINK, LL_READ_FILE },
	{ "/lib64",		NO_LINK, LL_READ_FILE },
	{ "/etc/ld.so.cache",	0, LL_READ_FILE },
	{ "/etc/gnutls/config",	0, LL_READ_FILE },
	{ "/proc/sys/crypto/fips_enabled", 0, LL_READ_FILE },
};

#ifdef ARCH
/*
 * The calls of a session.  Absent on purpose: those that make a process, a
 * socket, a device or a program, that look at or signal another process, or
 * that change who we are; ioctl(2); and chmod(2), which Landlock does not
 * govern.  What is not here fails with ENOSYS, as on an older kernel, so that a
 * libc newer than this list falls back.
 */
static const unsigned short calls[] = {
	__NR_read, __NR_readv, __NR_write, __NR_writev, __NR_close, __NR_lseek,
	__NR_pread64, __NR_pwrite64, __NR_ppoll, __NR_pselect6,
	__NR_recvfrom, __NR_getsockname, __NR_getpeername,
	__NR_openat, __NR_newfstatat, __NR_fstat, __NR_faccessat,
	__NR_getcwd, __NR_readlinkat,
	__NR_linkat, __NR_unlinkat, __NR_mkdirat, __NR_renameat2,
	__NR_fsync, __NR_fdatasync, __NR_copy_file_range,
	__NR_brk, __NR_mmap, __NR_munmap, __NR_mremap, __NR_mprotect,
	__NR_madvise, __NR_futex,
	__NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigreturn,
	__NR_nanosleep, __NR_clock_nanosleep,
	__NR_clock_gettime, __NR_clock_getres, __NR_gettimeofday,
	__NR_getrandom, __NR_getrusage, __NR_times, __NR_sysinfo, __NR_uname,
	__NR_getpid, __NR_getppid, __NR_sched_yield,
	__NR_getuid, __NR_geteuid, __NR_getgid, __NR_getegid,
	__NR_exit, __NR_exit_group, __NR_restart_syscall,
#ifdef __NR_renameat
	__NR_renameat,
#endif
#ifdef __NR_open	/* what newer machines never had */
	__NR_open, __NR_stat, __NR_lstat, __NR_access, __NR_readlink,
	__NR_mkdir, __NR_poll, __NR_select, __NR_time,
#endif
};

/* Becoming smtpd-tls, and what a dynamic program does before its main(). */
static const unsigned short start_calls[] = {
	__NR_execve, __NR_set_tid_address, __NR_set_robust_list, __NR_rseq,
	__NR_signalfd4,
#ifdef __NR_arch_prctl
	__NR_arch_prctl,
#endif
	/* To give up the same again. */
	__NR_seccomp
};

/* To receive a descriptor from the runner or the process with the keys. */
static const unsigned short receive_calls[] = { __NR_recvmsg };

/* To give up more, once there is TLS. */
static const unsigned short narrow_calls[] = {
	LL_CREATE_RULESET, LL_ADD_RULE, LL_RESTRICT_SELF
};

/*
 * Calls that can do more than a session needs, and the argument that is
 * checked: fcntl(2) can have other processes signalled, prlimit64(2) take away
 * their descriptors, sendto(2) with an address connect, shutdown(2) in both
 * directions end the place while it is still used.
 */
static const struct {
	unsigned short	 call, argument;
	bool		 wide;		/* 64 bits of it count */
	uint32_t	 values[4];
	size_t		 n;
} narrow[] = {
	{ __NR_fcntl, 1, false, { F_GETFD, F_SETFD, F_GETFL,
	    F_DUPFD_CLOEXEC }, 4 },
	{ __NR_sendto, 4, true, { 0 }, 1 },
	{ __NR_prlimit64, 0, false, { 0 }, 1 },
	{ __NR_shutdown, 1, false, { SHUT_WR }, 1 },
	{ __NR_prctl, 0, false, { PR_SET_NO_NEW_PRIVS, PR_SET_MDWE,
	    PR_SET_DUMPABLE }, 3 },
};

/* Where the halves of an argument are. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_HALF	0
#define HIGH_HALF	4
#else
#define LOW_HALF	4
#define HIGH_HALF	0
#endif

#define CALLS_MAX	512	/* above all numbers of calls */
#define WORDS_MAX	(CALLS_MAX / 32)
/* What comes first, the narrow calls, and at the end the words. */
#define PROGRAM_MAX	(4 + 10 * nitems(narrow) + 3 * WORDS_MAX + 10)

/* A Berkeley packet filter, which seccomp(2) runs for each call. */
struct program {
	struct sock_filter code[PROGRAM_MAX];
	unsigned short	 len;
};

enum { IF, ELSE, ALWAYS };	/* how an instruction jumps */

/* A place in the program, to which instructions jump: at most one a word. */
struct label {
	struct {
		unsigned short at;
		unsigned which;
	} from[WORDS_MAX];
	unsigned	 n;
};
#endif

/* STARTTLS turns this process into smtpd-tls, which loads libraries. */
static bool
may_become_other(const struct settings *s)
{
	return tls_module == NULL && s->tls != TLS_OFF;
}

#ifdef ARCH
static void
add_op(struct program *p, unsigned code, uint32_t k)
{
	p->code[p->len++] = (struct sock_filter){ (unsigned short)code, 0, 0,
	    k };
}

#define DATA(member)	(uint32_t)offsetof(struct seccomp_data, member)
#define LOAD(p, at)	add_op(p, BPF_LD | BPF_W | BPF_ABS, at)
#define COMPUTE(p, op, k) add_op(p, BPF_ALU | BPF_K | (op), k)
#define RETURN(p, k)	add_op(p, BPF_RET | BPF_K, k)
#define REFUSE		(SECCOMP_RET_ERRNO | (ENOSYS & SECCOMP_RET_DATA))

static void
jump(struct label *to, unsigned short at, unsigned which)
{
	if (to == NULL)		/* to what comes next */
		return;
	to->from[to->n].at = at;
	to->from[to->n++].which = which;
}

/* Compare what is loaded with k. */
static void
branch(struct program *p, unsigned op, uint32_t k, struct label *yes,
    struct label *no)
{
	jump(yes, p->len, IF);
	jump(no, p->len, ELSE);
	add_op(p, BPF_JMP | BPF_K | op, k);
}

static void
go(struct program *p, struct label *to)
{
	jump(to, p->len, ALWAYS);
	add_op(p, BPF_JMP | BPF_JA, 0);
}

/* The label is here: fill in the jumps to it. */
static void
place_label(struct program *p, struct label *l)
{
	unsigned i, far;
	struct sock_filter *from;

	for (i = 0; i < l->n; i++) {
		from = &p->code[l->from[i].at];
		far = p->len - l->from[i].at - 1u;
		if (l->from[i].which == ALWAYS)
			from->k = far;
		else if (l->from[i].which == IF)
			from->jt = (unsigned char)far;
		else
			from->jf = (unsigned char)far;
	}
	l->n = 0;
}

/* The number is loaded, and still is after this for all other calls. */
static void
narrow_call(struct program *p, unsigned call, unsigned argument, bool wide,
    const uint32_t *values, size_t n)
{
	const uint32_t at = DATA(args) + argument * (uint32_t)sizeof(uint64_t);
	struct label others = { .n = 0 }, allowed = { .n = 0 };
	struct label refused = { .n = 0 };
	size_t i;

	branch(p, BPF_JEQ, call, NULL, &others);
	if (wide) {
		LOAD(p, at + HIGH_HALF);
		branch(p, BPF_JEQ, 0, NULL, &refused);
	}
	LOAD(p, at + LOW_HALF);
	for (i = 0; i < n; i++)
		branch(p, BPF_JEQ, values[i], &allowed, NULL);
	place_label(p, &refused);
	RETURN(p, REFUSE);
	place_label(p, &allowed);
	RETURN(p, SECCOMP_RET_ALLOW);
	place_label(p, &others);
}

/*
 * A bit for each number, in words of 32; words without any are left out.  The
 * kernel's cache of constant answers would understand a chain of comparisons,
 * but filling that costs 0.15 ms a process, ten times this.
 */
static void
allow_words(struct program *p, const uint32_t *words)
{
	struct label next = { .n = 0 }, found = { .n = 0 };
	struct label refused = { .n = 0 };
	unsigned i;

	LOAD(p, DATA(nr));
	COMPUTE(p, BPF_AND, 31);
	add_op(p, BPF_MISC | BPF_TAX, 0);
	LOAD(p, DATA(nr));
	COMPUTE(p, BPF_RSH, 5);
	for (i = 0; i < WORDS_MAX; i++) {
		if (words[i] == 0)
			continue;
		branch(p, BPF_JEQ, i, NULL, &next);
		add_op(p, BPF_LD | BPF_IMM, words[i]);
		go(p, &found);
		place_label(p, &next);
	}
	RETURN(p, REFUSE);
	place_label(p, &found);
	add_op(p, BPF_ALU | BPF_RSH | BPF_X, 0);
	branch(p, BPF_JSET, 1, NULL, &refused);
	RETURN(p, SECCOMP_RET_ALLOW);
	place_label(p, &refused);
	RETURN(p, REFUSE);
}

static void
add_calls(uint32_t *words, const unsigned short *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		words[list[i] / 32] |= (uint32_t)1 << (list[i] % 32);
}

static void
build_program(struct program *p, const struct connection *c)
{
	const struct settings *s = &c->settings;
	uint32_t words[WORDS_MAX] = { 0 };
	struct label ours = { .n = 0 };
	size_t i;

	add_calls(words, calls, nitems(calls));
	if (may_become_other(s))
		add_calls(words, start_calls, nitems(start_calls));
	if (s->tls != TLS_OFF)
		add_calls(words, narrow_calls, nitems(narrow_calls));
	if (c->forked || runner_socket() != -1)
		add_calls(words, receive_calls, nitems(receive_calls));
	p->len = 0;
	LOAD(p, DATA(arch));
	branch(p, BPF_JEQ, ARCH, &ours, NULL);
	RETURN(p, SECCOMP_RET_KILL_PROCESS);	/* another machine's numbers */
	place_label(p, &ours);
	LOAD(p, DATA(nr));
	for (i = 0; i < nitems(narrow); i++)
		narrow_call(p, narrow[i].call, narrow[i].argument,
		    narrow[i].wide, narrow[i].values, narrow[i].n);
	allow_words(p, words);
}

static int
calls_enter(const struct connection *c)
{
	struct program p;
	struct sock_fprog program;

	build_program(&p, c);
	program.len = p.len;
	program.filter = p.code;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ?
	    0 : -1;
}
#else
static int
calls_enter(const struct connection *c)
{
	(void)c;
	errno = ENOSYS;
	return -1;
}
#endif

/* Landlock's version, or 0 with errno if there is none that will do. */
static int
paths_version(void)
{
	long version;

	version = syscall(LL_CREATE_RULESET, NULL, 0, LL_VERSION);
	if (version >= LL_MIN_ABI)
		return (int)version;
	if (version != -1)
		errno = EOPNOTSUPP;
	return 0;
}

/* It passes, and need not be the same in the next session. */
static bool
is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM;
}

/*
 * What is not there needs no rule, and won't be found later, either; nor is
 * there a rule for a pipe, or for a file that should be a directory.
 */
static int
paths_open(int set, const char *path, int flags, uint64_t access)
{
	struct ll_path rule = { access, -1 };
	int error;

	if ((rule.fd = open(path, O_PATH | O_CLOEXEC | flags)) == -1)
		return is_shortage(errno) ? -1 : 0;
	error = syscall(LL_ADD_RULE, set, LL_PATH_BENEATH, &rule, 0) == 0 ? 0 :
	    errno;
	close(rule.fd);
	errno = error;
	return error == 0 || error == EINVAL || error == EBADFD ? 0 : -1;
}

static int
paths_allow(int set, const char *path, uint64_t access)
{
	return path == NULL ? 0 : paths_open(set, path, 0, access);
}

/*
 * Does the session open the file from in here?  The lists of recipients and
 * users are open already, but smtpd-tls will open them anew; a listener has
 * loaded what TLS reads.
 */
static bool
opened_inside(const struct connection *c, enum reader reader)
{
	const struct settings *s = &c->settings;

	if (reader == READ_BY_TLS)
		return s->tls != TLS_OFF && !c->forked;
	return may_become_other(s) &&
	    (reader != READ_BY_AUTH || s->auth != AUTH_OFF);
}

static int
paths_files(int set, const struct connection *c)
{
	struct named_file f = { 0 };

	while (settings_next_file(&c->settings, &f))
		if (opened_inside(c, f.reader) &&
		    paths_allow(set, f.path, LL_READ_FILE) == -1)
			return -1;
	if (c->settings.auth_file == NULL ||
	    !opened_inside(c, READ_BY_AUTH))
		return 0;
	return paths_allow(set, MACHINE_ID, LL_READ_FILE);
}

static int
paths_program(int set, const struct settings *s)
{
	size_t i;

	if (!may_become_other(s))
		return 0;
	if (paths_allow(set, handover_program(), LL_READ_FILE |
	    LL_EXECUTE) == -1 ||
	    paths_allow(set, s->file, LL_READ_FILE) == -1)
		return -1;
	for (i = 0; i < nitems(start_files); i++)
		if (paths_open(set, start_files[i].path, start_files[i].flags,
		    start_files[i].access) == -1)
			return -1;
	return 0;
}

/*
 * A message is written in tmp/ and gets its name in new/, where nothing is
 * read, written to, cut short or removed.  (Reading a directory is opening it,
 * for fsync(2): there is no call that would list it.)
 */
static const struct {
	const char	*name;
	uint64_t	 access;
} spool_parts[] = {
	{ ".", LL_READ_DIR },
	{ "tmp", LL_WRITE_FILE | LL_MAKE_REG | LL_REMOVE_FILE | LL_REFER },
	{ "new", LL_MAKE_REG | LL_REFER },
};

/* A missing directory could not be made; the first message will be told. */
static int
paths_spool(int set, const struct settings *s)
{
	char path[PATH_MAX];
	uint64_t access;
	size_t i;

	if (s->spool == NULL)
		return 0;
	for (i = 0; i < nitems(spool_parts); i++) {
		access = spool_parts[i].access;
		/* Milters read the message before it is accepted. */
		if ((access & LL_WRITE_FILE) != 0 &&
		    s->servers[MILTER][0].text != NULL)
			access |= LL_READ_FILE;
		if (spool_part(path, sizeof(path), s->spool,
		    spool_parts[i].name) &&
		    paths_allow(set, path, access) == -1)
			return -1;
	}
	return 0;
}

/* all: not only the spool. */
static int
paths_enter(const struct connection *c, bool all)
{
	const struct settings *s = &c->settings;
	int level = 0, set, version, error;

	if ((version = paths_version()) == 0)
		return -1;
	while (levels[level].abi > version)
		level++;
	set = (int)syscall(LL_CREATE_RULESET, &levels[level].handled,
	    sizeof(levels[level].handled), 0);
	if (set == -1)
		return -1;
	/* Inside the sandbox it can't be made. */
	if (all && s->spool != NULL)
		spool_make(s->spool);
	error = paths_spool(set, s) == 0 && (!all || (paths_files(set, c) ==
	    0 && paths_program(set, s) == 0)) &&
	    syscall(LL_RESTRICT_SELF, set, 0) == 0 ? 0 : errno;
	close(set);
	errno = error;
	return error == 0 ? 0 : -1;
}

/* smtpd has given the files up already, if that can be done. */
static int
paths_there(void)
{
	return paths_version() != 0 ? 0 : -1;
}

/*
 * Passwords don't go into core files, no memory becomes code, and no other
 * process of this user reads ours.
 */
static void
limits_enter(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
}

/* No sandbox with AddressSanitizer, whose leak check makes a process. */
static bool
wanted(const struct settings *s)
{
#ifdef __SANITIZE_ADDRESS__
	(void)s;
	return false;
#else
	return s->sandbox;
#endif
}

/*
 * What this kernel has not, or whoever started us forbids, is so in each
 * session; any other failure is one of this session, which must not go on.
 */
static int
judge(int r, const char *what, bool *inside)
{
	*inside = r == 0;
	if (r == 0 || errno == ENOSYS || errno == EOPNOTSUPP ||
	    errno == EINVAL || errno == EPERM)
		return 0;
	log_error(errno, "sandbox", what);
	return -1;
}

int
sandbox_enter(struct connection *c, bool again)
{
	bool paths = false, filter = false;

	if (!wanted(&c->settings))
		return 0;
	limits_enter();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    (judge(again ? paths_there() : paths_enter(c, true), "landlock",
	    &paths) == -1 ||
	    judge(calls_enter(c), "seccomp", &filter) == -1))
		return -1;
	if (!paths || !filter)
		log_event("sandbox", "without", paths ? "seccomp" : filter ?
		    "landlock" : "landlock seccomp", NULL);
	return 0;
}

int
sandbox_narrow(struct connection *c)
{
	bool inside;

	return wanted(&c->settings) ?
	    judge(paths_enter(c, false), "landlock", &inside) : 0;
}

int
sandbox_check(const struct settings *s)
{
	if (s->sandbox && paths_version() == 0)
		warnx("sandbox: no Landlock in this kernel");
	if (s->sandbox && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == -1)
		warnx("sandbox: no seccomp in this kernel");
	return 0;	/* it works without */
}
