/* SPDX-License-Identifier: ISC */
/*
 * keys.c - private keys are in a process of their own, which signs.
 *
 * It is made by fork(2) and exec(2), so its memory is laid out differently from
 * that of the listener and its sessions, and has nothing of theirs.  It reads
 * the settings and the keys, reports whether they are good, and then signs for
 * each process that has a channel.  A session gets a channel once, when it asks
 * for one over its place, and as many signatures as a handshake takes.
 *
 * When keys have changed another process is started, and the old one ends after
 * the last session that began with it.
 */
#define _GNU_SOURCE	/* memfd_create() */

#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

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
#define START_MS	10000		/* until it is ready */
#define SIGN_MS		10000		/* for a signature */
#define GENERATIONS	8		/* that are kept at once */
#define SHARED		(GENERATIONS * sizeof(unsigned))
#define SIGNATURES	2		/* for one session */
#define QUESTIONS	250		/* about users */

/*
 * A session that began with one certificate must not get a signature with the
 * next one's key, so a process is kept until no session of its time can ask any
 * more.
 */
struct made {
	unsigned	 generation;	/* from 1 on */
	int		 fd;		/* to the process; 0: there is none */
	bool		 changed;	/* a later one has other keys */
	unsigned	 sessions;	/* that may still ask */
};

static struct {
	struct made	 made[GENERATIONS];
	unsigned	 generation;	/* the newest */
	unsigned	*shared;	/* what sessions see of them; or NULL */
	int		 memory;	/* the same, to be written */
} keys = { .memory = -1 };

bool
keys_needed(const struct settings *set)
{
	return tls_module != NULL &&
	    (set->tls != TLS_OFF || set->auth != AUTH_OFF);
}

/* The listener's side. */

/*
 * Sessions see in shared memory, which only the listener can write, for which
 * generations there is a process.
 */
static void
share(void)
{
	char path[64];
	int fd;

	keys.memory = memfd_create("smtpd-keys", MFD_CLOEXEC);
	if (keys.memory == -1 || ftruncate(keys.memory, SHARED) == -1)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", keys.memory);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	keys.shared = mmap(NULL, SHARED, PROT_READ, MAP_SHARED, fd, 0);
	if (keys.shared == MAP_FAILED)
		keys.shared = NULL;
	close(fd);
}

static void
say_alive(const struct made *m)
{
	const unsigned alive = m->fd != 0 ? m->generation : 0;

	if (keys.memory == -1)
		share();
	if (keys.memory != -1 && pwrite(keys.memory, &alive, sizeof(alive),
	    (off_t)((size_t)(m - keys.made) * sizeof(alive))) == -1)
		log_error(errno, "keys", NULL);
}

/* In the child: exec our own program, even if its file was replaced. */
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

static struct made *
made_at(unsigned generation)
{
	return &keys.made[generation % GENERATIONS];
}

static void
let_go(struct made *m)
{
	if (m->fd == 0)
		return;
	close(m->fd);
	m->fd = 0;
	say_alive(m);
}

/*
 * A process that has died is replaced for the sessions of its time as well,
 * unless its keys are others.
 */
void
keys_use(int fd)
{
	struct made *m = made_at(keys.generation);
	bool died = m->generation != 0 && m->fd == 0 && !m->changed;

	if (fd == -1 || m->sessions == 0)
		let_go(m);
	if (fd == -1)
		return;
	if (!died) {
		m = made_at(++keys.generation);
		let_go(m);
		*m = (struct made){ .generation = keys.generation };
	}
	m->fd = fd;
	say_alive(m);
}

void
keys_changed(void)
{
	made_at(keys.generation)->changed = true;
}

int
keys_fd(void)
{
	int fd = made_at(keys.generation)->fd;

	return fd != 0 ? fd : -1;
}

unsigned
keys_join(void)
{
	if (keys.generation != 0)	/* or a page is written for nothing */
		made_at(keys.generation)->sessions++;
	return keys.generation;
}

void
keys_leave(unsigned generation)
{
	struct made *m = made_at(generation);

	if (generation != 0 && m->generation == generation &&
	    --m->sessions == 0 && generation != keys.generation)
		let_go(m);
}

void
keys_give(int place, unsigned generation)
{
	const struct made *m = made_at(generation);
	bool there = m->generation == generation && m->fd != 0;
	char byte;
	int none, ends[2];

	if (channel_receive(place, &byte, 1, &none) < 1)
		return;
	if (none != -1)
		close(none);
	if (!there || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    ends) == -1) {
		channel_send(place, "", 1, -1);
		return;
	}
	if (channel_send(m->fd, "", 1, ends[0]) == -1)
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
	const volatile unsigned *shared = keys.shared;

	return shared == NULL ||
	    shared[keys.generation % GENERATIONS] == keys.generation;
}

struct sign {
	enum channel_kind kind;
	struct tls_sign	 sign;
};

ssize_t
keys_signature(const struct tls_sign *q, unsigned char *out, size_t size)
{
	struct sign s = { CHANNEL_SIGN, *q };
	ssize_t n;

	n = channel_ask(&s, offsetof(struct sign, sign.data) + q->len, out,
	    size, SIGN_MS);
	return n > 1 ? n : -1;	/* one octet: refused */
}

/* The process itself. */

struct channel {
	unsigned char	 signatures, questions;
	unsigned	 failures;	/* wrong guesses */
	pid_t		 asker;		/* answers it; or 0 */
};

