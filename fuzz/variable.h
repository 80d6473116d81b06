/* SPDX-License-Identifier: ISC */
/*
 * variable.h - an environment of one variable, VARIABLE, which is to be defined
 * before this.  setenv(3) keeps every value that there ever was.
 */
#ifndef FUZZ_VARIABLE_H
#define FUZZ_VARIABLE_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct {
	bool		 set;
	char		 value[4096];
} variable;

char *
getenv(const char *name)
{
	return variable.set && strcmp(name, VARIABLE) == 0 ? variable.value :
	    NULL;
}

int
setenv(const char *name, const char *value, int replace)
{
	variable.set = strcmp(name, VARIABLE) == 0 && replace &&
	    strlcpy(variable.value, value, sizeof(variable.value)) <
	    sizeof(variable.value);
	return variable.set ? 0 : -1;
}

int
unsetenv(const char *name)
{
	variable.set &= strcmp(name, VARIABLE) != 0;
	return 0;
}

#endif
