/* A mail as bytes: headers, and text and HTML as alternatives (RFC 5322, 2045, 2047). Pure. */
#ifndef SOUK_NOTIFY_MAIL_H
#define SOUK_NOTIFY_MAIL_H

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

struct mail {
	const char *from_name, *from; /* name may be "" */
	const char *to_name, *to;     /* name may be NULL */
	const char *subject;
	const char *text, *html;
	const char *message_id; /* without the angle brackets */
	const char *lang;
	int64_t date_ms;
};

/*
 * An address that can stand in a header and an SMTP command as it is: printable ASCII, one @, no quoting, at most 254
 * bytes. What check_email accepts passes, unless it is not ASCII.
 */
bool mail_address_ok(const char *s);

/* E_INVALID common.invalid_input when an address or the message id could break a header. */
MUST_CHECK enum err_code mail_compose(const struct mail *m, struct buf *out, struct err *e);

#endif
