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
    fn direct(tie: OwnedFd) -> Self {
        Self { events: Vec::new(), ties: vec![tie], slow: false }
    }

    /// Detaches `links`, all at once, and returns when their programs start no more.
    ///
    /// The descriptors of tracepoints and kprobes are closed by a process of their own, since the
    /// kernel takes its time over it; see [`sys::process::close_in_background`].
    pub fn detach_all(links: Vec<Self>) {
        for event in links.iter().flat_map(|link| &link.events) {
            // The event may have stopped by itself; closing it is what counts.
            let _ = perf::disable(event.as_fd());
        }
        let (slow, fast): (Vec<_>, Vec<_>) = links.into_iter().partition(|link| link.slow);
        drop(fast);
        let slow = slow.into_iter().flat_map(|link| link.ties.into_iter().chain(link.events)).collect();
        // Without a child they were closed here: only slower.
        let _ = sys::process::close_in_background(slow);
    }
}

/// What loading a program for `attach` needs beforehand: the BTF id of the function for fentry
/// and fexit, nothing (0) for all else. Cheap where the answer is no.
///
/// # Errors
/// This kernel surely does not have it.
pub fn prerequisite(attach: &AttachSpec, kernel: &Kernel) -> Result<u32, Reason> {
    match attach {
        AttachSpec::Kprobe { .. } => kprobe::prerequisite().map(|()| 0),
        AttachSpec::Fentry { function, .. } => fentry::btf_id(function, kernel),
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
        AttachSpec::Software { config, period } => software::attach(loaded, *config, *period, cpus),
        AttachSpec::Hardware { config, period } => hardware::attach(loaded, *config, *period, cpus),
        AttachSpec::Tracepoint { category, name } => tracepoint::attach(loaded, category, name, cpus, kernel),
        AttachSpec::RawTracepoint { name } => raw_tracepoint::attach(loaded, name),
        AttachSpec::Interval { period } => interval::attach(loaded, *period, cpus),
        AttachSpec::Profile { period } => profile::attach(loaded, *period, cpus),
    }
}

/// A C string of a name that has no NUL in it.
fn c_name(name: &str) -> Result<std::ffi::CString, Reason> {
    std::ffi::CString::new(name).map_err(|_| Reason::new("the name has a NUL byte in it"))
}

/// A refusal that means "there is no such thing".
fn or_missing(refused: Refused, what: impl FnOnce() -> String) -> Reason {
    match refused.errno {
        libc::ENOENT | libc::EINVAL => Reason::new(format!("{} ({refused})", what())),
        _ => refused.into(),
    }
}
