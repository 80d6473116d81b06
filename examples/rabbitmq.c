/* SPDX-License-Identifier: ISC */
/*
 * rabbitmq - publish each message to a queue of a RabbitMQ cluster.
 *
 *	cc -O2 -o rabbitmq rabbitmq.c -lrabbitmq
 *	exec = /usr/local/lib/smtpd/rabbitmq NODES [QUEUE]
 *
 * NODES is a file with the nodes' URLs, "amqp://user:password@node1:5672/%2F",
 * one a line.  They are tried one after the other, from a random one on, until
 * one takes the message.  The queue, "mail", should be a quorum queue: what is
 * in it is on the disks of most nodes before the publisher hears of it, and a
 * node may die at any time.
 *
 * The message is published as persistent and mandatory, its envelope in the
 * headers.  Nothing but the broker's confirmation is answered with 250.
 * Returned (no such queue), refused (the queue is full), not confirmed in
 * time: 451, and the client tries again.  If the connection breaks before the
 * confirmation the next node is tried: the message may then come twice, with
 * one message_id, but it is never lost.
 *
 * In C since a script spends 20 times as long on starting up.  Needs
 * librabbitmq (Debian: librabbitmq-dev).
 */
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

#define NODES_MAX	16
#define URL_SIZE	512
#define FRAME_MAX	131072
#define TIMEOUT		10	/* seconds, for a step with a node */
#define TIMEOUT_ALL	100	/* less than smtpd waits for us */
#define RECIPIENTS_MAX	1000

enum outcome { CONFIRMED, REFUSED, BROKEN };

static const char *const names[] = {
	"SENDER", "REMOTE_ADDR", "HELO", "PROTOCOL", "AUTH_USER", "SESSION_ID"
};
#define NAMES	(sizeof(names) / sizeof(names[0]))

static struct timeval	 timeout = { .tv_sec = TIMEOUT };
static amqp_table_entry_t headers[NAMES + 1];
static amqp_field_value_t addresses[RECIPIENTS_MAX];
static char		 message_id[33];

static void
later(const char *why)
{
	warnx("%s", why);
	puts("Try again later");
	exit(EX_TEMPFAIL);
}

static size_t
read_nodes(const char *path, char urls[][URL_SIZE])
{
	size_t	 n = 0;
	FILE	*f;

	if ((f = fopen(path, "re")) == NULL) {
		warn("%s", path);
		later("no nodes");
	}
	while (n < NODES_MAX && fgets(urls[n], URL_SIZE, f) != NULL) {
		urls[n][strcspn(urls[n], "\r\n")] = '\0';
		if (urls[n][0] != '\0' && urls[n][0] != '#')
			n++;
	}
	fclose(f);
	return n;
}

/* Standard input, a file, as a piece of memory. */
static amqp_bytes_t
message(void)
{
	amqp_bytes_t	 body = { 0, NULL };
	struct stat	 st;

	if (fstat(STDIN_FILENO, &st) == -1 || !S_ISREG(st.st_mode))
		later("standard input is not a file");
	body.len = (size_t)st.st_size;
	if (body.len == 0)
		return body;
	body.bytes = mmap(NULL, body.len, PROT_READ, MAP_PRIVATE,
	    STDIN_FILENO, 0);
	if (body.bytes == MAP_FAILED)
		later("mmap failed");
	return body;
}

static amqp_field_value_t
string_value(const char *s)
{
	amqp_field_value_t	 v = { .kind = AMQP_FIELD_KIND_UTF8 };

	v.value.bytes = amqp_cstring_bytes(s);
	return v;
}

static void
add_recipients(amqp_table_entry_t *entry)
{
	char	*all = getenv("RECIPIENTS"), *one;
	int	 n = 0;

	if (all == NULL && (all = getenv("RECIPIENT")) == NULL)
		later("no recipient");
	while ((one = strsep(&all, "\n")) != NULL) {
		if (n == RECIPIENTS_MAX)
			later("too many recipients");
		addresses[n++] = string_value(one);
	}
	entry->key = amqp_cstring_bytes("recipients");
	entry->value.kind = AMQP_FIELD_KIND_ARRAY;
	entry->value.value.array.num_entries = n;
	entry->value.value.array.entries = addresses;
}

