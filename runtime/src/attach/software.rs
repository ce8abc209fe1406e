//! `software:EVENT:PERIOD`: on each CPU, of all processes.

use super::{Link, perf_event};
use crate::failure::Reason;
use crate::load::LoadedProgram;
use crate::sys::perf::Event;

pub fn attach(loaded: &LoadedProgram<'_>, config: u64, period: u64, cpus: &[u32]) -> Result<Link, Reason> {
    Ok(perf_event::attach(loaded, &Event::Software { config, period }, cpus)?)
}
