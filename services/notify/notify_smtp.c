#include "services/notify/notify_smtp.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct smtp {
	CURL *curl;
	const struct smtp_conf *conf;
	/* of the mail under way */
	const char *data;
	size_t left;
	bool all_given; /* libcurl has taken the last byte */
};

const char *smtp_outcome_name(enum smtp_outcome o)
{
	static const char *const names[] = { "sent", "deferred", "rejected", "unknown" };

	return names[o];
}

static size_t give(char *to, size_t size, size_t n, void *arg)
{
	struct smtp *s = arg;
	size_t k = size * n < s->left ? size * n : s->left;

	memcpy(to, s->data, k);
	s->data += k;
	s->left -= k;
	s->all_given = !s->left;
	return k;
}

static void curl_once(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum err_code smtp_open(const struct smtp_conf *conf, struct smtp **s_r, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct smtp *s = calloc(1, sizeof(*s));
	long tls = strcmp(conf->tls, "required") == 0 ? CURLUSESSL_ALL
		   : strcmp(conf->tls, "try") == 0    ? CURLUSESSL_TRY
						      : CURLUSESSL_NONE;
	char url[400];

	pthread_once(&once, curl_once);
	if (s)
		s->curl = curl_easy_init();
	if (!s || !s->curl) {
		free(s);
		return err_set(e, E_INTERNAL, "common.internal", "no memory for SMTP");
	}
	s->conf = conf;
	snprintf(url, sizeof(url), "%s/%s", conf->url, conf->helo);
	curl_easy_setopt(s->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(s->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(s->curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	curl_easy_setopt(s->curl, CURLOPT_URL, url);
	curl_easy_setopt(s->curl, CURLOPT_USE_SSL, tls);
	if (*conf->ca_file)
		curl_easy_setopt(s->curl, CURLOPT_CAINFO, conf->ca_file);
	if (*conf->user) {
		curl_easy_setopt(s->curl, CURLOPT_USERNAME, conf->user);
		curl_easy_setopt(s->curl, CURLOPT_PASSWORD, conf->password);
	}
	curl_easy_setopt(s->curl, CURLOPT_CONNECTTIMEOUT_MS, conf->timeout_ms < 5000 ? (long)conf->timeout_ms : 5000L);
	curl_easy_setopt(s->curl, CURLOPT_TIMEOUT_MS, (long)conf->timeout_ms);
	curl_easy_setopt(s->curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(s->curl, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(s->curl, CURLOPT_READDATA, s);
	*s_r = s;
	return OK;
}

void smtp_close(struct smtp *s)
{
	if (!s)
		return;
	curl_easy_cleanup(s->curl);
	free(s);
}

/*
 * After the last byte only the server's own answer says what became of the mail: 354 is still the go-ahead for the
 * data, so no answer was heard. Codes about ourselves (not signed in, no encryption) are nothing the mail can help.
 */
static enum smtp_outcome judge(const struct smtp *s, CURLcode rc, long code)
{
	if (rc == CURLE_OK)
		return SMTP_SENT;
	if (s->all_given && (code == 354 || code == 0 || code == 250))
		return SMTP_UNKNOWN;
	if (rc == CURLE_LOGIN_DENIED || code == 503 || code == 530 || code == 534 || code == 535 || code == 538)
		return SMTP_DEFERRED;
	return code >= 500 && code < 600 ? SMTP_REJECTED : SMTP_DEFERRED;
}

void smtp_send(struct smtp *s, const char *from, const char *to, const char *data, size_t len, struct smtp_result *r)
{
	char sender[300], recipient[300];
	struct curl_slist *list;
	long code = 0;
	CURLcode rc;

	snprintf(sender, sizeof(sender), "<%s>", from);
	snprintf(recipient, sizeof(recipient), "<%s>", to);
	list = curl_slist_append(NULL, recipient);
	s->data = data;
	s->left = len;
	s->all_given = false;
	curl_easy_setopt(s->curl, CURLOPT_MAIL_FROM, sender);
	curl_easy_setopt(s->curl, CURLOPT_MAIL_RCPT, list);
	curl_easy_setopt(s->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)len);
	rc = list ? curl_easy_perform(s->curl) : CURLE_OUT_OF_MEMORY;
	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_setopt(s->curl, CURLOPT_MAIL_RCPT, NULL);
	curl_slist_free_all(list);
	r->outcome = judge(s, rc, code);
	r->code = (int)code;
	if (r->outcome == SMTP_SENT)
		snprintf(r->detail, sizeof(r->detail), "taken");
	else
		snprintf(r->detail, sizeof(r->detail), "%s%s", curl_easy_strerror(rc),
			 r->outcome == SMTP_UNKNOWN ? " after the data" : "");
}
