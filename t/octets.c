/* SPDX-License-Identifier: ISC */
/*
 * octets - run a command whose reads of standard input get one octet each.
 *
 *	octets command [argument ...] <file
 *
 * On a pipe in packet mode a read never returns more than one write.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void
feed(int fd)
{
	int c;
	char octet;

	while ((c = getchar()) != EOF) {
		octet = (char)c;
		if (write(fd, &octet, 1) != 1)
			return;		/* it has seen enough */
	}
}

int
main(int argc, char **argv)
{
	int fds[2], status;
	pid_t pid;

	if (argc < 2)
		errx(1, "usage: octets command [argument ...]");
	signal(SIGPIPE, SIG_IGN);
	if (pipe2(fds, O_DIRECT) == -1)
		err(1, "pipe2");
	if ((pid = fork()) == -1)
		err(1, "fork");
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		dup2(fds[0], STDIN_FILENO);
		close(fds[0]);
		close(fds[1]);
		execv(argv[1], argv + 1);
		err(127, "%s", argv[1]);
	}
	close(fds[0]);
	feed(fds[1]);
	close(fds[1]);
	if (waitpid(pid, &status, 0) == -1)
		err(1, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
