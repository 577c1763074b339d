#include "services/reco/orders.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLOTS (1u << 18) /* open addressing; half of them may be used */
#define FIELDS 6

struct names {
	const char **slot;
	int32_t *number;
	int32_t n;
};

static void names_new(struct arena *a, struct names *t)
{
	t->slot = arena_array(a, SLOTS, sizeof(*t->slot));
	t->number = arena_array(a, SLOTS, sizeof(*t->number));
	t->n = 0;
}

/* The number of a name, in order of first sight; -1 when the table is full. */
static int32_t number_of(struct arena *a, struct names *t, const char *s)
{
	uint32_t h = 2166136261u;

	for (const char *p = s; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (h &= SLOTS - 1; t->slot[h]; h = (h + 1) & (SLOTS - 1))
		if (strcmp(t->slot[h], s) == 0)
			return t->number[h];
	if ((unsigned)t->n >= SLOTS / 2)
		return -1;
	t->slot[h] = arena_strdup(a, s);
	return t->number[h] = t->n++;
}

/* Five digits and a letter or two: everything else is postage, a fee, a correction. */
static bool is_product(const char *sku)
{
	for (int i = 0; i < 5; i++)
		if (!isdigit((unsigned char)sku[i]))
			return false;
	return true;
}

static bool day_of(const char *text, float *day_r)
{
	struct tm tm = { 0 };

	if (!strptime(text, "%Y-%m-%d %H:%M:%S", &tm))
		return false;
	*day_r = (float)((double)timegm(&tm) / 86400.0);
	return true;
}

struct reading {
	struct names baskets, customers, items;
	struct orders *o;
	size_t room;
};

/* False when the tables are full. */
static bool take(struct arena *a, struct reading *r, char *const *field)
{
	struct order_line l = { .customer = -1 };
	struct orders *o = r->o;

	if (field[0][0] == 'C' || strtol(field[4], NULL, 10) <= 0 || !is_product(field[3]) || !day_of(field[1], &l.day))
		return true;
	l.basket = number_of(a, &r->baskets, field[0]);
	l.item = number_of(a, &r->items, field[3]);
	if (field[2][0])
		l.customer = number_of(a, &r->customers, field[2]);
	if (l.basket < 0 || l.item < 0 || (field[2][0] && l.customer < 0))
		return false;
	if (o->n == r->room) {
		struct order_line *more = arena_array(a, r->room *= 2, sizeof(*more));

		memcpy(more, o->lines, o->n * sizeof(*more));
		o->lines = more;
	}
	o->lines[o->n++] = l;
	o->last_day = l.day > o->last_day ? l.day : o->last_day;
	return true;
}

static int split(char *line, char **field)
{
	int n = 0;

	line[strcspn(line, "\r\n")] = '\0';
	for (char *p = line; p && n < FIELDS; n++) {
		field[n] = p;
		p = strchr(p, '\t');
		if (p)
			*p++ = '\0';
	}
	return n;
}

enum err_code orders_read(struct arena *a, const char *file, struct orders *o_r, struct err *e)
{
	FILE *f = fopen(file, "r");
	struct orders o = { 0 };
	struct reading r = { .o = &o, .room = 65536 };
	char *line = NULL, *field[FIELDS];
	size_t cap = 0;

	if (!f)
		return err_set(e, E_NOT_FOUND, "common.not_found", "%s: %s", file, strerror(errno));
	names_new(a, &r.baskets);
	names_new(a, &r.customers);
	names_new(a, &r.items);
	o.lines = arena_array(a, r.room, sizeof(*o.lines));
	while (!e->code && getline(&line, &cap, f) > 0)
		if (split(line, field) == FIELDS && !take(a, &r, field))
			(void)!err_set(e, E_TOO_LARGE, "common.too_large", "%s: too many orders, customers or products", file);
	free(line);
	fclose(f);
	if (e->code)
		return e->code;
	o.baskets = r.baskets.n;
	o.customers = r.customers.n;
	o.items = r.items.n;
	*o_r = o;
	return OK;
}
