#include "common/timeutil.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_MS 86400000LL

static int64_t clock_us(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t mono_ms(void)
{
	return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

int64_t wall_ms(void)
{
	return clock_us(CLOCK_REALTIME) / 1000;
}

void sleep_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000 };

	if (ms > 0)
		while (nanosleep(&ts, &ts) && errno == EINTR)
			;
}

/* Days since 1970-01-01 of a proleptic Gregorian date, and back; eras of 400 years starting in March. */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t z, int *y_r, int *m_r, int *d_r)
{
	int64_t era, doe, yoe, doy, mp, m;

	z += 719468;
	era = (z >= 0 ? z : z - 146096) / 146097;
	doe = z - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	m = mp < 10 ? mp + 3 : mp - 9;
	*d_r = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m_r = (int)m;
	*y_r = (int)(yoe + era * 400 + (m <= 2));
}

const char *time_rfc3339(int64_t ms, char out[TIME_TEXT_LEN])
{
	static const int64_t first = -62167219200000LL, last = 253402300799999LL; /* 0000 to 9999 */
	int64_t day, rest;
	int y, m, d;

	ms = ms < first ? first : ms > last ? last : ms;
	day = ms / DAY_MS;
	rest = ms % DAY_MS;
	if (rest < 0) {
		rest += DAY_MS;
		day--;
	}
	civil_from_days(day, &y, &m, &d);
	(void)snprintf(out, TIME_TEXT_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)y % 10000u,
		(unsigned)m % 100u, (unsigned)d % 100u, (unsigned)(rest / 3600000) % 100u,
		(unsigned)(rest / 60000 % 60), (unsigned)(rest / 1000 % 60), (unsigned)(rest % 1000));
	return out;
}

/* Exactly n digits at *s; moves past them. */
static bool digits(const char **s, int n, int *v_r)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		char c = (*s)[i];

		if (c < '0' || c > '9')
			return false;
		v = v * 10 + (c - '0');
	}
	*s += n;
	*v_r = v;
	return true;
}

static bool one(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static int days_in_month(int y, int m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[m - 1] + (m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
}

static bool parse_zone(const char **s, int64_t *offset_ms_r)
{
	int sign, h, m;

	*offset_ms_r = 0;
	if (one(s, 'Z') || one(s, 'z'))
		return true;
	sign = **s == '+' ? 1 : **s == '-' ? -1 : 0;
	if (!sign)
		return false;
	(*s)++;
	if (!digits(s, 2, &h) || !one(s, ':') || !digits(s, 2, &m) || h > 23 || m > 59)
		return false;
	*offset_ms_r = sign * (h * 60LL + m) * 60000;
	return true;
}

static bool parse_fraction(const char **s, int *ms_r)
{
	int scale = 100;

	*ms_r = 0;
	if (!one(s, '.'))
		return true;
	if (**s < '0' || **s > '9')
		return false;
	for (; **s >= '0' && **s <= '9'; (*s)++, scale /= 10)
		*ms_r += (**s - '0') * scale;
	return true;
}

bool time_parse_rfc3339(const char *s, int64_t *ms_r)
{
	int y, mo, d, h, mi, sec, frac;
	int64_t offset;

	if (!s || strnlen(s, 64) == 64)
		return false;
	if (!digits(&s, 4, &y) || !one(&s, '-') || !digits(&s, 2, &mo) || !one(&s, '-') || !digits(&s, 2, &d))
		return false;
	if (!one(&s, 'T') && !one(&s, 't') && !one(&s, ' '))
		return false;
	if (!digits(&s, 2, &h) || !one(&s, ':') || !digits(&s, 2, &mi) || !one(&s, ':') || !digits(&s, 2, &sec))
		return false;
	if (!parse_fraction(&s, &frac) || !parse_zone(&s, &offset) || *s)
		return false;
	if (mo < 1 || mo > 12 || d < 1 || d > days_in_month(y, mo) || h > 23 || mi > 59 || sec > 59)
		return false;
	*ms_r = days_from_civil(y, mo, d) * DAY_MS + (h * 3600LL + mi * 60LL + sec) * 1000 + frac - offset;
	return true;
}
