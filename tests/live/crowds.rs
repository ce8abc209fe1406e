//! Many processes at once, and processes that hardly live: each is counted by itself and exactly.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::counts::check;
use crate::rig::need::command_path;
use crate::tracer::{Tracer, faulted, generate};

/// Many processes of one name at the same time.
pub fn of_one_name() -> Result<(), Failed> {
    let tracer = Tracer::start(&["--log_step", "3", "--buffer-size", "16M"])?;
    let generators: Vec<_> = (0..200).map(|_| generate(300, 1)).collect::<Result<_, _>>()?;
    let processes: Vec<_> = generators.into_iter().map(faulted).collect::<Result<_, _>>()?;
    let finished = tracer.stop(libc::SIGINT)?;
    processes.into_iter().try_for_each(|process| check(&finished, process, 3))
}

/// What all processes report together comes in the order in which it happened.
pub fn in_order_of_time() -> Result<(), Failed> {
    let tracer = Tracer::start(&["--log_step", "1", "--buffer-size", "16M", "-f", "json"])?;
    let generators: Vec<_> = (0..8).map(|_| generate(5000, 1)).collect::<Result<_, _>>()?;
    generators.into_iter().try_for_each(|generator| faulted(generator).map(drop))?;
    let finished = tracer.stop(libc::SIGINT)?;
    let time = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?["data"]["time"].as_str()?.to_owned());
    let times: Vec<_> = finished.stdout.lines().filter_map(time).collect();
    match times.windows(2).position(|pair| pair[0] > pair[1]) {
        None if times.len() >= 40_000 => Ok(()),
        None => Err(format!("{} events only; {}", times.len(), finished.stderr).into()),
        Some(at) => Err(format!("event {at}: {} before {}", times[at], times[at + 1]).into()),
    }
}

/// A storm of forks: a shell's children, most of which live for less than a millisecond. Each is
/// seen from its first fault on, without a gap.
pub fn fork_storm() -> Result<(), Failed> {
    const FORKS: usize = 5000;
    // A name of its own tells its processes from all others.
    let shell = std::env::temp_dir().join(format!("pfstorm{}", std::process::id() % 1_000_000));
    fs::copy(command_path("sh").ok_or("there is no sh")?, &shell)?;
    let name = shell.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let script = format!(
        "software:page-faults:1 /comm == \"{name}\"/ {{ @f[pid]++; emit(pid, n = @f[pid]); }}
         tracepoint:sched:sched_process_free {{ delete(@f[args.pid]); }} END {{ clear(@f); }}"
    );
    let tracer = Tracer::start(&["--buffer-size", "32M", "-e", &script])?;
    let program = format!("i=0; while [ $i -lt {FORKS} ]; do (:); i=$((i+1)); done");
    let status = Command::new(&shell).args(["-c", &program]).stdin(Stdio::null()).status()?;
    fs::remove_file(&shell)?;
    let finished = tracer.stop(libc::SIGINT)?;
    if !status.success() || finished.stderr.contains("lost") {
        return Err(format!("{status}, {}", finished.stderr).into());
    }
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    let mut lives = 0;
    for line in finished.stdout.lines().skip(1) {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [pid, n] = numbers[..] else { continue };
        let last = counts.insert(pid, n).unwrap_or(0);
        lives += usize::from(n == 1);
        // A PID that comes again starts at one.
        if n != last + 1 && n != 1 {
            return Err(format!("process {pid}: {n} after {last}").into());
        }
    }
    // The children and their shell.
    if lives == FORKS + 1 { Ok(()) } else { Err(format!("{lives} processes were seen of {}", FORKS + 1).into()) }
}
