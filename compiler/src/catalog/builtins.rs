//! The builtins: names that stand for a value of the moment.

use crate::catalog::helpers::Helper;
use crate::check::types::{BOOL, DEFAULT_STRING_LEN, INT64, Pointee, Type, UINT32, UINT64, WHOLE_STACK};
use crate::kernel::{FieldKind, KernelType};
use crate::manifest::AttachSpec;

/// A builtin.
#[derive(Debug)]
pub struct Builtin {
    /// As the script names it.
    pub name: &'static str,
    /// What it stands for, one line.
    pub doc: &'static str,
    /// The type of its value.
    pub ty: Type,
    /// Where the value comes from in a probe of the given kind; none where there is no such value.
    pub origin: fn(&AttachSpec) -> Option<Origin>,
}

/// What a builtin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Read at run time.
    Read(Source),
    /// A field of the current task, by the kernel's BTF.
    TaskField(&'static [&'static str]),
    /// What the probed function returned, of the type that the kernel's BTF says.
    Returned,
    /// The attach point's text.
    ProbeText,
    /// The probed function's name.
    FunctionText,
    /// Whether the processor was in user mode, by the `cs` that was saved.
    UserMode,
    /// A number.
    Constant(i64),
    /// How many CPUs the machine may ever have.
    PossibleCpus,
    /// The number of the process that runs the traced command.
    Command,
}

/// Where a value is read from. This is the whole of a builtin's lowering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The result of a helper without arguments.
    Helper(Helper),
    /// The low 32 bits of a helper's result.
    HelperLow(Helper),
    /// The high 32 bits of a helper's result.
    HelperHigh(Helper),
    /// The name of the current task.
    Comm,
    /// CLOCK_MONOTONIC since tracing began, ns.
    Elapsed,
    /// The moment of the record.
    RecordTime,
    /// The stack at the probe.
    Stack {
        /// Of the process, else of the kernel.
        user: bool,
    },
    /// An address in the context, as a plain number: the verifier keeps track of pointers that it
    /// knows, and refuses arithmetic on them.
    ContextPointer {
        /// Bytes from the context's start.
        offset: i16,
    },
    /// A field of the context: its offset in bytes and what it is.
    Context {
        /// Bytes from the context's start.
        offset: i16,
        /// What is there.
        kind: FieldKind,
    },
}

const COMM: Type = Type::Str { len: 16 };
/// Of texts that are known when the script is compiled the length is too.
const TEXT: Type = Type::Str { len: 0 };

