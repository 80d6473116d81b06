/*
 * keys.c - private keys are in a process of their own, which signs.
 *
 * It is made by fork(2) and exec(2), so it has another layout in memory than
 * the listener and its sessions, and nothing of theirs.  It reads the settings
 * and the keys, says whether they will do, and then signs for whoever has a
 * channel.  A session gets one when it asks for it over its place, once; with
 * that it may have as many signatures as a handshake takes, and no more.
 *
 * When keys have changed another one is started, and the old one ends after
 * the last session that has a channel to it.
 */
#define _GNU_SOURCE	/* memfd_create() */

#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "listen/channel.h"
#include "listen/listen.h"

#define VARIABLE	"SMTPD_KEYS"	/* its pid, descriptor */
#define START_MS	10000		/* to be ready in */
#define ANSWER_MS	10000		/* for one signature */
#define SIGNATURES	2		/* for one session */

static struct {
	int		 fd;		/* to the process; -1: there is none */
	int		*shared;	/* what sessions see of it; or NULL */
	int		 memory;	/* the same, to be written */
	int		 channel;	/* in a session: its own, or -1 */
} keys = { .fd = -1, .memory = -1, .channel = -1 };

bool
keys_needed(const struct settings *set)
{
	return tls_module != NULL && set->tls != TLS_OFF;
}

/* The listener's side. */

/*
 * Sessions see whether there is anybody to sign, without asking for it: memory
 * that they share, and that only the listener can write.
 */
static void
share(void)
{
	char path[64];
	int fd;

	keys.memory = memfd_create("smtpd-keys", MFD_CLOEXEC);
	if (keys.memory == -1 || ftruncate(keys.memory, sizeof(int)) == -1)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", keys.memory);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	keys.shared = mmap(NULL, sizeof(int), PROT_READ, MAP_SHARED, fd, 0);
	if (keys.shared == MAP_FAILED)
		keys.shared = NULL;
	close(fd);
}

static void
say_alive(int alive)
{
	if (keys.memory == -1)
		share();
	if (keys.memory != -1 &&
	    pwrite(keys.memory, &alive, sizeof(alive), 0) == -1)
		log_error(errno, "keys", NULL);
}

/* In the child: become it, with our program even if its file was replaced. */
static void
become_keys(int fd)
{
	char value[64];
	sigset_t none;

	log_leave();
	sigemptyset(&none);
	snprintf(value, sizeof(value), "%ld %d", (long)getpid(), fd);
	if (setenv(VARIABLE, value, 1) == 0 &&
	    fcntl(fd, F_SETFD, 0) != -1) {
		sigprocmask(SIG_SETMASK, &none, NULL);
		handover_to("/proc/self/exe");
	}
	_exit(EX_OSERR);
}

/* Its first word: nothing, or why not. */
static int
await_ready(int fd, char *err, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;
	int none;

	strlcpy(err, "keys: no answer", size);
	if (poll(&p, 1, START_MS) != 1 ||
	    (n = channel_receive(fd, err, size - 1, &none)) < 1)
		return -1;
	err[n] = '\0';
	return *err == '\0' ? 0 : -1;
}

int
keys_start(char *err, size_t size)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) {
		snprintf(err, size, "keys: %s", strerror(errno));
		return -1;
	}
	if ((pid = fork()) == 0)
		become_keys(ends[1]);
	close(ends[1]);
	if (pid == -1)
		snprintf(err, size, "keys: %s", strerror(errno));
	else if (await_ready(ends[0], err, size) == 0)
		return ends[0];
	close(ends[0]);
	return -1;
}

void
keys_use(int fd)
{
	if (keys.fd != -1)
		close(keys.fd);
	keys.fd = fd;
	say_alive(fd != -1);
}

int
keys_fd(void)
{
	return keys.fd;
}

void
keys_give(int place, bool asked)
{
	char byte;
	int none, ends[2];

	if (channel_receive(place, &byte, 1, &none) < 1)
		return;
	if (none != -1)
		close(none);
	if (asked || keys.fd == -1 || socketpair(AF_UNIX, SOCK_SEQPACKET |
	    SOCK_CLOEXEC, 0, ends) == -1) {
		channel_send(place, "", 1, -1);
		return;
	}
	if (channel_send(keys.fd, "", 1, ends[0]) == -1)
		channel_send(place, "", 1, -1);
	else
		channel_send(place, "", 1, ends[1]);
	close(ends[0]);
	close(ends[1]);
}

/* The session's side. */

bool
keys_there(void)
{
	return keys.shared == NULL || *(volatile int *)keys.shared;
}

