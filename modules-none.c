/* SPDX-License-Identifier: ISC */
/*
 * modules-none.c - linked into smtpd: no TLS, no passwords.  See handover.c.
 */
#include "smtpd.h"

const struct tls_module	*const tls_module = NULL;
const struct auth_module *const auth_module = NULL;
