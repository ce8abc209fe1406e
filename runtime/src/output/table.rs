//! The form for people: aligned columns, printf text as it is, maps as bpftrace prints them.
//!
//! A header stands above the first event, and again where the columns change because another
//! `emit` speaks: what stands above a line always names its columns.

use std::io::Write;

use pfscript_compiler::manifest::{Constant, DataType, FieldPlace, MapInfo, MapValue, RecordField, RecordLayout};

use crate::datum::{Integer, decode};
use crate::maps::{Row, Value};
use crate::output::context::Context;
use crate::output::histogram::{hist, lhist, push_bars};
use crate::output::printf::{TextForm, push_printf};
use crate::output::text::columns;
use crate::output::value::{StackForm, push_members};
use crate::output::{Form, Report};

/// The table's state: which columns the last header named.
#[derive(Debug)]
pub struct Table {
    /// By the layout's index.
    layouts: Vec<Columns>,
    /// The layout whose header stands above; layouts with equal headers share it.
    headed: Option<usize>,
}

/// The columns of one layout.
#[derive(Debug)]
struct Columns {
    header: Vec<u8>,
    widths: Vec<usize>,
}

impl Table {
    /// A table for events of these layouts.
    pub fn new(layouts: &[RecordLayout]) -> Self {
        Self { layouts: layouts.iter().map(|layout| Columns::new(&layout.fields)).collect(), headed: None }
    }

    fn push_header(&mut self, out: &mut Vec<u8>, layout: usize) {
        let header = &self.layouts[layout].header;
        if self.headed.is_none_or(|headed| self.layouts[headed].header != *header) {
            out.extend_from_slice(header);
        }
        self.headed = Some(layout);
    }
}

impl Form for Table {
    fn event(&mut self, out: &mut Vec<u8>, report: &Report<'_>, context: &mut Context) {
        self.push_header(out, report.index);
        let widths = &self.layouts[report.index].widths;
        for (field, width) in report.layout.fields.iter().zip(widths) {
            let start = out.len();
            decode::field(&field.place, report.record).push_in_line(out, context);
            fill_column(out, start, *width);
        }
        end_line(out);
    }

    fn printf(&mut self, out: &mut Vec<u8>, report: &Report<'_>, context: &mut Context) {
        push_printf(out, report.format, report.values(), context, TextForm::Escaped);
    }

    fn time(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        out.extend_from_slice(text);
    }

    fn map(&mut self, out: &mut Vec<u8>, info: &MapInfo, rows: &[Row], div: u64, context: &mut Context) {
        for row in rows {
            push_row(out, info, row, div, context);
        }
    }

    fn before_exit_maps(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\n\n");
    }
}

impl Columns {
    fn new(fields: &[RecordField]) -> Self {
        let widths: Vec<_> = fields.iter().map(width).collect();
        let mut header = Vec::new();
        for (field, width) in fields.iter().zip(&widths) {
            let start = header.len();
            header.extend_from_slice(field.name.to_uppercase().as_bytes());
            fill_column(&mut header, start, *width);
        }
        end_line(&mut header);
        Self { header, widths }
    }
}

/// How wide a column is: what its values usually take, and at least its heading.
fn width(field: &RecordField) -> usize {
    let values = match (&field.place, field.name.as_str()) {
        (FieldPlace::Timestamp, _) => 8,
        (FieldPlace::At { ty: DataType::Int { .. }, .. }, "pid" | "tid" | "ppid" | "uid" | "gid") => 7,
        (FieldPlace::At { ty: DataType::Int { .. }, .. }, "cpu") => 3,
        (FieldPlace::At { ty, .. }, _) => type_width(ty),
        (FieldPlace::Constant(Constant::Int(value)), _) => value.to_string().len(),
        (FieldPlace::Constant(Constant::Str(text)), _) => text.chars().count(),
    };
    values.max(field.name.chars().count())
}

fn type_width(ty: &DataType) -> usize {
    match ty {
        DataType::Int { bytes: 1, .. } => 4,
        DataType::Int { bytes: 2, .. } => 6,
        DataType::Int { .. } => 10,
        DataType::Str { .. }
        | DataType::Tuple(_)
        | DataType::KernelStack(_)
        | DataType::UserStack(_)
        | DataType::KernelSymbol
        | DataType::UserName
        | DataType::UserSymbol
        | DataType::Moment(_) => 16,
    }
}

/// Pads what was appended from `start` on to the column's width, and a space.
fn fill_column(out: &mut Vec<u8>, start: usize, width: usize) {
    let missing = width.saturating_sub(columns(&out[start..])) + 1;
    out.resize(out.len() + missing, b' ');
}

/// Ends a line without trailing spaces.
fn end_line(out: &mut Vec<u8>) {
    while out.last() == Some(&b' ') {
        out.pop();
    }
    out.push(b'\n');
}

