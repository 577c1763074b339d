/* Clocks and RFC 3339. Deadlines use mono_ms; only token times and webhook ages use wall_ms. */
#ifndef SOUK_TIMEUTIL_H
#define SOUK_TIMEUTIL_H

#include <stdbool.h>
#include <stdint.h>

int64_t mono_ms(void);
int64_t mono_us(void);
int64_t wall_ms(void);
void time_rfc3339(int64_t ms, char out[25]); /* 2026-01-15T10:30:00.123Z; outside 0001..9999 it is clamped */
bool time_parse_rfc3339(const char *s, int64_t *ms_r); /* offsets accepted; leap second 60 is taken as 59 */
void sleep_ms(int64_t ms);

#endif