/// Every builtin, in alphabetical order.
pub static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "arg0",
        doc: "first argument of the function (kprobe, uprobe) or raw tracepoint",
        ty: UINT64,
        origin: |at| argument(at, 0),
    },
    Builtin {
        name: "arg1",
        doc: "second argument (kprobe, uprobe, rawtracepoint)",
        ty: UINT64,
        origin: |at| argument(at, 1),
    },
    Builtin {
        name: "arg2",
        doc: "third argument (kprobe, uprobe, rawtracepoint)",
        ty: UINT64,
        origin: |at| argument(at, 2),
    },
    Builtin {
        name: "arg3",
        doc: "fourth argument (kprobe, uprobe, rawtracepoint)",
        ty: UINT64,
        origin: |at| argument(at, 3),
    },
    Builtin {
        name: "arg4",
        doc: "fifth argument (kprobe, uprobe, rawtracepoint)",
        ty: UINT64,
        origin: |at| argument(at, 4),
    },
    Builtin {
        name: "arg5",
        doc: "sixth argument (kprobe, uprobe, rawtracepoint)",
        ty: UINT64,
        origin: |at| argument(at, 5),
    },
    Builtin {
        name: "cgroup",
        doc: "cgroup v2 id of the current process",
        ty: UINT64,
        origin: |_| Some(Origin::Read(Source::Helper(Helper::GetCurrentCgroupId))),
    },
    Builtin { name: "comm", doc: "name of the current thread", ty: COMM, origin: |_| Some(Origin::Read(Source::Comm)) },
    Builtin {
        name: "cpid",
        doc: "process id of the command that -c runs",
        ty: UINT32,
        origin: |_| Some(Origin::Command),
    },
    Builtin {
        name: "cpu",
        doc: "number of the processor",
        ty: UINT32,
        origin: |_| Some(Origin::Read(Source::Helper(Helper::GetSmpProcessorId))),
    },
    Builtin {
        name: "curtask",
        doc: "address of the current task_struct; its fields are read with `curtask.FIELD`",
        ty: Type::Pointer(Pointee::Unknown),
        origin: |_| Some(Origin::Read(Source::Helper(Helper::GetCurrentTask))),
    },
    Builtin {
        name: "elapsed",
        doc: "nanoseconds since tracing began",
        ty: UINT64,
        origin: |_| Some(Origin::Read(Source::Elapsed)),
    },
    Builtin { name: "false", doc: "the number 0", ty: BOOL, origin: |_| Some(Origin::Constant(0)) },
    Builtin { name: "func", doc: "name of the probed function", ty: TEXT, origin: function_name },
    Builtin {
        name: "gid",
        doc: "group id of the current process",
        ty: UINT32,
        origin: |_| Some(Origin::Read(Source::HelperHigh(Helper::GetCurrentUidGid))),
    },
    Builtin {
        name: "jiffies",
        doc: "the kernel's ticks since boot",
        ty: UINT64,
        origin: |_| Some(Origin::Read(Source::Helper(Helper::Jiffies64))),
    },
    Builtin {
        name: "kstack",
        doc: "stack of the kernel",
        ty: Type::Stack { user: false, shape: WHOLE_STACK },
        origin: |at| stack(at, false),
    },
    Builtin {
        name: "ncpus",
        doc: "number of CPUs that the machine may ever have",
        ty: UINT32,
        origin: |_| Some(Origin::PossibleCpus),
    },
    Builtin {
        name: "nsecs",
        doc: "nanoseconds since boot, suspended time included",
        ty: UINT64,
        origin: |_| Some(Origin::Read(Source::Helper(Helper::KtimeGetBootNs))),
    },
    Builtin {
        name: "numaid",
        doc: "number of the NUMA node",
        ty: UINT32,
        origin: |_| Some(Origin::Read(Source::Helper(Helper::GetNumaNodeId))),
    },
    Builtin {
        name: "pcomm",
        doc: "name of the parent process's main thread",
        ty: COMM,
        origin: |_| Some(Origin::TaskField(&["real_parent", "comm"])),
    },
    Builtin {
        name: "pid",
        doc: "process id (thread group id) of the current thread",
        ty: UINT32,
        origin: |_| Some(Origin::Read(Source::HelperHigh(Helper::GetCurrentPidTgid))),
    },
    Builtin {
        name: "ppid",
        doc: "process id of the parent",
        ty: UINT32,
        origin: |_| Some(Origin::TaskField(&["real_parent", "tgid"])),
    },
    Builtin { name: "probe", doc: "the attach point as text", ty: TEXT, origin: |_| Some(Origin::ProbeText) },
    Builtin {
        name: "rand",
        doc: "a pseudo-random 32-bit number",
        ty: UINT32,
        origin: |_| Some(Origin::Read(Source::Helper(Helper::GetPrandomU32))),
    },
    Builtin {
        name: "retval",
        doc: "value that the function returned (kretprobe, uretprobe, fexit)",
        ty: INT64,
        origin: return_value,
    },
    Builtin {
        name: "tid",
        doc: "thread id of the current thread",
        ty: UINT32,
        origin: |_| Some(Origin::Read(Source::HelperLow(Helper::GetCurrentPidTgid))),
    },
    Builtin {
        name: "time",
        doc: "moment of the event, shown as wall-clock time (in emit)",
        ty: Type::Time,
        origin: |_| Some(Origin::Read(Source::RecordTime)),
    },
    Builtin { name: "true", doc: "the number 1", ty: BOOL, origin: |_| Some(Origin::Constant(1)) },
    Builtin {
        name: "uid",
        doc: "user id of the current process",
        ty: UINT32,
        origin: |_| Some(Origin::Read(Source::HelperLow(Helper::GetCurrentUidGid))),
    },
    Builtin {
        name: "usermode",
        doc: "mode of the processor: 1 in a process's own code, 0 in the kernel",
        ty: BOOL,
        origin: user_mode,
    },
    Builtin {
        name: "username",
        doc: "name of the current process's user",
        ty: Type::UserName,
        origin: |_| Some(Origin::Read(Source::HelperLow(Helper::GetCurrentUidGid))),
    },
    Builtin {
        name: "ustack",
        doc: "stack of the process",
        ty: Type::Stack { user: true, shape: WHOLE_STACK },
        origin: |at| stack(at, true),
    },
];

