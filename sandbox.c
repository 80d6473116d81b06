/*
 * sandbox.c - what the process gives up before it reads the client's first
 * octet.
 *
 * Landlock leaves it the spool and the files that the settings name, seccomp
 * the system calls of a session: no new descriptors but files, no processes, no
 * programs but smtpd-tls, which starts with all of this in force.  (Through the
 * dynamic loader, which must be executable, that is any program in reach; but
 * none could do more than what ran it.)  Both are set up without a library, and
 * with little: a filter costs by its length, a rule by the path that it opens.
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
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "smtpd.h"

/*
 * Landlock's numbers are here and not from its header, which is older than the
 * kernel on many a system.
 */
#define LL_CREATE_RULESET	444
#define LL_ADD_RULE		445
#define LL_RESTRICT_SELF	446
#define LL_VERSION		1
#define LL_PATH_BENEATH		1
#define LL_NET_PORT		2
#define LL_EXECUTE		(1ULL << 0)
#define LL_WRITE_FILE		(1ULL << 1)
#define LL_READ_FILE		(1ULL << 2)
#define LL_READ_DIR		(1ULL << 3)
#define LL_REMOVE_FILE		(1ULL << 5)
#define LL_MAKE_DIR		(1ULL << 7)
#define LL_MAKE_REG		(1ULL << 8)
#define LL_REFER		(1ULL << 13)
#define LL_TRUNCATE		(1ULL << 14)
#define LL_CONNECT_TCP		(1ULL << 1)
#define LL_MIN_ABI		2	/* has REFER: links out of tmp/ */

#define LL_SPOOL	(LL_WRITE_FILE | LL_READ_FILE | LL_READ_DIR | \
			    LL_REMOVE_FILE | LL_MAKE_DIR | LL_MAKE_REG | \
			    LL_REFER | LL_TRUNCATE)

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
struct ll_port {
	uint64_t	 access, port;
};

/* What is there to be had, by the kernel's version of Landlock. */
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
 * What starting smtpd-tls reads: the dynamic loader, which is executed, the
 * libraries, and files of the system's that must not be missed.  Few rules,
 * since each costs as much as twenty system calls: /lib needs none where it is
 * a link into /usr.
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
 * The calls of a session.  Absent on purpose: all that makes a process, a
 * socket, a device or a program, that looks at another process or signals to
 * one, that changes who we are, ioctl(2), and chmod(2), which Landlock does not
 * govern.  What is not here fails with ENOSYS, as on an older kernel, so that a
 * libc newer than this list falls back.
 */
static const unsigned short calls[] = {
	__NR_read, __NR_readv, __NR_write, __NR_writev, __NR_close, __NR_lseek,
	__NR_pread64, __NR_pwrite64, __NR_ppoll, __NR_pselect6,
	__NR_recvfrom, __NR_sendto, __NR_shutdown,
	__NR_getsockname, __NR_getpeername,
	__NR_openat, __NR_newfstatat, __NR_fstat, __NR_faccessat,
	__NR_fcntl, __NR_getcwd, __NR_readlinkat,
	__NR_linkat, __NR_unlinkat, __NR_mkdirat, __NR_renameat2,
	__NR_fsync, __NR_fdatasync,
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
	__NR_prlimit64, __NR_signalfd4,
#ifdef __NR_arch_prctl
	__NR_arch_prctl,
#endif
	/* To give up the same once more. */
	__NR_seccomp, __NR_prctl, LL_CREATE_RULESET, LL_ADD_RULE,
	LL_RESTRICT_SELF
};

/* To be given a channel to the process with the keys; see listen/keys.c. */
static const unsigned short channel_calls[] = { __NR_recvmsg };

/* To speak with the runner. */
static const unsigned short runner_calls[] = {
	__NR_sendmsg, __NR_recvmsg
};

#define CALLS_MAX	512	/* no such number is as high */
#define WORDS_MAX	(CALLS_MAX / 32)
#define FILTER_MAX	(3 * WORDS_MAX + 24)

struct filter {
	struct sock_filter code[FILTER_MAX];
	unsigned short	 len;
};
#endif

/* Is this the setting of a server of that kind? */
static bool
is_server(const char *server, const char *kind)
{
	return server != NULL && strncmp(server, kind, strlen(kind)) == 0;
}

/* STARTTLS makes this process smtpd-tls, which has libraries to load. */
static bool
may_become_other(const struct settings *s)
{
	return tls_module == NULL && s->tls != TLS_OFF;
}

#ifdef ARCH
static void
filter_add(struct filter *f, unsigned code, uint32_t k, unsigned jt,
    unsigned jf)
{
	if (f->len == FILTER_MAX)
		errx(EX_SOFTWARE, "sandbox: the filter is too long");
	f->code[f->len++] = (struct sock_filter){ (unsigned short)code,
	    (unsigned char)jt, (unsigned char)jf, k };
}

