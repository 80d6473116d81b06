/* SPDX-License-Identifier: ISC */
/*
 * runner.h - the one process outside the sandbox, which does for a session what
 * the session itself may not: make the file of a message for a program, run the
 * delivery program or the password checker, connect to a filter or start it.
 *
 * It compares each request with the settings.  The functions with a result wait
 * for it as long as the settings allow; a runner that does not answer is given
 * up, and all later requests fail with EPIPE.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "auth.h"
#include "deliver.h"
#include "server.h"
#include "smtpd.h"

/* Do these settings need one? */
bool	runner_wanted(const struct settings *);
/*
 * Before the sandbox closes; smtpd-tls finds the one that smtpd had.  0, or -1
 * with errno.
 */
int	runner_start(struct connection *);
/* Our end of the socket to it, or -1. */
int	runner_socket(void);

/*
 * A file without a name, two at most, or -1 with errno, logged.  It is closed
 * with runner_drop(), so that the runner does not keep it, either.
 */
int	runner_create(void);
void	runner_drop(int file);
/* Run the delivery program, which reads such a file: 0 or an errno. */
int	runner_run(char *const *argv, char *const *env, int file,
	    struct exec_result *);
/* Ask auth-program whether this is the user's password. */
enum auth_result runner_check_password(const struct connection *,
	    const char *user, const char *password);
/*
 * A stream to one of the settings' servers, or to one of their programs, which
 * is started, after ending an earlier run of it.  -1 with errno.
 */
int	runner_connect(const struct server *, int64_t ms);

#endif
