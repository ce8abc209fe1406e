//! A long run compressed: every fault an event, constant memory, no drift.

use std::io::{BufRead, BufReader};
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use crate::tracer::{Tracer, faulted, generate};

/// What memory may grow by from the first part of the run to its end.
const GROWTH: u64 = 2 << 20;

/// `PFSCRIPT_SOAK_FAULTS` events (300 000 in the short form), checked as they come; the last count
/// is what getrusage says, or else what is missing was reported lost.
pub fn soak() -> Result<(), Failed> {
    let faults: u64 = std::env::var("PFSCRIPT_SOAK_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(300_000);
    let (reader, pipe) = std::io::pipe()?;
    let script = "software:page-faults:1 /comm == \"page_fault_gen\"/ { @emitted[pid]++; \
                  emit(pid, count = @emitted[pid]); } END { clear(@emitted); }";
    let tracer = Tracer::start_into(&["--buffer-size", "4M", "-e", script], pipe.into())?;
    let reading = thread::spawn(move || follow(BufReader::with_capacity(1 << 16, reader)));
    // Memory has its working size after the first part.
    let first = faulted(generate(faults / 10, 2)?)?;
    let early = tracer.memory()?;
    let generator = generate(faults - faults / 10, 2)?;
    let mut highest = 0;
    let generator = thread::spawn(move || faulted(generator));
    while !generator.is_finished() {
        highest = highest.max(tracer.memory()?);
        thread::sleep(Duration::from_millis(50));
    }
    let second = generator.join().map_err(|_| "the generator could not be waited for")??;
    let finished = tracer.stop(libc::SIGINT)?;
    let seen = reading.join().map_err(|_| "the reader panicked")??;
    let lost = finished.stderr.lines().any(|line| line.contains("events lost"));
    let of = |pid: u32| seen.iter().find(|(seen, ..)| *seen == pid).copied();
    for process in [first, second] {
        let Some((_, events, last)) = of(process.pid) else { return Err("a process was not seen".into()) };
        if !lost && (events, last) != (process.faults, process.faults) {
            return Err(format!("{events} events up to {last} of {} faults", process.faults).into());
        }
    }
    let emitted = first.faults + second.faults;
    let printed: u64 = seen.iter().map(|(_, events, _)| events).sum();
    println!("soak: {emitted} faults, {printed} events, memory {} kB early, {} kB at most", early >> 10, highest >> 10);
    println!("{}", finished.stderr.lines().filter(|line| line.contains("lost")).collect::<Vec<_>>().join("\n"));
    if highest > early + GROWTH { Err(format!("memory grew from {early} to {highest}").into()) } else { Ok(()) }
}

/// Of each process the number of events and the last count; each count is above the one before.
fn follow(reader: impl BufRead) -> Result<Vec<(u32, u64, u64)>, String> {
    let mut seen: Vec<(u32, u64, u64)> = Vec::new();
    for line in reader.lines().map_while(Result::ok) {
        let mut words = line.split_whitespace();
        let numbers =
            (words.next().and_then(|word| word.parse().ok()), words.next().and_then(|word| word.parse().ok()));
        let (Some(pid), Some(count)) = numbers else { continue };
        match seen.iter_mut().find(|(known, ..)| *known == pid) {
            None => seen.push((pid, 1, count)),
            Some((_, _, last)) if count <= *last => return Err(format!("process {pid}: {count} after {last}")),
            Some((_, events, last)) => (*events, *last) = (*events + 1, count),
        }
    }
    Ok(seen)
}
