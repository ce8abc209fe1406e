//! Expressions run by the tool itself: `BEGIN` stores their values in maps, which are printed as JSON.
//!
//! Each expression is written three times: of literals, which the compiler folds; of numbers that
//! an earlier `BEGIN` left in maps, of which the compiler knows nothing; and of some of each.

use std::collections::HashMap;
use std::fmt::Write;
use std::process::Command;

use libtest_mimic::Failed;

use crate::expression::{Expr, Number, UINT64};

/// Expressions in one program: the kernel takes no more than it can verify.
const IN_ONE_PROGRAM: usize = 40;

/// How an expression's numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// As literals.
    Folded,
    /// Some of them read from maps.
    Mixed,
    /// All of them read from maps.
    Hidden,
}

/// An expression with all the numbers in it.
pub struct Case {
    pub expr: Expr,
    pub leaves: Vec<Number>,
}

impl Case {
    /// The expression in that form; none where the language does not allow it.
    pub fn write(&self, form: Form, hidden: &dyn Fn(Number, usize) -> String) -> Option<String> {
        let leaf = |number: Number, place: usize| match form {
            Form::Hidden => hidden(number, place),
            Form::Mixed if place.is_multiple_of(2) => hidden(number, place),
            _ => number.literal(),
        };
        let is_possible = form == Form::Hidden || !self.expr.divides_by_zero();
        is_possible.then(|| self.expr.write(&leaf))
    }
}

/// Runs all cases in all forms; every value must be what the reference says.
pub fn run(cases: &[Case]) -> Result<usize, Failed> {
    let values = values(&script(cases))?;
    let mut compared = 0;
    for (index, case) in cases.iter().enumerate() {
        let expected = case.expr.evaluate();
        for form in [Form::Folded, Form::Mixed, Form::Hidden] {
            let Some(text) = case.write(form, &|number, place| cell(number, index, place)) else { continue };
            let found = values.get(&(map_of(form, expected), index)).copied();
            if found != Some(expected.value) {
                let all_literal = case.expr.write(&|number, _| number.literal());
                let told = format!("{form:?} {text} is {found:?} where {} is due", expected.value);
                return Err(format!("{told}; with literals it is {all_literal}").into());
            }
            compared += 1;
        }
    }
    Ok(compared)
}

/// Signed and unsigned results go to maps of their own: a map's values have one type.
fn map_of(form: Form, result: Number) -> String {
    format!("{form:?}{}", if result.ty == UINT64 { "Unsigned" } else { "Signed" })
}

fn script(cases: &[Case]) -> String {
    let mut text = String::new();
    for (number, chunk) in cases.chunks(IN_ONE_PROGRAM).enumerate() {
        let first = number * IN_ONE_PROGRAM;
        let numbers = (first..).zip(chunk).flat_map(|(index, case)| {
            let leaves = case.leaves.iter().enumerate();
            leaves.map(move |(place, leaf)| setting(*leaf, index, place))
        });
        push_program(&mut text, numbers);
        for form in [Form::Folded, Form::Mixed, Form::Hidden] {
            push_program(&mut text, (first..).zip(chunk).filter_map(|(index, case)| storing(case, form, index)));
        }
    }
    text + "BEGIN { exit(); }\nEND { clear(@signed); clear(@unsigned); }\n"
}

fn push_program(text: &mut String, statements: impl Iterator<Item = String>) {
    text.push_str("BEGIN {\n");
    statements.for_each(|statement| writeln!(text, "    {statement}").expect("a string takes everything"));
    text.push_str("}\n");
}

fn setting(number: Number, index: usize, place: usize) -> String {
    let wide = if number.ty == UINT64 { "(uint64)" } else { "(int64)" };
    format!("{} = {wide}{};", place_of(number, index, place), number.literal())
}

fn storing(case: &Case, form: Form, index: usize) -> Option<String> {
    let expr = case.write(form, &|number, place| cell(number, index, place))?;
    Some(format!("@{}[{index}] = {expr};", map_of(form, case.expr.evaluate())))
}

/// The map element that holds a number.
fn place_of(number: Number, index: usize, place: usize) -> String {
    let map = if number.ty == UINT64 { "unsigned" } else { "signed" };
    format!("@{map}[{index}, {place}]")
}

/// The number read from its map element, with its type.
fn cell(number: Number, index: usize, place: usize) -> String {
    let cell = place_of(number, index, place);
    if number.ty.bits == 64 { cell } else { format!("({}){cell}", number.ty.name()) }
}

/// What the run leaves in the maps, by the map's name and the key.
fn values(script: &str) -> Result<HashMap<(String, usize), i128>, Failed> {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("exec_{}.pf", std::process::id()));
    std::fs::write(&file, script)?;
    let output = Command::new(env!("CARGO_BIN_EXE_pfscript")).args(["-q", "-f", "json"]).arg(&file).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} does not run: {said}", file.display()).into());
    }
    std::fs::remove_file(file)?;
    let mut values = HashMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        for (map, elements) in line["data"].as_object().into_iter().flatten() {
            for (key, value) in elements.as_object().into_iter().flatten() {
                let number = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
                let number = number.ok_or_else(|| format!("{map}[{key}] is {value}"))?;
                values.insert((map.trim_start_matches('@').to_owned(), key.parse()?), number);
            }
        }
    }
    Ok(values)
}
