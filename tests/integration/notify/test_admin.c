/* What users and administrators can ask of notify. */
#include "rig.h"

#include "common/cursor.h"

static void preferences(void **state)
{
	Notify__V1__PreferencesRequest none = NOTIFY__V1__PREFERENCES_REQUEST__INIT;
	Notify__V1__Preferences in = NOTIFY__V1__PREFERENCES__INIT, *p;

	(void)state;
#define GET(user) ask_as(user, false, "GetPreferences", &none.base, &notify__v1__preferences__descriptor)
	p = GET(USER);
	assert_true(p->has_order_mail && p->order_mail && !p->marketing_mail && !p->cart_reminder);
	in.has_cart_reminder = in.cart_reminder = true;
	p = ask_as(USER, false, "PutPreferences", &in.base, &notify__v1__preferences__descriptor);
	assert_true(p->order_mail && p->cart_reminder && !p->marketing_mail); /* what is absent stays */
	in.has_cart_reminder = false;
	in.has_order_mail = true;
	in.order_mail = false;
	assert_non_null(ask_as(USER, false, "PutPreferences", &in.base, &notify__v1__preferences__descriptor));
	p = GET(USER);
	assert_true(!p->order_mail && p->cart_reminder);
	p = GET("usr_01jd3k0000000000000000000b"); /* somebody else's are their own */
	assert_true(p->order_mail && !p->cart_reminder);
	assert_null(GET(NULL));
	assert_int_equal(last.code, E_UNAUTH);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM notify.audit_log WHERE table_name = 'preference'"
					    " AND actor LIKE 'user:%%'"), 2);
}

static void only_administrators(void **state)
{
	Notify__V1__ListMessagesRequest in = NOTIFY__V1__LIST_MESSAGES_REQUEST__INIT;

	(void)state;
	assert_null(ask_as(USER, false, "ListMessages", &in.base, &notify__v1__list_messages_reply__descriptor));
	assert_int_equal(last.code, E_DENIED);
	for (const struct rpc_method *const *t = notify_services[0].tables; *t; t++) {
		for (const struct rpc_method *m = *t; m->name; m++) {
			const ProtobufCMethodDescriptor *d =
				protobuf_c_service_descriptor_get_method_by_name(&notify__v1__notify__descriptor, m->name);
			ProtobufCMessage *empty = arena_alloc(arena, d->input->sizeof_message);

			if (strstr(m->name, "Preferences"))
				continue;
			d->input->message_init(empty);
			if (ask_as(USER, false, m->name, empty, d->output) || last.code != E_DENIED)
				fail_msg("%s is open to everybody", m->name);
		}
	}
}

/* ---- templates ---- */

static Notify__V1__Template *put(const char *subject, const char *text, const char *html, const char *if_match)
{
	Notify__V1__PutTemplateRequest in = NOTIFY__V1__PUT_TEMPLATE_REQUEST__INIT;

	in.kind = (char *)"order_placed";
	in.lang = (char *)"fr";
	in.subject = (char *)subject;
	in.text = (char *)text;
	in.html = (char *)html;
	in.hdr_if_match = (char *)if_match;
	return ASK("PutTemplate", &in, template);
}

