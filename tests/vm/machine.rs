//! One machine of the matrix: runs a set of cases, as a guest under qemu or on the host itself, and hands
//! back what each printed.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::cases::Set;
use crate::rig::need;
use crate::tool::Tool;

/// All cases of a guest together take two minutes of one processor; more than this is a hang.
const DEADLINE: Duration = Duration::from_secs(540);

/// What a case printed.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// Its lines, both streams.
    pub lines: Vec<String>,
    /// Its exit code; absent when the machine ended within it.
    pub exit: Option<i32>,
}

/// What the cases of a machine printed, by name.
pub type Transcripts = BTreeMap<String, Transcript>;

impl Transcript {
    /// The values of the lines `key=VALUE`, and of `key=VALUE` as a word within a line.
    pub fn values(&self, key: &str) -> Vec<u64> {
        let words = self.lines.iter().filter(|line| !line.starts_with("stderr:")).flat_map(|line| line.split(' '));
        words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok()).collect()
    }
}

/// Runs the host's cases on the host.
///
/// # Errors
/// They did not end, or could not be started.
pub fn on_host(tool: &Tool) -> Result<Transcripts, String> {
    let busybox = need::command_path("busybox").ok_or("no busybox")?;
    let folder = tool.folder.as_path();
    let scratch = folder.join("scratch");
    std::fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    // Its applets by their names, as in a guest.
    let applets = folder.join("applets");
    std::fs::create_dir_all(&applets).map_err(|error| format!("{}: {error}", applets.display()))?;
    let mut install = Command::new(&busybox);
    install.args(["--install", "-s"]).arg(&applets);
    install.status().map_err(|error| format!("busybox: {error}"))?;
    let path = env::join_paths([folder, &applets]).map_err(|error| error.to_string())?;
    let mut shell = Command::new(&busybox);
    shell.arg("sh").arg(folder.join("run_cases")).arg(&tool.cases).arg(&scratch).env("PATH", path);
    let child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let (lines, ended) = watch(child.map_err(|error| format!("busybox: {error}"))?);
    match ended {
        true => Ok(transcripts(&lines)),
        false => Err(format!("the host's cases were still running after {DEADLINE:?}:\n{}", tail(&lines))),
    }
}

/// Boots `image` and runs `set` in it.
///
/// # Errors
/// The end of the console's output when the guest did not get to its cases, or did not end.
pub fn in_guest(image: &Path, set: Set, tool: &Tool) -> Result<Transcripts, String> {
    match run_guest(image, set, tool) {
        // The kernel patches its own code by way of an int3, and the emulator can run that int3 once
        // more when it is gone. That is no fault of what is tested, and does not come twice.
        Err(why) if why.contains("Oops: int3") => {
            eprintln!("the emulator ran code that was patched away; the guest is booted once more");
            run_guest(image, set, tool)
        }
        result => result,
    }
}

fn run_guest(image: &Path, set: Set, tool: &Tool) -> Result<Transcripts, String> {
    let (lines, powered_off) = watch(start(image, set, tool)?);
    if let Some(at) = lines.iter().position(|line| line.contains("Oops: ")) {
        return Err(format!("the guest's kernel failed:\n{}", lines[at..].join("\n")));
    }
    let cases = transcripts(&lines);
    match (powered_off, cases.is_empty()) {
        (true, false) => Ok(cases),
        (true, true) => Err(format!("the guest did not boot:\n{}", tail(&lines))),
        (false, _) => Err(format!("the guest was still running after {DEADLINE:?}:\n{}", tail(&lines))),
    }
}

/// KVM is not asked for: emulation is everywhere the same, and fast enough. The guest's processors
/// take turns in one thread: side by side, one could run code that another has just patched.
fn start(image: &Path, set: Set, tool: &Tool) -> Result<Child, String> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", "768"]);
    qemu.args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot", "-nic", "none"]);
    let options = format!("console=ttyS0 quiet panic=-1 mitigations=off cases={} {}", set.name(), set.boot_options());
    qemu.args(["-append", &options]).arg("-kernel").arg(image).arg("-initrd").arg(&tool.initramfs);
    let child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    child.map_err(|error| format!("qemu-system-x86_64: {error}"))
}

/// The lines that a machine prints until it ends, and whether it did so before the deadline; either way it
/// ends here.
fn watch(mut machine: Child) -> (Vec<String>, bool) {
    let output = machine.stdout.take().expect("it is piped");
    let seen = read_lines(output);
    let _ = machine.kill();
    let _ = machine.wait();
    seen
}

fn read_lines(output: impl Read + Send + 'static) -> (Vec<String>, bool) {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + DEADLINE;
    let mut lines = Vec::new();
    loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => lines.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => return (lines, true),
            Err(mpsc::RecvTimeoutError::Timeout) => return (lines, false),
        }
    }
}

/// Splits what a machine printed at the frames that `run_cases` prints.
fn transcripts(console: &[String]) -> Transcripts {
    let mut cases = BTreeMap::new();
    let mut current: Option<&mut Transcript> = None;
    for line in console {
        if let Some((_, name)) = line.split_once("@case ") {
            current = Some(cases.entry(name.to_owned()).or_default());
        } else if let Some(code) = line.strip_prefix("@end ") {
            if let Some(case) = current.take() {
                case.exit = code.parse().ok();
            }
        } else if let Some(case) = current.as_mut() {
            case.lines.push(line.clone());
        }
    }
    cases
}

fn tail(lines: &[String]) -> String {
    lines[lines.len().saturating_sub(30)..].join("\n")
}
