//! The form for flame graphs: maps keyed by stacks, a line for each different stack, outermost
//! frame first: `gcc;main;parse;handle_mm_fault_[k] 17`.
//!
//! That is what `flamegraph.pl`, inferno and speedscope read. Before the frames stands what else is
//! in the key; behind a process's frames those of the kernel that it called, marked by `_[k]`.
//! Offsets are left away, neighbours without a name in one file become one frame, and stacks that are
//! then equal one line. Nothing but these maps
//! has a place in this form: [`has_stacks`] says which they are.

use std::borrow::Cow;
use std::collections::BTreeMap;

use pfscript_compiler::manifest::{DataType, Manifest, MapInfo, MapValue, StackNotation, StackShape};

use crate::datum::{Datum, decode};
use crate::maps::{Row, Value};
use crate::output::context::Context;
use crate::output::text::push_escaped;
use crate::output::{Form, Report};
use crate::symbols::Frame;
use crate::symbols::stacks::label;

/// Folded stacks with what they weigh, in the order of their text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folds {
    weights: BTreeMap<Vec<u8>, u128>,
    /// Several maps have stacks: the name of its map tells a line's origin.
    is_named: bool,
}

impl Folds {
    /// None yet of the maps of `manifest`.
    pub fn of(manifest: &Manifest) -> Self {
        let is_named = manifest.maps.iter().filter(|map| has_stacks(map)).count() > 1;
        Self { weights: BTreeMap::new(), is_named }
    }

