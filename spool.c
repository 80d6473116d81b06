/*
 * spool.c - messages into a Maildir, durable before anybody is told so.
 *
 * Where the file system can do it, a message is a file without a name until it
 * is whole and on disk, and then gets its name in new/: what is cut short
 * leaves nothing, whatever cut it.  Elsewhere it is written under tmp/ and
 * moved.  Directories are opened once, at the first message, and all below
 * them is done relative to these descriptors.
 */
#define _GNU_SOURCE	/* O_TMPFILE, renameat2(2) */

#include <sys/types.h>
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deliver.h"

#define DIR_FLAGS	(O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define NAME_TRIES	8	/* until a name is free */

static struct {
	const char	*path;
	int		 dir, tmp, new;
	bool		 named;		/* this message has a name in tmp/ */
	bool		 no_unnamed;	/* the file system can't do without */
	bool		 by_proc;	/* link through /proc */
	unsigned	 count;
	char		 host[65];
	char		 name[128];
} s = { .dir = -1, .tmp = -1, .new = -1 };

static const char *const parts[] = { "tmp", "new", "cur" };
#define PARTS	(sizeof(parts) / sizeof(parts[0]))

/* Log what failed, keep errno. */
static int
failed(const char *what, const char *object)
{
	int	 error = errno;

	log_error(error, what, object != NULL ? object : s.path);
	errno = error;
	return -1;
}

/* Forget the descriptors: the next message looks anew. */
static void
close_spool(void)
{
	int	 error = errno, *fd[] = { &s.dir, &s.tmp, &s.new };
	size_t	 i;

	for (i = 0; i < sizeof(fd) / sizeof(fd[0]); i++) {
		if (*fd[i] != -1)
			close(*fd[i]);
		*fd[i] = -1;
	}
	errno = error;
}

