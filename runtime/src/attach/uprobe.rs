//! `uprobe:FILE:FUNCTION`, `uretprobe:FILE:FUNCTION`: through perf's dynamic PMU, in every process
//! that runs the file.

use std::os::unix::ffi::OsStrExt;

use super::{Link, c_name, or_missing, perf_event};
use crate::failure::Reason;
use crate::kernel::Kernel;
use crate::kernel::features::ProbePmu;
use crate::load::LoadedProgram;
use crate::sys::perf::Event;

/// Whether the kernel has uprobes, and the file the function.
pub fn prerequisite(file: &str, function: &str, offset: u64, kernel: &Kernel) -> Result<(), Reason> {
    ProbePmu::uprobe()?;
    kernel.programs().locate(file, function, offset)?;
    Ok(())
}

pub fn attach(
    loaded: &LoadedProgram<'_>,
    (file, function, offset): (&str, &str, u64),
    ret: bool,
    cpus: &[u32],
    kernel: &Kernel,
) -> Result<Link, Reason> {
    let pmu = ProbePmu::uprobe()?;
    let place = kernel.programs().locate(file, function, offset)?;
    let path = c_name(place.path.as_os_str().as_bytes())?;
    let events: Vec<_> = place
        .offsets
        .iter()
        .map(|&offset| Event::Uprobe { pmu: pmu.pmu, config: pmu.config(ret), path: &path, offset })
        .collect();
    perf_event::attach_anywhere(loaded, &events, cpus)
        .map_err(|refused| or_missing(refused, || format!("the kernel cannot probe {}", place.path.display())))
}
