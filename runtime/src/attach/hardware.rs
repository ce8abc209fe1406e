//! `hardware:EVENT:PERIOD`: on each CPU, of all processes.

use super::{Link, perf_event};
use crate::failure::Reason;
use crate::load::LoadedProgram;
use crate::sys::perf::Event;

pub fn attach(loaded: &LoadedProgram<'_>, config: u64, period: u64, cpus: &[u32]) -> Result<Link, Reason> {
    let link = perf_event::attach(loaded, &Event::Hardware { config, period }, cpus);
    link.map_err(|refused| match refused.errno {
        libc::ENOENT | libc::ENODEV | libc::ENOTSUP => {
            Reason::new(format!("this machine has no such hardware counter ({refused})"))
        }
        _ => refused.into(),
    })
}
