/* Which passwords are good enough: length and what everybody tries first; no composition rules (NIST SP 800-63B). Pure. */
#ifndef SOUK_IDENTITY_PASSWORD_RULES_H
#define SOUK_IDENTITY_PASSWORD_RULES_H

#include <stddef.h>

#define PASSWORD_MIN 8	   /* code points */
#define PASSWORD_MAX 256
#define PASSWORD_BYTES 1024 /* more is cut off by no one: it is refused */

enum password_verdict {
	PASSWORD_GOOD,
	PASSWORD_SHORT,
	PASSWORD_LONG,
	PASSWORD_COMMON,   /* a common word with decorations, a keyboard row, a sequence, a repetition */
	PASSWORD_PERSONAL, /* made of the e-mail address or the shop's name */
};

/* password and email (may be NULL) are valid UTF-8. */
enum password_verdict password_judge(const char *password, const char *email);
const char *password_reason(enum password_verdict v); /* a sentence for the client */

#endif
