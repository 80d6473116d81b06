/* SPDX-License-Identifier: ISC */
/*
 * deliver.h - what deliver.c shares with the two places a message can go to.
 *
 * A target hands out a descriptor for the message; deliver.c writes it.  What
 * fails is logged where it fails; errno then says what to tell the client.
 */
#ifndef DELIVER_H
#define DELIVER_H

#include <limits.h>

#include "smtpd.h"

#define FOR_ALL		UINT_MAX	/* instead of one recipient's number */

struct target {
	const char	*name;		/* of what is written, for the log */
	const char	*file;		/* what the last one is kept as */
	bool	slow;		/* not to be begun when the session must end */
	/* A descriptor for a message, or -1. */
	int	(*create)(const struct settings *);
	/*
	 * Deliver what was written to it, size octets, for the recipient with
	 * this number or FOR_ALL.  0, perhaps with another verdict in place of
	 * the acceptance, or -1.
	 */
	int	(*commit)(struct connection *, int fd, uint64_t size,
		    unsigned recipient, struct session_verdict *);
	void	(*drop)(int fd);	/* once; delivered or not */
	/* Is it to be delivered to each recipient on its own? */
	bool	(*each)(const struct settings *);
	/* -t: what is wrong, on standard error; count of it. */
	int	(*check)(const struct settings *);
};
extern const struct target spool_target;	/* spool.c: a Maildir */
extern const struct target program_target;	/* program.c: exec */

/* What to say when our side failed with this errno. */
struct session_verdict deliver_failed(int error);
/* Does the file have CRLF line ends? */
bool	deliver_crlf(const struct connection *);
/*
 * Read the message as the client sent it, from this octet on; fewer octets than
 * asked for at its end.  -1: errno, logged.
 */
ssize_t	deliver_read(void *, size_t, uint64_t offset);
/*
 * Put another header, in lines that end with LF, in place of what comes before
 * this octet; our own lines above it are made anew.
 */
struct session_verdict deliver_edit(struct connection *, const char *,
	    size_t, uint64_t offset);

#define EXEC_GRACE	10000	/* ms for a program, from SIGTERM on */

/* arguments.c: what a delivery program is told. */
#define ENV_MAX		24
struct arguments {
	char		**argv;
	char		*env[ENV_MAX + 1];
	size_t		 env_len;
};
bool	arguments_each(const struct settings *);	/* a run a recipient? */
/*
 * recipient and dsn: of the one it is run for, or NULL for all of them.  False:
 * out of memory; free it all the same.
 */
bool	arguments_make(struct arguments *, struct connection *, uint64_t size,
	    const char *recipient, const char *dsn);
void	arguments_free(struct arguments *);
/* Could these be what arguments_make() made with these settings? */
bool	arguments_allowed(const struct connection *, char *const *argv,
	    size_t argc, char *const *env);

/* exec.c: a program that takes the message, run by the process outside. */

int	exec_create(void);	/* a file without a name; -1: logged */
/* What came of it, and the first line it printed. */
struct exec_result {
	int		 status;	/* as of wait(2) */
	bool		 late;		/* it had to be killed */
	char		 text[SESSION_TEXT_MAX + 1];
};
/* Run it and wait for it, or until watch hangs up: 0, or an error number. */
int	exec_program(char **argv, char *const *env, int in, int watch,
	    unsigned timeout, struct exec_result *);

#endif
