//! How pfscript's own figures grow with the work: live processes, probes of a script, fields of an event.

use std::error::Error;
use std::fmt::Write;
use std::fs;

use aya::maps::{HashMap, Map, MapData};

use crate::measure::{self, Load, Sample};
use crate::peer::{Job, Peer};
use crate::running::Running;

/// Numbers of processes that no process has.
const NOBODY: u32 = 1 << 24;

/// Categories of tracepoints that are silent while page faults are made in memory.
const SILENT: [&str; 10] = ["ext4", "jbd2", "xfs", "nfs", "tcp", "sock", "skb", "net", "block", "writeback"];

/// Nanoseconds of a run of the counting program while its map has `keys` elements beside those of live processes.
pub fn of_keys(peer: &Peer, keys: u32) -> Sample {
    let job = Job::Script("let @faults = hash(131072); software:page-faults:1 { @faults[pid]++; }".into());
    let Some(running) = Running::start(peer, &job)? else { return Ok(None) };
    fill(&running, keys)?;
    let time = measure::time_per_run(&running, Load::USUAL)?;
    running.stop()?;
    Ok(Some(time))
}

fn fill(running: &Running, keys: u32) -> Result<(), Box<dyn Error>> {
    for id in running.maps()? {
        let map = MapData::from_id(id)?;
        if map.info()?.name_as_str() != Some("m_faults") && map.info()?.name_as_str() != Some("faults") {
            continue;
        }
        let mut map: HashMap<_, u32, u64> = Map::HashMap(map).try_into()?;
        return Ok((0..keys).try_for_each(|key| map.insert(NOBODY + key, 1, 0))?);
    }
    Err("it holds no map of that name".into())
}

/// A script with so many silent probes beside the one that counts.
fn with_probes(probes: usize) -> Result<Job, Box<dyn Error>> {
    let listed = fs::read_to_string("/sys/kernel/tracing/available_events")?;
    let is_silent = |line: &&str| line.split_once(':').is_some_and(|(category, _)| SILENT.contains(&category));
    let silent: Vec<_> =
        listed.lines().filter(is_silent).take(probes).map(|line| format!("tracepoint:{line}")).collect();
    if silent.len() < probes {
        return Err(format!("this kernel has only {} silent tracepoints", silent.len()).into());
    }
    let others = if silent.is_empty() { String::new() } else { format!("{} {{ @others++; }}", silent.join(", ")) };
    Ok(Job::Script(format!("software:page-faults:1 {{ @faults[pid]++; }} {others}")))
}

/// Nanoseconds of a run of the counting program in a script with so many other probes.
pub fn of_probes(peer: &Peer, probes: usize) -> Sample {
    measure::program_time(peer, &with_probes(probes)?, Load::USUAL)
}

/// Milliseconds from exec until such a script traces.
pub fn start_of_probes(peer: &Peer, probes: usize) -> Sample {
    let Some(running) = Running::start(peer, &with_probes(probes)?)? else { return Ok(None) };
    let took = running.start.map(|took| took.as_secs_f64() * 1e3);
    running.stop()?;
    Ok(took)
}

/// Nanoseconds of a run that emits so many fields.
pub fn of_fields(peer: &Peer, fields: usize) -> Sample {
    let mut script = String::from("software:page-faults:1 { @faults[pid]++; emit(pid");
    for field in 1..fields {
        write!(script, ", f{field} = @faults[pid] + {field}")?;
    }
    measure::program_time(peer, &Job::Script(script + "); }"), Load::USUAL)
}
