//! What a map has held, said when tracing ends: how many elements, their sum, and the greatest.
//!
//! Elements that were retired are in it. Their number and their sum were counted in the kernel and
//! are exact; of those that are named here only the greatest are kept, however many there were.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use pfscript_compiler::manifest::{DataType, MapInfo, MapRef, MapValue, RETIRED_NAME};

use crate::datum::Datum;
use crate::maps::Row;
use crate::output::Report;
use crate::output::context::Context;
use crate::output::elements::{Elements, number};
use crate::output::text::columns;

/// So many elements are named.
const SHOWN: usize = 10;

/// How wide the two numbers behind the key are at least.
const NUMBERS: [usize; 2] = [10, 6];

/// An element with what is shown of it.
#[derive(Clone, Debug)]
struct Element {
    number: i128,
    cells: Vec<String>,
}

/// The greatest of those elements that were retired, by map.
#[derive(Debug, Default)]
pub struct Retired(HashMap<MapRef, Vec<Element>>);

impl Retired {
    /// Takes in a record that tells of one: its value, the parts of its key, perhaps its name.
    pub fn add(&mut self, map: MapRef, info: &MapInfo, report: &Report<'_>, context: &mut Context) {
        let mut fields = report.layout.fields.iter().zip(report.values());
        let Some((_, Datum::Int(value))) = fields.next() else { return };
        let (name, key): (Vec<_>, Vec<_>) = fields.partition(|(field, _)| field.name == RETIRED_NAME);
        let greatest = self.0.entry(map).or_default();
        let number = value.value();
        if greatest.len() == SHOWN && greatest.iter().all(|element| element.number >= number) {
            return;
        }
        let name = name.first().map(|(_, name)| *name);
        let key = key.into_iter().flat_map(|(_, part)| part.spread());
        greatest.push(Element { number, cells: Elements::of(info).cells_of(&key.collect::<Vec<_>>(), name, context) });
        keep_greatest(greatest);
    }
}

/// The greatest first; among equals the one that was there before.
fn keep_greatest(elements: &mut Vec<Element>) {
    elements.sort_by_key(|element| std::cmp::Reverse(element.number));
    elements.truncate(SHOWN);
}

/// What a map has held.
#[derive(Clone, Debug)]
pub struct Summary {
    name: String,
    elements: Elements,
    count: u64,
    total: i128,
    greatest: Vec<Element>,
}

impl Summary {
    /// Sums up: `rows` are the elements that are there, ascending; `report` tells how many were
    /// retired and their sum.
    pub fn new(
        (map, info): (MapRef, &MapInfo),
        rows: &[Row],
        retired: &Retired,
        report: &Report<'_>,
        context: &mut Context,
    ) -> Self {
        let fields: Vec<_> = report.values().collect();
        let [Datum::Int(retired_count), Datum::Int(retired_sum)] = fields[..] else {
            unreachable!("the compiler lays out a summary as two integers")
        };
        let is_signed = match info.value {
            MapValue::Data(DataType::Int { signed, .. }) | MapValue::Sum { signed } => signed,
            _ => false,
        };
        let retired_sum = if is_signed { retired_sum.signed().into() } else { retired_sum.value() };
        let elements = Elements::of(info);
        let mut greatest = retired.0.get(&map).cloned().unwrap_or_default();
        greatest.extend(
            rows.iter().rev().take(SHOWN).map(|row| Element {
                number: number(&info.value, &row.value),
                cells: elements.cells(&row.key, context),
            }),
        );
        keep_greatest(&mut greatest);
        Self {
            name: if info.name.is_empty() { "total".to_owned() } else { info.name.clone() },
            count: retired_count.unsigned() + rows.len() as u64,
            total: retired_sum + rows.iter().map(|row| number(&info.value, &row.value)).sum::<i128>(),
            elements,
            greatest,
        }
    }

    /// In words and as a table; `took` is how long tracing was.
    pub fn text(&self, took: Duration, is_complete: bool) -> String {
        let (total, name, seconds) = (self.total, &self.name, took.as_secs_f64());
        let counted = self.elements.counted(self.count);
        let lost = if is_complete { "nothing lost" } else { "not all of them, see below" };
        let mut text = format!("{total} {name} of {counted} in {seconds:.1} s, {lost}\n");
        if !self.greatest.is_empty() {
            push_table(&mut text, &self.table(), self.elements.widths());
        }
        text
    }

    /// Its cells: the headings, the greatest, and what the others come to.
    fn table(&self) -> Vec<Vec<String>> {
        let mut heading = self.elements.headings();
        let keys = heading.len();
        heading.extend([self.name.to_uppercase(), "SHARE".to_owned()]);
        let mut table = vec![heading];
        for Element { number, cells } in &self.greatest {
            let mut row = cells.clone();
            row.resize(keys, String::new());
            row.extend([number.to_string(), self.share(*number)]);
            table.push(row);
        }
        let others = self.count.saturating_sub(self.greatest.len() as u64);
        if others > 0 {
            let rest = self.total - self.greatest.iter().map(|element| element.number).sum::<i128>();
            let mut row = vec![String::new(); keys];
            row[keys - 1] = format!("{others} more");
            row.extend([rest.to_string(), self.share(rest)]);
            table.push(row);
        }
        table
    }

    fn share(&self, number: i128) -> String {
        let share = if self.total == 0 { 0.0 } else { number as f64 / self.total as f64 };
        format!("{:.1}%", share * 100.0)
    }
}

/// Texts to the left, the two numbers at the end of each row to the right.
fn push_table(text: &mut String, table: &[Vec<String>], mut widths: Vec<usize>) {
    widths.extend(NUMBERS);
    for (width, column) in widths.iter_mut().zip(0..) {
        *width = table.iter().map(|row| columns(row[column].as_bytes())).fold(*width, usize::max);
    }
    for row in table {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - columns(cell.as_bytes()));
            let gap = if column == 0 { "" } else { " " };
            let (before, after) = if column + 2 >= row.len() { (padding.as_str(), "") } else { ("", padding.as_str()) };
            write!(text, "{gap}{before}{cell}{after}").expect("a String takes everything");
        }
        text.push('\n');
    }
}
