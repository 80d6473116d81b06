/* SPDX-License-Identifier: ISC */
/*
 * data.c - the message itself, by DATA or BDAT: where it ends, what is wrong
 * with it, and its octets as slices of the caller's buffer.
 *
 * Only CR LF . CR LF ends DATA.  A CR or LF that is not half of a CRLF may be a
 * line end to the next program, which is all that SMTP smuggling needs.  So
 * none is passed on: an LF becomes a line end and a CR a blank, or with
 * refuse_stray the message is read to its real end and refused.  A dot after
 * such an LF is text, never an end and never unstuffed.
 */
#include "engine.h"

#include <string.h>

enum data_state {
	D_LINE,		/* at the start of a line */
	D_DOT,		/* after a dot there */
	D_DOT_CR,	/* and a CR after that */
	D_TEXT,		/* inside a line */
	D_CR,		/* after a CR there */
	D_END		/* the final CRLF was seen */
};

#define COLUMN_MISS	255	/* this line isn't a Received field */

/*
 * Trace fields are counted to break mail loops (RFC 5321 section 6.3); nothing
 * else of the message is looked at.
 */
static void
count_hops(struct session_transaction *tx, const char *p, size_t n)
{
	static const char name[] = "received:";
	const char *end = p + n;

	for (; p < end && !tx->header_over; p++) {
		if (tx->column == COLUMN_MISS &&
		    (p = memchr(p, '\n', (size_t)(end - p))) == NULL)
			return;
		if (*p == '\n') {
			tx->header_over = tx->column == 0;
			tx->column = 0;
		} else if (*p == '\r')
			continue;
		else if ((*p | 0x20) == name[tx->column])
			tx->hops += ++tx->column == sizeof(name) - 1;
		else
			tx->column = COLUMN_MISS;
	}
}

/*
 * If there are several reasons, the one given does not depend on how the octets
 * came: the first bare CR, LF or NUL goes before the size, the size before a
 * loop.
 */
static void
refuse(struct session_transaction *tx, enum reply why)
{
	if (tx->refusal != R_BARE && tx->refusal != R_NUL)
		tx->refusal = (int)why;
}

static void
give(struct session *s, const char *p, size_t n)
{
	if (n == 0 || s->hooks->body == NULL || s->tx.refusal != R_NONE ||
	    engine_muted(s))
		return;
	s->in_hook = true;
	if (!s->hooks->body(s->arg, p, n))
		refuse(&s->tx, R_LOCAL_ERROR);
	s->in_hook = false;
}

/* Hand over what session_rewrite() has moved together. */
static void
give_kept(struct session *s)
{
	size_t n = s->kept_len;

	s->kept_len = 0;
	give(s, s->kept, n);
}

static void
keep_slice(struct session *s, const char *p, size_t n)
{
	if (s->kept_len == 0)
		s->kept += p - s->kept;
	else
		memmove(s->kept + s->kept_len, p, n);
	s->kept_len += n;
}

/* False: nothing more of the message is passed on. */
static bool
passes(struct session *s, const char *p, size_t n)
{
	if (n == 0 || s->tx.refusal != R_NONE || engine_muted(s))
		return false;
	if (s->tx.header_over)
		return true;
	count_hops(&s->tx, p, n);
	if (engine_over(s->tx.hops, s->config->max_hops))
		refuse(&s->tx, R_LOOP);
	return s->tx.refusal == R_NONE;
}

/* Pass on octets of the caller's buffer. */
static void
emit(struct session *s, const char *p, size_t n)
{
	if (!passes(s, p, n))
		return;
	if (s->kept != NULL)
		keep_slice(s, p, n);
	else
		give(s, p, n);
}

/* Pass on octets of our own. */
static void
insert(struct session *s, const char *p, size_t n)
{
	if (!passes(s, p, n))
		return;
	give_kept(s);
	give(s, p, n);
}

/*
 * The state after an octet; dots: whether a lone dot is the end.  A bare LF
 * counts as the CRLF that it stands for.
 */
static enum data_state
step(struct session *s, enum data_state state, char c, bool dots)
{
	struct session_transaction *tx = &s->tx;
	bool after_cr = state == D_CR || state == D_DOT_CR;

	if (c == '\n' && after_cr)
		return state == D_DOT_CR ? D_END : D_LINE;
	if (s->config->refuse_stray && (after_cr || c == '\n'))
		refuse(tx, R_BARE);
	else if (c == '\0')
		refuse(tx, R_NUL);
	if (c == '\n') {
		tx->stray = true;
		tx->size++;
	}
	if (c == '\r')
		return state == D_DOT ? D_DOT_CR : D_CR;
	if (c == '.' && state == D_LINE && dots)
		return D_DOT;
	return D_TEXT;
}

