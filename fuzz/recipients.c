/* SPDX-License-Identifier: ISC */
/*
 * recipients.c - a libFuzzer target for the list of recipients, as text and as
 * a cdb.
 *
 * An input is an octet, a recipient, a line end, and the list.  The octet says
 * whether that is text, which is then looked up a second time in a cdb of its
 * lines: both must give the same answer; or a cdb with any mistake in it, of
 * whose header only what is not empty is given.
 */

#include "filter.h"
#include "fuzz/file.h"
#include "fuzz/fuzz.h"

#define HEADER		2048
#define SLOT		8	/* octets, of a table or of the header */
#define LINES_MAX	32
#define CDB_MAX		8192

struct line {
	const char	*text;
	size_t		 len;
	uint32_t	 hash, at;
};

struct cdb {
	size_t		 len;
	unsigned char	 text[CDB_MAX];
};

static char	 name[] = "list", delimiter[] = "+-";
static struct connection c = {
	.settings = { .recipients = name, .recipient_delimiter = delimiter }
};

/* 0 or the code of the refusal. */
static int
ask(const char *path)
{
	const struct session_rcpt r = { .path = path };
	struct session_verdict v = recipients_filter.rcpt(&c, &r);

	if (v.kind == SESSION_ACCEPT)
		return 0;
	CHECK(v.kind == SESSION_REFUSE && *v.text != '\0');
	CHECK((v.code == 550 && strcmp(v.status, "5.1.1") == 0) ||
	    (v.code == 451 && strcmp(v.status, "4.3.0") == 0));
	return v.code;
}

/* A list in which -t finds no fault has in it what is written there. */
static void
check_entry(const char *line, size_t len)
{
	char path[SESSION_PATH_MAX + 1];
	size_t n = 0;

	while (n < len && strchr(" \t\r", line[n]) == NULL)
		n++;
	if (n == 0 || n > SESSION_PATH_MAX - 2 || *line == '#' || *line == '"')
		return;
	snprintf(path, sizeof(path), "%s%.*s%s", *line == '@' ? "x" : "",
	    (int)n, line, line[n - 1] == '@' ? "x" : "");
	CHECK(ask(path) == 0);
}

/* Lines that can be a cdb's keys; 0 if any of them can't. */
static size_t
split(const char *s, size_t len, struct line list[LINES_MAX])
{
	const char *end = s + len, *next;
	size_t i, n = 0;

	for (; s < end; s = next + 1) {
		if ((next = memchr(s, '\n', (size_t)(end - s))) == NULL)
			next = end;
		if (n == LINES_MAX)
			return 0;
		for (i = 0; s + i < next; i++)
			if (s[i] == '\0' || strchr("#\" \t\r", s[i]) != NULL ||
			    (s[i] >= 'A' && s[i] <= 'Z'))
				return 0;
		list[n++] = (struct line){ .text = s, .len = i };
	}
	return n;
}

/* A cdb, as cdb(5) has it. */

static void
put_u32(struct cdb *cdb, size_t at, uint32_t n)
{
	int i;

	CHECK(at + 4 <= sizeof(cdb->text));
	for (i = 0; i < 4; i++)
		cdb->text[at++] = (unsigned char)(n >> 8 * i);
	if (at > cdb->len)
		cdb->len = at;
}

static void
put_record(struct cdb *cdb, struct line *l)
{
	size_t i;

	l->at = (uint32_t)cdb->len;
	l->hash = 5381;
	for (i = 0; i < l->len; i++)
		l->hash = (l->hash + (l->hash << 5)) ^
		    (unsigned char)l->text[i];
	put_u32(cdb, cdb->len, (uint32_t)l->len);
	put_u32(cdb, cdb->len, 0);
	CHECK(cdb->len + l->len <= sizeof(cdb->text));
	memcpy(cdb->text + cdb->len, l->text, l->len);
	cdb->len += l->len;
}

static size_t
slot_of(const struct cdb *cdb, size_t table, uint32_t size, uint32_t hash)
{
	static const unsigned char none[SLOT];
	uint32_t i = (hash >> 8) % size;

	while (memcmp(cdb->text + table + i * SLOT, none, SLOT) != 0)
		i = (i + 1) % size;
	return table + i * SLOT;
}

static void
put_table(struct cdb *cdb, unsigned number, const struct line *list, size_t n)
{
	size_t i, at, table = cdb->len;
	uint32_t size = 0;

	for (i = 0; i < n; i++)
		size += list[i].hash % 256 == number ? 2 : 0;
	put_u32(cdb, number * SLOT, (uint32_t)table);
	put_u32(cdb, number * SLOT + 4, size);
	if (size == 0)
		return;
	put_u32(cdb, table + size * SLOT - 4, 0);
	for (i = 0; i < n; i++)
		if (list[i].hash % 256 == number) {
			at = slot_of(cdb, table, size, list[i].hash);
			put_u32(cdb, at, list[i].hash);
			put_u32(cdb, at + 4, list[i].at);
		}
}

static void
file_cdb(struct line *list, size_t n)
{
	static struct cdb cdb;
	unsigned i;

	memset(&cdb, 0, sizeof(cdb));
	cdb.len = HEADER;
	for (i = 0; i < n; i++)
		put_record(&cdb, &list[i]);
	for (i = 0; i < 256; i++)
		put_table(&cdb, i, list, n);
	file_begin(cdb.text, cdb.len);
}

/* One of the entries; all of them would take too long. */
static void
check_text(const char *path, const char *s, size_t len)
{
	struct line list[LINES_MAX], *any;
	size_t n = split(s, len, list);
	int answer;

	file_begin(s, len);
	answer = ask(path);
	if (recipients_filter.check(&c.settings) == 0 && n > 0) {
		any = &list[(unsigned char)*path % n];
		check_entry(any->text, any->len);
	}
	if (n == 0)
		return;
	file_cdb(list, n);
	CHECK(ask(path) == answer);
	recipients_filter.check(&c.settings);
}

/* Its tables are empty, but for those of which an octet tells the number. */
static void
check_cdb(const char *path, const unsigned char *s, size_t len)
{
	static struct cdb cdb;
	size_t i, n = len > 0 ? *s++ : 0;

	memset(cdb.text, 0, HEADER);
	for (i = 0; i < 256; i++)
		put_u32(&cdb, i * SLOT, HEADER);
	for (len -= len > 0; n > 0 && len >= 4; n--, s += 4, len -= 4) {
		put_u32(&cdb, s[0] * SLOT, HEADER + s[1] + 256u * s[2]);
		put_u32(&cdb, s[0] * SLOT + 4, s[3]);
	}
	if (len > sizeof(cdb.text) - HEADER)
		return;
	memcpy(cdb.text + HEADER, s, len);
	file_begin(cdb.text, HEADER + len);
	ask(path);
	recipients_filter.check(&c.settings);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *list = memchr(data, '\n', len);
	char *path;

	if (list == NULL || list == data || list - data > SESSION_PATH_MAX)
		return 0;
	path = fuzz_string(data + 1, (size_t)(list - data) - 1);
	list++;
	len -= (size_t)(list - data);
	if (*data % 2 == 0)
		check_text(path, (const char *)list, len);
	else
		check_cdb(path, list, len);
	file_end();
	free(path);
	return 0;
}
