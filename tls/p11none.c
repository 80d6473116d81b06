/* SPDX-License-Identifier: ISC */
/*
 * p11none.c - stands in for p11-kit, which has no archive, in a static
 * smtpd-tls.  GnuTLS calls it only for keys on tokens, and ours are files; the
 * Makefile gives all of p11-kit's names to this one function.
 */
#include <stdlib.h>

void	p11_none(void) __attribute__((noreturn));

void
p11_none(void)
{
	abort();
}
