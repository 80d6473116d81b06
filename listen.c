/* SPDX-License-Identifier: ISC */
/*
 * listen.c - accepts connections and forks a process for each.
 *
 * The child runs the very session that a supervisor would start; what the
 * listener adds is what supervisors do: limits, signals, and settings that are
 * read anew when they change.  It never reads an octet of a client, and never
 * waits for one.  After a crash it re-executes itself, with its sockets and its
 * places, so that the memory of later sessions is laid out anew.
 */
#define _GNU_SOURCE	/* accept4(), closefrom() */

#include <sys/types.h>
#include <sys/epoll.h>
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

#include "listen/listen.h"

#define LOOK_MS		1000		/* between two looks at the files */
#define SHORTAGE_MS	100	/* a pause, when short of something */
#define GRACE_MS	15000		/* for sessions, after SIGTERM */
#define RENEW_AFTER	10000	/* connections: not every leak crashes */
#define HURRY_PERCENT	70		/* of the places */
#define TRY_MS		50		/* until a certificate and its key */
#define TRIES		20		/* match; and how often */
#define EVENTS		64
#define OWN_FILES	64		/* that are open, but no session's; */
#define MOST_FILES	65536		/* all, with any number of sessions */

/* What an event is about: one of these, or a place's number and EV_PLACES. */
enum { EV_SIGNALS, EV_KEYS, EV_SOCKETS, EV_PLACES = EV_SOCKETS + SOCKETS_MAX };

union address {
	struct sockaddr		 sa;
	struct sockaddr_storage	 any;
};

static struct {
	const char	*wanted[SOCKETS_MAX];	/* by -l */
	unsigned	 wanted_count;
	struct state	 state;
	int		 epoll, signals;
	int		 spare;		/* closed when descriptors run out */
	bool		 ready[SOCKETS_MAX];	/* somebody waits there */
	unsigned	 accepted;	/* since this program began */
	const char	*due;		/* why to exec, or NULL */
	bool		 reload;	/* SIGHUP came */
	bool		 lost;		/* keys can't be read any more */
	bool		 has_tls;	/* it was loaded once */
	int64_t		 looked;	/* at the files, when */
	int64_t		 stop;		/* SIGTERM came: the end, or 0 */
	int		 (*load)(struct settings *, char *, size_t);
} l = { .spare = -1 };

int
listen_on(const char *where)
{
	if (l.wanted_count == SOCKETS_MAX)
		return -1;
	l.wanted[l.wanted_count++] = where;
	return 0;
}

bool
listen_wanted(void)
{
	return state_left() || supervisor_sockets() > 0 || l.wanted_count > 0 ||
	    sockets_listening(STDIN_FILENO);
}

/*
 * An earlier self has sockets in which clients wait: they must not be lost.  It
 * left SIGTERM blocked.
 */
int
listen_misconfigured(const char *reason)
{
	sigset_t came;

	log_open(LOGTO_AUTO, false, NULL);
	log_error(0, "settings", reason);
	if (!state_left())
		return EX_CONFIG;
	poll(NULL, 0, LOOK_MS);
	if (sigpending(&came) == 0 && sigismember(&came, SIGTERM))
		return 0;
	handover_to(fresh_self());
	return EX_OSERR;
}

/* Starting. */

static void
give_up(int error, const char *what, const char *object)
{
	log_error(error, what, object);
	sockets_close(&l.state.sockets);
	exit(EX_OSERR);
}

static void
bind_all(void)
{
	char err[512];
	unsigned i;

	for (i = 0; i < l.wanted_count; i++)
		if (sockets_bind(&l.state.sockets, l.wanted[i], err,
		    sizeof(err)) == -1)
			give_up(0, "listen", err);
}

/* The sockets of LISTEN_FDS win over standard input. */
static void
take_given(void)
{
	int i, n = supervisor_sockets();

	for (i = 0; i < n; i++)
		if (!sockets_listening(3 + i) ||
		    sockets_take(&l.state.sockets, 3 + i, false) == -1)
			give_up(0, "listen", "LISTEN_FDS: not a listening "
			    "socket");
	if (n == 0 && sockets_listening(STDIN_FILENO) &&
	    sockets_take(&l.state.sockets, STDIN_FILENO, false) == -1)
		give_up(errno, "listen", "standard input");
}