#define DATA(member)	(uint32_t)offsetof(struct seccomp_data, member)
#define LOAD(f, at)	filter_add(f, BPF_LD | BPF_W | BPF_ABS, at, 0, 0)
#define COMPUTE(f, op, k) filter_add(f, BPF_ALU | BPF_K | (op), k, 0, 0)
#define JUMP(f, op, k, yes, no) \
	filter_add(f, BPF_JMP | BPF_K | (op), k, yes, no)
#define RETURN(f, k)	filter_add(f, BPF_RET | BPF_K, k, 0, 0)
#define REFUSE		(SECCOMP_RET_ERRNO | (ENOSYS & SECCOMP_RET_DATA))

/*
 * The number is loaded: stream sockets of the policy server's family.  A
 * smtpd-tls that logs to syslog has to open that again.
 */
static void
filter_socket(struct filter *f, const struct settings *s)
{
	bool inet, local, syslog;

	inet = is_server(s->policy, "inet:") ||
	    is_server(s->policy_end, "inet:");
	syslog = may_become_other(s) && log_is_syslog();
	local = syslog || is_server(s->policy, "unix:") ||
	    is_server(s->policy_end, "unix:");
	if (!local && !inet)
		return;
	JUMP(f, BPF_JEQ, __NR_connect, 9, 0);
	JUMP(f, BPF_JEQ, __NR_socket, 0, 10);
	LOAD(f, DATA(args[1]));
	COMPUTE(f, BPF_AND, 0xf);	/* without SOCK_CLOEXEC and the like */
	JUMP(f, BPF_JEQ, SOCK_STREAM, 1, 0);
	JUMP(f, BPF_JEQ, syslog ? SOCK_DGRAM : SOCK_STREAM, 0, 5);
	LOAD(f, DATA(args[0]));
	JUMP(f, BPF_JEQ, local ? AF_UNIX : AF_INET, 2, 0);
	JUMP(f, BPF_JEQ, inet ? AF_INET : AF_UNIX, 1, 0);
	JUMP(f, BPF_JEQ, inet ? AF_INET6 : AF_UNIX, 0, 1);
	RETURN(f, SECCOMP_RET_ALLOW);
	RETURN(f, REFUSE);
}

/*
 * A bit for each number, in words of 32; words without any are left out.  A
 * chain of comparisons would be understood by the kernel's cache of constant
 * answers, but filling that costs 0.15 ms a process, ten times this.
 */
static void
filter_words(struct filter *f, const uint32_t *words)
{
	unsigned i, left = 0;

	for (i = 0; i < WORDS_MAX; i++)
		left += words[i] != 0;
	LOAD(f, DATA(nr));
	COMPUTE(f, BPF_AND, 31);
	filter_add(f, BPF_MISC | BPF_TAX, 0, 0, 0);
	LOAD(f, DATA(nr));
	COMPUTE(f, BPF_RSH, 5);
	for (i = 0; i < WORDS_MAX; i++) {
		if (words[i] == 0)
			continue;
		left--;
		JUMP(f, BPF_JEQ, i, 0, 2);
		filter_add(f, BPF_LD | BPF_IMM, words[i], 0, 0);
		filter_add(f, BPF_JMP | BPF_JA, 3 * left + 1, 0, 0);
	}
	RETURN(f, REFUSE);
	filter_add(f, BPF_ALU | BPF_RSH | BPF_X, 0, 0, 0);
	JUMP(f, BPF_JSET, 1, 0, 1);
	RETURN(f, SECCOMP_RET_ALLOW);
	RETURN(f, REFUSE);
}

static void
add_calls(uint32_t *words, const unsigned short *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		words[list[i] / 32] |= (uint32_t)1 << (list[i] % 32);
}

static void
filter_build(struct filter *f, const struct settings *s, bool forked)
{
	uint32_t words[WORDS_MAX] = { 0 };

	add_calls(words, calls, sizeof(calls) / sizeof(calls[0]));
	if (may_become_other(s))
		add_calls(words, start_calls,
		    sizeof(start_calls) / sizeof(start_calls[0]));
	if (forked)
		add_calls(words, channel_calls,
		    sizeof(channel_calls) / sizeof(channel_calls[0]));
	if (s->exec != NULL)
		add_calls(words, runner_calls,
		    sizeof(runner_calls) / sizeof(runner_calls[0]));
	f->len = 0;
	LOAD(f, DATA(arch));
	JUMP(f, BPF_JEQ, ARCH, 1, 0);
	RETURN(f, SECCOMP_RET_KILL_PROCESS);	/* another machine's numbers */
	LOAD(f, DATA(nr));
	filter_socket(f, s);
	filter_words(f, words);
}

