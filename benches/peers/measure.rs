//! What is measured of a tool, one function each, one sample a call.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::peer::{Job, Peer, Ready};
use crate::running::Running;

/// One sample, or none where the tool has no such figure.
pub type Sample = Result<Option<f64>, Box<dyn Error>>;

/// How long the kernel is left alone before a start is timed.
const SETTLE: Duration = Duration::from_millis(400);

/// Work for the tool to see.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Faults in all.
    pub faults: u64,
    /// Threads that make them.
    pub threads: u64,
}

impl Load {
    /// Faults of one thread, as many as give a steady figure.
    pub const USUAL: Self = Self::of_threads(1);

    /// The same number of faults by so many threads.
    pub const fn of_threads(threads: u64) -> Self {
        Self { faults: 100_000, threads }
    }

    /// Runs the generator; returns its wall-clock nanoseconds per fault.
    pub fn run(self) -> Result<f64, Box<dyn Error>> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_page_fault_gen"));
        command.arg(self.faults.to_string()).arg("--threads").arg(self.threads.to_string());
        let begin = Instant::now();
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        let took = begin.elapsed();
        if !status.success() {
            return Err(format!("page_fault_gen: {status}").into());
        }
        Ok(took.as_nanos() as f64 / self.faults as f64)
    }
}

/// Milliseconds from exec until it traces.
pub fn start(peer: &Peer) -> Sample {
    let step = if peer.ready == Ready::FirstRow { 1 } else { 50 };
    // The tool before has left work for the kernel: to close a tracepoint takes it up to a tenth of a second.
    thread::sleep(SETTLE);
    let Some(running) = Running::start(peer, &Job::PageFaults(step))? else { return Ok(None) };
    let took = running.start.map(milliseconds);
    running.stop()?;
    Ok(took)
}

/// Milliseconds from SIGINT until it has ended.
pub fn exit(peer: &Peer) -> Sample {
    thread::sleep(SETTLE);
    let Some(running) = Running::start(peer, &Job::PageFaults(50))? else { return Ok(None) };
    thread::sleep(SETTLE);
    Ok(Some(milliseconds(running.stop()?)))
}

/// The most memory, in MB, that it had when it had reported a burst.
pub fn memory(peer: &Peer) -> Sample {
    let Some(running) = Running::start(peer, &Job::PageFaults(50))? else { return Ok(None) };
    Load::USUAL.run()?;
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

/// MB of its files and of all libraries that it loads but libc's own.
pub fn size_with_libraries(peer: &Peer) -> Sample {
    let mut files = peer.files.clone();
    match &peer.libraries {
        Some(folder) => files.extend(files_below(folder)?),
        None => files.extend(peer.files.first().map(|file| libraries_of(file)).transpose()?.unwrap_or_default()),
    }
    let is_libc =
        |name: &str| ["libc.so", "libm.so", "ld-linux", "libgcc_s.so"].iter().any(|own| name.starts_with(own));
    files.retain(|file| file.file_name().is_none_or(|name| !is_libc(&name.to_string_lossy())));
    files.sort();
    files.dedup();
    let total: u64 = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|found| found.len()).sum();
    Ok(Some(total as f64 / 1e6))
}

fn libraries_of(file: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let listed = Command::new("ldd").arg(file).output()?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let path = |line: &str| Some(PathBuf::from(line.split_once("=> ")?.1.split_whitespace().next()?));
    Ok(text.lines().filter_map(path).filter_map(|path| fs::canonicalize(path).ok()).collect())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

/// Instructions of its page-fault program as the kernel runs it.
pub fn instructions(peer: &Peer, job: &Job) -> Sample {
    let Some(running) = with_program(peer, job)? else { return Ok(None) };
    let on_event = programs(&running)?.into_iter().filter(|program| program["type"] == "perf_event");
    let sizes = on_event.filter_map(|program| program["bytes_xlated"].as_f64());
    let largest = sizes.reduce(f64::max);
    running.stop()?;
    Ok(largest.map(|bytes| bytes / 8.0))
}

/// Nanoseconds that its program takes for an event, as the kernel's own statistics say.
pub fn program_time(peer: &Peer, job: &Job, load: Load) -> Sample {
    let Some(running) = with_program(peer, job)? else { return Ok(None) };
    let time = time_per_run(&running, load)?;
    running.stop()?;
    Ok(Some(time))
}

fn with_program(peer: &Peer, job: &Job) -> Result<Option<Running>, Box<dyn Error>> {
    if peer.has_program { Running::start(peer, job) } else { Ok(None) }
}

/// The same of a program that does nothing: what the statistics themselves cost.
pub fn empty_program_time(load: Load) -> Result<f64, Box<dyn Error>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pfscript"));
    command.args(["-v", "-e", "software:page-faults:1 { }"]).stdin(Stdio::null());
    let running = Running::spawn(command, Ready::Attached, Stdio::null())?;
    let time = time_per_run(&running, load)?;
    running.stop()?;
    Ok(time)
}

