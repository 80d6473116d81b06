/* SPDX-License-Identifier: ISC */
/*
 * attack.c - what an attacker who made the parser run their code would try.
 *
 * Linked into a whole smtpd in front of session_rewrite(): the program behaves
 * as ever, but a line "ATTACK PORT FILE DIR MESSAGE" makes each attempt below
 * from where the parser is, and says what came of it: "name: done", or why it
 * failed.  PORT listens on 127.0.0.1; the user may read FILE and write to DIR,
 * and neither is the server's business; MESSAGE is in the spool, stored by
 * another session.  "ATTACK listener" and "ATTACK users" are what can be said
 * to the listener and to the process with the keys.
 */
#define _GNU_SOURCE

#include <sys/types.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include "listen/channel.h"
#include "listen/listen.h"
#include "pass.h"
#include "runner.h"

size_t	__real_session_rewrite(struct session *, char *, size_t);
size_t	__wrap_session_rewrite(struct session *, char *, size_t);

static struct {
	int		 port;
	char		 file[256];
	char		 dir[256];
	char		 message[256];
	char		 made[300];	/* a name in dir */
} target;

static int
read_file(void)
{
	return open(target.file, O_RDONLY);
}

static int
read_passwd(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static int
list_root(void)
{
	return open("/", O_RDONLY | O_DIRECTORY);
}

static int
read_own_memory(void)
{
	return open("/proc/self/mem", O_RDWR);
}

static int
read_environment(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)getppid());
	return open(path, O_RDONLY);
}

static int
write_outside(void)
{
	return open(target.made, O_WRONLY | O_CREAT, 0600);
}

static int
unnamed_outside(void)
{
	return open(target.dir, O_WRONLY | O_TMPFILE, 0600);
}

static int
remove_outside(void)
{
	return unlink(target.file);
}

static int
rename_outside(void)
{
	return rename(target.file, target.made) == -1 ? -1 :
	    rename(target.made, target.file);
}

static int
link_outside(void)
{
	return link(target.file, target.made);
}

static int
symlink_outside(void)
{
	return symlink("/etc/passwd", target.made);
}

static int
mkdir_outside(void)
{
	return mkdir(target.made, 0700);
}

static int
fifo_outside(void)
{
	return mkfifo(target.made, 0600);
}

/* Each way on its own, since Landlock knows nothing of modes. */
static int
mode_outside(void)
{
	return (int)syscall(SYS_fchmodat, AT_FDCWD, target.file, 0666);
}

static int
mode_by_path(void)
{
#ifdef SYS_chmod
	return (int)syscall(SYS_chmod, target.file, 0666);
#else
	return mode_outside();
#endif
}

static int
mode_of_own(void)
{
	return (int)syscall(SYS_fchmod, STDIN_FILENO, 0666);
}

static int
truncate_outside(void)
{
	return truncate(target.file, 0);
}

static int
read_message(void)
{
	return open(target.message, O_RDONLY);
}

static int
write_message(void)
{
	return open(target.message, O_WRONLY);
}

static int
truncate_message(void)
{
	return open(target.message, O_WRONLY | O_TRUNC);
}

static int
remove_message(void)
{
	return unlink(target.message);
}

