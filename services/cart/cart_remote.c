#include "services/cart/cart_remote.h"

#include <string.h>

#include "common/rpc_client.h"
#include "services/cart/cart.h"

enum err_code cart_remote_variants(struct call *c, const char *const *ids, size_t n, const char *currency,
				   Catalog__V1__VariantsReply **out_r)
{
	struct cart_svc *svc = c->svc;
	Catalog__V1__VariantsRequest in = CATALOG__V1__VARIANTS_REQUEST__INIT;
	const struct rpc_opts opts = { .as_service = true, .retry_read = true };

	in.n_variant_ids = n;
	in.variant_ids = (char **)ids;
	in.currency = (char *)currency;
	return rpc_call(svc->catalog, c, "catalog.v1.Catalog/GetVariants", &in.base,
			&catalog__v1__variants_reply__descriptor, out_r, &opts);
}

enum err_code cart_remote_available(struct call *c, const char *const *ids, size_t n,
				    Inventory__V1__AvailabilityReply **out_r)
{
	struct cart_svc *svc = c->svc;
	Inventory__V1__AvailabilityRequest in = INVENTORY__V1__AVAILABILITY_REQUEST__INIT;
	const struct rpc_opts opts = { .as_service = true, .retry_read = true };

	in.n_variant_ids = n;
	in.variant_ids = (char **)ids;
	return rpc_call(svc->inventory, c, "inventory.v1.Inventory/GetAvailability", &in.base,
			&inventory__v1__availability_reply__descriptor, out_r, &opts);
}

const Catalog__V1__VariantInfo *cart_remote_variant(const Catalog__V1__VariantsReply *r, const char *id)
{
	for (size_t i = 0; r && i < r->n_data; i++)
		if (r->data[i]->variant_id && strcmp(r->data[i]->variant_id, id) == 0)
			return r->data[i];
	return NULL;
}

const Inventory__V1__Availability *cart_remote_left(const Inventory__V1__AvailabilityReply *r, const char *id)
{
	for (size_t i = 0; r && i < r->n_data; i++)
		if (r->data[i]->variant_id && strcmp(r->data[i]->variant_id, id) == 0)
			return r->data[i];
	return NULL;
}
