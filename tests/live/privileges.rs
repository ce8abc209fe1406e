//! Least privilege: what is enough to trace, and what is left once everything is attached.

use std::fs;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::bad_input::readable_copy;
use crate::counts::check;
use crate::tracer::{Tracer, faulted, generate};

/// The value of a line of /proc/PID/status.
fn status_of(pid: u32, key: &str) -> Result<String, Failed> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    Ok(line.ok_or(format!("no {key} in its status"))?.trim().to_owned())
}

/// The capabilities in each set while it traces, as the kernel shows them.
fn sets_of(pid: u32) -> Result<Vec<u64>, Failed> {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    sets.iter().map(|set| Ok(u64::from_str_radix(&status_of(pid, set)?, 16)?)).collect()
}

/// Nothing is left while pagefault traces; counting, `END` and the maps work without.
pub fn dropped() -> Result<(), Failed> {
    let script = "software:page-faults:1 { @faults[pid]++; emit(time, pid, comm, n = @faults[pid]); } \
                  END { printf(\"end\\n\"); }";
    let tracer = Tracer::start(&["-e", script])?;
    let (sets, no_new) = (sets_of(tracer.pid())?, status_of(tracer.pid(), "NoNewPrivs")?);
    let process = faulted(generate(3_000, 1)?)?;
    let finished = tracer.stop(libc::SIGINT)?;
    if sets != [0; 5] || no_new != "1" {
        return Err(format!("it keeps {sets:x?}, no_new_privs {no_new}").into());
    }
    let rows = finished.stdout.replace("end\n", "");
    if finished.code != Some(0) || rows == finished.stdout || !rows.contains(&format!("@faults[{}]", process.pid)) {
        return Err(format!("it gave {:?} and lacks END or the map", finished.code).into());
    }
    Ok(())
}

/// A script that shows names keeps what naming takes, and nothing else.
pub fn kept_for_names() -> Result<(), Failed> {
    const SYS_PTRACE: u64 = 1 << 19;
    const TRACING: u64 = 1 << 38 | 1 << 39 | 1 << 21;
    let tracer = Tracer::start(&["-e", "software:page-faults:1 { @[ustack] = count(); } END { clear(@); }"])?;
    let sets = sets_of(tracer.pid())?;
    tracer.stop(libc::SIGINT)?;
    let [_, permitted, effective, ..] = sets[..] else { return Err("too few sets".into()) };
    let is_right = permitted == effective && effective & SYS_PTRACE != 0 && effective & TRACING == 0;
    if is_right { Ok(()) } else { Err(format!("it keeps {sets:x?}").into()) }
}

/// Another user with these capabilities alone.
fn with_capabilities(capabilities: &str) -> Result<(Command, std::path::PathBuf), Failed> {
    let copy = readable_copy()?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(format!("--inh-caps=-all,{capabilities}")).arg(format!("--ambient-caps=-all,{capabilities}"));
    command.arg("--").arg(&copy);
    Ok((command, copy))
}

/// CAP_BPF and CAP_PERFMON, and to read what tracefs has of tracepoints CAP_DAC_READ_SEARCH, are enough
/// for the main job; each that is missing is named.
pub fn enough() -> Result<(), Failed> {
    let (mut command, copy) = with_capabilities("+bpf,+perfmon,+dac_read_search")?;
    command.args(["-v", "--log_step", "7"]);
    let traced = Tracer::spawn(command).and_then(|tracer| {
        let process = faulted(generate(5_000, 1)?)?;
        check(&tracer.stop(libc::SIGINT)?, process, 7)
    });
    fs::remove_file(copy)?;
    traced?;
    for (capabilities, missing) in [("+bpf,+dac_read_search", "CAP_PERFMON"), ("+perfmon,+dac_read_search", "CAP_BPF")]
    {
        let (mut command, copy) = with_capabilities(capabilities)?;
        let output = command.arg("--duration").arg("1s").stdin(Stdio::null()).output()?;
        fs::remove_file(copy)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(3) || !said.contains(missing) {
            return Err(format!("without {missing} it gave {:?} and said {said}", output.status).into());
        }
    }
    Ok(())
}
