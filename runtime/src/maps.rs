//! The script's maps as user space sees them: read, merged over CPUs, sorted.
//!
//! aya's typed maps want their key and value types when pfscript is compiled; a script's are known
//! only when it runs. So entries are read as bytes and given their meaning by the manifest.

use std::cmp::Ordering;
use std::io;

use aya::maps::MapData;
use pfscript_compiler::manifest::{DataType, MapInfo, MapValue};

use crate::datum::{Datum, Integer, compare_members, decode};
use crate::sys::Refused;
use crate::sys::map::{Cursor, RawMap};

/// How many entries one system call asks for; the kernel says when that is too few.
const BATCH: usize = 1024;

/// One entry of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The kernel's key, laid out as [`MapInfo::key`] says.
    pub key: Vec<u8>,
    /// Its value, merged over CPUs.
    pub value: Value,
}

/// The merged value of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A plain value, laid out as the map's [`MapValue::Data`] says.
    Data(Vec<u8>),
    /// `count`, `sum`, `min`, `max`.
    Number(Integer),
    /// `avg` and `stats`.
    Average {
        /// How many values there were.
        count: u64,
        /// Their sum.
        total: Integer,
    },
    /// `hist` and `lhist`: how many values fell into each bucket.
    Histogram(Vec<u64>),
}

impl Value {
    /// The mean of the values, truncated toward zero; 0 when there were none.
    pub fn average(count: u64, total: Integer) -> Integer {
        total.divided_by(count)
    }
}

/// All entries of a map, sorted for printing: ascending by value where values have an order,
/// else by key.
///
/// # Errors
/// What the kernel says to the reading.
pub fn entries(data: &MapData, info: &MapInfo) -> io::Result<Vec<Row>> {
    entries_of(&RawMap::of(data).map_err(io::Error::other)?, info)
}

/// The same of a map seen as bytes.
///
/// # Errors
/// As [`entries`].
pub fn entries_of(raw: &RawMap<'_>, info: &MapInfo) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    each(raw, info, &mut |key, values| rows.push(Row { key: key.to_vec(), value: merge_all(info, values) }))?;
    sort(&mut rows, info);
    Ok(rows)
}

/// The entry of that key; as if it were zero where there is none.
///
/// # Errors
/// What the kernel says to the reading.
pub fn entry(raw: &RawMap<'_>, info: &MapInfo, key: &[u8]) -> io::Result<Row> {
    let mut values = vec![0; raw.value_size()];
    raw.lookup(key, &mut values)?;
    Ok(Row { key: key.to_vec(), value: merge_all(info, &values) })
}

/// Calls `with` with the key and the values (of all CPUs) of every entry.
fn each(raw: &RawMap<'_>, info: &MapInfo, with: &mut impl FnMut(&[u8], &[u8])) -> Result<(), Refused> {
    let mut any = false;
    match each_batch(raw, info, &mut |key, values| {
        any = true;
        with(key, values);
    }) {
        Err(refused) if !any && lacks_batches(&refused) => each_key(raw, info, with),
        done => done,
    }
}

/// Reads many entries with one call. One added or removed meanwhile may be missed.
fn each_batch(raw: &RawMap<'_>, info: &MapInfo, with: &mut impl FnMut(&[u8], &[u8])) -> Result<(), Refused> {
    let most = info.max_entries.max(1) as usize;
    let mut room = BATCH.min(most);
    let mut cursor = Cursor::default();
    loop {
        let (mut keys, mut values) = (vec![0; raw.key_size() * room], vec![0; raw.value_size() * room]);
        match raw.lookup_batch(&mut cursor, &mut keys, &mut values) {
            Err(refused) if refused.errno == libc::ENOSPC && room < most => room = (room * 4).min(most),
            Err(refused) => return Err(refused),
            Ok((read, more)) => {
                let entries = keys.chunks_exact(raw.key_size()).zip(values.chunks_exact(raw.value_size()));
                entries.take(read).for_each(|(key, values)| with(key, values));
                if !more {
                    return Ok(());
                }
            }
        }
    }
}

/// Reads entry by entry, for kernels (or kinds of maps) without batches.
fn each_key(raw: &RawMap<'_>, info: &MapInfo, with: &mut impl FnMut(&[u8], &[u8])) -> Result<(), Refused> {
    let mut values = vec![0; raw.value_size()];
    for key in keys(raw, info)? {
        if raw.lookup(&key, &mut values)? {
            with(&key, &values);
        }
    }
    Ok(())
}

