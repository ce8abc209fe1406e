//! The form for programs: one JSON object a line, in bpftrace's shapes.

use std::borrow::Cow;
use std::io::Write;

use pfscript_compiler::manifest::{DataType, MapInfo, MapValue, Member};

use crate::datum::{Datum, decode};
use crate::maps::{Row, Value};
use crate::output::context::Context;
use crate::output::histogram::{Bucket, hist, lhist};
use crate::output::printf::{TextForm, push_printf};
use crate::output::value::{StackForm, push_members};
use crate::output::{Form, Report};

/// Writes `{"type": "...", "data": ...}` lines.
#[derive(Debug, Default)]
pub struct Json {
    /// Text on its way to being quoted, kept to be used again.
    text: Vec<u8>,
}

impl Form for Json {
    fn event(&mut self, out: &mut Vec<u8>, report: &Report<'_>, context: &mut Context) {
        push_line(out, "event", |out| {
            push_object(out, &report.layout.fields, |out, field| {
                push_text(out, field.name.as_bytes());
                out.extend_from_slice(b": ");
                push_datum(out, &decode::field(&field.place, report.record), context);
            });
        });
    }

    fn printf(&mut self, out: &mut Vec<u8>, report: &Report<'_>, context: &mut Context) {
        self.text.clear();
        push_printf(&mut self.text, report.format, report.values(), context, TextForm::Raw);
        push_line(out, "printf", |out| push_text(out, &self.text));
    }

    fn value(&mut self, out: &mut Vec<u8>, report: &Report<'_>, context: &mut Context) {
        for value in report.values() {
            push_line(out, "value", |out| push_datum(out, &value, context));
        }
    }

    fn time(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        push_line(out, "time", |out| push_text(out, text));
    }

    fn map(&mut self, out: &mut Vec<u8>, info: &MapInfo, rows: &[Row], div: u64, context: &mut Context) {
        if rows.is_empty() {
            return;
        }
        push_line(out, line_type(&info.value), |out| {
            out.push(b'{');
            push_text(out, format!("@{}", info.name).as_bytes());
            out.extend_from_slice(b": ");
            push_rows(out, info, rows, div, context);
            out.push(b'}');
        });
    }
}

/// What bpftrace calls the line of such a map.
fn line_type(value: &MapValue) -> &'static str {
    match value {
        MapValue::Hist | MapValue::Lhist { .. } => "hist",
        MapValue::Avg { .. } | MapValue::Stats { .. } => "stats",
        _ => "map",
    }
}

fn push_line(out: &mut Vec<u8>, name: &str, data: impl FnOnce(&mut Vec<u8>)) {
    write!(out, r#"{{"type": "{name}", "data": "#).expect("a Vec takes everything");
    data(out);
    out.extend_from_slice(b"}\n");
}

/// `{a, b}`, each part written by `part`, which writes its name too.
fn push_object<T>(out: &mut Vec<u8>, parts: &[T], part: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'{');
    push_separated(out, parts, part);
    out.push(b'}');
}

fn push_array<T>(out: &mut Vec<u8>, parts: &[T], part: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    push_separated(out, parts, part);
    out.push(b']');
}

fn push_separated<T>(out: &mut Vec<u8>, parts: &[T], mut part: impl FnMut(&mut Vec<u8>, &T)) {
    for (index, item) in parts.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"" } else { b", " });
        part(out, item);
    }
}

/// Quotes `text`; what is no UTF-8 becomes U+FFFD.
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    let text: Cow<'_, str> = String::from_utf8_lossy(text);
    serde_json::to_writer(out, text.as_ref()).expect("a Vec takes everything and text is always JSON");
}

fn push_datum(out: &mut Vec<u8>, datum: &Datum<'_>, context: &mut Context) {
    match datum {
        Datum::Int(integer) => integer.push(out),
        Datum::Time(monotonic) => {
            out.push(b'"');
            context.clock.push_rfc3339(out, *monotonic);
            out.push(b'"');
        }
        Datum::Text(text) => push_text(out, text),
        Datum::Literal(text) => push_text(out, text.as_bytes()),
        Datum::KernelSymbol(_) | Datum::UserSymbol(..) | Datum::UserName(_) | Datum::Moment(..) => {
            let mut text = Vec::new();
            datum.push_plain(&mut text, context);
            push_text(out, &text);
        }
        Datum::KernelStack(..) | Datum::UserStack(..) => {
            push_array(out, &datum.frames(context), |out, frame| push_text(out, frame.as_bytes()));
        }
        Datum::Tuple(members, bytes) => {
            push_array(out, members, |out, member| push_datum(out, &decode::member(member, bytes), context));
        }
    }
}

