//! The main job: what is reported of a process is the truth that getrusage tells of it.

use libtest_mimic::Failed;

use crate::kernel_state::{keys_of_map, settle};
use crate::rig::multiples::check_multiples;
use crate::tracer::{Faulted, Finished, Held, Tracer, faulted, generate};

/// Where the software event is what attaches, counts are exactly those of getrusage; where
/// `handle_mm_fault` is hooked, its retries are counted too.
fn slack(finished: &Finished) -> u64 {
    let hooked = finished.stderr.lines().any(|line| line.contains("attached") && line.contains("handle_mm_fault"));
    if hooked { 32 } else { 0 }
}

pub fn check(finished: &Finished, process: Faulted, step: u64) -> Result<(), Failed> {
    let reported = finished.counts_of(process.pid);
    Ok(check_multiples(&reported, step, process.faults, slack(finished))?)
}

/// Exactly the multiples of `step`, ascending, none twice, however many threads fault at once.
pub fn exact(step: u64, threads: u32) -> Result<(), Failed> {
    let tracer = Tracer::start(&["--log_step", &step.to_string()])?;
    let process = faulted(generate(20_000, threads)?)?;
    check(&tracer.stop(libc::SIGINT)?, process, step)
}

/// 50 is the step when none is given, and pagefault the script.
pub fn default_step() -> Result<(), Failed> {
    let tracer = Tracer::start(&[])?;
    let process = faulted(generate(5_000, 1)?)?;
    check(&tracer.stop(libc::SIGINT)?, process, 50)
}

/// Processes of one name are counted each by itself.
pub fn same_name() -> Result<(), Failed> {
    let tracer = Tracer::start(&["--log_step", "7"])?;
    let (first, second) = (generate(20_000, 2)?, generate(12_345, 1)?);
    let processes = [faulted(first)?, faulted(second)?];
    let finished = tracer.stop(libc::SIGINT)?;
    processes.into_iter().try_for_each(|process| check(&finished, process, 7))
}

/// A process that ends takes its counter along.
pub fn freed_with_process() -> Result<(), Failed> {
    let tracer = Tracer::start(&["--log_step", "1000"])?;
    let mut held = Held::generate(5_000)?;
    let process = held.faulted()?;
    let counted = || Ok::<_, Failed>(keys_of_map(tracer.pid(), "faults")?.contains(&u64::from(process.pid)));
    if !counted()? {
        return Err("the process has no counter while it lives".into());
    }
    held.end()?;
    settle(|| if counted()? { Err("the counter of the process is still there".into()) } else { Ok(()) })?;
    let finished = tracer.stop(libc::SIGINT)?;
    // The faults of its end come after what it said itself.
    let reported = finished.counts_of(process.pid);
    Ok(check_multiples(&reported, 1000, process.faults, 999)?)
}
