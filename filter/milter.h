/* SPDX-License-Identifier: ISC */
/*
 * milter.h - what the files of the milter client share.
 *
 * The protocol is the one of Sendmail's libmilter, version 6: packets of a
 * length, a letter and data, each way.  milter_packet.c makes and reads them,
 * milter_header.c keeps the message's header and changes it, milter_link.c
 * moves packets over a descriptor, milter_message.c passes a message on, and
 * milter.c does the rest.
 */
#ifndef MILTER_H
#define MILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtpd.h"

/*
 * Commands, the letters of libmilter's mfdef.h.  A macro packet goes before
 * the command that its first octet names.
 */
enum milter_command {
	MILTER_ABORT = 'A', MILTER_BODY = 'B', MILTER_CONNECT = 'C',
	MILTER_MACRO = 'D', MILTER_END = 'E', MILTER_HELO = 'H',
	MILTER_HEADER = 'L', MILTER_MAIL = 'M', MILTER_EOH = 'N',
	MILTER_NEGOTIATE = 'O', MILTER_QUIT = 'Q', MILTER_RCPT = 'R',
	MILTER_DATA = 'T'
};

/* Replies; those from MILTER_ADD on only at the end of a message. */
enum milter_answer {
	MILTER_CONTINUE = 'c', MILTER_ACCEPT = 'a', MILTER_DISCARD = 'd',
	MILTER_REJECT = 'r', MILTER_TEMPFAIL = 't', MILTER_CODE = 'y',
	MILTER_SKIP = 's', MILTER_PROGRESS = 'p', MILTER_SHUTDOWN = '4',
	MILTER_ADD = 'h', MILTER_INSERT = 'i', MILTER_CHANGE = 'm',
	MILTER_QUARANTINE = 'q'
};

#define MILTER_VERSION		6
#define MILTER_VERSION_MIN	2
#define MILTER_VERSION_DATA	4	/* the first that knows DATA */

/* What we let a filter do: add and change header fields, quarantine. */
#define MILTER_ACTIONS		0x31

/* What a filter may ask for: steps to skip, and how we are to behave. */
#define MILTER_NO_CONNECT	(1u << 0)
#define MILTER_NO_HELO		(1u << 1)
#define MILTER_NO_MAIL		(1u << 2)
#define MILTER_NO_RCPT		(1u << 3)
#define MILTER_NO_BODY		(1u << 4)
#define MILTER_NO_HEADERS	(1u << 5)
#define MILTER_NO_EOH		(1u << 6)
#define MILTER_MUTE_HEADER	(1u << 7)	/* it will not answer */
#define MILTER_NO_DATA		(1u << 9)
#define MILTER_MAY_SKIP		(1u << 10)
#define MILTER_MUTE_CONNECT	(1u << 12)
#define MILTER_MUTE_HELO	(1u << 13)
#define MILTER_MUTE_MAIL	(1u << 14)
#define MILTER_MUTE_RCPT	(1u << 15)
#define MILTER_MUTE_DATA	(1u << 16)
#define MILTER_MUTE_EOH		(1u << 18)
#define MILTER_MUTE_BODY	(1u << 19)
#define MILTER_LEAD_SPACE	(1u << 20)	/* values with their blank */
/*
 * All 21 but one, that refused recipients be told as well: here they are
 * refused before a filter is asked.
 */
#define MILTER_STEPS		0x1ff7ffu

/*
 * libmilter takes no more than this in a packet, nor sends more; the letter
 * comes on top.
 */
#define MILTER_DATA_MAX		65535
#define MILTER_PACKET_MAX	(4 + 1 + MILTER_DATA_MAX)

/* milter_packet.c: no I/O. */

/* Packets to be sent, in the caller's buffer. */
struct milter_output {
	unsigned char	*buf;
	size_t		 size, len;
	size_t		 start;		/* of the packet at hand */
	bool		 full;		/* something had no room */
};

void	milter_begin(struct milter_output *, enum milter_command);
void	milter_put(struct milter_output *, const void *, size_t);
void	milter_put_string(struct milter_output *, const char *);
void	milter_put_number(struct milter_output *, uint32_t);
/* False: it is longer than MILTER_DATA_MAX or the buffer, and is taken back. */
bool	milter_finish(struct milter_output *);

/* What a filter said; the strings are in its packet. */
struct milter_reply {
	int		 kind;		/* enum milter_answer */
	uint32_t	 index;		/* MILTER_INSERT, MILTER_CHANGE */
	const char	*name;		/* of a header field */
	const char	*value;		/* of it, a reason, a reply */
};

/*
 * The packet's length with all that belongs to it: 0 if these len octets are
 * too few to say, or -1 if it is longer than any may be, or empty.
 */
int	milter_length(const unsigned char *, size_t len);
/* A whole packet: NULL, or what is wrong with it. */
const char *milter_parse(const unsigned char *, size_t len,
	    struct milter_reply *);

/* A filter's version, actions and steps. */
struct milter_terms {
	uint32_t	 version, actions, steps;
};
void	milter_offer(struct milter_output *);
/* What it made of the offer: NULL, or what is wrong with it. */
const char *milter_agree(const unsigned char *, size_t len,
	    struct milter_terms *);

/*
 * What a reply means for the client.  False: it is not a refusal, or the text
 * of a MILTER_CODE is malformed.
 */
bool	milter_refuse(const struct milter_reply *, struct session_verdict *);

/*
 * milter_header.c: a message's header, and what filters make of it.  A change
 * costs the text of the new field; the old state is kept until the next
 * milter_header_keep().
 */