/// The value of a map without a key, or an object of the values by key.
fn push_rows(out: &mut Vec<u8>, info: &MapInfo, rows: &[Row], div: u64, context: &mut Context) {
    if info.key.is_empty() {
        return push_value(out, &info.value, &rows[0].value, div, context);
    }
    push_object(out, rows, |out, row| {
        push_text(out, &key_text(&info.key, &row.key, context));
        out.extend_from_slice(b": ");
        push_value(out, &info.value, &row.value, div, context);
    });
}

/// A key as bpftrace's JSON has it: `1,gcc`.
fn key_text(members: &[Member], key: &[u8], context: &mut Context) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, member) in members.iter().enumerate() {
        text.extend_from_slice(if index == 0 { b"" } else { b"," });
        match decode::member(member, key) {
            Datum::Text(raw) => text.extend_from_slice(raw),
            Datum::Tuple(members, bytes) => push_members(&mut text, members, bytes, context, StackForm::OneLine),
            datum => datum.push_in_line(&mut text, context),
        }
    }
    text
}

fn push_value(out: &mut Vec<u8>, kind: &MapValue, value: &Value, div: u64, context: &mut Context) {
    match (value, kind) {
        (Value::Data(bytes), MapValue::Data(DataType::Int { bytes: width, signed })) => {
            decode::integer(bytes, *width, *signed).divided_by(div).push(out);
        }
        (Value::Data(bytes), MapValue::Data(ty)) => push_datum(out, &decode::datum(ty, bytes), context),
        (Value::Data(_), _) => out.extend_from_slice(b"null"),
        (Value::Number(number), _) => number.divided_by(div).push(out),
        (Value::Average { count, total }, MapValue::Stats { .. }) => {
            let (average, total) = (Value::average(*count, *total).value(), total.value());
            write!(out, r#"{{"count": {count}, "average": {average}, "total": {total}}}"#)
                .expect("a Vec takes everything");
        }
        (Value::Average { count, total }, _) => Value::average(*count, *total).divided_by(div).push(out),
        (Value::Histogram(counts), MapValue::Lhist { min, max, step }) => {
            push_buckets(out, &lhist(counts, *min, *max, *step), div);
        }
        (Value::Histogram(counts), _) => push_buckets(out, &hist(counts), div),
    }
}

fn push_buckets(out: &mut Vec<u8>, buckets: &[Bucket], div: u64) {
    push_array(out, buckets, |out, bucket| {
        out.push(b'{');
        for (name, bound) in [("min", bucket.min), ("max", bucket.max)] {
            if let Some(bound) = bound {
                write!(out, r#""{name}": {bound}, "#).expect("a Vec takes everything");
            }
        }
        write!(out, r#""count": {}}}"#, bucket.count / div.max(1)).expect("a Vec takes everything");
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::sample;
    use serde_json::Value as Parsed;

    fn parsed(out: &[u8]) -> Parsed {
        assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 1, "one line");
        serde_json::from_slice(out).expect("JSON")
    }

    #[test]
    fn an_event_is_an_object_with_named_fields() {
        let layouts = [sample::faults()];
        let mut out = Vec::new();
        let record = sample::fault_record(7, "a\n\"\x1b", 140);
        Json::default().event(&mut out, &Report::new(&layouts, 0, &record), &mut Context::default());
        let line = parsed(&out);
        assert_eq!(line["type"], "event");
        assert_eq!(line["data"]["pid"], 7);
        assert_eq!(line["data"]["comm"], "a\n\"\x1b");
        assert_eq!(line["data"]["nb_page_fault"], 140);
        let time = line["data"]["time"].as_str().expect("text");
        assert_eq!((time.len(), &time[10..11]), ("2026-11-25T10:45:16.123456789+01:00".len(), "T"));
    }

    #[test]
    fn invalid_text_is_still_json() {
        let mut out = Vec::new();
        push_text(&mut out, b"a\xff\x00");
        assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), "a\u{fffd}\0");
    }

    #[test]
    fn maps_have_bpftraces_shapes() {
        let line = |(info, rows): (MapInfo, Vec<Row>)| {
            let mut out = Vec::new();
            Json::default().map(&mut out, &info, &rows, 1, &mut Context::default());
            String::from_utf8(out).expect("UTF-8")
        };
        let map = r#"{"type": "map", "data": {"@c": {"1,gcc": -4, "2,x\u001b": 9}}}"#;
        assert_eq!(line(sample::data_map()).trim_end(), map);
        let stats = r#"{"type": "stats", "data": {"@s": {"count": 2, "average": 4, "total": 9}}}"#;
        assert_eq!(line(sample::stats_map()).trim_end(), stats);
        let hist = r#"{"type": "hist", "data": {"@h": [{"min": 1, "max": 1, "count": 3}]}}"#;
        assert_eq!(line(sample::hist_map()).trim_end(), hist);
        let (info, _) = sample::data_map();
        assert_eq!(line((info, Vec::new())), "");
    }
}
