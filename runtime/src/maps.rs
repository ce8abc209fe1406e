//! The script's maps as user space sees them: read, merged over CPUs, sorted; cleared and zeroed.
//!
//! aya's typed maps want their key and value types when pfscript is compiled; a script's are known
//! only when it runs. So the entries are read here as bytes, through the file descriptor of aya's
//! [`MapData`], and given their meaning by the manifest.

use std::cmp::Ordering;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use aya::maps::MapData;
use aya_obj::generated::{bpf_attr, bpf_cmd};
use pfscript_compiler::manifest::{DataType, MapInfo, MapKind, MapValue};

use crate::event::decode;
use crate::output::datum::{Datum, Integer, compare_members};

/// How many entries one system call asks for; the kernel says when that is too few.
const BATCH: u32 = 1024;

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
    let table = Table::new(data, info)?;
    let mut rows = Vec::new();
    table.each(|key, values| rows.push(Row { key: key.to_vec(), value: table.merge(values) }))?;
    sort(&mut rows, info);
    Ok(rows)
}

/// Removes all entries of a map; a map without a key gets the value of a fresh one.
///
/// # Errors
/// What the kernel says to the reading or removing.
pub fn clear(data: &MapData, info: &MapInfo) -> io::Result<()> {
    if matches!(info.kind, MapKind::Array | MapKind::PercpuArray) {
        return zero(data, info);
    }
    let table = Table::new(data, info)?;
    for key in table.keys()? {
        absent_is_fine(table.element(bpf_cmd::BPF_MAP_DELETE_ELEM, &key, None, 0))?;
    }
    Ok(())
}

/// Sets the values of all entries of a map to zero.
///
/// # Errors
/// What the kernel says to the reading or writing.
pub fn zero(data: &MapData, info: &MapInfo) -> io::Result<()> {
    let table = Table::new(data, info)?;
    let mut zeros = vec![0; table.stride * table.cpus];
    for key in table.keys()? {
        let exist = u64::from(aya_obj::generated::BPF_EXIST);
        absent_is_fine(table.element(bpf_cmd::BPF_MAP_UPDATE_ELEM, &key, Some(&mut zeros), exist))?;
    }
    Ok(())
}

/// An entry that went away in the meantime is as good as done.
fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.raw_os_error() == Some(libc::ENOENT) { Ok(()) } else { Err(error) })
}

/// A map's file descriptor and the sizes that its bytes have in user space.
struct Table<'a> {
    data: &'a MapData,
    info: &'a MapInfo,
    /// Values per entry.
    cpus: usize,
    /// Bytes of one CPU's value, as the kernel pads it.
    stride: usize,
}

impl<'a> Table<'a> {
    fn new(data: &'a MapData, info: &'a MapInfo) -> io::Result<Self> {
        let size = info.value_size as usize;
        if !info.kind.is_percpu() {
            return Ok(Self { data, info, cpus: 1, stride: size });
        }
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
        Ok(Self { data, info, cpus, stride: size.next_multiple_of(8) })
    }

    /// Calls `with` with the key and the values of every entry.
    fn each(&self, mut with: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
        match self.each_batch(&mut with) {
            Err(error) if lacks_batches(&error) => self.each_key(&mut with),
            done => done,
        }
    }

    /// Reads many entries with one call. An entry added or removed meanwhile may be missed, none
    /// is seen twice: the kernel walks its hash buckets once.
    fn each_batch(&self, with: &mut impl FnMut(&[u8], &[u8])) -> io::Result<()> {
        let (key_size, value_size) = (self.info.key_size as usize, self.stride * self.cpus);
        let mut room = BATCH.min(self.info.max_entries.max(1));
        // The kernel's cursor is a bucket number or a key.
        let mut cursor = vec![0u8; key_size.max(8)];
        let mut started = false;
        loop {
            let (mut keys, mut values) = (vec![0; key_size * room as usize], vec![0; value_size * room as usize]);
            let (read, outcome) = self.batch(started.then_some(&cursor), &mut keys, &mut values, room);
            match outcome {
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < self.info.max_entries => {
                    room = room.saturating_mul(4).min(self.info.max_entries);
                    continue;
                }
                Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
                _ => {}
            }
            let entries = keys.chunks_exact(key_size).zip(values.chunks_exact(value_size));
            entries.take(read.count as usize).for_each(|(key, values)| with(key, values));
            if outcome.is_err() {
                return Ok(());
            }
            cursor.clone_from(&read.cursor);
            started = true;
        }
    }

