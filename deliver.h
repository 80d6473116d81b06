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

/* exec.c: a program that takes the message on its standard input. */
int	exec_create(void);	/* a file without a name; -1 */
bool	exec_each(const struct settings *);	/* once a recipient? */
/* recipient and dsn: of the one it is run for, or NULL for all of them. */
struct session_verdict exec_run(struct connection *, int fd, uint64_t size,
	    const char *recipient, const char *dsn);
int	exec_check(const struct settings *);

#endif