static int
receive(int from, void *p, size_t size, int *fd)
{
	if (conn_await(from, POLLIN, conn_now() + ANSWER_MS) == -1)
		return -1;
	return (int)channel_receive(from, p, size, fd);
}

static int
open_channel(void)
{
	char byte = 0;

	if (keys.channel == -1 &&
	    write(LISTEN_FD_PLACE, &byte, 1) == 1)
		receive(LISTEN_FD_PLACE, &byte, 1, &keys.channel);
	return keys.channel;
}

ssize_t
keys_signature(const struct tls_sign *q, unsigned char *out, size_t size)
{
	size_t len = offsetof(struct tls_sign, data) + q->len;
	int fd = open_channel(), none;
	ssize_t n = -1;

	if (fd != -1 && write(fd, q, len) == (ssize_t)len)
		n = receive(fd, out, size, &none);
	return n > 1 ? n : -1;	/* one octet: refused */
}

/* The process itself. */

/*
 * How many signatures went over each channel, by its descriptor; room for one
 * more, or NULL.
 */
static unsigned char *
count_of(int fd)
{
	static unsigned char *counts;
	static size_t size;
	unsigned char *more;

	if ((size_t)fd >= size) {
		more = recallocarray(counts, size, (size_t)fd + 256, 1);
		if (more == NULL)
			return NULL;
		counts = more;
		size = (size_t)fd + 256;
	}
	return &counts[fd];
}

/* One question of a session; false: that was its last. */
static bool
answer(int fd)
{
	struct tls_sign q;
	unsigned char out[TLS_SIGNATURE_MAX];
	size_t head = offsetof(struct tls_sign, data);
	ssize_t n, len;
	int none;

	n = channel_receive(fd, &q, sizeof(q), &none);
	if (none != -1)
		close(none);
	if (n < (ssize_t)head || q.len != (size_t)n - head ||
	    ++*count_of(fd) > SIGNATURES) {
		close(fd);
		return false;
	}
	len = tls_module->sign(&q, out, sizeof(out));
	channel_send(fd, out, len < 1 ? 1 : (size_t)len, -1);
	return true;
}

/* A new channel; -1: the listener has another process by now, or is gone. */
static int
take_channel(int epoll, int control, unsigned *open)
{
	struct epoll_event e = { .events = EPOLLIN };
	unsigned char *count;
	char byte;
	int fd;

	if (channel_receive(control, &byte, 1, &fd) == 0)
		return -1;
	if (fd == -1)
		return 0;
	e.data.fd = fd;
	if ((count = count_of(fd)) == NULL ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == -1) {
		close(fd);
		return 0;
	}
	*count = 0;
	++*open;
	return 0;
}

static void
say_ready(int control, const char *err)
{
	channel_send(control, *err == '\0' ? "" : err,
	    *err == '\0' ? 1 : strlen(err), -1);
}

/* Until the listener wants no more, and the last session has gone. */
static void
serve(int control)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = control };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	bool wanted = true;
	unsigned open = 0;

	if (epoll == -1 || epoll_ctl(epoll, EPOLL_CTL_ADD, control, &e) == -1)
		return;
	while (wanted || open > 0) {
		if (epoll_wait(epoll, &e, 1, -1) != 1)
			continue;
		if (e.data.fd != control)
			open -= !answer(e.data.fd);
		else if (take_channel(epoll, control, &open) == -1) {
			wanted = false;
			close(control);
		}
	}
}

/* The descriptor that is meant for this very process, or -1. */
static int
control_of(void)
{
	const char *given = getenv(VARIABLE);
	long pid;
	int fd;

	if (given == NULL || sscanf(given, "%ld %d", &pid, &fd) != 2 ||
	    pid != getpid() || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		return -1;
	unsetenv(VARIABLE);
	return fd;
}

bool
keys_wanted(void)
{
	const char *given = getenv(VARIABLE);

	return given != NULL && strtol(given, NULL, 10) == getpid();
}

/* The listener says when it ends; what is for a terminal's job is not. */
static void
ignore_signals(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGPIPE);
	sigprocmask(SIG_BLOCK, &mask, NULL);
}

int
keys_run(const struct settings *set, const char *bad)
{
	const struct rlimit none = { 0, 0 };
	char err[1024] = "";
	int control = control_of();

	if (control == -1)
		return EX_USAGE;
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
	log_open(set->log, false, NULL);
	ignore_signals();
	if (bad == NULL && set->tls != TLS_OFF)
		tls_module->keys_load(set, err, sizeof(err));
	say_ready(control, bad != NULL ? bad : err);
	if (bad == NULL && *err == '\0')
		serve(control);
	return 0;
}
