/* Models: their states, trainings. */
#include "reco.pb-c.h"
#include "services/reco/reco.h"

RPC_HANDLER(reco_list_models, Reco__V1__ListModelsRequest, Reco__V1__ListModelsReply)
RPC_HANDLER(reco_get_model, Reco__V1__ModelRequest, Reco__V1__Model)
RPC_HANDLER(reco_approve_model, Reco__V1__DecideModelRequest, Reco__V1__Model)
RPC_HANDLER(reco_reject_model, Reco__V1__DecideModelRequest, Reco__V1__Model)
RPC_HANDLER(reco_deploy_model, Reco__V1__DeployModelRequest, Reco__V1__Model)
RPC_HANDLER(reco_rollback_model, Reco__V1__RollbackModelRequest, Reco__V1__Model)
RPC_HANDLER(reco_start_training, Reco__V1__StartTrainingRequest, Reco__V1__Training)
RPC_HANDLER(reco_get_training, Reco__V1__TrainingRequest, Reco__V1__Training)
RPC_HANDLER(reco_cancel_training, Reco__V1__TrainingRequest, Reco__V1__Training)

const struct rpc_method reco_model_methods[] = {
	{ "ListModels", reco_list_models_, RPC_READ, 0 },
	{ "GetModel", reco_get_model_, RPC_READ, 0 },
	{ "ApproveModel", reco_approve_model_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RejectModel", reco_reject_model_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeployModel", reco_deploy_model_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RollbackModel", reco_rollback_model_, RPC_WRITE | RPC_KEYED, 0 },
	{ "StartTraining", reco_start_training_, RPC_WRITE | RPC_KEYED, 0 },
	{ "GetTraining", reco_get_training_, RPC_READ, 0 },
	{ "CancelTraining", reco_cancel_training_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static enum err_code reco_list_models(struct call *c, const Reco__V1__ListModelsRequest *in, Reco__V1__ListModelsReply *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}

static enum err_code reco_get_model(struct call *c, const Reco__V1__ModelRequest *in, Reco__V1__Model *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}

static enum err_code reco_approve_model(struct call *c, const Reco__V1__DecideModelRequest *in, Reco__V1__Model *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}

static enum err_code reco_reject_model(struct call *c, const Reco__V1__DecideModelRequest *in, Reco__V1__Model *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}

static enum err_code reco_deploy_model(struct call *c, const Reco__V1__DeployModelRequest *in, Reco__V1__Model *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}

static enum err_code reco_rollback_model(struct call *c, const Reco__V1__RollbackModelRequest *in, Reco__V1__Model *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}

static enum err_code reco_start_training(struct call *c, const Reco__V1__StartTrainingRequest *in, Reco__V1__Training *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}

static enum err_code reco_get_training(struct call *c, const Reco__V1__TrainingRequest *in, Reco__V1__Training *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}

static enum err_code reco_cancel_training(struct call *c, const Reco__V1__TrainingRequest *in, Reco__V1__Training *out)
{
	(void)in;
	(void)out;
	return err_set(&c->err, E_UNAVAILABLE, "reco.not_ready", "no model");
}