/*
 * Is every CR followed by an LF, every LF preceded by a CR, and no octet NUL?
 * There is no branch, and the count is fixed, so the compiler makes it a few
 * vector instructions for each 16 octets of a block.
 */
#define BLOCK	64

/* Judges the n octets after the first, which is only a neighbour. */
static bool
is_bad(const char *p, size_t n)
{
	unsigned char bad = 0;
	size_t i;

	for (i = 0; i < n; i++)
		bad |= (unsigned char)((p[i] == '\r') ^ (p[i + 1] == '\n')) |
		    (unsigned char)(p[i + 1] == '\0');
	return bad != 0;
}

/* A CR at the end is not judged: its LF may be yet to come. */
static bool
is_clean(const char *p, size_t n, bool after_cr)
{
	size_t i;

	if (after_cr != (*p == '\n') || *p == '\0')
		return false;
	for (i = 1; n - i >= BLOCK; i += BLOCK)
		if (is_bad(p + i - 1, BLOCK))
			return false;
	return !is_bad(p + i - 1, n - i);
}

/*
 * In a clean buffer, skip whole lines that do not begin with a dot: from *i up
 * to the next octet that step() must see.
 */
static void
skip_lines(struct session *s, const char *p, size_t n, size_t *i, size_t *from)
{
	const char *cr;

	while ((cr = memchr(p + *i, '\r', n - *i)) != NULL) {
		*i = (size_t)(cr - p);
		if (n - *i <= 2 || cr[2] == '.')
			return;
		if (s->config->lf) {
			emit(s, p + *from, *i - *from);
			*from = *i + 1;
		}
		*i += 2;
	}
	*i = n;
}

/*
 * In a buffer that is not clean: how many octets stay as they are.  In LF form
 * bare LFs do, and only CR and NUL have to be found.  NUL is not searched for
 * after the first, or a message of NULs would take quadratic time.
 */
static size_t
text_length(struct session *s, const char *p, size_t n)
{
	const char *end, *lf = p;
	size_t i = 0;

	if (!s->config->lf || s->config->refuse_stray) {
		while (i < n && p[i] != '\r' && p[i] != '\n' && p[i] != '\0')
			i++;
		return i;
	}
	if ((end = memchr(p, '\r', n)) != NULL)
		n = (size_t)(end - p);
	if (s->tx.refusal != R_NUL && (end = memchr(p, '\0', n)) != NULL)
		n = (size_t)(end - p);
	for (; (lf = memchr(lf, '\n', (size_t)(p + n - lf))) != NULL; lf++)
		i++;
	s->tx.stray |= i > 0;
	s->tx.size += i;
	return n;
}

/* Is it passed on in another form than it came in, or not at all? */
static bool
is_dropped(const struct session *s, enum data_state state, char c)
{
	return state == D_DOT || state == D_END || c == '\r' ||
	    (c == '\n' && !s->config->lf);
}

/*
 * Octets of text.  Slices go out between what is dropped: the stuffed dots, the
 * end, and the CRs, each of which is held until it is known what it is.
 * Returns the octets used.
 */
static size_t
scan(struct session *s, const char *p, size_t n, bool dots)
{
	enum data_state state = s->tx.data, before;
	bool clean = is_clean(p, n, state == D_CR || state == D_DOT_CR);
	size_t i = 0, from = 0;

	for (; i < n && state != D_END; i++) {
		if (state == D_TEXT && clean)
			skip_lines(s, p, n, &i, &from);
		else if (state == D_TEXT)
			i += text_length(s, p + i, n - i);
		if (i == n)
			break;
		before = state;
		state = step(s, before, p[i], dots);
		if ((before == D_CR || before == D_DOT_CR) && p[i] != '\n')
			insert(s, " ", 1);
		s->tx.size -= state == D_DOT;
		if (!is_dropped(s, state, p[i]))
			continue;
		emit(s, p + from, i - from);
		from = i + 1;
		if (p[i] == '\n' && state != D_END)
			insert(s, "\r\n", 2);
	}
	emit(s, p + from, i - from);
	give_kept(s);
	s->tx.data = (unsigned char)state;
	s->tx.size += i;
	return i;
}

/* extra: octets of the size so far that are not the message's. */
static void
check_size(struct session *s, unsigned extra)
{
	uint64_t max = s->config->max_size;

	if (max != 0 && s->tx.size > max && s->tx.size - max > extra)
		refuse(&s->tx, R_TOO_BIG);
}