static void templates(void **state)
{
	Notify__V1__ListTemplatesRequest all = NOTIFY__V1__LIST_TEMPLATES_REQUEST__INIT;
	Notify__V1__TemplateRequest one = NOTIFY__V1__TEMPLATE_REQUEST__INIT;
	Notify__V1__ListTemplatesReply *list;
	Notify__V1__Template *t;

	(void)state;
	one.kind = (char *)"order_placed";
	one.lang = (char *)"fr";
	assert_null(ASK("GetTemplate", &one, template));
	assert_string_equal(last.slug, "notify.template_unknown");
	t = put("Commande {{order_number}}", "{{#lines}}{{title}}{{/lines}}", "<p>{{name}}</p>", NULL);
	assert_non_null(t);
	assert_int_equal(t->version, 1);
	assert_string_equal(t->hdr_etag, "order_placed.fr-1");
	assert_string_equal(t->updated_by, "user:usr_01jd3k0000000000000000admn");
	assert_null(put("x", "y", "z", "order_placed.fr-0"));
	assert_int_equal(last.code, E_PRECOND);
	assert_null(put("x", "y", "z", "order_placed.de-1"));
	assert_int_equal(last.code, E_PRECOND);
	t = put("x", "y", "z", "order_placed.fr-1");
	assert_int_equal(t->version, 2);
	t = ASK("GetTemplate", &one, template);
	assert_true(t->custom);
	assert_string_equal(t->subject, "x");
	assert_true(t->n_variables > 10);
	all.lang = (char *)"fr";
	list = ASK("ListTemplates", &all, list_templates_reply);
	assert_int_equal(list->n_data, 1);
	all.lang = NULL;
	all.kind = (char *)"order_placed";
	list = ASK("ListTemplates", &all, list_templates_reply);
	assert_int_equal(list->n_data, 3);
	/* no text of its own to go back to: it is gone */
	assert_non_null(ASK("ResetTemplate", &one, template));
	assert_null(ASK("GetTemplate", &one, template));
	one.lang = (char *)"de";
	t = ASK("GetTemplate", &one, template);
	assert_false(t->custom);
	assert_string_equal(t->hdr_etag, "order_placed.de-0");
}

static void a_first_version_is_made_once(void **state)
{
	(void)state;
	assert_null(put("x", "y", "z", "order_placed.fr-3")); /* there is none */
	assert_int_equal(last.code, E_PRECOND);
	assert_non_null(put("x", "y", "z", "order_placed.fr-0"));
	assert_null(put("x2", "y", "z", "order_placed.fr-0"));
	assert_int_equal(last.code, E_PRECOND);
}

static void bad_templates_are_refused_with_every_mistake(void **state)
{
	Notify__V1__TemplateRequest odd = NOTIFY__V1__TEMPLATE_REQUEST__INIT;

	(void)state;
	assert_null(put("{{nobody}}", "{{#lines}}", "{{/x}}", NULL));
	assert_int_equal(last.code, E_INVALID);
	assert_int_equal(last.n_details, 3);
	assert_null(put("a\nb", "y", "z", NULL)); /* a subject is one line */
	assert_string_equal(last.details[0].field, "subject");
	assert_null(put("", "y", NULL, NULL));
	assert_int_equal(last.n_details, 2);
	odd.kind = (char *)"order_placed";
	odd.lang = (char *)"../etc";
	assert_null(ASK("GetTemplate", &odd, template));
	assert_int_equal(last.code, E_INVALID);
	odd.kind = (char *)"nothing";
	odd.lang = (char *)"en";
	assert_null(ASK("GetTemplate", &odd, template));
	assert_int_equal(last.code, E_NOT_FOUND);
}

static void preview(void **state)
{
	Notify__V1__PreviewTemplateRequest in = NOTIFY__V1__PREVIEW_TEMPLATE_REQUEST__INIT;
	Notify__V1__PreviewTemplateReply *p;

	(void)state;
	in.kind = (char *)"order_placed";
	in.lang = (char *)"en";
	in.html = (char *)"<i>{{name}}</i>";
	p = ASK("PreviewTemplate", &in, preview_template_reply);
	assert_string_equal(p->subject, "Your order 1001");
	assert_string_equal(p->html, "<i>Ada &lt;Example&gt;</i>");
	assert_non_null(strstr(p->text, "Teapot"));
	in.html = (char *)"{{link}}";
	assert_null(ASK("PreviewTemplate", &in, preview_template_reply));
	assert_int_equal(last.code, E_INVALID);
}

/* ---- mails ---- */

