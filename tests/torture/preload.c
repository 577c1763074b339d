/*
 * Makes the n-th call of a kind fail, once, in a running daemon; to be preloaded. The orders stand in the file
 * $TORTURE_FILE (struct orders below, written by driver.py, whose layout must be the same). With scope SERVING only calls count
 * that a thread makes while it serves the request whose id is `marker`: a daemon's worker from the message it was given to
 * the next it asks for, a gateway's thread from the bytes that name the id to the next request. With scope OTHERS all other
 * threads' calls count: the poller threads that do the real sending, timers, queues.
 *
 * A call that fails does nothing, but for PQgetResult, whose true result is thrown away: what the server did, it did.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <nng/nng.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { ALLOC, CONNECT, SEND, RECV, PQ, KINDS };
enum scope { NOBODY, SERVING, OTHERS };
enum { SITES = 64 };

struct orders {
	char marker[48];
	_Atomic int32_t kind, scope;
	_Atomic int64_t left;	     /* the call that fails is the left-th from now; 0: none */
	_Atomic int64_t fired;
	_Atomic int64_t seen[KINDS]; /* calls that counted, whether one was to fail or not */
	_Atomic int64_t live;	     /* blocks of memory in use */
	_Atomic int64_t served;	     /* messages with the marker */
	char method[96];	     /* rpc method under way when it fired */
	char what[48];		     /* the function that failed */
	_Atomic uint64_t fatal[SITES]; /* places in the program that end the process when they get no memory, or need not fail again */
	_Atomic uint64_t site;	       /* which was refused memory last */
};

/* How a thread came to be serving. */
struct thread {
	bool marked;	 /* serving the request with the marker */
	bool client;	 /* it sent something before it ever asked for requests */
	bool worker;	 /* a daemon's: it asked for requests */
	uint32_t ctx;	 /* worker: where its requests come from */
	bool asked;	 /* worker: waits for a request */
	nng_aio *aio;	 /* worker: into which */
	int fd;		 /* gateway: the connection */
	bool inside;	 /* in the shim itself */
	uint64_t site;	 /* which was refused memory last */
	char method[96];
};

#define OWN __attribute__((tls_model("initial-exec")))

static struct orders *orders;
static _Thread_local struct thread me OWN = { .fd = -1 };

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("TORTURE_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at = fd >= 0 ? mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	if (at == MAP_FAILED)
		return;
	orders = at;
	atomic_store(&orders->left, 0);
	atomic_store(&orders->live, 0);
}

