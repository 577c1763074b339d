#include "common/metrics_process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "common/daemon.h"
#include "common/log.h"

static void put(struct buf *out, const char *name, const char *type, const char *help, double v)
{
	buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, v);
}

/* The number after "key:" in a /proc file of such lines; -1 when it is not there. */
static double proc_value(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	size_t n = strlen(key);
	char line[256];
	long long v = -1;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, key, n) == 0 && line[n] == ':' && sscanf(line + n + 1, "%lld", &v) == 1)
			break;
	(void)fclose(f);
	return (double)v;
}

static double count_entries(const char *path)
{
	DIR *d = opendir(path);
	double n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2;
}

void metrics_render_process(struct buf *out)
{
	static const double kib = 1024;
	struct rusage u;
	double v;

	if (getrusage(RUSAGE_SELF, &u) == 0)
		put(out, "process_cpu_seconds_total", "counter", "User and system time",
			(double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
				(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
	v = proc_value("/proc/self/status", "VmRSS");
	if (v >= 0)
		put(out, "process_resident_memory_bytes", "gauge", "Resident memory, shared pages included", v * kib);
	v = proc_value("/proc/self/smaps_rollup", "Pss");
	if (v >= 0)
		put(out, "souk_process_pss_bytes", "gauge", "Proportional share of memory", v * kib);
	v = proc_value("/proc/self/status", "Threads");
	if (v >= 0)
		put(out, "souk_process_threads", "gauge", "Threads", v);
	v = count_entries("/proc/self/fd");
	if (v >= 0)
		put(out, "process_open_fds", "gauge", "Open file descriptors", v - 1); /* without the one that counts */
	put(out, "souk_log_lines_dropped_total", "counter", "Log lines that no reader took", (double)log_dropped());
	put(out, "souk_ready", "gauge", "1 when ready", daemon_state() == DAEMON_READY);
}
