/* SPDX-License-Identifier: ISC */
/*
 * listen.h - what the files of the listener share.
 */
#ifndef LISTEN_H
#define LISTEN_H

#include <sys/types.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "smtpd.h"

/*
 * The descriptors below this number are a child's: its client, its log, and
 * what was prepared for it.  All that the listener opens is above.
 */
#define LISTEN_FD_MIN	8
#define LISTEN_FD_PLACE	3	/* in a child: its place */

/* sockets.c: the listening sockets. */

#define SOCKETS_MAX	16

struct sockets {
	unsigned	 count;
	struct {
		int	 fd;		/* not blocking; -1: closed */
		bool	 bound;		/* by us, with -l */
	} list[SOCKETS_MAX];
};

/* Is it a listening socket? */
bool	sockets_listening(int fd);
/* Take a descriptor over, above those that a child expects.  0 or -1. */
int	sockets_take(struct sockets *, int fd, bool bound);
/*
 * What -l says: "address:port" or "unix:path".  0, or -1 with the reason in
 * err.
 */
int	sockets_bind(struct sockets *, const char *where, char *err, size_t);
/* One event=listen for each. */
void	sockets_log(const struct sockets *);
/* Close them all; a UNIX socket of ours loses its name. */
void	sockets_close(struct sockets *);

/* supervisor.c */

/* How many descriptors, from 3 on, are meant for us (LISTEN_FDS). */
int	supervisor_sockets(void);
/* Close what was left open by mistake, unless an earlier self left it. */
void	supervisor_close_others(void);
/* "READY=1" or the like, if it wants to know (NOTIFY_SOCKET). */
void	supervisor_tell(const char *what);

/* places.c: who is here, and how many of them. */

/* Where a connection comes from; IPv4 is ::ffff:0:0/96. */
struct source {
	struct in6_addr	 addr;
	in_port_t	 port;		/* as in the packet */
	bool		 known;		/* not a UNIX socket's */
	bool		 counted;	/* its address is the client's */
};

/*
 * A place is a descriptor: a session holds one end, the listener the other,
 * which hangs up when nobody holds the first any more.  So counting needs no
 * pids, and a runner or a program that outlives its session is counted.
 */
struct place {
	int		 fd;		/* our end; -1: nobody has the other */
	pid_t		 pid;		/* of the session; 0: it was reaped */
	unsigned	 keys;		/* which it may ask; 0: it has asked */
	struct source	 source;
};

enum places_answer {
	PLACES_OK, PLACES_FULL, PLACES_SOURCE, PLACES_AWAY,
	PLACES_FORK,		/* the system is out of something */
	PLACES_ANSWERS
};

struct source source_of(const struct sockaddr *, bool proxied);
/* The client as text, for the log. */
const char *source_text(const struct source *, char *, size_t);
bool	source_is_local(const struct source *);

/* May one more come from there, and to which place? */
enum places_answer places_find(const struct settings *, const struct source *,
	    int64_t now, unsigned *place);
/* Room for so many; 0 or -1. */
int	places_room(unsigned);
struct place *places_at(unsigned);
unsigned places_size(void);	/* of the table */
void	places_fill(unsigned, int fd, pid_t, const struct source *);
/* Nobody holds its other end; or its process was reaped: free after both. */
void	places_ended(unsigned);
void	places_reaped(struct place *);
unsigned places_used(void);
unsigned places_sources(void);
/* The place of a session, or NULL. */
struct place *places_of(pid_t);
/* Signal all sessions that have not been reaped yet. */
void	places_signal(int);
/* The source's prefix is turned away until then. */
void	places_turn_away(const struct source *, int64_t until);
/* Call one or the other for each: those that are full, those turned away. */
void	places_each(void (*)(const struct place *, void *), void *);
void	places_each_away(void (*)(const struct source *, int64_t, void *),
	    void *);

/* turn_down.c */

#define MINUTE	60000		/* ms, in which the log repeats nothing */

/* One reply, if it goes without waiting; none inside TLS.  Closes it. */
void	turn_down(const struct settings *, int fd, enum places_answer,
	    const struct source *);

/* state.c: what is passed on when the listener re-executes itself. */

struct state {
	enum log_target	 log;		/* as it was resolved */
	struct sockets	 sockets;
};

bool	state_left(void);		/* is there any for us? */
/* Into a descriptor that an exec keeps, named in the environment; or -1. */
int	state_leave(const struct state *);
/* The exec failed: undo that. */
void	state_drop(const struct state *, int fd);
/* What an earlier self left: 1, 0 if nothing, -1 if not all was understood. */
int	state_take(struct state *);

/*
 * keys.c: private keys, in a process of their own, which signs; in smtpd-tls
 * only.
 */

bool	keys_needed(const struct settings *);
/*
 * Start one: a descriptor to it as soon as it has read the keys, or -1 with the
 * reason in err.  After keys_use(), sessions are given channels to it.
 */
int	keys_start(char *err, size_t);
void	keys_use(int fd);		/* -1: none */
/* The next one has other keys: it is not for the sessions that are here. */
void	keys_changed(void);
int	keys_fd(void);			/* readable: it has ended */
/* A session begins: which process it may ask, once, until it leaves; or 0. */
unsigned keys_join(void);
void	keys_leave(unsigned);
/* It asked over its place: it gets a channel, or learns that there is none. */
void	keys_give(int place, unsigned);
/* In a session: a tls_signer. */
ssize_t	keys_signature(const struct tls_sign *, unsigned char *, size_t);
int	passwords_ask(const struct auth_question *, struct auth_answer *);

/* fresh.c: have the files that were read changed? */

enum fresh { FRESH_SAME, FRESH_SETTINGS, FRESH_FILES, FRESH_PROGRAM };

/*
 * Remember how they look, each before it is read, or a change while it is read
 * would go unseen: the settings file, what the settings name, the programs.
 */
void	fresh_settings(const char *path);
void	fresh_files(const struct settings *);
void	fresh_programs(void);
/* Which of them have changed since; the last of the list comes first. */
enum fresh fresh_look(const struct settings *);
/* Was this process no other program of ours before? */
bool	fresh_is_first(void);
/* The path of the program to exec: the one that was started. */
const char *fresh_self(void);

#endif
