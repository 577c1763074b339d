/* Recommendations, and what came of them. */
#include "reco.pb-c.h"
#include "services/reco/reco.h"

RPC_HANDLER(reco_recommend, Reco__V1__RecommendRequest, Reco__V1__RecommendReply)
RPC_HANDLER(reco_get_report, Reco__V1__ReportRequest, Reco__V1__ReportReply)
RPC_HANDLER(reco_get_report_plot, Reco__V1__ReportRequest, Reco__V1__PlotReply)

const struct rpc_method reco_serve_methods[] = {
	{ "Recommend", reco_recommend_, RPC_READ, 0 },
	{ "GetReport", reco_get_report_, RPC_READ, 0 },
	{ "GetReportPlot", reco_get_report_plot_, RPC_READ, 0 },
	{ 0 },
};

static enum err_code reco_recommend(struct call *c, const Reco__V1__RecommendRequest *in, Reco__V1__RecommendReply *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}

static enum err_code reco_get_report(struct call *c, const Reco__V1__ReportRequest *in, Reco__V1__ReportReply *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}

static enum err_code reco_get_report_plot(struct call *c, const Reco__V1__ReportRequest *in, Reco__V1__PlotReply *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}
