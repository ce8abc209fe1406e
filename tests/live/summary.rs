//! The summary at the end: every fault of every process is in it, also of those that have ended.

use std::collections::BTreeSet;
use std::time::Duration;

use libtest_mimic::Failed;

use crate::kernel_state::{keys_of_map, settle};
use crate::tracer::{Faulted, Finished, Held, Tracer, faulted, generate};

/// The summary's first line: faults and processes.
fn headline(finished: &Finished) -> Result<(u64, u64), Failed> {
    let line = finished.stderr.lines().find(|line| line.contains(" faults of ")).ok_or("there is no summary")?;
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        [faults, "faults", "of", processes, "processes", "in", _, "s,", "nothing", "lost"] => {
            Ok((faults.parse()?, processes.parse()?))
        }
        _ => Err(format!("not as it should be: {line}").into()),
    }
}

/// The row of a process: its name and its faults.
fn row(finished: &Finished, process: Faulted) -> Result<(String, u64), Failed> {
    let pid = process.pid.to_string();
    let rows = finished.stderr.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row.len() == 4 && row[0] == pid).ok_or("the process has no row")?;
    Ok((row[1].to_owned(), row[2].parse()?))
}

/// With a line for each fault, the lines are the faults and the PIDs in them the processes. What
/// has ended is named as it was, what lives as it is.
pub fn exact() -> Result<(), Failed> {
    let tracer = Tracer::start(&["--log_step", "1", "--buffer-size", "64M"])?;
    let ended = faulted(generate(60_000, 2)?)?;
    let mut held = Held::generate(50_000)?;
    let living = held.faulted()?;
    settle(|| match keys_of_map(tracer.pid(), "faults") {
        Ok(keys) if keys.contains(&u64::from(ended.pid)) => Err("the counter of the process is still there".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    })?;
    let finished = tracer.stop(libc::SIGINT)?;
    held.end()?;

    let lines = finished.stdout.lines().skip(1);
    let pids: BTreeSet<_> = lines.clone().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let (faults, processes) = headline(&finished)?;
    if (faults, processes) != (lines.count() as u64, pids.len() as u64) {
        let lines = finished.stdout.lines().count() - 1;
        return Err(format!("{faults} faults of {processes} processes, {lines} lines of {}", pids.len()).into());
    }
    for process in [ended, living] {
        let (name, faults) = row(&finished, process)?;
        let counted = finished.counts_of(process.pid).len() as u64;
        // The last faults of one that ended come after what it said itself.
        if name != "page_fault_gen" || faults != counted || faults < process.faults {
            return Err(format!("{process:?} is shown as {name} with {faults} faults, {counted} lines").into());
        }
    }
    Ok(())
}

/// `-q` leaves it out.
pub fn quiet() -> Result<(), Failed> {
    let output = crate::tracer::pfscript().args(["-q", "--duration", "100ms"]).output()?;
    if output.status.success() && output.stderr.is_empty() {
        return Ok(());
    }
    Err(format!("it said: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// The processes of a command are named, though all of them have just ended.
pub fn of_command() -> Result<(), Failed> {
    let command = format!("{} 50000", env!("CARGO_BIN_EXE_page_fault_gen"));
    let output = crate::tracer::pfscript().args(["-o", "/dev/null", "-c", &command]).output()?;
    let process = crate::tracer::parse_faulted(&String::from_utf8(output.stdout)?)?;
    let stderr = String::from_utf8(output.stderr)?;
    let finished = Finished { code: output.status.code(), stdout: String::new(), stderr, took: Duration::ZERO };
    let rows = finished.stderr.lines().filter(|line| line.contains("page_fault_gen")).count();
    match row(&finished, process)? {
        (name, faults) if name == "page_fault_gen" && faults >= process.faults && rows == 2 => Ok(()),
        _ => Err(format!("{process:?} is not shown as it was:\n{}", finished.stderr).into()),
    }
}