/* Only accept4(2) says who a client is. */
static void
clean_environment(void)
{
	static const char *const names[] = { "REMOTE_ADDR", "REMOTE_PORT",
	    "REMOTE_HOST", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEHOST",
	    "TCPREMOTEINFO", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
	    "SMTPD_STARTTLS", "SMTPD_RUNNER" };
	size_t i;

	for (i = 0; i < nitems(names); i++)
		unsetenv(names[i]);
}

/*
 * Standard input and output become /dev/null, and all descriptors below
 * LISTEN_FD_MIN are taken, so that nothing of ours gets a child's number.
 * Standard error stays unless it is, as under inetd, the listening socket.
 */
static void
arrange_descriptors(void)
{
	int fd, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null == -1)
		give_up(errno, "open", "/dev/null");
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (sockets_listening(STDERR_FILENO) ||
	    fcntl(STDERR_FILENO, F_GETFD) == -1)
		dup2(null, STDERR_FILENO);
	for (fd = LISTEN_FD_PLACE; fd < LISTEN_FD_MIN; fd++)
		if (fcntl(fd, F_GETFD) == -1)
			dup3(null, fd, O_CLOEXEC);
	if (null >= LISTEN_FD_MIN)
		close(null);
}

/* At the start; they stay blocked, and a child gets them unread. */
static void
block_signals(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGUSR1);
	signal(SIGCHLD, SIG_DFL);	/* or nothing could be reaped */
	l.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	sigaddset(&mask, SIGPIPE);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	if (l.signals == -1)
		give_up(errno, "signalfd", NULL);
}

static int
watch_for(int fd, uint32_t events, unsigned what)
{
	struct epoll_event e = { .events = events, .data.u32 = what };

	return epoll_ctl(l.epoll, EPOLL_CTL_ADD, fd, &e);
}

/*
 * Call this before close(2): a child that was forked a moment ago may still
 * have it open, and epoll(7) would go on reporting it.
 */
