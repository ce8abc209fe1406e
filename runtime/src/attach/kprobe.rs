//! `kprobe:FUNCTION`, `kretprobe:FUNCTION`: through perf's dynamic PMU, which leaves nothing
//! behind when the process dies.

use super::{Link, c_name, or_missing, perf_event};
use crate::failure::Reason;
use crate::kernel::features::ProbePmu;
use crate::load::LoadedProgram;
use crate::sys::perf::Event;

/// Whether the kernel has kprobes at all.
pub fn prerequisite() -> Result<(), Reason> {
    ProbePmu::kprobe()?;
    Ok(())
}

pub fn attach(
    loaded: &LoadedProgram<'_>,
    function: &str,
    offset: u64,
    ret: bool,
    cpus: &[u32],
) -> Result<Link, Reason> {
    let pmu = ProbePmu::kprobe()?;
    let name = c_name(function)?;
    let event = Event::Kprobe { pmu: pmu.pmu, config: pmu.config(ret), function: &name, offset };
    perf_event::attach_anywhere(loaded, &[event], cpus)
        .map_err(|refused| or_missing(refused, || format!("the kernel cannot probe the function {function}")))
}
