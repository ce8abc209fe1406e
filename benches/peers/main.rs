//! pfscript beside its peers, as root: `cargo bench --bench peers [-- PART...]`.
//!
//! Every figure is taken of every tool in turn, round after round, so that what else the machine
//! does meets all of them; the table shows medians, half of the middle half's width, and ratios.
//! Prints Markdown; all samples go as JSON to `target/tmp/peers.json`, a plot of the ratios to
//! `target/tmp/peers.svg`. A tool that is not installed is named as absent. With PARTs only these
//! are measured: start size code program traced reader scripts scaling.

mod compile;
mod measure;
mod peer;
mod plot;
mod report;
mod running;
mod scaling;

use std::error::Error;
use std::fs;
use std::path::Path;

use aya::sys::{Stats, enable_stats};

use crate::measure::{Load, Sample};
use crate::peer::{Job, Peer};
use crate::report::Figure;

const QUICK_ROUNDS: usize = 9;
const SLOW_ROUNDS: usize = 3;
const COMPILATIONS: usize = 101;

/// What people ask every day, in the words that pfscript and bpftrace share.
const EVERYDAY: [(&str, &str); 3] = [
    ("hist of an argument", "tracepoint:exceptions:page_fault_user { @ = hist(args->address); }"),
    ("count by comm", "software:page-faults:1 { @[comm] = count(); }"),
    ("printf of every fault", "software:page-faults:1 { printf(\"%d %s\\n\", pid, comm); }"),
];

/// A part of the benchmark: its name, and what it measures.
type Part = (&'static str, fn(&Bench) -> Result<Vec<Figure>, Box<dyn Error>>);

const PARTS: [Part; 8] = [
    ("start", start),
    ("size", size),
    ("code", code),
    ("program", program),
    ("traced", traced),
    ("reader", reader),
    ("scripts", scripts),
    ("scaling", scaling),
];

/// The tools, and where files may be put.
struct Bench<'a> {
    peers: Vec<Peer>,
    scratch: &'a Path,
}

fn main() -> Result<(), Box<dyn Error>> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (peers, absent) = peer::all(scratch);
    let bench = Bench { peers, scratch };
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut figures = Vec::new();
    for (_, measure) in PARTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| part == name)) {
        figures.extend(measure(&bench)?);
    }
    let tools = bench.peers.iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>();
    println!("{}", report::markdown(&tools, &figures));
    absent.iter().for_each(|why| println!("absent: {why}"));
    let file = scratch.join("peers.json");
    fs::write(&file, serde_json::to_string_pretty(&report::json(&tools, &absent, &figures))?)?;
    println!("all samples: {}", file.display());
    let picture = scratch.join("peers.svg");
    plot::ratios(&picture, &tools, &figures)?;
    println!("the ratios drawn: {}", picture.display());
    Ok(())
}

fn start(bench: &Bench) -> Result<Vec<Figure>, Box<dyn Error>> {
    Ok(vec![
        bench.figure("exec to tracing, ms", QUICK_ROUNDS, measure::start)?,
        bench.figure("SIGINT to exit, ms", QUICK_ROUNDS, measure::exit)?,
        bench.figure("peak memory, MB", SLOW_ROUNDS, measure::memory)?,
    ])
}

fn size(bench: &Bench) -> Result<Vec<Figure>, Box<dyn Error>> {
    Ok(vec![
        bench.figure("own files, MB", 1, measure::size)?,
        bench.figure("with all libraries but libc, MB", 1, measure::size_with_libraries)?,
    ])
}

fn code(bench: &Bench) -> Result<Vec<Figure>, Box<dyn Error>> {
    let job = Job::PageFaults(50);
    Ok(vec![
        bench.figure("instructions of the probe, as compiled", 1, compile::instructions)?,
        bench.figure("instructions of the probe, as run", 1, |peer| measure::instructions(peer, &job))?,
        bench.only_first("compilation of pagefault.pf, ms", compile::times(COMPILATIONS)?),
    ])
}

fn program(bench: &Bench) -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut figures = Vec::new();
    for (step, threads) in [(50, 1), (50, 2), (1000, 1), (1, 1)] {
        let name = format!("program's ns per fault, step {step}, {}", plural(threads, "thread"));
        figures.push(bench.program_times(&name, &Job::PageFaults(step), Load::of_threads(threads))?);
    }
    Ok(figures)
}

fn traced(bench: &Bench) -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut figures = Vec::new();
    for (step, threads) in [(50, 1), (50, 2), (1, 1), (1, 2)] {
        let name = format!("traced program, times untraced, step {step}, {}", plural(threads, "thread"));
        figures.push(bench.traced_faults(&name, &Job::PageFaults(step), Load::of_threads(threads))?);
    }
    Ok(figures)
}