static void
unwatch(int fd)
{
	epoll_ctl(l.epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* A session may ask over its place until it has; its end is told always. */
static uint32_t
place_events(const struct place *p)
{
	return p->keys != 0 ? EPOLLIN : 0;
}

static void
watch_all(void)
{
	unsigned i;

	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l.epoll == -1 || watch_for(l.signals, EPOLLIN, EV_SIGNALS) == -1)
		give_up(errno, "epoll", NULL);
	for (i = 0; i < l.state.sockets.count; i++)
		if (watch_for(l.state.sockets.list[i].fd, EPOLLIN,
		    EV_SOCKETS + i) == -1)
			give_up(errno, "epoll", NULL);
	for (i = 0; i < places_size(); i++)
		if (places_at(i)->fd != -1 &&
		    watch_for(places_at(i)->fd, place_events(places_at(i)),
		    EV_PLACES + i) == -1)
			places_ended(i);
}

/* "auto" is resolved once: under inetd standard error is gone afterwards. */
static void
open_log(struct settings *set)
{
	if (l.state.log == LOGTO_AUTO) {
		log_open(LOGTO_AUTO, false, NULL);
		l.state.log = log_where();
	}
	if (set->log == LOGTO_AUTO)
		set->log = l.state.log;
	log_open(set->log, set->log_debug, NULL);
}

/*
 * Load certificates, and start a process with their keys.  Both are read again
 * if a file was replaced meanwhile, since a certificate goes with its key.
 */
static int
load_tls(const struct settings *set, char *err, size_t size)
{
	int tries, fd, good = 0;

	for (tries = 0; tries < TRIES; tries++) {
		fresh_files(set);
		fd = keys_start(err, size);
		good = fd != -1 && (set->tls == TLS_OFF || tls_module->load(set,
		    keys_signature, err, size) == 0);
		if (fresh_look(set) != FRESH_FILES)
			break;
		if (fd != -1)
			close(fd);
		fd = -1;
		poll(NULL, 0, TRY_MS);
	}
	if (!good || fd == -1) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	unwatch(keys_fd());
	keys_use(fd);
	l.has_tls = true;
	return watch_for(fd, EPOLLIN, EV_KEYS);
}

/* If it fails we go on without TLS: STARTTLS is 454, all else is in clear. */
static void
prepare_tls(const struct settings *set)
{
	char err[1024];

	if (auth_module != NULL)
		auth_module->elsewhere(passwords_ask);
	if (keys_needed(set) && load_tls(set, err, sizeof(err)) == -1)
		log_error(0, "tls", err);
}

/* Sessions from before the exec will ask the new process. */
static void
join_keys(void)
{
	unsigned i;

	for (i = 0; i < places_size(); i++)
		if (places_at(i)->keys != 0)
			places_at(i)->keys = keys_join();
}

/*
 * A descriptor for each session, here and in the process with the keys: as many
 * as max-connections wants, if the hard limit lets us.
 */
static void
raise_limit(const struct settings *set)
{
	struct rlimit files;
	rlim_t want = MOST_FILES;

	if (set->max_connections != 0)
		want = (rlim_t)set->max_connections + OWN_FILES;
	if (getrlimit(RLIMIT_NOFILE, &files) == -1 || files.rlim_cur >= want)
		return;
	files.rlim_cur = want < files.rlim_max ? want : files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static void
start_listening(struct connection *c)
{
	int left = state_take(&l.state);

	open_log(&c->settings);
	if (left == -1)
		log_error(0, "listen", "left by another version");
	if (left == 0)
		take_given();
	arrange_descriptors();
	if (left == 0)
		bind_all();
	if (l.state.sockets.count == 0)
		give_up(0, "listen", "no socket is left");
	clean_environment();
	block_signals();
	watch_all();
	raise_limit(&c->settings);
	prepare_tls(&c->settings);
	join_keys();
	l.spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	l.looked = conn_now();
	if (left == 0)
		sockets_log(&l.state.sockets);
	else
		log_event("reload", "status", "started", NULL);
	supervisor_tell("READY=1");
}

/* Settings. */

/*
 * Read everything aside: 0, and *set has it, or -1 with the reason, and
 * nothing has changed.
 */
static int
load_aside(struct settings *set, char *err, size_t size)
{
	struct settings fresh;

	settings_aside();
	fresh_settings(set->file);
	if (l.load(&fresh, err, size) == 0) {
		raise_limit(&fresh);
		fresh_files(&fresh);
		keys_changed();
		if (!keys_needed(&fresh) || load_tls(&fresh, err, size) == 0) {
			*set = fresh;
			return 0;
		}
	}
	settings_aside();
	fresh_files(set);
	return -1;
}

/* True: TLS or passwords were turned on or off: that is another program. */
static bool
wants_other(const struct settings *set)
{
	if (tls_module == NULL)
		return handover_at_start(set, true);
	return set->tls == TLS_OFF && set->auth == AUTH_OFF &&
	    strcmp(fresh_self(), handover_program()) != 0;
}

static void
reload(struct connection *c)
{
	char err[1024];

	l.reload = false;
	if (load_aside(&c->settings, err, sizeof(err)) == -1) {
		log_event("reload", "status", "kept", "why", err, NULL);
		return;
	}
	open_log(&c->settings);
	log_event("reload", "status", "ok", NULL);
	if (wants_other(&c->settings))
		l.due = "tls";
}

/* A new program is tried before it is trusted with the sockets. */
static void
look_at_program(void)
{
	const char *self = fresh_self();

	fresh_programs();
	if (tls_module != NULL && strcmp(self, handover_program()) != 0 &&
	    !handover_works(handover_program()))
		self = handover_program();
	else if (handover_works(self)) {
		l.due = "program";
		return;
	}
	log_event("reload", "status", "kept", "why", "does not run",
	    "program", self, NULL);
}

/* It ended, and not because we wanted it to; if a restart fails, try later. */
static void
lost_keys(const struct settings *set)
{
	log_error(0, "keys", "ended, is started again");
	if (fresh_look(set) != FRESH_SAME)
		keys_changed();
	unwatch(keys_fd());
	keys_use(-1);
	prepare_tls(set);
	l.lost = keys_fd() == -1;
}

static void
look_for_changes(struct connection *c)
{
	int64_t now = conn_now();
	enum fresh what;

	if (now - l.looked < LOOK_MS && !l.reload)
		return;
	l.looked = now;
	if (l.lost)
		lost_keys(&c->settings);
	what = fresh_look(&c->settings);
	if (what == FRESH_PROGRAM)
		look_at_program();
	if (l.reload || what == FRESH_FILES || what == FRESH_SETTINGS)
		reload(c);
}

/* Exec only if everything would load again now. */
static void
renew(struct connection *c)
{
	char err[1024];
	int fd = -1;

	if (load_aside(&c->settings, err, sizeof(err)) == -1)
		log_event("reload", "status", "kept", "why", err, NULL);
	else if ((fd = state_leave(&l.state)) == -1)
		log_error(errno, "reload", l.due);
	else {
		log_event("reload", "status", "exec", "why", l.due, NULL);
		handover_to(fresh_self());
		state_drop(&l.state, fd);
	}
	open_log(&c->settings);
	l.due = NULL;
	l.accepted = 0;
}

/* Children. */

static bool
is_fault(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL ||
	    signal == SIGABRT || signal == SIGSYS;
}

/* A client that can crash one session will try others. */
static void
crashed(const struct place *p, int status)
{
	char addr[INET6_ADDRSTRLEN], how[32];
	bool away = WIFSIGNALED(status) && is_fault(WTERMSIG(status)) &&
	    p->source.counted && !source_is_local(&p->source);

	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof(how), "status %d", WEXITSTATUS(status));
	log_event("crash", "addr", source_text(&p->source, addr, sizeof(addr)),
	    "how", how, "away", away ? "60" : NULL, NULL);
	if (away)
		places_turn_away(&p->source, conn_now() + MINUTE);
	l.due = "crash";
}

/* As process 1 we have others' children, too. */
static void
reap(void)
{
	struct place *p;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if ((p = places_of(pid)) == NULL)
			continue;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			crashed(p, status);
		places_reaped(p);
	}
}

