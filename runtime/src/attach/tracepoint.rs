//! `tracepoint:CATEGORY:NAME`: by its number in tracefs.

use pfscript_compiler::kernel::Unavailable;

use super::{Link, perf_event};
use crate::failure::Reason;
use crate::kernel::Kernel;
use crate::load::LoadedProgram;
use crate::sys::perf::Event;

pub fn attach(
    loaded: &LoadedProgram<'_>,
    category: &str,
    name: &str,
    cpus: &[u32],
    kernel: &Kernel,
) -> Result<Link, Reason> {
    let id = kernel.tracefs()?.event_id(category, name).map_err(|unavailable| match unavailable {
        Unavailable::NotFound => Reason::new("this kernel has no such tracepoint"),
        other => other.into(),
    })?;
    Ok(perf_event::attach_anywhere(loaded, &Event::Tracepoint { id }, cpus)?)
}
