//! The tools that are compared, and what each is asked to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The environment variable that names another bpftrace, such as `fetch_bpftrace` gets.
const OTHER_BPFTRACE: &str = "PFSCRIPT_BENCH_BPFTRACE";

/// What a tool is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Count the page faults of every process, report multiples of the step.
    PageFaults(u64),
    /// Run a script in the language that pfscript and bpftrace share.
    Script(String),
}

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

/// Its command line for a job.
type CommandFor = Box<dyn Fn(&Job) -> Option<Command>>;

/// A tool.
pub struct Peer {
    /// Its name in the tables.
    pub name: String,
    /// How it shows that it traces.
    pub ready: Ready,
    /// Whether it hooks a program of its own into page faults.
    pub has_program: bool,
    /// Whether it prints what it reports.
    pub prints: bool,
    /// The files of its own that must be there for it to run.
    pub files: Vec<PathBuf>,
    /// Where its libraries are, if they are not the machine's.
    pub libraries: Option<PathBuf>,
    command: CommandFor,
}

impl Peer {
    /// Its command line for a job, with no standard input; none where it cannot do it.
    pub fn command(&self, job: &Job) -> Option<Command> {
        let mut command = (self.command)(job)?;
        command.stdin(Stdio::null());
        Some(command)
    }
}

/// The tools that this machine has, pfscript first; and those that it does not, each with the reason.
pub fn all(scratch: &Path) -> (Vec<Peer>, Vec<String>) {
    let (mut peers, mut absent) = (vec![pfscript()], Vec::new());
    let c = |quiet| c_reference(scratch, quiet);
    for found in [c(false), c(true), bpftrace(), other_bpftrace(), perf_stat(), perf_record()] {
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
    let command = move |job: &Job| {
        let mut command = Command::new(&run);
        command.arg("-v");
        match job {
            Job::PageFaults(step) => command.arg("--log_step").arg(step.to_string()),
            Job::Script(text) => command.args(["-e", text]),
        };
        Some(command)
    };
    Peer {
        name: "pfscript".into(),
        ready: Ready::Attached,
        has_program: true,
        prints: true,
        files: vec![binary],
        libraries: None,
        command: Box::new(command),
    }
}

/// clang and libbpf build it here, so that it is as new as they are.
fn c_reference(scratch: &Path, quiet: bool) -> Result<Peer, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/peers");
    let (object, binary) = (scratch.join("pagefault.bpf.o"), scratch.join("pagefault"));
    let name = if quiet { "C, nobody woken" } else { "C + libbpf" };
    let mut clang = Command::new("clang");
    clang.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-c"]).arg(source.join("pagefault.bpf.c"));
    // Debian keeps <asm/types.h> in the folder of the architecture, where clang looks for C only.
    clang.args(["-idirafter", "/usr/include/x86_64-linux-gnu", "-o"]).arg(&object);
    succeed(name, clang)?;
    let mut cc = Command::new("cc");
    cc.arg("-O2").arg(source.join("pagefault.c")).arg("-o").arg(&binary).arg("-lbpf");
    succeed(name, cc)?;
    let files = vec![binary.clone(), object.clone()];
    let command = move |job: &Job| {
        let &Job::PageFaults(step) = job else { return None };
        let mut command = Command::new(&binary);
        command.arg(&object).arg(step.to_string()).args(quiet.then_some("quiet"));
        Some(command)
    };
    Ok(Peer {
        name: name.into(),
        ready: Ready::Attached,
        has_program: true,
        prints: !quiet,
        files,
        libraries: None,
        command: Box::new(command),
    })
}

fn bpftrace() -> Result<Peer, String> {
    let file = installed("bpftrace")?;
    let program = file.clone();
    bpftrace_at(program, vec![file], None)
}

fn other_bpftrace() -> Result<Peer, String> {
    let program = std::env::var_os(OTHER_BPFTRACE).ok_or(format!("another bpftrace: {OTHER_BPFTRACE} is not set"))?;
    let program = PathBuf::from(program);
    let root = program.with_file_name("root");
    bpftrace_at(program, vec![root.join("usr/bin/bpftrace")], Some(root.join("usr/lib")))
}

fn bpftrace_at(program: PathBuf, files: Vec<PathBuf>, libraries: Option<PathBuf>) -> Result<Peer, String> {
    let version = Command::new(&program).arg("--version").output().map_err(|error| format!("bpftrace: {error}"))?;
    let name = String::from_utf8_lossy(&version.stdout).trim().replace(" v", " ");
    let command = move |job: &Job| {
        let script = match job {
            Job::PageFaults(step) => format!(
                "software:page-faults:1 {{ @faults[pid]++; if (@faults[pid] % {step} == 0) {{ time(\"%H:%M:%S \"); \
                 printf(\"%-7d %-16s %d\\n\", pid, comm, @faults[pid]); }} }} END {{ clear(@faults); }}"
            ),
            Job::Script(text) => text.clone(),
        };
        let mut command = Command::new(&program);
        command.args(["-q", "-B", "line", "-e", &script]);
        Some(command)
    };
    let ready = Ready::FirstRow;
    Ok(Peer { name, ready, has_program: true, prints: true, files, libraries, command: Box::new(command) })
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

fn perf(name: &str, arguments: fn(&mut Command) -> &mut Command) -> Result<Peer, String> {
    let file = installed("perf")?;
    let command = move |job: &Job| {
        let mut command = Command::new("perf");
        arguments(&mut command);
        matches!(job, Job::PageFaults(_)).then_some(command)
    };
    Ok(Peer {
        name: name.into(),
        ready: Ready::Later,
        has_program: false,
        prints: false,
        files: vec![file],
        libraries: None,
        command: Box::new(command),
    })
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
