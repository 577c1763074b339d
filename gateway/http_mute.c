#include "gateway/http_mute.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/compiler.h"

static bool listens_at(int fd, int port)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss), one = sizeof(int);
	int listens = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &one) || !listens ||
	    getsockname(fd, (struct sockaddr *)&ss, &n))
		return false;
	if (ss.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&ss)->sin_port) == port;
	return ss.ss_family == AF_INET6 && ntohs(((struct sockaddr_in6 *)&ss)->sin6_port) == port;
}

/* civetweb does not tell its sockets: those of this process that listen at the port. Stops when fn says true, and says so. */
static bool any_listener(int port, bool (*fn)(int fd))
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		int fd = (int)strtol(entry->d_name, NULL, 10);

		found = entry->d_name[0] != '.' && listens_at(fd, port) && fn(fd);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool mute(int fd)
{
	/* Of a packet as a TCP socket sees it: byte 13 holds the flags, 2 is SYN. */
	struct sock_filter no_syn[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = { .len = (unsigned short)ARRAY_LEN(no_syn), .filter = no_syn };

	/* Where this is not allowed the port ends as it would without. */
	(void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	return false;
}

static bool knocks(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && info.tcpi_unacked > 0; /* of a listener: its queue */
}

void http_mute(int port)
{
	(void)any_listener(port, mute);
}

bool http_knocks(int port)
{
	return any_listener(port, knocks);
}
