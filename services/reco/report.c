/* What recommendations brought: shown, clicked, put into the cart, bought; as numbers and as a picture. */
#include <math.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "reco.pb-c.h"
#include "services/reco/collect.h"
#include "services/reco/reco.h"
#include "services/reco/reco_db_serve.h"

#define PERM "admin.catalog"

RPC_HANDLER(reco_get_report, Reco__V1__ReportRequest, Reco__V1__ReportReply)
RPC_HANDLER(reco_get_report_plot, Reco__V1__ReportRequest, Reco__V1__PlotReply)

const struct rpc_method reco_report_methods[] = {
	{ "GetReport", reco_get_report_, RPC_READ, 0 },
	{ "GetReportPlot", reco_get_report_plot_, RPC_READ, 0 },
	{ 0 },
};

struct report {
	struct report_row *rows;
	struct report_day_row *days;
	size_t n, n_days;
};

static enum err_code read_report(struct call *c, const Reco__V1__ReportRequest *in, struct report *r)
{
	int32_t days = in->has_days ? in->days : 14;
	struct pg *pg;
	enum err_code code;

	if (call_perm(c, PERM))
		return c->err.code;
	check_range(&c->err, "days", days, 1, 90);
	if (in->placement && !collect_word(in->placement))
		err_detail(&c->err, "placement", NULL, "1 to 64 letters, digits or - _ . :");
	if (in->variant && !collect_word(in->variant))
		err_detail(&c->err, "variant", NULL, "main, canary or none");
	if (in->model_version && !collect_word(in->model_version))
		err_detail(&c->err, "model_version", NULL, "is not one");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "report");
	if (call_pg(c, &pg))
		return c->err.code;
	code = reco_db_report(pg, c->arena, days, in->placement, in->variant, in->model_version, &r->rows, &r->n, &r->days,
			      &r->n_days, &c->err);
	pg_return(pg);
	return code;
}

/* Wilson's interval of a share, 95 %. */
static void share(int64_t hits, int64_t of, double *mean, double *lo, double *hi)
{
	const double z = 1.959964, n = (double)of, p = of > 0 ? (double)hits / n : 0;
	double middle = (p + z * z / (2 * n)) / (1 + z * z / n), half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);

	*mean = p;
	*lo = of > 0 ? fmax(middle - half, 0) : 0;
	*hi = of > 0 ? fmin(middle + half, 1) : 0;
}

static double rate(int64_t hits, int64_t of)
{
	return of > 0 ? (double)hits / (double)of : 0;
}

static enum err_code reco_get_report(struct call *c, const Reco__V1__ReportRequest *in, Reco__V1__ReportReply *out)
{
	struct report r = { 0 };

	if (read_report(c, in, &r))
		return c->err.code;
	out->data = arena_array(c->arena, r.n + 1, sizeof(*out->data));
	out->days = arena_array(c->arena, r.n_days + 1, sizeof(*out->days));
	for (size_t i = 0; i < r.n; i++) {
		const struct report_row *x = &r.rows[i];
		Reco__V1__ReportRow *m = arena_alloc(c->arena, sizeof(*m));

		reco__v1__report_row__init(m);
		m->placement = (char *)x->placement;
		m->variant = (char *)x->variant;
		m->model_version = (char *)x->version;
		m->has_requests = m->has_impressions = m->has_clicks = m->has_carts = m->has_orders = m->has_fallbacks = true;
		m->has_ctr = m->has_ctr_low = m->has_ctr_high = m->has_cart_rate = m->has_order_rate = true;
		m->requests = x->requests;
		m->impressions = x->impressions;
		m->clicks = x->clicks;
		m->carts = x->carts;
		m->orders = x->orders;
		m->fallbacks = x->fallbacks;
		share(x->clicks < x->impressions ? x->clicks : x->impressions, x->impressions, &m->ctr, &m->ctr_low, &m->ctr_high);
		m->cart_rate = rate(x->carts, x->clicks);
		m->order_rate = rate(x->orders, x->clicks);
		out->data[out->n_data++] = m;
	}
	for (size_t i = 0; i < r.n_days; i++) {
		Reco__V1__ReportDay *m = arena_alloc(c->arena, sizeof(*m));

		reco__v1__report_day__init(m);
		m->day = (char *)r.days[i].day;
		m->variant = (char *)r.days[i].variant;
		m->has_impressions = m->has_clicks = m->has_carts = m->has_orders = true;
		m->impressions = r.days[i].impressions;
		m->clicks = r.days[i].clicks;
		m->carts = r.days[i].carts;
		m->orders = r.days[i].orders;
		out->days[out->n_days++] = m;
	}
	return OK;
}

