/*
 * verdict.h - what a hook answers, in a word.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include "session.h"

static inline struct session_verdict
verdict_accept(void)
{
	return (struct session_verdict){ .kind = SESSION_ACCEPT };
}

/* The strings must last until the engine has copied them. */
static inline struct session_verdict
verdict_refuse(int code, const char *status, const char *text)
{
	return (struct session_verdict){ SESSION_REFUSE, code, status, text };
}

#endif
