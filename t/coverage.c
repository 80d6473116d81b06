/* SPDX-License-Identifier: ISC */
/*
 * coverage.c - the sandbox lets `make coverage-program' count.
 *
 * Linked into smtpd and smtpd-tls in front of syscall() and open().  A process
 * counts in a mapped file, whatever it gives up later; but one that becomes
 * smtpd-tls in the sandbox must open and lock that file in there.  So Landlock
 * gets one more rule and seccomp one more call, and fail.c does not see the
 * file being opened.
 */
#include <sys/types.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#define LL_ADD_RULE		445
#define LL_RESTRICT_SELF	446
#define LL_PATH_BENEATH		1
#define LL_WRITE_AND_READ	6ULL

#define MORE	5		/* instructions in front of the sandbox's */

long	__real_syscall(long, ...);
long	__wrap_syscall(long, ...);
int	__real_open(const char *, int, ...);
int	__wrap_open(const char *, int, ...);

static void
allow_file(int set)
{
	struct {
		uint64_t access;
		int32_t	 fd;
	} __attribute__((packed)) rule = { LL_WRITE_AND_READ, 0 };

	rule.fd = __real_open(PROFILES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	__real_syscall(LL_ADD_RULE, set, LL_PATH_BENEATH, &rule, 0);
	close(rule.fd);
}

/* The wait for the lock, as the first thing that the filter looks at. */
static long
allow_lock(long mode, long flags, const struct sock_fprog *program)
{
	const struct sock_filter more[MORE] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fcntl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_SETLKW, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_filter all[BPF_MAXINSNS];
	struct sock_fprog longer = { (unsigned short)(program->len + MORE),
	    all };

	memcpy(all, more, sizeof(more));
	memcpy(all + MORE, program->filter, program->len * sizeof(all[0]));
	return __real_syscall(SYS_seccomp, mode, flags, &longer);
}

long
__wrap_syscall(long number, ...)
{
	union {
		long	 number;
		const struct sock_fprog *program;
	} c;
	long a, b, d, e, f;
	va_list ap;

	va_start(ap, number);
	a = va_arg(ap, long);
	b = va_arg(ap, long);
	c.number = va_arg(ap, long);
	d = va_arg(ap, long);
	e = va_arg(ap, long);
	f = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_seccomp)
		return allow_lock(a, b, c.program);
	if (number == LL_RESTRICT_SELF)
		allow_file((int)a);
	return __real_syscall(number, a, b, c.number, d, e, f);
}

int
__wrap_open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	if (strncmp(path, PROFILES, sizeof(PROFILES) - 1) == 0)
		return (int)__real_syscall(SYS_openat, AT_FDCWD, path, flags,
		    mode);
	return __real_open(path, flags, mode);
}