static amqp_basic_properties_t
envelope(void)
{
	amqp_basic_properties_t	 p = { ._flags = AMQP_BASIC_HEADERS_FLAG |
	    AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG |
	    AMQP_BASIC_MESSAGE_ID_FLAG };
	unsigned char		 random[16];
	const char		*value;
	size_t			 i;

	for (i = 0; i < NAMES; i++) {
		value = getenv(names[i]);
		headers[i].key = amqp_cstring_bytes(names[i]);
		headers[i].value = string_value(value != NULL ? value : "");
	}
	add_recipients(&headers[NAMES]);
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		later("getrandom failed");
	for (i = 0; i < sizeof(random); i++)
		snprintf(message_id + 2 * i, 3, "%02x", random[i]);
	p.headers.num_entries = NAMES + 1;
	p.headers.entries = headers;
	p.delivery_mode = AMQP_DELIVERY_PERSISTENT;
	p.content_type = amqp_cstring_bytes("message/rfc822");
	p.message_id = amqp_cstring_bytes(message_id);
	return p;
}

static bool
went_well(amqp_rpc_reply_t reply)
{
	return reply.reply_type == AMQP_RESPONSE_NORMAL;
}

/* Connect, log in, and open a channel that confirms. */
static bool
open_channel(amqp_connection_state_t c, char *url)
{
	struct amqp_connection_info	 node;
	amqp_socket_t			*socket;

	if (amqp_parse_url(url, &node) != AMQP_STATUS_OK || node.ssl ||
	    (socket = amqp_tcp_socket_new(c)) == NULL ||
	    amqp_set_handshake_timeout(c, &timeout) != AMQP_STATUS_OK ||
	    amqp_set_rpc_timeout(c, &timeout) != AMQP_STATUS_OK ||
	    amqp_socket_open_noblock(socket, node.host, node.port, &timeout) !=
	    AMQP_STATUS_OK)
		return false;
	if (!went_well(amqp_login(c, node.vhost, 0, FRAME_MAX, 0,
	    AMQP_SASL_METHOD_PLAIN, node.user, node.password)))
		return false;
	amqp_channel_open(c, 1);
	if (!went_well(amqp_get_rpc_reply(c)))
		return false;
	amqp_confirm_select(c, 1);
	return went_well(amqp_get_rpc_reply(c));
}

/* A message that is returned is confirmed, too, after that. */
static enum outcome
wait_for_confirmation(amqp_connection_state_t c)
{
	amqp_frame_t	 frame;
	time_t		 end = time(NULL) + TIMEOUT;
	bool		 returned = false;

	while (time(NULL) <= end) {
		amqp_maybe_release_buffers(c);
		if (amqp_simple_wait_frame_noblock(c, &frame, &timeout) !=
		    AMQP_STATUS_OK)
			return BROKEN;
		if (frame.frame_type != AMQP_FRAME_METHOD)
			continue;
		switch (frame.payload.method.id) {
		case AMQP_BASIC_ACK_METHOD:
			return returned ? REFUSED : CONFIRMED;
		case AMQP_BASIC_NACK_METHOD:
			return REFUSED;
		case AMQP_BASIC_RETURN_METHOD:
			returned = true;
			break;
		case AMQP_CHANNEL_CLOSE_METHOD:
		case AMQP_CONNECTION_CLOSE_METHOD:
			return BROKEN;
		}
	}
	return BROKEN;
}

static enum outcome
publish(char *url, const char *queue, const amqp_basic_properties_t *p,
    amqp_bytes_t body)
{
	amqp_connection_state_t	 c = amqp_new_connection();
	enum outcome		 outcome = BROKEN;

	if (c == NULL)
		return BROKEN;
	if (open_channel(c, url) && amqp_basic_publish(c, 1, amqp_empty_bytes,
	    amqp_cstring_bytes(queue), 1, 0, p, body) == AMQP_STATUS_OK)
		outcome = wait_for_confirmation(c);
	if (outcome == CONFIRMED)
		amqp_connection_close(c, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(c);
	return outcome;
}

int
main(int argc, char *argv[])
{
	static char		 urls[NODES_MAX][URL_SIZE];
	const char		*queue = argc > 2 ? argv[2] : "mail";
	amqp_basic_properties_t	 properties;
	amqp_bytes_t		 body;
	size_t			 i, n;

	if (argc < 2)
		later("usage: rabbitmq NODES [QUEUE]");
	/* A broker short of memory stops reading, and we would write on. */
	alarm(TIMEOUT_ALL);
	n = read_nodes(argv[1], urls);
	body = message();
	properties = envelope();
	for (i = 0; i < n; i++)
		switch (publish(urls[(i + (unsigned char)message_id[31]) % n],
		    queue, &properties, body)) {
		case CONFIRMED:
			return 0;
		case REFUSED:
			later("the broker refused the message");
			break;
		case BROKEN:
			warnx("node %zu of %zu failed", i + 1, n);
			break;
		}
	later("no node took the message");
}
