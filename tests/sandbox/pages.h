/* The pages a person sees: what waits to be paid, paying it with a test card, the bank's 3-D Secure
 * question. */
#ifndef SANDBOX_PAGES_H
#define SANDBOX_PAGES_H

#include "sandbox.h"

/* GET and POST of /, /pay/{intent} and /3ds/{intent}. False: not a page. Takes the lock itself. */
bool page_run(struct sandbox *sb, struct request *q, struct reply *r);

#endif