static int
filter_enter(const struct settings *s, bool forked)
{
	struct filter f;
	struct sock_fprog program;

	filter_build(&f, s, forked);
	program.len = f.len;
	program.filter = f.code;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ?
	    0 : -1;
}
#else
static int
filter_enter(const struct settings *s, bool forked)
{
	(void)s;
	(void)forked;
	return -1;
}
#endif

/* Landlock's version, 0 if there is none that will do. */
static int
paths_version(void)
{
	long version;

	version = syscall(LL_CREATE_RULESET, NULL, 0, LL_VERSION);
	return version < LL_MIN_ABI ? 0 : (int)version;
}

/*
 * What is not there needs no rule; it won't be found later either.  1: it was
 * not there.
 */
static int
paths_open(int set, const char *path, int flags, uint64_t access)
{
	struct ll_path rule = { access, -1 };
	long r;

	if ((rule.fd = open(path, O_PATH | O_CLOEXEC | flags)) == -1)
		return 1;
	r = syscall(LL_ADD_RULE, set, LL_PATH_BENEATH, &rule, 0);
	close(rule.fd);
	return r == 0 ? 0 : -1;
}

static int
paths_allow(int set, const char *path, uint64_t access)
{
	return path == NULL ? 0 : paths_open(set, path, 0, access);
}

/* "inet:HOST:PORT": its port is the only one to connect to. */
static int
paths_port(int set, const char *server)
{
	struct ll_port rule = { LL_CONNECT_TCP, 0 };

	if (!is_server(server, "inet:"))
		return 0;
	rule.port = strtoul(strrchr(server, ':') + 1, NULL, 10);
	return syscall(LL_ADD_RULE, set, LL_NET_PORT, &rule, 0) == 0 ? 0 : -1;
}

static int
paths_files(int set, const struct settings *s)
{
	struct named_file f = { 0 };

	while (settings_next_file(s, &f))
		/* These are open already, but smtpd-tls will open them anew. */
		if ((f.reader == READ_BY_TLS || may_become_other(s)) &&
		    paths_allow(set, f.path, LL_READ_FILE) == -1)
			return -1;
	if (s->auth_file == NULL || !may_become_other(s))
		return 0;
	return paths_allow(set, MACHINE_ID, LL_READ_FILE);
}

static int
paths_program(int set, const struct settings *s)
{
	size_t i;

	if (paths_allow(set, handover_program(), LL_READ_FILE |
	    LL_EXECUTE) == -1 ||
	    paths_allow(set, s->file, LL_READ_FILE) == -1)
		return -1;
	for (i = 0; i < sizeof(start_files) / sizeof(start_files[0]); i++)
		if (paths_open(set, start_files[i].path, start_files[i].flags,
		    start_files[i].access) == -1)
			return -1;
	return 0;
}

static int
paths_rules(int set, int level, const struct settings *s)
{
	uint64_t access = LL_SPOOL & levels[level].handled.fs;

	/* From in here it can't be made. */
	if (s->spool != NULL && s->exec == NULL)
		spool_make(s->spool);
	if (paths_allow(set, s->spool, access) == -1 ||
	    paths_files(set, s) == -1)
		return -1;
	if (levels[level].handled.net != 0 &&
	    (paths_port(set, s->policy) == -1 ||
	    paths_port(set, s->policy_end) == -1))
		return -1;
	return may_become_other(s) ? paths_program(set, s) : 0;
}

static int
paths_enter(const struct settings *s)
{
	int level = 0, set, version, r = -1;

	if ((version = paths_version()) == 0)
		return -1;
	while (levels[level].abi > version)
		level++;
	set = (int)syscall(LL_CREATE_RULESET, &levels[level].handled,
	    sizeof(levels[level].handled), 0);
	if (set == -1)
		return -1;
	if (paths_rules(set, level, s) == 0 &&
	    syscall(LL_RESTRICT_SELF, set, 0) == 0)
		r = 0;
	close(set);
	return r;
}

/* Passwords don't go into core files, and no memory becomes code. */
static void
limits_enter(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
}

/*
 * Programs must not inherit any of this.  A delivery program has runner.c; with
 * an auth-program there is no sandbox.
 */
void
sandbox_enter(struct connection *c)
{
	const struct settings *s = &c->settings;
	bool paths, filter;

#ifdef __SANITIZE_ADDRESS__
	return;			/* its leak check makes a process */
#endif
	if (!s->sandbox || s->auth_program != NULL)
		return;
	if (s->exec != NULL && runner_start(c) == -1) {
		log_error(errno, "runner", NULL);
		return;
	}
	limits_enter();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		paths = filter = false;
	else {
		paths = paths_enter(s) == 0;
		filter = filter_enter(s, c->forked) == 0;
	}
	if (!paths || !filter)
		log_event("sandbox", "without", paths ? "seccomp" : filter ?
		    "landlock" : "landlock seccomp", NULL);
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
