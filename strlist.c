/* SPDX-License-Identifier: ISC */
/*
 * strlist.c - a list of strings.
 */
#include <stdlib.h>
#include <string.h>

#include "strlist.h"

#define FIRST_SIZE	1024	/* octets */

int
strings_add(struct strings *list, const char *s)
{
	size_t n = strlen(s) + 1, size = list->size;
	char *text;

	while (size - list->len < n)
		size = size == 0 ? FIRST_SIZE : size * 2;
	if (size != list->size) {
		if ((text = realloc(list->text, size)) == NULL)
			return -1;
		list->text = text;
		list->size = size;
	}
	memcpy(list->text + list->len, s, n);
	list->len += n;
	list->count++;
	return 0;
}

int
strings_add_within(struct strings *list, const char *s, size_t max)
{
	return list->len + strlen(s) + 1 > max ? -1 : strings_add(list, s);
}

void
strings_pop(struct strings *list)
{
	if (list->count == 0)
		return;
	do
		list->len--;
	while (list->len > 0 && list->text[list->len - 1] != '\0');
	list->count--;
	list->at = list->number = 0;
}

void
strings_free(struct strings *list)
{
	free(list->text);
	*list = (struct strings){ 0 };
}

const char *
strings_at(struct strings *list, unsigned number)
{
	if (number >= list->count)
		return NULL;
	if (number < list->number)
		list->at = list->number = 0;
	for (; list->number < number; list->number++)
		list->at += strlen(list->text + list->at) + 1;
	return list->text + list->at;
}

const char *
strings_next(const struct strings *list, const char *s)
{
	s = s == NULL ? list->text : s + strlen(s) + 1;
	return list->len == 0 || s == list->text + list->len ? NULL : s;
}