/* The true function of this name. */
#define REAL(name)                                                   \
	static __typeof__(&name) real;                               \
	if (!real) {                                                 \
		me.inside = true;                                    \
		*(void **)(&real) = dlsym(RTLD_NEXT, #name);         \
		me.inside = false;                                   \
	}

/* A place in a program or library that is the same in its next life. */
static uint64_t site_of(const void *at)
{
	Dl_info info;
	uint64_t site = 0;

	me.inside = true;
	if (dladdr(at, &info) && info.dli_fname)
		site = (uint64_t)((uintptr_t)at - (uintptr_t)info.dli_fbase) << 8 | (strlen(info.dli_fname) & 0xff);
	me.inside = false;
	return site;
}

/* "malloc < libpq.so.5+0x1234": addr2line -e knows the line. No stdio: it would want memory. */
static void say_who(char out[48], const char *what, const void *at)
{
	char hex[17], *p = hex + sizeof(hex) - 1;
	const char *file = "", *slash;
	uintptr_t offset = 0;
	Dl_info info;

	memset(out, 0, 48);
	strncpy(out, what, 47);
	me.inside = true;
	if (at && dladdr(at, &info) && info.dli_fname) {
		slash = strrchr(info.dli_fname, '/');
		file = slash ? slash + 1 : info.dli_fname;
		offset = (uintptr_t)at - (uintptr_t)info.dli_fbase;
	}
	me.inside = false;
	if (!at)
		return;
	*p = '\0';
	do
		*--p = "0123456789abcdef"[offset & 15];
	while (offset >>= 4);
	strncat(out, " < ", 47 - strlen(out));
	strncat(out, file, 47 - strlen(out));
	strncat(out, "+0x", 47 - strlen(out));
	strncat(out, p, 47 - strlen(out));
}

static bool is_fatal(uint64_t site)
{
	for (size_t i = 0; i < SITES && orders->fatal[i]; i++)
		if (orders->fatal[i] == site)
			return true;
	return false;
}

/* at: who wants memory, else NULL. That a place ends the process is seen once; then it is left alone until told otherwise. */
static bool due_at(enum kind kind, const char *what, const void *at)
{
	struct orders *o = orders;
	enum scope mine = me.marked ? SERVING : OTHERS;
	uint64_t site;

	if (!o || me.inside || atomic_load_explicit(&o->scope, memory_order_relaxed) != (int)mine)
		return false;
	site = at ? site_of(at) : 0;
	if (at && is_fatal(site))
		return false;
	atomic_fetch_add(&o->seen[kind], 1);
	if (atomic_load(&o->kind) != (int)kind || atomic_load(&o->left) <= 0 || atomic_fetch_sub(&o->left, 1) != 1)
		return false;
	say_who(o->what, what, at);
	memcpy(o->method, me.method, sizeof(o->method));
	me.site = site;
	atomic_store(&o->site, site);
	atomic_fetch_add(&o->fired, 1);
	return true;
}

static bool due(enum kind kind, const char *what)
{
	return due_at(kind, what, NULL);
}

void abort(void)
{
	REAL(abort)
	for (size_t i = 0; orders && me.site && i < SITES; i++)
		if (!orders->fatal[i]) {
			atomic_store(&orders->fatal[i], me.site);
			break;
		}
	real();
	__builtin_unreachable();
}

/* ---- who serves what ---- */

static bool names_marker(const void *bytes, size_t len)
{
	const char *m = orders ? orders->marker : "";
	size_t n = strnlen(m, sizeof(orders->marker));

	return n > 0 && len >= n && memmem(bytes, len, m, n) != NULL;
}

/* "cart.v1.Cart/AddItem", the second field of a request. */
static void note_method(const char *bytes, size_t len)
{
	size_t n = len > 3 && bytes[2] == 0x12 ? (unsigned char)bytes[3] : 0;

	if (n == 0 || n >= sizeof(me.method) || 4 + n > len)
		n = 0;
	memcpy(me.method, bytes + (n ? 4 : 0), n);
	me.method[n] = '\0';
}

/* A client asks before it listens, a worker listens first. */
void nng_ctx_send(nng_ctx ctx, nng_aio *aio)
{
	REAL(nng_ctx_send)
	me.client = !me.worker;
	real(ctx, aio);
}

void nng_ctx_recv(nng_ctx ctx, nng_aio *aio)
{
	REAL(nng_ctx_recv)
	if (!me.worker && !me.client) {
		me.worker = true;
		me.ctx = ctx.id;
	}
	if (me.worker && me.ctx == ctx.id) {
		me.marked = false;
		me.asked = true;
		me.aio = aio;
	}
	real(ctx, aio);
}

void nng_aio_wait(nng_aio *aio)
{
	nng_msg *msg;

	REAL(nng_aio_wait)
	real(aio);
	if (!me.worker || !me.asked || aio != me.aio)
		return;
	me.asked = false;
	if (nng_aio_result(aio) || !(msg = nng_aio_get_msg(aio)))
		return;
	if (names_marker(nng_msg_body(msg), nng_msg_len(msg))) {
		note_method(nng_msg_body(msg), nng_msg_len(msg));
		atomic_fetch_add(&orders->served, 1);
		me.marked = true;
	}
}

/* A gateway's thread: bytes that name the marker begin its request, other bytes of that connection end it. */
static void look(int fd, const char *bytes, ssize_t n)
{
	if (n <= 0 || me.worker || (me.marked && me.fd != fd))
		return;
	if (names_marker(bytes, (size_t)n)) {
		me.fd = fd;
		me.marked = true;
		memcpy(me.method, bytes, (size_t)n < sizeof(me.method) ? (size_t)n : sizeof(me.method) - 1);
		atomic_fetch_add(&orders->served, 1);
	} else if (me.marked && memmem(bytes, (size_t)n, " HTTP/1.", 8)) {
		me.marked = false;
	}
}

/* A connection that ends, ends its request. */
int shutdown(int fd, int how)
{
	REAL(shutdown)
	if (me.marked && me.fd == fd)
		me.marked = false;
	return real(fd, how);
}

static int real_shutdown(int fd)
{
	REAL(shutdown)
	return real(fd, SHUT_RDWR);
}

/* ---- memory ---- */

static void *counted(void *p)
{
	if (p && orders)
		atomic_fetch_add_explicit(&orders->live, 1, memory_order_relaxed);
	return p;
}

static void *none(void)
{
	errno = ENOMEM;
	return NULL;
}

#ifndef TORTURE_SANITIZED
void *malloc(size_t n)
{
	return due_at(ALLOC, "malloc", __builtin_return_address(0)) ? none() : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return due_at(ALLOC, "calloc", __builtin_return_address(0)) ? none() : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
	void *q;

	if (due_at(ALLOC, "realloc", __builtin_return_address(0)))
		return none();
	q = __libc_realloc(p, n);
	return p ? q : counted(q);
}

int posix_memalign(void **p_r, size_t align, size_t n)
{
	void *p = due_at(ALLOC, "posix_memalign", __builtin_return_address(0)) ? NULL : counted(__libc_memalign(align, n));

	if (!p)
		return ENOMEM;
	*p_r = p;
	return 0;
}

void free(void *p)
{
	if (p && orders)
		atomic_fetch_sub_explicit(&orders->live, 1, memory_order_relaxed);
	__libc_free(p);
}
#endif

/* ---- sockets and files ---- */

/* What wakes a thread of the same process is no connection. */
static bool can_fail(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISSOCK(st.st_mode) || S_ISREG(st.st_mode) || (fd == 2 && S_ISFIFO(st.st_mode)));
}

