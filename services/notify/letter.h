/* From a queued message to the bytes of a mail: asks others for what it needs, picks the language, renders, composes. */
#ifndef SOUK_NOTIFY_LETTER_H
#define SOUK_NOTIFY_LETTER_H

#include "common/buf.h"
#include "services/notify/notify.h"
#include "services/notify/notify_db.h"
#include "services/notify/template.h"

enum letter_verdict {
	LETTER_READY,
	LETTER_UNWANTED, /* the person switched this kind off */
	LETTER_HOPELESS, /* nobody to write to, or nothing to say any more: why tells */
};
struct letter {
	enum letter_verdict verdict;
	const char *to, *why; /* in the arena or static */
	struct buf bytes;     /* buf_free it */
};

/* An error means try again later. The letter is to be released by letter_free in any case. */
MUST_CHECK enum err_code letter_write(struct notify_svc *svc, struct arena *a, const struct message_row *m,
				      struct letter *out, struct err *e);
void letter_free(struct letter *l);

/* "<dedupe key>@<domain>" */
const char *letter_message_id(const struct notify_conf *conf, struct arena *a, const char *dedupe_key);

/* The stored text for that kind and exactly that language, else the one that came with the program; NULL: neither. */
MUST_CHECK enum err_code letter_template(struct pg *pg, struct arena *a, const char *kind, const char *lang,
					 const struct template_text **t_r, int64_t *version_r, struct err *e);

#endif