fn reader(bench: &Bench) -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut figures = Vec::new();
    for (faults, threads) in [(100_000, 1), (1_000_000, 2)] {
        let load = Load { faults, threads };
        let [mut times, mut unprinted] = [(); 2].map(|()| vec![Vec::new(); bench.peers.len()]);
        for _ in 0..SLOW_ROUNDS {
            for (place, peer) in bench.peers.iter().enumerate() {
                let reading = measure::reading(peer, load, bench.scratch)?;
                times[place].extend(reading.map(|reading| reading.cpu_time));
                unprinted[place].extend(reading.map(|reading| reading.unprinted));
            }
        }
        let work = format!("{faults} events by {}", plural(threads, "thread"));
        figures.push(Figure { name: format!("reader's ns of CPU per event printed, {work}"), samples: times });
        figures.push(Figure { name: format!("not printed, of a hundred, {work}"), samples: unprinted });
    }
    Ok(figures)
}

fn scripts(bench: &Bench) -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut figures = Vec::new();
    for (name, text) in EVERYDAY {
        let job = Job::Script(text.into());
        figures.push(bench.program_times(&format!("{name}: program's ns per event"), &job, Load::USUAL)?);
        figures.push(bench.traced_faults(&format!("{name}: traced program, times untraced"), &job, Load::USUAL)?);
    }
    Ok(figures)
}

fn scaling(bench: &Bench) -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut figures = Vec::new();
    let pfscript = &bench.peers[0];
    let stats = enable_stats(Stats::RunTime)?;
    for keys in [10, 1_000, 10_000, 100_000] {
        let name = format!("program's ns per fault, {keys} processes counted");
        figures.push(bench.only_first(&name, samples(|| scaling::of_keys(pfscript, keys))?));
    }
    for probes in [1, 10, 100] {
        let name = format!("program's ns per fault, {}", plural(probes, "probe"));
        figures.push(bench.only_first(&name, samples(|| scaling::of_probes(pfscript, probes as usize - 1))?));
    }
    for fields in [1, 4, 16] {
        let name = format!("program's ns per fault, {} emitted", plural(fields, "field"));
        figures.push(bench.only_first(&name, samples(|| scaling::of_fields(pfscript, fields as usize))?));
    }
    drop(stats);
    for probes in [1, 10, 100] {
        let name = format!("exec to tracing, ms, {}", plural(probes, "probe"));
        figures.push(bench.only_first(&name, samples(|| scaling::start_of_probes(pfscript, probes as usize - 1))?));
    }
    Ok(figures)
}

fn samples(sample: impl Fn() -> Sample) -> Result<Vec<f64>, Box<dyn Error>> {
    let taken = (0..SLOW_ROUNDS).map(|_| sample()).collect::<Result<Vec<_>, _>>()?;
    Ok(taken.into_iter().flatten().collect())
}

fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

impl Bench<'_> {
    /// Takes `rounds` samples of every tool, in turn.
    fn figure(&self, name: &str, rounds: usize, sample: impl Fn(&Peer) -> Sample) -> Result<Figure, Box<dyn Error>> {
        eprintln!("{name}: {}", plural(rounds as u64, "round"));
        let mut samples = vec![Vec::new(); self.peers.len()];
        for _ in 0..rounds {
            for (peer, samples) in self.peers.iter().zip(&mut samples) {
                let taken = sample(peer).map_err(|error| format!("{name}: {}: {error}", peer.name))?;
                samples.extend(taken);
            }
        }
        Ok(Figure { name: name.to_owned(), samples })
    }

    /// A figure that only pfscript has.
    fn only_first(&self, name: &str, samples: Vec<f64>) -> Figure {
        eprintln!("{name}");
        let mut all = vec![Vec::new(); self.peers.len()];
        if let Some(first) = all.first_mut() {
            *first = samples;
        }
        Figure { name: name.to_owned(), samples: all }
    }

    /// Net of what the kernel's statistics show, in the same round, for a program that does nothing.
    fn program_times(&self, name: &str, job: &Job, load: Load) -> Result<Figure, Box<dyn Error>> {
        let _stats = enable_stats(Stats::RunTime)?;
        let empty = (0..SLOW_ROUNDS).map(|_| measure::empty_program_time(load)).collect::<Result<Vec<_>, _>>()?;
        let empty = report::median(&empty).ok_or("no rounds")?;
        let name = format!("{name}, net of {empty:.0} for an empty one");
        self.figure(&name, SLOW_ROUNDS, |peer| Ok(measure::program_time(peer, job, load)?.map(|time| time - empty)))
    }

    /// How many times slower the traced program gets; each sample against one untraced just before it.
    fn traced_faults(&self, name: &str, job: &Job, load: Load) -> Result<Figure, Box<dyn Error>> {
        self.figure(name, SLOW_ROUNDS, |peer| {
            let untraced = load.run()?;
            Ok(measure::traced_fault(peer, job, load)?.map(|traced| traced / untraced))
        })
    }
}