/* A connection that failed is gone: nobody hears of the other side any more. */
static bool fails(enum kind kind, int fd, const char *what)
{
	int kept = errno;
	bool yes = orders && can_fail(fd) && due(kind, what);

	if (yes && kind != CONNECT)
		(void)real_shutdown(fd);
	errno = yes ? (kind == CONNECT ? ECONNREFUSED : fd == 2 ? EPIPE : ECONNRESET) : kept;
	return yes;
}

int connect(int fd, const struct sockaddr *to, socklen_t n)
{
	REAL(connect)
	return fails(CONNECT, fd, "connect") ? -1 : real(fd, to, n);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	REAL(send)
	return fails(SEND, fd, "send") ? -1 : real(fd, p, n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	REAL(sendmsg)
	return fails(SEND, fd, "sendmsg") ? -1 : real(fd, m, flags);
}

ssize_t write(int fd, const void *p, size_t n)
{
	REAL(write)
	return fails(SEND, fd, "write") ? -1 : real(fd, p, n);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	REAL(writev)
	return fails(SEND, fd, "writev") ? -1 : real(fd, v, n);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	ssize_t got;

	REAL(recv)
	if (fails(RECV, fd, "recv"))
		return -1;
	got = real(fd, p, n, flags);
	look(fd, p, got);
	return got;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	REAL(recvmsg)
	return fails(RECV, fd, "recvmsg") ? -1 : real(fd, m, flags);
}

ssize_t read(int fd, void *p, size_t n)
{
	REAL(read)
	return fails(RECV, fd, "read") ? -1 : real(fd, p, n);
}

ssize_t readv(int fd, const struct iovec *v, int n)
{
	REAL(readv)
	return fails(RECV, fd, "readv") ? -1 : real(fd, v, n);
}

/* ---- libpq ---- */

#define PQ_INT(name, params, args)                               \
	int name params                                          \
	{                                                        \
		REAL(name)                                       \
		return due(PQ, #name) ? 0 : real args;           \
	}

PQ_INT(PQsendQuery, (PGconn *c, const char *sql), (c, sql))
PQ_INT(PQsendQueryParams,
       (PGconn *c, const char *sql, int n, const Oid *types, const char *const *values, const int *lengths,
	const int *formats, int format),
       (c, sql, n, types, values, lengths, formats, format))
PQ_INT(PQsendQueryPrepared,
       (PGconn *c, const char *name, int n, const char *const *values, const int *lengths, const int *formats, int format),
       (c, name, n, values, lengths, formats, format))
PQ_INT(PQsendPrepare, (PGconn *c, const char *name, const char *sql, int n, const Oid *types), (c, name, sql, n, types))
PQ_INT(PQenterPipelineMode, (PGconn *c), (c))
PQ_INT(PQexitPipelineMode, (PGconn *c), (c))
PQ_INT(PQpipelineSync, (PGconn *c), (c))
PQ_INT(PQconsumeInput, (PGconn *c), (c))

PGconn *PQconnectdbParams(const char *const *keys, const char *const *values, int expand)
{
	REAL(PQconnectdbParams)
	return due(PQ, "PQconnectdbParams") ? NULL : real(keys, values, expand);
}

PGresult *PQmakeEmptyPGresult(PGconn *c, ExecStatusType status)
{
	REAL(PQmakeEmptyPGresult)
	return due(PQ, "PQmakeEmptyPGresult") ? NULL : real(c, status);
}

PGresult *PQexec(PGconn *c, const char *sql)
{
	REAL(PQexec)
	return due(PQ, "PQexec") ? NULL : real(c, sql);
}

PGresult *PQprepare(PGconn *c, const char *name, const char *sql, int n, const Oid *types)
{
	REAL(PQprepare)
	return due(PQ, "PQprepare") ? NULL : real(c, name, sql, n, types);
}

PGresult *PQdescribePrepared(PGconn *c, const char *name)
{
	REAL(PQdescribePrepared)
	return due(PQ, "PQdescribePrepared") ? NULL : real(c, name);
}

/* As when there is no memory for a result: it has come, and all that is left of it is that it failed. */
PGresult *PQgetResult(PGconn *c)
{
	PGresult *r, *instead;
	ExecStatusType status;

	REAL(PQgetResult)
	r = real(c);
	status = r ? PQresultStatus(r) : PGRES_FATAL_ERROR;
	if (!r || status == PGRES_PIPELINE_SYNC || !due(PQ, "PQgetResult"))
		return r;
	me.inside = true;
	instead = PQmakeEmptyPGresult(c, PGRES_FATAL_ERROR);
	me.inside = false;
	PQclear(r);
	return instead;
}
