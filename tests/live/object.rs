//! `--emit-obj`: what it writes is an object for every loader, and counts as pfscript itself does.

use std::fs;
use std::path::PathBuf;

use aya::maps::{HashMap, MapData};
use aya::programs::perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent};
use aya::programs::{PerfEvent, Program};
use aya::util::online_cpus;
use aya::{Ebpf, EbpfLoader};
use libtest_mimic::Failed;

use crate::rig::run;
use crate::tracer::{faulted, generate, pfscript};

/// pagefault.pf with the alternative that every kernel has, so that its count can be read back.
fn emit(name: &str) -> Result<PathBuf, Failed> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (script, object) = (folder.join(format!("{name}.pf")), folder.join(format!("{name}.o")));
    let whole = include_str!("../../scripts/pagefault.pf");
    fs::write(&script, whole.replace("kprobe:handle_mm_fault or fentry:handle_mm_fault or ", ""))?;
    let output = pfscript().arg("--emit-obj").arg(&object).arg(&script).output()?;
    fs::remove_file(&script)?;
    if !output.status.success() {
        return Err(format!("--emit-obj: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(object)
}

/// bpftool (libbpf) loads all of it. The pins are in a bpffs that goes with its namespace.
pub fn loads_with_bpftool() -> Result<(), Failed> {
    let object = emit("bpftool")?;
    let commands = "mount -t bpf none /mnt && bpftool prog loadall \"$0\" /mnt/pfscript && ls /mnt/pfscript | wc -l";
    let pinned = run("unshare", &["-m", "sh", "-c", commands, &object.to_string_lossy()]);
    fs::remove_file(&object)?;
    match pinned?.trim().parse::<u32>()? {
        // The software event, the tracepoint that frees, and END.
        number if number >= 2 => Ok(()),
        number => Err(format!("bpftool loaded {number} programs").into()),
    }
}

/// aya's own loader loads it, and its count of a process is getrusage's. The program that frees
/// counters is left unattached, so that the count can be read when the process is gone.
pub fn counts_with_aya() -> Result<(), Failed> {
    let object = emit("aya")?;
    let loaded = EbpfLoader::new().load_file(&object);
    fs::remove_file(&object)?;
    let mut loaded = loaded?;
    attach_counter(&mut loaded)?;
    let process = faulted(generate(20_000, 4)?)?;
    let counted = count_of(&loaded, process.pid)?;
    if counted == process.faults {
        return Ok(());
    }
    Err(format!("it counted {counted}, getrusage {}", process.faults).into())
}

fn attach_counter(loaded: &mut Ebpf) -> Result<(), Failed> {
    let mut programs = loaded.programs_mut().map(|(_, program)| program);
    let program = programs.find_map(|program| match program {
        Program::PerfEvent(program) => Some(program),
        _ => None,
    });
    let program: &mut PerfEvent = program.ok_or("the object has no program for a perf event")?;
    program.load()?;
    for cpu in online_cpus().map_err(|(what, error)| format!("{what}: {error}"))? {
        let event = PerfEventConfig::Software(SoftwareEvent::PageFaults);
        program.attach(event, PerfEventScope::AllProcessesOneCpu { cpu }, SamplePolicy::Period(1), false)?;
    }
    Ok(())
}

fn count_of(loaded: &Ebpf, pid: u32) -> Result<u64, Failed> {
    let faults = loaded.maps().find(|(name, _)| name.contains("faults")).ok_or("the object has no map of counts")?.1;
    if let Ok(map) = HashMap::<&MapData, u64, u64>::try_from(faults) {
        return Ok(map.get(&u64::from(pid), 0)?);
    }
    Ok(HashMap::<&MapData, u32, u64>::try_from(faults)?.get(&pid, 0)?)
}