/// `@name[key, key]: value`
fn push_row(out: &mut Vec<u8>, info: &MapInfo, row: &Row, div: u64, context: &mut Context) {
    if matches!(&row.value, Value::Histogram(counts) if counts.iter().all(|&count| count == 0)) {
        return;
    }
    write!(out, "@{}", info.name).expect("a Vec takes everything");
    if !info.key.is_empty() {
        out.push(b'[');
        push_members(out, &info.key, &row.key, context, StackForm::Lines);
        out.push(b']');
    }
    out.push(b':');
    push_value(out, &info.value, &row.value, div, context);
    out.push(b'\n');
}

fn push_value(out: &mut Vec<u8>, kind: &MapValue, value: &Value, div: u64, context: &mut Context) {
    let separator = if matches!(value, Value::Histogram(_)) { b'\n' } else { b' ' };
    out.push(separator);
    match (value, kind) {
        (Value::Data(bytes), MapValue::Data(DataType::Int { bytes: width, signed })) => {
            decode::integer(bytes, *width, *signed).divided_by(div).push(out);
        }
        (Value::Data(bytes), MapValue::Data(ty)) => decode::datum(ty, bytes).push_plain(out, context),
        (Value::Number(number), _) => number.divided_by(div).push(out),
        (Value::Average { count, total }, MapValue::Stats { .. }) => push_stats(out, *count, *total),
        (Value::Average { count, total }, _) => Value::average(*count, *total).divided_by(div).push(out),
        (Value::Histogram(counts), MapValue::Lhist { min, max, step }) => {
            push_bars(out, &lhist(counts, *min, *max, *step), div);
        }
        (Value::Histogram(counts), _) => push_bars(out, &hist(counts), div),
        (Value::Data(_), _) => {}
    }
}

fn push_stats(out: &mut Vec<u8>, count: u64, total: Integer) {
    let average = Value::average(count, total).value();
    write!(out, "count {count}, average {average}, total {}", total.value()).expect("a Vec takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::sample;

    fn lines(out: Vec<u8>) -> String {
        String::from_utf8(out).expect("a table is UTF-8")
    }

    #[test]
    fn events_stand_in_columns_under_a_header() {
        let layouts = [sample::faults(), sample::total()];
        let mut table = Table::new(&layouts);
        let (mut out, mut context) = (Vec::new(), Context::default());
        for (pid, comm, count) in [(2134, "gcc", 70), (1, "a_15_byte_name!", 7), (12345678, "x\ny", 140)] {
            let record = sample::fault_record(pid, comm, count);
            table.event(&mut out, &Report::new(&layouts, 0, &record), &mut context);
        }
        let expected = "\
TIME     PID     COMM             NB_PAGE_FAULT
tt:tt:tt 2134    gcc              70
tt:tt:tt 1       a_15_byte_name!  7
tt:tt:tt 12345678 x\\ny             140
";
        let hidden = lines(out).lines().map(sample::hide_time).collect::<String>();
        assert_eq!(hidden, expected);
    }

    #[test]
    fn the_header_comes_again_only_when_the_columns_change() {
        let layouts = [sample::faults(), sample::total(), sample::total()];
        let mut table = Table::new(&layouts);
        let (mut out, mut context) = (Vec::new(), Context::default());
        for layout in [1, 2, 0, 1] {
            table.event(&mut out, &Report::new(&layouts, layout, &sample::fault_record(1, "a", 5)), &mut context);
        }
        let text = lines(out);
        let headers: Vec<_> = text.lines().filter(|line| line.starts_with(['T', 'P'])).collect();
        assert_eq!(headers, ["PID     TOTAL", "TIME     PID     COMM             NB_PAGE_FAULT", "PID     TOTAL"]);
    }

    #[test]
    fn no_line_ends_in_a_space() {
        let layouts = [sample::named()];
        let mut out = Vec::new();
        Table::new(&layouts).event(
            &mut out,
            &Report::new(&layouts, 0, &sample::fault_record(1, "", 5)),
            &mut Context::default(),
        );
        assert_eq!(lines(out), "PID     COMM\n1\n");
    }

    fn printed(info: &MapInfo, rows: &[Row], div: u64) -> String {
        let mut out = Vec::new();
        Table::new(&[]).map(&mut out, info, rows, div, &mut Context::default());
        lines(out)
    }

    #[test]
    fn maps_print_as_in_bpftrace() {
        let (info, rows) = sample::data_map();
        assert_eq!(printed(&info, &rows, 1), "@c[1, gcc]: -4\n@c[2, x\\x1b]: 9\n");
        assert_eq!(printed(&info, &rows, 4), "@c[1, gcc]: -1\n@c[2, x\\x1b]: 2\n");
        let (info, rows) = sample::stats_map();
        assert_eq!(printed(&info, &rows, 1), "@s: count 2, average 4, total 9\n");
        let (info, rows) = sample::hist_map();
        let bar = "@".repeat(52);
        assert_eq!(printed(&info, &rows, 1), format!("@h:\n[1]                    3 |{bar}|\n\n"));
    }
}
