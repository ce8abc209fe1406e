//! Layouts, records and maps for the tests of the forms.

use pfscript_compiler::manifest::{
    Action, Conversion, ConversionKind, DataType, FieldPlace, Format, FormatPiece, MapInfo, MapKind, MapValue, Member,
    RecordField, RecordLayout,
};
use pfscript_grammar::Span;

use crate::datum::Integer;
use crate::maps::{Row, Value};

const U32: DataType = DataType::Int { bytes: 4, signed: false };
const U64: DataType = DataType::Int { bytes: 8, signed: false };
const COMM: DataType = DataType::Str { len: 16 };

fn layout(action: Action, fields: &[(&str, FieldPlace)]) -> RecordLayout {
    let field = |(name, place): &(&str, FieldPlace)| RecordField { name: (*name).into(), place: place.clone() };
    RecordLayout { size: 40, action, fields: fields.iter().map(field).collect(), span: Span::default() }
}

fn at(offset: u32, ty: DataType) -> FieldPlace {
    FieldPlace::At { offset, ty }
}

fn emit(fields: &[(&str, FieldPlace)]) -> RecordLayout {
    layout(Action::Emit { sequence: None }, fields)
}

/// `emit(time, pid, comm, nb_page_fault = ...)`
pub fn faults() -> RecordLayout {
    let (pid, comm) = (("pid", at(12, U32)), ("comm", at(16, COMM)));
    emit(&[("time", FieldPlace::Timestamp), pid, comm, ("nb_page_fault", at(32, U64))])
}

/// `emit(pid, comm)`
pub fn named() -> RecordLayout {
    emit(&[("pid", at(12, U32)), ("comm", at(16, COMM))])
}

/// `emit(pid, total = ...)`
pub fn total() -> RecordLayout {
    emit(&[("pid", at(12, U32)), ("total", at(32, U64))])
}

/// `printf("hello %d\n", ...)`
pub fn greeting() -> RecordLayout {
    let conversion = Conversion {
        left: false,
        plus: false,
        space: false,
        alternate: false,
        zero: false,
        width: None,
        precision: None,
        kind: ConversionKind::Decimal,
    };
    let pieces = vec![
        FormatPiece::Literal("hello ".into()),
        FormatPiece::Conversion(conversion),
        FormatPiece::Literal("\n".into()),
    ];
    layout(Action::Printf(Format { pieces }), &[("", at(32, U64))])
}

/// A record that all of the layouts above fit.
pub fn fault_record(pid: u32, comm: &str, count: u64) -> Vec<u8> {
    let mut record = vec![0; 40];
    record[..8].copy_from_slice(&123_456_789u64.to_le_bytes());
    record[12..16].copy_from_slice(&pid.to_le_bytes());
    record[16..16 + comm.len()].copy_from_slice(comm.as_bytes());
    record[32..].copy_from_slice(&count.to_le_bytes());
    record
}

/// A line of a table with its time hidden.
pub fn hide_time(line: &str) -> String {
    if line.as_bytes().get(2) == Some(&b':') { format!("tt:tt:tt{}\n", &line[8..]) } else { format!("{line}\n") }
}

fn map(name: &str, key: Vec<Member>, value: MapValue) -> MapInfo {
    MapInfo {
        name: name.into(),
        symbol: name.into(),
        kind: MapKind::Hash,
        key_names: vec![String::new(); key.len()],
        key,
        key_size: 8,
        value,
        value_size: 8,
        max_entries: 8,
        span: Span::default(),
    }
}

/// `@c[pid, comm] = -4`
pub fn data_map() -> (MapInfo, Vec<Row>) {
    let key = vec![Member { offset: 0, ty: U32 }, Member { offset: 4, ty: DataType::Str { len: 4 } }];
    let value = MapValue::Data(DataType::Int { bytes: 2, signed: true });
    let row = |key: &[u8], value: i16| Row { key: key.into(), value: Value::Data(value.to_le_bytes().into()) };
    (map("c", key, value), vec![row(b"\x01\0\0\0gcc\0", -4), row(b"\x02\0\0\0x\x1b\0\0", 9)])
}

/// `@s = stats(4); @s = stats(5)`
pub fn stats_map() -> (MapInfo, Vec<Row>) {
    let value = Value::Average { count: 2, total: Integer::from(9) };
    (map("s", Vec::new(), MapValue::Stats { signed: true }), vec![Row { key: vec![0; 4], value }])
}

/// `@h = hist(1)`, three times
pub fn hist_map() -> (MapInfo, Vec<Row>) {
    let mut counts = vec![0; 66];
    counts[2] = 3;
    (map("h", Vec::new(), MapValue::Hist), vec![Row { key: vec![0; 4], value: Value::Histogram(counts) }])
}
