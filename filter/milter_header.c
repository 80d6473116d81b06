/* SPDX-License-Identifier: ISC */
/*
 * milter_header.c - the header of a message, as filters see and change it.
 *
 * All text is in one store that only grows while a message lasts; a list of
 * fields points into it.  So if a filter's verdict does not come, its changes
 * are undone by putting the old list back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "milter.h"
#include "session/address.h"

#define STORE_MAX	(4 * MILTER_HEADER_MAX)	/* with all that is added */

/* Reading. */
/* The length of the field's name if a line starts one, else 0. */
static size_t
name_length(const char *p, size_t len)
{
	size_t name = 0, colon;

	while (name < len && p[name] > ' ' && p[name] < 0x7f && p[name] != ':')
		name++;
	for (colon = name; colon < len && address_is_blank(p[colon]); colon++)
		;	/* RFC 5322 section 4.5 had it there once */
	return colon < len && p[colon] == ':' ? name : 0;
}

static int
add_field(struct milter_header *h, unsigned at, const struct milter_field *f)
{
	unsigned room = h->room == 0 ? 32 : h->room * 2;
	void *p;

	if (h->count == h->room) {
		p = reallocarray(h->fields, room, sizeof(*h->fields));
		if (p == NULL)
			return -1;
		h->fields = p;
		h->room = room;
	}
	memmove(h->fields + at + 1, h->fields + at,
	    (h->count - at) * sizeof(*h->fields));
	h->fields[at] = *f;
	h->count++;
	return 0;
}

/*
 * Lines that end in CRLF get LF.  False: there is an octet that is neither text
 * nor a line end, and nobody knows what others would make of it.
 */
static bool
clean(struct milter_header *h, bool crlf)
{
	const char *p = h->text, *end = h->text + h->len;
	char *to = h->text;

	for (; p < end; p++) {
		if (crlf && *p == '\r' && end - p > 1 && p[1] == '\n')
			p++;
		else if (*p == '\r' || *p == '\0' || (crlf && *p == '\n'))
			return false;
		*to++ = *p;
	}
	h->len = (size_t)(to - h->text);
	return true;
}

/* The length of the line at p with its end; 0 if the end is not there. */
static size_t
line_length(const char *p, size_t len, bool whole)
{
	const char *end = memchr(p, '\n', len);

	if (end == NULL)
		return whole ? len : 0;
	return (size_t)(end - p) + 1;
}

/* Without its line end. */
static size_t
field_length(const char *p, size_t line, bool crlf)
{
	if (line > 0 && p[line - 1] == '\n')
		line--;
	if (crlf && line > 0 && p[line - 1] == '\r')
		line--;
	return line;
}

/* The line that mbox begins with, which many still send, is not a field. */
static bool
is_mbox(const char *p, size_t len)
{
	return len >= 5 && memcmp(p, "From ", 5) == 0;
}

/* Where the header ends: 0 if that is not known yet. */
static int
find_header_end(struct milter_header *h, bool crlf, bool whole)
{
	size_t at = 0, line, len;

	for (; at < h->len; at += line) {
		line = line_length(h->text + at, h->len - at, whole);
		if (line == 0)
			return 0;
		len = field_length(h->text + at, line, crlf);
		if (len == 0) {
			h->end = at;
			h->body = at + line;
			return 1;
		}
		if (at == 0 ? is_mbox(h->text, len) :
		    address_is_blank(h->text[at]))
			continue;
		if (name_length(h->text + at, len) == 0) {
			h->end = h->body = at;
			h->cut = true;
			return 1;
		}
	}
	h->end = h->body = at;
	return whole;
}

/*
 * Insert the fields in the text from there on, which has nothing else, each
 * line ended by LF, before the one with this number.  Returns that one's new
 * number, or -1.
 */
