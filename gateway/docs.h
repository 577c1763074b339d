/* The page at /api/docs, part of the program. */
#ifndef SOUK_GATEWAY_DOCS_H
#define SOUK_GATEWAY_DOCS_H

extern const char docs_html[], docs_html_end[];

#endif
