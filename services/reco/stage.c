#include "services/reco/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/id.h"
#include "common/log.h"

#define MAGIC "SOUKSTG1"
#define ALIGN 16
#define FILE_MAX (64LL << 30)

struct stages {
	const char *dir, *prefix;
	uint8_t key[SHA256_LEN];
};

struct head {
	char magic[8];
	uint64_t n, size[STAGE_PARTS];
	uint8_t key[SHA256_LEN];
	uint8_t sha256[SHA256_LEN]; /* of what stands before this field and of the parts */
};

static size_t rounded(size_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static void add_text(struct sha256_ctx *h, const char *s)
{
	sha256_add(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

/* Of the program itself: what another version made is not taken over. */
static void add_program(struct sha256_ctx *h)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map = fd >= 0 && fstat(fd, &st) == 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;

	if (map != MAP_FAILED) {
		sha256_add(h, map, (size_t)st.st_size);
		munmap(map, (size_t)st.st_size);
	}
	if (fd >= 0)
		close(fd);
}

struct stages *stages_open(struct arena *a, const char *dir, const char *const *depends, size_t n)
{
	struct stages *s = arena_alloc(a, sizeof(*s));
	struct sha256_ctx *h = sha256_start();

	add_program(h);
	for (size_t i = 0; i < n; i++)
		add_text(h, depends[i]);
	sha256_end(h, s->key);
	s->dir = arena_strdup(a, dir);
	s->prefix = "";
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		log_msg(LVL_WARNING, "a training cannot keep its stages", LF_S("folder", dir), LF_S("why", strerror(errno)));
	return s;
}

const struct stages *stages_of(struct arena *a, const struct stages *of, const char *name, const char *depends)
{
	struct stages *s = arena_dup(a, of, sizeof(*of));
	struct sha256_ctx *h = sha256_start();

	sha256_add(h, of->key, sizeof(of->key));
	add_text(h, name);
	add_text(h, depends);
	sha256_end(h, s->key);
	s->prefix = arena_printf(a, "%s%s-", of->prefix, name);
	return s;
}

static void key_of(const struct stages *s, const char *name, uint8_t key_r[SHA256_LEN])
{
	struct sha256_ctx *h = sha256_start();

	sha256_add(h, s->key, sizeof(s->key));
	add_text(h, name);
	sha256_end(h, key_r);
}

/* ---- keeping ---- */

static bool put(int fd, const void *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p = (const uint8_t *)p + done;
		n -= (size_t)done;
	}
	return true;
}

static bool fill(int fd, const struct head *h, const struct stage_part *part, size_t n)
{
	static const uint8_t gap[ALIGN];
	bool ok = put(fd, h, sizeof(*h)) && put(fd, gap, rounded(sizeof(*h)) - sizeof(*h));

	for (size_t i = 0; i < n && ok; i++)
		ok = put(fd, part[i].p, part[i].n) && put(fd, gap, rounded(part[i].n) - part[i].n);
	return ok;
}

/* Not forced onto the disk: what a crash of the machine leaves is told by its checksum. */
void stage_keep(const struct stages *s, const char *name, const struct stage_part *part, size_t n)
{
	struct sha256_ctx *sum;
	struct head h = { .magic = MAGIC, .n = n };
	char file[800], tmp[900], unique[ID_LEN];
	bool ok;
	int fd;

	if (!s || n > STAGE_PARTS)
		return;
	key_of(s, name, h.key);
	for (size_t i = 0; i < n; i++)
		h.size[i] = part[i].n;
	sum = sha256_start();
	sha256_add(sum, &h, offsetof(struct head, sha256));
	for (size_t i = 0; i < n; i++)
		sha256_add(sum, part[i].p, part[i].n);
	sha256_end(sum, h.sha256);
	id_new("tmp", unique);
	snprintf(file, sizeof(file), "%s/%s%s", s->dir, s->prefix, name);
	snprintf(tmp, sizeof(tmp), "%s/.%s", s->dir, unique);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ok = fd >= 0 && fill(fd, &h, part, n);
	if (fd >= 0)
		close(fd);
	if (!ok || rename(tmp, file) != 0) {
		log_msg(LVL_WARNING, "a stage of the training cannot be kept", LF_S("file", file), LF_S("why", strerror(errno)));
		unlink(tmp);
	}
}

/* ---- taking over ---- */

static bool get(int fd, void *p, size_t n)
{
	while (n > 0) {
		ssize_t done = read(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p = (uint8_t *)p + done;
		n -= (size_t)done;
	}
	return true;
}

/* Sizes that add up to the file's own, before anything is allocated. */
static bool sizes_fit(const struct head *h, size_t n, int64_t size)
{
	uint64_t all = rounded(sizeof(*h));

	if (size > FILE_MAX || h->n != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (h->size[i] > (uint64_t)size)
			return false;
		all += rounded(h->size[i]);
	}
	return all == (uint64_t)size;
}

static bool whole(const struct head *h, const struct stage_part *part, size_t n)
{
	struct sha256_ctx *sum = sha256_start();
	uint8_t got[SHA256_LEN];

	sha256_add(sum, h, offsetof(struct head, sha256));
	for (size_t i = 0; i < n; i++)
		sha256_add(sum, part[i].p, part[i].n);
	sha256_end(sum, got);
	return memcmp(got, h->sha256, sizeof(got)) == 0;
}

static bool take(int fd, const uint8_t key[SHA256_LEN], struct arena *a, struct stage_part *part, size_t n)
{
	struct head h;
	struct stat st;
	uint8_t *at;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !get(fd, &h, sizeof(h)) || memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0 ||
	    memcmp(h.key, key, sizeof(h.key)) != 0 || !sizes_fit(&h, n, st.st_size) ||
	    lseek(fd, (off_t)rounded(sizeof(h)), SEEK_SET) < 0)
		return false;
	at = arena_alloc(a, (size_t)st.st_size - rounded(sizeof(h)) + 1);
	if (!get(fd, at, (size_t)st.st_size - rounded(sizeof(h))))
		return false;
	for (size_t i = 0; i < n; i++) {
		part[i] = (struct stage_part){ at, (size_t)h.size[i] };
		at += rounded(part[i].n);
	}
	return whole(&h, part, n);
}

bool stage_take(const struct stages *s, struct arena *a, const char *name, struct stage_part *part, size_t n)
{
	uint8_t key[SHA256_LEN];
	char file[800];
	bool ok;
	int fd;

	if (!s || n > STAGE_PARTS)
		return false;
	snprintf(file, sizeof(file), "%s/%s%s", s->dir, s->prefix, name);
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	key_of(s, name, key);
	ok = take(fd, key, a, part, n);
	close(fd);
	if (!ok)
		unlink(file);
	log_msg(LVL_INFO, ok ? "a stage of the training is taken over" : "a stage of the training is made again",
		LF_S("stage", file + strlen(s->dir) + 1));
	return ok;
}

/* ---- removing ---- */

static void remove_of(const char *folder, const char *prefix)
{
	DIR *dir = opendir(folder);

	for (struct dirent *d; dir && (d = readdir(dir));)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
		    strncmp(d->d_name, prefix, strlen(prefix)) == 0)
			(void)unlinkat(dirfd(dir), d->d_name, 0);
	if (dir)
		closedir(dir);
}

void stages_drop(const struct stages *s)
{
	if (s)
		remove_of(s->dir, s->prefix);
}

void stages_remove(const char *dir)
{
	remove_of(dir, "");
	if (rmdir(dir) != 0 && errno != ENOENT)
		log_msg(LVL_WARNING, "a training's folder cannot be removed", LF_S("folder", dir), LF_S("why", strerror(errno)));
}
