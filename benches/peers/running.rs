//! A tool at work: from exec to tracing, what it holds meanwhile, and its end.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Job, Peer, Ready};

/// For tools that do not show when they trace: more than any of them takes.
const LATER: Duration = Duration::from_millis(1500);

/// No tool is waited for longer to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A tool that traces.
pub struct Running {
    child: Child,
    /// From exec until it showed that it traces; absent where it shows nothing.
    pub start: Option<Duration>,
}

impl Running {
    /// Starts the tool and waits until it traces; none where it cannot do the job. What it prints goes nowhere.
    pub fn start(peer: &Peer, job: &Job) -> Result<Option<Self>, Box<dyn Error>> {
        // Scripts need not print anything before their end.
        let ready = if peer.ready == Ready::FirstRow && *job != Job::PageFaults(1) { Ready::Later } else { peer.ready };
        peer.command(job).map(|command| Self::spawn(command, ready, Stdio::null())).transpose()
    }

    /// The same, and what it prints goes into `file`.
    pub fn start_into(peer: &Peer, job: &Job, file: File) -> Result<Option<Self>, Box<dyn Error>> {
        let ready = if peer.ready == Ready::FirstRow { Ready::Later } else { peer.ready };
        peer.command(job).map(|command| Self::spawn(command, ready, file.into())).transpose()
    }

    /// Starts a command and waits until it traces. Where its first row is waited for, what it prints is read and
    /// dropped instead of going to `output`.
    pub fn spawn(mut command: Command, ready: Ready, output: Stdio) -> Result<Self, Box<dyn Error>> {
        let (output, errors) = match ready {
            Ready::Attached => (output, Stdio::piped()),
            Ready::FirstRow => (Stdio::piped(), Stdio::null()),
            Ready::Later => (output, Stdio::null()),
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

    /// Nanoseconds that all its threads have run so far.
    pub fn cpu_time(&self) -> Result<f64, Box<dyn Error>> {
        let mut total = 0.0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))?.flatten() {
            let text = fs::read_to_string(task.path().join("schedstat"))?;
            total += text.split_whitespace().next().ok_or("no schedstat")?.parse::<f64>()?;
        }
        Ok(total)
    }

    /// The kernel's numbers of its maps.
    pub fn maps(&self) -> Result<Vec<u32>, Box<dyn Error>> {
        Ok(self.numbers("map_id:")?.into_iter().map(|id| id as u32).collect())
    }

    /// The kernel's numbers of the programs that it holds.
    pub fn programs(&self) -> Result<Vec<u64>, Box<dyn Error>> {
        self.numbers("prog_id:")
    }

    fn numbers(&self, key: &str) -> Result<Vec<u64>, Box<dyn Error>> {
        let mut numbers = Vec::new();
        for descriptor in fs::read_dir(format!("/proc/{}/fdinfo", self.child.id()))?.flatten() {
            let text = fs::read_to_string(descriptor.path()).unwrap_or_default();
            numbers.extend(text.lines().filter_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// Ends it as Ctrl-C does, and says how long that took. A tool that takes more than ten seconds over that is killed, and said so: one that
    /// does not end would hold up all others.
    pub fn stop(mut self) -> Result<Duration, Box<dyn Error>> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: the process is our own child and not waited for, so that the PID is still its own.
        unsafe { libc::kill(pid, libc::SIGINT) };
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if self.child.try_wait()?.is_some() {
                return Ok(begin.elapsed());
            }
            thread::sleep(Duration::from_micros(200));
        }
        eprintln!("{} does not end on SIGINT", fs::read_to_string(format!("/proc/{pid}/comm"))?.trim());
        self.child.kill()?;
        self.child.wait()?;
        Ok(begin.elapsed())
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
