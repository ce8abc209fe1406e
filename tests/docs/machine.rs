//! The machine that a document's reader sits at: a folder with the repository's files in it, `sudo`,
//! `pfscript` as installed and as built, and something that makes page faults.
//!
//! What traces until Ctrl-C gets it after [`A_WHILE`], as if the reader had seen enough; then there is a
//! minute to name all stacks, of which a busy machine has many.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::fences::Session;

const A_WHILE: &str = "1.5";

/// Commands that are not run here, and who runs them instead.
const RUN_ELSEWHERE: &[(&str, &str)] = &[
    ("cargo build --release && sudo target/release/pfscript", "cargo builds what these tests run; the rest by itself"),
    ("cargo test", "this is it"),
    ("sudo pfscript --top", "needs a terminal, which tests/live has"),
    ("sudo -E cargo bench --bench peers", "takes minutes, and peers that are to be installed"),
    ("cargo bench --bench compile", "takes minutes"),
    (
        "PFSCRIPT_FUZZ_SCRIPTS=10000 PFSCRIPT_FUZZ_SEED=$RANDOM sudo -E cargo test --test fuzz -- --nocapture",
        "takes long",
    ),
    (
        "PFSCRIPT_EXEC_EXPRESSIONS=10000 PFSCRIPT_EXEC_SEED=$RANDOM sudo -E cargo test --test exec -- --nocapture",
        "takes long",
    ),
];

/// The reader's machine.
pub struct Machine {
    folder: PathBuf,
    /// Makes page faults now and then.
    neighbour: Child,
}

impl Machine {
    /// A machine for the document called `name`.
    pub fn new(name: &str) -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("docs-{}", name.replace('/', "-")));
        let _ = fs::remove_dir_all(&folder);
        furnish(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut neighbour = Command::new("sh");
        neighbour.args(["-c", "while sleep 0.2; do page_fault_gen 3000 >/dev/null; done"]).env("PATH", path(&folder));
        let neighbour = neighbour.spawn().map_err(|error| format!("sh: {error}"))?;
        Ok(Self { folder, neighbour })
    }

    /// Makes a file at hand.
    pub fn file(&self, name: &str, text: &str) -> Result<(), String> {
        fs::write(self.folder.join(name), text).map_err(|error| format!("{name}: {error}"))
    }

    /// Runs a command and compares what it prints with what the document shows; where kprobes are
    /// missing and it `needs_kprobes`, it must say so.
    pub fn run(&self, session: &Session, needs_kprobes: bool) -> Result<(), String> {
        if RUN_ELSEWHERE.iter().any(|(command, _)| *command == session.command) {
            return Ok(());
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", &session.command]).current_dir(&self.folder).env("PATH", path(&self.folder));
        let output = shell.env("NO_COLOR", "1").stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
        let has_kprobes = Path::new("/sys/bus/event_source/devices/kprobe").exists();
        let judged = match output.status.code() {
            Some(3) if needs_kprobes && !has_kprobes && printed.contains("this kernel has no kprobes") => Ok(()),
            _ => compare(&output, &printed, &session.shown),
        };
        judged.map_err(|why| format!("{why}\n$ {}\n{printed}", session.command))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Nothing can be done about a neighbour that will not go.
        let _ = self.neighbour.kill();
        let _ = self.neighbour.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Commands that must be told of above, and are in no document any more.
pub fn forgotten<'a>(commands: &[&'a str]) -> Option<&'a str> {
    let is_there = |command: &&str| commands.contains(command);
    RUN_ELSEWHERE.iter().map(|(command, _)| *command).find(|command| !is_there(command))
}

fn furnish(folder: &Path) -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    fs::create_dir_all(folder.join("target/release"))?;
    fs::create_dir_all(folder.join("bin"))?;
    for name in ["scripts", "docs", "grammar", "benches"] {
        symlink(root.join(name), folder.join(name))?;
    }
    let traced = format!(
        "exec timeout --foreground --signal=INT --preserve-status --kill-after=60 {A_WHILE} {} \"$@\"",
        env!("CARGO_BIN_EXE_pfscript")
    );
    command(&folder.join("bin/pfscript"), &traced)?;
    command(&folder.join("target/release/pfscript"), &traced)?;
    command(&folder.join("bin/sudo"), "while [ \"${1#-}\" != \"$1\" ]; do shift; done\nexec \"$@\"")?;
    for at in ["bin/page_fault_gen", "target/release/page_fault_gen"] {
        symlink(env!("CARGO_BIN_EXE_page_fault_gen"), folder.join(at))?;
    }
    Ok(())
}

fn command(file: &Path, text: &str) -> std::io::Result<()> {
    fs::write(file, format!("#!/bin/sh\n{text}\n"))?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
}

fn path(folder: &Path) -> String {
    format!("{}:{}", folder.join("bin").display(), env::var("PATH").unwrap_or_default())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A document shows an error where there is one, and all of an error or a warning is printed. Of what
/// else it shows, lines with a number are a sample and all others are printed; `...` is left out.
fn compare(output: &Output, printed: &str, shown: &[String]) -> Result<(), String> {
    let shows_error = shown.iter().any(|line| line.contains("error"));
    if output.status.success() == shows_error {
        return Err(format!(
            "exit code {:?}, an error is {}shown",
            output.status.code(),
            if shows_error { "" } else { "not " }
        ));
    }
    let is_literal = shows_error || shown.iter().any(|line| line.contains("warning"));
    let is_sample = |line: &str| !is_literal && line.contains(|c: char| c.is_ascii_digit());
    let said =
        shown.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty() && *line != "..." && !is_sample(line));
    match said.into_iter().find(|line| !printed.lines().any(|printed| printed.trim_end() == *line)) {
        Some(missing) => Err(format!("it does not print: {missing}")),
        None => Ok(()),
    }
}