#define MILTER_HEADER_MAX	(1u << 20)	/* octets, of the message's */
#define MILTER_FIELDS_MAX	1000	/* of it: each is asked about */
#define MILTER_EDITS_MAX	1000	/* of one filter, in a message */

struct milter_field {
	uint32_t	 at, len;	/* in the text, without its line end */
	uint32_t	 name_len;
	bool		 gone;
};

struct milter_header {
	char		*text;		/* line ends within fields are LF */
	size_t		 len, size;
	struct milter_field *fields, *kept;
	unsigned	 count, room;
	unsigned	 top;		/* of them, above our Received */
	unsigned	 kept_count, kept_top, edits;
	bool		 edited;	/* it is not as it came */
	bool		 kept_edited;
	bool		 cut;		/* ended by a line that isn't a field */
	uint64_t	 end, body;	/* where it ends, where the body is */
};

/*
 * Find the fields in the first len octets of a message, which are in h->text;
 * whole: there are no more.  1; 0 if there is more of the header to come; -1
 * with errno EINVAL (a bare CR or LF, NUL), or ENOMEM.
 */
int	milter_header_parse(struct milter_header *, bool crlf, bool whole);
/* A line for the top, and the number of those before it: 0 or -1. */
int	milter_header_top(struct milter_header *, unsigned, const char *);
/* Make room for more text behind h->len: 0 or -1. */
int	milter_header_room(struct milter_header *, size_t more);
/* The name ends at the colon or a blank before it, the value starts behind. */
const char *milter_header_value(const struct milter_header *,
	    const struct milter_field *, size_t *len);
/* A line "name: value" on top of all. */
int	milter_header_insert(struct milter_header *, const char *name,
	    const char *value);
/* MILTER_ADD, MILTER_INSERT or MILTER_CHANGE: NULL, or what is wrong. */
const char *milter_header_edit(struct milter_header *,
	    const struct milter_reply *, bool lead_space);
/* What was edited so far stays, whatever comes; 0 or -1. */
int	milter_header_keep(struct milter_header *);
void	milter_header_undo(struct milter_header *);
/* Fields from one number to another, each ended by LF; NULL: no memory. */
char	*milter_header_text(const struct milter_header *, unsigned from,
	    unsigned to, size_t *len);
void	milter_header_free(struct milter_header *);

/* What a filter has made of the message at hand. */
enum milter_state {
	MILTER_IDLE,		/* it has not been told of one */
	MILTER_ASKED,		/* it was told of its MAIL, and is to judge */
	MILTER_DONE,		/* it has said the last word about it */
	MILTER_FAILED		/* and is not asked again */
};

/* What it has made of the client, at connect or HELO. */
enum milter_client { MILTER_UNKNOWN, MILTER_PASSES, MILTER_REFUSES };

struct milter {
	const struct server *server;
	int		 fd;		/* -1: not connected */
	struct milter_terms terms;
	enum milter_state state;
	enum milter_client client;
	bool		 told;		/* of a MAIL, but not of its end */
	bool		 may_skip;	/* the body's rest, if it says so */
	bool		 skip;
	unsigned	 timeout;	/* seconds: no wait is longer */
	struct session_verdict refusal;	/* of the client */
	const char	*fault;		/* what it did wrong, or NULL: errno */
};

/*
 * milter_link.c: packets over a connection.  All return 0, or -1 with fault or
 * errno set.  We talk to one filter at a time, so all share the buffers.
 */
struct milter_output *milter_output(void);
int	milter_link_open(struct milter *);
/* quit: say so. */
void	milter_link_close(struct milter *, bool quit);
/* Nothing is unread, and it has not hung up: it can be asked. */
bool	milter_link_idle(struct milter *);
/* Send what is in the output, whole packets. */
int	milter_link_send(struct milter *, unsigned seconds);
/*
 * The next reply, which may be delayed by others that say that it is coming.
 * Its strings last until the next call.
 */
int	milter_link_receive(struct milter *, unsigned seconds,
	    struct milter_reply *);
/* All that was received was taken; else it said something unasked. */
int	milter_link_done(struct milter *);

/* milter_step.c: one command to one filter. */

enum milter_step {
	STEP_CONNECT, STEP_HELO, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_EOH
};
/*
 * Tell it, and return what it says.  argument: for RCPT the path, for MAIL a
 * struct session_mail.
 */
struct session_verdict milter_step(struct connection *, struct milter *,
	    enum milter_step, const void *argument);
/* The same with a command that is in the output already. */
struct session_verdict milter_ask(struct connection *, struct milter *,
	    unsigned seconds, bool mute);
/* What a reply that edits nothing means; sets m->state and m->client. */
struct session_verdict milter_judge(struct connection *, struct milter *,
	    const struct milter_reply *);
/*
 * It failed, by m->fault or errno: log it and hang up; returns what that means
 * for the client, now and until the message is over.
 */
struct session_verdict milter_failed(struct connection *, struct milter *);
struct session_verdict milter_trouble(const struct connection *);
/* The macros before a command, up to a NULL name; NULL values are left out. */
void	milter_macros(struct milter_output *, enum milter_command, ...)
	    __attribute__((sentinel));
void	milter_id(const struct connection *, char *, size_t);

/*
 * milter_message.c: the message itself, from the file it was written to, to one
 * filter after another, each with what those before it have made of it.
 */
struct session_verdict milter_message(struct connection *, struct milter *,
	    unsigned count);
void	milter_message_reset(void);

#define MILTER_TIME_CONNECT	30	/* seconds, as Postfix has them */
#define MILTER_TIME_COMMAND	30
#define MILTER_TIME_CONTENT	300

#endif
