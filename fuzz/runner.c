/* SPDX-License-Identifier: ISC */
/*
 * runner.c - a libFuzzer target for the process outside the sandbox, as a
 * session sees it that has been subverted.
 *
 * An input is requests as they are on the socket.  Whatever is asked, nothing
 * is run or connected to that the settings do not name.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <poll.h>
#include <setjmp.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "process.h"
#include "runner.h"

#define FD	1000		/* of any file here, the first of */
#define FDS	100

static jmp_buf	end;
static char	word[] = "/bin/deliver", from[] = "{sender}",
		to[] = "{recipients}", unix_text[] = "unix:/run/p",
		exec_text[] = "exec:/bin/policy", policy[] = "/bin/policy";
static char	*exec_words[] = { word, from, to, NULL };
static char	*policy_words[] = { policy, NULL };
static struct connection c;

static struct {
	const char	*text;		/* what is not read yet */
	size_t		 len;
	unsigned	 programs, files, made;
} input;

/* As in the process itself. */
struct request {
	enum { DROP_FILE = 1 } kind;
	ino_t		 file;
	size_t		 argc, envc;
	int64_t		 time;
	size_t		 len;
};

/* The process, and the socket that it is asked over. */

static void
check_fd(int fd)
{
	CHECK(fd >= FD && fd < FD + FDS);
}

int
kept_get(const char *name)
{
	CHECK(*name != '\0');
	return -1;
}

pid_t
fork(void)
{
	return 0;
}

void
_exit(int status)
{
	(void)status;
	longjmp(end, 1);
}

int
prctl(int option, ...)
{
	(void)option;
	return 0;
}

int
socketpair(int domain, int type, int protocol, int ends[2])
{
	(void)domain, (void)type, (void)protocol;
	ends[0] = FD;
	ends[1] = FD + 1;
	return 0;
}

int
dup2(int fd, int as)
{
	check_fd(fd);
	return as;
}

int
close(int fd)
{
	input.files -= fd == FD + 3;
	return fd >= FD ? 0 : (int)syscall(SYS_close, fd);
}

int
fstat(int fd, struct stat *st)
{
	if (fd < FD)
		return (int)syscall(SYS_fstat, fd, st);
	CHECK(fd == FD + 3);
	st->st_ino = ++input.made;
	return 0;
}

int
poll(struct pollfd *p, nfds_t n, int ms)
{
	CHECK(n == 1 && p->fd == STDIN_FILENO && ms == 0);
	return 0;
}

bool
conn_stopped(void)
{
	return false;
}

ssize_t
recv(int fd, void *p, size_t size, int flags)
{
	CHECK(fd == STDIN_FILENO && flags == MSG_WAITALL);
	if (size > input.len)
		size = input.len;
	memcpy(p, input.text, size);
	input.text += size;
	input.len -= size;
	return (ssize_t)size;
}

ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	CHECK(fd == STDIN_FILENO && (flags & MSG_NOSIGNAL) != 0);
	return (ssize_t)msg->msg_iov->iov_len;
}

/* What it does. */

int
exec_create(void)
{
	CHECK(++input.files <= 2);
	return FD + 3;
}

int
exec_program(char **argv, char *const *env, int in, int watch,
    unsigned timeout, struct exec_result *result)
{
	CHECK(strcmp(argv[0], word) == 0 && argv[1] != NULL);
	for (; *env != NULL; env++)
		CHECK(**env >= 'A' && **env <= 'Z' &&
		    strchr(*env, '=') != NULL && strncmp(*env, "LD_", 3) != 0);
	CHECK(watch == STDIN_FILENO && timeout == c.settings.timeout);
	CHECK(in == FD + 3 && input.files > 0);
	memset(result, 0, sizeof(*result));
	return 0;
}

enum auth_result
checkpw_run(const struct connection *conn, const char *user,
    const char *password, int watch)
{
	CHECK(peer_is_address(conn->addr) || strcmp(conn->addr, "local") == 0);
	CHECK(strlen(user) + strlen(password) < 2048 && watch == STDIN_FILENO);
	return AUTH_WRONG;
}

int
server_connect(const struct server *s, int watch, int64_t deadline)
{
	(void)deadline;
	CHECK(s == &c.settings.servers[MILTER][0] && watch == STDIN_FILENO);
	return FD + 4;
}

int
process_start(struct process *p, const char *what, char *const *words,
    char *const *env, const int *files, size_t n)
{
	(void)p, (void)what, (void)env;
	CHECK(words == policy_words && n == 3);
	check_fd(files[0]);
	input.programs++;
	return 0;
}

void
process_finish(struct process *p, const struct process_limits *limits)
{
	(void)p, (void)limits;
	CHECK(input.programs-- > 0);
}

static void
prepare(void)
{
	c.settings.timeout = 300;
	c.settings.exec = exec_words;
	c.settings.auth_program = policy_words;
	c.settings.servers[MILTER][0] = (struct server){
		.kind = SERVER_UNIX, .text = unix_text, .path = unix_text + 5
	};
	c.settings.servers[POLICY][0] = (struct server){
		.kind = SERVER_EXEC, .text = exec_text, .words = policy_words
	};
}

static void
serve(const void *text, size_t len)
{
	input.text = text;
	input.len = len;
	if (setjmp(end) == 0)
		runner_start(&c);
	CHECK(input.programs == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct request drop = { .kind = DROP_FILE };
	char *copy = fuzz_copy(data, len);

	prepare();
	memset(&input, 0, sizeof(input));
	serve(copy, len);
	for (; drop.file <= input.made; drop.file++)
		serve(&drop, sizeof(drop));
	CHECK(input.files == 0);
	free(copy);
	return 0;
}
