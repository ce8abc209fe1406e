//! The forms and places of the data: table, JSON, CSV, standard output, a file.

use std::fs;
use std::path::Path;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::rig::multiples::check_multiples;
use crate::tracer::{Faulted, Finished, Tracer, faulted, generate, pfscript};

const STEP: u64 = 100;
const COLUMNS: [&str; 4] = ["time", "pid", "comm", "nb_page_fault"];
/// The kernel keeps 15 bytes of a name, which all of this one are.
const COMM: &str = "page_fault_gen";

fn trace(options: &[&str]) -> Result<(Finished, Faulted), Failed> {
    let mut arguments = vec!["--log_step", "100"];
    arguments.extend(options);
    let tracer = Tracer::start(&arguments)?;
    let process = faulted(generate(5_000, 2)?)?;
    Ok((tracer.stop(libc::SIGTERM)?, process))
}

/// A header in upper case, then aligned rows with a wall-clock time.
pub fn table() -> Result<(), Failed> {
    let (finished, process) = trace(&[])?;
    let mut lines = finished.stdout.lines();
    let header = lines.next().unwrap_or_default().split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    if header != COLUMNS {
        return Err(format!("the header is {header:?}").into());
    }
    for line in lines {
        let time = line.split_whitespace().next().unwrap_or_default();
        if time.len() != 8 || time.split(':').filter_map(|part| part.parse::<u8>().ok()).count() != 3 {
            return Err(format!("no wall-clock time: {line}").into());
        }
    }
    Ok(check_multiples(&finished.counts_of(process.pid), STEP, process.faults, 0)?)
}

/// One object a line, with a type and named, typed fields.
pub fn json() -> Result<(), Failed> {
    let (finished, process) = trace(&["-f", "json"])?;
    let mut counts = Vec::new();
    for line in finished.stdout.lines() {
        let object: Value = serde_json::from_str(line)?;
        let data = &object["data"];
        if !object["type"].is_string() || COLUMNS.iter().any(|column| data.get(*column).is_none()) {
            return Err(format!("not an event: {line}").into());
        }
        if data["pid"] == process.pid {
            let comm = data["comm"].as_str();
            counts.push(data["nb_page_fault"].as_u64().filter(|_| comm == Some(COMM)).ok_or(line)?);
        }
    }
    Ok(check_multiples(&counts, STEP, process.faults, 0)?)
}

/// A record of the names, then one for each event.
pub fn csv() -> Result<(), Failed> {
    let (finished, process) = trace(&["--format=csv"])?;
    let mut reader = csv::Reader::from_reader(finished.stdout.as_bytes());
    if reader.headers()? != COLUMNS[..] {
        return Err(format!("the first record is {:?}", reader.headers()?).into());
    }
    let mut counts = Vec::new();
    for record in reader.records() {
        let record = record?;
        if record[1] == process.pid.to_string() {
            counts.push(record[3].parse()?);
        }
    }
    Ok(check_multiples(&counts, STEP, process.faults, 0)?)
}

/// `-o FILE` takes the data, and nothing of it goes to standard output.
pub fn into_file() -> Result<(), Failed> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live-output");
    let (mut finished, process) = trace(&["-o", &file.to_string_lossy()])?;
    if !finished.stdout.is_empty() {
        return Err(format!("on standard output: {}", finished.stdout).into());
    }
    finished.stdout = fs::read_to_string(&file)?;
    fs::remove_file(&file)?;
    Ok(check_multiples(&finished.counts_of(process.pid), STEP, process.faults, 0)?)
}

/// What a script says of itself goes to stderr with its place, whatever the form, and also with -q.
pub fn complaints() -> Result<(), Failed> {
    let script = "BEGIN {\n  warnf(\"%d of %s\\n\", 2, \"a\\x1bb\");\n  assert(pid == 0, \"100% so\");\n}";
    for form in ["table", "json"] {
        let output = pfscript().args(["-q", "-f", form, "-e", script]).output()?;
        let (said, code) = (String::from_utf8_lossy(&output.stderr), output.status.code());
        let expected = "-e:2:3: WARNING: 2 of a\x1bb\n-e:3:3: ERROR: 100% so\n";
        if said != expected || code != Some(1) || !output.stdout.is_empty() {
            return Err(format!("{form}: {code:?}, said {said:?}").into());
        }
    }
    Ok(())
}
