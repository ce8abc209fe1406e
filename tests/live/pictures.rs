//! Folded stacks and flame graphs of a program whose stacks are known.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::tracer::{Finished, Tracer};

/// The faults of each way through the program at least, by the end of the folded line. The allocator
/// has touched the first page of each piece of memory before.
const KNOWN: [(&str, u64); 3] =
    [("main;outer;middle;inner", 299), ("main;outer;side", 99), ("main;fill;read;...;read_zero_[k]", 50)];

/// `-f folded` has a line for each stack, with the faults that came that way, and none is missing.
pub fn folded() -> Result<(), Failed> {
    let script = r#"software:page-faults:1 /comm == "nested_faults"/ {
        @faults[comm, ustack, kstack] = count(); @total = count();
    }"#;
    let finished = traced(&["-f", "folded", "-e", script])?;
    let lines: BTreeMap<_, u64> = finished
        .stdout
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(s, n)| (s, n.parse().unwrap_or(0)))
        .collect();
    for (way, faults) in KNOWN {
        let found: u64 =
            lines.iter().filter(|(stack, _)| shortened(stack).ends_with(way)).map(|(_, count)| count).sum();
        if !is_about(found, faults) {
            return Err(format!("{found} faults by {way}, not {faults}:\n{}", finished.stdout).into());
        }
    }
    if let Some(line) = lines.keys().find(|line| !line.starts_with("nested_faults;")) {
        return Err(format!("not of the program: {line}").into());
    }
    if !finished.stderr.contains("warning: @total is left out: ") {
        return Err(format!("nothing is said of @total:\n{}", finished.stderr).into());
    }
    Ok(())
}

/// The program's own code may not be mapped yet, and take some faults more.
fn is_about(found: u64, faults: u64) -> bool {
    (faults..faults + 10).contains(&found)
}

/// `nested_faults::outer` as `outer`, and what the kernel does between a call and its last function
/// as `...`: that is another kernel's own matter.
fn shortened(stack: &str) -> String {
    let frames: Vec<_> = stack.split(';').map(|frame| frame.trim_start_matches("nested_faults::")).collect();
    let is_kernel = |frame: &&str| frame.ends_with("_[k]");
    let program = frames.iter().filter(|frame| !is_kernel(frame)).copied();
    let last = frames.last().copied().filter(is_kernel);
    program.chain(last.iter().flat_map(|last| ["...", last])).collect::<Vec<_>>().join(";")
}

/// `--flamegraph` draws the same: well-formed XML with a box for each function.
pub fn flame_graph() -> Result<(), Failed> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live.svg");
    let finished = traced(&["faults-by-stack", "--who", "nested_faults", "--flamegraph", &file.to_string_lossy()])?;
    let boxes = titles(&fs::read_to_string(&file)?)?;
    for (function, faults) in [("inner", 299), ("middle", 299), ("outer", 398), ("side", 99), ("fill", 50)] {
        let title = format!("nested_faults::{function} (");
        let found = boxes.iter().find_map(|text| text.strip_prefix(&title)?.split(' ').next()?.parse().ok());
        if !found.is_some_and(|found| is_about(found, faults)) {
            return Err(format!("no {faults} faults in {title}: {boxes:#?}").into());
        }
    }
    if !finished.stdout.is_empty() {
        return Err(format!("drawn and printed: {}", finished.stdout).into());
    }
    Ok(fs::remove_file(&file)?)
}

/// The texts that a browser shows for the boxes of a picture.
fn titles(svg: &str) -> Result<Vec<String>, Failed> {
    let (mut reader, mut titles, mut in_title) = (Reader::from_str(svg), Vec::new(), false);
    loop {
        match reader.read_event()? {
            Event::Start(tag) => in_title = tag.name().as_ref() == b"title",
            Event::Text(text) if in_title => titles.push(text.decode()?.into_owned()),
            Event::End(_) => in_title = false,
            Event::Eof => return Ok(titles),
            _ => {}
        }
    }
}

/// What `pfscript` says of one run of the program.
fn traced(arguments: &[&str]) -> Result<Finished, Failed> {
    let program = nested_faults()?;
    let tracer = Tracer::start(arguments)?;
    let ran = Command::new(program).stdin(Stdio::null()).status()?;
    let finished = tracer.stop(libc::SIGINT)?;
    if ran.success() && finished.code == Some(0) { Ok(finished) } else { Err(finished.stderr.into()) }
}

/// Builds the program, with the frame pointers that the kernel follows.
fn nested_faults() -> Result<PathBuf, Failed> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/live/nested_faults.rs");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nested_faults");
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    let built = rustc.args(["-O", "-C", "force-frame-pointers=yes", "-o"]).arg(&program).arg(source).status()?;
    if built.success() { Ok(program) } else { Err("nested_faults cannot be built".into()) }
}
