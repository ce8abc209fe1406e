//! The true order of records that carry an ever growing count.
//!
//! Timestamps are taken after the atomic addition whose result a record reports, so two CPUs may
//! take theirs the other way round. Where a layout has a [`Sequence`], records of one key are put
//! in the order of their counts: the timestamps stay where they are, the payloads change places.
//! It costs a hash per record, and more only where there is something to be put right.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use pfscript_compiler::manifest::{Action, DataType, FieldPlace, RecordHeader, RecordLayout, Sequence};

use super::{Entry, read_integer};

/// The largest inversion of two CPUs' timestamps that is put right, in ns: a virtual processor can
/// stand still between its addition and its look at the clock. Beyond it a lower count means that
/// the element was deleted or cleared in between.
pub const MAX_SKEW: u64 = 200_000_000;

/// Something for each key, by the key's hash.
type ByHash<T> = HashMap<u64, T, BuildHasherDefault<Finished>>;

/// Knows the layouts of records, and puts those with a sequence in its order.
#[derive(Debug)]
pub struct Sequencer {
    layouts: Vec<Layout>,
    last_counts: ByHash<(i128, u32)>,
}

/// What of a record layout matters for the order.
#[derive(Debug)]
struct Layout {
    size: u32,
    sequence: Option<SequencePlace>,
}

impl Sequencer {
    /// For records of `layouts`.
    pub fn new(layouts: &[RecordLayout]) -> Self {
        let layout = |layout: &RecordLayout| {
            let sequence = match &layout.action {
                Action::Emit { sequence: Some(sequence) } => SequencePlace::new(layout, sequence),
                _ => None,
            };
            Layout { size: layout.size, sequence }
        };
        Self { layouts: layouts.iter().map(layout).collect(), last_counts: ByHash::default() }
    }

    /// The layout's index and the bytes, without padding, of a record; `None` when it fits no
    /// layout.
    pub fn record<'a>(&self, bytes: &'a [u8], entry: &Entry) -> Option<(usize, &'a [u8])> {
        record(&self.layouts, bytes, entry)
    }

    /// Puts `entries`, which are in the order of time, in the order of their counts as well.
    pub fn put_right(&mut self, bytes: &mut [u8], entries: &mut [Entry]) {
        let several_cpus = entries.iter().any(|entry| entry.cpu != entries[0].cpu);
        if !several_cpus || self.layouts.iter().all(|layout| layout.sequence.is_none()) {
            return;
        }
        let inverted = inversions(&self.layouts, bytes, entries, &mut self.last_counts);
        if !inverted.is_empty() {
            put_in_sequence(&self.layouts, bytes, entries, &inverted);
        }
    }
}

/// Where a record has the key and the count of its sequence.
#[derive(Debug)]
struct SequencePlace {
    key: Vec<Range<usize>>,
    count: usize,
    bytes: usize,
    signed: bool,
}

impl SequencePlace {
    fn new(layout: &RecordLayout, sequence: &Sequence) -> Option<Self> {
        let place = |index: &usize| match &layout.fields.get(*index)?.place {
            FieldPlace::At { offset, ty } => Some((*offset as usize, ty)),
            FieldPlace::Timestamp | FieldPlace::Constant(_) => None,
        };
        let key =
            sequence.key.iter().filter_map(place).map(|(offset, ty)| offset..offset + ty.size() as usize).collect();
        match place(&sequence.count)? {
            (count, DataType::Int { bytes, signed }) => {
                Some(Self { key, count, bytes: usize::from(*bytes), signed: *signed })
            }
            _ => None,
        }
    }

    fn count(&self, record: &[u8]) -> Option<i128> {
        read_integer(record, self.count, self.bytes, self.signed)
    }

    fn same_key(&self, one: &[u8], other: &[u8]) -> bool {
        self.key.iter().all(|range| one.get(range.clone()) == other.get(range.clone()))
    }
}

/// The layout and the bytes, without padding, of a record; `None` when it fits no layout.
fn record<'a>(layouts: &[Layout], bytes: &'a [u8], entry: &Entry) -> Option<(usize, &'a [u8])> {
    let record = bytes.get(entry.offset..entry.offset + entry.len as usize)?;
    let id = record.get(RecordHeader::ID as usize..RecordHeader::SIZE as usize)?;
    let id = u32::from_le_bytes(id.try_into().ok()?) as usize;
    Some((id, record.get(..layouts.get(id)?.size as usize)?))
}

/// The layout's index, the sequence and the bytes of a record that is part of one.
fn member<'a>(layouts: &'a [Layout], bytes: &'a [u8], entry: &Entry) -> Option<(usize, &'a SequencePlace, &'a [u8])> {
    let (id, record) = record(layouts, bytes, entry)?;
    Some((id, layouts[id].sequence.as_ref()?, record))
}

