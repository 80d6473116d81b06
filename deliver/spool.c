/* SPDX-License-Identifier: ISC */
/*
 * spool.c - messages into a Maildir, durable before anybody is told so.
 *
 * Where the file system can do it, a message is a file without a name until it
 * is whole; then it gets one in tmp/, is synced and moved to new/.  A message
 * cut short leaves nothing, whatever cut it, and a kill leaves a whole message
 * in tmp/ only during one fsync.  Elsewhere it has a name in tmp/ from the
 * start.  Directories are opened once, at the first message, and everything
 * below them is done relative to these descriptors.
 */
#define _GNU_SOURCE	/* O_TMPFILE, renameat2(2) */

#include <sys/types.h>
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deliver.h"

#ifndef RENAME_NOREPLACE	/* musl */
#include <sys/syscall.h>
#define RENAME_NOREPLACE	1
#define renameat2(from, old, to, new, flags) \
	(int)syscall(SYS_renameat2, from, old, to, new, flags)
#endif

#define DIR_FLAGS	(O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define NAME_TRIES	8	/* until a name is free */

static struct {
	const char	*path;
	int		 mode;		/* in which messages are opened */
	int		 dir, tmp, new;
	bool		 unsynced;	/* a directory may not be durable yet */
	bool		 named;		/* this message has a name in tmp/ */
	bool		 no_unnamed;	/* files need a name from the start */
	bool		 by_proc;	/* link through /proc */
	unsigned	 count;
	char		 host[65];
	char		 name[128];
} spool = { .dir = -1, .tmp = -1, .new = -1 };

/* In the order in which they are made; see make_parts(). */
static const char *const parts[] = { "tmp", "new", "cur" };
#define PARTS	nitems(parts)
#define CUR	(PARTS - 1)

/* Log what failed, keep errno. */
static int
spool_failed(const char *what, const char *object)
{
	int error = errno;

	log_error(error, what, object != NULL ? object : spool.path);
	errno = error;
	return -1;
}

/* Forget the descriptors: the next message looks anew. */
static void
close_spool(void)
{
	int error = errno, *fd[] = { &spool.dir, &spool.tmp, &spool.new };
	size_t i;

	for (i = 0; i < nitems(fd); i++) {
		if (*fd[i] != -1)
			close(*fd[i]);
		*fd[i] = -1;
	}
	errno = error;
}

/*
 * In somebody else's directory, or one that everybody may write to, others
 * could put links in our way or take messages out.
 */
static const char *
unsafe(const struct stat *st)
{
	if (!S_ISDIR(st->st_mode))
		return "is not a directory";
	if (st->st_uid != geteuid())
		return "belongs to somebody else";
	if ((st->st_mode & S_IWOTH) != 0)
		return "is writable by everybody";
	return NULL;
}

static int
refuse_unsafe(const struct stat *st, const char *name)
{
	const char *reason = unsafe(st);

	if (reason == NULL)
		return 0;
	log_error(0, reason, name);
	errno = EPERM;
	return -1;
}

