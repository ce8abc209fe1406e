//! pfscript beside its peers, as root: `cargo bench --bench peers`.
//!
//! Every figure is taken of every tool in turn, round after round, so that what else the machine
//! does meets all of them; the table shows medians. Prints Markdown; all samples go as JSON to
//! `target/tmp/peers.json`. A tool that is not installed is named as absent.

mod compile;
mod measure;
mod peer;
mod report;
mod running;

use std::error::Error;
use std::fs;
use std::path::Path;

use aya::sys::{Stats, enable_stats};

use crate::measure::Sample;
use crate::peer::Peer;
use crate::report::Figure;

const QUICK_ROUNDS: usize = 15;
const SLOW_ROUNDS: usize = 5;
const COMPILATIONS: usize = 101;

fn main() -> Result<(), Box<dyn Error>> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (peers, absent) = peer::all(scratch);
    let figures = [
        figure("exec to tracing, ms", &peers, QUICK_ROUNDS, measure::start)?,
        figure("peak memory, MB", &peers, SLOW_ROUNDS, measure::memory)?,
        figure("own files, MB", &peers, 1, measure::size)?,
        figure("instructions of the probe, as compiled", &peers, 1, compile::instructions)?,
        figure("instructions of the probe, as run", &peers, 1, measure::instructions)?,
        only_first("compilation of pagefault.pf, ms", &peers, compile::times(COMPILATIONS)?),
        program_times(&peers)?,
        traced_faults(&peers, 50)?,
        traced_faults(&peers, 1)?,
    ];
    let tools = peers.iter().map(|peer| peer.name).collect::<Vec<_>>();
    println!("{}", report::markdown(&tools, &figures));
    absent.iter().for_each(|why| println!("absent: {why}"));
    let file = scratch.join("peers.json");
    fs::write(&file, serde_json::to_string_pretty(&report::json(&tools, &absent, &figures))?)?;
    println!("all samples: {}", file.display());
    Ok(())
}

/// Takes `rounds` samples of every tool, in turn.
fn figure(
    name: &str,
    peers: &[Peer],
    rounds: usize,
    sample: impl Fn(&Peer) -> Sample,
) -> Result<Figure, Box<dyn Error>> {
    eprintln!("{name}: {rounds} rounds");
    let mut samples = vec![Vec::new(); peers.len()];
    for _ in 0..rounds {
        for (peer, samples) in peers.iter().zip(&mut samples) {
            let taken = sample(peer).map_err(|error| format!("{name}: {}: {error}", peer.name))?;
            samples.extend(taken);
        }
    }
    Ok(Figure { name: name.to_owned(), samples })
}

/// A figure that only pfscript has.
fn only_first(name: &str, peers: &[Peer], samples: Vec<f64>) -> Figure {
    let mut all = vec![Vec::new(); peers.len()];
    if let Some(first) = all.first_mut() {
        *first = samples;
    }
    Figure { name: name.to_owned(), samples: all }
}

/// Net of what the kernel's statistics show for a program that does nothing.
fn program_times(peers: &[Peer]) -> Result<Figure, Box<dyn Error>> {
    let _stats = enable_stats(Stats::RunTime)?;
    let empty = (0..SLOW_ROUNDS).map(|_| measure::empty_program_time()).collect::<Result<Vec<_>, _>>()?;
    let empty = report::median(&empty).ok_or("no rounds")?;
    let name = format!("program's ns per fault at step 50, net of {empty:.0} for an empty one");
    figure(&name, peers, SLOW_ROUNDS, |peer| Ok(measure::program_time(peer)?.map(|time| time - empty)))
}

/// How many times slower the traced program gets; each sample against one untraced just before it.
fn traced_faults(peers: &[Peer], step: u64) -> Result<Figure, Box<dyn Error>> {
    figure(&format!("traced program at step {step}, times untraced"), peers, SLOW_ROUNDS, |peer| {
        let untraced = measure::generate()?;
        Ok(measure::traced_fault(peer, step)?.map(|traced| traced / untraced))
    })
}
