//! `tracepoint:CATEGORY:NAME`: by its number in tracefs.

use pfscript_compiler::kernel::Unavailable;

use super::{Link, perf_event};
use crate::failure::Reason;
use crate::kernel::Kernel;
use crate::load::LoadedProgram;
use crate::sys::Call;
use crate::sys::perf::Event;

/// The tracepoint's number, which says that it exists.
pub fn id(category: &str, name: &str, kernel: &Kernel) -> Result<u64, Reason> {
    kernel.tracefs()?.event_id(category, name).map_err(|unavailable| match unavailable {
        Unavailable::NotFound => Reason::new("this kernel has no such tracepoint"),
        other => other.into(),
    })
}

pub fn attach(
    loaded: &LoadedProgram<'_>,
    category: &str,
    name: &str,
    cpus: &[u32],
    kernel: &Kernel,
) -> Result<Link, Reason> {
    let id = id(category, name, kernel)?;
    perf_event::attach_anywhere(loaded, &[Event::Tracepoint { id }], cpus).map_err(|refused| match refused.call {
        // The kernel lets no program read past the end of a record.
        Call::LinkCreate if refused.errno == libc::EACCES => Reason::new(format!(
            "the record of this kernel's tracepoint is shorter than the one the script was compiled for ({refused})"
        )),
        _ => refused.into(),
    })
}