    /// One `BPF_MAP_LOOKUP_BATCH`. ENOENT says that these were the last entries.
    fn batch(
        &self,
        from: Option<&Vec<u8>>,
        keys: &mut [u8],
        values: &mut [u8],
        room: u32,
    ) -> (BatchRead, io::Result<()>) {
        let mut read = BatchRead { count: 0, cursor: vec![0; (self.info.key_size as usize).max(8)] };
        let mut attr = empty_attr();
        attr.batch.in_batch = from.map_or(0, |cursor| cursor.as_ptr() as u64);
        attr.batch.out_batch = read.cursor.as_mut_ptr() as u64;
        attr.batch.keys = keys.as_mut_ptr() as u64;
        attr.batch.values = values.as_mut_ptr() as u64;
        attr.batch.count = room;
        attr.batch.map_fd = self.fd();
        // SAFETY: the buffers hold `room` keys and values of the sizes that the map was made with
        // and the cursors are as large as its key and at least as a bucket number.
        let outcome = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) };
        // SAFETY: `batch` is the member of the union that was filled in.
        read.count = unsafe { attr.batch.count };
        if outcome.as_ref().is_err_and(|error| error.raw_os_error() != Some(libc::ENOENT)) {
            read.count = 0;
        }
        (read, outcome)
    }

    /// Reads entry by entry, for kernels (or kinds of maps) without batches.
    fn each_key(&self, with: &mut impl FnMut(&[u8], &[u8])) -> io::Result<()> {
        let mut values = vec![0; self.stride * self.cpus];
        for key in self.keys()? {
            match self.element(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &key, Some(&mut values), 0) {
                Ok(()) => with(&key, &values),
                error => absent_is_fine(error)?,
            }
        }
        Ok(())
    }

    /// The keys of all entries. A key deleted while it is being stepped over makes the kernel
    /// start again from the beginning, so keys are collected first, and only so many of them.
    fn keys(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        while keys.len() < self.info.max_entries as usize {
            let mut next = vec![0; self.info.key_size as usize];
            match self.next_key(keys.last(), &mut next) {
                Ok(()) => keys.push(next),
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => break,
                Err(error) => return Err(error),
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn next_key(&self, key: Option<&Vec<u8>>, next: &mut [u8]) -> io::Result<()> {
        let mut attr = empty_attr();
        // SAFETY: the members of this union are plain numbers, all of them zero before.
        let command = unsafe { &mut attr.__bindgen_anon_2 };
        command.map_fd = self.fd();
        command.key = key.map_or(0, |key| key.as_ptr() as u64);
        command.__bindgen_anon_1.next_key = next.as_mut_ptr() as u64;
        // SAFETY: both buffers are as large as the map's keys.
        unsafe { bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) }
    }

    /// A command on one element.
    fn element(&self, cmd: bpf_cmd, key: &[u8], value: Option<&mut [u8]>, flags: u64) -> io::Result<()> {
        let mut attr = empty_attr();
        // SAFETY: the members of this union are plain numbers, all of them zero before.
        let command = unsafe { &mut attr.__bindgen_anon_2 };
        command.map_fd = self.fd();
        command.key = key.as_ptr() as u64;
        command.__bindgen_anon_1.value = value.map_or(0, |value| value.as_mut_ptr() as u64);
        command.flags = flags;
        // SAFETY: the key is as large as the map's keys, the value as all CPUs' values together.
        unsafe { bpf(cmd, &mut attr) }
    }

    fn fd(&self) -> u32 {
        self.data.fd().as_fd().as_raw_fd() as u32
    }

    /// The values of all CPUs to one.
    fn merge(&self, values: &[u8]) -> Value {
        merge(&self.info.value, self.info.value_size, values.chunks_exact(self.stride.max(1)))
    }
}

/// What one batch read.
struct BatchRead {
    count: u32,
    cursor: Vec<u8>,
}

/// Whether an error means that the kernel cannot do batches on this map.
fn lacks_batches(error: &io::Error) -> bool {
    // ENOTSUPP is the kernel's own 524, which has no name in user space.
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | 524))
}

