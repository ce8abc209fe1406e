//! A line on the terminal that tells, while there is nothing else to see, that tracing is under way.

use std::io::{self, IsTerminal, Write};

/// Goes back to the beginning of the line and empties it.
const ERASE: &str = "\r\x1b[K";

/// The line; never seen where standard error is no terminal that can take it back.
#[derive(Debug)]
pub struct StatusLine {
    is_wanted: bool,
    is_shown: bool,
}

impl StatusLine {
    /// No line as yet.
    pub fn new(is_wanted: bool) -> Self {
        let can_erase = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        Self { is_wanted: is_wanted && can_erase && io::stderr().is_terminal(), is_shown: false }
    }

    /// Shows `text` in place of what was shown.
    pub fn show(&mut self, text: &str) {
        if self.is_wanted {
            self.is_shown = true;
            say(&format!("{ERASE}{text}"));
        }
    }

    /// Takes the line away.
    pub fn erase(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            say(ERASE);
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.erase();
    }
}

/// Where stderr is closed there is nobody to tell.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
