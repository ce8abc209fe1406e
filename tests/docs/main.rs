//! The documents are true: what they claim of the tree holds, every script in them compiles and
//! runs, every command does, and listings are what the tool prints now.
//!
//! How blocks are marked is said in [`fences`]. A block that is marked in no way that is tested
//! fails, and so does a command in a block that is not marked at all: nothing is skipped silently.

mod claims;
mod fences;
mod listings;
mod machine;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "every test crate takes its part of the rig")]
mod rig;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::fences::{Fence, Session, fences, inline};
use crate::machine::Machine;
use crate::rig::need::{self, Need};

const TRACING: &[Need] = &[Need::Root, Need::Tracefs, Need::Command("timeout", "coreutils")];

fn main() {
    let mut arguments = Arguments::from_args();
    // What is traced in one document is not disturbed by another.
    arguments.test_threads = Some(1);
    let mut trials = vec![
        claim("links_lead_somewhere", claims::links_lead_somewhere),
        claim("the_code_map_names_what_is_there", claims::the_code_map_names_what_is_there),
        claim("every_script_is_built_in_and_told_of", claims::every_script_is_built_in_and_told_of),
        claim("every_promise_has_its_test", claims::every_promise_has_its_test),
        claim("the_man_page_says_what_the_help_says", claims::the_man_page_says_what_the_help_says),
        claim("the_readme_shows_pagefault_as_it_is", claims::the_readme_shows_pagefault_as_it_is),
        claim("the_table_for_bpftrace_users_is_whole", claims::the_table_for_bpftrace_users_is_whole),
        claim("no_command_is_excused_for_nothing", no_command_is_excused_for_nothing),
        claim("each_line_of_pagefaults_bytecode_is_explained", each_line_of_pagefaults_bytecode_is_explained),
    ];
    for document in documents() {
        let text = read(&document);
        trials.extend(trials_of(document, fences(&text), inline(&text)));
    }
    trials.extend(scripts().into_iter().map(usage_trial));
    libtest_mimic::run(&arguments, trials).exit();
}

/// A claim panics where it does not hold.
fn claim(name: &str, claim: fn()) -> Trial {
    Trial::test(name, move || {
        claim();
        Ok(())
    })
}

fn trials_of(document: PathBuf, fences: Vec<Fence>, inline: Vec<Session>) -> Vec<Trial> {
    if fences.is_empty() && inline.is_empty() {
        return Vec::new();
    }
    let name = document.strip_prefix(root()).expect("below the root").display().to_string();
    let (marked, compiled, run) = (fences.clone(), fences.clone(), name.clone());
    vec![
        Trial::test(format!("{name}/marked"), move || each(&marked, |fence| fence.mistake().map_or(Ok(()), Err))),
        Trial::test(format!("{name}/compiles"), move || each(&compiled, |fence| compiles(fence, &document))),
        need::trial(format!("{name}/runs"), TRACING, move || {
            let machine = Machine::new(&run)?;
            each(&fences, |fence| runs(fence, &machine))?;
            // Where a kernel lacks kprobes and a command says so, it is a script that needs them.
            Ok(inline.iter().try_for_each(|session| machine.run(session, true))?)
        }),
    ]
}

/// What the head of a script says of its use: a purpose in its first line, and commands, which run.
fn usage_trial(script: PathBuf) -> Trial {
    let name = format!("scripts/{}", script.file_name().unwrap_or_default().display());
    need::trial(format!("{name}/usage"), TRACING, move || {
        let text = read(&script);
        let head: Vec<_> = text.lines().skip(1).map_while(|line| line.strip_prefix("//")).collect();
        let commands: Vec<_> = head.iter().filter_map(|line| Session::of(line.strip_prefix("   ")?)).collect();
        let purpose = format!(" {} - ", name.trim_start_matches("scripts/"));
        if commands.is_empty() || !head.first().is_some_and(|line| line.starts_with(&purpose)) {
            return Err("its head tells no purpose or no use".into());
        }
        let machine = Machine::new(&name)?;
        Ok(commands.iter().try_for_each(|session| machine.run(session, true))?)
    })
}

/// All that is wrong with some blocks, each with its line.
fn each(fences: &[Fence], check: impl Fn(&Fence) -> Result<(), String>) -> Result<(), Failed> {
    let wrong = fences.iter().filter_map(|fence| Some(format!("line {}: {}", fence.line, check(fence).err()?)));
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// A script compiles without privileges, and a listing is that of the compiler as it is.
fn compiles(fence: &Fence, document: &Path) -> Result<(), String> {
    match fence.kind() {
        "pfscript" => pfscript(&["--check", "-e", &fence.text]).map(drop),
        "bytecode" => listings::check(fence, document),
        _ => Ok(()),
    }
}

fn pfscript(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pfscript"));
    let output = command.args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn runs(fence: &Fence, machine: &Machine) -> Result<(), String> {
    if fence.kind() == "pfscript" {
        if let Some(file) = fence.words.get(1) {
            machine.file(file, &fence.text)?;
        }
        return pfscript(&["-q", "--duration", "200ms", "-o", "/dev/null", "-e", &fence.text]).map(drop);
    }
    fence.sessions().iter().try_for_each(|session| machine.run(session, fence.is_marked("kprobe")))
}

/// What is excused from being run is in some document.
fn no_command_is_excused_for_nothing() {
    let fences: Vec<_> = documents().iter().flat_map(|document| fences(&read(document))).collect();
    let inline = documents().iter().flat_map(|document| inline(&read(document))).collect::<Vec<_>>();
    let commands = fences.iter().flat_map(Fence::sessions).chain(inline);
    let commands: Vec<_> = commands.map(|session| session.command).collect();
    let commands: Vec<_> = commands.iter().map(String::as_str).collect();
    assert_eq!(machine::forgotten(&commands), None);
}

/// Of the alternatives, which are alike, the first; of the tracepoint's program, whose offsets are a
/// kernel's own matter, nothing is asked.
fn each_line_of_pagefaults_bytecode_is_explained() {
    let fences = fences(&read(&root().join("docs/internals.md")));
    let explained: Vec<_> =
        fences.iter().filter(|fence| fence.kind() == "bytecode").map(|fence| &*fence.text).collect();
    let listing = pfscript(&["--dump-bytecode", "pagefault"]).expect("it compiles");
    for program in ["; kprobe:", "; END", "; flush"] {
        let program = listing.split("\n\n").find(|text| text.starts_with(program)).expect("it is in the listing");
        for line in program.lines() {
            assert!(explained.iter().any(|text| text.lines().any(|shown| shown == line)), "not explained: {line}");
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document, below the root.
fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("docs is a folder");
    let docs = docs.map(|entry| entry.expect("it can be listed").path()).filter(|path| is(path, "md"));
    let others = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "grammar/README.md", "tests/README.md"];
    let mut documents: Vec<_> = others.iter().map(|name| root().join(name)).chain(docs).collect();
    documents.sort();
    documents
}

/// Every script that users are given.
fn scripts() -> Vec<PathBuf> {
    let scripts = fs::read_dir(root().join("scripts")).expect("scripts is a folder");
    let mut scripts: Vec<_> = scripts.map(|entry| entry.expect("it can be listed").path()).collect();
    scripts.sort();
    scripts
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own == extension)
}
