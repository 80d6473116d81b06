/* SPDX-License-Identifier: ISC */
/*
 * modules-tls.c - linked into smtpd-tls: all there is.  See handover.c.
 */
#include "auth.h"
#include "smtpd.h"

extern const struct tls_module	smtpd_tls_module;
extern const struct auth_module	smtpd_auth_module;

const struct tls_module	*const tls_module = &smtpd_tls_module;
const struct auth_module *const auth_module = &smtpd_auth_module;
