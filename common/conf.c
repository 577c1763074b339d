#include "common/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"

#define FILE_MAX 65536
#define NAME_LEN 96

/* Every string handed out, so that they stay reachable and can be wiped. */
struct kept {
	struct kept *next;
	size_t len;
	char text[];
};

static struct {
	const char *path;
	bool lenient, markdown;
	struct kept *kept;
} state;

void conf_set_file(const char *path)
{
	state.path = path;
}

void conf_set_print(bool lenient, bool markdown)
{
	state.lenient = lenient;
	state.markdown = markdown;
}

static char *keep(const char *s, size_t n)
{
	struct kept *k = malloc(sizeof(*k) + n + 1);

	if (!k)
		abort(); /* before anything is served */
	memcpy(k->text, s, n);
	k->text[n] = '\0';
	k->len = n;
	k->next = state.kept;
	state.kept = k;
	return k->text;
}

void conf_release(void)
{
	while (state.kept) {
		struct kept *k = state.kept;

		state.kept = k->next;
		explicit_bzero(k->text, k->len);
		free(k);
	}
}

static enum err_code slurp(const char *path, char **text_r, size_t *len_r, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *text = malloc(FILE_MAX + 1);
	size_t n = 0;
	ssize_t got = 0;

	if (fd < 0 || !text) {
		free(text);
		if (fd >= 0)
			(void)close(fd);
		return err_set(e, E_INVALID, "conf.invalid", "%.160s: %s", path, strerror(errno));
	}
	while (n <= FILE_MAX && (got = read(fd, text + n, FILE_MAX + 1 - n)) > 0)
		n += (size_t)got;
	if (got < 0)
		(void)err_set(e, E_INVALID, "conf.invalid", "%.160s: %s", path, strerror(errno));
	else if (n > FILE_MAX)
		(void)err_set(e, E_INVALID, "conf.invalid", "%.160s: larger than %d bytes", path, FILE_MAX);
	(void)close(fd);
	if (got < 0 || n > FILE_MAX) {
		explicit_bzero(text, n);
		free(text);
		return E_INVALID;
	}
	*text_r = text;
	*len_r = n;
	return OK;
}

enum err_code conf_read_file(const char *path, char **text_r, size_t *len_r, struct err *e)
{
	char *text = NULL;
	size_t n = 0;

	if (slurp(path, &text, &n, e))
		return E_INVALID;
	if (memchr(text, '\0', n)) {
		explicit_bzero(text, n);
		free(text);
		return err_set(e, E_INVALID, "conf.invalid", "%.160s: holds a NUL byte", path);
	}
	if (n && text[n - 1] == '\n')
		n--;
	if (n && text[n - 1] == '\r')
		n--;
	text[n] = '\0';
	*text_r = text;
	*len_r = n;
	return OK;
}

/* ---- values ---- */

static enum err_code bad(const struct conf_key *k, const char *value, const char *allowed, struct err *e)
{
	if (k->flags & CONF_SECRET)
		return err_set(e, E_INVALID, "conf.invalid", "%s: the value given is not allowed: it must be %s", k->env,
			allowed);
	return err_set(e, E_INVALID, "conf.invalid", "%s=%.60s is not allowed: it must be %s", k->env,
		text_clean(value, strlen(value)) ? value : "(not printable)", allowed);
}

static enum err_code set_string(const struct conf_key *k, const char *value, void *field, struct err *e)
{
	size_t n = strlen(value);
	char allowed[120];

	if (k->allowed) {
		struct err scratch = { 0 };

		(void)snprintf(allowed, sizeof(allowed), "one of %.100s", k->allowed);
		if (!check_oneof(&scratch, k->env, value, k->allowed))
			return bad(k, value, allowed, e);
	}
	if (!text_clean(value, n))
		return bad(k, value, "UTF-8 text without control characters", e);
	(void)snprintf(allowed, sizeof(allowed), "%" PRId64 " to %" PRId64 " bytes long", k->min, k->max);
	if ((k->min || k->max) && ((int64_t)n < k->min || (int64_t)n > k->max))
		return bad(k, value, allowed, e);
	*(const char **)field = keep(value, n);
	return OK;
}

static enum err_code set_number(const struct conf_key *k, const char *value, void *field, struct err *e)
{
	bool is_int = k->type == CONF_INT;
	int64_t min = k->min, max = k->max, v;
	char allowed[80], *end;

