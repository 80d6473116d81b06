/* SPDX-License-Identifier: ISC */
/*
 * handover.c - a libFuzzer target for the line that smtpd leaves to smtpd-tls.
 *
 * What is understood fits, and is handed over again to the same.
 */
#define VARIABLE	"SMTPD_STARTTLS"

#include "fuzz/fuzz.h"
#include "fuzz/variable.h"
#include "smtpd.h"

#define LINE_SIZE	1024

struct taken {
	struct connection c;
	struct session_counters counters;
	char		 helo[SESSION_NAME_MAX + 1];
	int64_t		 end;
	unsigned	 lines;		/* of the log */
};

static struct taken one, two;
static char	 line[LINE_SIZE];	/* that the next program gets */

int64_t
conn_end(void)
{
	return one.end;
}

int
execv(const char *path, char *const *argv)
{
	(void)path, (void)argv;
	CHECK(variable.set && strlcpy(line, variable.value, sizeof(line)) <
	    sizeof(line));
	return -1;
}

static int
take(struct taken *t, const char *given)
{
	int rc;

	memset(t, 0, offsetof(struct taken, c.session));
	log_resume(0);
	CHECK(setenv(VARIABLE, given, 1) == 0);
	rc = handover_taken(&t->c, &t->counters, t->helo, sizeof(t->helo),
	    &t->end);
	CHECK(rc == 1 || rc == -1);
	t->lines = log_lines();
	CHECK(rc == -1 || !variable.set);
	return rc;
}

static void
hand_over(struct taken *t)
{
	static const struct session_hooks hooks = { .size = sizeof(hooks) };
	static const struct session_config config = {
		.size = sizeof(config), .hostname = "mx.test"
	};
	static struct session_buffers buffers;

	session_resume(&t->c.session, &buffers, &config, &hooks, NULL,
	    t->helo, &t->counters);
	*line = '\0';
	handover_starttls(&t->c);
	CHECK(!variable.set);
}

static void
check_same(const struct taken *a, const struct taken *b)
{
	CHECK(strcmp(a->c.id, b->c.id) == 0);
	CHECK(strcmp(a->c.addr, b->c.addr) == 0);
	CHECK(strcmp(a->c.port, b->c.port) == 0);
	CHECK(strcmp(a->c.server_addr, b->c.server_addr) == 0);
	CHECK(strcmp(a->c.server_port, b->c.server_port) == 0);
	CHECK(strcmp(a->helo, b->helo) == 0);
	CHECK(a->c.messages == b->c.messages);
	CHECK(a->c.accepted == b->c.accepted);
	CHECK(memcmp(&a->counters, &b->counters, sizeof(a->counters)) == 0);
	CHECK(a->end == b->end && a->end >= 0 && a->lines == b->lines);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char name[] = "smtpd", *argv[] = { name, NULL };
	char *given = fuzz_string(data, len);

	handover_arguments(argv);
	if (take(&one, given) == 1) {
		hand_over(&one);
		CHECK(*line != '\0');
		CHECK(take(&two, line) == 1);
		check_same(&one, &two);
	}
	free(given);
	return 0;
}
