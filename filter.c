/* SPDX-License-Identifier: ISC */
/*
 * filter.c - the list of filters, and the walk through it.
 *
 * What is cheap and final comes first: the list of recipients, then whether
 * there is room for one more.  Policy servers come after that, or they would be
 * asked twice about those with which the client comes again.
 */
#include <string.h>

#include "filter.h"
#include "verdict.h"

/* Without a place for mail no recipient is accepted. */
static struct session_verdict
place_rcpt(struct connection *c, const struct session_rcpt *r)
{
	(void)r;
	if (c->settings.spool != NULL || c->settings.exec != NULL)
		return verdict_accept();
	log_error(0, "neither spool nor exec is set", NULL);
	return verdict_refuse(451, "4.3.5", "No place for mail here yet");
}

static const struct filter place_filter = {
	.name = "place", .rcpt = place_rcpt
};

static struct session_verdict
room_rcpt(struct connection *c, const struct session_rcpt *r)
{
	return arguments_room(c, r) ? verdict_accept() :
	    verdict_refuse(452, "4.5.3", "Too many recipients");
}

static const struct filter room_filter = {
	.name = "room", .crowd = true, .rcpt = room_rcpt
};

static const struct filter *const filters[] = {
	&place_filter, &recipients_filter, &room_filter, &policy_filter,
	&milter_filter,
};
#define FILTERS		nitems(filters)

/* A filter that has nothing to do is not called: its memory stays untouched. */
static bool
takes_part(const struct connection *c, size_t i)
{
	return (c->filters & 1u << i) != 0;
}

void
filter_start(struct connection *c)
{
	const struct filter *f;
	size_t i;

	c->filters = 0;
	for (i = 0; i < FILTERS; i++) {
		f = filters[i];
		if (f->wanted != NULL && !f->wanted(&c->settings))
			continue;
		c->filters |= 1u << i;
		if (f->start != NULL)
			f->start(c);
	}
}

struct session_verdict
filter_mail(struct connection *c, const struct session_mail *m)
{
	struct session_verdict v = verdict_accept();
	size_t i;

	for (i = 0; i < FILTERS && v.kind == SESSION_ACCEPT; i++)
		if (takes_part(c, i) && filters[i]->mail != NULL)
			v = filters[i]->mail(c, m);
	return v;
}

struct session_verdict
filter_rcpt(struct connection *c, const struct session_rcpt *r, bool *crowd)
{
	struct session_verdict v = verdict_accept();
	size_t i;

	for (i = 0; i < FILTERS && v.kind == SESSION_ACCEPT; i++) {
		if (!takes_part(c, i) || filters[i]->rcpt == NULL)
			continue;
		*crowd = filters[i]->crowd;
		v = filters[i]->rcpt(c, r);
	}
	return v;
}

struct session_verdict
filter_data(struct connection *c)
{
	struct session_verdict v = verdict_accept();
	size_t i;

	for (i = 0; i < FILTERS && v.kind == SESSION_ACCEPT; i++)
		if (takes_part(c, i) && filters[i]->data != NULL)
			v = filters[i]->data(c);
	return v;
}

struct session_verdict
filter_end(struct connection *c, uint64_t size)
{
	struct session_verdict v = verdict_accept();
	size_t i;

	if (c->tx.judged)
		return c->tx.judgement;
	for (i = 0; i < FILTERS && v.kind == SESSION_ACCEPT &&
	    !c->tx.discard; i++)
		if (takes_part(c, i) && filters[i]->end != NULL)
			v = filters[i]->end(c, size);
	c->tx.judged = true;
	c->tx.judgement = v;
	return v;
}

void
filter_reset(struct connection *c)
{
	size_t i;

	for (i = 0; i < FILTERS; i++)
		if (takes_part(c, i) && filters[i]->reset != NULL)
			filters[i]->reset(c);
}

void
filter_stop(struct connection *c)
{
	size_t i;

	for (i = 0; i < FILTERS; i++)
		if (takes_part(c, i) && filters[i]->stop != NULL)
			filters[i]->stop(c);
}

int
filter_check(const struct settings *set)
{
	int wrong = 0;
	size_t i;

	for (i = 0; i < FILTERS; i++)
		if (filters[i]->check != NULL)
			wrong += filters[i]->check(set);
	return wrong;
}
