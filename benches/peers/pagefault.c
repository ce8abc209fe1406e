// SPDX-License-Identifier: GPL-2.0
// The user side of the C reference: libbpf's usual perf buffer reader. pagefault OBJECT STEP [quiet]
// quiet: nobody is woken for a record, and the reader drops them: the floor.
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

struct event {
	__u64 time;
	__u64 count;
	__u32 pid;
	char comm[16];
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = 1;
}

static void print(void *ctx, int cpu, void *data, __u32 size)
{
	const struct event *event = data;
	time_t now = time(NULL);
	char clock[16];

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
	printf("%s %-7u %-16s %llu\n", clock, event->pid, event->comm, event->count);
}

static void lost(void *ctx, int cpu, __u64 count)
{
	fprintf(stderr, "lost %llu\n", count);
}

static enum bpf_perf_event_ret drop(void *ctx, int cpu, struct perf_event_header *event)
{
	return LIBBPF_PERF_EVENT_CONT;
}

// Woken when a quarter of the buffer is full.
static struct perf_buffer *quiet_buffer(int events)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.size = sizeof(attr),
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
		.watermark = 1,
		.wakeup_watermark = 256 * 1024,
	};

	return perf_buffer__new_raw(events, 256, &attr, drop, NULL, NULL);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void attach_counter(struct bpf_program *program)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_PAGE_FAULTS,
		.size = sizeof(attr),
		.sample_period = 1,
	};
	int cpus = libbpf_num_possible_cpus();

	for (int cpu = 0; cpu < cpus; cpu++) {
		int fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

		if (fd < 0 || !bpf_program__attach_perf_event(program, fd))
			fail("perf_event_open");
	}
}

// Without CO-RE, for which libbpf would read all of the kernel's BTF: start-up and memory are measured.
static __u64 pid_offset(void)
{
	FILE *format = fopen("/sys/kernel/tracing/events/sched/sched_process_free/format", "r");
	unsigned int offset = 0;
	char line[256];

	if (!format)
		fail("tracefs");
	while (fgets(line, sizeof(line), format))
		if (sscanf(line, " field:pid_t pid; offset:%u", &offset) == 1)
			break;
	fclose(format);
	return offset;
}

int main(int argc, char **argv)
{
	struct bpf_object *object = argc >= 3 ? bpf_object__open_file(argv[1], NULL) : NULL;
	struct {
		__u64 log_step, pid_offset;
	} *constants;
	size_t size;

	if (!object)
		fail("usage: pagefault OBJECT STEP [quiet]");
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	constants = (void *)bpf_map__initial_value(bpf_object__find_map_by_name(object, ".rodata"), &size);
	constants->log_step = atoll(argv[2]);
	constants->pid_offset = pid_offset();
	if (bpf_object__load(object))
		fail("load");

	int events = bpf_map__fd(bpf_object__find_map_by_name(object, "events"));
	struct perf_buffer *buffer =
		argc > 3 ? quiet_buffer(events) : perf_buffer__new(events, 64, print, lost, NULL, NULL);

	if (!buffer)
		fail("perf_buffer__new");
	attach_counter(bpf_object__find_program_by_name(object, "count"));
	if (!bpf_program__attach(bpf_object__find_program_by_name(object, "forget")))
		fail("attach");
	fprintf(stderr, "tracing\n");
	while (!stopped)
		perf_buffer__poll(buffer, 100);
	perf_buffer__consume(buffer);
	return 0;
}
