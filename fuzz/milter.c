/* SPDX-License-Identifier: ISC */
/*
 * milter.c - a libFuzzer target for what milters send: a header, and behind it
 * the replies of one filter or several, with edits that their verdict keeps or
 * undoes.  An input is an octet of options, two with the header's length, the
 * header, and packets.
 */
#include "filter/milter.h"
#include "fuzz/fuzz.h"

static char *
whole(const struct milter_header *h, size_t *len)
{
	char *text = milter_header_text(h, 0, h->count, len);

	CHECK(text != NULL);
	return text;
}

/* Fields and nothing else, so that no reader finds another end or field. */
static void
check_header(const struct milter_header *h)
{
	size_t i, len, fields = 0, live = 0;
	char *text = whole(h, &len);
	bool start = true;

	for (i = 0; i < len; i++) {
		CHECK(text[i] != '\r' && text[i] != '\0');
		if (start && text[i] != ' ' && text[i] != '\t') {
			CHECK(text[i] > ' ' && text[i] < 0x7f);
			CHECK(memchr(text + i, ':', len - i) != NULL);
			fields++;
		}
		start = text[i] == '\n';
	}
	CHECK(start);
	for (i = 0; i < h->count; i++)
		live += !h->fields[i].gone;
	CHECK(live == fields);
	CHECK(h->top <= h->count);
	free(text);
}

static void
check_refusal(const struct milter_reply *reply)
{
	static struct session_verdict r;

	if (!milter_refuse(reply, &r)) {
		CHECK(strchr("adspy", reply->kind) != NULL);
		return;
	}
	CHECK(r.code >= 400 && r.code <= 599);
	CHECK(r.status[0] == '0' + r.code / 100);
	CHECK(strlen(r.status) < sizeof(r.status));
	CHECK(strlen(r.text) < sizeof(r.text));
}

static void
check_terms(const unsigned char *p, size_t len)
{
	struct milter_terms t;

	if (milter_agree(p, len, &t) != NULL)
		return;
	CHECK(t.version >= MILTER_VERSION_MIN && t.version <= MILTER_VERSION);
	CHECK((t.steps & ~MILTER_STEPS) == 0);
}

/* False: the filter has failed. */
static bool
take(struct milter_header *h, const unsigned char *p, size_t len, bool lead)
{
	struct milter_reply r;

	check_terms(p, len);
	if (milter_parse(p, len, &r) != NULL)
		return false;
	switch (r.kind) {
	case MILTER_ADD:
	case MILTER_INSERT:
	case MILTER_CHANGE:
		return milter_header_edit(h, &r, lead) == NULL;
	case MILTER_QUARANTINE:
		return milter_header_insert(h, "Quarantine", r.value) == 0;
	case MILTER_CONTINUE:
		CHECK(milter_header_keep(h) == 0);
		return true;
	default:
		check_refusal(&r);
		return true;
	}
}

/* Apply one filter's edits after another's; without a verdict undo them. */
static void
replies(struct milter_header *h, const uint8_t *p, size_t len, bool lead)
{
	char *before, *after;
	size_t before_len, after_len;
	int n;

	CHECK(milter_header_keep(h) == 0);
	before = whole(h, &before_len);
	for (; (n = milter_length(p, len)) > 0 && (size_t)n <= len;
	    p += n, len -= (size_t)n) {
		if (!take(h, p, (size_t)n, lead))
			break;
		check_header(h);
		if (p[4] == MILTER_CONTINUE) {
			free(before);
			before = whole(h, &before_len);
		}
	}
	CHECK(n <= MILTER_PACKET_MAX);
	milter_header_undo(h);
	after = whole(h, &after_len);
	CHECK(after_len == before_len &&
	    memcmp(before, after, after_len) == 0);
	free(before);
	free(after);
}

static bool
header(struct milter_header *h, const uint8_t *p, size_t len, bool crlf)
{

	h->text = malloc(len + 1);
	CHECK(h->text != NULL);
	h->size = len + 1;
	h->len = len;
	memcpy(h->text, p, len);
	if (milter_header_parse(h, crlf, true) != 1)
		return false;
	CHECK(h->end <= h->body && h->body <= len);
	check_header(h);
	CHECK(milter_header_top(h, 0, "Received-SPF: none") == 0);
	CHECK(milter_header_top(h, 1, "X-Two: 1\n\t2") == 0);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct milter_header h = { .text = NULL };
	uint8_t *copy;
	size_t n;

	if (len < 3)
		return 0;
	n = (size_t)data[1] << 8 | data[2];
	if (n > len - 3)
		return 0;
	copy = fuzz_copy(data + 3 + n, len - 3 - n);
	if (header(&h, data + 3, n, (data[0] & 1) != 0))
		replies(&h, copy, len - 3 - n, (data[0] & 2) != 0);
	milter_header_free(&h);
	free(copy);
	return 0;
}
