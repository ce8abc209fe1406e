//! If it compiles, it loads; and whatever it is, the compiler does not panic.
//!
//! Random scripts that are well typed by construction are compiled and every program of theirs is
//! loaded, not attached. `PFSCRIPT_FUZZ_SCRIPTS` says how many (300), `PFSCRIPT_FUZZ_SEED` where to
//! begin; script number N of a run is the first of a run whose seed is N higher. A failing script
//! is shrunk and printed as a case for `tests/cases/run`. `PFSCRIPT_FUZZ_KEEP=FOLDER` keeps all scripts.

mod corpus;
mod damage;
mod expressions;
mod generate;
mod judge;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "every test crate takes its part of the rig")]
mod rig;
mod scope;
mod shrink;
mod statements;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use pfscript::kernel::Kernel;
use pfscript_compiler::KernelInfo;
use pfscript_grammar::Severity;

use crate::judge::{Verdict, compiled, judge};
use crate::rig::need::{self, Need};
use crate::shrink::shrink;

/// What the checker may refuse a generated script for: what only it can know. The codes of too
/// much stack and of too long a program.
const MAY_BE_REFUSED_FOR: &[&str] = &["PF0601", "PF0602"];
/// At most one script in so many is refused.
const REFUSED_AT_MOST: usize = 10;

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        need::trial("generated/loads", &[Need::Root, Need::Tracefs], || loads(seed(), scripts())),
        Trial::test("generated/compiles", || compiles(seed(), scripts())),
        Trial::test("mutated/never_panics", || corpus::never_panics(seed(), 10 * scripts())),
        Trial::test("damaged/records", || damage::records(seed(), 100 * scripts())),
        Trial::test("damaged/formats", || damage::formats(seed(), 100 * scripts())),
        Trial::test("damaged/types", || damage::types(seed(), scripts() / 5)),
        Trial::test("damaged/command_lines", || damage::command_lines(seed(), scripts())),
        Trial::test("shrinking", shrinking),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn seed() -> u64 {
    number("PFSCRIPT_FUZZ_SEED", 1) as u64
}

fn scripts() -> usize {
    number("PFSCRIPT_FUZZ_SCRIPTS", 300)
}

fn number(name: &str, otherwise: usize) -> usize {
    env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number in the variable"))
}

/// Every generated script is accepted, but for the few whose limits only the checker knows, and
/// what is accepted is loaded.
fn loads(seed: u64, scripts: usize) -> Result<(), Failed> {
    let kernel = Kernel::new();
    let mut tally = Tally::default();
    for seed in seed..seed + scripts as u64 {
        let text = generate::script(seed, &kernel);
        let verdict = judge(&text, &kernel);
        if verdict.is_bug() {
            return Err(bug(seed, &text, &verdict, |text| judge(text, &kernel)));
        }
        tally.count(seed, &text, verdict)?;
    }
    tally.sum_up(scripts)
}

/// The same without a kernel to load into: as any user, and on any machine.
fn compiles(seed: u64, scripts: usize) -> Result<(), Failed> {
    let kernel = Kernel::new();
    let judge = |text: &str| compile_only(text, &kernel);
    let mut tally = Tally::default();
    for seed in seed..seed + scripts as u64 {
        let text = generate::script(seed, &kernel);
        keep(seed, &text)?;
        let verdict = judge(&text);
        if verdict.is_bug() {
            return Err(bug(seed, &text, &verdict, judge));
        }
        tally.count(seed, &text, verdict)?;
    }
    tally.sum_up(scripts)
}

/// Writes the script to the folder of `PFSCRIPT_FUZZ_KEEP`, if there is such a variable.
fn keep(seed: u64, text: &str) -> Result<(), Failed> {
    let Some(folder) = env::var_os("PFSCRIPT_FUZZ_KEEP") else { return Ok(()) };
    Ok(fs::write(Path::new(&folder).join(format!("{seed}.pf")), text)?)
}

fn compile_only(text: &str, kernel: &dyn KernelInfo) -> Verdict {
    compiled(text, kernel).map_or_else(|verdict| verdict, |_| Verdict::Loads { loaded: 0, left: 0 })
}

#[derive(Default)]
struct Tally {
    loaded: usize,
    left: usize,
    refused: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn count(&mut self, seed: u64, text: &str, verdict: Verdict) -> Result<(), Failed> {
        match verdict {
            Verdict::Loads { loaded, left } => {
                self.loaded += loaded;
                self.left += left;
            }
            Verdict::Refused(diagnostics) => {
                let errors = || diagnostics.iter().filter(|found| found.severity == Severity::Error);
                if let Some(odd) = errors().find(|found| !MAY_BE_REFUSED_FOR.contains(&found.code.0)) {
                    let place = text.get(odd.primary.span.range()).unwrap_or_default();
                    let why = format!("{}: {} at `{place}`", odd.code.0, odd.message);
                    return Err(format!("seed {seed}: a well-typed script is refused, {why}\n{text}").into());
                }
                errors().take(1).for_each(|error| *self.refused.entry(error.code.0).or_default() += 1);
            }
            bug => return Err(format!("seed {seed}: {bug:?}\n{text}").into()),
        }
        Ok(())
    }

    fn sum_up(self, scripts: usize) -> Result<(), Failed> {
        let refused: usize = self.refused.values().sum();
        let Self { loaded, left, refused: sizes } = &self;
        println!(
            "{scripts} scripts, {loaded} programs loaded, {left} for other kernels; refused for their size: {sizes:?}"
        );
        match refused * REFUSED_AT_MOST <= scripts {
            true => Ok(()),
            false => Err(format!("{refused} of {scripts} scripts were refused: the test tests little").into()),
        }
    }
}

/// Shrinks a script that shows a bug, and tells about it.
fn bug(seed: u64, text: &str, verdict: &Verdict, judge: impl Fn(&str) -> Verdict) -> Failed {
    let kind = std::mem::discriminant(verdict);
    eprintln!(
        "seed {seed} shows a bug, which is being shrunk: {}",
        format!("{verdict:?}").chars().take(200).collect::<String>()
    );
    let small = shrink(text, |text| std::mem::discriminant(&judge(text)) == kind);
    let verdict = match judge(&small) {
        Verdict::Rejected(why) => why,
        other => format!("{other:?}"),
    };
    format!("seed {seed}: {verdict}\n--- the script, shrunk:\n{small}\n--- as it was:\n{text}").into()
}

/// A script fails when it divides: what is left is a division.
fn shrinking() -> Result<(), Failed> {
    let text = "param p = 1;\nBEGIN /pid/ { $x = 3; if ($x) { @a[1, $x]++; @b = 7 + (pid / $x) * p; } }\nEND { }\n";
    let divides =
        |text: &str| text.contains('/') && matches!(compile_only(text, &Kernel::new()), Verdict::Loads { .. });
    let small = shrink(text, divides);
    if small.len() < text.len() / 3 { Ok(()) } else { Err(format!("only shrunk to {small}").into()) }
}
