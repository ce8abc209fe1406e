//! Names that other processes give themselves do no harm: not to a terminal, not to JSON, not to CSV.

use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::tracer::Tracer;

/// As `printf` writes them, 15 bytes at most: an escape sequence, line's ends, quotes, no UTF-8,
/// one that turns the direction of text around, wide characters, all 15 bytes.
const NAMES: [&str; 7] = [
    r"\033[31mred\007",
    r"two\nlines\r",
    r#"a\042,b\042\\"#,
    r"\377\376bad\200",
    r"\342\200\256turned",
    r"\346\227\245\346\234\254",
    r"fifteen-bytes-x",
];

const SCRIPT: &str =
    "software:page-faults:1 /ppid == $1/ { @[comm] = count(); emit(pid, comm); printf(\"<%s>\\n\", comm); }";

/// Runs a shell for each name that takes it and makes some faults.
fn parade() -> Result<(), Failed> {
    for name in NAMES {
        let work =
            format!("printf '{name}' > /proc/$$/comm; while [ ${{#text}} -lt 100000 ]; do text=$text$text.; done");
        if !Command::new("sh").args(["-c", &work]).stdin(Stdio::null()).status()?.success() {
            return Err(format!("no process could be called {name}").into());
        }
    }
    Ok(())
}

/// What it prints of the parade: no control characters, and in a table nothing that turns text around.
fn traced(form: &str) -> Result<String, Failed> {
    let us = std::process::id().to_string();
    let tracer = Tracer::start(&["-f", form, "-e", SCRIPT, &us])?;
    parade()?;
    let finished = tracer.stop(libc::SIGINT)?;
    let turns = |c: char| form == "table" && ('\u{202a}'..='\u{202e}').contains(&c);
    let harmful = |c: char| (c.is_control() && c != '\n') || turns(c);
    match finished.stdout.chars().find(|&c| harmful(c)) {
        Some(c) => Err(format!("{form} has {c:?} in it").into()),
        None if finished.stdout.matches("fifteen-bytes-x").count() < 3 => Err(format!("{form} lacks a name").into()),
        None => Ok(finished.stdout),
    }
}

/// Nothing but printable text and the ends of our own lines; each `printf` is one line.
pub fn table() -> Result<(), Failed> {
    let text = traced("table")?;
    let broken = text.lines().find(|line| line.starts_with('<') != line.ends_with('>'));
    broken.map_or(Ok(()), |line| Err(format!("this line is not whole: {line}").into()))
}

/// Every line is an object.
pub fn json() -> Result<(), Failed> {
    for line in traced("json")?.lines() {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("{error} in {line}"))?;
        if !value["type"].is_string() {
            return Err(format!("no type in {line}").into());
        }
    }
    Ok(())
}

/// Every record has as many fields as its header: events three, those of maps too.
pub fn csv() -> Result<(), Failed> {
    let text = traced("csv")?;
    let mut records = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.as_bytes());
    for record in records.records() {
        let record = record?;
        if record.len() != 3 {
            return Err(format!("{record:?} has not three fields").into());
        }
    }
    Ok(())
}
