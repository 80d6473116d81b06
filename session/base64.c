/* SPDX-License-Identifier: ISC */
/*
 * base64.c - base64 (RFC 4648).
 */
#include "base64.h"

static int
sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long
base64_decode(char *p, size_t n)
{
	size_t i, k, pad = 0, out = 0;
	unsigned long group;
	int v;

	if (n % 4 != 0)
		return -1;
	while (pad < 2 && pad < n && p[n - 1 - pad] == '=')
		pad++;
	for (i = 0; i < n; i += 4) {
		group = 0;
		for (k = i; k < i + 4; k++) {
			v = k >= n - pad ? 0 : sextet(p[k]);
			if (v < 0)
				return -1;
			group = group << 6 | (unsigned long)v;
		}
		if (i + 4 == n && group & ((1ul << 8 * pad) - 1))
			return -1;
		p[out++] = (char)(group >> 16);
		p[out++] = (char)(group >> 8 & 0xff);
		p[out++] = (char)(group & 0xff);
	}
	return (long)(out - pad);
}

void
base64_encode(char *out, const unsigned char *p, size_t n)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned long group;
	size_t i;

	for (i = 0; i < n; i += 3) {
		group = (unsigned long)p[i] << 16;
		if (i + 1 < n)
			group |= (unsigned long)p[i + 1] << 8;
		if (i + 2 < n)
			group |= p[i + 2];
		*out++ = set[group >> 18];
		*out++ = set[group >> 12 & 63];
		*out++ = i + 1 < n ? set[group >> 6 & 63] : '=';
		*out++ = i + 2 < n ? set[group & 63] : '=';
	}
	*out = '\0';
}
