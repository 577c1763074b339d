/* Every statement of notify. Texts belong to the arena given; times are epoch milliseconds. */
#ifndef SOUK_NOTIFY_DB_H
#define SOUK_NOTIFY_DB_H

#include "common/id.h"
#include "common/pg.h"

#define DB_MS(column) "(extract(epoch FROM " column ") * 1000)::bigint"
#define DB_NUM(a) ((int)(sizeof(a) / sizeof(*(a))))

extern const struct pg_stmt *const notify_db_message_stmts[];
extern const struct pg_stmt *const notify_db_queue_stmts[];
extern const struct pg_stmt *const notify_db_template_stmts[];
extern const struct pg_stmt *const notify_db_person_stmts[];
extern const struct pg_stmt *const notify_db_webhook_stmts[];
extern const struct pg_stmt *const notify_db_webhook_queue_stmts[];

/* ---- people: preferences and vendors (notify_db_person.c) ---- */
struct preference_row {
	bool order_mail, marketing_mail, cart_reminder;
};
/* The defaults when the user never said anything. */
MUST_CHECK enum err_code notify_db_preference(struct pg *, struct arena *, const char *user_id,
					      struct preference_row **row_r, struct err *);
MUST_CHECK enum err_code notify_db_preference_put(struct pg *, const char *user_id, const struct preference_row *,
						  struct err *);
struct vendor_row {
	const char *owner_user_id, *name;
};
/* NULL members leave what is stored. */
MUST_CHECK enum err_code notify_db_vendor_put(struct pg *, const char *id, const char *owner_user_id, const char *name,
					      const char *status, struct err *);
MUST_CHECK enum err_code notify_db_vendor(struct pg *, struct arena *, const char *id, struct vendor_row **row_r,
					  bool *found_r, struct err *);
/* Preferences go, waiting mails end, sent ones no longer name the user. */
MUST_CHECK enum err_code notify_db_erase_user(struct pg *, const char *user_id, struct err *);

