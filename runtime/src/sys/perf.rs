//! perf_event_open(2) and what is done to a perf event.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{
    PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF, PERF_FLAG_FD_CLOEXEC, perf_event_attr,
    perf_event_sample_format, perf_sw_ids, perf_type_id,
};

use super::{Call, Refused, check, check_fd};

/// An event to open, of all processes on one CPU.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// `PERF_COUNT_SW_*`, sampled every `period` events.
    Software {
        /// `PERF_COUNT_SW_*`.
        config: u64,
        /// Events; for the clocks, ns.
        period: u64,
    },
    /// `PERF_COUNT_HW_*`, sampled every `period` events.
    Hardware {
        /// `PERF_COUNT_HW_*`.
        config: u64,
        /// Events.
        period: u64,
    },
    /// A tracepoint by its number in tracefs.
    Tracepoint {
        /// The number.
        id: u64,
    },
    /// A kernel function, by the dynamic PMU `kprobe`.
    Kprobe {
        /// The PMU's type.
        pmu: u32,
        /// The PMU's config: says whether at entry or at return.
        config: u64,
        /// The function.
        function: &'a std::ffi::CStr,
        /// Offset into it, in bytes.
        offset: u64,
    },
    /// A place in a program or library, by the dynamic PMU `uprobe`.
    Uprobe {
        /// The PMU's type.
        pmu: u32,
        /// The PMU's config: says whether at entry or at return.
        config: u64,
        /// The file.
        path: &'a std::ffi::CStr,
        /// Bytes from its start.
        offset: u64,
    },
}

/// The nanosecond timer of perf.
pub const CPU_CLOCK: u64 = perf_sw_ids::PERF_COUNT_SW_CPU_CLOCK as u64;

impl Event<'_> {
    fn attr(&self) -> perf_event_attr {
        let mut attr = zeroed();
        attr.set_disabled(1);
        match *self {
            Event::Software { config, period } => {
                attr.type_ = perf_type_id::PERF_TYPE_SOFTWARE as u32;
                attr.config = config;
                attr.__bindgen_anon_1.sample_period = period;
            }
            Event::Hardware { config, period } => {
                attr.type_ = perf_type_id::PERF_TYPE_HARDWARE as u32;
                attr.config = config;
                attr.__bindgen_anon_1.sample_period = period;
            }
            Event::Tracepoint { id } => {
                attr.type_ = perf_type_id::PERF_TYPE_TRACEPOINT as u32;
                attr.config = id;
                attr.__bindgen_anon_1.sample_period = 1;
            }
            Event::Kprobe { pmu, config, function, offset } => {
                attr.type_ = pmu;
                attr.config = config;
                attr.__bindgen_anon_1.sample_period = 1;
                attr.__bindgen_anon_3.kprobe_func = function.as_ptr() as u64;
                attr.__bindgen_anon_4.probe_offset = offset;
            }
            Event::Uprobe { pmu, config, path, offset } => {
                attr.type_ = pmu;
                attr.config = config;
                attr.__bindgen_anon_1.sample_period = 1;
                attr.__bindgen_anon_3.uprobe_path = path.as_ptr() as u64;
                attr.__bindgen_anon_4.probe_offset = offset;
            }
        }
        attr
    }
}

fn zeroed() -> perf_event_attr {
    // SAFETY: a plain C structure of integers: all zeroes is a value.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = size_of::<perf_event_attr>() as u32;
    attr
}

fn open_attr(attr: &perf_event_attr, cpu: u32) -> Result<OwnedFd, Refused> {
    let (all_processes, no_group) = (-1, -1);
    // SAFETY: `attr` says its own size; a pointer in it is to a C string that the caller still
    // borrows; the call returns a new descriptor.
    unsafe {
        let flags = libc::c_ulong::from(PERF_FLAG_FD_CLOEXEC);
        let fd = libc::syscall(libc::SYS_perf_event_open, attr, all_processes, cpu as i32, no_group, flags);
        check_fd(Call::PerfEventOpen, fd)
    }
}

/// Opens `event` on `cpu`, not yet enabled.
///
/// # Errors
/// The kernel's refusal.
pub fn open(event: &Event<'_>, cpu: u32) -> Result<OwnedFd, Refused> {
    open_attr(&event.attr(), cpu)
}

/// Opens the output of `bpf_perf_event_output` on `cpu`; a reader is woken when `watermark` bytes
/// are waiting.
///
/// # Errors
/// The kernel's refusal.
pub fn open_output(cpu: u32, watermark: u32) -> Result<OwnedFd, Refused> {
    let mut attr = zeroed();
    attr.type_ = perf_type_id::PERF_TYPE_SOFTWARE as u32;
    attr.config = perf_sw_ids::PERF_COUNT_SW_BPF_OUTPUT as u64;
    attr.sample_type = perf_event_sample_format::PERF_SAMPLE_RAW as u64;
    attr.__bindgen_anon_1.sample_period = 1;
    attr.set_watermark(1);
    attr.__bindgen_anon_2.wakeup_watermark = watermark;
    open_attr(&attr, cpu)
}

/// Opens what tells of execs, forks and mappings of executable files on `cpu`, not yet enabled;
/// the last 8 bytes of each record are its time.
///
/// # Errors
/// The kernel's refusal.
pub fn open_side_band(cpu: u32) -> Result<OwnedFd, Refused> {
    let mut attr = zeroed();
    attr.type_ = perf_type_id::PERF_TYPE_SOFTWARE as u32;
    attr.config = perf_sw_ids::PERF_COUNT_SW_DUMMY as u64;
    attr.set_disabled(1);
    attr.set_mmap(1);
    attr.set_mmap2(1);
    attr.set_comm(1);
    attr.set_comm_exec(1);
    attr.set_task(1);
    attr.set_sample_id_all(1);
    attr.sample_type = perf_event_sample_format::PERF_SAMPLE_TIME as u64;
    attr.set_watermark(1);
    // Nobody waits for it.
    attr.__bindgen_anon_2.wakeup_watermark = u32::MAX >> 1;
    open_attr(&attr, cpu)
}

/// Runs `program` at each sample of `event`, until the event is closed.
///
/// # Errors
/// The kernel's refusal.
pub fn set_program(event: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Refused> {
    let request = libc::c_ulong::from(PERF_EVENT_IOC_SET_BPF);
    // SAFETY: the argument of this request is a descriptor, not a pointer.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), request as _, program.as_raw_fd()) };
    check(Call::PerfSetBpf, result.into()).map(drop)
}

/// Starts counting.
///
/// # Errors
/// The kernel's refusal.
pub fn enable(event: BorrowedFd<'_>) -> Result<(), Refused> {
    // SAFETY: the argument of this request is a number.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE as _, 0) };
    check(Call::PerfEnable, result.into()).map(drop)
}

/// Stops counting. A tracepoint's or kprobe's *program* still runs: only its detaching ends that.
///
/// # Errors
/// The kernel's refusal.
pub fn disable(event: BorrowedFd<'_>) -> Result<(), Refused> {
    // SAFETY: the argument of this request is a number.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_DISABLE as _, 0) };
    check(Call::PerfDisable, result.into()).map(drop)
}
