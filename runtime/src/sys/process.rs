//! What concerns the process as a whole: signals, and descriptors that are slow to close.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use io_uring::IoUring;
use signal_hook::low_level::{emulate_default_handler, register};

use super::{Call, Refused, check, monotonic_now};

/// Signals within this many ns are one request to end: `timeout` sends two at once.
const ONE_REQUEST: u64 = 200_000_000;

/// The last of [`ending_signals`] that came; 0 for none.
static INTERRUPTION: AtomicI32 = AtomicI32::new(0);
/// When the first of them came.
static FIRST: AtomicU64 = AtomicU64::new(0);

/// The signals that ask for the end. A SIGHUP that is ignored, as under `nohup`, stays ignored.
pub fn ending_signals() -> Vec<i32> {
    let mut signals = vec![libc::SIGINT, libc::SIGTERM];
    if !is_ignored(libc::SIGHUP) {
        signals.push(libc::SIGHUP);
    }
    signals
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: a `sigaction` of zeroes is a value, and only the present one is asked for.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut present) == 0 && present.sa_sigaction == libc::SIG_IGN
    }
}

/// Notes from now on when one of `signals` comes. When one comes again, later, the process ends
/// where it stands.
///
/// # Errors
/// The signals cannot be handled.
pub fn hear(signals: &[i32]) -> io::Result<()> {
    for &signal in signals {
        let action = move || {
            INTERRUPTION.store(signal, Ordering::Relaxed);
            let now = monotonic_now();
            let earlier = FIRST.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).err();
            if earlier.is_some_and(|earlier| now.saturating_sub(earlier) > ONE_REQUEST) {
                super::terminal::restore();
                let _ = emulate_default_handler(signal);
            }
        };
        // SAFETY: atomics, `clock_gettime` and the default handler may be used while a signal is handled.
        unsafe { register(signal, action) }?;
    }
    Ok(())
}

/// The signal that has asked for the end, if one has.
pub fn interruption() -> Option<i32> {
    Some(INTERRUPTION.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
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

/// Closes `slow` without waiting for it: an io_uring holds what is registered with it until the
/// kernel's own threads have taken it down, which goes on when this process is long gone. (A child
/// that closes them would be left to a PID 1 that, in many a container, waits for no child.)
///
/// # Errors
/// There is no io_uring to be had; `slow` has been closed the slow way.
pub fn close_in_background(slow: Vec<OwnedFd>) -> io::Result<()> {
    if slow.is_empty() {
        return Ok(());
    }
    let ring = IoUring::new(1)?;
    let fds: Vec<_> = slow.iter().map(AsRawFd::as_raw_fd).collect();
    ring.submitter().register_files(&fds)?;
    // Not the last reference: returns at once.
    drop(slow);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_is_closed_in_the_background_is_closed() {
        let (mut reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"x").expect("room");
        close_in_background(vec![OwnedFd::from(writer)]).expect("an io_uring");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("ends when the other end is closed");
        assert_eq!(text, "x");
    }
}
