//! The one door to the system calls that aya does not offer.
//!
//! Every `unsafe` of the runtime is in here. A function in here is safe to call with any
//! arguments: it checks the sizes that the kernel will read and write by.

pub mod bpf;
pub mod child;
pub mod comm;
pub mod map;
pub mod memory;
pub mod perf;
pub mod process;
pub mod terminal;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The system calls made here, as an error names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named as the kernel names it")]
pub enum Call {
    MapCreate,
    BtfLoad,
    ProgLoad,
    ProgTestRun,
    ProgInfo,
    RawTracepointOpen,
    LinkCreate,
    MapLookup,
    MapUpdate,
    MapDelete,
    MapNextKey,
    PerfEventOpen,
    PerfSetBpf,
    PerfEnable,
    PerfDisable,
    Mmap,
    Membarrier,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MapCreate => "BPF_MAP_CREATE",
            Self::BtfLoad => "BPF_BTF_LOAD",
            Self::ProgLoad => "BPF_PROG_LOAD",
            Self::ProgInfo => "BPF_OBJ_GET_INFO_BY_FD",
            Self::ProgTestRun => "BPF_PROG_TEST_RUN",
            Self::RawTracepointOpen => "BPF_RAW_TRACEPOINT_OPEN",
            Self::LinkCreate => "BPF_LINK_CREATE",
            Self::MapLookup => "BPF_MAP_LOOKUP_ELEM",
            Self::MapUpdate => "BPF_MAP_UPDATE_ELEM",
            Self::MapDelete => "BPF_MAP_DELETE_ELEM",
            Self::MapNextKey => "BPF_MAP_GET_NEXT_KEY",
            Self::PerfEventOpen => "perf_event_open",
            Self::PerfSetBpf => "PERF_EVENT_IOC_SET_BPF",
            Self::PerfEnable => "PERF_EVENT_IOC_ENABLE",
            Self::PerfDisable => "PERF_EVENT_IOC_DISABLE",
            Self::Mmap => "mmap",
            Self::Membarrier => "membarrier",
        })
    }
}

/// A system call that the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The call.
    pub call: Call,
    /// The kernel's error number.
    pub errno: i32,
}

impl Refused {
    fn last(call: Call) -> Self {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        Self { call, errno }
    }

    /// Whether a privilege was missing or a policy forbade it.
    pub fn is_denied(&self) -> bool {
        matches!(self.errno, libc::EPERM | libc::EACCES)
    }

    /// The symbolic name of the error number, where it is one that these calls give.
    fn errno_name(&self) -> Option<&'static str> {
        Some(match self.errno {
            libc::EPERM => "EPERM",
            libc::ENOENT => "ENOENT",
            libc::E2BIG => "E2BIG",
            libc::EAGAIN => "EAGAIN",
            libc::ENOMEM => "ENOMEM",
            libc::EACCES => "EACCES",
            libc::EBUSY => "EBUSY",
            libc::EEXIST => "EEXIST",
            libc::ENODEV => "ENODEV",
            libc::EINVAL => "EINVAL",
            libc::EMFILE => "EMFILE",
            libc::ENOSPC => "ENOSPC",
            libc::ENOTSUP => "EOPNOTSUPP",
            _ => return None,
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = io::Error::from_raw_os_error(self.errno).to_string();
        let reason = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
        match self.errno_name() {
            Some(name) => write!(f, "{}: {reason} ({name})", self.call),
            None => write!(f, "{}: {reason} (errno {})", self.call, self.errno),
        }
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::new(Self::from_raw_os_error(refused.errno).kind(), refused)
    }
}

/// The result of a system call that returns -1 on failure.
fn check(call: Call, result: libc::c_long) -> Result<libc::c_long, Refused> {
    if result < 0 { Err(Refused::last(call)) } else { Ok(result) }
}

/// The result of a system call that returns a new file descriptor.
///
/// # Safety
/// On success `result` must be a file descriptor that nobody else owns.
unsafe fn check_fd(call: Call, result: libc::c_long) -> Result<OwnedFd, Refused> {
    let fd = check(call, result)?;
    // SAFETY: the caller vouches for a new descriptor; descriptors fit an `i32`.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Now, in ns of CLOCK_MONOTONIC: the clock of `bpf_ktime_get_ns`.
pub fn monotonic_now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// What the clock `id`, one that every Linux has, shows, in ns.
pub fn clock(id: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for the result.
    unsafe { libc::clock_gettime(id, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Lets tokio wait until `fd` is readable. To be called inside the tokio runtime.
///
/// # Errors
/// epoll does not take this kind of descriptor.
pub fn await_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` always gives the same descriptor and keeps it open while it lives.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Lets tokio wait until nobody reads what is written to `fd` any more. To be called inside the
/// tokio runtime.
///
/// # Errors
/// epoll does not take this kind of descriptor: a file.
pub fn await_hangup(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` always gives the same descriptor and keeps it open while it lives.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::ERROR) }?)
}

/// Waits until `fd` can be written to, or has an error to tell of; false when it could not in
/// `time`.
///
/// # Errors
/// A signal came.
pub fn wait_writable(fd: BorrowedFd<'_>, time: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: `poll` is one valid entry.
    match unsafe { libc::poll(&raw mut poll, 1, time.as_millis() as i32) } {
        -1 => Err(io::Error::last_os_error()),
        ready => Ok(ready > 0),
    }
}

/// Opens what `fd` writes to once more, as something that never blocks.
///
/// # Errors
/// It cannot be opened (a socket), or there is no /proc.
pub fn reopen_unblocked(fd: BorrowedFd<'_>) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().write(true).custom_flags(flags).open(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Bytes of a page of memory.
pub fn page_size() -> usize {
    // SAFETY: `sysconf` has no preconditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_call_reason_and_number() {
        let refused = Refused { call: Call::ProgLoad, errno: libc::EPERM };
        assert_eq!(refused.to_string(), "BPF_PROG_LOAD: operation not permitted (EPERM)");
        let odd = Refused { call: Call::Mmap, errno: libc::ENFILE };
        assert!(odd.to_string().ends_with("(errno 23)"), "{odd}");
    }

    #[test]
    fn the_clock_moves_forward() {
        let before = monotonic_now();
        assert!(monotonic_now() >= before && before > 0);
    }
}