static int
connect_tcp(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_port = htons((unsigned short)target.port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd == -1 ? -1 :
	    connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static int
listen_tcp(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd == -1 ? -1 : bind(fd, (struct sockaddr *)&at, sizeof(at));
}

static int
socket_udp(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int
socket_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int
socket_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

/* There is no descriptor to do it to; it matters whether the kernel would. */
static int
reached(long r)
{
	return r == -1 && errno == ENOSYS ? -1 : 0;
}

static int
send_to_address(void)
{
	const struct sockaddr_in to = { .sin_family = AF_INET };

	return reached(sendto(-1, "", 0, MSG_FASTOPEN,
	    (const struct sockaddr *)&to, sizeof(to)));
}

static int
send_message(void)
{
	const struct msghdr nothing = { .msg_iovlen = 0 };

	return reached(sendmsg(runner_socket(), &nothing, 0));
}

static int
make_pair(void)
{
	int ends[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
}

/* The child need only exist. */
static int
make_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid == -1 ? -1 : waitpid(pid, NULL, 0);
}

static int
thread_entry(void *arg)
{
	(void)arg;
	return 0;
}

static int
make_thread(void)
{
	static char stack[16384];

	return clone(thread_entry, stack + sizeof(stack),
	    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD,
	    NULL);
}

/* If it could, nobody would be there to say so: see "by exec" in the test. */
static int
run_shell(void)
{
	static char sh[] = "sh", c[] = "-c", say[] = "echo 'run_shell: done'";
	char *argv[] = { sh, c, say, NULL };

	return execve("/bin/sh", argv, NULL);
}

static int
run_unnamed(void)
{
	return (int)syscall(SYS_memfd_create, "x", 0);
}

static int
trace_parent(void)
{
	return (int)ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
}

static int
read_parent(void)
{
	return (int)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0,
	    0);
}

static int
signal_parent(void)
{
	return kill(getppid(), 0);
}

static int
descriptor_of_parent(void)
{
	return (int)syscall(SYS_pidfd_open, getppid(), 0);
}

static int
limit_parent(void)
{
	struct rlimit limit;

	return prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit);
}

static int
own_signals(void)
{
	return fcntl(STDIN_FILENO, F_SETOWN, getppid());
}

static int
choose_signal(void)
{
	return fcntl(STDIN_FILENO, F_SETSIG, SIGKILL);
}

static int
signal_on_input(void)
{
	return fcntl(STDIN_FILENO, F_SETFL, O_ASYNC);
}

static int
be_traced(void)
{
	return prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY) == -1 &&
	    errno == ENOSYS ? -1 : 0;
}

static int
new_namespace(void)
{
	return unshare(CLONE_NEWUTS);
}

static int
change_root(void)
{
	return chroot("/");
}

static int
become_root(void)
{
	return setuid(0);
}

static int
load_bpf(void)
{
	return (int)syscall(SYS_bpf, 0, NULL, 0) == -1 && errno == ENOSYS ?
	    -1 : 0;
}

static int
make_ring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL) == -1 &&
	    errno == ENOSYS ? -1 : 0;
}

static int
use_keys(void)
{
	return (int)syscall(SYS_keyctl, 0, -3, 1);
}

static int
raise_limit(void)
{
	const struct { unsigned long now, max; } none = { 1000000, 1000000 };

	return (int)syscall(SYS_setrlimit, 4 /* RLIMIT_CORE */, &none);
}

static int
type_at_terminal(void)
{
	char c = 'x';

	return (int)syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, &c) == -1 &&
	    errno == ENOSYS ? -1 : 0;
}

