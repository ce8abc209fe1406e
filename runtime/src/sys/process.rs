//! What concerns the process as a whole: signals, and descriptors that are slow to close.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use signal_hook::low_level::{emulate_default_handler, register};

use super::{Call, Refused, check, monotonic_now};

/// Signals within this many ns are one request to end: `timeout` sends two at once.
const ONE_REQUEST: u64 = 200_000_000;

/// A flag that SIGINT and SIGTERM set. When one comes again, later, the process ends where it
/// stands: it may be waiting for a reader of its output who reads no more.
///
/// # Errors
/// The signals cannot be handled.
pub fn interruption() -> io::Result<Arc<AtomicBool>> {
    let (flag, first) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let (flag, first) = (Arc::clone(&flag), Arc::clone(&first));
        let action = move || {
            flag.store(true, Ordering::Relaxed);
            let now = monotonic_now();
            let earlier = first.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).err();
            if earlier.is_some_and(|earlier| now.saturating_sub(earlier) > ONE_REQUEST) {
                super::terminal::restore();
                let _ = emulate_default_handler(signal);
            }
        };
        // SAFETY: atomics, `clock_gettime` and the default handler may be used while a signal is handled.
        unsafe { register(signal, action) }?;
    }
    Ok(flag)
}

/// Waits until every eBPF program that runs now, on any processor, has ended: they run inside RCU
/// read sections, and a global memory barrier is a grace period (kernel/sched/membarrier.c).
///
/// # Errors
/// The kernel has no global barrier, because processors are set aside with `nohz_full`.
pub fn wait_for_programs() -> Result<(), Refused> {
    // SAFETY: the call takes three numbers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    check(Call::Membarrier, result).map(drop)
}

/// Closes `slow` without waiting for it: a child keeps them open until this process has closed
/// its own, then the kernel's waiting for a grace period is the child's.
///
/// # Errors
/// There is no child to be had; `slow` has been closed the slow way.
pub fn close_in_background(slow: Vec<OwnedFd>) -> Result<(), Refused> {
    if slow.is_empty() {
        return Ok(());
    }
    let (read, write) = pipe()?;
    // SAFETY: the child runs only `keep_until_closed`, which makes system calls and nothing else.
    let child = check(Call::Fork, unsafe { libc::fork() }.into())?;
    if child == 0 {
        keep_until_closed(&slow, read.as_raw_fd());
    }
    // Not the last reference: returns at once.
    drop(slow);
    // Lets the child go on; had this process been killed, the kernel would have done it.
    drop(write);
    Ok(())
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Refused> {
    let mut fds = [-1; 2];
    // SAFETY: `fds` has room for the two descriptors, which are new and nobody else's.
    unsafe {
        check(Call::Pipe, libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC).into())?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// The child's life: give up all but the descriptors to be kept, so that nobody waits for this
/// process to close a pipe or a terminal, wait for the parent, exit.
fn keep_until_closed(keep: &[OwnedFd], parent: i32) -> ! {
    // SAFETY: only async-signal-safe system calls between fork and _exit; `byte` has room for one.
    unsafe {
        let highest = keep.iter().map(AsRawFd::as_raw_fd).max().unwrap_or(0).max(parent);
        for fd in 0..=highest {
            if fd != parent && !keep.iter().any(|kept| kept.as_raw_fd() == fd) {
                libc::close(fd);
            }
        }
        libc::close_range(highest as u32 + 1, u32::MAX, 0);
        let mut byte = 0_u8;
        libc::read(parent, std::ptr::from_mut(&mut byte).cast(), 1);
        libc::_exit(0)
    }
}
