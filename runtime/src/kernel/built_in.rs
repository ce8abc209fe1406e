//! Record layouts of upstream kernels, for where neither tracefs nor BTF can be read: a script
//! can then still be compiled and its code shown.

use pfscript_compiler::kernel::{FieldKind, TracepointField};

const CHAR16: FieldKind = FieldKind::CharArray { len: 16 };
const I32: FieldKind = FieldKind::Int { bytes: 4, signed: true };
const U32: FieldKind = FieldKind::Int { bytes: 4, signed: false };
const U64: FieldKind = FieldKind::Int { bytes: 8, signed: false };
const I64: FieldKind = FieldKind::Int { bytes: 8, signed: true };

type Layout = &'static [(&'static str, u32, FieldKind)];

const COMMON: Layout = &[
    ("common_type", 0, FieldKind::Int { bytes: 2, signed: false }),
    ("common_flags", 2, FieldKind::Int { bytes: 1, signed: false }),
    ("common_preempt_count", 3, FieldKind::Int { bytes: 1, signed: false }),
    ("common_pid", 4, I32),
];
const PROCESS: Layout = &[("comm", 8, FieldKind::DataLoc), ("pid", 12, I32), ("prio", 16, I32)];
const PROCESS_BEFORE_6_18: Layout = &[("comm", 8, CHAR16), ("pid", 24, I32), ("prio", 28, I32)];
const FORK: Layout = &[
    ("parent_comm", 8, FieldKind::DataLoc),
    ("parent_pid", 12, I32),
    ("child_comm", 16, FieldKind::DataLoc),
    ("child_pid", 20, I32),
];
const FORK_BEFORE_6_18: Layout =
    &[("parent_comm", 8, CHAR16), ("parent_pid", 24, I32), ("child_comm", 28, CHAR16), ("child_pid", 44, I32)];
const EXEC: Layout = &[("filename", 8, FieldKind::DataLoc), ("pid", 12, I32), ("old_pid", 16, I32)];
const SWITCH: Layout = &[
    ("prev_comm", 8, CHAR16),
    ("prev_pid", 24, I32),
    ("prev_prio", 28, I32),
    ("prev_state", 32, I64),
    ("next_comm", 40, CHAR16),
    ("next_pid", 56, I32),
    ("next_prio", 60, I32),
];
const PAGE_FAULT: Layout = &[("address", 8, U64), ("ip", 16, U64), ("error_code", 24, U64)];
const SYS_ENTER: Layout = &[("id", 8, I64), ("args", 16, FieldKind::IntArray { bytes: 8, signed: false, len: 6 })];
const WAKEUP: Layout = &[("comm", 8, CHAR16), ("pid", 24, I32), ("prio", 28, I32), ("target_cpu", 32, I32)];
/// What kernels of all releases have of it: newer ones go on behind it.
const MARK_VICTIM: Layout = &[("pid", 8, I32)];
const SYS_EXIT: Layout = &[("id", 8, I64), ("ret", 16, I64)];
/// Of the end of one system call.
const EXIT_OF_CALL: Layout = &[("__syscall_nr", 8, I32), ("ret", 16, I64)];
const RSS_STAT: Layout = &[("mm_id", 8, U32), ("curr", 12, U32), ("member", 16, I32), ("size", 24, I64)];

/// The layout of `category:name` in kernels of this release, if it is known here.
pub fn event_fields(category: &str, name: &str, release: (u32, u32)) -> Option<Vec<TracepointField>> {
    let own = match (category, name) {
        ("sched", "sched_process_free") if release >= (6, 18) => PROCESS,
        // Newer kernels go on behind it in a record of `sched_process_exit`.
        ("sched", "sched_process_free" | "sched_process_exit") => PROCESS_BEFORE_6_18,
        ("sched", "sched_process_fork") if release >= (6, 18) => FORK,
        ("sched", "sched_process_fork") => FORK_BEFORE_6_18,
        ("sched", "sched_process_exec") => EXEC,
        ("sched", "sched_switch") => SWITCH,
        ("sched", "sched_wakeup" | "sched_wakeup_new" | "sched_waking") => WAKEUP,
        ("oom", "mark_victim") => MARK_VICTIM,
        ("exceptions", "page_fault_user" | "page_fault_kernel") => PAGE_FAULT,
        ("raw_syscalls", "sys_enter") => SYS_ENTER,
        ("raw_syscalls", "sys_exit") => SYS_EXIT,
        ("syscalls", name) if name.starts_with("sys_exit_") => EXIT_OF_CALL,
        ("kmem", "rss_stat") => RSS_STAT,
        _ => return None,
    };
    let field = |&(name, offset, kind): &(&str, u32, FieldKind)| TracepointField { name: name.into(), offset, kind };
    Some(COMMON.iter().chain(own).map(field).collect())
}

/// The class of an event that has no record of its own, where it cannot be told from its
/// arguments: several classes take the same ones.
pub fn event_class(event: &str) -> Option<&'static str> {
    Some(match event {
        "sched_process_free" | "sched_process_exit" => "sched_process_template",
        "sched_wakeup" | "sched_wakeup_new" | "sched_waking" => "sched_wakeup_template",
        "page_fault_user" | "page_fault_kernel" => "exceptions",
        _ => return None,
    })
}
