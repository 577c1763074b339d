/* Clocks and the one time format of the platform. Deadlines use mono_ms; wall_ms is for what people and tokens see. */
#ifndef SOUK_TIMEUTIL_H
#define SOUK_TIMEUTIL_H

#include <stdbool.h>
#include <stdint.h>

int64_t mono_ms(void); /* monotonic; only differences mean something */
int64_t mono_us(void);
int64_t wall_ms(void); /* since 1970, UTC */

#define TIME_TEXT_LEN 25
/* "2026-01-15T10:30:00.000Z"; years outside 0000-9999 are clamped. Returns out. */
const char *time_rfc3339(int64_t ms, char out[TIME_TEXT_LEN]);
/* Strict RFC 3339 with any offset and fraction (cut to milliseconds); no leap second, no missing zone. */
bool time_parse_rfc3339(const char *s, int64_t *ms_r);

void sleep_ms(int64_t ms); /* the whole time, also across signals */

#endif