static void messages_page_and_filter(void **state)
{
	Notify__V1__ListMessagesRequest in = NOTIFY__V1__LIST_MESSAGES_REQUEST__INIT;
	Notify__V1__ListMessagesReply *r;
	size_t seen = 0;
	char id[40];

	(void)state;
	for (int i = 0; i < 7; i++) {
		snprintf(id, sizeof(id), "ord_01jd3k000000000000000000%02d", i);
		place_order(id, i == 3 ? "usr_01jd3k0000000000000000000b" : USER);
	}
	in.has_limit = true;
	in.limit = 3;
	in.user_id = (char *)USER;
	do {
		r = ASK("ListMessages", &in, list_messages_reply);
		assert_non_null(r);
		for (size_t i = 0; i < r->n_data; i++)
			assert_string_equal(r->data[i]->user_id, USER);
		seen += r->n_data;
		in.cursor = r->next_cursor;
	} while (in.cursor && seen < 20);
	assert_int_equal(seen, 6);
	in.user_id = NULL;
	r = ASK("ListMessages", &in, list_messages_reply);
	in.cursor = r->next_cursor;
	in.user_id = (char *)USER; /* a cursor belongs to its filters */
	assert_null(ASK("ListMessages", &in, list_messages_reply));
	assert_string_equal(last.slug, "common.cursor_invalid");
	in.cursor = in.user_id = NULL;
	in.order_id = (char *)"ord_01jd3k00000000000000000003";
	r = ASK("ListMessages", &in, list_messages_reply);
	assert_int_equal(r->n_data, 1);
	assert_string_equal(r->data[0]->user_id, "usr_01jd3k0000000000000000000b");
	assert_string_equal(r->data[0]->header_id, "ord_01jd3k00000000000000000003.order_placed@souk.example");
	in.state = (char *)"lost";
	in.limit = 1000;
	assert_null(ASK("ListMessages", &in, list_messages_reply));
	assert_int_equal(last.n_details, 2);
}

static void a_mail_with_its_attempts_and_again(void **state)
{
	Notify__V1__ListMessagesRequest all = NOTIFY__V1__LIST_MESSAGES_REQUEST__INIT;
	Notify__V1__MessageRequest in = NOTIFY__V1__MESSAGE_REQUEST__INIT;
	Notify__V1__ListMessagesReply *r;
	Notify__V1__Mail *m;
	json_t *box;

	(void)state;
	faults("{\"refuse\":{\"code\":451,\"times\":1}}");
	place_order(ORDER, USER);
	r = ASK("ListMessages", &all, list_messages_reply);
	in.message_id = r->data[0]->id;
	assert_null(ASK("ResendMessage", &in, mail)); /* still on its way */
	assert_string_equal(last.slug, "notify.message_waiting");
	senders_on(1);
	WAIT_FOR(count("state = 'sent'") == 1, 8000);
	m = ASK("GetMessage", &in, mail);
	assert_string_equal(m->state, "sent");
	assert_true(m->has_ended_at && !m->has_next_at);
	assert_int_equal(m->n_deliveries, 2);
	assert_string_equal(m->deliveries[0]->outcome, "sent");
	assert_string_equal(m->deliveries[1]->outcome, "deferred");
	assert_int_equal(m->deliveries[1]->smtp_code, 451);
	m = ASK("ResendMessage", &in, mail);
	assert_non_null(m);
	assert_string_not_equal(m->id, in.message_id);
	assert_string_equal(m->header_id, ORDER ".order_placed-r1@souk.example");
	m = ASK("ResendMessage", &in, mail);
	assert_string_equal(m->header_id, ORDER ".order_placed-r2@souk.example");
	box = mails("ada@example.com", 3, 8000);
	assert_int_equal(json_array_size(box), 3);
	json_decref(box);
	in.message_id = (char *)"msg_none";
	assert_null(ASK("GetMessage", &in, mail));
	assert_int_equal(last.code, E_NOT_FOUND);
}

static int setup(void **state)
{
	static const struct key32 key = { { 7 } };

	cursor_use_key(&key);
	return rig_setup(state);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_clean, rig_clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(preferences),
		T(only_administrators),
		T(templates),
		T(a_first_version_is_made_once),
		T(bad_templates_are_refused_with_every_mistake),
		T(preview),
		T(messages_page_and_filter),
		T(a_mail_with_its_attempts_and_again),
	};

	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
