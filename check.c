/* SPDX-License-Identifier: ISC */
/*
 * check.c - smtpd -t: everything that can be known without a client.
 *
 * Each part checks its own settings; this file decides their order, and as
 * which user.
 */
#include <sys/stat.h>
#include <sys/types.h>

#include <err.h>
#include <grp.h>
#include <sysexits.h>
#include <unistd.h>

#include "filter.h"
#include "smtpd.h"

/*
 * Root may read and write everything, and the service runs as somebody else:
 * most likely as the owner of the spool.  That user's other groups are not
 * known here: a static program can't ask for them.
 */
static void
become_owner(const struct settings *set)
{
	struct stat st;

	if (geteuid() != 0)
		return;
	if (set->spool != NULL && stat(set->spool, &st) == 0) {
		if (st.st_uid == 0)
			return;
		warnx("root runs this: checking as the owner of the spool, "
		    "user %u, group %u", st.st_uid, st.st_gid);
		if (setgroups(0, NULL) == 0 && setgid(st.st_gid) == 0 &&
		    setuid(st.st_uid) == 0)
			return;
	}
	warnx("root runs this: WHAT THE USER OF THE SERVICE MAY READ AND WRITE "
	    "IS NOT CHECKED; run it as that user: runuser -u smtpd -- smtpd "
	    "-t ...");
}

int
check_all(const struct settings *set)
{
	int bad = 0;

	if (handover_at_start(set, true))
		handover_now();
	become_owner(set);
	if (set->spool == NULL && set->exec == NULL) {
		warnx("neither spool nor exec is set: there is nowhere to put "
		    "a message");
		bad++;
	}
	bad += deliver_check(set);
	bad += filter_check(set);
	bad += sandbox_check(set);
	if (set->tls != TLS_OFF)
		bad += tls_module == NULL ? 1 : tls_module->check(set);
	if (set->auth != AUTH_OFF)
		bad += auth_module == NULL ? 1 : auth_module->check(set);
	return bad == 0 ? 0 : EX_CONFIG;
}