	if (min == 0 && max == 0) {
		min = is_int ? INT32_MIN : INT64_MIN;
		max = is_int ? INT32_MAX : INT64_MAX;
	}
	(void)snprintf(allowed, sizeof(allowed), "a whole number from %" PRId64 " to %" PRId64, min, max);
	if (value[0] != '-' && (value[0] < '0' || value[0] > '9'))
		return bad(k, value, allowed, e);
	errno = 0;
	v = strtoll(value, &end, 10);
	if (errno || *end || end == value || v < min || v > max)
		return bad(k, value, allowed, e);
	if (is_int)
		*(int *)field = (int)v;
	else
		*(int64_t *)field = v;
	return OK;
}

static enum err_code set_bool(const struct conf_key *k, const char *value, void *field, struct err *e)
{
	static const char *const yes[] = { "1", "true", "yes", "on" }, *const no[] = { "0", "false", "no", "off" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
			*(bool *)field = strcasecmp(value, yes[i]) == 0;
			return OK;
		}
	}
	return bad(k, value, "true or false", e);
}

static void *field_of(const struct conf_key *k, void *conf)
{
	return (char *)conf + k->offset;
}

static enum err_code set_value(const struct conf_key *k, const char *value, void *conf, struct err *e)
{
	void *field = field_of(k, conf);

	if (k->type == CONF_STR)
		return set_string(k, value, field, e);
	if (k->type == CONF_BOOL)
		return set_bool(k, value, field, e);
	return set_number(k, value, field, e);
}

static void set_none(const struct conf_key *k, void *conf)
{
	void *field = field_of(k, conf);

	if (k->type == CONF_STR)
		*(const char **)field = NULL;
	else if (k->type == CONF_BOOL)
		*(bool *)field = false;
	else if (k->type == CONF_INT)
		*(int *)field = 0;
	else
		*(int64_t *)field = 0;
}

/* ---- the --config file ---- */

struct pair {
	const char *name, *value;
};
struct file {
	char *text;
	size_t len, n;
	struct pair *pair;
};

static bool known(const struct conf_key *keys, const char *name)
{
	size_t n;

	for (; keys->env; keys++) {
		n = strlen(keys->env);
		if (strncmp(name, keys->env, n) == 0 && (!name[n] || strcmp(name + n, "_FILE") == 0))
			return true;
	}
	return false;
}

static const char *file_get(const struct file *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->pair[i].name, name) == 0)
			return f->pair[i].value;
	return NULL;
}

static char *trim(char *s)
{
	size_t n;

	while (*s == ' ' || *s == '\t')
		s++;
	n = strlen(s);
	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r'))
		s[--n] = '\0';
	return s;
}

/* One line in place. Only names reach errors: the rest of the line may be a secret. */
static enum err_code file_line(const struct conf_key *keys, struct file *f, char *line, size_t number, struct err *e)
{
	char *name = trim(line), *eq;

	if (!*name || *name == '#')
		return OK;
	eq = strchr(name, '=');
	if (!eq)
		return err_set(e, E_INVALID, "conf.invalid", "%.120s line %zu is not KEY=VALUE", state.path, number);
	*eq = '\0';
	name = trim(name);
	if (!known(keys, name))
		return err_set(e, E_INVALID, "conf.invalid", "%.120s line %zu: unknown key %.60s", state.path, number,
			text_clean(name, strlen(name)) ? name : "(not printable)");
	if (file_get(f, name))
		return err_set(e, E_INVALID, "conf.invalid", "%.120s line %zu: %.60s is given twice", state.path, number,
			name);
	f->pair[f->n].name = name;
	f->pair[f->n++].value = trim(eq + 1);
	return OK;
}

static void file_free(struct file *f)
{
	if (f->text)
		explicit_bzero(f->text, f->len);
	free(f->text);
	free(f->pair);
}

static enum err_code file_read(const struct conf_key *keys, struct file *f, struct err *e)
{
	size_t lines = 1, number = 1;
	char *at, *end;

	if (!state.path)
		return OK;
	if (conf_read_file(state.path, &f->text, &f->len, e))
		return E_INVALID;
	for (size_t i = 0; i < f->len; i++)
		lines += f->text[i] == '\n';
	f->pair = calloc(lines, sizeof(*f->pair));
	if (!f->pair)
		abort();
	for (at = f->text; at; at = end ? end + 1 : NULL, number++) {
		end = strchr(at, '\n');
		if (end)
			*end = '\0';
		if (file_line(keys, f, at, number, e))
			return E_INVALID;
	}
	return OK;
}

/* ---- loading ---- */

static enum err_code set_from_file(const struct conf_key *k, const char *path, void *conf, struct err *e)
{
	char *text = NULL;
	size_t n = 0;
	enum err_code code;
	struct err inner = { 0 };