/// Keys of which a record's count is not above that of the record before it, from another CPU;
/// each with such a record.
fn inversions(
    layouts: &[Layout],
    bytes: &[u8],
    entries: &[Entry],
    last_counts: &mut ByHash<(i128, u32)>,
) -> ByHash<usize> {
    let mut found = ByHash::default();
    last_counts.clear();
    for (at, entry) in entries.iter().enumerate() {
        let Some((id, place, record)) = member(layouts, bytes, entry) else { continue };
        let Some(count) = place.count(record) else { continue };
        let hash = hash_key(id, place, record);
        let last = last_counts.insert(hash, (count, entry.cpu));
        if last.is_some_and(|(last, cpu)| count <= last && cpu != entry.cpu) {
            found.insert(hash, at);
        }
    }
    found
}

/// Puts the records of each of `keys` in the order of their counts.
fn put_in_sequence(layouts: &[Layout], bytes: &mut [u8], entries: &mut [Entry], keys: &ByHash<usize>) {
    let mut runs: ByHash<Run> = ByHash::default();
    let mut ended = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        let Some((id, place, record)) = member(layouts, bytes, entry) else { continue };
        let hash = hash_key(id, place, record);
        let Some(&model) = keys.get(&hash) else { continue };
        let same_key = member(layouts, bytes, &entries[model])
            .is_some_and(|(other, _, model)| other == id && place.same_key(model, record));
        let Some(count) = place.count(record).filter(|_| same_key) else { continue };
        let run = runs.entry(hash).or_default();
        if run.ends_before(entry, count) {
            ended.push(std::mem::take(run));
        }
        run.add(position, entry, count);
    }
    for run in ended.into_iter().chain(runs.into_values()) {
        run.reorder(bytes, entries);
    }
}

/// Records of one key that count one and the same life of a map element.
#[derive(Debug, Default)]
struct Run {
    /// Where they stand, in the order of time.
    positions: Vec<usize>,
    /// Count and position, in the order of counts: nearly that of time, so most are added at the end.
    counts: Vec<(i128, usize)>,
    last_timestamp: u64,
    /// The highest count of each CPU.
    highest: Vec<(u32, i128)>,
}

impl Run {
    /// Whether the element began anew before this record, so that a lower count is the true order:
    /// a CPU's own records are in order, no count comes twice, and clocks do not differ by much.
    fn ends_before(&self, entry: &Entry, count: i128) -> bool {
        let own_cpu_was_further = self.highest.iter().any(|&(cpu, highest)| cpu == entry.cpu && highest >= count);
        let gap = entry.timestamp.saturating_sub(self.last_timestamp);
        own_cpu_was_further || self.place_of(count).is_ok() || (!self.positions.is_empty() && gap > MAX_SKEW)
    }

    /// Where a count stands, or is to be put.
    fn place_of(&self, count: i128) -> Result<usize, usize> {
        match self.counts.last() {
            Some(&(last, _)) if last >= count => self.counts.binary_search_by_key(&count, |&(count, _)| count),
            _ => Err(self.counts.len()),
        }
    }

    fn add(&mut self, position: usize, entry: &Entry, count: i128) {
        let place = self.place_of(count).unwrap_or_else(|place| place);
        self.positions.push(position);
        self.counts.insert(place, (count, position));
        self.last_timestamp = entry.timestamp;
        match self.highest.iter_mut().find(|(cpu, _)| *cpu == entry.cpu) {
            Some((_, highest)) => *highest = count,
            None => self.highest.push((entry.cpu, count)),
        }
    }

    /// Puts the payloads in the order of their counts; the timestamps stay where they are.
    fn reorder(&self, bytes: &mut [u8], entries: &mut [Entry]) {
        let places = self.positions.iter().zip(&self.counts);
        let moved: Vec<_> = places
            .filter(|(position, (_, from))| *position != from)
            .map(|(&position, &(_, from))| (position, entries[from]))
            .collect();
        for (position, payload) in moved {
            let timestamp = entries[position].timestamp;
            entries[position] = Entry { timestamp, ..payload };
            let header = payload.offset + RecordHeader::TIMESTAMP as usize;
            bytes[header..header + 8].copy_from_slice(&timestamp.to_le_bytes());
        }
    }
}

/// A hash of the layout and the key: equal keys are compared byte by byte before anything moves.
fn hash_key(id: usize, place: &SequencePlace, record: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let words = place.key.iter().flat_map(|range| record.get(range.clone()).unwrap_or(&[]).chunks(8)).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(mix(0, id as u64), mix)
}

/// Takes a hash for what it is.
#[derive(Clone, Copy, Debug, Default)]
struct Finished(u64);

impl Hasher for Finished {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only `u64` keys are hashed; this serves any other.
        self.0 = bytes.iter().fold(self.0, |hash, &byte| hash.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash ^ hash >> 32;
    }
}
