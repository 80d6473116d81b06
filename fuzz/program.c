/* SPDX-License-Identifier: ISC */
/*
 * program.c - a libFuzzer target for what a delivery program answers.
 *
 * An input is two octets: how the program ended, and how many of the octets
 * that follow are its standard error; the rest is its standard output.
 */
#include <sys/types.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <poll.h>
#include <unistd.h>

#include "deliver.h"
#include "fuzz/fuzz.h"
#include "process.h"
#include "runner.h"

#define OUT_FD		1000
#define ERR_FD		1001
#define LATE		128	/* and a signal, when it had to be ended */

static struct pipe {
	const char	*text;
	size_t		 len;
} out, err;

static unsigned char how;
static bool	 ended;

/* What the system knows of the program. */

static struct pipe *
pipe_of(int fd)
{
	return fd == OUT_FD ? &out : fd == ERR_FD ? &err : NULL;
}

int
poll(struct pollfd *p, nfds_t n, int ms)
{
	int ready = 0;

	(void)ms;
	for (; n > 0; p++, n--) {
		p->revents = pipe_of(p->fd) != NULL ? POLLIN : 0;
		ready += p->revents != 0;
	}
	return ready;
}

ssize_t
read(int fd, void *to, size_t size)
{
	struct pipe *p = pipe_of(fd);

	if (p == NULL)
		return syscall(SYS_read, fd, to, size);
	if (size > p->len)
		size = p->len;
	if (size > 7)		/* in pieces */
		size = size / 2;
	memcpy(to, p->text, size);
	p->text += size;
	p->len -= size;
	return (ssize_t)size;
}

int
close(int fd)
{
	return pipe_of(fd) != NULL ? 0 : (int)syscall(SYS_close, fd);
}

/* SIGTERM is a signal that may end it. */
int
kill(pid_t pid, int signal)
{
	CHECK(pid < 0 && signal > 0);
	ended = true;
	return 0;
}

pid_t
waitpid(pid_t pid, int *status, int flags)
{
	CHECK(pid == 1 && flags == WNOHANG);
	if ((how & LATE) != 0 && !ended)
		return 0;
	*status = (how & LATE) != 0 ? how & 15 : W_EXITCODE(how, 0);
	return pid;
}

int64_t
conn_now(void)
{
	static int64_t now;

	return now += 100;
}

int
conn_signals(void)
{
	return -1;
}

/* Where its answer goes. */

static void
check_text(const char *s, size_t max)
{
	CHECK(strlen(s) <= max);
	for (; *s != '\0'; s++)
		CHECK(*s >= ' ' && *s <= '~');
}

void
log_event(const char *event, ...)
{
	const char *name, *value;
	va_list ap;

	CHECK(strcmp(event, "program") == 0);
	va_start(ap, event);
	while ((name = va_arg(ap, const char *)) != NULL)
		if ((value = va_arg(ap, const char *)) != NULL)
			check_text(value, strcmp(name, "stderr") == 0 ?
			    PROCESS_LOG_LINE : SESSION_TEXT_MAX);
	va_end(ap);
}

bool
arguments_make(struct arguments *a, struct connection *c, uint64_t size,
    const char *recipient, const char *dsn)
{
	(void)c, (void)size, (void)recipient, (void)dsn;
	memset(a, 0, sizeof(*a));
	return true;
}

/* As exec_program() does, without a program. */
int
runner_run(char *const *argv, char *const *env, int in,
    struct exec_result *result)
{
	const struct process_limits limits = { 1000, 0, -1 };
	struct process p = { .what = "exec", .name = "program", .pid = 1 };
	size_t i;

	(void)argv, (void)env, (void)in;
	for (i = 0; i < PROCESS_FDS; i++)
		p.fds[i].fd = -1;
	p.fds[PROCESS_OUT].fd = OUT_FD;
	p.fds[PROCESS_ERR].fd = ERR_FD;
	process_finish(&p, &limits);
	CHECK(p.late == ((how & LATE) != 0));
	result->status = p.status;
	result->late = p.late;
	CHECK(strlcpy(result->text, p.out.text, sizeof(result->text)) <
	    sizeof(result->text));
	return 0;
}

/* The first line that it printed, as slowly as can be. */
static void
first_line(char to[SESSION_TEXT_MAX + 1])
{
	size_t i, n = 0;

	for (i = 0; i < out.len && out.text[i] != '\n'; i++)
		if (out.text[i] != '\r' && n < SESSION_TEXT_MAX)
			to[n++] = out.text[i] < ' ' || out.text[i] > '~' ?
			    '?' : out.text[i];
	while (n > 0 && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
}

/* Its own text is the end of the line; only an exit that is meant has one. */
static void
check_reply(const struct session_verdict *v, const char *said)
{
	static const char meant[] = { 0, 65, 67, 75, 100, 111 };
	size_t n = strlen(v->text), len = strlen(said);
	bool own = memchr(meant, how, sizeof(meant)) != NULL && len > 0;

	check_text(v->text, SESSION_TEXT_MAX);
	CHECK(v->status[0] == '0' + v->code / 100);
	CHECK(v->code != 421 && v->code < 600);
	CHECK((v->kind == SESSION_ACCEPT) == (how == 0));
	CHECK(how == 0 ? v->code == 250 : v->code >= 400);
	CHECK((v->code >= 500) == (how == 65 || how == 67 || how == 100));
	if (own)
		CHECK(n <= len && strcmp(said + len - n, v->text) == 0);
	else
		CHECK(how == 0 || *v->text != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct connection c;
	struct session_verdict v = { .kind = SESSION_ACCEPT };
	char said[SESSION_TEXT_MAX + 1];
	char *copy;
	size_t errors;

	if (len < 2)
		return 0;
	copy = fuzz_copy(data + 2, len - 2);
	how = data[0];
	errors = data[1] < len - 2 ? data[1] : len - 2;
	err = (struct pipe){ copy, errors };
	out = (struct pipe){ copy + errors, len - 2 - errors };
	ended = false;
	first_line(said);
	CHECK(program_target.commit(&c, -1, 1, FOR_ALL, &v) == 0);
	check_reply(&v, said);
	free(copy);
	return 0;
}
