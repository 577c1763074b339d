#include "services/reco/params.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static const struct setting {
	const char *name;
	size_t at;
	bool whole; /* an int, else a double */
	double min, max;
} settings[] = {
	{ "neighbours", offsetof(struct train_params, neighbours), true, 10, 512 },
	{ "factors", offsetof(struct train_params, factors), true, 0, 512 },
	{ "sweeps", offsetof(struct train_params, sweeps), true, 1, 50 },
	{ "ridge", offsetof(struct train_params, ridge), false, 0.1, 100000 },
	{ "half_life_days", offsetof(struct train_params, half_life_days), false, 1, 3650 },
	{ "basket_half_life_days", offsetof(struct train_params, basket_half_life_days), false, 1, 3650 },
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static void take(const char *name, const json_t *v, struct train_params *p, struct err *e)
{
	double x = json_is_number(v) ? json_number_value(v) : -1;

	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];

		if (strcmp(name, s->name) != 0)
			continue;
		if (!(x >= s->min && x <= s->max) || (s->whole && x != floor(x))) {
			if (e)
				err_detail(e, "params", NULL, "%s is a %snumber from %g to %g", s->name, s->whole ? "whole " : "",
					   s->min, s->max);
		} else if (s->whole) {
			*(int *)((char *)p + s->at) = (int)x;
		} else {
			*(double *)((char *)p + s->at) = x;
		}
		return;
	}
	if (e)
		err_detail(e, "params", NULL, "%.40s is not known", name);
}

void params_read(const char *text, struct train_params *p_r, struct err *e)
{
	json_t *o = json_loads(text ? text : "{}", 0, NULL), *v;
	const char *name;

	*p_r = train_defaults;
	if (e && !json_is_object(o))
		err_detail(e, "params", NULL, "is an object");
	json_object_foreach(o, name, v)
	{
		take(name, v, p_r, e);
	}
	json_decref(o);
}

const char *params_text(struct arena *a, const struct train_params *p)
{
	const char *text = "{";

	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		const void *at = (const char *)p + s->at;

		text = arena_printf(a, "%s%s\"%s\": %g", text, i ? ", " : "", s->name,
				    s->whole ? *(const int *)at : *(const double *)at);
	}
	return arena_printf(a, "%s}", text);
}
