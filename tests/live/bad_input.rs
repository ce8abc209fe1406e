//! Everything a user can get wrong, and every refusal of the machine: a clear message, the right
//! exit code, nothing started.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use pfscript::cli::script::BUILT_IN;

use crate::rig::toolbox::TOOLBOX;
use crate::tracer::pfscript;

/// One bad command line: its name, arguments, exit code, and what the message must say.
pub struct BadInput(pub &'static str, &'static [&'static str], i32, &'static [&'static str]);

const SCRIPT: i32 = 1;
const COMMAND_LINE: i32 = 2;
const MACHINE: i32 = 3;

/// The bad input that an argument alone is.
pub const BAD_INPUT: &[BadInput] = &[
    BadInput("syntax_error", &["-e", "BEGIN { @a = ; }"], SCRIPT, &["BEGIN { @a = ; }", "^", ":1:"]),
    BadInput("unclosed_block", &["-e", "BEGIN { @a = 1;"], SCRIPT, &["BEGIN { @a = 1;"]),
    BadInput("probe_kind", &["-e", "kprob:schedule { @a = 1; }"], SCRIPT, &["kprob", "kprobe"]),
    BadInput("builtin", &["-e", "BEGIN { @a = pidd; }"], SCRIPT, &["pidd", "`pid`"]),
    BadInput("function", &["-e", "BEGIN { printff(\"x\"); }"], SCRIPT, &["printff", "`printf`"]),
    BadInput(
        "tracepoint",
        &["-e", "tracepoint:sched:sched_process_fre { @a = 1; }"],
        SCRIPT,
        &["sched_process_fre", "sched_process_free"],
    ),
    BadInput("field", &["-e", "tracepoint:sched:sched_process_free { @a = args.pidd; }"], SCRIPT, &["pidd", "`pid`"]),
    BadInput("every_0", &["-e", "BEGIN { @a++; every 0 of @a { exit(0); } }"], SCRIPT, &["every", "1 or more"]),
    BadInput("two_key_shapes", &["-e", "BEGIN { @a[1] = 1; @a[1, 2] = 1; }"], SCRIPT, &["@a", "key"]),
    BadInput("several_errors", &["-e", "BEGIN { @a = pidd; @b = comn; }"], SCRIPT, &["pidd", "comn"]),
    BadInput("empty_program", &["-e", ""], SCRIPT, &["empty"]),
    BadInput("parameter", &["--log_stp", "5"], COMMAND_LINE, &["log_stp", "log_step"]),
    BadInput("step_0", &["--log_step", "0"], COMMAND_LINE, &["log_step", "'0'", "1 or more"]),
    BadInput("step_negative", &["--log_step", "-5"], COMMAND_LINE, &["log_step", "-5", "1 or more"]),
    BadInput("step_no_number", &["--log_step", "abc"], COMMAND_LINE, &["log_step", "abc"]),
    BadInput("step_huge", &["--log_step", "99999999999999999999"], COMMAND_LINE, &["log_step", "99999999999999999999"]),
    BadInput("step_missing", &["--log_step"], COMMAND_LINE, &["log_step", "value"]),
    BadInput("step_twice", &["--log_step", "5", "--log_step", "6"], COMMAND_LINE, &["log_step"]),
    BadInput("option", &["--durration", "1s"], COMMAND_LINE, &["durration", "duration"]),
    BadInput("top_without_terminal", &["--top"], COMMAND_LINE, &["--top needs a terminal"]),
    BadInput("folded_without_stacks", &["-f", "folded"], COMMAND_LINE, &["pagefault", "keyed by stacks"]),
    BadInput("drawn_without_stacks", &["--flamegraph", "/dev/null"], COMMAND_LINE, &["pagefault", "keyed by stacks"]),
    BadInput("no_such_file", &["no/such/script.pf"], COMMAND_LINE, &["no/such/script.pf"]),
    BadInput("folder", &["/proc"], COMMAND_LINE, &["/proc", "directory"]),
    BadInput(
        "no_alternative",
        &["-e", "fentry:pfscript_no_such_function or kprobe:pfscript_no_such_function { @a = 1; }"],
        MACHINE,
        &["fentry:pfscript_no_such_function", "kprobe:pfscript_no_such_function"],
    ),
];

impl BadInput {
    /// Gives it to the tool.
    pub fn check(&self) -> Result<(), Failed> {
        let Self(_, arguments, code, message) = self;
        refused(&bounded(pfscript().args(*arguments))?, *code, message)
    }
}

/// Contents of a file that is no script.
pub fn file(name: &str, contents: &[u8], message: &[&str]) -> Result<(), Failed> {
    let file = scratch(name);
    fs::write(&file, contents)?;
    let output = bounded(pfscript().arg(&file));
    fs::remove_file(&file)?;
    refused(&output?, SCRIPT, message)
}

/// Without privileges: which capability is missing, and what to type.
pub fn without_root() -> Result<(), Failed> {
    let copy = readable_copy()?;
    let mut command = as_nobody();
    let output = bounded(command.arg(&copy));
    fs::remove_file(&copy)?;
    refused(&output?, MACHINE, &["CAP_BPF", "run with sudo"])
}

/// What needs no privileges works without, for every built-in script and for none named, also where
/// there is neither tracefs nor BTF to read; a script that takes types of the kernel then says so.
pub fn unprivileged_work() -> Result<(), Failed> {
    let copy = readable_copy()?;
    let names = BUILT_IN.iter().map(|(name, _)| Some(*name));
    let result = names.chain([None]).try_for_each(|script| without_anything(&copy, script));
    fs::remove_file(&copy)?;
    result
}

fn without_anything(copy: &Path, script: Option<&str>) -> Result<(), Failed> {
    for option in ["--check", "--dump-ast", "--dump-ir", "--dump-bytecode", "--help"] {
        let mut command = on_a_bare_machine(as_nobody());
        let output = bounded(command.arg(copy).args(script).arg(option))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let lacks_types = takes_types(script) && said.contains("/sys/kernel/btf/vmlinux: No such file");
        if !output.status.success() && !lacks_types {
            return Err(format!("{script:?} {option}: {said}").into());
        }
    }
    Ok(())
}

/// Whether a script looks into arguments of the kernel's functions.
fn takes_types(script: Option<&str>) -> bool {
    TOOLBOX.iter().any(|tool| script == Some(tool.name) && tool.needs_function_probes)
}

/// `command` where folders with nothing in them cover tracefs and the kernel's BTF.
fn on_a_bare_machine(command: Command) -> Command {
    const COVER: &str = "for folder in /sys/kernel/btf /sys/kernel/tracing; do
        [ ! -d $folder ] || mount -t tmpfs none $folder || exit
    done; exec \"$0\" \"$@\"";
    let mut bare = Command::new("unshare");
    bare.args(["-m", "sh", "-c", COVER]).arg(command.get_program()).args(command.get_args());
    bare
}

/// Where tracefs is not mounted, how to mount it.
pub fn without_tracefs() -> Result<(), Failed> {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", "umount /sys/kernel/tracing && exec \"$0\" \"$@\""]);
    let output = bounded(command.arg(env!("CARGO_BIN_EXE_pfscript")))?;
    refused(&output, MACHINE, &["tracefs", "mount -t tracefs"])
}

/// Where sysfs is not mounted, what cannot be read and how to mount it.
pub fn without_sysfs() -> Result<(), Failed> {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", "umount -l /sys && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_pfscript")]);
    let output = bounded(command.args(["-e", "BEGIN { printf(\"x\\n\"); }"]))?;
    refused(&output, MACHINE, &["/sys/devices/system/cpu/possible", "mount -t sysfs"])
}

/// A named pipe that nobody reads is not waited for.
pub fn pipe_without_reader() -> Result<(), Failed> {
    let pipe = scratch("pipe_without_reader");
    let _ = fs::remove_file(&pipe);
    if !Command::new("mkfifo").arg(&pipe).status()?.success() {
        return Err("no named pipe can be made".into());
    }
    let output = bounded(pfscript().arg("-o").arg(&pipe).args(["-e", "BEGIN { exit(); }"]));
    fs::remove_file(&pipe)?;
    refused(&output?, COMMAND_LINE, &["pipe_without_reader", "nobody reads"])
}

/// Help that nobody gets to see is a failure, said where it can be seen.
pub fn help_to_full_disk() -> Result<(), Failed> {
    let full = fs::File::options().write(true).open("/dev/full")?;
    let output = pfscript().arg("--help").stdout(full).output()?;
    refused(&output, MACHINE, &["cannot write to standard output", "No space left"])
}

/// Another user, without any capability.
fn as_nobody() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    command
}

/// The binary where everyone may read it: the target folder may be in someone's home.
pub fn readable_copy() -> Result<PathBuf, Failed> {
    let copy = std::env::temp_dir().join(format!("pfscript-readable-{}", std::process::id()));
    fs::copy(env!("CARGO_BIN_EXE_pfscript"), &copy)?;
    fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    Ok(copy)
}

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs it to its end; bad input that starts to trace is ended and said so.
fn bounded(command: &mut Command) -> Result<Output, Failed> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > Duration::from_secs(10) {
            child.kill()?;
            child.wait()?;
            return Err("it was not refused within 10 s".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child.wait_with_output()?)
}

fn refused(output: &Output, code: i32, message: &[&str]) -> Result<(), Failed> {
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(code) {
        return Err(format!("exit {:?} where {code} is due; it said:\n{said}", output.status.code()).into());
    }
    if !output.stdout.is_empty() {
        return Err(format!("on standard output: {}", String::from_utf8_lossy(&output.stdout)).into());
    }
    match message.iter().find(|part| !said.contains(**part)) {
        Some(part) => Err(format!("the message does not say {part:?}:\n{said}").into()),
        None if said.len() > 10_000 => Err(format!("a message of {} bytes", said.len()).into()),
        None => Ok(()),
    }
}
