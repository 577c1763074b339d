/* Garbage on an rpc port, and clients that come and go. */
#include "rpc_world.h"

static int connect_raw(const char *url)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_port = htons((uint16_t)strtoul(strrchr(url, ':') + 1, NULL, 10));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void send_raw(const char *url, const void *p, size_t n)
{
	int fd = connect_raw(url);
	char sink[64];
	struct timeval tv = { .tv_usec = 100000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)!send(fd, p, n, MSG_NOSIGNAL);
	(void)!recv(fd, sink, sizeof(sink), 0);
	(void)!recv(fd, sink, sizeof(sink), 0);
	close(fd);
}

static void test_garbage_on_the_port(void **state)
{
	static const uint8_t req_hello[8] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 }, pub_hello[8] = { 0, 'S', 'P', 0, 0, 0x20 };
	uint8_t buf[64];
	struct local l;
	struct rpc_client *cl;
	const char *url;
	int i;

	(void)state;
	start_local(&l, "one");
	url = rpc_server_url(l.srv);
	cl = open_client(url);
	for (i = 0; i < 20; i++) { /* connections that say nothing, or say HTTP */
		close(connect_raw(url));
		send_raw(url, "GET / HTTP/1.1\r\n\r\n", i < 2 ? 18 : 0);
	}
	send_raw(url, pub_hello, sizeof(pub_hello)); /* another protocol */
	memcpy(buf, req_hello, 8);
	memcpy(buf + 8, "\0\0\0\0\300\0\0\0", 8); /* a message of 3 GiB is announced */
	send_raw(url, buf, 16);
	memcpy(buf + 8, "\0\0\0\0\0\0\0\002ab", 10); /* too short for a request id */
	send_raw(url, buf, 18);
	memcpy(buf + 8, "\0\0\0\0\0\0\0\014\200\0\0\1garbage!", 20); /* a request that is no envelope */
	send_raw(url, buf, 28);
	assert_answer(cl, "Get", "alive", "alive");
	assert_int_equal(atomic_load(&l.echo.executed), 1);
	rpc_client_close(cl);
	rpc_server_stop(l.srv);
}

static void test_many_clients_leave(void **state)
{
	struct local l;
	struct rpc_client *cl;
	int i;

	(void)state;
	start_local(&l, "one");
	for (i = 0; i < 20; i++) {
		cl = open_client(rpc_server_url(l.srv));
		assert_answer(cl, "Get", "x", "x");
		rpc_client_close(cl);
	}
	rpc_server_stop(l.srv);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_garbage_on_the_port),
		cmocka_unit_test(test_many_clients_leave),
	};

	rpc_world_begin(argc, argv);
	return cmocka_run_group_tests(tests, rpc_setup, rpc_teardown);
}
