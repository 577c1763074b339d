#include "journal.h"
#include "events.h"
#include "idempotency.h"
#include "intents.h"
#include "refunds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct journal {
	int fd;
	struct text pending;
	bool failed; /* said once */
};

static bool write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

void journal_flush(struct sandbox *sb)
{
	struct journal *j = sb->journal;

	if (!j || !j->pending.len)
		return;
	if (!write_all(j->fd, j->pending.data, j->pending.len) && !j->failed) {
		j->failed = true;
		fprintf(stderr, "souk-sandbox: the state file cannot be written: %s\n",
			strerror(errno));
	}
	j->pending.len = 0;
}

void journal_add(struct sandbox *sb, const char *kind, json_t *o)
{
	struct journal *j = sb->journal;
	json_t *line = j && o ? json_pack("{s:s, s:O}", "k", kind, "o", o) : NULL;
	char *s = line ? json_dumps(line, JSON_COMPACT) : NULL;

	if (s) {
		text_str(&j->pending, s);
		text_add(&j->pending, "\n", 1);
	}
	free(s);
	json_decref(line);
	json_decref(o);
}

/* ---- loading ---- */

struct loading {
	json_t *events, *delivered; /* kept back: only the end of the file tells which still wait */
	json_int_t boots;
};

static void load_line(struct sandbox *sb, struct loading *l, const json_t *line)
{
	const char *kind = json_string_value(json_object_get(line, "k"));
	json_t *o = json_object_get(line, "o");

	if (!kind || !o)
		return;
	if (!strcmp(kind, "intent"))
		intent_load(sb, o);
	else if (!strcmp(kind, "charge"))
		charge_load(sb, o);
	else if (!strcmp(kind, "refund"))
		refund_load(sb, o);
	else if (!strcmp(kind, "dispute"))
		dispute_load(sb, o);
	else if (!strcmp(kind, "key"))
		idem_load(sb, o);
	else if (!strcmp(kind, "event"))
		json_array_append(l->events, o);
	else if (!strcmp(kind, "delivered"))
		json_object_set_new(l->delivered, json_string_value(o), json_true());
	else if (!strcmp(kind, "boot"))
		l->boots = json_integer_value(o);
}

static void load_file(struct sandbox *sb, FILE *f, struct loading *l)
{
	char *line = NULL;
	size_t cap = 0;

	while (getline(&line, &cap, f) > 0) {
		json_t *o = json_loads(
			line, 0, NULL); /* a torn last line is no JSON and was never acknowledged */

		load_line(sb, l, o);
		json_decref(o);
	}
	free(line);
}

/* ---- rewriting ---- */

static void save_all(struct sandbox *sb, const struct loading *l)
{
	uint64_t i;

	journal_add(sb, "boot", json_integer(l->boots));
	for (i = sb->intents.first; i < table_end(&sb->intents); i++)
		intent_save(sb, (struct intent *)table_at(&sb->intents, i));
	for (i = sb->charges.first; i < table_end(&sb->charges); i++)
		charge_save(sb, (struct charge *)table_at(&sb->charges, i));
	for (i = sb->refunds.first; i < table_end(&sb->refunds); i++)
		journal_add(sb, "refund", refund_json((struct refund *)table_at(&sb->refunds, i)));
	for (i = sb->disputes.first; i < table_end(&sb->disputes); i++)
		journal_add(
			sb, "dispute", dispute_json((struct dispute *)table_at(&sb->disputes, i)));
	journal_flush(sb);
	for (i = sb->keys.first; i < table_end(&sb->keys); i++)
		journal_add(sb, "key", idem_json((struct idem *)table_at(&sb->keys, i)));
	journal_flush(sb);
	for (i = sb->events.first; i < table_end(&sb->events); i++) {
		const struct event *e = (struct event *)table_at(&sb->events, i);

		journal_add(sb, "event", json_loads(e->body, 0, NULL));
		if (json_object_get(l->delivered, e->id))
			journal_add(sb, "delivered", json_string(e->id));
	}
	journal_flush(sb);
}

static bool rewrite(struct sandbox *sb, const char *path, const struct loading *l)
{
	char fresh[600];

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	sb->journal = calloc(1, sizeof(*sb->journal));
	if (!sb->journal)
		return false;
	sb->journal->pending.max = 1u << 30;
	sb->journal->fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (sb->journal->fd < 0)
		return false;
	save_all(sb, l);
	return !sb->journal->failed && !fsync(sb->journal->fd) && !rename(fresh, path);
}

bool journal_open(struct sandbox *sb, const char *path, char *why, size_t why_len)
{
	struct loading l = { .events = json_array(), .delivered = json_object() };
	FILE *f = fopen(path, "re");
	size_t i;
	bool ok;

	if (!f && errno != ENOENT) {
		snprintf(why, why_len, "%s: %s", path, strerror(errno));
		json_decref(l.events);
		json_decref(l.delivered);
		return false;
	}
	if (f) {
		load_file(sb, f, &l);
		fclose(f);
	}
	l.boots++;
	if (sb->conf.seed) /* another stretch of the sequence after every start, or ids would come
			      back */
		rng_seed(&sb->rng, sb->conf.seed + (uint64_t)l.boots * 0x2545f4914f6cdd1du);
	for (i = 0; i < json_array_size(l.events); i++) {
		const json_t *e = json_array_get(l.events, i);
		const char *id = json_string_value(json_object_get(e, "id"));

		event_load(sb, e, id && json_object_get(l.delivered, id));
	}
	ok = rewrite(sb, path, &l);
	if (!ok)
		snprintf(why, why_len, "%s: %s", path, strerror(errno));
	json_decref(l.events);
	json_decref(l.delivered);
	intent_resume(sb);
	refund_resume(sb);
	return ok;
}

void journal_truncate(struct sandbox *sb)
{
	if (!sb->journal)
		return;
	sb->journal->pending.len = 0;
	if (ftruncate(sb->journal->fd, 0))
		fprintf(stderr, "souk-sandbox: the state file cannot be emptied: %s\n",
			strerror(errno));
}

void journal_close(struct sandbox *sb)
{
	if (!sb->journal)
		return;
	journal_flush(sb);
	close(sb->journal->fd);
	text_free(&sb->journal->pending);
	free(sb->journal);
	sb->journal = NULL;
}