static struct {
	int		 control, epoll, children;
	bool		 wanted;	/* by the listener */
	unsigned	 open;		/* channels */
	struct channel	*list;		/* by their descriptors */
	int		 size;
	const struct settings *set;
} server;

/* Make room for one more; false: no memory. */
static bool
room_for(int fd)
{
	struct channel *list;
	int size = fd + 256;

	if (fd < server.size)
		return true;
	list = recallocarray(server.list, (size_t)server.size, (size_t)size,
	    sizeof(*list));
	if (list == NULL)
		return false;
	server.list = list;
	server.size = size;
	return true;
}

static int
listen_to(int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &e);
}

/*
 * Before a close(2): a process that answers somebody else may have it open,
 * too, and for epoll(7) it would go on, under the number of the next one.
 */
static void
leave_alone(int fd)
{
	epoll_ctl(server.epoll, EPOLL_CTL_DEL, fd, NULL);
}

static void
close_channel(int fd)
{
	server.list[fd] = (struct channel){ 0, 0, 0, 0 };
	server.open--;
	leave_alone(fd);
	close(fd);
}

/* Until the asker has answered, nothing more is read from its session. */
static void
start_asker(int fd, const struct channel_users *u)
{
	struct channel *c = &server.list[fd];

	leave_alone(fd);
	if ((c->asker = fork()) == 0)
		_exit(passwords_answer(fd, u));
	if (c->asker == -1) {
		log_error(errno, "fork", NULL);
		close_channel(fd);
	}
}

static void
reap_askers(void)
{
	struct signalfd_siginfo s;
	int fd, status;
	pid_t pid;

	while (read(server.children, &s, sizeof(s)) == sizeof(s))
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (fd = 0; fd < server.size; fd++)
			if (server.list[fd].asker == pid) {
				server.list[fd].asker = 0;
				server.list[fd].failures += status != 0;
				if (listen_to(fd) == -1)
					close_channel(fd);
			}
}

static void
sign(int fd, const struct sign *s, size_t len)
{
	unsigned char out[TLS_SIGNATURE_MAX];
	size_t head = offsetof(struct sign, sign.data);
	ssize_t n = -1;

	server.list[fd].signatures++;
	if (len >= head && s->sign.len == len - head)
		n = tls_module->sign(&s->sign, out, sizeof(out));
	channel_send(fd, n < 1 ? (const void *)"" : out,
	    n < 1 ? 1 : (size_t)n, -1);
}

/* A session asks no more after these, unless it is another's by now. */
static bool
may_guess(const struct channel *c)
{
	unsigned most = server.set->max_auth_failures;

	return most == 0 || c->failures < most;
}

/* One question of a session, or its end; one too many is its end as well. */
static void
serve_question(int fd)
{
	static union {
		enum channel_kind kind;
		struct sign	 sign;
		struct channel_users users;
	} q;
	struct channel *c = &server.list[fd];
	ssize_t n;
	int none;

	n = channel_receive(fd, &q, sizeof(q), &none);
	if (none != -1)
		close(none);
	if (n >= (ssize_t)sizeof(q.kind) && q.kind == CHANNEL_SIGN &&
	    c->signatures < SIGNATURES)
		sign(fd, &q.sign, (size_t)n);
	else if (n != sizeof(q.users) || q.kind != CHANNEL_USERS ||
	    c->questions++ == QUESTIONS || !may_guess(c))
		close_channel(fd);
	else if (passwords_are_slow(&q.users))
		start_asker(fd, &q.users);
	else
		c->failures += passwords_answer(fd, &q.users);
	explicit_bzero(&q, n > 0 ? (size_t)n : 0);
}

/* A new channel, unless the listener now has another process, or is gone. */
static void
take_channel(void)
{
	char byte;
	int fd;

	if (channel_receive(server.control, &byte, 1, &fd) == 0) {
		server.wanted = false;
		leave_alone(server.control);
		close(server.control);
	}
	if (fd == -1)
		return;
	if (room_for(fd) && listen_to(fd) == 0)
		server.open++;
	else
		close(fd);
}

static void
say_ready(int control, const char *err)
{
	channel_send(control, *err == '\0' ? "" : err,
	    *err == '\0' ? 1 : strlen(err), -1);
}

/* Until the listener wants no more, and the last session has gone. */
static void
serve_all(void)
{
	struct epoll_event e;

	server.wanted = true;
	while (server.wanted || server.open > 0) {
		if (epoll_wait(server.epoll, &e, 1, -1) != 1)
			continue;
		if (e.data.fd == server.children)
			reap_askers();
		else if (e.data.fd == server.control)
			take_channel();
		else
			serve_question(e.data.fd);
	}
}

/* The descriptor in the environment, if it is meant for this process, or -1. */
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

/* The listener says when to end; a terminal's signals do not. */
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

static int
prepare(const struct settings *set, int control)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGCHLD, SIG_DFL);
	server.set = set;
	server.control = control;
	server.children = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	server.epoll = epoll_create1(EPOLL_CLOEXEC);
	passwords_open(set);
	return listen_to(control) == -1 || listen_to(server.children) == -1 ?
	    -1 : 0;
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
	if (prepare(set, control) == -1)
		strlcpy(err, "keys: epoll", sizeof(err));
	say_ready(control, bad != NULL ? bad : err);
	if (bad == NULL && *err == '\0')
		serve_all();
	return 0;
}
