/* The columns of a mail, for the two files that read them. */
#ifndef SOUK_NOTIFY_DB_COLUMNS_H
#define SOUK_NOTIFY_DB_COLUMNS_H

#include "services/notify/notify_db.h"

#define MESSAGE_COLUMNS                                                                            \
	"m.id, m.dedupe_key, m.kind, m.user_id, m.order_id, m.ref_id, m.detail, m.amount, m.lang, m.state, m.reason," \
	" m.attempts, " DB_MS("m.created_at") " AS created_at, " DB_MS("m.next_at") " AS next_at, "          \
	DB_MS("m.ended_at") " AS ended_at, extract(epoch FROM now() - m.created_at)::bigint AS age_s"
static const struct pg_col message_cols[] = {
	PG_COL(message_row, id),	 PG_COL(message_row, dedupe_key), PG_COL(message_row, kind),
	PG_COL(message_row, user_id),	 PG_COL(message_row, order_id),	  PG_COL(message_row, ref_id),
	PG_COL(message_row, detail),	 PG_COL(message_row, amount),	  PG_COL(message_row, lang),
	PG_COL(message_row, state),	 PG_COL(message_row, reason),	  PG_COL(message_row, attempts),
	PG_COL(message_row, created_at), PG_COL(message_row, next_at),	  PG_COL(message_row, ended_at),
	PG_COL(message_row, age_s),
};
#define MESSAGE_ROW .col = message_cols, .ncol = DB_NUM(message_cols), .row_size = sizeof(struct message_row)

#endif
