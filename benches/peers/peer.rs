//! The tools that are compared, each doing the same job: count every process's page faults, report
//! multiples of a step.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How one sees from outside that a tool traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A line on standard error says that everything is attached.
    Attached,
    /// The first row of data is printed; at step 1 there is always one.
    FirstRow,
    /// Nothing tells: after a while.
    Later,
}

/// A tool.
pub struct Peer {
    /// Its name in the tables.
    pub name: &'static str,
    /// How it shows that it traces.
    pub ready: Ready,
    /// Whether it hooks a program of its own into page faults.
    pub has_program: bool,
    /// The files that must be there for it to run.
    pub files: Vec<PathBuf>,
    command: Box<dyn Fn(u64) -> Command>,
}

impl Peer {
    /// Its command line for the job at a step, with no standard input.
    pub fn command(&self, step: u64) -> Command {
        let mut command = (self.command)(step);
        command.stdin(Stdio::null());
        command
    }
}

/// The tools that this machine has, pfscript first; and those that it does not, each with the reason.
pub fn all(scratch: &Path) -> (Vec<Peer>, Vec<String>) {
    let (mut peers, mut absent) = (vec![pfscript()], Vec::new());
    for found in [c_reference(scratch), bpftrace(), perf_stat(), perf_record()] {
        match found {
            Ok(peer) => peers.push(peer),
            Err(why) => absent.push(why),
        }
    }
    (peers, absent)
}

fn pfscript() -> Peer {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_pfscript"));
    let run = binary.clone();
    Peer {
        name: "pfscript",
        ready: Ready::Attached,
        has_program: true,
        files: vec![binary],
        command: Box::new(move |step| {
            let mut command = Command::new(&run);
            command.args(["-v", "--log_step"]).arg(step.to_string());
            command
        }),
    }
}

/// clang and libbpf build it here, so that it is as new as they are.
fn c_reference(scratch: &Path) -> Result<Peer, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/peers");
    let (object, binary) = (scratch.join("pagefault.bpf.o"), scratch.join("pagefault"));
    let mut clang = Command::new("clang");
    clang.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-c"]).arg(source.join("pagefault.bpf.c"));
    // Debian keeps <asm/types.h> in the folder of the architecture, where clang looks for C only.
    clang.args(["-idirafter", "/usr/include/x86_64-linux-gnu", "-o"]).arg(&object);
    succeed("C + libbpf", clang)?;
    let mut cc = Command::new("cc");
    cc.arg("-O2").arg(source.join("pagefault.c")).arg("-o").arg(&binary).arg("-lbpf");
    succeed("C + libbpf", cc)?;
    let files = vec![binary.clone(), object.clone()];
    let command = move |step: u64| {
        let mut command = Command::new(&binary);
        command.arg(&object).arg(step.to_string());
        command
    };
    Ok(Peer { name: "C + libbpf", ready: Ready::Attached, has_program: true, files, command: Box::new(command) })
}

fn bpftrace() -> Result<Peer, String> {
    let file = installed("bpftrace")?;
    let command = |step: u64| {
        let script = format!(
            "software:page-faults:1 {{ @faults[pid]++; if (@faults[pid] % {step} == 0) {{ time(\"%H:%M:%S \"); \
             printf(\"%-7d %-16s %d\\n\", pid, comm, @faults[pid]); }} }} END {{ clear(@faults); }}"
        );
        let mut command = Command::new("bpftrace");
        command.args(["-q", "-B", "line", "-e", &script]);
        command
    };
    let files = vec![file];
    Ok(Peer { name: "bpftrace", ready: Ready::FirstRow, has_program: true, files, command: Box::new(command) })
}

/// Counts, reports nothing: a floor for any tool that hooks page faults.
fn perf_stat() -> Result<Peer, String> {
    perf("perf stat", |command| command.args(["stat", "-e", "page-faults", "-a"]))
}

/// Writes raw samples of every fault to a file, formats nothing.
fn perf_record() -> Result<Peer, String> {
    perf("perf record", |command| {
        command.args(["record", "-q", "-e", "page-faults", "-c", "1", "-a", "-o", "/dev/null"])
    })
}

fn perf(name: &'static str, arguments: fn(&mut Command) -> &mut Command) -> Result<Peer, String> {
    let file = installed("perf")?;
    let command = move |_step| {
        let mut command = Command::new("perf");
        arguments(&mut command);
        command
    };
    Ok(Peer { name, ready: Ready::Later, has_program: false, files: vec![file], command: Box::new(command) })
}

fn installed(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let file = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    file.and_then(|file| fs::canonicalize(file).ok()).ok_or(format!("{name}: not installed"))
}

fn succeed(what: &str, mut command: Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).output() {
        Err(error) => Err(format!("{what}: {}: {error}", command.get_program().to_string_lossy())),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim_end())),
    }
}