	if (conf_read_file(path, &text, &n, &inner))
		return err_set(e, E_INVALID, "conf.invalid", "%s_FILE: %.180s", k->env, inner.msg);
	code = set_value(k, text, conf, e);
	explicit_bzero(text, n);
	free(text);
	return code;
}

static bool given(const struct conf_key *k, const char *value)
{
	return value && (*value || k->type == CONF_STR);
}

static enum err_code from_one(const struct conf_key *k, const char *value, const char *path, void *conf, bool *done,
			      struct err *e)
{
	*done = true;
	if (given(k, value) && path && *path)
		return err_set(e, E_INVALID, "conf.invalid", "%s and %s_FILE are both given", k->env, k->env);
	if (path && *path)
		return set_from_file(k, path, conf, e);
	if (given(k, value))
		return set_value(k, value, conf, e);
	*done = false;
	return OK;
}

static bool empty(const struct conf_key *k, void *conf)
{
	const char *s = k->type == CONF_STR ? *(const char **)field_of(k, conf) : "set";

	return !s || !*s;
}

static enum err_code key_load_one(const struct conf_key *k, const struct file *f, void *conf, struct err *e)
{
	char name[NAME_LEN];
	bool done = false;
	enum err_code code;

	(void)snprintf(name, sizeof(name), "%s_FILE", k->env);
	set_none(k, conf);
	code = from_one(k, getenv(k->env), getenv(name), conf, &done, e);
	if (!code && !done)
		code = from_one(k, file_get(f, k->env), file_get(f, name), conf, &done, e);
	if (!code && !done && k->def)
		code = set_value(k, k->def, conf, e);
	if (code)
		return code;
	if ((k->flags & CONF_REQUIRED) && !state.lenient && (empty(k, conf) || (!done && !k->def)))
		return err_set(e, E_INVALID, "conf.invalid", "%s is required (%s); set it or %s_FILE", k->env, k->help,
			k->env);
	return OK;
}

enum err_code conf_load(const struct conf_key *keys, void *conf, struct err *e)
{
	struct file f = { 0 };
	enum err_code code = file_read(keys, &f, e);

	for (const struct conf_key *k = keys; !code && k->env; k++)
		code = key_load_one(k, &f, conf, e);
	file_free(&f);
	return code;
}

/* ---- printing ---- */

static void print_value(const struct conf_key *k, const void *conf)
{
	const void *field = (const char *)conf + k->offset;

	if (k->type == CONF_INT)
		printf("%d", *(const int *)field);
	else if (k->type == CONF_I64)
		printf("%" PRId64, *(const int64_t *)field);
	else if (k->type == CONF_BOOL)
		printf("%s", *(const bool *)field ? "true" : "false");
	else if (*(const char *const *)field)
		printf("%s", (k->flags & CONF_SECRET) && **(const char *const *)field ? "***"
										       : *(const char *const *)field);
}

void conf_print(const struct conf_key *keys, const void *conf)
{
	if (state.markdown) {
		conf_print_markdown(keys, stdout);
		return;
	}
	for (; keys->env; keys++) {
		printf("%s=", keys->env);
		print_value(keys, conf);
		putchar('\n');
	}
	(void)fflush(stdout);
}

/* A table cell: '|' would end it. */
static void print_cell(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '|')
			fputc('\\', out);
		fputc(*s, out);
	}
}

static void print_allowed(FILE *out, const struct conf_key *k)
{
	if (k->allowed)
		print_cell(out, k->allowed);
	else if (k->type == CONF_BOOL)
		fputs("true, false", out);
	else if (k->type == CONF_STR && (k->min || k->max))
		fprintf(out, "%" PRId64 " to %" PRId64 " bytes", k->min, k->max);
	else if (k->type == CONF_STR)
		fputs("text", out);
	else if (k->min || k->max)
		fprintf(out, "%" PRId64 " to %" PRId64, k->min, k->max);
	else
		fputs("whole number", out);
}

void conf_print_markdown(const struct conf_key *keys, FILE *out)
{
	fputs("| key | default | allowed | what it is |\n|---|---|---|---|\n", out);
	for (; keys->env; keys++) {
		fprintf(out, "| `%s` | ", keys->env);
		if (keys->flags & CONF_REQUIRED && !keys->def)
			fputs("*required*", out);
		else if (keys->def && *keys->def) {
			fputc('`', out);
			print_cell(out, keys->def);
			fputc('`', out);
		} else
			fputs("(empty)", out);
		fputs(" | ", out);
		print_allowed(out, keys);
		fputs(" | ", out);
		print_cell(out, keys->help);
		fprintf(out, "%s |\n", keys->flags & CONF_SECRET ? " (secret)" : "");
	}
	(void)fflush(out);
}
