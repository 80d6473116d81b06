/* SPDX-License-Identifier: ISC */
/*
 * inspect.c - what -t says about a program that a setting names, and about a
 * file with secrets.
 */
#include <sys/stat.h>
#include <sys/types.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtpd.h"

/* Words of the settings for a program. */

/* Whoever writes these has a shell in mind. */
#define SHELL_ONLY	"\"'`|<>;&"

/* Words that are replaced, but only as whole words. */
static const char *const placeholders[] = {
	"{sender}", "{recipient}", "{recipients}"
};

static int
check_word(const char *setting, const char *word)
{
	size_t i;

	if (strpbrk(word, SHELL_ONLY) != NULL) {
		warnx("%s: %s: no shell reads this: quotes, |, <, >, ; and & "
		    "mean nothing", setting, word);
		return 1;
	}
	for (i = 0; i < nitems(placeholders); i++)
		if (strstr(word, placeholders[i]) != NULL &&
		    strcmp(word, placeholders[i]) != 0) {
			warnx("%s: %s: %s must be a word of its own", setting,
			    word, placeholders[i]);
			return 1;
		}
	if (strchr(word, '$') != NULL)
		warnx("%s: %s: warning: no shell reads this: $ means nothing",
		    setting, word);
	return 0;
}

static bool
is_placeholder(const char *word)
{
	size_t i;

	for (i = 0; i < nitems(placeholders); i++)
		if (strcmp(word, placeholders[i]) == 0)
			return true;
	return false;
}

/*
 * An address may begin with a dash, and would then be taken for an option;
 * unless it belongs to one, as in "-f {sender}".
 */
static void
check_dashes(const char *setting, char *const *words)
{
	size_t i;

	for (i = 1; words[0] != NULL && words[i] != NULL; i++) {
		if (strcmp(words[i], "--") == 0)
			return;
		if (is_placeholder(words[i]) && words[i - 1][0] != '-') {
			warnx("%s: warning: no -- before %s: an address may "
			    "begin with a dash", setting, words[i]);
			return;
		}
	}
}

/* The file of a program. */

/* Why the first octets of a file are not a program's, or NULL. */
static const char *
head_fault(char *head)
{
	static char fault[PATH_MAX + 32];
	char *interpreter;

	if (strncmp(head, "\177ELF", 4) == 0)
		return NULL;
	if (strncmp(head, "#!", 2) != 0)
		return "neither a binary nor a script that begins with #!";
	interpreter = head + 2 + strspn(head + 2, " \t");
	interpreter[strcspn(interpreter, " \t\n")] = '\0';
	if (access(interpreter, X_OK) == 0)
		return NULL;
	snprintf(fault, sizeof(fault), "its interpreter %s: %s%s", interpreter,
	    strerror(errno), strchr(interpreter, '\r') != NULL ?
	    " (the line ends with CR LF)" : "");
	return fault;
}

/* Why the file can't be run, or NULL. */
static const char *
file_fault(const char *path)
{
	char head[256];
	struct stat st;
	ssize_t n;
	int fd;

	if (stat(path, &st) == -1 || access(path, X_OK) == -1)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return strerror(EACCES);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return NULL;	/* may be run, but not read */
	n = read(fd, head, sizeof(head) - 1);
	close(fd);
	head[n > 0 ? n : 0] = '\0';
	return head_fault(head);
}

/* As execvp(3) will look for it, in the process that runs in /. */
static const char *
path_fault(const char *name)
{
	const char *path = getenv("PATH"), *end;
	char full[PATH_MAX];
	size_t len;

	if (path == NULL)
		path = _PATH_STDPATH;
	for (;; path = end + 1) {
		len = strcspn(path, ":");
		end = path + len;
		if (snprintf(full, sizeof(full), "%.*s/%s", (int)len, path,
		    name) < (int)sizeof(full) && access(full, X_OK) == 0)
			return file_fault(full);
		if (*end == '\0')
			return strerror(ENOENT);
	}
}

int
inspect_program(const char *setting, char *const *words)
{
	const char *fault;
	int bad = 0;
	size_t i;

	fault = strchr(words[0], '/') != NULL ? file_fault(words[0]) :
	    path_fault(words[0]);
	if (fault != NULL) {
		warnx("%s: %s: %s", setting, words[0], fault);
		bad++;
	}
	for (i = 0; words[i] != NULL; i++)
		bad += check_word(setting, words[i]);
	check_dashes(setting, words);
	return bad;
}

int
inspect_secret(const char *setting, const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1 || (st.st_mode & S_IROTH) == 0)
		return 0;
	warnx("%s: %s: everybody can read it", setting, path);
	return 1;
}