/*
 * In the child: keep only the client, the place, and standard error.  The log
 * will open its socket to syslog anew.
 */
static void
become_session(struct connection *c, int client, int place)
{
	log_leave();
	dup2(client, STDIN_FILENO);
	dup2(client, STDOUT_FILENO);
	dup3(place, LISTEN_FD_PLACE, O_CLOEXEC);
	closefrom(LISTEN_FD_PLACE + 1);
	c->forked = true;
	c->no_tls = keys_needed(&c->settings) && !(l.has_tls && keys_there());
}

/* Accepting. */

/* Mostly of descriptors or memory: the spare one serves to tell one client. */
static void
short_of(const struct settings *set, int socket, int error)
{
	static int64_t logged;
	struct source nobody = { .known = false };
	int fd;

	if (logged == 0 || conn_now() - logged >= MINUTE) {
		logged = conn_now();
		log_error(error, "accept", NULL);
	}
	if (l.spare != -1)
		close(l.spare);
	if ((fd = accept4(socket, NULL, NULL, SOCK_CLOEXEC)) != -1)
		turn_down(set, fd, PLACES_FORK, &nobody);
	l.spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	poll(NULL, 0, SHORTAGE_MS);
}

/* Nobody waits any more, or the client's network failed; see accept(2). */
static bool
is_gone(int error)
{
	return error == EAGAIN || error == EINTR || error == ECONNABORTED ||
	    error == EPROTO || error == ENETDOWN || error == ENETUNREACH ||
	    error == EHOSTDOWN || error == EHOSTUNREACH || error == ENONET ||
	    error == ENOPROTOOPT || error == EOPNOTSUPP;
}

static bool
is_crowded(const struct settings *set)
{
	return set->max_connections != 0 && (uint64_t)places_used() * 100 >=
	    (uint64_t)set->max_connections * HURRY_PERCENT;
}

/*
 * True in the child.  The session's id and the client's address are made before
 * the fork: the code for that is mapped here, and the child would fault it in
 * page by page.
 */
static bool
fork_session(struct connection *c, int client, const union address *a,
    const struct source *s, unsigned place)
{
	int ends[2];
	pid_t pid;

	c->hurry = is_crowded(&c->settings);
	log_make_id(c->id, sizeof(c->id));
	peer_set(c, &a->sa);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) {
		turn_down(&c->settings, client, PLACES_FORK, s);
		return false;
	}
	if ((pid = fork()) == 0) {
		become_session(c, client, ends[1]);
		return true;
	}
	close(ends[1]);
	if (pid == -1 || watch_for(ends[0], EPOLLIN, EV_PLACES + place) == -1) {
		log_error(errno, pid == -1 ? "fork" : "epoll", NULL);
		close(ends[0]);
		if (pid != -1)
			kill(pid, SIGTERM);
		turn_down(&c->settings, client, PLACES_FORK, s);
		return false;
	}
	close(client);
	places_fill(place, ends[0], pid, s);
	places_at(place)->keys = keys_join();
	return false;
}

