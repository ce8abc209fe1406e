// SPDX-License-Identifier: GPL-2.0
// The kernel side of the C reference: what scripts/pagefault.pf does, written by hand for libbpf.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
	__u64 time;
	__u64 count;
	__u32 pid;
	char comm[16];
};

const volatile __u64 log_step = 50;
const volatile __u64 pid_offset = 12; // in sched_process_free's record: not the same in all kernels

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u64);
} faults SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} events SEC(".maps");

SEC("perf_event")
int count(void *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 zero = 0, *value = bpf_map_lookup_elem(&faults, &pid);

	if (!value) {
		bpf_map_update_elem(&faults, &pid, &zero, BPF_NOEXIST);
		value = bpf_map_lookup_elem(&faults, &pid);
		if (!value)
			return 0;
	}
	__u64 count = __sync_fetch_and_add(value, 1) + 1;

	if (count % log_step == 0) {
		struct event event = { .count = count, .pid = pid };

		event.time = bpf_ktime_get_ns();
		bpf_get_current_comm(event.comm, sizeof(event.comm));
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
	}
	return 0;
}

SEC("tracepoint/sched/sched_process_free")
int forget(void *ctx)
{
	__u32 pid;

	bpf_probe_read_kernel(&pid, sizeof(pid), ctx + pid_offset);
	bpf_map_delete_elem(&faults, &pid);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