/// Nanoseconds of a run of that program of the tool which runs most often while the generator runs.
pub fn time_per_run(running: &Running, load: Load) -> Result<f64, Box<dyn Error>> {
    let before = programs(running)?;
    load.run()?;
    let after = programs(running)?;
    let grown = |(before, after): (&Value, &Value)| {
        let grown = |key: &str| after[key].as_f64().unwrap_or(0.0) - before[key].as_f64().unwrap_or(0.0);
        (grown("run_cnt"), grown("run_time_ns"))
    };
    let busiest = before.iter().zip(&after).map(grown).max_by(|one, other| one.0.total_cmp(&other.0));
    let (runs, time) = busiest.ok_or("it holds no program")?;
    Ok(time / runs)
}

/// Nanoseconds that one fault costs the traced program, while the tool is at a job.
pub fn traced_fault(peer: &Peer, job: &Job, load: Load) -> Sample {
    let Some(running) = Running::start(peer, job)? else { return Ok(None) };
    let time = load.run()?;
    running.stop()?;
    Ok(Some(time))
}

/// What a reader does with a burst at step 1.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Nanoseconds of CPU time for each event of the burst.
    pub cpu_time: f64,
    /// Of a hundred events, how many it did not print.
    pub unprinted: f64,
}

/// Has every fault of `load` reported, to a file; none of a tool that prints nothing.
pub fn reading(peer: &Peer, load: Load, scratch: &Path) -> Result<Option<Reading>, Box<dyn Error>> {
    if !peer.prints {
        return Ok(None);
    }
    let path = scratch.join("rows");
    let Some(running) = Running::start_into(peer, &Job::PageFaults(1), File::create(&path)?)? else { return Ok(None) };
    let before = running.cpu_time()?;
    load.run()?;
    // A reader that is behind works on.
    let after = settled(|| running.cpu_time())?;
    running.stop()?;
    let printed = rows_of_generator(&path)?;
    let made = load.faults as f64;
    let unprinted = (100.0 * (1.0 - printed / made)).max(0.0);
    Ok(Some(Reading { cpu_time: (after - before) / printed.max(1.0), unprinted }))
}

/// The figure when it no longer grows by more than a millisecond's worth in 300 ms.
fn settled(mut figure: impl FnMut() -> Result<f64, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut last = figure()?;
    loop {
        thread::sleep(Duration::from_millis(300));
        let next = figure()?;
        if next - last < 3e6 {
            return Ok(next);
        }
        last = next;
    }
}

/// Rows about the generator's own process.
fn rows_of_generator(path: &Path) -> Result<f64, Box<dyn Error>> {
    let rows = BufReader::new(File::open(path)?).split(b'\n');
    let own = rows.map_while(Result::ok).filter(|row| row.windows(14).any(|part| part == b"page_fault_gen"));
    Ok(own.count() as f64)
}

/// What the kernel says of the tool's programs, in the order of their numbers.
fn programs(running: &Running) -> Result<Vec<Value>, Box<dyn Error>> {
    let show = |id: u64| {
        let shown = Command::new("bpftool").args(["-j", "prog", "show", "id", &id.to_string()]).output()?;
        Ok(serde_json::from_slice(&shown.stdout)?)
    };
    running.programs()?.into_iter().map(show).collect()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
