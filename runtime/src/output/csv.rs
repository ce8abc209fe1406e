//! The form for spreadsheets: one header, then a record an event, by the csv crate.
//!
//! A script with several `emit` statements has one header with the columns of all of them, so
//! that every record has the same fields: those that its event does not have stay empty. The text
//! of `printf` and `time` is a column too. Maps printed by the script make tables of their own, one for those
//! with the same columns.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use pfscript_compiler::manifest::{Action, DataType, MapInfo, MapValue, RecordLayout};

use crate::datum::{Datum, decode};
use crate::maps::{Row, Value};
use crate::output::context::Context;
use crate::output::histogram::{hist, lhist};
use crate::output::printf::{TextForm, push_printf};
use crate::output::value::{StackForm, push_members};
use crate::output::{Form, Report};

/// The column with the text of `printf` and `time`.
const PRINTF: &str = "printf";

/// Writes records.
pub struct Csv {
    writer: csv::Writer<Shared>,
    written: Shared,
    columns: Vec<String>,
    header: Header,
    field: Vec<u8>,
}

/// The header that stands above the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    None,
    Events,
    /// Of maps whose values have these columns.
    Map(&'static [&'static str]),
}

/// Bytes that the csv writer writes and the form takes away.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Csv {
    /// A writer for events of these layouts.
    pub fn new(layouts: &[RecordLayout]) -> Self {
        let written = Shared::default();
        let writer = csv::WriterBuilder::new().flexible(true).from_writer(written.clone());
        Self { writer, written, columns: columns(layouts), header: Header::None, field: Vec::new() }
    }

    /// A record of all columns, each appended by `value`; nothing appended is an empty field.
    fn record(&mut self, mut value: impl FnMut(&str, &mut Vec<u8>)) -> csv::Result<()> {
        if self.header != Header::Events {
            self.writer.write_record(&self.columns)?;
            self.header = Header::Events;
        }
        for column in &self.columns {
            self.field.clear();
            value(column, &mut self.field);
            self.writer.write_field(&self.field)?;
        }
        self.writer.write_record(None::<&[u8]>)
    }

    fn rows(&mut self, info: &MapInfo, rows: &[Row], div: u64, context: &mut Context) -> csv::Result<()> {
        let header = Header::Map(value_columns(&info.value));
        if self.header != header {
            self.writer.write_record(["map", "key"].iter().chain(value_columns(&info.value)))?;
            self.header = header;
        }
        for row in rows {
            let key = &mut Vec::new();
            push_members(key, &info.key, &row.key, context, StackForm::OneLine);
            for mut fields in value_fields(&info.value, &row.value, div, context) {
                fields.splice(0..0, [format!("@{}", info.name), String::from_utf8_lossy(key).into_owned()]);
                self.writer.write_record(fields)?;
            }
        }
        Ok(())
    }

    /// Moves what the csv writer wrote to `out`.
    fn take(&mut self, result: csv::Result<()>, out: &mut Vec<u8>) {
        result.expect("memory takes every record, and records may differ in length");
        self.writer.flush().expect("memory takes everything");
        out.append(&mut self.written.0.borrow_mut());
    }
}

impl Form for Csv {
    fn event(&mut self, out: &mut Vec<u8>, report: &Report<'_>, context: &mut Context) {
        let result = self.record(|column, field| {
            let named = report.layout.fields.iter().find(|field| field.name == column);
            if let Some(named) = named {
                push_datum(field, &decode::field(&named.place, report.record), context);
            }
        });
        self.take(result, out);
    }

    fn printf(&mut self, out: &mut Vec<u8>, report: &Report<'_>, context: &mut Context) {
        let result = self.record(|column, field| {
            if column == PRINTF {
                push_printf(field, report.format, report.values(), context, TextForm::Escaped);
                field.truncate(field.trim_ascii_end().len());
            }
        });
        self.take(result, out);
    }

    fn time(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        let result = self.record(|column, field| {
            if column == PRINTF {
                field.extend_from_slice(text.trim_ascii_end());
            }
        });
        self.take(result, out);
    }

    fn map(&mut self, out: &mut Vec<u8>, info: &MapInfo, rows: &[Row], div: u64, context: &mut Context) {
        if !rows.is_empty() {
            let result = self.rows(info, rows, div, context);
            self.take(result, out);
        }
    }
}

