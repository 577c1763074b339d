/* An event as JSON for a webhook: its own fields, by descriptor. Events hold ids and states, never personal data. */
#ifndef SOUK_NOTIFY_EVENT_JSON_H
#define SOUK_NOTIFY_EVENT_JSON_H

#include "common/buf.h"
#include "common/inbox.h"

/* {"id","type","created_at","data":{…}}; the id stays the same over all attempts and webhooks. */
void event_json(const struct inbox_event *ev, struct buf *out);

/* Whether the words "order.placed vendor.* *" hold type. */
bool event_words_match(const char *words, const char *type);
/* Every type that can be subscribed to, NULL-ended. */
extern const char *const event_types[];
/* A word names a type, a prefix of some (vendor.*), or all (*). */
bool event_word_ok(const char *word);

#endif
