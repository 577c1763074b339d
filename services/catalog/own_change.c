#include "services/catalog/own_change.h"

#include <string.h>

#include "common/check.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_rules.h"
#include "services/catalog/product_event.h"
#include "services/catalog/product_view.h"
#include "services/catalog/vendor.h"

/* Tells 412 from 404 after a touch that met nothing. */
static enum err_code not_touched(struct own_change *ch, struct pg *pg, struct err *e)
{
	struct product_row *r = NULL;
	bool found = false;

	if (catalog_db_product(pg, ch->c->arena, ch->product_id, ch->c->who.vendor_id, "USD", &r, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "catalog.product_unknown", "%s", ch->product_id);
	err_detail(e, "If-Match", arena_printf(ch->c->arena, "%s-%lld", r->id, (long long)r->version),
		   "the product was changed meanwhile");
	return err_set(e, E_PRECOND, "common.precondition_failed", "%s", ch->product_id);
}

/* What is public of the product now: slug and status may be new. */
static enum err_code told(struct own_change *ch, struct pg *pg, const struct touched_row *before, struct err *e)
{
	struct call *c = ch->c;
	struct product_row *now = NULL;
	bool found = false;

	if (catalog_db_product(pg, c->arena, ch->product_id, c->who.vendor_id, "USD", &now, &found, e))
		return e->code;
	if (!found)
		return product_told(pg, c->arena, ch->product_id, c->who.vendor_id, "deleted", before->slug, NULL,
				    before->version, e);
	return product_told(pg, c->arena, now->id, now->vendor_id, now->status, now->slug,
			    strcmp(now->slug, before->slug) == 0 ? NULL : before->slug, now->version, e);
}

static enum err_code change_tx(struct pg *pg, void *arg, struct err *e)
{
	struct own_change *ch = arg;
	struct call *c = ch->c;
	struct catalog_svc *svc = c->svc;
	struct touched_row *before = NULL;
	bool found = false, any = false;
	int64_t version = catalog_tag_version(ch->if_match, ch->product_id, &any);

	if (vendor_approved(c, pg, e))
		return e->code;
	if (!any && version < 0)
		return not_touched(ch, pg, e);
	if (catalog_db_product_touch(pg, c->arena, ch->product_id, c->who.vendor_id, version, &before, &found, e))
		return e->code;
	if (!found)
		return not_touched(ch, pg, e);
	if (ch->fn(ch, pg, before, e) || catalog_db_refresh(pg, ch->product_id, e) || told(ch, pg, before, e))
		return e->code;
	return ch->out ? product_view(c, pg, ch->product_id, c->who.vendor_id, svc->conf->currency, ch->out, e) : OK;
}

enum err_code own_change_run(struct own_change *ch)
{
	struct call *c = ch->c;

	if (call_vendor(c, "vendor.catalog")) {
		c->err.n_details = 0; /* who may not enter is not told what was wrong with the rest */
		return c->err.code;
	}
	check_id(&c->err, "product_id", ch->product_id, "prd");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "product change");
	return call_tx(c, CALL_TX_ONLY, change_tx, ch);
}