static int
code_from_data(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

/* For the listener that would be the end of the place. */
static int
close_place(void)
{
	return reached(shutdown(-1, SHUT_RDWR));
}

/* Ask the runner for what the settings don't say. */
static int
forge(char *program, char *variable, char *another)
{
	char *const argv[] = { program, NULL };
	char *const env[] = { variable, another, NULL };
	struct exec_result result;
	int fd = runner_create();

	if (fd == -1)
		return -1;
	errno = runner_run(argv, env, fd, &result);
	runner_drop(fd);
	return errno != 0 ? -1 : 0;
}

static int
other_program(void)
{
	static char program[] = "/bin/false", variable[] = "BODY=";

	return forge(program, variable, NULL);
}

static int
other_variable(void)
{
	static char program[] = "/bin/true", variable[] = "LD_PRELOAD=x";

	return forge(program, variable, NULL);
}

static int
other_twice(void)
{
	static char program[] = "/bin/true", one[] = "BODY=", two[] = "BODY=x";

	return forge(program, one, two);
}

/* A file that the runner did not make. */
static int
other_file(void)
{
	static char program[] = "/bin/true";
	char *const argv[] = { program, NULL };
	char *const env[] = { NULL };
	struct exec_result result;

	errno = runner_run(argv, env, STDIN_FILENO, &result);
	return errno != 0 ? -1 : 0;
}

/* Files until the machine has no more. */
static int
other_files(void)
{
	int i, fd[3], bad = 0;

	for (i = 0; i < 3; i++)
		bad |= (fd[i] = runner_create()) == -1;
	while (--i >= 0)
		if (fd[i] != -1)
			runner_drop(fd[i]);
	errno = EMFILE;
	return bad ? -1 : 0;
}

static int
other_server(void)
{
	static char text[] = "unix:/run/other";
	const struct server s = { .text = text };

	return runner_connect(&s, 0);
}

/* Ask for a password check that no setting names. */
static int
other_password(void)
{
	static struct connection c = { .addr = "local" };

	errno = EPERM;
	return runner_check_password(&c, "user", "password") == AUTH_BROKEN ?
	    -1 : 0;
}

/*
 * Ask for two files and read no answer: the descriptors would be under way, of
 * which the kernel lets all processes of a user have so many.
 */
static int
other_unread(void)
{
	const struct {		/* as in runner.c; 0 is MAKE_FILE */
		int	 kind;
		ino_t	 file;
		size_t	 argc, envc;
		int64_t	 time;
		size_t	 len;
	} both[2] = { { .kind = 0 } };
	char answer[1024];
	int i, fd, n = 0;

	send(runner_socket(), both, sizeof(both), MSG_NOSIGNAL);
	poll(NULL, 0, 200);
	for (i = 0; i < 2; i++) {
		fd = -1;
		passed(runner_socket(), answer, sizeof(answer), &fd,
		    MSG_DONTWAIT);
		n += fd != -1;
	}
	errno = EPIPE;
	return n < 2 ? -1 : 0;
}

/* One guess more than max-auth-failures. */
static int
other_guess(void)
{
	static struct connection c = { .addr = "local" };
	int i, wrong = 0;

	for (i = 0; i < 4; i++)
		wrong += runner_check_password(&c, "user", "password") ==
		    AUTH_WRONG;
	errno = EPERM;
	return wrong < 4 ? -1 : 0;
}

static const struct {
	const char	*name;
	int		(*try)(void);
} attempts[] = {
#define TRY(name)	{ #name, name }
	TRY(read_file), TRY(read_passwd), TRY(list_root),
	TRY(read_own_memory), TRY(read_environment), TRY(write_outside),
	TRY(unnamed_outside), TRY(link_outside), TRY(symlink_outside),
	TRY(mkdir_outside), TRY(fifo_outside), TRY(mode_outside),
	TRY(mode_by_path), TRY(mode_of_own),
	TRY(truncate_outside), TRY(read_message), TRY(write_message),
	TRY(connect_tcp), TRY(listen_tcp), TRY(send_to_address),
	TRY(send_message), TRY(make_pair),
	TRY(socket_udp), TRY(socket_unix), TRY(socket_netlink),
	TRY(make_process), TRY(make_thread), TRY(run_unnamed),
	TRY(trace_parent), TRY(read_parent), TRY(signal_parent),
	TRY(descriptor_of_parent), TRY(limit_parent), TRY(own_signals),
	TRY(choose_signal), TRY(signal_on_input), TRY(be_traced),
	TRY(become_root), TRY(change_root),
	TRY(new_namespace), TRY(load_bpf), TRY(make_ring), TRY(use_keys),
	TRY(raise_limit), TRY(type_at_terminal), TRY(code_from_data),
	TRY(other_program), TRY(other_variable), TRY(other_twice),
	TRY(other_file), TRY(other_files), TRY(other_server),
	TRY(other_password), TRY(other_guess),
	TRY(other_unread), TRY(close_place),
	TRY(truncate_message), TRY(remove_message),
	TRY(rename_outside), TRY(remove_outside), TRY(run_shell),
};

/* To the client, and to the log: the client may expect TLS. */
static void
tell(const char *what, const char *result)
{
	dprintf(STDOUT_FILENO, "%s: %s\r\n", what, result);
	dprintf(STDERR_FILENO, "%s: %s\n", what, result);
}

/* Each starts afresh: what one made must not stop the next. */
static void
attack(void)
{
	size_t i;

	snprintf(target.made, sizeof(target.made), "%s/made", target.dir);
	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		if (strncmp(attempts[i].name, "other", 5) == 0 &&
		    runner_socket() == -1)
			continue;
		tell(attempts[i].name, attempts[i].try() == -1 ?
		    strerror(errno) : "done");
		if (unlink(target.made) == -1)
			rmdir(target.made);
	}
	_exit(0);
}

