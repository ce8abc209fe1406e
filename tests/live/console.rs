//! A terminal of the tests' own: `pfscript` runs on it, keys are pressed, and its screen is read.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use vt100::{Parser, Screen};

/// No step of a test takes longer, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal with a program on it.
pub struct Console {
    child: Child,
    pty: Arc<Pty>,
    parser: Arc<Mutex<Parser>>,
    reader: JoinHandle<()>,
    /// How the terminal was set before.
    before: Vec<u32>,
}

/// A terminal whose program has ended.
pub struct Ended {
    /// The program's exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What is to be seen.
    pub text: String,
    /// Whether the terminal is as it was before: its settings, the cursor, the screen.
    pub is_restored: bool,
}

impl Console {
    /// Starts `pfscript` with `arguments` on a terminal of so many lines and columns.
    pub fn start(arguments: &[&str], (lines, columns): (u16, u16)) -> Result<Self, Failed> {
        let command = Command::new(env!("CARGO_BIN_EXE_pfscript")).args(arguments);
        Self::run(command.env("NO_COLOR", "1"), (lines, columns))
    }

    /// Starts any program.
    pub fn run(command: Command, (lines, columns): (u16, u16)) -> Result<Self, Failed> {
        let (pty, pts) = open()?;
        pty.resize(Size::new(lines, columns))?;
        let before = settings(&pty);
        let child = command.env("TERM", "xterm-256color").spawn(pts)?;
        let some = |n: u16| NonZeroU16::new(n).ok_or("a terminal has lines and columns");
        let parser = Arc::new(Mutex::new(Parser::new(some(lines)?, some(columns)?, 0)));
        let pty = Arc::new(pty);
        let reader = thread::spawn({
            let (pty, parser) = (Arc::clone(&pty), Arc::clone(&parser));
            move || read_all(&pty, &parser)
        });
        Ok(Self { child, pty, parser, reader, before })
    }

    /// The program's process.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What can be seen now.
    pub fn look<T>(&self, at: impl FnOnce(&Screen) -> T) -> T {
        at(self.parser.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).screen())
    }

    /// What can be read now.
    pub fn text(&self) -> String {
        self.look(Screen::contents)
    }

    /// Waits until `is_there` holds of what can be read.
    pub fn wait_for(&self, what: &str, is_there: impl Fn(&str) -> bool) -> Result<String, Failed> {
        let start = Instant::now();
        loop {
            let text = self.text();
            if is_there(&text) {
                return Ok(text);
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("{what} is not to be seen:\n{text}").into());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Presses keys.
    pub fn press(&self, keys: &str) -> Result<(), Failed> {
        Ok((&*self.pty).write_all(keys.as_bytes())?)
    }

    /// Makes it a terminal of another size.
    pub fn resize(&self, lines: u16, columns: u16) -> Result<(), Failed> {
        let some = |n: u16| NonZeroU16::new(n).ok_or("a terminal has lines and columns");
        let mut parser = self.parser.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        parser.set_size(some(lines)?, some(columns)?);
        Ok(self.pty.resize(Size::new(lines, columns))?)
    }

    /// Sends the program a signal.
    pub fn send(&self, signal: i32) {
        // SAFETY: the process is our own child and not waited for, so that the PID is still its own.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// Waits for the program's end.
    pub fn end(mut self) -> Result<Ended, Failed> {
        let start = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait()? {
                break status.code();
            }
            if start.elapsed() > PATIENCE {
                self.child.kill()?;
                return Err(format!("it did not end:\n{}", self.text()).into());
            }
            thread::sleep(Duration::from_millis(5));
        };
        let after = settings(&self.pty);
        self.reader.join().map_err(|_| "the terminal could not be read")?;
        let parser = self.parser.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let screen = parser.screen();
        let is_restored = after == self.before && !screen.alternate_screen() && !screen.hide_cursor();
        Ok(Ended { code, text: screen.contents(), is_restored })
    }
}

/// Until the last program on the terminal has gone.
fn read_all(mut pty: &Pty, parser: &Mutex<Parser>) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = pty.read(&mut bytes) {
        parser.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).process(&bytes[..read]);
    }
}

/// How the terminal is set: echo, line by line, what Ctrl-C does.
fn settings(pty: &Pty) -> Vec<u32> {
    // SAFETY: zeros are a value of the plain C structure, which the kernel fills in.
    let termios = unsafe {
        let mut termios: libc::termios = std::mem::zeroed();
        libc::tcgetattr(pty.as_fd().as_raw_fd(), &raw mut termios);
        termios
    };
    vec![termios.c_iflag, termios.c_oflag, termios.c_cflag, termios.c_lflag]
}