static int
list_fields(struct milter_header *h, size_t from, unsigned before)
{
	struct milter_field f;
	unsigned first = before;
	size_t at, line, len;

	for (at = from; at < h->len; at += line) {
		line = line_length(h->text + at, h->len - at, true);
		len = field_length(h->text + at, line, false);
		if (at == 0 && is_mbox(h->text, len))
			continue;
		if (address_is_blank(h->text[at])) {
			if (before > first)
				h->fields[before - 1].len = (uint32_t)
				    (at + len) - h->fields[before - 1].at;
			continue;
		}
		f = (struct milter_field){ .at = (uint32_t)at,
		    .len = (uint32_t)len,
		    .name_len = (uint32_t)name_length(h->text + at, len) };
		if (add_field(h, before++, &f) == -1)
			return -1;
	}
	return (int)before;
}

int
milter_header_parse(struct milter_header *h, bool crlf, bool whole)
{
	int found;

	h->cut = false;
	if ((found = find_header_end(h, crlf, whole)) != 1)
		return found;
	/* Every reader of the message must see the end where filters did. */
	h->edited = h->cut;
	h->len = h->end;
	if (!clean(h, crlf)) {
		errno = EINVAL;
		return -1;
	}
	return list_fields(h, 0, 0) == -1 ? -1 : 1;
}

const char *
milter_header_value(const struct milter_header *h,
    const struct milter_field *f, size_t *len)
{
	const char *p = h->text + f->at + f->name_len;
	const char *end = h->text + f->at + f->len;

	p = memchr(p, ':', (size_t)(end - p));
	p = p == NULL ? end : p + 1;
	*len = (size_t)(end - p);
	return p;
}

/* Changing. */

int
milter_header_room(struct milter_header *h, size_t more)
{
	size_t size = h->size == 0 ? 4096 : h->size;
	char *text;

	if (more > STORE_MAX - h->len) {
		errno = EMSGSIZE;
		return -1;
	}
	while (size - h->len < more)
		size *= 2;
	if (size == h->size)
		return 0;
	if ((text = realloc(h->text, size)) == NULL)
		return -1;
	h->text = text;
	h->size = size;
	return 0;
}

static void
store(struct milter_header *h, const char *p, size_t len)
{
	memcpy(h->text + h->len, p, len);
	h->len += len;
}

/*
 * A value continues on the next line only if that starts with a blank, or it
 * would be another field; other control octets have no place in it.
 */
static void
store_value(struct milter_header *h, const char *value)
{
	size_t len = strlen(value);

	while (len > 0 && (value[len - 1] == '\n' || value[len - 1] == '\r'))
		len--;
	for (; len > 0; value++, len--) {
		if (*value == '\r' && value[1] == '\n')
			continue;
		if ((unsigned char)*value >= ' ' && *value != 0x7f)
			store(h, value, 1);
		else if (*value == '\t')
			store(h, "\t", 1);
		else if (*value != '\n')
			store(h, "?", 1);
		else
			store(h, "\n\t", address_is_blank(value[1]) ? 1 : 2);
	}
}

/* lead_space: the value includes the blank after the colon. */
static int
make_field(struct milter_header *h, const char *name, const char *value,
    bool lead_space, struct milter_field *f)
{
	size_t name_len = strlen(name);

	if (milter_header_room(h, name_len + 2 + 2 * strlen(value)) == -1)
		return -1;
	f->at = (uint32_t)h->len;
	f->name_len = (uint32_t)name_len;
	f->gone = false;
	store(h, name, name_len);
	store(h, ": ", lead_space ? 1 : 2);
	store_value(h, value);
	f->len = (uint32_t)h->len - f->at;
	return 0;
}

static int
insert_field(struct milter_header *h, unsigned at, const struct milter_field *f)
{
	if (add_field(h, at, f) == -1)
		return -1;
	h->edited = true;
	return 0;
}

/*
 * Where to insert.  The number counts the lines on top, then our Received, then
 * the message's own: a filter never sees Received, but knows that it is there.
 */
static unsigned
place(struct milter_header *h, uint32_t index)
{
	unsigned at = index > h->count ? h->count : index;

	if (index > h->top)
		return index > h->count ? at : at - 1;
	h->top++;
	return at;
}

/* The n-th field with this name among those that the filter was told of. */
static struct milter_field *
find_field(const struct milter_header *h, const char *name, uint32_t number)
{
	size_t len = strlen(name);
	unsigned i;

	for (i = 0; i < h->count; i++)
		if (h->fields[i].name_len == len && strncasecmp(h->text +
		    h->fields[i].at, name, len) == 0 && --number == 0)
			return &h->fields[i];
	return NULL;
}

