/* SPDX-License-Identifier: ISC */
/*
 * checkpw.c - asks a program with the checkpassword interface.
 *
 * The program reads user, password and a timestamp, each ended by NUL, from
 * descriptor 3, and exits 0 (right), 1 (wrong) or with anything else (can't
 * tell).  It never sees the client: its standard descriptors are all /dev/null,
 * standard error too, since what a checker says about a password does not
 * belong in a log.
 */
#define _GNU_SOURCE	/* pipe2(2) */

#include <sys/types.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth.h"
#include "process.h"

/* What the interface allows on descriptor 3, the timestamp included. */
#define CHECKPW_MAX	512

#define VARIABLES	5

struct environment {
	char		 text[VARIABLES][96];
	char		*list[VARIABLES + 1];
};

/* A pipe that holds the question: its reading end, or -1. */
static int
fill_pipe(const char *user, const char *password)
{
	char text[CHECKPW_MAX];
	ssize_t written;
	int fds[2], n, error;

	n = snprintf(text, sizeof(text), "%s%c%s%c%lld%c", user, '\0',
	    password, '\0', (long long)time(NULL), '\0');
	if ((size_t)n >= sizeof(text)) {
		explicit_bzero(text, sizeof(text));
		errno = EMSGSIZE;
		return -1;
	}
	if (pipe2(fds, O_CLOEXEC) == -1) {
		explicit_bzero(text, sizeof(text));
		return -1;
	}
	written = write(fds[1], text, (size_t)n);
	error = errno;
	explicit_bzero(text, sizeof(text));
	close(fds[1]);
	if (written != n) {
		close(fds[0]);
		errno = written == -1 ? error : EIO;
		return -1;
	}
	return fds[0];
}

/* Made from nothing; such programs know TCPREMOTEIP from tcpserver. */
static void
make_environment(const struct connection *c, struct environment *env)
{
	const char *const parts[VARIABLES][2] = {
		{ "PATH=", "/usr/local/sbin:/usr/local/bin:/usr/sbin:"
		    "/usr/bin:/sbin:/bin" },
		{ "REMOTE_ADDR=", c->addr },
		{ "REMOTE_PORT=", c->port },
		{ "TCPREMOTEIP=", c->addr },
		{ "SESSION_ID=", c->id },
	};
	size_t i;

	for (i = 0; i < VARIABLES; i++) {
		snprintf(env->text[i], sizeof(env->text[i]), "%s%s",
		    parts[i][0], parts[i][1]);
		env->list[i] = env->text[i];
	}
	env->list[i] = NULL;
}

/* Log why it can't tell. */
static void
log_end(const struct process *p)
{
	char what[48];

	if (p->late) {
		log_error(ETIMEDOUT, "auth-program", p->name);
		return;
	}
	if (WIFSIGNALED(p->status))
		snprintf(what, sizeof(what), "auth-program ended by signal %d",
		    WTERMSIG(p->status));
	else
		snprintf(what, sizeof(what), "auth-program exit status %d",
		    WEXITSTATUS(p->status));
	log_error(0, what, p->name);
}

static enum auth_result
judge_end(const struct process *p)
{
	if (!p->late && WIFEXITED(p->status) && WEXITSTATUS(p->status) == 0)
		return AUTH_RIGHT;
	if (!p->late && WIFEXITED(p->status) && WEXITSTATUS(p->status) == 1)
		return AUTH_WRONG;
	log_end(p);
	return AUTH_BROKEN;
}

/* question: a pipe, to become its descriptor 3. */
static enum auth_result
ask_program(const struct connection *c, int question, int watch)
{
	const int files[] = { PROCESS_NULL, PROCESS_NULL, PROCESS_NULL,
	    question };
	const struct process_limits limits = {
	    (int64_t)c->settings.timeout * 1000, 0, watch };
	struct environment env;
	struct process p;
	int error;

	make_environment(c, &env);
	error = process_start(&p, "auth-program", c->settings.auth_program,
	    env.list, files, nitems(files));
	if (error != 0) {
		log_error(error, "auth-program", p.name);
		return AUTH_BROKEN;
	}
	process_finish(&p, &limits);
	return judge_end(&p);
}

/*
 * The whole question fits into the pipe's buffer, so it is written before
 * there is anybody to read it: no waiting, no SIGPIPE.
 */
enum auth_result
checkpw_run(const struct connection *c, const char *user,
    const char *password, int watch)
{
	enum auth_result r;
	int question;

	if ((question = fill_pipe(user, password)) == -1) {
		if (errno == EMSGSIZE)
			return AUTH_WRONG;
		log_error(errno, "auth-program", c->settings.auth_program[0]);
		return AUTH_BROKEN;
	}
	r = ask_program(c, question, watch);
	close(question);
	return r;
}

int
checkpw_check(char *const *words)
{
	return inspect_program("auth-program", words);
}
