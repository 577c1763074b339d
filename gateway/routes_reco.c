/* REST rows of souk-reco. */
#include "gateway/routes.h"

#include "reco.pb-c.h"

#define IN(x) &reco__v1__##x##__descriptor
#define ADMIN_READ .auth = AUTH_ADMIN, .perm = "admin.catalog", .rate = RATE_READ, .flags = ROUTE_READ, \
		   .tag = "recommendations"
#define ADMIN_WRITE .auth = AUTH_ADMIN, .perm = "admin.catalog", .rate = RATE_WRITE, .tag = "recommendations"

const struct route reco_routes[] = {
	{ "POST", "/api/events", "reco", "Collect", IN(collect_request), IN(collect_reply), .status = 202,
	  .auth = AUTH_OPTIONAL, .rate = RATE_EVENTS, .flags = ROUTE_NO_IDEM, .required = "events", .max_body = 262144,
	  .tag = "recommendations",
	  .doc = "Takes up to 500 views, clicks, impressions and additions to the cart; each event counts once by its id." },
	{ "GET", "/api/recommendations", "reco", "Recommend", IN(recommend_request), IN(recommend_reply),
	  .auth = AUTH_OPTIONAL, .rate = RATE_READ, .flags = ROUTE_READ | ROUTE_EMPTY, .required = "type",
	  .timeout_ms = 1500, .tag = "recommendations",
	  .doc = "Products for a place of the shop: related, bought_together, also_viewed, trending, personal, buy_again, recent." },
	{ "GET", "/api/admin/reco/status", "reco", "GetStatus", IN(status_request), IN(status), ADMIN_READ,
	  .doc = "What is collected, which models answer, how far the last training is." },
	{ "POST", "/api/admin/reco/history", "reco", "ImportHistory", IN(import_history_request), IN(import_history_reply),
	  .auth = AUTH_ADMIN, .perm = "admin.catalog", .rate = RATE_EVENTS, .flags = ROUTE_NO_IDEM,
	  .required = "source rows", .max_body = 1044480, .timeout_ms = 30000, .tag = "recommendations",
	  .doc = "Takes a piece of another system's orders and visits; soukctl reco import sends whole files." },
	{ "GET", "/api/admin/reco/report", "reco", "GetReport", IN(report_request), IN(report_reply), ADMIN_READ,
	  .doc = "What recommendations brought: impressions, clicks, additions to the cart, orders." },
	{ "GET", "/api/admin/reco/report/plot", "reco", "GetReportPlot", IN(report_request), IN(plot_reply), ADMIN_READ,
	  .produces = "image/svg+xml", .doc = "The report as a picture (SVG)." },
	{ "GET", "/api/admin/reco/pins", "reco", "ListPins", IN(list_pins_request), IN(list_pins_reply), ADMIN_READ,
	  .doc = "Products that are always shown at a place." },
	{ "POST", "/api/admin/reco/pins", "reco", "CreatePin", IN(create_pin_request), IN(pin), ADMIN_WRITE, .status = 201,
	  .required = "placement product_id position", .doc = "Pins a product to a place." },
	{ "DELETE", "/api/admin/reco/pins/{pin_id}", "reco", "DeletePin", IN(delete_pin_request),
	  &common__v1__empty__descriptor, ADMIN_WRITE, .status = 204, .doc = "Removes a pin." },
	{ "GET", "/api/admin/reco/models", "reco", "ListModels", IN(list_models_request), IN(list_models_reply), ADMIN_READ,
	  .doc = "Models with their state and figures, newest first." },
	{ "GET", "/api/admin/reco/models/{model_id}", "reco", "GetModel", IN(model_request), IN(model), ADMIN_READ,
	  .doc = "One model with its history." },
	{ "POST", "/api/admin/reco/models/{model_id}/approve", "reco", "ApproveModel", IN(decide_model_request), IN(model),
	  ADMIN_WRITE, .doc = "Approves a model that has passed the gate." },
	{ "POST", "/api/admin/reco/models/{model_id}/reject", "reco", "RejectModel", IN(decide_model_request), IN(model),
	  ADMIN_WRITE, .doc = "Rejects a model." },
	{ "POST", "/api/admin/reco/models/{model_id}/deploy", "reco", "DeployModel", IN(deploy_model_request), IN(model),
	  ADMIN_WRITE, .doc = "Deploys an approved model, to everybody or to a share of the visitors." },
	{ "POST", "/api/admin/reco/rollback", "reco", "RollbackModel", IN(rollback_model_request), IN(model), ADMIN_WRITE,
	  .doc = "Goes back to the model before." },
	{ "POST", "/api/admin/reco/trainings", "reco", "StartTraining", IN(start_training_request), IN(training),
	  ADMIN_WRITE, .status = 202, .doc = "Trains a model on what was collected." },
	{ "GET", "/api/admin/reco/trainings/{training_id}", "reco", "GetTraining", IN(training_request), IN(training),
	  ADMIN_READ, .doc = "How far a training is." },
	{ "POST", "/api/admin/reco/trainings/{training_id}/cancel", "reco", "CancelTraining", IN(training_request),
	  IN(training), ADMIN_WRITE, .doc = "Stops a training." },
	{ 0 },
};