/* A field that is not there is added, unless it was to be deleted. */
static int
change_field(struct milter_header *h, const struct milter_reply *r,
    bool lead_space)
{
	struct milter_field f, *old;

	old = find_field(h, r->name, r->index == 0 ? 1 : r->index);
	if (*r->value == '\0') {
		if (old != NULL)
			h->edited = old->gone = true;
		return 0;
	}
	if (make_field(h, r->name, r->value, lead_space, &f) == -1)
		return -1;
	if (old == NULL)
		return insert_field(h, h->count, &f);
	h->edited = true;
	*old = f;
	return 0;
}

static int
edit(struct milter_header *h, const struct milter_reply *r, bool lead_space)
{
	struct milter_field f;

	if (r->kind == MILTER_CHANGE)
		return change_field(h, r, lead_space);
	if (make_field(h, r->name, r->value, lead_space, &f) == -1)
		return -1;
	return insert_field(h, r->kind == MILTER_INSERT ?
	    place(h, r->index) : h->count, &f);
}

const char *
milter_header_edit(struct milter_header *h, const struct milter_reply *r,
    bool lead_space)
{
	if (++h->edits > MILTER_EDITS_MAX)
		return "too many edits";
	if (edit(h, r, lead_space) == 0)
		return NULL;
	return errno == EMSGSIZE ? "edits of too much" : strerror(errno);
}

int
milter_header_insert(struct milter_header *h, const char *name,
    const char *value)
{
	struct milter_field f;

	if (make_field(h, name, value, false, &f) == -1)
		return -1;
	return insert_field(h, place(h, 0), &f);
}

int
milter_header_top(struct milter_header *h, unsigned before, const char *line)
{
	size_t from = h->len, len = strlen(line);
	int top;

	if (milter_header_room(h, len) == -1)
		return -1;
	store(h, line, len);
	if ((top = list_fields(h, from, before)) == -1)
		return -1;
	h->top = (unsigned)top;
	return 0;
}

/* Keeping and undoing. */

/* A filter counts what it was told of, deleted or not; the next is not told. */
static void
drop_gone(struct milter_header *h)
{
	unsigned i, n = 0, top = h->top;

	for (i = 0; i < h->count; i++)
		if (!h->fields[i].gone)
			h->fields[n++] = h->fields[i];
		else if (i < top)
			h->top--;
	h->count = n;
}

int
milter_header_keep(struct milter_header *h)
{
	void *p;

	drop_gone(h);
	p = reallocarray(h->kept, h->count + 1, sizeof(*h->kept));
	if (p == NULL)
		return -1;
	h->kept = p;
	if (h->count > 0)
		memcpy(h->kept, h->fields, h->count * sizeof(*h->kept));
	h->kept_count = h->count;
	h->kept_top = h->top;
	h->kept_edited = h->edited;
	h->edits = 0;
	return 0;
}

void
milter_header_undo(struct milter_header *h)
{
	/* There is room for them: their number only grew since. */
	if (h->kept_count > 0)
		memcpy(h->fields, h->kept, h->kept_count * sizeof(*h->kept));
	h->count = h->kept_count;
	h->top = h->kept_top;
	h->edited = h->kept_edited;
	h->edits = 0;
}

char *
milter_header_text(const struct milter_header *h, unsigned from, unsigned to,
    size_t *len)
{
	const struct milter_field *f;
	size_t size = 1;
	unsigned i;
	char *text;

	for (i = from; i < to; i++)
		size += h->fields[i].len + 1;
	if ((text = malloc(size)) == NULL)
		return NULL;
	*len = 0;
	for (i = from; i < to; i++) {
		f = &h->fields[i];
		if (f->gone)
			continue;
		memcpy(text + *len, h->text + f->at, f->len);
		*len += f->len;
		text[(*len)++] = '\n';
	}
	return text;
}

void
milter_header_free(struct milter_header *h)
{
	free(h->text);
	free(h->fields);
	free(h->kept);
	memset(h, 0, sizeof(*h));
}
