//! A tool at work: from exec to tracing, what it holds meanwhile, and its end.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Peer, Ready};

/// For tools that do not show when they trace.
const LATER: Duration = Duration::from_millis(700);

/// A tool that traces.
pub struct Running {
    child: Child,
    /// From exec until it showed that it traces; absent where it shows nothing.
    pub start: Option<Duration>,
}

impl Running {
    /// Starts the tool and waits until it traces. What it prints is read and dropped.
    pub fn start(peer: &Peer, step: u64) -> Result<Self, Box<dyn Error>> {
        Self::spawn(peer.command(step), peer.ready)
    }

    /// Starts a command and waits until it traces.
    pub fn spawn(mut command: Command, ready: Ready) -> Result<Self, Box<dyn Error>> {
        let (output, errors) = match ready {
            Ready::Attached => (Stdio::null(), Stdio::piped()),
            Ready::FirstRow => (Stdio::piped(), Stdio::null()),
            Ready::Later => (Stdio::null(), Stdio::null()),
        };
        let begin = Instant::now();
        let mut child = command.stdout(output).stderr(errors).spawn()?;
        let start = match (child.stderr.take(), child.stdout.take()) {
            (Some(errors), _) => Some(first_line(errors, begin, |line| line.trim_end().ends_with("tracing"))?),
            (_, Some(output)) => Some(while_faulting(|| first_line(output, begin, |line| line.contains(':')))?),
            _ => None,
        };
        if start.is_none() {
            thread::sleep(LATER);
        }
        Ok(Self { child, start })
    }

    /// The most memory that it had so far, in bytes.
    pub fn peak_memory(&self) -> Result<f64, Box<dyn Error>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(peak.ok_or("no VmHWM")?.parse::<f64>()? * 1024.0)
    }

    /// The kernel's numbers of the programs that it holds.
    pub fn programs(&self) -> Result<Vec<u64>, Box<dyn Error>> {
        let mut programs = Vec::new();
        for descriptor in fs::read_dir(format!("/proc/{}/fdinfo", self.child.id()))?.flatten() {
            let text = fs::read_to_string(descriptor.path()).unwrap_or_default();
            programs.extend(text.lines().filter_map(|line| line.strip_prefix("prog_id:")?.trim().parse::<u64>().ok()));
        }
        programs.sort_unstable();
        programs.dedup();
        Ok(programs)
    }

    /// Ends it as Ctrl-C does. A tool that takes more than ten seconds over that is killed, and said so: one that
    /// does not end would hold up all others.
    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: the process is our own child and not waited for, so that the PID is still its own.
        unsafe { libc::kill(pid, libc::SIGINT) };
        for _ in 0..1000 {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        eprintln!("{} does not end on SIGINT", fs::read_to_string(format!("/proc/{pid}/comm"))?.trim());
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Does something while processes come and go, each with some dozens of page faults: on an idle machine
/// a tool that shows rows only would otherwise have nothing to show.
fn while_faulting<T>(something: impl FnOnce() -> T) -> T {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) && Command::new("true").status().is_ok() {
                thread::sleep(Duration::from_millis(2));
            }
        });
        let result = something();
        is_done.store(true, Ordering::Relaxed);
        result
    })
}

/// How long it took until a line came that tells; the rest is read by a thread of its own.
fn first_line<R>(stream: R, begin: Instant, tells: fn(&str) -> bool) -> Result<Duration, Box<dyn Error>>
where
    R: Read + Send + 'static,
{
    let mut stream = BufReader::new(stream);
    let mut said = String::new();
    loop {
        let before = said.len();
        if stream.read_line(&mut said)? == 0 {
            return Err(format!("it does not trace: {said}").into());
        }
        if tells(&said[before..]) {
            break;
        }
    }
    let took = begin.elapsed();
    // It would block, or end, if nobody read on.
    thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
    Ok(took)
}
