//! A line on the terminal that tells, while there is nothing else to see, that tracing is under way.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

/// Goes back to the beginning of the line and empties it.
const ERASE: &str = "\r\x1b[K";

/// The line; none where nobody would see it.
#[derive(Debug, Default)]
pub struct StatusLine {
    since: Option<Instant>,
    /// The seconds that it says.
    shown: Option<u64>,
}

impl StatusLine {
    /// Shows the line from now on if standard error is a terminal that can take it back.
    pub fn begin(&mut self) {
        let can_erase = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        if io::stderr().is_terminal() && can_erase {
            self.since = Some(Instant::now());
            self.tick();
        }
    }

    /// Brings it up to date.
    pub fn tick(&mut self) {
        let Some(since) = self.since else { return };
        let seconds = since.elapsed().as_secs();
        if self.shown != Some(seconds) {
            self.shown = Some(seconds);
            say(&format!("{ERASE}tracing for {seconds} s, nothing to report yet; Ctrl-C ends"));
        }
    }

    /// Takes it away for good: something is about to be said.
    pub fn end(&mut self) {
        if self.since.take().is_some() {
            say(ERASE);
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where stderr is closed there is nobody to tell.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
