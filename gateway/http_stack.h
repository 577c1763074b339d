/* What a thread's stack once needed and no longer does. */
#ifndef SOUK_HTTP_STACK_H
#define SOUK_HTTP_STACK_H

/* The lower end of the calling thread's stack; NULL when the system does not tell. */
char *http_stack_low(void);

/*
 * Gives the pages between low and the caller's frame back to the system. A hundred workers that answered one request each would
 * otherwise hold for ever what that request needed, some thirty kilobytes. A system call, so once a connection, not once a request.
 */
void http_stack_shed(char *low);

#endif
