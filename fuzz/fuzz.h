/* SPDX-License-Identifier: ISC */
/*
 * fuzz.h - what the libFuzzer targets share.
 *
 * Each is one file, linked with the whole program; what it defines itself
 * stands in for the program's function of that name.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(x) \
	do { if (!(x)) fuzz_fail(__FILE__, __LINE__, #x); } while (0)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static inline void __attribute__((noreturn))
fuzz_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

/* In memory of its own size, so that one octet too many is noticed. */
static inline void *
fuzz_copy(const void *p, size_t len)
{
	void *copy = malloc(len);

	CHECK(copy != NULL || len == 0);
	if (len > 0)
		memcpy(copy, p, len);
	return copy;
}

/* The same as a string, up to the first NUL. */
static inline char *
fuzz_string(const void *p, size_t len)
{
	char *copy = strndup(p, len);

	CHECK(copy != NULL);
	return copy;
}

#endif
