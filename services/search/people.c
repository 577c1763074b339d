#include "services/search/people.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"

#define BITS (1u << 23)
#define MARKS 4
#define DAY_MS 86400000LL

struct people {
	int64_t day;
	struct key32 key;
	uint8_t bits[BITS / 8];
};

struct people *people_new(void)
{
	struct people *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->day = -1;
	return p;
}

void people_free(struct people *p)
{
	free(p);
}

bool people_first(struct people *p, int64_t now_ms, const char *who, const char *query)
{
	char text[1024];
	uint32_t mark[8];
	bool first = false;
	int n;

	if (!who || !*who)
		return false;
	if (p->day != now_ms / DAY_MS) {
		memset(p->bits, 0, sizeof(p->bits));
		random_bytes(&p->key, sizeof(p->key));
		p->day = now_ms / DAY_MS;
	}
	n = snprintf(text, sizeof(text), "%.200s\n%.700s", who, query);
	hmac_sha256(&p->key, sizeof(p->key), text, (size_t)n, (uint8_t *)mark);
	for (int i = 0; i < MARKS; i++) {
		uint8_t *byte = &p->bits[mark[i] % BITS / 8], bit = (uint8_t)(1u << mark[i] % 8);

		first |= !(*byte & bit);
		*byte |= bit;
	}
	return first;
}
