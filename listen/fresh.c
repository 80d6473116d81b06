/* SPDX-License-Identifier: ISC */
/*
 * fresh.c - have the files changed since they were read?
 *
 * A process for each connection reads everything anew.  The listener reads only
 * what has changed.
 */
#include <sys/types.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listen/listen.h"

#define FILES_MAX	(2 * TLS_CERTS_MAX + 16)
#define SELF		"SMTPD_SELF"	/* the path of the first program */

struct mark {
	dev_t		 dev;
	ino_t		 ino;
	off_t		 size;
	struct timespec	 written, changed;
};

struct marks {
	struct mark	 list[FILES_MAX];
	unsigned	 count;
};

static struct marks	settings, files, programs;

/* A file that is missing gets a mark, too: it may appear. */
static void
mark_file(struct marks *m, const char *path)
{
	struct mark *mark = &m->list[m->count];
	struct stat st;

	if (path == NULL || m->count == FILES_MAX)
		return;
	m->count++;
	if (stat(path, &st) == -1)
		return;
	mark->dev = st.st_dev;
	mark->ino = st.st_ino;
	mark->size = st.st_size;
	mark->written = st.st_mtim;
	mark->changed = st.st_ctim;
}

static void
look_at_settings(struct marks *m, const char *path)
{
	memset(m, 0, sizeof(*m));
	mark_file(m, path);
}

static void
look_at_files(struct marks *m, const struct settings *set)
{
	struct named_file f = { 0 };

	memset(m, 0, sizeof(*m));
	while (settings_next_file(set, &f))
		if (f.reader != READ_BY_SESSION)
			mark_file(m, f.path);
}

static void
look_at_programs(struct marks *m)
{
	memset(m, 0, sizeof(*m));
	mark_file(m, fresh_self());
	mark_file(m, handover_program());
}

void
fresh_settings(const char *path)
{
	look_at_settings(&settings, path);
}

void
fresh_files(const struct settings *set)
{
	look_at_files(&files, set);
}

void
fresh_programs(void)
{
	look_at_programs(&programs);
}

enum fresh
fresh_look(const struct settings *set)
{
	static struct marks now;

	look_at_programs(&now);
	if (memcmp(&now, &programs, sizeof(now)) != 0)
		return FRESH_PROGRAM;
	look_at_files(&now, set);
	if (memcmp(&now, &files, sizeof(now)) != 0)
		return FRESH_FILES;
	look_at_settings(&now, set->file);
	return memcmp(&now, &settings, sizeof(now)) != 0 ? FRESH_SETTINGS :
	    FRESH_SAME;
}

/* What an earlier program of this process left, or NULL. */
static const char *
left_path(void)
{
	const char *left = getenv(SELF);
	char pid[24];

	snprintf(pid, sizeof(pid), "%ld ", (long)getpid());
	return left != NULL && strncmp(left, pid, strlen(pid)) == 0 ?
	    left + strlen(pid) : NULL;
}

bool
fresh_is_first(void)
{
	return left_path() == NULL;
}

/*
 * smtpd-tls does not know the path of the smtpd that it was before, so smtpd
 * leaves it in the environment, with the process id.
 */
const char *
fresh_self(void)
{
	static char value[1100];
	const char *path;

	if (*value == '\0') {
		if ((path = left_path()) == NULL)
			path = (const char *)getauxval(AT_EXECFN);
		snprintf(value, sizeof(value), "%ld ", (long)getpid());
		strlcat(value, path != NULL ? path : handover_program(),
		    sizeof(value));
	}
	setenv(SELF, value, 1);
	return strchr(value, ' ') + 1;
}
