//! A long run compressed: every fault an event, constant memory, no drift.

use std::io::{BufRead, BufReader};
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use crate::tracer::{Tracer, faulted, generate_own, own_name};

/// What memory may grow by from the first half of the run to its end: the short form's first half
/// has not seen every buffer full.
const GROWTH: u64 = 8 << 20;

/// What has been seen of a run.
#[derive(Default)]
struct Seen {
    /// Events of each process, and its last count.
    processes: Vec<(u32, u64, u64)>,
    /// How many were emitted, by the script's own count.
    emitted: u64,
}

/// `PFSCRIPT_SOAK_FAULTS` events (300 000 in the short form), checked as they come: each count above
/// the one before, none missing that was not reported lost, and the last one what getrusage says.
pub fn soak() -> Result<(), Failed> {
    let faults: u64 = std::env::var("PFSCRIPT_SOAK_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(300_000);
    let (reader, pipe) = std::io::pipe()?;
    let script = format!(
        "software:page-faults:1 /comm == \"{}\"/ {{ @all++; @n[pid]++; emit(pid, n = @n[pid]); }} END {{ clear(@n); }}",
        own_name()
    );
    let tracer = Tracer::start_into(&["-e", &script], pipe.into())?;
    let reading = thread::spawn(move || follow(BufReader::with_capacity(1 << 16, reader)));
    let mut processes = Vec::new();
    let (early, first) = highest_memory(&tracer, faults / 2)?;
    let (late, second) = highest_memory(&tracer, faults - faults / 2)?;
    processes.extend([first, second]);
    let finished = tracer.stop(libc::SIGINT)?;
    let seen = reading.join().map_err(|_| "the reader panicked")??;
    let told = |line: &str| line.split(" events lost").next()?.split_whitespace().last()?.parse().ok();
    let lost: u64 = finished.stderr.lines().filter(|line| line.contains(" events lost")).find_map(told).unwrap_or(0);
    let printed: u64 = seen.processes.iter().map(|(_, events, _)| events).sum();
    println!(
        "soak: {} emitted, {printed} printed, {lost} lost, memory {} kB, then {} kB",
        seen.emitted,
        early >> 10,
        late >> 10
    );
    if printed + lost != seen.emitted {
        return Err(format!("{printed} printed and {lost} lost of {}", seen.emitted).into());
    }
    for process in processes {
        let last = seen.processes.iter().find(|(pid, ..)| *pid == process.pid).map_or(0, |(.., last)| *last);
        if last > process.faults || (lost == 0 && last != process.faults) {
            return Err(format!("counted up to {last}, {} faults", process.faults).into());
        }
    }
    if late > early + GROWTH { Err(format!("memory grew from {early} to {late}").into()) } else { Ok(()) }
}

/// Lets the generator make `faults`; what the tracer's memory was at most meanwhile.
fn highest_memory(tracer: &Tracer, faults: u64) -> Result<(u64, crate::tracer::Faulted), Failed> {
    let mut generator = generate_own(faults, 2)?;
    let mut highest = 0;
    while generator.try_wait()?.is_none() {
        highest = highest.max(tracer.memory()?);
        thread::sleep(Duration::from_millis(20));
    }
    Ok((highest, faulted(generator)?))
}

/// Reads all that is printed.
fn follow(reader: impl BufRead) -> Result<Seen, String> {
    let mut seen = Seen::default();
    for line in reader.lines().map_while(Result::ok) {
        if let Some(emitted) = line.strip_prefix("@all: ") {
            seen.emitted = emitted.parse().map_err(|_| format!("not a number: {emitted}"))?;
        }
        let mut words = line.split_whitespace();
        let numbers =
            (words.next().and_then(|word| word.parse().ok()), words.next().and_then(|word| word.parse().ok()));
        let (Some(pid), Some(count)) = numbers else { continue };
        match seen.processes.iter_mut().find(|(known, ..)| *known == pid) {
            None => seen.processes.push((pid, 1, count)),
            Some((_, _, last)) if count <= *last => return Err(format!("process {pid}: {count} after {last}")),
            Some((_, events, last)) => (*events, *last) = (*events + 1, count),
        }
    }
    Ok(seen)
}