/// The keys of all entries. A key deleted while it is being stepped over makes the kernel start
/// again from the beginning, so keys are collected first, and only so many of them.
fn keys(raw: &RawMap<'_>, info: &MapInfo) -> Result<Vec<Vec<u8>>, Refused> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    while keys.len() < info.max_entries as usize {
        let mut next = vec![0; raw.key_size()];
        if !raw.next_key(keys.last().map(Vec::as_slice), &mut next)? {
            break;
        }
        keys.push(next);
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Whether a refusal means that the kernel cannot do batches on this map.
fn lacks_batches(refused: &Refused) -> bool {
    // ENOTSUPP is the kernel's own 524, which has no name in user space.
    matches!(refused.errno, libc::EINVAL | libc::EOPNOTSUPP | 524)
}

/// The values of all CPUs, as the kernel hands them out, to one.
fn merge_all(info: &MapInfo, values: &[u8]) -> Value {
    let size = info.value_size as usize;
    let stride = if info.kind.is_percpu() { size.next_multiple_of(8) } else { size };
    merge(&info.value, info.value_size, values.chunks_exact(stride.max(1)))
}

/// Merges the values of several CPUs, each of `size` bytes (and padding).
fn merge<'a>(value: &MapValue, size: u32, mut cpus: impl Iterator<Item = &'a [u8]> + Clone) -> Value {
    let sum = |at| cpus.clone().fold(0u64, |sum, bytes| sum.wrapping_add(word(bytes, at)));
    match *value {
        MapValue::Data(DataType::Int { bytes, signed }) => {
            let total = cpus.fold(0i128, |sum, value| sum + decode::integer(value, bytes, signed).value());
            Value::Data((total as u64).to_le_bytes()[..usize::from(bytes.min(8))].to_vec())
        }
        MapValue::Data(_) => Value::Data(cpus.next().map_or_else(Vec::new, |bytes| bytes[..size as usize].to_vec())),
        MapValue::Count => Value::Number(Integer::new(sum(0), 8, false)),
        MapValue::Sum { signed } => Value::Number(Integer::new(sum(0), 8, signed)),
        MapValue::Min { signed } => extreme(cpus, signed, Ordering::Less),
        MapValue::Max { signed } => extreme(cpus, signed, Ordering::Greater),
        MapValue::Avg { signed } | MapValue::Stats { signed } => {
            Value::Average { count: sum(8), total: Integer::new(sum(0), 8, signed) }
        }
        MapValue::Hist | MapValue::Lhist { .. } => {
            Value::Histogram((0..size as usize / 8).map(|i| sum(i * 8)).collect())
        }
    }
}

/// The smallest or largest of the values that are set; 0 when none is.
fn extreme<'a>(cpus: impl Iterator<Item = &'a [u8]>, signed: bool, wanted: Ordering) -> Value {
    let set = cpus.filter(|bytes| word(bytes, 8) != 0).map(|bytes| Integer::new(word(bytes, 0), 8, signed));
    let best = set.reduce(|best, next| if next.value().cmp(&best.value()) == wanted { next } else { best });
    Value::Number(best.unwrap_or(Integer::new(0, 8, signed)))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    decode::integer(bytes.get(at..).unwrap_or_default(), 8, false).unsigned()
}

/// Ascending by value where values are numbers (a histogram: how many it holds; an average: the
/// mean), else by key; by key among equals.
fn sort(rows: &mut [Row], info: &MapInfo) {
    rows.sort_by(|a, b| {
        let by_value = compare_values(&a.value, &b.value, &info.value);
        by_value.then_with(|| compare_members(&info.key, &a.key, &b.key))
    });
}

fn compare_values(a: &Value, b: &Value, kind: &MapValue) -> Ordering {
    match (a, b, kind) {
        (Value::Data(a), Value::Data(b), MapValue::Data(ty @ DataType::Int { .. })) => {
            decode::datum(ty, a).compare(&decode::datum(ty, b))
        }
        (Value::Number(a), Value::Number(b), _) => Datum::Int(*a).compare(&Datum::Int(*b)),
        (Value::Average { count: n, total: a }, Value::Average { count: m, total: b }, _) => {
            Value::average(*n, *a).value().cmp(&Value::average(*m, *b).value())
        }
        (Value::Histogram(a), Value::Histogram(b), _) => held(a).cmp(&held(b)),
        _ => Ordering::Equal,
    }
}

