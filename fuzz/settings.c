/* SPDX-License-Identifier: ISC */
/*
 * settings.c - a libFuzzer target for the settings: a file, behind a first
 * octet that says whether its lines are given with -o instead.
 *
 * What is refused has a reason in one line.  What is taken is shown as a file,
 * and that is read to the same.
 */
#include "fuzz/file.h"
#include "fuzz/fuzz.h"
#include "smtpd.h"

#define DUMP_MAX	65536

struct dump {
	size_t		 len;
	char		 text[DUMP_MAX];
};

/* A setting would say where the machine is. */
int
gethostname(char *name, size_t size)
{
	CHECK(strlcpy(name, "mx.test", size) < size);
	return 0;
}

static void
check_reason(const char *err)
{
	CHECK(*err != '\0');
	for (; *err != '\0'; err++)
		CHECK((unsigned char)*err >= ' ' || *err == '\t');
}

/* Each line as an option. */
static int
options(struct settings *set, const char *s, size_t len, char *err,
    size_t size)
{
	const char *end = s + len, *next;
	char *line;
	int rc = 0;

	for (; s < end && rc == 0; s = next + 1) {
		if ((next = memchr(s, '\n', (size_t)(end - s))) == NULL)
			next = end;
		line = fuzz_string(s, (size_t)(next - s));
		rc = settings_option(set, line, err, size);
		free(line);
	}
	return rc;
}

static int
take(struct settings *set, const char *s, size_t len, bool as_options)
{
	char err[1024] = "";
	int rc;

	settings_init(set);
	file_begin(s, len);
	rc = as_options ? options(set, s, len, err, sizeof(err)) :
	    settings_file(set, "conf", err, sizeof(err));
	file_end();
	if (rc == 0)
		rc = settings_finish(set, err, sizeof(err));
	if (rc == -1)
		check_reason(err);
	return rc;
}

static void
show(const struct settings *set, struct dump *d)
{
	static FILE *out;

	if (out == NULL)
		CHECK((out = fmemopen(NULL, DUMP_MAX, "w+")) != NULL);
	rewind(out);
	stdout = out;
	settings_dump(set);
	d->len = (size_t)ftell(out);
	rewind(out);
	CHECK(fread(d->text, 1, d->len, out) == d->len);
}

static void
check_files(const struct settings *set)
{
	struct named_file f = { 0 };

	while (settings_next_file(set, &f))
		CHECK(*f.path != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct settings set;
	static struct dump one, two;
	char *copy;

	if (len == 0)
		return 0;
	copy = fuzz_copy(data + 1, len - 1);
	if (take(&set, copy, len - 1, *data % 2 != 0) == 0) {
		check_files(&set);
		show(&set, &one);
		CHECK(take(&set, one.text, one.len, false) == 0);
		show(&set, &two);
		CHECK(one.len == two.len &&
		    memcmp(one.text, two.text, one.len) == 0);
	}
	free(copy);
	return 0;
}
