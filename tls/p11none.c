/* SPDX-License-Identifier: ISC */
/*
 * p11none.c - in place of p11-kit, of which there is no archive, in a static
 * smtpd-tls.  GnuTLS calls it for keys on tokens only, and ours are files; the
 * Makefile gives all of p11-kit's names to this one function.
 */
#include <stdlib.h>

void	p11_none(void) __attribute__((noreturn));

void
p11_none(void)
{
	abort();
}
