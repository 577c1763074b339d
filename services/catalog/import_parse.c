#include "services/catalog/import_parse.h"

bool import_record(const char *p, size_t n, bool csv, bool at_end, size_t *len_r, size_t *skip_r)
{
	bool quoted = false, begins = true; /* begins: at the first character of a field, the only place where a quote opens */
	size_t i;

	for (i = 0; i < n; i++) {
		if (quoted) {
			if (p[i] == '"' && i + 1 < n && p[i + 1] == '"')
				i++;
			else if (p[i] == '"')
				quoted = false;
			continue;
		}
		if (p[i] == '\n')
			break;
		quoted = csv && begins && p[i] == '"';
		begins = p[i] == ',';
	}
	if (i == n && (!at_end || n == 0))
		return false;
	*skip_r = i < n ? i + 1 : n;
	*len_r = i > 0 && p[i - 1] == '\r' ? i - 1 : i;
	return true;
}

static int count_commas(const char *p, size_t n)
{
	int fields = 1;

	for (size_t i = 0; i < n; i++)
		fields += p[i] == ',';
	return fields;
}

char **import_csv_fields(struct arena *a, const char *p, size_t n, int *n_r)
{
	char **out = arena_array(a, (size_t)count_commas(p, n), sizeof(*out));
	char *w = arena_alloc(a, 2 * n + 2);
	int fields = 0;
	size_t i = 0;

	for (;;) {
		out[fields++] = w;
		if (i < n && p[i] == '"') {
			for (i++; i < n; i++) {
				if (p[i] == '"' && (i + 1 >= n || p[i + 1] != '"'))
					break;
				i += p[i] == '"';
				*w++ = p[i];
			}
			if (i >= n || (i + 1 < n && p[i + 1] != ','))
				return *n_r = -1, out;
			i++;
		} else {
			while (i < n && p[i] != ',')
				*w++ = p[i++];
		}
		*w++ = '\0';
		if (i >= n)
			break;
		i++; /* the comma */
	}
	*n_r = fields;
	return out;
}
