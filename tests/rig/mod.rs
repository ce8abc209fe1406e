//! What the tests share: needs that a machine may lack, random choices, and the truth about reported counts.

pub mod multiples;
pub mod need;
pub mod random;
pub mod toolbox;

use std::process::{Command, Stdio};

/// What a command of the machine prints.
///
/// # Errors
/// That it cannot be run, or what it says when it fails.
pub fn run(name: &str, arguments: &[&str]) -> Result<String, String> {
    let path = need::command_path(name).ok_or(format!("there is no {name}"))?;
    let output = Command::new(path).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{name} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim_end()))
}
