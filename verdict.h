/* SPDX-License-Identifier: ISC */
/*
 * verdict.h - a hook's answer in one expression.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include "session.h"

static inline struct session_verdict
verdict_accept(void)
{
	return (struct session_verdict){ .kind = SESSION_ACCEPT };
}

static inline struct session_verdict
verdict_refuse(int code, const char *status, const char *text)
{
	struct session_verdict v;

	session_refuse(&v, code, status, text);
	return v;
}

#endif
