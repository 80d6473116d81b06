/*
 * module.c - what is loaded only when a session needs it: tls.so and auth.so,
 * from the program's own directory (a build tree) or the place they are
 * installed in.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "smtpd.h"

/* The directory of the running program, or "" if it can't be told. */
static const char *
own_directory(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	if ((slash = strrchr(path, '/')) != NULL)
		*slash = '\0';
	return path;
}

const void *
module_open(const char *file, const char *symbol, char *err, size_t size)
{
	char own[PATH_MAX], path[PATH_MAX + 64];
	const char *const places[] = { own_directory(own, sizeof own),
	    MODULE_DIR };
	const void *found;
	void *handle = NULL;
	size_t i;

	for (i = 0; i < 2 && handle == NULL; i++) {
		snprintf(path, sizeof path, "%s/%s", places[i], file);
		if (i == 1 || access(path, R_OK) == 0)
			handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	}
	if (handle == NULL) {
		snprintf(err, size, "%s", dlerror());
		return NULL;
	}
	if ((found = dlsym(handle, symbol)) == NULL)
		snprintf(err, size, "%s has no %s", path, symbol);
	return found;
}
