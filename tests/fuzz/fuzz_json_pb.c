/*
 * A JSON body as it comes from outside. The first byte chooses the message (255: the next two choose among the requests
 * of all routes). What is accepted must be written as JSON that is
 * accepted again and then written the same: nothing is lost or invented on the way.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cart.pb-c.h"
#include "catalog.pb-c.h"
#include "checkout.pb-c.h"
#include "common.pb-c.h"
#include "identity.pb-c.h"
#include "inventory.pb-c.h"
#include "search.pb-c.h"

#include "gateway/json_pb.h"
#include "gateway/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const kinds[] = {
	&common__v1__audit_row__descriptor,	      &common__v1__principal__descriptor,
	&common__v1__request__descriptor,	      &catalog__v1__variant_info__descriptor,
	&catalog__v1__product__descriptor,	      &catalog__v1__create_product_request__descriptor,
	&inventory__v1__reserve_request__descriptor, &cart__v1__cart_view__descriptor,
	&identity__v1__address__descriptor,	      &checkout__v1__order_for_mail__descriptor,
	&search__v1__search_reply__descriptor,	      &search__v1__suggest_reply__descriptor,
};

static const ProtobufCMessageDescriptor *request_of_route(unsigned n)
{
	for (const struct route_service *s = gateway_services; s->name; s++)
		for (const struct route *r = s->rows; r->method; r++)
			if (n-- == 0)
				return r->in;
	return NULL;
}

static void written(struct buf *b, const ProtobufCMessage *m)
{
	buf_init(b, 8 << 20);
	jpb_write(b, m);
	if (buf_over(b))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ProtobufCMessageDescriptor *d;
	struct arena *a;
	ProtobufCMessage *m, *again;
	struct err e = { 0 };
	struct buf one, two;
	char path[64];

	if (!size)
		return 0;
	d = kinds[data[0] % (sizeof kinds / sizeof kinds[0])];
	if (data[0] == 255 && size > 2) {
		d = request_of_route(data[1] | (unsigned)data[2] << 8);
		data += 2;
		size -= 2;
	}
	data++;
	size--;
	if (!d)
		return 0;
	json_path_at((const char *)data, size, size / 2, path, sizeof path);
	a = arena_new("fuzz", 16 << 20);
	m = jpb_new(a, d);
	if (jpb_read(a, (const char *)data, size, m, &e)) {
		/* A refusal says why, and which field. */
		if (e.code != E_INVALID || !e.n_details || !e.details[0].field[0] || !e.details[0].message[0])
			abort();
		arena_free(a);
		return 0;
	}
	written(&one, m);
	again = jpb_new(a, d);
	if (jpb_read(a, one.data, one.len, again, &e))
		abort();
	written(&two, again);
	if (one.len != two.len || memcmp(one.data, two.data, one.len))
		abort();
	buf_free(&one);
	buf_free(&two);
	arena_free(a);
	return 0;
}
