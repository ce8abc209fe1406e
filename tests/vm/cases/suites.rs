//! The test binaries of the tree, run on a machine of the matrix: the run cases of `suite`, all of
//! `scripts/`, and the generated scripts of `fuzz`.

use std::fs;
use std::path::Path;

use super::{Case, Needs, shown};
use crate::machine::Transcript;

/// Cases that are many.
pub const CASES: &[Case] = &[
    Case {
        name: "suite_of_cases",
        needs: Needs::Nothing,
        commands: "suite run/ --color never --test-threads 2",
        check: &|seen| all_passed(seen, files("../tests/cases/run", &["out", "said"])),
    },
    Case {
        name: "suite_of_scripts",
        needs: Needs::Nothing,
        commands: "suite scripts/ --color never --test-threads 2",
        check: &|seen| all_passed(seen, files("../scripts", &["pf"])),
    },
    Case {
        name: "suite_of_generated",
        needs: Needs::Both,
        commands: "PFSCRIPT_FUZZ_SCRIPTS=200 fuzz generated/loads --color never --nocapture",
        check: &|seen| {
            all_passed(seen, 1)?;
            shown(seen, &["200 scripts, ", " 0 for other kernels"])
        },
    },
];

/// The tests of a test binary, as it prints them: name, and whether it passed.
pub fn parts(seen: &Transcript) -> Vec<(String, bool)> {
    let line = |line: &String| {
        let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
        Some((name.trim_end().to_owned(), result == "ok"))
    };
    seen.lines.iter().filter_map(line).collect()
}

/// As many tests as there should be, and each passed: a skipped one did not.
fn all_passed(seen: &Transcript, count: usize) -> Result<(), String> {
    let parts = parts(seen);
    let failed: Vec<&str> = parts.iter().filter(|(_, passed)| !passed).map(|(name, _)| name.as_str()).collect();
    match (failed.is_empty(), parts.len() == count) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("these failed: {}", failed.join(", "))),
        (true, false) => Err(format!("{} tests ran, there are {count}", parts.len())),
    }
}

/// How many files of the tree's folder have one of these extensions.
fn files(folder: &str, extensions: &[&str]) -> usize {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|own| extensions.iter().any(|extension| own == *extension)))
        .count()
}
