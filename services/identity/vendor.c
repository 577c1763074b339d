/* What catalog tells of its vendors: who owns one, and whether its people may work. */
#include <string.h>

#include "events.pb-c.h"
#include "services/identity/identity.h"
#include "services/identity/identity_db.h"

/* Suspension takes the vendor's access tokens away at once; shop sessions of its people only have to refresh. */
static enum err_code apply(struct pg *pg, const Events__V1__VendorChanged *v, int64_t version, const char *status,
			   struct err *e)
{
	bool fresh = false;

	if (identity_db_vendor_put(pg, v->vendor_id, v->owner_user_id, status, version, &fresh, e))
		return e->code;
	if (!fresh)
		return OK;
	if (v->owner_user_id && identity_db_vendor_own(pg, v->vendor_id, v->owner_user_id, e))
		return e->code;
	return strcmp(status, "suspended") == 0 || strcmp(status, "rejected") == 0 ?
		       identity_db_vendor_bump(pg, v->vendor_id, e) :
		       OK;
}

static enum err_code vendor_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	const Events__V1__VendorChanged *v = (const void *)ev->msg;
	const char *status = strchr(ev->type, '.');

	(void)a;
	(void)svc;
	if (!v->vendor_id || !id_valid("vnd", v->vendor_id) || !status ||
	    (v->owner_user_id && *v->owner_user_id && !id_valid("usr", v->owner_user_id)))
		return err_set(e, E_INVALID, "common.invalid_input", "%s without usable ids", ev->type);
	return apply(pg, v, ev->agg_version, status + 1, e);
}

#define VENDOR_EVENT(type) { "catalog", type, &events__v1__vendor_changed__descriptor, vendor_changed, NULL }

const struct inbox_handler identity_inbox[] = {
	VENDOR_EVENT("vendor.applied"),
	VENDOR_EVENT("vendor.approved"),
	VENDOR_EVENT("vendor.rejected"),
	VENDOR_EVENT("vendor.suspended"),
	{ 0 },
};