/* ---- the picture: click-through by day, a line for each variant ---- */

#define WIDTH 720
#define HEIGHT 260
#define LEFT 48
#define BOTTOM 36

static size_t day_place(const struct report *r, const char *day)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_days && strcmp(r->days[i].day, day) != 0; i++)
		n += i + 1 == r->n_days || strcmp(r->days[i].day, r->days[i + 1].day) != 0;
	return n;
}

static void line(struct buf *b, const struct report *r, const char *variant, const char *colour, double top, size_t days, int nth)
{
	bool any = false;

	buf_fmt(b, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", colour);
	for (size_t i = 0; i < r->n_days; i++) {
		const struct report_day_row *d = &r->days[i];
		double x, y;

		if (strcmp(d->variant, variant) != 0 || d->impressions == 0)
			continue;
		x = LEFT + (WIDTH - LEFT - 16.0) * (days > 1 ? (double)day_place(r, d->day) / (double)(days - 1) : 0.5);
		y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 24.0) * rate(d->clicks, d->impressions) / top;
		buf_fmt(b, "%.1f,%.1f ", x, y);
		any = true;
	}
	buf_str(b, "\"/>");
	if (any)
		buf_fmt(b, "<text x=\"%d\" y=\"16\" fill=\"%s\">%s</text>", LEFT + 8 + nth * 90, colour, variant);
}

static enum err_code reco_get_report_plot(struct call *c, const Reco__V1__ReportRequest *in, Reco__V1__PlotReply *out)
{
	static const char *const variants[] = { "main", "canary", "none" }, *const colours[] = { "#1f6feb", "#d29922", "#8b949e" };
	struct report r = { 0 };
	double top = 0.001;
	size_t days;
	struct buf b;

	if (read_report(c, in, &r))
		return c->err.code;
	for (size_t i = 0; i < r.n_days; i++)
		top = fmax(top, rate(r.days[i].clicks, r.days[i].impressions));
	days = r.n_days ? day_place(&r, r.days[r.n_days - 1].day) + 1 : 0;
	buf_init(&b, 1 << 20);
	buf_fmt(&b,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">"
		"<title>Click-through of recommendations by day</title><rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>"
		"<path d=\"M%d 24V%dH%d\" fill=\"none\" stroke=\"#8b949e\"/><text x=\"4\" y=\"30\">%.1f %%</text>"
		"<text x=\"4\" y=\"%d\">0 %%</text>",
		WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, HEIGHT - BOTTOM, WIDTH - 16, top * 100, HEIGHT - BOTTOM);
	for (int i = 0; i < 3; i++)
		line(&b, &r, variants[i], colours[i], top, days, i);
	if (days)
		buf_fmt(&b, "<text x=\"%d\" y=\"%d\">%s</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", LEFT, HEIGHT - 12,
			r.days[0].day, WIDTH - 16, HEIGHT - 12, r.days[r.n_days - 1].day);
	buf_str(&b, "</svg>\n");
	out->has_raw_body = true;
	out->raw_body.data = arena_dup(c->arena, b.data, b.len);
	out->raw_body.len = b.len;
	out->hdr_content_type = (char *)(uintptr_t)"image/svg+xml";
	buf_free(&b);
	return OK;
}
