/* SPDX-License-Identifier: ISC */
/*
 * keys.c - TLS as a process serves it that has no private key: one process
 * loads the keys and signs, this one loads the certificates, and its child
 * serves the client on standard input and output.
 *
 *	keys cert key [cert key ...]
 *
 * After the handshake it says how many signatures that took, as "220 N", and
 * then 221.  Exit status 2: what is loaded did not outlive a bad reload.
 */
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd.h"

extern const struct tls_module smtpd_tls_module;
const struct tls_module *const tls_module = &smtpd_tls_module;

/* Only -t needs these, and it is not run here. */
int
inspect_secret(const char *setting, const char *path)
{
	(void)setting, (void)path;
	return 0;
}

static int	 channel[2];
static unsigned	 asked;

/* The process that has the keys. */
static void
answer(const struct settings *set)
{
	struct tls_sign q;
	unsigned char out[TLS_SIGNATURE_MAX];
	char why[512];
	ssize_t n;

	if (tls_module->keys_load(set, why, sizeof(why)) == -1)
		errx(1, "%s", why);
	while (recv(channel[0], &q, sizeof(q), MSG_WAITALL) == sizeof(q)) {
		n = tls_module->sign(&q, out, sizeof(out));
		if (send(channel[0], out, n < 1 ? 1 : (size_t)n, 0) == -1)
			err(1, "send");
	}
	_exit(0);
}

static ssize_t
ask_for_it(const struct tls_sign *q, unsigned char *out, size_t size)
{
	ssize_t n;

	asked++;
	if (send(channel[1], q, sizeof(*q), 0) != sizeof(*q))
		return -1;
	n = recv(channel[1], out, size, 0);
	return n > 1 ? n : -1;
}

static int
serve(const struct settings *set)
{
	struct tls_info info;
	char text[32];

	conn_open(set, 0);
	if (conn_tls_load(set) == -1 || conn_tls_start(&info) == -1)
		return 1;
	snprintf(text, sizeof(text), "220 %u\r\n221 bye\r\n", asked);
	conn_write(text, strlen(text));
	conn_close(false);
	return 0;
}

int
main(int argc, char **argv)
{
	struct settings set = { .timeout = 20, .session_timeout = 20 }, bad;
	char why[512];
	int i, status;

	for (i = 0; 2 * i + 2 < argc && i < TLS_CERTS_MAX; i++) {
		set.tls_cert[i] = argv[2 * i + 1];
		set.tls_key[i] = argv[2 * i + 2];
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel) == -1)
		err(1, "socketpair");
	if (fork() == 0) {
		close(channel[1]);
		answer(&set);
	}
	close(channel[0]);
	memset(set.tls_key, 0, sizeof(set.tls_key));
	if (tls_module->load(&set, ask_for_it, why, sizeof(why)) == -1)
		errx(1, "%s", why);
	bad = set;
	bad.tls_cert[0] = bad.tls_ticket_key = (char[]){ "/nonexistent" };
	if (tls_module->load(&bad, ask_for_it, why, sizeof(why)) != -1)
		return 2;
	if (fork() == 0)
		_exit(serve(&set));
	wait(&status);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
