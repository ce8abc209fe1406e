//! Scripts with their expectations beside them: `tests/cases/FOLDER/NAME.pf` and any of
//! `NAME.ast .err .ir .asm .out .said`, each of them one test. See tests/README.md for how to add one.
//!
//! What is expected must be true on every machine: cases run in their own folder, so that no
//! message names another, and read no field of a tracepoint, whose place is a kernel's own matter.

#[allow(dead_code, reason = "every test crate takes its part of the rig")]
mod rig;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::rig::need::{self, Need};

/// One kind of expectation: what the tool is asked for and which of its answers is compared.
struct Expectation {
    extension: &'static str,
    options: &'static [&'static str],
    answer: fn(&Output) -> &[u8],
    /// The exit code, unless the case has a line `// exit: N`.
    exit: i32,
    needs: &'static [Need],
}

const EXPECTATIONS: &[Expectation] = &[
    Expectation { extension: "ast", options: &["--dump-ast"], answer: stdout, exit: 0, needs: &[] },
    Expectation { extension: "err", options: &["--check"], answer: stderr, exit: 1, needs: &[] },
    Expectation { extension: "ir", options: &["--dump-ir"], answer: stdout, exit: 0, needs: &[] },
    Expectation { extension: "asm", options: &["--dump-bytecode"], answer: stdout, exit: 0, needs: &[] },
    Expectation { extension: "out", options: &["-q"], answer: stdout, exit: 0, needs: &[Need::Root, Need::Tracefs] },
    Expectation { extension: "said", options: &[], answer: stderr, exit: 0, needs: &[Need::Root, Need::Tracefs] },
];

/// The folders of cases.
const FOLDERS: [&str; 4] = ["syntax", "check", "codegen", "run"];

fn main() {
    let arguments = Arguments::from_args();
    let trials = case_trials().into_iter().chain(pass_trials()).chain(script_trials()).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn stdout(output: &Output) -> &[u8] {
    &output.stdout
}

fn stderr(output: &Output) -> &[u8] {
    &output.stderr
}

/// A test for each expectation, and a failing one for each file that belongs to nothing.
fn case_trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for folder in FOLDERS.map(|folder| root().join("tests/cases").join(folder)) {
        let files = files(&folder).into_iter().collect::<BTreeSet<_>>();
        for file in &files {
            let name = format!("{}/{}", file_name(&folder), file_name(file));
            match EXPECTATIONS.iter().find(|known| has_extension(file, known.extension)) {
                Some(expectation) if files.contains(&file.with_extension("pf")) => {
                    let file = file.clone();
                    trials.push(need::trial(name, expectation.needs, move || compare(&file, expectation)));
                }
                Some(_) => trials.push(broken(name, "this expectation has no .pf beside it")),
                None if !has_extension(file, "pf") => trials.push(broken(name, "no part of a case has this extension")),
                None if EXPECTATIONS.iter().all(|known| !files.contains(&file.with_extension(known.extension))) => {
                    trials.push(broken(name, "this case expects nothing"));
                }
                None => {}
            }
        }
    }
    trials
}

fn broken(name: String, why: &'static str) -> Trial {
    Trial::test(name, move || Err(why.into()))
}

/// Runs one case and compares, or with `PFSCRIPT_BLESS=1` rewrites, one expectation.
fn compare(file: &Path, expectation: &Expectation) -> Result<(), Failed> {
    let script = file.with_extension("pf");
    let text = fs::read_to_string(&script)?;
    let folder = script.parent().expect("a case is in a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pfscript"));
    command.current_dir(folder).args(expectation.options).arg(file_name(&script)).env("NO_COLOR", "1");
    let output = command.args(directive(&text, "args").unwrap_or_default().split_whitespace()).output()?;

    let exit = directive(&text, "exit").map_or(Ok(expectation.exit), str::parse)?;
    if output.status.code() != Some(exit) {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("exit {:?} where {exit} is expected; stderr:\n{said}", output.status.code()).into());
    }
    let answer = String::from_utf8_lossy((expectation.answer)(&output)).into_owned();
    if env::var_os("PFSCRIPT_BLESS").is_some_and(|value| value == "1") {
        return Ok(fs::write(file, answer)?);
    }
    let expected = fs::read_to_string(file)?;
    if expected.is_empty() {
        return Err("nothing is expected yet: PFSCRIPT_BLESS=1 fills it in".into());
    }
    difference(&expected, &answer).map_or(Ok(()), |found| Err(found.into()))
}

