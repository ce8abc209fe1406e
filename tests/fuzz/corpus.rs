//! Scripts of the suite, mutated word by word: whatever comes out, nothing panics.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Failed;
use pfscript_compiler::KernelInfo;
use pfscript_grammar::soundness;

use crate::judge::{Verdict, compiled};
use crate::rig::random::Random;
use crate::shrink::shrink;

#[path = "fixed_kernel.rs"]
pub mod fixed_kernel;

use fixed_kernel::FixedKernel;

/// Words that mutation puts in, beside those of the corpus.
const SALT: &[&str] = &[
    "9223372036854775808",
    "0",
    "-1",
    "@",
    "$x",
    "$#",
    "$1",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ";",
    ",",
    "\"",
    "/",
    "?",
    ":",
    "..",
    "every",
    "of",
    "or",
    "let",
    "in",
    "unroll",
    "(uint8)",
    "(struct task_struct *)",
    "*",
    "hist",
    "kstack",
];

/// Compiles `count` mutated scripts.
pub fn never_panics(seed: u64, count: usize) -> Result<(), Failed> {
    let corpus = corpus();
    if corpus.len() < 40 {
        return Err("the corpus is gone".into());
    }
    let words: Vec<String> = corpus.iter().flat_map(|text| split(text)).map(str::to_owned).collect();
    for seed in seed..seed + count as u64 {
        let mut random = Random::new(seed);
        let text = mutated(random.one_of(&corpus).clone(), &words, &mut random);
        check(&text).map_err(|why| format!("seed {seed}: {why}"))?;
    }
    Ok(())
}

fn check(text: &str) -> Result<(), String> {
    let sound = std::panic::catch_unwind(|| soundness::check(text));
    if sound.is_err() {
        return Err(format!("the parser is unsound on\n{text}"));
    }
    let kernel = FixedKernel;
    let panics = |text: &str| matches!(compiled(text, &kernel as &dyn KernelInfo), Err(Verdict::Panicked(_)));
    match compiled(text, &kernel) {
        Err(Verdict::Panicked(why)) => Err(format!("the compiler panics: {why}\n{}", shrink(text, panics))),
        _ => Ok(()),
    }
}

/// All scripts of the suite, and those that users are given.
fn corpus() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = ["tests/cases/syntax", "tests/cases/check", "tests/cases/codegen", "tests/cases/run", "scripts"];
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pf"))
        .collect();
    files.sort();
    files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// Words and single marks, with the blanks between them.
fn split(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (part, behind) = rest.split_at(length);
        parts.push(part);
        rest = behind;
    }
    parts
}

fn mutated(text: String, words: &[String], random: &mut Random) -> String {
    let mut parts: Vec<&str> = split(&text);
    for _ in 0..1 + random.below(4) {
        let place = random.below(parts.len() + 1);
        let word = if random.percent(30) { random.pick(SALT) } else { random.one_of(words).as_str() };
        match random.below(5) {
            0 if place < parts.len() => drop(parts.remove(place)),
            1 if place < parts.len() => parts[place] = word,
            2 if place + 1 < parts.len() => parts.swap(place, place + 1),
            3 if place < parts.len() => {
                let end = (place + 1 + random.below(12)).min(parts.len());
                let copy = parts[place..end].to_vec();
                parts.splice(place..place, copy);
            }
            _ => parts.insert(place, word),
        }
    }
    parts.concat()
}
