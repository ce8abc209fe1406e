//! In a burst records are gathered on each CPU and sent several at a time; afterwards each is sent
//! by itself again, and none is left behind.

use std::process::Child;

use libtest_mimic::Failed;
use pfscript_compiler::manifest::Stage;

use crate::counts::check;
use crate::kernel_state::{integer, settle, values_of_cpus};
use crate::tracer::{Tracer, faulted, generate};

/// A burst at step 1: staged while it lasts, fetched when it is over, and exact.
pub fn staged() -> Result<(), Failed> {
    let tracer = Tracer::start(&["--log_step", "1", "--buffer-size", "16M"])?;
    let mut generator = generate(150_000, 2)?;
    let was_armed = armed_while_running(&mut generator, tracer.pid())?;
    let process = faulted(generator)?;
    if !was_armed {
        return Err("the stages were not armed in the burst".into());
    }
    settle(|| match stages(tracer.pid())?.iter().all(|stage| *stage == (0, 0)) {
        true => Ok(()),
        false => Err("something is still staged".into()),
    })?;
    check(&tracer.stop(libc::SIGINT)?, process, 1)
}

/// The end of the session in the midst of a burst: what is on the stages is taken from there.
pub fn ended_while_staged() -> Result<(), Failed> {
    let tracer = Tracer::start(&["--log_step", "1", "--buffer-size", "16M"])?;
    let mut generator = generate(150_000, 2)?;
    armed_while_running(&mut generator, tracer.pid())?;
    let pid = generator.id();
    let finished = tracer.stop(libc::SIGINT)?;
    let process = faulted(generator)?;
    let counts = finished.counts_of(process.pid);
    let lost = finished.stderr.contains("lost");
    if !lost && counts.iter().zip(1..).any(|(&count, expected)| count != expected) {
        return Err(format!("of process {pid} the counts up to {:?} are not whole", counts.last()).into());
    }
    if counts.is_empty() { Err("nothing was reported".into()) } else { Ok(()) }
}

/// Whether the stages of `tracer` were seen armed before the generator ended.
fn armed_while_running(generator: &mut Child, tracer: u32) -> Result<bool, Failed> {
    while generator.try_wait()?.is_none() {
        if stages(tracer)?.iter().any(|&(armed, _)| armed == 1) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Of each CPU whether its stage is armed, and how many bytes are on it.
fn stages(tracer: u32) -> Result<Vec<(u64, u64)>, Failed> {
    let word = |stage: &[u8], offset: u32| stage.get(offset as usize..offset as usize + 8).map_or(0, integer);
    let stages = values_of_cpus(tracer, "stage")?;
    Ok(stages.iter().map(|stage| (word(stage, Stage::ARMED), word(stage, Stage::LENGTH))).collect())
}
