/* SPDX-License-Identifier: ISC */
/*
 * proxy.c - a libFuzzer target for the PROXY header.
 */
#include "fuzz/fuzz.h"
#include "smtpd.h"

static bool
same(const struct proxy_header *a, const struct proxy_header *b)
{
	return a->known == b->known && strcmp(a->addr, b->addr) == 0 &&
	    strcmp(a->port, b->port) == 0 &&
	    strcmp(a->server_addr, b->server_addr) == 0 &&
	    strcmp(a->server_port, b->server_port) == 0;
}

/* Written as a line, it is read to the same again. */
static void
check_known(struct proxy_header *h)
{
	struct proxy_header again;
	char line[PROXY_MAX], *prefixes[] = { h->addr, NULL };
	bool six = strchr(h->addr, ':') != NULL;
	int n;

	CHECK(strspn(h->addr, "0123456789abcdef.:") == strlen(h->addr));
	CHECK(prefix_valid(h->addr) && prefix_match(prefixes, h->addr));
	if (six != (strchr(h->server_addr, ':') != NULL))
		return;
	n = snprintf(line, sizeof(line), "PROXY TCP%d %s %s %s %s\r\n",
	    six ? 6 : 4, h->addr, h->server_addr, h->port, h->server_port);
	CHECK(n > 0 && n < (int)sizeof(line));
	CHECK(proxy_parse((unsigned char *)line, (size_t)n, &again) == 0);
	CHECK(same(h, &again));
}

/* However it is read: never more than is there, or than is allowed. */
static void
check(const unsigned char *s, size_t len)
{
	struct proxy_header h;
	size_t have = 0;
	int need;

	while ((need = proxy_need(s, have)) > 0) {
		CHECK(have + (size_t)need <= PROXY_MAX);
		if (++have > len)
			return;
	}
	if (proxy_parse(s, len, &h) == -1)
		return;
	CHECK(need == 0 && have == len);
	if (h.known)
		check_known(&h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned char *copy = fuzz_copy(data, len);

	check(copy, len);
	free(copy);
	return 0;
}