/*
 * In a directory of somebody else, or one that everybody may write to, others
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

/* Make what is missing; 1 if something was. */
static int
make_part(const char *name)
{
	struct stat	 st;
	const char	*reason;
	int		 made = 0;

	if (fstatat(s.dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno != ENOENT)
			return failed("stat", name);
		if (mkdirat(s.dir, name, 0700) == 0)
			made = 1;
		else if (errno != EEXIST)	/* another of us was quicker */
			return failed("mkdir", name);
		if (fstatat(s.dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			return failed("stat", name);
	}
	if ((reason = unsafe(&st)) != NULL) {
		log_error(0, reason, name);
		errno = EPERM;
		return -1;
	}
	return made;
}

/*
 * The path itself may be a symbolic link: whoever wrote the settings file is
 * trusted, and systemd's DynamicUser= makes one of /var/lib/NAME.
 */
static int
open_dir(void)
{
	struct stat	 st;
	const char	*reason;
	int		 made = 0;

	s.dir = open(s.path, DIR_FLAGS);
	if (s.dir == -1 && errno == ENOENT && mkdir(s.path, 0700) == 0) {
		made = 1;
		s.dir = open(s.path, DIR_FLAGS);
	}
	if (s.dir == -1 || fstat(s.dir, &st) == -1)
		return failed("open", NULL);
	if ((reason = unsafe(&st)) != NULL) {
		log_error(0, reason, s.path);
		errno = EPERM;
		return -1;
	}
	return made;
}

/* A directory just made has a name of its own that is to last. */
static int
sync_made(bool above)
{
	int	 fd;

	if (fsync(s.dir) == -1)
		return failed("fsync", NULL);
	if (!above || (fd = openat(s.dir, "..", DIR_FLAGS)) == -1)
		return 0;	/* it can't be read: leave it at that */
	if (fsync(fd) == -1)
		failed("fsync", "..");
	close(fd);
	return 0;
}

/*
 * How a file without a name can get one.  By its descriptor alone a process
 * may link only with a capability, or since Linux 6.10 if it opened the file
 * itself; "." as the new name tells without linking anything.  Else by way
 * of /proc, if that is there.
 */
static void
probe_link(void)
{
	if (linkat(s.dir, "", s.new, ".", AT_EMPTY_PATH) == -1 &&
	    errno == EEXIST)
		return;
	s.by_proc = true;
	s.no_unnamed = access("/proc/self/fd", X_OK) == -1;
}

/* Part of each name; without what would mean something in it. */
static void
find_host(void)
{
	if (gethostname(s.host, sizeof(s.host) - 1) == -1)
		s.host[0] = '\0';
	s.host[strcspn(s.host, "/:")] = '\0';
	if (s.host[0] == '\0')
		strlcpy(s.host, "localhost", sizeof(s.host));
}

static int
open_spool(void)
{
	int	 above, below = 0, n;
	size_t	 i;

	if ((above = open_dir()) == -1)
		return -1;
	for (i = 0; i < PARTS; i++) {
		if ((n = make_part(parts[i])) == -1)
			return -1;
		below += n;
	}
	if ((above || below) && sync_made(above) == -1)
		return -1;
	s.new = openat(s.dir, "new", DIR_FLAGS | O_NOFOLLOW);
	if (s.new == -1)
		return failed("open", "new");
	probe_link();
	find_host();
	return 0;
}

/* A name that nobody else makes, as Maildir wants it. */
static void
next_name(void)
{
	struct timespec	 now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(s.name, sizeof(s.name), "%lld.M%ldP%ldQ%u.%s",
	    (long long)now.tv_sec, now.tv_nsec / 1000, (long)getpid(),
	    s.count++, s.host);
}

/* In tmp/, under the name it will have in new/. */
static int
create_named(void)
{
	int	 fd;

	if (s.tmp == -1) {
		s.tmp = openat(s.dir, "tmp", DIR_FLAGS | O_NOFOLLOW);
		if (s.tmp == -1)
			return failed("open", "tmp");
	}
	next_name();
	fd = openat(s.tmp, s.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd == -1)
		return failed("create", "tmp");
	s.named = true;
	return fd;
}

/*
 * In new/ itself, where the name will be: one directory less to open, and the
 * kernel need not think about a move from one to another.
 */
static int
create(void)
{
	int	 fd;

	s.named = false;
	if (s.no_unnamed)
		return create_named();
	fd = openat(s.new, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd != -1)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return failed("create", NULL);
	s.no_unnamed = true;
	return create_named();
}

int
spool_create(const char *path)
{
	int	 fd = -1;

	s.path = path;
	if (s.new != -1 || open_spool() == 0)
		fd = create();
	if (fd == -1)
		close_spool();
	return fd;
}

static int
move_named(void)
{
	if (renameat2(s.tmp, s.name, s.new, s.name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return renameat(s.tmp, s.name, s.new, s.name);
}

static int
link_unnamed(int fd)
{
	char	 path[32];
	int	 n, tries = NAME_TRIES;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	do {
		next_name();
		n = s.by_proc ?
		    linkat(AT_FDCWD, path, s.new, s.name, AT_SYMLINK_FOLLOW) :
		    linkat(fd, "", s.new, s.name, AT_EMPTY_PATH);
	} while (n == -1 && errno == EEXIST && --tries > 0);
	return n;
}

static int
sync_fd(int fd)
{
	int	 n;

	while ((n = fsync(fd)) == -1 && errno == EINTR)
		;
	return n;
}

/*
 * First the octets, then the name, then that the name is there: a name in new/
 * is never that of half a message, not even after a power cut.
 */
static int
commit(int fd)
{
	if (sync_fd(fd) == -1)
		return failed("fsync", "message");
	if ((s.named ? move_named() : link_unnamed(fd)) == -1)
		return failed(s.named ? "rename" : "link", "new");
	s.named = false;
	if (sync_fd(s.new) == -1) {
		failed("fsync", "new");
		unlinkat(s.new, s.name, 0);
		return -1;
	}
	return 0;
}

int
spool_commit(int fd)
{
	int	 error, n;

	n = commit(fd);
	error = errno;
	spool_drop(fd);
	if (n == -1)
		close_spool();
	errno = error;
	return n;
}

void
spool_drop(int fd)
{
	if (s.named && unlinkat(s.tmp, s.name, 0) == -1)
		failed("unlink", "tmp");
	s.named = false;
	close(fd);
}

/* What is wrong with it, without making anything. */
static const char *
check_part(int dir, const char *name)
{
	struct stat	 st;
	const char	*reason;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? NULL : strerror(errno);
	if ((reason = unsafe(&st)) != NULL)
		return reason;
	return faccessat(dir, name, R_OK | W_OK | X_OK, AT_EACCESS) == 0 ?
	    NULL : strerror(errno);
}

/* It will be made: can it be? */
static int
check_missing(const char *path)
{
	char	*copy = strdup(path), *slash;
	const char *parent = ".";
	int	 n;

	if (copy == NULL)
		return 1;
	for (slash = copy + strlen(copy); slash > copy && slash[-1] == '/';)
		*--slash = '\0';
	if ((slash = strrchr(copy, '/')) != NULL) {
		slash[slash == copy] = '\0';
		parent = copy;
	}
	n = faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS);
	if (n == -1)
		warn("spool: %s", path);
	free(copy);
	return n == -1;
}

int
spool_check(const char *path)
{
	const char	*names[PARTS + 1] = { ".", "tmp", "new", "cur" };
	const char	*reason;
	int		 dir, wrong = 0;
	size_t		 i;

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