    /// Adds a map's rows, numbers divided by `div`. Only what weighs something is seen.
    pub fn add(&mut self, info: &MapInfo, rows: &[Row], div: u64, context: &mut Context) {
        for row in rows {
            let weight = weight(&row.value, info) / u128::from(div.max(1));
            if weight > 0 {
                *self.weights.entry(self.fold(info, &row.key, context)).or_default() += weight;
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// The lines, without ends.
    pub fn lines(&self) -> impl Iterator<Item = Vec<u8>> {
        self.weights.iter().map(|(stack, weight)| [stack.as_slice(), format!(" {weight}").as_bytes()].concat())
    }

    /// `comm;outer;inner;outer_[k];inner_[k]`
    fn fold(&self, info: &MapInfo, key: &[u8], context: &mut Context) -> Vec<u8> {
        let (mut plain, mut user, mut kernel) = (Vec::new(), Vec::new(), Vec::new());
        if self.is_named {
            plain.push(format!("@{}", info.name).into_bytes());
        }
        for datum in info.key.iter().map(|member| decode::member(member, key)) {
            match datum {
                Datum::UserStack(number, pid, shape) => {
                    user.extend(outermost_first(&Datum::UserStack(number, pid, by_name(shape)), "", context));
                }
                Datum::KernelStack(number, shape) => {
                    kernel.extend(outermost_first(&Datum::KernelStack(number, by_name(shape)), "_[k]", context));
                }
                _ => plain.push(part(&datum, context)),
            }
        }
        [plain, user, kernel].concat().join(&b';')
    }
}

/// Folded stacks hold names, however else the script has them shown.
fn by_name(shape: StackShape) -> StackShape {
    StackShape { notation: StackNotation::Name, ..shape }
}

fn outermost_first(stack: &Datum<'_>, mark: &str, context: &mut Context) -> Vec<Vec<u8>> {
    labels(&stack.frames(context)).iter().map(|label| frame(label, mark)).collect()
}

/// What the frames are called, outermost first.
fn labels(innermost_first: &[Frame]) -> Vec<Cow<'_, str>> {
    let mut labels: Vec<_> = innermost_first.iter().rev().map(|frame| label(frame)).collect();
    labels.dedup_by(|next, label| next == label && label.starts_with('['));
    labels
}

fn frame(label: &str, mark: &str) -> Vec<u8> {
    let mut text = Vec::new();
    push_escaped(&mut text, label.as_bytes());
    text.extend_from_slice(mark.as_bytes());
    separable(&text)
}

fn part(datum: &Datum<'_>, context: &mut Context) -> Vec<u8> {
    let mut text = Vec::new();
    datum.push_in_line(&mut text, context);
    separable(&text)
}

/// `;` separates frames, and occurs in names of Rust, as in `[u8; 4]`.
fn separable(text: &[u8]) -> Vec<u8> {
    text.iter().map(|&byte| if byte == b';' { b':' } else { byte }).collect()
}

/// How much a row counts: a number itself, an average the mean, a histogram what it holds.
fn weight(value: &Value, info: &MapInfo) -> u128 {
    let number = match (value, &info.value) {
        (Value::Data(bytes), MapValue::Data(DataType::Int { bytes: width, signed })) => {
            decode::integer(bytes, *width, *signed).value()
        }
        (Value::Data(_), _) => 0,
        (Value::Number(number), _) => number.value(),
        (Value::Average { count, total }, _) => Value::average(*count, *total).value(),
        (Value::Histogram(counts), _) => counts.iter().map(|&count| i128::from(count)).sum(),
    };
    number.try_into().unwrap_or(0)
}

/// Whether the key of a map has a stack in it.
pub fn has_stacks(info: &MapInfo) -> bool {
    info.key.iter().any(|member| matches!(member.ty, DataType::KernelStack(_) | DataType::UserStack(_)))
}

/// Writes folded stacks.
pub struct Folded {
    /// What each printed map begins with.
    empty: Folds,
}

impl Folded {
    /// A writer of the maps of `manifest`.
    pub fn new(manifest: &Manifest) -> Self {
        Self { empty: Folds::of(manifest) }
    }
}

impl Form for Folded {
    fn takes_events(&self) -> bool {
        false
    }

    fn takes_map(&self, info: &MapInfo) -> bool {
        has_stacks(info)
    }

    fn event(&mut self, _out: &mut Vec<u8>, _report: &Report<'_>, _context: &mut Context) {}

    fn printf(&mut self, _out: &mut Vec<u8>, _report: &Report<'_>, _context: &mut Context) {}

    fn time(&mut self, _out: &mut Vec<u8>, _text: &[u8]) {}

    fn map(&mut self, out: &mut Vec<u8>, info: &MapInfo, rows: &[Row], div: u64, context: &mut Context) {
        let mut folds = self.empty.clone();
        folds.add(info, rows, div, context);
        for line in folds.lines() {
            out.extend_from_slice(&line);
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use pfscript_compiler::manifest::Member;

    use super::*;
    use crate::output::sample;

    fn with_stack() -> (MapInfo, Vec<Row>) {
        let (info, rows) = sample::data_map();
        let ty = DataType::KernelStack(StackShape { depth: 127, notation: StackNotation::Perf });
        let key = info.key.iter().cloned().chain([Member { offset: 8, ty }]).collect();
        (MapInfo { key, ..info }, rows)
    }

    fn folded(manifest: &Manifest, div: u64) -> String {
        let (info, rows) = with_stack();
        let mut out = Vec::new();
        Folded::new(manifest).map(&mut out, &info, &rows, div, &mut Context::default());
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn what_else_is_in_the_key_comes_first_and_what_weighs_nothing_is_left_away() {
        assert_eq!(folded(&Manifest::default(), 1), "2;x\\x1b 9\n");
        assert_eq!(folded(&Manifest::default(), 4), "2;x\\x1b 2\n");
    }

    #[test]
    fn several_maps_are_told_apart() {
        let (info, _) = with_stack();
        let manifest = Manifest { maps: vec![info.clone(), info], ..Manifest::default() };
        assert_eq!(folded(&manifest, 1), "@c;2;x\\x1b 9\n");
    }

    #[test]
    fn equal_lines_become_one() {
        let (info, rows) = with_stack();
        let mut folds = Folds::default();
        (0..3).for_each(|_| folds.add(&info, &rows, 1, &mut Context::default()));
        assert_eq!(folds.lines().collect::<Vec<_>>(), [b"2;x\\x1b 27"]);
    }

    #[test]
    fn only_maps_with_stacks_have_a_place() {
        let folded = Folded::new(&Manifest::default());
        assert!(folded.takes_map(&with_stack().0));
        assert!(!folded.takes_map(&sample::data_map().0) && !folded.takes_events());
    }

    #[test]
    fn neighbours_without_a_name_are_one_frame() {
        let frames =
            ["f+1", "f+2", "0x1 [a+0x1]", "0x2 [a+0x2]", "0x3 [b+0x3]", "0x4", "0x5 [unknown]"].map(Into::into);
        assert_eq!(labels(&frames), ["[unknown]", "[b]", "[a]", "f", "f"]);
    }

    #[test]
    fn a_separator_in_a_name_separates_nothing() {
        assert_eq!(separable(b"touch::<[u8; 4]>"), b"touch::<[u8: 4]>");
    }
}
