//! One guest: boots a kernel under qemu, runs all cases in it, hands back what each printed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Everything in a guest together takes a minute on two cores; more than this is a hang.
const DEADLINE: Duration = Duration::from_secs(300);

/// What a case printed.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// Its lines, both streams.
    pub lines: Vec<String>,
    /// Its exit code; absent when the guest ended within it.
    pub exit: Option<i32>,
}

impl Transcript {
    /// The values of the lines `key=VALUE`, and of `key=VALUE` as a word within a line.
    pub fn values(&self, key: &str) -> Vec<u64> {
        let words = self.lines.iter().filter(|line| !line.starts_with("stderr:")).flat_map(|line| line.split(' '));
        words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok()).collect()
    }
}

/// Boots `image` with `initramfs` and returns the transcript of each case, by name.
///
/// # Errors
/// The end of the console's output when the guest did not get to its cases, or did not end.
pub fn run(image: &Path, initramfs: &Path) -> Result<BTreeMap<String, Transcript>, String> {
    match run_once(image, initramfs) {
        // The kernel patches its own code by way of an int3, and the emulator can run that int3 once
        // more when it is gone. That is no fault of what is tested, and does not come twice.
        Err(why) if why.contains("Oops: int3") => {
            eprintln!("the emulator ran code that was patched away; the guest is booted once more");
            run_once(image, initramfs)
        }
        result => result,
    }
}

fn run_once(image: &Path, initramfs: &Path) -> Result<BTreeMap<String, Transcript>, String> {
    let mut qemu = start(image, initramfs)?;
    let console = read_console(&mut qemu);
    // It has powered off or is beyond its time: either way it ends here.
    let _ = qemu.kill();
    let _ = qemu.wait();
    let (lines, powered_off) = console;
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
fn start(image: &Path, initramfs: &Path) -> Result<Child, String> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", "512"]);
    qemu.args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot", "-nic", "none"]);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"]);
    qemu.arg("-kernel").arg(image).arg("-initrd").arg(initramfs);
    let child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    child.map_err(|error| format!("qemu-system-x86_64: {error}"))
}

/// The console's lines until qemu ends, and whether it did so before the deadline.
fn read_console(qemu: &mut Child) -> (Vec<String>, bool) {
    let (sender, receiver) = mpsc::channel();
    let console = qemu.stdout.take().expect("start() pipes it");
    thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
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

/// Splits the console's output at the frames that `init` prints.
fn transcripts(console: &[String]) -> BTreeMap<String, Transcript> {
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