/// What a comment line `// name: VALUE` at the head of the script says.
fn directive<'a>(script: &'a str, name: &str) -> Option<&'a str> {
    let mut head = script.lines().take_while(|line| line.starts_with("//") || line.starts_with("#!"));
    head.find_map(|line| line.strip_prefix("//")?.trim_start().strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The first line that differs, with the whole answer; nothing when they are equal.
fn difference(expected: &str, answer: &str) -> Option<String> {
    if expected == answer {
        return None;
    }
    let same = expected.lines().zip(answer.lines()).take_while(|(wanted, given)| wanted == given).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    Some(format!(
        "line {} differs (PFSCRIPT_BLESS=1 rewrites it)\n  expected: {}\n  answered: {}\nthe whole answer:\n{answer}",
        same + 1,
        line(expected),
        line(answer)
    ))
}

/// `tests/cases/passes/NAME.pf` shows what the compiler's pass NAME does: NAME.ir holds the IR
/// before and after it. Every pass has one, but for those that run again and change no IR.
fn pass_trials() -> Vec<Trial> {
    let folder = root().join("tests/cases/passes");
    let passes: Vec<&str> = pfscript_compiler::pass_names().collect();
    let mut trials = Vec::new();
    for pair in passes.windows(2) {
        let (before, pass) = (pair[0], pair[1]);
        let runs_again = pass.ends_with("_again") || pass.ends_with("_expanded");
        if runs_again || pass == "find_sequences" {
            continue;
        }
        let file = folder.join(pass).with_extension("ir");
        trials.push(Trial::test(format!("passes/{pass}.ir"), move || compare_pass(&file, before, pass)));
    }
    for file in files(&folder) {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !passes.contains(&stem.as_str()) {
            trials.push(broken(format!("passes/{}", file_name(&file)), "no pass has this name"));
        }
    }
    trials
}

fn compare_pass(file: &Path, before: &str, pass: &str) -> Result<(), Failed> {
    let script = file.with_extension("pf");
    let (mut shown, mut states) = (String::new(), Vec::new());
    for name in [before, pass] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pfscript"));
        let output = command.arg(format!("--dump-ir={name}")).arg(&script).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        shown += &format!("; after {name}\n{}\n", String::from_utf8_lossy(&output.stdout));
        states.push(output.stdout);
    }
    if states[0] == states[1] {
        return Err("the pass changes nothing here: another script is needed".into());
    }
    if env::var_os("PFSCRIPT_BLESS").is_some_and(|value| value == "1") {
        return Ok(fs::write(file, shown)?);
    }
    let expected = fs::read_to_string(file)?;
    difference(&expected, &shown).map_or(Ok(()), |found| Err(found.into()))
}

/// Every script that users are given compiles without privileges; `live` and `vm` put each to work.
fn script_trials() -> Vec<Trial> {
    let scripts = files(&root().join("scripts")).into_iter().filter(|file| has_extension(file, "pf"));
    let check =
        |script: PathBuf| Trial::test(format!("scripts/{}/check", file_name(&script)), move || compiles(&script));
    scripts.map(check).collect()
}

fn compiles(script: &Path) -> Result<(), Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_pfscript")).arg("--check").arg(script).output()?;
    match output.status.code() {
        Some(0) if output.stderr.is_empty() => Ok(()),
        code => Err(format!("exit {code:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// The repository: the tests are of the crate `runtime`, one level below.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What is in a folder, in the order of the names; nothing when there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own == extension)
}