/* Accept one connection, if there is one: true in its child. */
static bool
accept_one(struct connection *c, int socket)
{
	union address a = { .sa = { .sa_family = AF_UNSPEC } };
	socklen_t len = sizeof(a);
	struct source s;
	enum places_answer answer;
	unsigned place;
	int fd = accept4(socket, &a.sa, &len, SOCK_CLOEXEC);

	if (fd == -1) {
		if (!is_gone(errno))
			short_of(&c->settings, socket, errno);
		return false;
	}
	if (++l.accepted == RENEW_AFTER)
		l.due = "age";
	s = source_of(&a.sa, c->settings.proxy_protocol);
	answer = places_find(&c->settings, &s, conn_now(), &place);
	if (answer == PLACES_OK)
		return fork_session(c, fd, &a, &s, place);
	turn_down(&c->settings, fd, answer, &s);
	return false;
}

/* Signals. */

static void
stop_listening(void)
{
	unsigned i;

	if (l.stop == 0)
		l.stop = conn_now() + GRACE_MS;
	supervisor_tell("STOPPING=1");
	/* Whoever gave us a socket still has it open. */
	for (i = 0; i < l.state.sockets.count; i++)
		unwatch(l.state.sockets.list[i].fd);
	sockets_close(&l.state.sockets);
	places_signal(SIGTERM);
}

static void
log_places(const struct settings *set)
{
	char used[16], sources[16], most[16];

	snprintf(used, sizeof(used), "%u", places_used());
	snprintf(sources, sizeof(sources), "%u", places_sources());
	snprintf(most, sizeof(most), "%u", set->max_connections);
	log_event("places", "used", used, "sources", sources, "max", most,
	    NULL);
}

static void
take_signals(struct connection *c)
{
	struct signalfd_siginfo s;

	while (read(l.signals, &s, sizeof(s)) == sizeof(s))
		switch (s.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			stop_listening();
			break;
		case SIGHUP:
			l.reload = true;
			break;
		case SIGUSR1:
			log_places(&c->settings);
			break;
		}
}

/* The loop. */

/* Whatever else it says, it does not wake us. */
static void
hear_no_more(unsigned i)
{
	struct place *p = places_at(i);
	struct epoll_event e = { .events = place_events(p),
	    .data.u32 = EV_PLACES + i };

	epoll_ctl(l.epoll, EPOLL_CTL_MOD, p->fd, &e);
	shutdown(p->fd, SHUT_RD);
}

/* Nobody holds it any more, or its session wants a channel to the keys. */
static void
place_event(unsigned i, uint32_t events)
{
	struct place *p = places_at(i);
	bool ended = (events & EPOLLHUP) != 0;

	if (!ended)
		keys_give(p->fd, p->keys);
	keys_leave(p->keys);
	p->keys = 0;
	if (!ended)
		hear_no_more(i);
	else {
		unwatch(p->fd);
		places_ended(i);
	}
}

static void
wait_for_events(struct connection *c)
{
	struct epoll_event e[EVENTS];
	int64_t wait = -1;
	int i, n;

	if (l.stop != 0 && (wait = l.stop - conn_now()) < 0)
		wait = 0;
	n = epoll_wait(l.epoll, e, EVENTS, (int)wait);
	for (i = 0; i < n; i++)
		if (e[i].data.u32 >= EV_PLACES)
			place_event(e[i].data.u32 - EV_PLACES, e[i].events);
		else if (e[i].data.u32 == EV_KEYS)
			lost_keys(&c->settings);
		else if (e[i].data.u32 >= EV_SOCKETS)
			l.ready[e[i].data.u32 - EV_SOCKETS] = true;
	for (i = 0; i < n; i++)
		if (e[i].data.u32 == EV_SIGNALS)
			take_signals(c);
}

static bool
accept_ready(struct connection *c)
{
	unsigned i;

	for (i = 0; i < l.state.sockets.count; i++) {
		if (!l.ready[i])
			continue;
		l.ready[i] = false;
		if (accept_one(c, l.state.sockets.list[i].fd))
			return true;
	}
	return false;
}

void
listen_run(struct connection *c, int (*load)(struct settings *, char *,
    size_t))
{
	l.load = load;
	supervisor_close_others();
	fresh_self();
	if (handover_at_start(&c->settings, true)) {
		open_log(&c->settings);
		handover_now();
		exit(EX_OSERR);
	}
	fresh_programs();
	fresh_settings(c->settings.file);
	fresh_files(&c->settings);
	start_listening(c);
	for (;;) {
		wait_for_events(c);
		reap();
		if (l.stop != 0 && (places_used() == 0 || conn_now() >= l.stop))
			exit(0);
		if (l.stop != 0)
			continue;
		look_for_changes(c);
		if (l.due != NULL)
			renew(c);
		if (accept_ready(c))
			return;
	}
}
