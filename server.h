/* SPDX-License-Identifier: ISC */
/*
 * server.h - where a filter is reached: its address in the settings.
 */
#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <stdint.h>

#define SERVERS_MAX	8	/* of one setting */

enum server_kind { SERVER_UNIX, SERVER_INET, SERVER_EXEC };

struct server {
	enum server_kind kind;
	char		*text;		/* of the setting; NULL: none */
	char		*path;		/* unix: */
	char		*host;		/* inet:, without brackets */
	uint16_t	 port;
	char		**words;	/* exec:, NULL at the end */
};

/*
 * A stream to a server that we don't start: its descriptor, or -1 with errno,
 * where ETIMEDOUT is the deadline and EINTR SIGTERM.  It also ends when watch
 * hangs up, unless that is -1.
 */
int	server_connect(const struct server *, int watch, int64_t deadline);
/*
 * -t: what is wrong with a setting's servers, on standard error; count of it.
 */
int	server_check(const char *setting, const struct server *);

#endif