/// The builtin of that name.
pub fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.binary_search_by(|builtin| builtin.name.cmp(name)).ok().map(|index| &BUILTINS[index])
}

const WORD: FieldKind = FieldKind::Int { bytes: 8, signed: false };

/// Offsets in x86-64's `struct pt_regs` of the System V argument registers rdi, rsi, rdx, rcx, r8, r9.
const PT_REGS_ARGUMENTS: [i16; 6] = [112, 104, 96, 88, 72, 64];
/// Offset of rax.
const PT_REGS_RETURN: i16 = 80;

fn argument(attach: &AttachSpec, index: usize) -> Option<Origin> {
    match attach {
        AttachSpec::Kprobe { ret: false, .. } | AttachSpec::Uprobe { ret: false, .. } => {
            Some(Origin::Read(Source::Context { offset: PT_REGS_ARGUMENTS[index], kind: WORD }))
        }
        AttachSpec::RawTracepoint { .. } => {
            Some(Origin::Read(Source::Context { offset: 8 * index as i16, kind: WORD }))
        }
        _ => None,
    }
}

fn return_value(attach: &AttachSpec) -> Option<Origin> {
    match attach {
        AttachSpec::Fentry { exit: true, .. } => Some(Origin::Returned),
        AttachSpec::Kprobe { ret: true, .. } | AttachSpec::Uprobe { ret: true, .. } => {
            Some(Origin::Read(Source::Context { offset: PT_REGS_RETURN, kind: WORD }))
        }
        _ => None,
    }
}

/// Offset of the code segment, whose lowest bits are the privilege level, in x86-64's `struct pt_regs`.
pub const PT_REGS_CS: i16 = 136;

/// Where the context begins with the registers of what was interrupted.
fn user_mode(attach: &AttachSpec) -> Option<Origin> {
    use AttachSpec::{Hardware, Interval, Kprobe, Profile, Software, Uprobe};
    let has_registers = matches!(
        attach,
        Software { .. } | Hardware { .. } | Interval { .. } | Profile { .. } | Kprobe { .. } | Uprobe { .. }
    );
    has_registers.then_some(Origin::UserMode)
}

fn function_name(attach: &AttachSpec) -> Option<Origin> {
    use AttachSpec::{Fentry, Kprobe, Uprobe};
    matches!(attach, Kprobe { .. } | Fentry { .. } | Uprobe { .. }).then_some(Origin::FunctionText)
}

/// `BEGIN` and `END` run in pfscript itself, on no stack of interest.
fn stack(attach: &AttachSpec, user: bool) -> Option<Origin> {
    (!matches!(attach, AttachSpec::Begin | AttachSpec::End)).then_some(Origin::Read(Source::Stack { user }))
}

/// The type of a tracepoint's field, if it has a value.
pub fn field_type(kind: FieldKind) -> Option<Type> {
    match kind {
        FieldKind::Int { bytes, signed } => Some(Type::Int { bytes, signed }),
        FieldKind::CharArray { len } => Some(Type::Str { len }),
        FieldKind::DataLoc => Some(Type::Str { len: DEFAULT_STRING_LEN }),
        FieldKind::IntArray { bytes, signed, len } => {
            Some(Type::Array { element: Box::new(KernelType::Int { bytes, signed }), stride: bytes.into(), len })
        }
        FieldKind::Opaque { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_that_find_relies_on() {
        assert!(BUILTINS.is_sorted_by_key(|builtin| builtin.name));
        assert!(BUILTINS.iter().all(|builtin| find(builtin.name).is_some()));
    }
}