/// The names of all events' fields, each once, in order of their first use.
fn columns(layouts: &[RecordLayout]) -> Vec<String> {
    let emits = layouts.iter().filter(|layout| matches!(layout.action, Action::Emit { .. }));
    let mut columns: Vec<String> = Vec::new();
    for field in emits.flat_map(|layout| &layout.fields) {
        if !columns.contains(&field.name) {
            columns.push(field.name.clone());
        }
    }
    let is_text = |action: &Action| matches!(action, Action::Printf(_) | Action::PrintValue(_) | Action::Time(_));
    if layouts.iter().any(|layout| is_text(&layout.action)) {
        columns.push(PRINTF.to_owned());
    }
    columns
}

fn push_datum(out: &mut Vec<u8>, datum: &Datum<'_>, context: &mut Context) {
    match datum {
        Datum::Time(monotonic) => context.clock.push_rfc3339(out, *monotonic),
        _ => datum.push_in_line(out, context),
    }
}

fn value_columns(kind: &MapValue) -> &'static [&'static str] {
    match kind {
        MapValue::Stats { .. } => &["count", "average", "total"],
        MapValue::Hist | MapValue::Lhist { .. } => &["min", "max", "count"],
        _ => &["value"],
    }
}

/// The fields of one entry: one record, or one a bucket.
fn value_fields(kind: &MapValue, value: &Value, div: u64, context: &mut Context) -> Vec<Vec<String>> {
    let buckets = match (value, kind) {
        (Value::Histogram(counts), MapValue::Lhist { min, max, step }) => lhist(counts, *min, *max, *step),
        (Value::Histogram(counts), _) => hist(counts),
        (Value::Average { count, total }, MapValue::Stats { .. }) => {
            let average = Value::average(*count, *total).value();
            return vec![vec![count.to_string(), average.to_string(), total.value().to_string()]];
        }
        _ => return vec![vec![single_field(kind, value, div, context)]],
    };
    let bound = |bound: Option<i128>| bound.map_or_else(String::new, |bound| bound.to_string());
    let row = |bucket: &crate::output::histogram::Bucket| {
        vec![bound(bucket.min), bound(bucket.max), (bucket.count / div.max(1)).to_string()]
    };
    buckets.iter().map(row).collect()
}

fn single_field(kind: &MapValue, value: &Value, div: u64, context: &mut Context) -> String {
    let number = match (value, kind) {
        (Value::Data(bytes), MapValue::Data(DataType::Int { bytes: width, signed })) => {
            decode::integer(bytes, *width, *signed)
        }
        (Value::Data(bytes), MapValue::Data(ty)) => {
            let mut text = Vec::new();
            push_datum(&mut text, &decode::datum(ty, bytes), context);
            return String::from_utf8_lossy(&text).into_owned();
        }
        (Value::Number(number), _) => *number,
        (Value::Average { count, total }, _) => Value::average(*count, *total),
        _ => return String::new(),
    };
    number.divided_by(div).value().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::sample;

    fn text(out: Vec<u8>) -> String {
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn one_header_holds_the_columns_of_all_events() {
        let layouts = [sample::named(), sample::total(), sample::greeting()];
        let mut csv = Csv::new(&layouts);
        let (mut out, mut context) = (Vec::new(), Context::default());
        let record = sample::fault_record(7, "a,b\"\n", 140);
        for layout in [0, 1, 0] {
            csv.event(&mut out, &Report::new(&layouts, layout, &record), &mut context);
        }
        csv.printf(&mut out, &Report::new(&layouts, 2, &record), &mut context);
        let expected = "\
pid,comm,total,printf
7,\"a,b\"\"\\n\",,
7,,140,
7,\"a,b\"\"\\n\",,
,,,hello 140
";
        assert_eq!(text(out), expected);
    }

    #[test]
    fn maps_are_tables_of_their_own() {
        let table = |(info, rows): (MapInfo, Vec<Row>)| {
            let mut out = Vec::new();
            Csv::new(&[]).map(&mut out, &info, &rows, 1, &mut Context::default());
            text(out)
        };
        assert_eq!(table(sample::data_map()), "map,key,value\n@c,\"1, gcc\",-4\n@c,\"2, x\\x1b\",9\n");
        assert_eq!(table(sample::stats_map()), "map,key,count,average,total\n@s,,2,4,9\n");
        assert_eq!(table(sample::hist_map()), "map,key,min,max,count\n@h,,1,1,3\n");
    }
}