static bool
is_missing(const char *name)
{
	struct stat st;

	return fstatat(spool.dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1 &&
	    errno == ENOENT;
}

static int
make_part(const char *name)
{
	struct stat st;

	if (is_missing(name)) {
		if (mkdirat(spool.dir, name, 0700) == 0)
			spool.unsynced = true;
		else if (errno != EEXIST)	/* another of us was quicker */
			return spool_failed("mkdir", name);
	}
	if (fstatat(spool.dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return spool_failed("stat", name);
	return refuse_unsafe(&st, name);
}

/*
 * The path itself may be a symbolic link: the author of the settings file is
 * trusted, and systemd's DynamicUser= makes /var/lib/NAME one.
 */
static int
open_dir(void)
{
	struct stat st;

	spool.dir = open(spool.path, DIR_FLAGS);
	if (spool.dir == -1 && errno == ENOENT &&
	    mkdir(spool.path, 0700) == 0)
		spool.dir = open(spool.path, DIR_FLAGS);
	if (spool.dir == -1 || fstat(spool.dir, &st) == -1)
		return spool_failed("open", NULL);
	return refuse_unsafe(&st, spool.path);
}

static int
sync_fd(int fd)
{
	int n;

	while ((n = fsync(fd)) == -1 && errno == EINTR)
		;
	return n;
}

/* If we may not open the directory above, sync the whole file system. */
static int
sync_above(void)
{
	int fd = openat(spool.dir, "..", DIR_FLAGS), n;

	n = fd == -1 ? syncfs(spool.dir) : sync_fd(fd);
	if (n == -1)
		spool_failed("fsync", "..");
	if (fd != -1)
		close(fd);
	return n;
}

/* above: the spool itself may be new. */
static int
sync_parts(bool above)
{
	if (sync_fd(spool.dir) == -1)
		return spool_failed("fsync", NULL);
	if (above && sync_above() == -1)
		return -1;
	spool.unsynced = false;
	return 0;
}

/*
 * Make what is missing.  cur/ comes last, once the others and the spool itself
 * are durable: if the process that made them was killed or could not sync, the
 * next one finds no cur/ and syncs them.
 */
static int
make_parts(void)
{
	bool fresh = is_missing(parts[CUR]);
	size_t i;

	for (i = 0; i < CUR; i++)
		if (make_part(parts[i]) == -1)
			return -1;
	if ((fresh || spool.unsynced) && sync_parts(fresh) == -1)
		return -1;
	if (make_part(parts[CUR]) == -1)
		return -1;
	spool.unsynced = false;	/* nothing of ours depends on cur/ */
	return 0;
}

/*
 * How can a file without a name get one?  A process may link it by its
 * descriptor alone only with a capability, or since Linux 6.10 if it opened the
 * file itself; trying "." as the new name tells without linking anything.
 * Otherwise through /proc, if that is there.
 */
static void
probe_link(void)
{
	if (linkat(spool.dir, "", spool.tmp, ".", AT_EMPTY_PATH) == -1 &&
	    errno == EEXIST)
		return;
	spool.by_proc = true;
	spool.no_unnamed = access("/proc/self/fd", X_OK) == -1;
}

/* Part of each name, cut before anything that would mean something there. */
static void
find_host(void)
{
	if (gethostname(spool.host, sizeof(spool.host) - 1) == -1)
		spool.host[0] = '\0';
	spool.host[strcspn(spool.host, "/:")] = '\0';
	if (spool.host[0] == '\0')
		strlcpy(spool.host, "localhost", sizeof(spool.host));
}

static int
open_part(int *fd, const char *name)
{
	*fd = openat(spool.dir, name, DIR_FLAGS | O_NOFOLLOW);
	return *fd == -1 ? spool_failed("open", name) : 0;
}

static int
open_spool(void)
{
	if (open_dir() == -1 || make_parts() == -1 ||
	    open_part(&spool.tmp, "tmp") == -1 ||
	    open_part(&spool.new, "new") == -1)
		return -1;
	probe_link();
	find_host();
	return 0;
}

/* Not with snprintf(3), which takes page after page of libc. */
bool
spool_part(char *to, size_t size, const char *path, const char *part)
{
	strlcpy(to, path, size);
	strlcat(to, "/", size);
	return strlcat(to, part, size) < size;
}

/* Is every directory there?  The sandbox has no rule for one that is not. */
static bool
all_there(const char *path)
{
	struct stat st;
	char part[PATH_MAX];
	size_t i;

	for (i = 0; i < PARTS; i++)
		if (!spool_part(part, sizeof(part), path, parts[i]) ||
		    stat(part, &st) == -1)
			return false;
	return true;
}

void
spool_make(const char *path)
{
	if (all_there(path))
		return;
	spool.path = path;
	if (open_dir() == 0)
		make_parts();
	close_spool();
}

/* A unique name, as Maildir wants it. */
static void
next_name(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(spool.name, sizeof(spool.name), "%lld.M%ldP%ldQ%u.%s",
	    (long long)now.tv_sec, now.tv_nsec / 1000, (long)getpid(),
	    spool.count++, spool.host);
}

/* In tmp/, under the name it will have in new/. */
static int
create_named(void)
{
	int fd, tries = NAME_TRIES;

	do {
		next_name();
		fd = openat(spool.tmp, spool.name, spool.mode | O_CREAT |
		    O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	} while (fd == -1 && errno == EEXIST && --tries > 0);
	if (fd == -1)
		return spool_failed("create", "tmp");
	spool.named = true;
	return fd;
}

/*
 * In tmp/, although new/ would be one directory less to open: so the sandbox
 * need not let files in new/ be written to, only moved there.
 */
static int
create_file(void)
{
	int fd;

	spool.named = false;
	if (spool.no_unnamed)
		return create_named();
	fd = openat(spool.tmp, ".", spool.mode | O_TMPFILE | O_CLOEXEC,
	    0600);
	if (fd != -1)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return spool_failed("create", NULL);
	spool.no_unnamed = true;
	return create_named();
}

static int
spool_create(const struct settings *set)
{
	int fd = -1;

	spool.path = set->spool;
	/* The sandbox lets it be read only where filters have to. */
	spool.mode = set->servers[MILTER][0].text != NULL ? O_RDWR : O_WRONLY;
	if (spool.new != -1 || open_spool() == 0)
		fd = create_file();
	if (fd == -1)
		close_spool();
	return fd;
}

static int
move_named(void)
{
	if (renameat2(spool.tmp, spool.name, spool.new, spool.name,
	    RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return renameat(spool.tmp, spool.name, spool.new, spool.name);
}

static int
link_unnamed(int fd)
{
	char path[32];
	int n, tries = NAME_TRIES;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	do {
		next_name();
		n = spool.by_proc ?
		    linkat(AT_FDCWD, path, spool.tmp, spool.name,
		    AT_SYMLINK_FOLLOW) :
		    linkat(fd, "", spool.tmp, spool.name, AT_EMPTY_PATH);
	} while (n == -1 && errno == EEXIST && --tries > 0);
	spool.named = n == 0;
	return n;
}

/*
 * The octets are synced first, then the name, then the directory: a name in
 * new/ is never that of half a message, not even after a power cut.
 *
 * It has a name in tmp/ before it is synced: without a journal, as on ext2,
 * fsck removes a file that had no link when it was synced, even if its name is
 * in a directory that was synced after it.
 */
static int
commit_file(int fd)
{
	if (!spool.named && link_unnamed(fd) == -1)
		return spool_failed("link", "tmp");
	if (sync_fd(fd) == -1)
		return spool_failed("fsync", "message");
	if (move_named() == -1)
		return spool_failed("rename", "new");
	spool.named = false;
	if (sync_fd(spool.new) == 0)
		return 0;
	spool_failed("fsync", "new");
	if (unlinkat(spool.new, spool.name, 0) == -1)
		spool_failed("unlink", "new");
	return -1;
}

static void
remove_named(void)
{
	if (spool.named && unlinkat(spool.tmp, spool.name, 0) == -1)
		spool_failed("unlink", "tmp");
	spool.named = false;
}

static int
spool_commit(struct connection *c, int fd, uint64_t size, unsigned recipient,
    struct session_verdict *v)
{
	int error;

	(void)c, (void)size, (void)recipient, (void)v;
	if (commit_file(fd) == 0)
		return 0;
	error = errno;
	remove_named();
	close_spool();
	errno = error;
	return -1;
}

static void
spool_drop(int fd)
{
	remove_named();
	close(fd);
}

/* One file for all recipients. */
static bool
spool_each(const struct settings *set)
{
	(void)set;
	return false;
}

/* What is wrong with it, without making anything. */
static const char *
check_part(int dir, const char *name)
{
	struct stat st;
	const char *reason;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? NULL : strerror(errno);
	if ((reason = unsafe(&st)) != NULL)
		return reason;
	return faccessat(dir, name, R_OK | W_OK | X_OK, AT_EACCESS) == 0 ?
	    NULL : strerror(errno);
}

/* There is no other way to know: access(2) ignores a full disk, or /proc. */
static int
try_mkdir(const char *parent)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/.smtpd-test-%ld", parent,
	    (long)getpid()) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return mkdir(path, 0700) == -1 ? -1 : rmdir(path);
}

/* It will have to be made: is that possible? */
static int
check_missing(const char *path)
{
	char *copy = strdup(path), *slash;
	const char *parent = ".";
	int n;

	if (copy == NULL)
		return 1;
	for (slash = copy + strlen(copy); slash > copy && slash[-1] == '/';)
		*--slash = '\0';
	if ((slash = strrchr(copy, '/')) != NULL) {
		slash[slash == copy] = '\0';
		parent = copy;
	}
	n = try_mkdir(parent);
	if (n == -1)
		warn("spool: %s", path);
	free(copy);
	return n == -1;
}

static int
spool_check(const struct settings *set)
{
	const char *path = set->spool;
	const char *names[PARTS + 1] = { ".", "tmp", "new", "cur" };
	const char *reason;
	int dir, wrong = 0;
	size_t i;

	if ((dir = open(path, DIR_FLAGS)) == -1) {
		if (errno == ENOENT)
			return check_missing(path);
		warn("spool: %s", path);
		return 1;
	}
	for (i = 0; i < PARTS + 1; i++)
		if ((reason = check_part(dir, names[i])) != NULL) {
			warnx("spool: %s/%s: %s", path, names[i], reason);
			wrong++;
		}
	close(dir);
	return wrong;
}

const struct target spool_target = {
	"spool", spool.name, false, spool_create, spool_commit, spool_drop,
	spool_each, spool_check
};
