//! `interval:TIME`: a timer on one CPU.

use super::{Link, perf_event};
use crate::failure::Reason;
use crate::load::LoadedProgram;
use crate::sys::perf::{CPU_CLOCK, Event};

/// `period` in ns.
pub fn attach(loaded: &LoadedProgram<'_>, period: u64, cpus: &[u32]) -> Result<Link, Reason> {
    let one = &cpus[..cpus.len().min(1)];
    Ok(perf_event::attach(loaded, &Event::Software { config: CPU_CLOCK, period }, one)?)
}