/// A command's arguments, all zero, as the kernel wants those that it does not know.
fn empty_attr() -> bpf_attr {
    // SAFETY: all members of the union are plain numbers.
    unsafe { std::mem::zeroed() }
}

/// The bpf system call.
///
/// # Safety
/// All pointers in `attr` must be valid for what `cmd` reads and writes through them.
unsafe fn bpf(cmd: bpf_cmd, attr: &mut bpf_attr) -> io::Result<()> {
    // SAFETY: by the caller's promise; the size is that of what `attr` points to.
    let result = unsafe { libc::syscall(libc::SYS_bpf, cmd as libc::c_long, &raw mut *attr, size_of::<bpf_attr>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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
    use pfscript_compiler::manifest::Member;
    use pfscript_grammar::Span;

    const U32: DataType = DataType::Int { bytes: 4, signed: false };

    fn info(value: MapValue, value_size: u32) -> MapInfo {
        MapInfo {
            name: "m".into(),
            symbol: "m".into(),
            kind: MapKind::Hash,
            key: vec![Member { offset: 0, ty: U32 }],
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

    fn insert(table: &Table<'_>, key: u32, value: u64) {
        let mut values = value.to_le_bytes().repeat(table.cpus);
        table.element(bpf_cmd::BPF_MAP_UPDATE_ELEM, &key.to_le_bytes(), Some(&mut values), 0).expect("there is room");
    }

    #[test]
    fn every_entry_of_a_kernel_map_is_read_once() {
        for kind in [MapKind::Hash, MapKind::PercpuHash, MapKind::LruHash] {
            let info = MapInfo { kind, max_entries: 20_000, ..info(MapValue::Sum { signed: false }, 8) };
            let Some(data) = kernel_map(&info) else { return };
            let table = Table::new(&data, &info).expect("the CPUs can be counted");
            (0..5000).for_each(|key| insert(&table, key, u64::from(key)));
            let rows = entries(&data, &info).expect("readable");
            let expected = |key: u32| Row {
                key: key.to_le_bytes().into(),
                value: Value::Number(Integer::new(u64::from(key) * table.cpus as u64, 8, false)),
            };
            assert_eq!(rows, (0..5000).map(expected).collect::<Vec<_>>(), "{kind:?}");

            let mut by_key = Vec::new();
            table.each_key(&mut |key, _| by_key.push(key.to_vec())).expect("readable");
            assert_eq!(by_key.len(), 5000, "{kind:?} without batches");

            zero(&data, &info).expect("writable");
            let zeroed = entries(&data, &info).expect("readable");
            assert!(
                zeroed.len() == 5000 && zeroed.iter().all(|row| row.value == Value::Number(Integer::new(0, 8, false)))
            );
            clear(&data, &info).expect("writable");
            assert_eq!(entries(&data, &info).expect("readable"), []);
        }
    }

    #[test]
    fn a_map_without_a_key_has_one_entry() {
        for kind in [MapKind::Array, MapKind::PercpuArray] {
            let info = MapInfo { kind, key: Vec::new(), max_entries: 1, ..info(MapValue::Count, 8) };
            let Some(data) = kernel_map(&info) else { return };
            let table = Table::new(&data, &info).expect("the CPUs can be counted");
            insert(&table, 0, 7);
            let count =
                |n: usize| vec![Row { key: vec![0; 4], value: Value::Number(Integer::new(n as u64, 8, false)) }];
            assert_eq!(entries(&data, &info).expect("readable"), count(7 * table.cpus));
            clear(&data, &info).expect("writable");
            assert_eq!(entries(&data, &info).expect("readable"), count(0));
        }
    }
}