void
data_start(struct session *s)
{
	s->tx.data = D_LINE;
	s->tx.message = true;
	s->state = SESSION_STATE_DATA;
}

size_t
data_input(struct session *s, const char *p, size_t n)
{
	size_t used = scan(s, p, n, true);

	if (s->tx.data != D_END) {
		check_size(s, 2);	/* the CRLF after the final dot */
		return used;
	}
	s->tx.size -= 2;
	check_size(s, 0);
	s->state = SESSION_STATE_END;
	data_finish(s);
	return used;
}

/*
 * A refused BDAT is read to its last octet all the same, or its text would be
 * run as commands.  It is answered once.
 */
void
chunk_start(struct session *s, uint64_t size, enum reply refusal)
{
	if (!s->tx.by_bdat)
		s->tx.data = D_TEXT;
	s->chunk = size;
	s->chunk_refusal = (int)refusal;
	if (refusal == R_NONE) {
		s->tx.by_bdat = true;
		s->tx.message = true;
	}
	s->state = SESSION_STATE_CHUNK;
	if (size == 0)
		chunk_input(s, "", 0);
}

static void
chunk_end(struct session *s)
{
	enum reply why = (enum reply)s->chunk_refusal;

	s->state = SESSION_STATE_COMMAND;
	if (why == R_NONE && s->tx.last && s->tx.data == D_CR) {
		if (s->config->refuse_stray)
			refuse(&s->tx, R_BARE);
		insert(s, " ", 1);
	}
	if ((why == R_NONE && s->tx.last) || s->tx.reported > 0) {
		s->state = SESSION_STATE_END;
		data_finish(s);
		return;
	}
	if (why == R_NONE && s->tx.refusal != R_NONE) {
		why = (enum reply)s->tx.refusal;
		engine_event(s, SESSION_EV_REFUSED, reply_text(why));
		s->messages++;
	}
	/* After a failed one the transaction is over (RFC 3030 section 2). */
	if (why != R_NONE)
		engine_end_transaction(s);
	reply(s, why == R_NONE ? R_CHUNK : why);
}

size_t
chunk_input(struct session *s, const char *p, size_t n)
{
	if (n > s->chunk)
		n = (size_t)s->chunk;
	s->chunk -= n;
	if (s->chunk_refusal == R_NONE) {
		if (s->tx.body == SESSION_BODY_BINARY) {
			s->tx.size += n;
			emit(s, p, n);
			give_kept(s);
		} else if (n > 0)
			scan(s, p, n, false);
		check_size(s, 0);
	}
	if (s->chunk == 0)
		chunk_end(s);
	return n;
}

/*
 * One reply for the recipient whose turn it is.  Without a hook nobody takes
 * the message.
 */
static void
report_message(struct session *s)
{
	static const struct session_verdict none;

	if (s->tx.refusal != R_NONE)
		engine_decide(s, ASK_END, &none);
	else
		engine_ask_or(s, SESSION_UNDECIDED, ASK_END, end, s->tx.size,
		    s->tx.reported);
}

/*
 * The end of a message: one reply in SMTP, one a recipient in LMTP (RFC 2033
 * section 4.2).  In LMTP each leaves before the hook is asked about the next,
 * which may take its time: a client that was told of a delivery does not repeat
 * it.  Called again when there is room, and after each verdict.
 */
void
data_finish(struct session *s)
{
	unsigned total = s->config->lmtp ? s->tx.recipients : 1;

	while (s->state == SESSION_STATE_END && s->pending == ASK_NOTHING &&
	    !engine_muted(s)) {
		if (s->tx.reported == total) {
			s->messages += s->tx.message;
			s->state = SESSION_STATE_COMMAND;
			engine_end_transaction(s);
			return;
		}
		if (!reply_room(s) || (s->tx.reported > 0 && s->out_len > 0 &&
		    s->tx.refusal == R_NONE))
			return;
		report_message(s);
	}
}

void
data_answered(struct session *s, const struct session_verdict *v)
{
	if (s->tx.refusal != R_NONE) {
		if (s->tx.reported == 0)
			engine_event(s, SESSION_EV_REFUSED,
			    reply_text((enum reply)s->tx.refusal));
		reply(s, (enum reply)s->tx.refusal);
	} else {
		reply_verdict(s, v, R_MESSAGE, R_REFUSED);
		if (v->kind == SESSION_ACCEPT)
			s->junk = 0;
	}
	s->tx.reported++;
}
