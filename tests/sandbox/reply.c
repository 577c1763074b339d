#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *op_name(enum op op)
{
	static const char *const names[OP_COUNT_] = {
		[OP_CREATE] = "create",
		[OP_CONFIRM] = "confirm",
		[OP_CAPTURE] = "capture",
		[OP_CANCEL] = "cancel",
		[OP_REFUND] = "refund",
		[OP_RETRIEVE] = "retrieve",
		[OP_LIST] = "list",
		[OP_AUTHENTICATE] = "authenticate",
		[OP_CONTROL] = "control",
		[OP_PAGE] = "page",
	};

	return names[op];
}

void reply_text(struct reply *r, int status, const char *type, char *body, size_t len)
{
	free(r->body);
	r->status = status;
	r->type = type;
	r->body = body;
	r->len = body ? len : 0;
}

void reply_json(struct reply *r, int status, json_t *body)
{
	char *s = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	if (!s) {
		s = strdup("{\"error\":{\"type\":\"api_error\",\"message\":\"The sandbox is out of "
			   "memory.\"}}");
		status = 500;
		r->unstored = true;
	}
	reply_text(r, status, NULL, s, s ? strlen(s) : 0);
}

void reply_free(struct reply *r)
{
	free(r->body);
	r->body = NULL;
}

static void set_text(json_t *o, const char *name, const char *value)
{
	if (value)
		json_object_set_new(o, name, json_string(value));
}

static void error_body(struct reply *r, int status, struct api_error e, const char *fmt, va_list ap)
{
	char message[512];
	json_t *o = json_object();

	vsnprintf(message, sizeof(message), fmt, ap);
	set_text(o, "charge", e.charge);
	set_text(o, "code", e.code);
	set_text(o, "decline_code", e.decline_code);
	set_text(o, "message", message);
	set_text(o, "param", e.param);
	if (e.intent)
		json_object_set_new(o, "payment_intent", e.intent);
	set_text(o, "type", e.type ? e.type : "invalid_request_error");
	reply_json(r, status, json_pack("{s:o}", "error", o));
}

void reply_error(struct reply *r, int status, struct api_error e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_body(r, status, e, fmt, ap);
	va_end(ap);
}

void reply_param(struct reply *r, const char *param, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_body(r, 400, (struct api_error){ .code = code, .param = param }, fmt, ap);
	va_end(ap);
	r->unstored = true;
}

void reply_missing(struct reply *r, const char *what, const char *id)
{
	reply_error(r, 404, (struct api_error){ .code = "resource_missing", .param = "id" },
		"No such %s: '%s'.", what, id);
	r->unstored = true;
}