/* Two descriptors go along, where one or none is expected. */
static void
send_two(int socket, const void *p, size_t len)
{
	union { const void *in; void *out; } u = { p };
	struct iovec iov = { u.out, len };
	const int two[2] = { STDIN_FILENO, STDOUT_FILENO };
	union {
		char		 buf[CMSG_SPACE(sizeof(two))];
		struct cmsghdr	 align;
	} control = { .buf = "" };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.buf, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(two));
	memcpy(CMSG_DATA(c), two, sizeof(two));
	sendmsg(socket, &msg, MSG_NOSIGNAL);
}

static ssize_t
answer_of(int socket, void *p, size_t size, int *fd)
{
	struct pollfd ready = { .fd = socket, .events = POLLIN };

	*fd = -1;
	return poll(&ready, 1, 5000) != 1 ? -1 :
	    channel_receive(socket, p, size, fd);
}

/* So many are more than a counter of 8 bits has. */
static int
signatures(int channel)
{
	struct {
		enum channel_kind kind;
		struct tls_sign	 sign;
	} q = { CHANNEL_SIGN, { .algorithm = GNUTLS_SIGN_ECDSA_SHA256,
	    .hashed = true, .len = 32 } };
	char out[TLS_SIGNATURE_MAX];
	int i, none, n = 0;

	for (i = 0; i < 600; i++) {
		send_two(channel, &q, (size_t)(q.sign.data -
		    (unsigned char *)&q) + q.sign.len);
		n += answer_of(channel, out, sizeof(out), &none) > 1;
	}
	return n;
}

/* Ticks of the processor's time. */
static unsigned long
time_of_parent(void)
{
	unsigned long user = 0, system = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)getppid());
	if ((f = fopen(path, "r")) == NULL ||
	    fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u"
	    " %lu %lu", &user, &system) != 2)
		return 0;
	fclose(f);
	return user + system;
}

/* Wrong ones, which the process with the keys has looked at. */
static void
attack_users(void)
{
	struct channel_users u = { .kind = CHANNEL_USERS,
	    .question = { .user = "alice", .password = "wrong" } };
	struct auth_answer a;
	char text[32], octet;
	int channel, i, none, n = 0;

	if (write(LISTEN_FD_PLACE, "", 1) != 1 ||
	    answer_of(LISTEN_FD_PLACE, &octet, 1, &channel) != 1)
		_exit(0);
	for (i = 0; i < 20; i++) {
		u.question.what = i % 2 == 0 ? AUTH_ASK_PASSWORD :
		    AUTH_ASK_PROOF;
		n += write(channel, &u, sizeof(u)) == sizeof(u) &&
		    answer_of(channel, &a, sizeof(a), &none) == sizeof(a) &&
		    a.result == AUTH_WRONG;
	}
	snprintf(text, sizeof(text), "%d", n);
	tell("guesses", text);
	_exit(0);
}

static void
attack_listener(void)
{
	unsigned long before;
	char text[32], octet;
	int channel;

	send_two(LISTEN_FD_PLACE, "", 1);
	if (answer_of(LISTEN_FD_PLACE, &octet, 1, &channel) != 1)
		_exit(0);
	snprintf(text, sizeof(text), "%d", signatures(channel));
	tell("signatures", text);
	before = time_of_parent();
	shutdown(LISTEN_FD_PLACE, SHUT_WR);
	poll(NULL, 0, 300);
	tell("busy", time_of_parent() - before > 5 ? "yes" : "no");
	_exit(0);
}

/* The numbers of another architecture: i386's getpid().  It never returns. */
static void
attack_i386(void)
{
#ifdef __x86_64__
	long r;

	__asm__ volatile ("int $0x80" : "=a" (r) : "0" (20L) : "memory");
	tell("i386", r > 0 ? "done" : "failed");
#endif
	_exit(0);
}

size_t
__wrap_session_rewrite(struct session *s, char *p, size_t n)
{
	char line[1000];

	if (n >= sizeof(line) || n < 6 || memcmp(p, "ATTACK", 6) != 0)
		return __real_session_rewrite(s, p, n);
	memcpy(line, p, n);
	line[n] = '\0';
	if (sscanf(line, "ATTACK %d %255s %255s %255s", &target.port,
	    target.file, target.dir, target.message) == 4)
		attack();
	if (strncmp(line, "ATTACK listener", 15) == 0)
		attack_listener();
	if (strncmp(line, "ATTACK users", 12) == 0)
		attack_users();
	attack_i386();
	return n;
}
