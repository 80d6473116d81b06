/* SPDX-License-Identifier: ISC */
/*
 * supervisor.c - the sockets that a supervisor gives to a listener, and what it
 * is told: the protocols of sd_listen_fds(3) and sd_notify(3).
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen/listen.h"

int
supervisor_sockets(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	const char *err = NULL;
	int n;

	if (pid == NULL || fds == NULL ||
	    strtonum(pid, 1, INT32_MAX, &err) != getpid() || err != NULL)
		return 0;
	n = (int)strtonum(fds, 1, SOCKETS_MAX, &err);
	return err == NULL ? n : 0;
}

/* Or it would be held for ever, here and in the process with the keys. */
void
supervisor_close_others(void)
{
	if (fresh_is_first() && !state_left())
		closefrom(STDERR_FILENO + 1 + supervisor_sockets());
}

void
supervisor_tell(const char *what)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t len;
	int fd;

	if (path == NULL || strlcpy(a.sun_path, path, sizeof(a.sun_path)) >=
	    sizeof(a.sun_path))
		return;
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    strlen(path));
	if (*path == '@')	/* an abstract name */
		a.sun_path[0] = '\0';
	else
		len++;
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return;
	sendto(fd, what, strlen(what), MSG_NOSIGNAL,
	    (const struct sockaddr *)&a, len);
	close(fd);
}
