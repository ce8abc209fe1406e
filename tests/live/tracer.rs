//! The processes of a test: `pfscript` once it is attached, and the generator whose faults it sees.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

/// No step of a test takes longer, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The note of `-v` that everything is attached.
const READY: &str = "note: tracing";

/// A `pfscript` that traces.
pub struct Tracer {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: Receiver<String>,
    said: Vec<String>,
}

/// A `pfscript` that has ended.
pub struct Finished {
    /// Its exit code.
    pub code: Option<i32>,
    /// All that it wrote to standard output.
    pub stdout: String,
    /// All that it wrote to standard error.
    pub stderr: String,
    /// From the signal to its end.
    pub took: Duration,
}

impl Tracer {
    /// Starts `pfscript -v` with `arguments` and waits until it is attached.
    pub fn start(arguments: &[&str]) -> Result<Self, Failed> {
        Self::start_into(arguments, Stdio::piped())
    }

    /// The same with another place for its standard output.
    pub fn start_into(arguments: &[&str], output: Stdio) -> Result<Self, Failed> {
        let mut command = pfscript();
        command.arg("-v").args(arguments).stdin(Stdio::null()).stdout(output).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take();
        let stdout = thread::spawn(move || stdout.map(read_all).unwrap_or_default());
        let stderr = lines_of(child.stderr.take().ok_or("standard error is not piped")?);
        let mut this = Self { child, stdout, stderr, said: Vec::new() };
        this.await_attached()?;
        Ok(this)
    }

    fn await_attached(&mut self) -> Result<(), Failed> {
        while let Ok(line) = self.stderr.recv_timeout(PATIENCE) {
            self.said.push(line);
            if self.said.last().is_some_and(|line| line.ends_with(READY)) {
                return Ok(());
            }
        }
        let _ = self.child.kill();
        Err(format!("not attached; it said:\n{}", self.said.join("\n")).into())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it `signal` and waits for its end.
    pub fn stop(self, signal: i32) -> Result<Finished, Failed> {
        self.send(signal)?;
        self.wait()
    }

    /// Sends it `signal`.
    pub fn send(&self, signal: i32) -> Result<(), Failed> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: the process is our own child and not waited for, so that the PID is still its own.
        unsafe { libc::kill(pid, signal) };
        Ok(())
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Result<Finished, Failed> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if start.elapsed() > PATIENCE {
                self.child.kill()?;
                return Err("it did not end".into());
            }
            thread::sleep(Duration::from_millis(1));
        };
        let took = start.elapsed();
        let stdout = self.stdout.join().map_err(|_| "its output could not be read")?;
        self.said.extend(self.stderr.iter());
        Ok(Finished { code: status.code(), stdout, stderr: self.said.join("\n"), took })
    }
}

impl Finished {
    /// The counts reported of a process, in the order in which they were printed as a table.
    pub fn counts_of(&self, pid: u32) -> Vec<u64> {
        counts_in(&self.stdout, pid)
    }
}

/// The counts that a table reports of a process, in its order.
pub fn counts_in(table: &str, pid: u32) -> Vec<u64> {
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let pid = pid.to_string();
    let own = rows.filter(|row| row.get(1).is_some_and(|field| *field == pid));
    own.filter_map(|row| row.last()?.parse().ok()).collect()
}

/// What the generator says of the process that it faulted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faulted {
    /// The process.
    pub pid: u32,
    /// Its faults, minor and major, as getrusage counts them.
    pub faults: u64,
}

/// Starts the generator.
pub fn generate(faults: u64, threads: u32) -> Result<Child, Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_page_fault_gen"));
    command.arg(faults.to_string()).arg("--threads").arg(threads.to_string());
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

/// Waits for a generator and reads what it says.
pub fn faulted(generator: Child) -> Result<Faulted, Failed> {
    parse_faulted(&String::from_utf8(generator.wait_with_output()?.stdout)?)
}

/// The line in which a generator says what it did.
pub fn parse_faulted(said: &str) -> Result<Faulted, Failed> {
    let value = |key: &str| said.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    match (value("pid").map(str::parse), value("faults").map(str::parse)) {
        (Some(Ok(pid)), Some(Ok(faults))) => Ok(Faulted { pid, faults }),
        _ => Err(format!("the generator said: {said}").into()),
    }
}

/// A generator whose process stays when it has made its faults.
pub struct Held(Child);

impl Held {
    /// Starts it.
    pub fn generate(faults: u64) -> Result<Self, Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_page_fault_gen"));
        command.arg(faults.to_string()).arg("--hold");
        Ok(Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?))
    }

    /// What it says once the faults are made.
    pub fn faulted(&mut self) -> Result<Faulted, Failed> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().ok_or("its output is not piped")?).read_line(&mut line)?;
        parse_faulted(&line)
    }

    /// Lets its process end.
    pub fn end(mut self) -> Result<(), Failed> {
        drop(self.0.stdin.take());
        self.0.wait()?;
        Ok(())
    }
}

/// The binary under test, with nothing of the environment that changes its answers.
pub fn pfscript() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pfscript"));
    command.env("NO_COLOR", "1");
    command
}

fn read_all(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is what there is to compare.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lines_of(stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
