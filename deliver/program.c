/* SPDX-License-Identifier: ISC */
/*
 * program.c - a program that takes the message: its exit status is the verdict.
 *
 * The session asks the runner for the file that the message goes into, and for
 * the run of the program; exec.c is what the runner does.
 */
#include <sys/types.h>
#include <sys/wait.h>

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "session/address.h"
#include "deliver.h"
#include "runner.h"

#define QMAIL_PERMFAIL	100
#define QMAIL_TEMPFAIL	111
#define OTHERS		(-1)	/* timeout and signals included */

/*
 * By exit status.  Only a status that is meant as a refusal refuses: a typo in
 * a script (127), an uncaught exception (1) or a server that can't be reached
 * must not lose the message.  What a program prints before such an exit is for
 * the log, not for the client.
 */
static const struct outcome {
	int		 status;
	bool		 meant;		/* its text is for the client */
	struct session_verdict verdict;
} outcomes[] = {
	{ EX_OK, true, { SESSION_ACCEPT, 250, "2.0.0", "" } },
	{ EX_DATAERR, true, { SESSION_REFUSE, 554, "5.3.0",
	    "Message refused" } },
	{ EX_NOUSER, true, { SESSION_REFUSE, 550, "5.1.1",
	    "No such user here" } },
	{ EX_TEMPFAIL, true, { SESSION_REFUSE, 451, "4.3.0",
	    "Delivery failed for now, try later" } },
	{ QMAIL_PERMFAIL, true, { SESSION_REFUSE, 554, "5.3.0",
	    "Message refused" } },
	{ QMAIL_TEMPFAIL, true, { SESSION_REFUSE, 451, "4.3.0",
	    "Delivery failed for now, try later" } },
	{ OTHERS, false, { SESSION_REFUSE, 451, "4.3.0",
	    "Delivery failed for now, try later" } }
};

/* The verdict. */

static const char *
log_status(const struct exec_result *r, char *buf, size_t size)
{
	if (r->late)
		snprintf(buf, size, "timeout");
	else if (WIFSIGNALED(r->status))
		snprintf(buf, size, "signal %d", WTERMSIG(r->status));
	else
		snprintf(buf, size, "%d", WEXITSTATUS(r->status));
	return buf;
}

static const struct outcome *
outcome(const struct exec_result *r)
{
	int status = OTHERS;
	size_t i;

	if (!r->late && WIFEXITED(r->status))
		status = WEXITSTATUS(r->status);
	for (i = 0; outcomes[i].status != OTHERS; i++)
		if (outcomes[i].status == status)
			break;
	return &outcomes[i];
}

/*
 * The program may begin its line with a code of its own, if that is of the
 * class of its exit status.  421 would say that the session ends; and some
 * clients take all but 250 for a failure (Python's smtplib), and come again.
 */
static int
own_code(const char *text, int code)
{
	int n;

	if (!isdigit((unsigned char)text[0]) || text[1] < '0' ||
	    text[1] > '5' || !isdigit((unsigned char)text[2]) || text[3] != ' ')
		return 0;
	n = (text[0] - '0') * 100 + (text[1] - '0') * 10 + text[2] - '0';
	if (n / 100 != code / 100 || n == 421 || (n < 400 && n != 250))
		return 0;
	return n;
}

/* The length of an enhanced status code of its own, with or without a code. */
static size_t
own_status(const char *text, int code)
{
	size_t len = address_status(text);

	return text[0] == '0' + code / 100 && text[len] == ' ' ? len : 0;
}

static void
take_reply(struct session_verdict *v, const char *said)
{
	int code = own_code(said, v->code);
	size_t len;

	if (code != 0) {
		v->code = code;
		said += 4;
	}
	len = own_status(said, v->code);
	if (len > 0 && len < sizeof(v->status)) {
		strlcpy(v->status, said, len + 1);
		said += len + 1;
	}
	strlcpy(v->text, said, sizeof(v->text));
}

static struct session_verdict
verdict(const struct exec_result *r, const char *recipient)
{
	const struct outcome *o = outcome(r);
	struct session_verdict v = o->verdict;
	char how[24];

	if (o->meant && r->text[0] != '\0')
		take_reply(&v, r->text);
	if (v.kind == SESSION_REFUSE)
		log_event("program", "exit", log_status(r, how, sizeof(how)),
		    "recipient", recipient, "text",
		    r->text[0] != '\0' ? r->text : NULL, NULL);
	return v;
}

static int
program_create(const struct settings *set)
{
	(void)set;
	return runner_create();
}

static int
program_commit(struct connection *c, int fd, uint64_t size,
    unsigned number, struct session_verdict *v)
{
	const char *recipient = strings_at(&c->tx.recipients, number);
	struct exec_result result;
	struct arguments a;
	int error = ENOMEM;

	if (arguments_make(&a, c, size, recipient,
	    strings_at(&c->tx.dsn, number)))
		error = runner_run(a.argv, a.env, fd, &result);
	arguments_free(&a);
	if (error != 0) {
		log_error(error, "exec", c->settings.exec[0]);
		errno = EIO;
		return -1;
	}
	*v = verdict(&result, recipient);
	return 0;
}

/* For -t. */

static int
program_check(const struct settings *s)
{
	int wrong = inspect_program("exec", s->exec), fd = exec_create();

	if (fd == -1) {
		warn("exec: TMPDIR");
		return wrong + 1;
	}
	close(fd);
	return wrong;
}

const struct target program_target = {
	"message", NULL, true, program_create, program_commit, runner_drop,
	arguments_each, program_check
};
