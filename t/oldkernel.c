/* SPDX-License-Identifier: ISC */
/*
 * oldkernel.c - runs a program without Landlock and seccomp.
 *
 *	oldkernel PROGRAM [ARGUMENT ...]
 *
 * Their calls fail with ENOSYS, as on a kernel that doesn't have them.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <err.h>
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

int
main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 444, 0, 1),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 446, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (argc < 2)
		errx(1, "usage: oldkernel PROGRAM [ARGUMENT ...]");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == -1)
		err(1, "seccomp");
	execv(argv[1], argv + 1);
	err(1, "%s", argv[1]);
}
