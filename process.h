/* SPDX-License-Identifier: ISC */
/*
 * process.h - another program: started without a shell, watched with a
 * deadline, ended with its whole group.
 *
 * The child has the descriptors that it is given and no others, a session and
 * process group of its own, / as its directory, and no signal blocked or
 * ignored.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <sys/types.h>

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session.h"

#define PROCESS_LOG_LINE	500	/* octets of standard error, a line */

struct process_line {
	char		 text[PROCESS_LOG_LINE + 1];
	size_t		 len;
	unsigned	 count;		/* lines seen before this one */
};
_Static_assert(PROCESS_LOG_LINE >= SESSION_TEXT_MAX, "a reply fits");

/* What is waited for; the last two: whoever wants the result, and SIGTERM. */
enum {
	PROCESS_OUT, PROCESS_ERR, PROCESS_PID, PROCESS_WATCH, PROCESS_STOP,
	PROCESS_FDS
};

struct process {
	const char	*what;		/* for the log: the setting */
	const char	*name;		/* and the program */
	pid_t		 pid;
	int		 status;	/* as of wait(2), once it has ended */
	bool		 late;		/* it had to be ended */
	struct pollfd	 fds[PROCESS_FDS];
	struct process_line out;	/* the first line of standard output */
	struct process_line err;
};

/* In place of a descriptor. */
#define PROCESS_NULL	-1	/* /dev/null */
#define PROCESS_PIPE	-2	/* its output is for us; for 1 and 2 only */

#define PROCESS_FILES	4	/* descriptors, at most */

struct process_limits {
	int64_t		 time;	/* ms for the whole run */
	int64_t		 grace;	/* ms, once we have got SIGTERM */
	int		 watch;	/* it is ended when this hangs up; -1: none */
};

/*
 * Start words[0], found as execvp(3) would, with files as its descriptors 0 to
 * n - 1.  0 or an error number; then there is nothing to finish.
 */
int	process_start(struct process *, const char *what, char *const *words,
	    char *const *env, const int *files, size_t n);
/*
 * Wait until it has ended, or end it.  What it printed on a PROCESS_PIPE is
 * then in out (its first line), or in the log (standard error).
 */
void	process_finish(struct process *, const struct process_limits *);
/* How many ms process_finish() takes at most. */
int64_t	process_longest(int64_t time);
#endif
