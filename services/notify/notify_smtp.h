/* Handing a mail to an SMTP server. The only place where that happens. */
#ifndef SOUK_NOTIFY_SMTP_H
#define SOUK_NOTIFY_SMTP_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct smtp_conf {
	const char *url; /* "smtp://host:25" or "smtps://host:465" */
	const char *user, *password; /* "" : none */
	const char *tls; /* none | try | required: STARTTLS on smtp://; the certificate is always checked */
	const char *ca_file; /* "": the system's */
	const char *helo;    /* our name */
	int timeout_ms;	     /* of one whole delivery */
};

enum smtp_outcome {
	SMTP_SENT,     /* 250 after the data: it is theirs now */
	SMTP_DEFERRED, /* certainly not taken; another time */
	SMTP_REJECTED, /* certainly not taken, and never will be */
	SMTP_UNKNOWN,  /* the data were sent, the answer was not heard: it may have been taken */
};
const char *smtp_outcome_name(enum smtp_outcome o);

struct smtp_result {
	enum smtp_outcome outcome;
	int code;	  /* last SMTP code, 0: none */
	char detail[120]; /* for the delivery log: no address, no text of the server */
};

struct smtp; /* a kept connection; one thread at a time */
MUST_CHECK enum err_code smtp_open(const struct smtp_conf *conf, struct smtp **s_r, struct err *e);
void smtp_close(struct smtp *s);
/* from and to passed mail_address_ok. */
void smtp_send(struct smtp *s, const char *from, const char *to, const char *data, size_t len, struct smtp_result *r);

#endif
