/* SPDX-License-Identifier: ISC */
/*
 * load.c - what does a session cost, in two programs?
 *
 *	load what size messages sessions rounds -- command ... -- command ...
 *
 * Each command is started on one end of a pair of sockets, for one session
 * after the other, in rounds that alternate between the two, so that whatever
 * else the machine does hits both.  Each session sends so many messages of so
 * many octets.  Printed, as lines of a table: processor time of the programs
 * (fork and exec included) a session, messages a second, and peak and own
 * (anonymous) memory at the end of the session; then the first's divided by the
 * second's.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE	"0123456789012345678901234567890123456789012345678901234567\r\n"

struct cost {
	char		**command;
	double		 cpu, wall;	/* the best round's, a session */
	unsigned long	 peak, private;	/* KiB, of the last session */
};

static struct {
	const char	*what;
	size_t		 size;
	unsigned	 messages, sessions, rounds;
	char		*text;		/* a message with its end */
	size_t		 text_len;
	int		 fd;
	pid_t		 pid;
} l;

static void
send_all(const char *p, size_t len)
{
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n)
		if ((n = write(l.fd, p, len)) <= 0)
			err(1, "write");
}

/* One reply, which must be a success. */
static void
expect(void)
{
	static char buf[4096];
	size_t len = 0;
	ssize_t n;
	char *last;

	do {
		n = read(l.fd, buf + len, sizeof(buf) - 1 - len);
		if (n <= 0)
			errx(1, "%s: no reply", l.what);
		len += (size_t)n;
		buf[len] = '\0';
		for (last = buf + len - 1; last > buf && last[-1] != '\n';)
			last--;
	} while (buf[len - 1] != '\n' || last[3] == '-');
	if (buf[0] != '2' && buf[0] != '3')
		errx(1, "%s: %s", l.what, buf);
}

static void
command(const char *line)
{
	send_all(line, strlen(line));
	expect();
}

static void
message(void)
{
	command("MAIL FROM:<a@client.test>\r\n");
	command("RCPT TO:<b@mx.test>\r\n");
	command("DATA\r\n");
	send_all(l.text, l.text_len);
	expect();
}

/* The sum, in KiB, of the lines of a file in /proc that start with prefix. */
static unsigned long
proc(const char *file, const char *prefix)
{
	char path[64], line[256];
	unsigned long sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)l.pid, file);
	if ((f = fopen(path, "r")) == NULL)
		return (0);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, prefix, strlen(prefix)) == 0)
			sum += strtoul(strchr(line, ':') + 1, NULL, 10);
	fclose(f);
	return (sum);
}

static void
start(char **argv)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		err(1, "socketpair");
	if ((l.pid = vfork()) == -1)
		err(1, "vfork");
	if (l.pid == 0) {
		dup2(sv[1], 0);
		dup2(sv[1], 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(sv[1]);
	l.fd = sv[0];
}

/* Processor seconds of one session. */
static double
session(struct cost *c, bool look)
{
	struct rusage ru;
	unsigned i;
	int status;

	start(c->command);
	expect();
	if (l.messages > 0 || l.size > 0)
		command("EHLO client.test\r\n");
	for (i = 0; i < l.messages; i++)
		message();
	if (look) {
		c->peak = proc("status", "VmHWM");
		c->private = proc("smaps_rollup", "Anonymous:");
	}
	command("QUIT\r\n");
	close(l.fd);
	if (wait4(l.pid, &status, 0, &ru) == -1)
		err(1, "wait4");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		errx(1, "%s: status %#x", c->command[0], (unsigned)status);
	return ((double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static void
measure(struct cost *c, bool last)
{
	double begin, cpu = 0, wall;
	unsigned i;

	begin = now();
	for (i = 0; i < l.sessions; i++)
		cpu += session(c, last && i == l.sessions - 1);
	wall = (now() - begin) / l.sessions;
	cpu /= l.sessions;
	if (c->cpu == 0 || cpu < c->cpu)
		c->cpu = cpu;
	if (c->wall == 0 || wall < c->wall)
		c->wall = wall;
}

static void
make_text(void)
{
	size_t n, line = strlen(LINE);

	if ((l.text = malloc(l.size + 256)) == NULL)
		err(1, NULL);
	n = (size_t)sprintf(l.text, "Subject: load\r\n\r\n");
	for (; n + line <= l.size; n += line)
		memcpy(l.text + n, LINE, line);
	memcpy(l.text + n, ".\r\n", 3);
	l.text_len = n + 3;
}

static void
print(const char *name, const struct cost *c)
{
	double operations = l.messages > 0 ? l.messages : 1;

	printf("%-28s %-7s %10.3f %10.0f %8lu %8lu\n", l.what, name,
	    c->cpu * 1e3, operations / c->wall, c->peak, c->private);
}

static void
compare(const struct cost *a, const struct cost *b)
{
	printf("%-28s %-7s %10.2f %10.2f %8.2f %8.2f\n\n", l.what, "ratio",
	    a->cpu / b->cpu, b->wall / a->wall,
	    (double)a->peak / (double)b->peak,
	    (double)a->private / (double)b->private);
}

static unsigned
number(const char *s)
{
	return ((unsigned)strtoul(s, NULL, 10));
}

int
main(int argc, char **argv)
{
	struct cost ours = { 0 }, theirs = { 0 };
	unsigned i;
	int n;

	for (n = 7; n < argc && strcmp(argv[n], "--") != 0; n++)
		;
	if (n >= argc - 1)
		errx(1, "usage: load what size messages sessions rounds "
		    "-- command ... -- command ...");
	argv[n] = NULL;
	l.what = argv[1];
	l.size = number(argv[2]);
	l.messages = number(argv[3]);
	l.sessions = number(argv[4]);
	l.rounds = number(argv[5]);
	ours.command = argv + 7;
	theirs.command = argv + n + 1;
	make_text();
	for (i = 0; i < l.rounds; i++) {
		measure(&ours, i == l.rounds - 1);
		measure(&theirs, i == l.rounds - 1);
	}
	print("smtpd", &ours);
	print("floor", &theirs);
	compare(&ours, &theirs);
	return (0);
}
