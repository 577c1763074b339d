#include "idempotency.h"
#include "journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void idem_free(struct row *r)
{
	struct idem *k = (struct idem *)r;

	free(k->key);
	free(k->body);
	free(k);
}

/* The oldest finished keys make room; one still running stays, its claim is in somebody's hands. */
static void prune(struct sandbox *sb)
{
	while ((int64_t)sb->keys.n > sb->conf.keys_max &&
		((struct idem *)table_at(&sb->keys, sb->keys.first))->state != IDEM_RUNNING) {
		idem_free(table_pop(&sb->keys));
		sb->stats.keys_pruned++;
	}
}

static struct idem *new_key(struct sandbox *sb, const char *key)
{
	struct idem *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->key = strdup(key);
	k->row.id = k->key;
	k->state = IDEM_FREE;
	if (!k->key || !table_put(&sb->keys, &k->row)) {
		idem_free(&k->row);
		return NULL;
	}
	prune(sb);
	return k;
}

static void replay(struct sandbox *sb, const struct idem *k, struct reply *r)
{
	char *body = malloc(k->len + 1);

	if (!body) {
		reply_json(r, 500, NULL);
		return;
	}
	memcpy(body, k->body, k->len + 1);
	reply_text(r, k->status, NULL, body, k->len);
	r->replayed = true;
	sb->stats.replayed++;
}

enum idem_verdict idem_claim(struct sandbox *sb, const struct request *q, struct reply *r)
{
	char fingerprint[65], label[300];
	struct idem *k;

	if (!q->key)
		return IDEM_NO_KEY;
	snprintf(label, sizeof(label), "%s %s", q->method, q->path);
	form_fingerprint(q->form, label, fingerprint);
	k = (struct idem *)table_find(&sb->keys, q->key);
	if (!k)
		k = new_key(sb, q->key);
	if (!k) {
		reply_json(r, 500, NULL);
	} else if (k->state != IDEM_FREE && strcmp(k->fingerprint, fingerprint)) {
		sb->stats.mismatched++;
		reply_error(r, 400, (struct api_error){ .type = "idempotency_error" },
			"The idempotency key was first used with other parameters or on another "
			"path.");
	} else if (k->state == IDEM_RUNNING) {
		sb->stats.in_use++;
		reply_error(r, 409, (struct api_error){ .code = "idempotency_key_in_use" },
			"Another request with this idempotency key is still running.");
		r->should_retry = 1;
	} else if (k->state == IDEM_DONE) {
		replay(sb, k, r);
	} else {
		k->state = IDEM_RUNNING;
		memcpy(k->fingerprint, fingerprint, sizeof(fingerprint));
		return IDEM_CLAIMED;
	}
	return IDEM_ANSWERED;
}

json_t *idem_json(const struct idem *k)
{
	return json_pack("{s:s, s:s, s:i, s:s}", "key", k->key, "fingerprint", k->fingerprint,
		"status", k->status, "body", k->body);
}

void idem_finish(struct sandbox *sb, const struct request *q, const struct reply *r)
{
	struct idem *k = (struct idem *)table_find(&sb->keys, q->key);

	if (!k || k->state != IDEM_RUNNING)
		return;
	k->state = IDEM_FREE;
	if (r->unstored)
		return;
	free(k->body);
	k->body = strdup(r->body ? r->body : "");
	if (!k->body)
		return;
	k->len = strlen(k->body);
	k->status = r->status;
	k->state = IDEM_DONE;
	if (sb->journal)
		journal_add(sb, "key", idem_json(k));
}

bool idem_load(struct sandbox *sb, const json_t *o)
{
	const char *key = NULL, *fingerprint = NULL, *body = NULL;
	struct idem *k;
	int status = 0;

	if (json_unpack((json_t *)(uintptr_t)o, "{s:s, s:s, s:i, s:s}", "key", &key, "fingerprint",
		    &fingerprint, "status", &status, "body", &body))
		return false;
	k = (struct idem *)table_find(&sb->keys, key);
	if (!k)
		k = new_key(sb, key);
	if (!k)
		return false;
	snprintf(k->fingerprint, sizeof(k->fingerprint), "%s", fingerprint);
	free(k->body);
	k->body = strdup(body);
	k->len = strlen(body);
	k->status = status;
	k->state = IDEM_DONE;
	return true;
}
