/* SPDX-License-Identifier: ISC */
/*
 * milter_link.c - packets to and from a filter, with deadlines.
 *
 * A packet's length is judged before its content, and nothing is taken that was
 * not asked for: a reply too many would be the answer to the next question.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "milter.h"
#include "runner.h"

/* Macros and a command, or as many commands as need no answer. */
#define OUTPUT_SIZE	(2 * MILTER_PACKET_MAX)

static unsigned char	 out_buffer[OUTPUT_SIZE];
static struct milter_output out = { out_buffer, OUTPUT_SIZE, 0, 0, false };

static struct {
	size_t		 at, len;	/* taken, received */
	unsigned char	 buf[MILTER_PACKET_MAX];
} in;

struct milter_output *
milter_output(void)
{
	return &out;
}

/* No later than the session's end, which progress can't put off. */
static int64_t
deadline(const struct milter *m, unsigned seconds)
{
	int64_t end = conn_end();
	int64_t at = conn_now() +
	    (int64_t)(seconds < m->timeout ? seconds : m->timeout) * 1000;

	return end != 0 && end < at ? end : at;
}

static int
at_fault(struct milter *m, const char *fault)
{
	m->fault = fault;
	return -1;
}

/* 0 if there is nothing to read: nobody has asked for anything. */
static int
expect_silence(struct milter *m)
{
	char octet;
	ssize_t n;

	n = recv(m->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n == -1)
		return errno == EAGAIN ? 0 : -1;
	return at_fault(m, n == 0 ? "connection closed" :
	    "one reply too many");
}

bool
milter_link_idle(struct milter *m)
{
	return expect_silence(m) == 0;
}

int
milter_link_send(struct milter *m, unsigned seconds)
{
	int64_t end = 0;
	size_t done = 0;
	ssize_t n;

	in.at = in.len = 0;
	m->fault = NULL;
	if (expect_silence(m) == -1)
		return -1;
	while (done < out.len) {
		n = send(m->fd, out.buf + done, out.len - done,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n != -1)
			done += (size_t)n;
		else if (errno == EAGAIN) {
			if (end == 0)
				end = deadline(m, seconds);
			if (conn_await(m->fd, POLLOUT, end) == -1)
				return -1;
		} else if (errno != EINTR)
			return -1;
	}
	out.len = 0;
	return 0;
}

/* Read more octets, behind those that have not been taken yet. */
static int
fill(struct milter *m, int64_t end)
{
	ssize_t n;

	if (in.at > 0) {
		memmove(in.buf, in.buf + in.at, in.len - in.at);
		in.len -= in.at;
		in.at = 0;
	}
	do {
		if (conn_await(m->fd, POLLIN, end) == -1)
			return -1;
		n = recv(m->fd, in.buf + in.len, sizeof(in.buf) - in.len,
		    MSG_DONTWAIT);
	} while (n == -1 && (errno == EAGAIN || errno == EINTR));
	if (n == 0)
		return at_fault(m, in.len > 0 ? "reply cut short" :
		    "connection closed");
	if (n == -1)
		return -1;
	in.len += (size_t)n;
	return 0;
}

/* A whole packet; *p lasts until the next. */
static int
next_packet(struct milter *m, int64_t end, const unsigned char **p,
    size_t *len)
{
	int n;

	while ((n = milter_length(in.buf + in.at, in.len - in.at)) <= 0 ||
	    (size_t)n > in.len - in.at) {
		if (n == -1)
			return at_fault(m, "reply too long");
		if (fill(m, end) == -1)
			return -1;
	}
	*p = in.buf + in.at;
	*len = (size_t)n;
	in.at += *len;
	return 0;
}

int
milter_link_receive(struct milter *m, unsigned seconds,
    struct milter_reply *r)
{
	const unsigned char *p;
	const char *fault;
	size_t len;

	do {
		if (next_packet(m, deadline(m, seconds), &p, &len) == -1)
			return -1;
		if ((fault = milter_parse(p, len, r)) != NULL)
			return at_fault(m, fault);
	} while (r->kind == MILTER_PROGRESS);
	return 0;
}

int
milter_link_done(struct milter *m)
{
	return in.at == in.len ? 0 : at_fault(m, "one reply too many");
}

static int
negotiate(struct milter *m)
{
	const unsigned char *p;
	const char *fault;
	size_t len;

	out.len = 0;
	milter_offer(&out);
	if (milter_link_send(m, MILTER_TIME_COMMAND) == -1 ||
	    next_packet(m, deadline(m, MILTER_TIME_COMMAND), &p, &len) == -1)
		return -1;
	if ((fault = milter_agree(p, len, &m->terms)) != NULL)
		return at_fault(m, fault);
	return milter_link_done(m);
}

int
milter_link_open(struct milter *m)
{
	int64_t end;

	m->fault = NULL;
	end = deadline(m, MILTER_TIME_CONNECT);
	m->fd = runner_socket() != -1 ?
	    runner_connect(m->server, end - conn_now()) :
	    server_connect(m->server, -1, end);
	if (m->fd == -1)
		return -1;
	if (negotiate(m) == 0)
		return 0;
	milter_link_close(m, false);
	return -1;
}

void
milter_link_close(struct milter *m, bool quit)
{
	static const unsigned char packet[] = { 0, 0, 0, 1, MILTER_QUIT };
	int error = errno;

	if (m->fd != -1) {
		if (quit)
			send(m->fd, packet, sizeof(packet),
			    MSG_NOSIGNAL | MSG_DONTWAIT);
		close(m->fd);
	}
	m->fd = -1;
	errno = error;
}
