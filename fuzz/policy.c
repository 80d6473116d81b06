/* SPDX-License-Identifier: ISC */
/*
 * policy.c - a libFuzzer target for a policy server's answer.  The first octet
 * says whether the message may have UTF-8 in its header.
 */
#include "filter.h"
#include "fuzz/fuzz.h"

/* One field on one line. */
static void
check_field(const char *p, bool utf8)
{
	CHECK(strlen(p) <= 998 && strchr(p, ':') > p);
	for (; *p != '\0'; p++)
		CHECK(*p == '\t' || ((unsigned char)*p >= 0x20 && *p != 0x7f &&
		    (utf8 || (unsigned char)*p < 0x80)));
}

/* A refusal can be sent, a header line can be written. */
static void
check(const char *s, size_t len, bool utf8)
{
	static struct policy_answer a;

	policy_parse(s, len, utf8, &a);
	CHECK(a.fault == NULL || a.verdict.kind == SESSION_ACCEPT);
	if (a.verdict.kind == SESSION_REFUSE) {
		CHECK(a.verdict.code >= 400 && a.verdict.code <= 599);
		CHECK(a.verdict.status[0] == '0' + a.verdict.code / 100);
		CHECK(a.verdict.text[0] != '\0' && !a.discard);
	}
	if (a.prepend != NULL)
		check_field(a.prepend, utf8);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *copy;

	if (len == 0)
		return 0;
	copy = fuzz_copy(data + 1, len - 1);
	check(copy, len - 1, *data % 2 != 0);
	free(copy);
	return 0;
}
