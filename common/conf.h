/*
 * Settings: one table per program naming every key, its default, limits and help. Values come, strongest first, from
 * the environment NAME or NAME_FILE (a file whose content is the value; for secrets), from --config FILE (lines
 * KEY=VALUE, # comments, no quoting), from the default.
 *
 *	struct cart_conf { struct daemon_conf d; const char *catalog_url; int max_lines; };
 *	static const struct conf_key cart_keys[] = {
 *		DAEMON_KEYS(cart_conf, "CART", "7004", "7104", "7204"),
 *		CONF(cart_conf, catalog_url, "CATALOG_URL", "tcp://127.0.0.1:7002", 0, 0, 0, "catalog's address"),
 *		CONF(cart_conf, max_lines, "CART_MAX_LINES", "100", 1, 1000, 0, "lines a cart may hold"),
 *		CONF_END
 *	};
 *
 * An empty environment value counts as not given for numbers and booleans, and as the empty string for strings.
 */
#ifndef SOUK_CONF_H
#define SOUK_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum conf_type { CONF_STR, CONF_INT, CONF_I64, CONF_BOOL };
enum conf_flags {
	CONF_REQUIRED = 1, /* no value (or an empty one) is an error */
	CONF_SECRET = 2,   /* never printed, not even in errors */
};

struct conf_key {
	const char *env; /* NULL ends a table */
	const char *def; /* text of the default; NULL: none (NULL, 0, false) */
	enum conf_type type;
	size_t offset;
	int64_t min, max;     /* numbers: bounds; strings: bytes; both 0: none */
	unsigned flags;
	const char *allowed; /* "none|transaction"; NULL: anything */
	const char *help;
};

#define CONF_TYPE_OF_(x)                                                                            \
	_Generic((x), char *: CONF_STR, const char *: CONF_STR, int: CONF_INT, int64_t: CONF_I64,   \
		 bool: CONF_BOOL)
#define CONF(st, member, env_, def_, min_, max_, flags_, help_)                                     \
	{                                                                                           \
		.env = (env_), .def = (def_), .type = CONF_TYPE_OF_(((struct st *)0)->member),      \
		.offset = offsetof(struct st, member), .min = (min_), .max = (max_),                \
		.flags = (flags_), .allowed = NULL, .help = (help_)                                 \
	}
/* A string that must be one of "a|b|c". */
#define CONF_ENUM(st, member, env_, def_, allowed_, flags_, help_)                                  \
	{                                                                                           \
		.env = (env_), .def = (def_), .type = CONF_TYPE_OF_(((struct st *)0)->member),      \
		.offset = offsetof(struct st, member), .min = 0, .max = 0, .flags = (flags_),       \
		.allowed = (allowed_), .help = (help_)                                              \
	}
#define CONF_END { .env = NULL }

/*
 * Fills *conf. Errors (E_INVALID conf.invalid) name the key, the value given and what is allowed. Unknown keys of the
 * --config file are errors. Strings live until the process ends (or conf_release).
 */
MUST_CHECK enum err_code conf_load(const struct conf_key *keys, void *conf, struct err *e);

/* Before conf_load; daemon_init does it for --config. NULL: none. */
void conf_set_file(const char *path);
/* Before conf_load: required keys may miss and conf_print prints markdown (daemon_init, for --print-config). */
void conf_set_print(bool lenient, bool markdown);

/* KEY=VALUE lines on stdout, secrets as ***; the markdown table instead after --markdown. */
void conf_print(const struct conf_key *keys, const void *conf);
/* The table for docs/configuration.md; needs no values. */
void conf_print_markdown(const struct conf_key *keys, FILE *out);

/* Reads a secret from a file: at most 64 KiB, one trailing line end stripped, no NUL. free() it. */
MUST_CHECK enum err_code conf_read_file(const char *path, char **text_r, size_t *len_r, struct err *e);

void conf_release(void); /* wipes and frees every string that conf_load made */

#endif
