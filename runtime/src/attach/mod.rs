//! Loaded programs -> programs that run when something happens. One file per kind of probe.
//!
//! Order: `BEGIN` runs first, then the targets are attached in the script's order. A [`Link`]
//! is the attachment: when it is dropped, or this process dies, the kernel detaches.

mod fentry;
mod hardware;
mod interval;
mod kprobe;
mod perf_event;
mod profile;
mod raw_tracepoint;
mod run_once;
mod software;
mod tracepoint;
mod uprobe;

use std::os::fd::{AsFd, OwnedFd};

use pfscript_compiler::manifest::AttachSpec;

use crate::failure::Reason;
use crate::kernel::Kernel;
use crate::load::LoadedProgram;
use crate::sys::{self, Refused, perf};

pub use run_once::run_once;

/// An attached program: detached when dropped.
#[derive(Debug)]
pub struct Link {
    /// Perf events, if it hangs on any.
    events: Vec<OwnedFd>,
    /// What ties the program to the events or to the probe itself.
    ties: Vec<OwnedFd>,
    /// Whether the kernel waits for grace periods when it is closed.
    slow: bool,
}

impl Link {
    /// An attachment without perf events.
    fn direct(tie: OwnedFd, slow: bool) -> Self {
        Self { events: Vec::new(), ties: vec![tie], slow }
    }

    /// Detaches `links`. When it returns, their programs have stopped if `wait_for_programs`,
    /// and otherwise soon will.
    ///
    /// The kernel takes its time over tracepoints and kprobes. Measured on Linux 6.18, 2 CPUs:
    /// closing the tie between program and event 15-30 ms (nothing before 6.14), closing the
    /// event 40-75 ms; perf's own events and raw tracepoints 1 ms. Only the first is worth
    /// waiting for, and all ties wait for the same grace period; the events are left to the
    /// kernel's own threads (0.1 ms here, they are gone after 100-150 ms).
    pub fn detach_all(links: Vec<Self>, wait_for_programs: bool) {
        for event in links.iter().flat_map(|link| &link.events) {
            // The event may have stopped by itself; closing it is what counts.
            let _ = perf::disable(event.as_fd());
        }
        let (slow, fast): (Vec<_>, Vec<_>) = links.into_iter().partition(|link| link.slow);
        drop(fast);
        let (mut ties, mut rest): (Vec<_>, Vec<_>) = slow.into_iter().map(|link| (link.ties, link.events)).unzip();
        if wait_for_programs {
            close_together(ties.drain(..).flatten().collect());
        }
        rest.extend(ties);
        // Without an io_uring they were closed here: only slower.
        let _ = sys::process::close_in_background(rest.into_iter().flatten().collect());
    }
}

/// Closes descriptors whose closing waits for a grace period, so that they wait for the same one.
fn close_together(mut fds: Vec<OwnedFd>) {
    const THREADS: usize = 8;
    let share = fds.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        while fds.len() > share {
            let some = fds.split_off(fds.len() - share);
            // Without a thread they are closed here, one after the other.
            drop(std::thread::Builder::new().spawn_scoped(scope, move || drop(some)));
        }
        drop(fds);
    });
}

/// What loading a program for `attach` needs beforehand: the BTF id of the function for fentry
/// and fexit, nothing (0) for all else. Cheap where the answer is no; what it refuses is refused
/// before `BEGIN` has run.
///
/// # Errors
/// This kernel surely does not have it.
pub fn prerequisite(attach: &AttachSpec, kernel: &Kernel) -> Result<u32, Reason> {
    match attach {
        AttachSpec::Kprobe { .. } => kprobe::prerequisite().map(|()| 0),
        AttachSpec::Fentry { function, .. } => fentry::btf_id(function, kernel),
        AttachSpec::Uprobe { path, function, offset, .. } => {
            uprobe::prerequisite(path, function, *offset, kernel).map(|()| 0)
        }
        AttachSpec::Tracepoint { category, name } => tracepoint::id(category, name, kernel).map(|_| 0),
        _ => Ok(0),
    }
}

/// Attaches a program to its probe.
///
/// # Errors
/// Why the kernel refuses.
pub fn attach(loaded: &LoadedProgram<'_>, cpus: &[u32], kernel: &Kernel) -> Result<Link, Reason> {
    match &loaded.program.attach {
        AttachSpec::Begin | AttachSpec::End => Err(Reason::new("BEGIN and END are run, not attached")),
        AttachSpec::Kprobe { function, offset, ret } => kprobe::attach(loaded, function, *offset, *ret, cpus),
        AttachSpec::Fentry { .. } => fentry::attach(loaded),
        AttachSpec::Uprobe { path, function, offset, ret } => {
            uprobe::attach(loaded, (path, function, *offset), *ret, cpus, kernel)
        }
        AttachSpec::Software { config, period } => software::attach(loaded, *config, *period, cpus),
        AttachSpec::Hardware { config, period } => hardware::attach(loaded, *config, *period, cpus),
        AttachSpec::Tracepoint { category, name } => tracepoint::attach(loaded, category, name, cpus, kernel),
        AttachSpec::RawTracepoint { name } => raw_tracepoint::attach(loaded, name),
        AttachSpec::Interval { period } => interval::attach(loaded, *period, cpus),
        AttachSpec::Profile { period } => profile::attach(loaded, *period, cpus),
    }
}

/// A C string of a name that has no NUL in it.
fn c_name(name: impl Into<Vec<u8>>) -> Result<std::ffi::CString, Reason> {
    std::ffi::CString::new(name).map_err(|_| Reason::new("the name has a NUL byte in it"))
}

/// A refusal that means "there is no such thing".
fn or_missing(refused: Refused, what: impl FnOnce() -> String) -> Reason {
    match refused.errno {
        libc::ENOENT | libc::EINVAL => Reason::new(format!("{} ({refused})", what())),
        _ => refused.into(),
    }
}
