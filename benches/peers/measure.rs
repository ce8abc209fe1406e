//! What is measured of a tool, one function each, one sample a call.

use std::error::Error;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::peer::{Peer, Ready};
use crate::running::Running;

/// One sample, or none where the tool has no such figure.
pub type Sample = Result<Option<f64>, Box<dyn Error>>;

/// How long the kernel is left alone before a start is timed.
const SETTLE: Duration = Duration::from_millis(400);

/// Faults of one run of the generator.
const FAULTS: u64 = 100_000;

/// Milliseconds from exec until it traces.
pub fn start(peer: &Peer) -> Sample {
    let step = if peer.ready == Ready::FirstRow { 1 } else { 50 };
    // The tool before has left work for the kernel: to close a tracepoint takes it up to a tenth of a second.
    thread::sleep(SETTLE);
    let running = Running::start(peer, step)?;
    let took = running.start.map(|took| took.as_secs_f64() * 1e3);
    running.stop()?;
    Ok(took)
}

/// The most memory, in MB, that it had when it had reported a burst.
pub fn memory(peer: &Peer) -> Sample {
    let running = Running::start(peer, 50)?;
    generate()?;
    let peak = running.peak_memory()?;
    running.stop()?;
    Ok(Some(peak / 1e6))
}

/// MB of its own files, libraries not counted.
pub fn size(peer: &Peer) -> Sample {
    let sizes = peer.files.iter().map(|file| Ok(fs::metadata(file)?.len()));
    let total = sizes.sum::<Result<u64, std::io::Error>>()?;
    Ok(Some(total as f64 / 1e6))
}

/// Instructions of its page-fault program as the kernel runs it.
pub fn instructions(peer: &Peer) -> Sample {
    if !peer.has_program {
        return Ok(None);
    }
    let running = Running::start(peer, 50)?;
    let program = page_fault_program(&running)?;
    running.stop()?;
    Ok(program["bytes_xlated"].as_f64().map(|bytes| bytes / 8.0))
}

/// Nanoseconds that its program takes for a fault at step 50, as the kernel's own statistics say.
pub fn program_time(peer: &Peer) -> Sample {
    if !peer.has_program {
        return Ok(None);
    }
    let running = Running::start(peer, 50)?;
    let time = time_per_run(&running)?;
    running.stop()?;
    Ok(Some(time))
}

/// The same of a program that does nothing: what the statistics themselves cost.
pub fn empty_program_time() -> Result<f64, Box<dyn Error>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pfscript"));
    command.args(["-v", "-e", "software:page-faults:1 { }"]).stdin(Stdio::null());
    let running = Running::spawn(command, Ready::Attached)?;
    let time = time_per_run(&running)?;
    running.stop()?;
    Ok(time)
}

fn time_per_run(running: &Running) -> Result<f64, Box<dyn Error>> {
    let before = page_fault_program(running)?;
    generate()?;
    let after = page_fault_program(running)?;
    let grown = |key: &str| after[key].as_f64().unwrap_or(0.0) - before[key].as_f64().unwrap_or(0.0);
    Ok(grown("run_time_ns") / grown("run_cnt"))
}

/// Nanoseconds that one fault costs the traced program, while the tool reports at a step.
pub fn traced_fault(peer: &Peer, step: u64) -> Sample {
    let running = Running::start(peer, step)?;
    let time = generate()?;
    running.stop()?;
    Ok(Some(time))
}

/// Runs the generator; returns its wall-clock nanoseconds per fault.
pub fn generate() -> Result<f64, Box<dyn Error>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_page_fault_gen"));
    let begin = Instant::now();
    let status = command.arg(FAULTS.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    let took = begin.elapsed();
    if !status.success() {
        return Err(format!("page_fault_gen: {status}").into());
    }
    Ok(took.as_nanos() as f64 / FAULTS as f64)
}

/// What the kernel says of the tool's program on the page-fault event.
fn page_fault_program(running: &Running) -> Result<Value, Box<dyn Error>> {
    for id in running.programs()? {
        let shown = Command::new("bpftool").args(["-j", "prog", "show", "id", &id.to_string()]).output()?;
        let program: Value = serde_json::from_slice(&shown.stdout)?;
        if program["type"] == "perf_event" {
            return Ok(program);
        }
    }
    Err("it holds no program of type perf_event".into())
}
