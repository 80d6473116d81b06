/* SPDX-License-Identifier: ISC */
/*
 * exchange.h - a question to a policy server, and its answer.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "smtpd.h"

/*
 * The length of the answer, with one of the two line ends that end it; or -1
 * with errno: EALREADY if it was too slow in this transaction already.
 */
ssize_t	exchange(const struct server *, const char *question, size_t,
	    char *answer, size_t, unsigned seconds);
void	exchange_reset(void);		/* the transaction is over */

#endif