/* ---- templates (notify_db_template.c) ---- */
struct template_row_db {
	const char *kind, *lang, *subject, *text, *html, *updated_by;
	int64_t version, updated_at;
};
MUST_CHECK enum err_code notify_db_template(struct pg *, struct arena *, const char *kind, const char *lang,
					    struct template_row_db **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code notify_db_templates(struct pg *, struct arena *, struct template_row_db **rows_r, size_t *n_r,
					     struct err *);
/* expected -1: whatever is there; else the version that must be stored (0: none). done_r false: it is another one. */
MUST_CHECK enum err_code notify_db_template_put(struct pg *, struct arena *, const struct template_row_db *,
						int64_t expected, struct template_row_db **row_r, bool *done_r,
						struct err *);
MUST_CHECK enum err_code notify_db_template_delete(struct pg *, const char *kind, const char *lang, struct err *);

/* ---- mails (notify_db_message.c) ---- */
struct message_new {
	const char *dedupe_key, *kind, *user_id, *order_id, *ref_id, *detail, *amount, *lang; /* NULL where unknown */
};
/* Queues a mail unless there is one with this key already; id_r is the new one's. */
MUST_CHECK enum err_code notify_db_message_put(struct pg *, const struct message_new *, char id_r[ID_LEN], bool *new_r,
					       struct err *);

struct message_row {
	const char *id, *dedupe_key, *kind, *user_id, *order_id, *ref_id, *detail, *amount, *lang, *state, *reason;
	int32_t attempts;
	int64_t created_at, next_at, ended_at, age_s;
};
struct message_filter {
	const char *user_id, *order_id, *state, *kind; /* "" : any */
	const char *before;			       /* id; "" : from the newest */
};
MUST_CHECK enum err_code notify_db_message(struct pg *, struct arena *, const char *id, struct message_row **row_r,
					   bool *found_r, struct err *);
MUST_CHECK enum err_code notify_db_messages(struct pg *, struct arena *, const struct message_filter *, int32_t limit,
					    struct message_row **rows_r, size_t *n_r, struct err *);
struct delivery_row {
	int32_t attempt, smtp_code;
	const char *outcome, *detail;
	int64_t took_ms, tried_at;
};
MUST_CHECK enum err_code notify_db_deliveries(struct pg *, struct arena *, const char *message_id,
					      struct delivery_row **rows_r, size_t *n_r, struct err *);
struct count_row {
	int64_t n;
};
/* How many mails were made from this one by hand (their keys begin with key + "-r"). */
MUST_CHECK enum err_code notify_db_message_resent(struct pg *, struct arena *, const char *key, int64_t *n_r, struct err *);

/* ---- the sender's side (notify_db_queue.c) ---- */
/* Leases up to limit due mails to `lease`: they are `sending` until lease_s from now. */
MUST_CHECK enum err_code notify_db_claim(struct pg *, struct arena *, const char *lease, int32_t lease_s, int32_t limit,
					 struct message_row **rows_r, size_t *n_r, struct err *);
/* Ends or requeues a mail that this lease still holds; *held_r tells. next_ms: from now, for state queued. */
MUST_CHECK enum err_code notify_db_message_end(struct pg *, const char *id, const char *lease, const char *state,
					       const char *reason, int64_t next_ms, bool *held_r, struct err *);
MUST_CHECK enum err_code notify_db_delivery_put(struct pg *, const char *id, int32_t attempt, const char *outcome,
						int32_t smtp_code, const char *detail, int64_t took_ms, struct err *);
/* Ended mails and webhook deliveries older than that; at most limit of each. */
MUST_CHECK enum err_code notify_db_forget(struct pg *, int32_t days, int32_t limit, struct err *);
struct waiting_row {
	int64_t waiting, oldest_s;
};
MUST_CHECK enum err_code notify_db_waiting(struct pg *, struct arena *, struct waiting_row **row_r, struct err *);

/* ---- outgoing webhooks (notify_db_webhook.c) ---- */
struct webhook_row {
	const char *id, *url, *events, *description, *disabled_reason; /* events: words separated by blanks */
	struct pg_bytes secret;					       /* sealed */
	bool active;
	int64_t created_at, updated_at, version;
};
MUST_CHECK enum err_code notify_db_webhook_add(struct pg *, const struct webhook_row *, struct err *);
MUST_CHECK enum err_code notify_db_webhook(struct pg *, struct arena *, const char *id, struct webhook_row **row_r,
					   bool *found_r, struct err *);
MUST_CHECK enum err_code notify_db_webhooks(struct pg *, struct arena *, const char *before, int32_t limit,
					    struct webhook_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code notify_db_webhooks_active(struct pg *, struct arena *, struct webhook_row **rows_r, size_t *n_r,
						   struct err *);
/* expected -1: any version. */
MUST_CHECK enum err_code notify_db_webhook_set(struct pg *, const struct webhook_row *, int64_t expected, bool *done_r,
					       struct err *);
MUST_CHECK enum err_code notify_db_webhook_secret(struct pg *, const char *id, struct pg_bytes secret, bool *done_r,
						  struct err *);
MUST_CHECK enum err_code notify_db_webhook_delete(struct pg *, const char *id, bool *done_r, struct err *);

struct hook_delivery_row {
	const char *id, *webhook_id, *event_id, *type, *payload, *state, *detail;
	int32_t attempts, http_status;
	int64_t created_at, next_at, ended_at, age_s;
};
/* One delivery for (webhook, event_id) unless there is one. */
MUST_CHECK enum err_code notify_db_hook_put(struct pg *, const char *webhook_id, const char *event_id, const char *type,
					    const char *payload, struct err *);
MUST_CHECK enum err_code notify_db_hook(struct pg *, struct arena *, const char *webhook_id, const char *id,
					struct hook_delivery_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code notify_db_hooks(struct pg *, struct arena *, const char *webhook_id, const char *state,
					 const char *before, int32_t limit, struct hook_delivery_row **rows_r, size_t *n_r,
					 struct err *);
MUST_CHECK enum err_code notify_db_hook_again(struct pg *, const char *id, bool *done_r, struct err *);
MUST_CHECK enum err_code notify_db_hook_claim(struct pg *, struct arena *, const char *lease, int32_t lease_s,
					      int32_t limit, struct hook_delivery_row **rows_r, size_t *n_r,
					      struct err *);
MUST_CHECK enum err_code notify_db_hook_end(struct pg *, const char *id, const char *lease, const char *state,
					    int32_t http_status, const char *detail, int64_t next_ms, bool *held_r,
					    struct err *);
/* Switches a webhook off whose last `failures` deliveries all failed. */
MUST_CHECK enum err_code notify_db_webhook_disable(struct pg *, const char *id, int32_t failures, struct err *);

#endif
