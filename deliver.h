/*
 * deliver.h - what deliver.c shares with the two places a message can go to.
 *
 * Either hands out a descriptor for the message; deliver.c writes it.  What
 * fails is logged where it fails; errno then says what to tell the client.
 */
#ifndef DELIVER_H
#define DELIVER_H

#include "smtpd.h"

/* What to say when our side failed with this errno. */
struct session_verdict deliver_failed(int error);

/* spool.c: a Maildir.  One message at a time. */
int	spool_create(const char *path);		/* descriptor, or -1 */
int	spool_commit(int);	/* 0: durable; -1: gone.  Closes it */
void	spool_drop(int);	/* remove and close */
int	spool_check(const char *path);

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
 * out of memory; it is to be freed all the same.
 */
bool	arguments_make(struct arguments *, struct connection *, uint64_t size,
	    const char *recipient, const char *dsn);
void	arguments_free(struct arguments *);
/* Could these be what arguments_make() made with these settings? */
bool	arguments_allowed(const struct connection *, char *const *argv,
	    size_t argc, char *const *env);

/* program.c: a program that takes the message on its standard input. */
int	exec_create(void);	/* a file without a name; -1 */
/* recipient and dsn: as for arguments_make(). */
struct session_verdict exec_run(struct connection *, int fd, uint64_t size,
	    const char *recipient, const char *dsn);
int	exec_check(const struct settings *);
/* What came of it, and the first line it printed. */
struct exec_result {
	int		 status;	/* as of wait(2) */
	bool		 late;		/* it had to be killed */
	char		 text[SESSION_TEXT_MAX + 1];
};
/* Run it and wait for it: 0, or an error number. */
int	exec_program(char **argv, char *const *env, int in, unsigned timeout,
	    struct exec_result *);

/* runner.c: the process that does the two for a session in its sandbox. */
bool	runner_active(void);
int	runner_create(void);
int	runner_run(char *const *argv, char *const *env, int in,
	    struct exec_result *);

#endif