fn held(counts: &[u64]) -> u128 {
    counts.iter().map(|&count| u128::from(count)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pfscript_compiler::manifest::{MapKind, Member};
    use pfscript_grammar::Span;

    const U32: DataType = DataType::Int { bytes: 4, signed: false };

    fn info(value: MapValue, value_size: u32) -> MapInfo {
        MapInfo {
            name: "m".into(),
            symbol: "m".into(),
            kind: MapKind::Hash,
            key: vec![Member { offset: 0, ty: U32 }],
            key_names: vec!["k".into()],
            key_size: 4,
            value,
            value_size,
            max_entries: 16,
            span: Span::default(),
        }
    }

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn merged(value: MapValue, cpus: &[&[u64]]) -> Value {
        let bytes: Vec<_> = cpus.iter().map(|cpu| words(cpu)).collect();
        merge(&value, bytes[0].len() as u32, bytes.iter().map(Vec::as_slice))
    }

    #[test]
    fn cpus_add_up() {
        let minus_3 = -3i64 as u64;
        let number = |value: i128, signed| Value::Number(Integer::new(value as u64, 8, signed));
        assert_eq!(merged(MapValue::Count, &[&[3], &[4]]), number(7, false));
        assert_eq!(merged(MapValue::Sum { signed: true }, &[&[minus_3], &[1]]), number(-2, true));
        assert_eq!(merged(MapValue::Hist, &[&[0, 1, 2], &[1, 0, 2]]), Value::Histogram(vec![1, 1, 4]));
        let average = Value::Average { count: 3, total: Integer::new(-6i64 as u64, 8, true) };
        assert_eq!(merged(MapValue::Avg { signed: true }, &[&[minus_3, 1], &[minus_3, 2]]), average);
    }

    #[test]
    fn extremes_ignore_cpus_that_saw_nothing() {
        let minus_3 = -3i64 as u64;
        let number = |value: i128, signed| Value::Number(Integer::new(value as u64, 8, signed));
        let cpus: [&[u64]; 3] = [&[0, 0], &[5, 1], &[minus_3, 1]];
        assert_eq!(merged(MapValue::Min { signed: true }, &cpus), number(-3, true));
        assert_eq!(merged(MapValue::Max { signed: true }, &cpus), number(5, true));
        assert_eq!(merged(MapValue::Min { signed: false }, &cpus), number(5, false));
        assert_eq!(merged(MapValue::Max { signed: true }, &[&[0, 0]]), number(0, true));
    }

    #[test]
    fn rows_sort_by_value_then_by_key() {
        let narrow = MapValue::Data(DataType::Int { bytes: 2, signed: true });
        let row = |key: u32, value: i16| Row {
            key: key.to_le_bytes().into(),
            value: Value::Data(value.to_le_bytes().into()),
        };
        let mut rows = vec![row(256, 1), row(2, 1), row(1, 300), row(9, -1)];
        sort(&mut rows, &info(narrow, 2));
        assert_eq!(rows, [row(9, -1), row(2, 1), row(256, 1), row(1, 300)]);
    }

    #[test]
    fn texts_sort_by_key() {
        let row = |key: u32, value: &[u8]| Row { key: key.to_le_bytes().into(), value: Value::Data(value.into()) };
        let mut rows = vec![row(2, b"a"), row(1, b"b")];
        sort(&mut rows, &info(MapValue::Data(DataType::Str { len: 1 }), 1));
        assert_eq!(rows, [row(1, b"b"), row(2, b"a")]);
    }

    /// A map of the kernel, or nothing where this user may not make one.
    fn kernel_map(info: &MapInfo) -> Option<MapData> {
        let (kind, flags) = match info.kind {
            MapKind::Hash => (1, 1),
            MapKind::PercpuHash => (5, 1),
            MapKind::LruHash => (9, 0),
            MapKind::Array => (2, 0),
            MapKind::PercpuArray => (6, 0),
        };
        let map = aya_obj::Map::new_from_params(kind, info.key_size, info.value_size, info.max_entries, flags);
        match MapData::create(map, "pfscript_test", None) {
            Ok(data) => Some(data),
            Err(aya::maps::MapError::CreateError { io_error, .. }) if io_error.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("not tested: making a map needs CAP_BPF");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The same value on each CPU. Gives how many CPUs have one.
    fn insert(raw: &RawMap<'_>, key: u32, value: u64) -> u64 {
        let cpus = raw.value_size() / 8;
        raw.update(&key.to_le_bytes(), &value.to_le_bytes().repeat(cpus)).expect("there is room");
        cpus as u64
    }

    #[test]
    fn every_entry_of_a_kernel_map_is_read_once() {
        for kind in [MapKind::Hash, MapKind::PercpuHash, MapKind::LruHash] {
            let info = MapInfo { kind, max_entries: 20_000, ..info(MapValue::Sum { signed: false }, 8) };
            let Some(data) = kernel_map(&info) else { return };
            let raw = RawMap::of(&data).expect("a map");
            let expected = (0..5000).map(|key: u32| {
                let cpus = insert(&raw, key, u64::from(key));
                let value = Value::Number(Integer::new(u64::from(key) * cpus, 8, false));
                Row { key: key.to_le_bytes().into(), value }
            });
            let expected: Vec<_> = expected.collect();
            assert_eq!(entries(&data, &info).expect("readable"), expected, "{kind:?}");

            let mut one_by_one = 0;
            each_key(&raw, &info, &mut |_, _| one_by_one += 1).expect("readable");
            assert_eq!(one_by_one, 5000, "{kind:?} without batches");
            raw.delete_all().expect("writable");
            assert_eq!(entries(&data, &info).expect("readable"), []);
        }
    }

    #[test]
    fn a_map_without_a_key_has_one_entry() {
        for kind in [MapKind::Array, MapKind::PercpuArray] {
            let info = MapInfo { kind, key: Vec::new(), max_entries: 1, ..info(MapValue::Count, 8) };
            let Some(data) = kernel_map(&info) else { return };
            let cpus = insert(&RawMap::of(&data).expect("a map"), 0, 7);
            let value = Value::Number(Integer::new(7 * cpus, 8, false));
            assert_eq!(entries(&data, &info).expect("readable"), [Row { key: vec![0; 4], value }]);
        }
    }
}
