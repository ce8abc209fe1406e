//! One order for the records of all CPUs.
//!
//! Records are held back until nothing earlier can still come: a record is released once its
//! timestamp lies before the *previous* look into the buffers and is [`HOLD`] old. Whatever had
//! happened by then has had a whole round to get into its buffer. A record that comes later than
//! that is released at once, out of order, and counted.
//!
//! Timestamps are taken after the atomic addition whose result a record reports, so two CPUs may
//! take theirs the other way round. Where a layout has a [`Sequence`], records of one key are put
//! in the order of their counts: the timestamps stay where they are, the payloads change places.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{ControlFlow, Range};

use pfscript_compiler::manifest::{Action, DataType, FieldPlace, RecordHeader, RecordLayout, Sequence};

use super::{Arena, Entry, read_integer};

/// The least age of a record that is released, in ns.
pub const HOLD: u64 = 10_000_000;
/// The largest inversion of two CPUs' timestamps that is put right, in ns: beyond it a lower
/// count means that the element was deleted or cleared in between.
const MAX_SKEW: u64 = 5_000_000;
/// An arena larger than this is given back when it has become idle.
const KEEP_BYTES: usize = 1 << 20;

/// Records on their way into one order.
#[derive(Debug)]
pub struct Orderer {
    layouts: Vec<Layout>,
    arena: Arena,
    /// Where what is still held is copied to when the rest has been released.
    spare: Vec<u8>,
    /// Entries that were there before the last drain.
    old: usize,
    previous_look: u64,
    last_released: u64,
    late: u64,
    malformed: u64,
    last_counts: HashMap<u64, (i128, u32), BuildHasherDefault<Finished>>,
}

/// What of a record layout matters for the order.
#[derive(Debug)]
struct Layout {
    size: u32,
    sequence: Option<SequencePlace>,
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
        let key = sequence.key.iter().filter_map(place).map(|(offset, ty)| offset..offset + size_of_type(ty)).collect();
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

fn size_of_type(ty: &DataType) -> usize {
    match ty {
        DataType::Int { bytes, .. } => usize::from(*bytes),
        DataType::Str { len } => *len as usize,
        DataType::Tuple(members) => {
            members.iter().map(|member| member.offset as usize + size_of_type(&member.ty)).max().unwrap_or(0)
        }
    }
}

impl Orderer {
    /// An order for records of `layouts`.
    pub fn new(layouts: &[RecordLayout]) -> Self {
        let layout = |layout: &RecordLayout| {
            let sequence = match &layout.action {
                Action::Emit { sequence: Some(sequence) } => SequencePlace::new(layout, sequence),
                _ => None,
            };
            Layout { size: layout.size, sequence }
        };
        Self {
            layouts: layouts.iter().map(layout).collect(),
            arena: Arena::default(),
            spare: Vec::new(),
            old: 0,
            previous_look: 0,
            last_released: 0,
            late: 0,
            malformed: 0,
            last_counts: HashMap::default(),
        }
    }

    /// Where the buffers are to be drained to.
    pub fn arena(&mut self) -> &mut Arena {
        &mut self.arena
    }

    /// Whether records are held back.
    pub fn is_holding(&self) -> bool {
        !self.arena.entries.is_empty()
    }

    /// Records that came after later ones had been released.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Records that fit no layout; a bug if there is one.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Hands out, in order, what is ripe: `now` is the time (CLOCK_MONOTONIC ns) *before* the
    /// buffers were last drained. `take` gets the layout's index and the record's bytes; when it
    /// breaks, that record counts as taken and the rest stays.
    pub fn release<B>(&mut self, now: u64, take: impl FnMut(usize, &[u8]) -> ControlFlow<B>) -> ControlFlow<B> {
        let before = self.previous_look.min(now.saturating_sub(HOLD));
        self.previous_look = now;
        self.release_until(before, take)
    }

    /// Hands out everything: nothing more will come.
    pub fn release_all<B>(&mut self, take: impl FnMut(usize, &[u8]) -> ControlFlow<B>) -> ControlFlow<B> {
        self.release_until(u64::MAX, take)
    }

    /// Drops everything that is held.
    pub fn discard(&mut self) {
        self.forget(self.arena.entries.len());
    }

    fn release_until<B>(
        &mut self,
        before: u64,
        mut take: impl FnMut(usize, &[u8]) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.sort();
        let ripe = self.arena.entries.partition_point(|entry| entry.timestamp <= before);
        let (mut taken, mut flow) = (0, ControlFlow::Continue(()));
        while taken < ripe && flow.is_continue() {
            let entry = self.arena.entries[taken];
            self.last_released = self.last_released.max(entry.timestamp);
            taken += 1;
            match record(&self.layouts, &self.arena.bytes, &entry) {
                Some((layout, bytes)) => flow = take(layout, bytes),
                None => self.malformed += 1,
            }
        }
        self.forget(taken);
        flow
    }

    /// Sorts by time (each CPU's records are nearly sorted already: a merge), then by sequence.
    fn sort(&mut self) {
        let Arena { bytes, entries } = &mut self.arena;
        let fresh = &entries[self.old..];
        self.late += fresh.iter().filter(|entry| entry.timestamp < self.last_released).count() as u64;
        if fresh.is_empty() {
            return;
        }
        entries.sort_by_key(|entry| entry.timestamp);
        let several_cpus = entries.iter().any(|entry| entry.cpu != entries[0].cpu);
        if several_cpus && self.layouts.iter().any(|layout| layout.sequence.is_some()) {
            for at in inversions(&self.layouts, bytes, entries, &mut self.last_counts) {
                put_in_sequence(&self.layouts, bytes, entries, at);
            }
        }
    }

    /// Drops the first `taken` entries and moves the bytes of the others together.
    fn forget(&mut self, taken: usize) {
        let Arena { bytes, entries } = &mut self.arena;
        if taken > 0 {
            entries.drain(..taken);
            self.spare.clear();
            for entry in entries.iter_mut() {
                let start = self.spare.len();
                self.spare.extend_from_slice(&bytes[entry.offset..entry.offset + entry.len as usize]);
                entry.offset = start;
            }
            std::mem::swap(bytes, &mut self.spare);
        }
        if entries.is_empty() {
            bytes.clear();
            bytes.shrink_to(KEEP_BYTES);
            self.spare.clear();
            self.spare.shrink_to(KEEP_BYTES);
        }
        self.old = entries.len();
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

/// Entries whose count is not above the last one of the same key, from another CPU; one for each
/// key where that happens.
fn inversions(
    layouts: &[Layout],
    bytes: &[u8],
    entries: &[Entry],
    last_counts: &mut HashMap<u64, (i128, u32), BuildHasherDefault<Finished>>,
) -> Vec<usize> {
    let mut found: Vec<(u64, usize)> = Vec::new();
    last_counts.clear();
    for (at, entry) in entries.iter().enumerate() {
        let Some((id, place, record)) = member(layouts, bytes, entry) else { continue };
        let Some(count) = place.count(record) else { continue };
        let hash = hash_key(id, place, record);
        let last = last_counts.insert(hash, (count, entry.cpu));
        if last.is_some_and(|(last, cpu)| count <= last && cpu != entry.cpu) && !found.iter().any(|&(h, _)| h == hash) {
            found.push((hash, at));
        }
    }
    found.into_iter().map(|(_, at)| at).collect()
}

/// Puts the records with the key of entry `at` in the order of their counts.
fn put_in_sequence(layouts: &[Layout], bytes: &mut [u8], entries: &mut [Entry], at: usize) {
    let Some((id, place, model)) = member(layouts, bytes, &entries[at]) else { return };
    let mut run: Vec<(usize, i128)> = Vec::new();
    let mut runs = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        let Some((_, _, record)) = member(layouts, bytes, entry).filter(|&(other, _, _)| other == id) else { continue };
        let Some(count) = place.count(record).filter(|_| place.same_key(model, record)) else { continue };
        if starts_anew(&run, entries, entry, count) {
            runs.push(std::mem::take(&mut run));
        }
        run.push((position, count));
    }
    runs.push(run);
    for run in runs {
        reorder(&run, bytes, entries);
    }
}

/// Whether the element began anew before this record, so that a lower count is the true order:
/// a CPU's own records are in order, no count comes twice, and clocks do not differ by much.
fn starts_anew(run: &[(usize, i128)], entries: &[Entry], entry: &Entry, count: i128) -> bool {
    let same_cpu_was_further = |&(position, earlier): &(usize, i128)| {
        earlier == count || (entries[position].cpu == entry.cpu && earlier > count)
    };
    let gap = run.last().map_or(0, |&(position, _)| entry.timestamp - entries[position].timestamp);
    gap > MAX_SKEW || run.iter().any(same_cpu_was_further)
}

/// Sorts the payloads of a run by count; the timestamps stay where they are.
fn reorder(run: &[(usize, i128)], bytes: &mut [u8], entries: &mut [Entry]) {
    let mut payloads: Vec<(i128, Entry)> = run.iter().map(|&(position, count)| (count, entries[position])).collect();
    payloads.sort_by_key(|&(count, _)| count);
    let timestamps: Vec<u64> = run.iter().map(|&(position, _)| entries[position].timestamp).collect();
    for ((&(position, _), (_, payload)), timestamp) in run.iter().zip(payloads).zip(timestamps) {
        entries[position] = Entry { timestamp, ..payload };
        let header = payload.offset + RecordHeader::TIMESTAMP as usize;
        bytes[header..header + 8].copy_from_slice(&timestamp.to_le_bytes());
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

#[cfg(test)]
mod tests {
    use pfscript_compiler::manifest::RecordField;
    use pfscript_grammar::Span;

    use super::*;

    /// timestamp, id, key (u32), count (u64)
    const SIZE: u32 = 24;

    fn layouts() -> Vec<RecordLayout> {
        let field = |name: &str, offset, bytes| RecordField {
            name: name.into(),
            place: FieldPlace::At { offset, ty: DataType::Int { bytes, signed: false } },
        };
        let sequence = Some(Sequence { key: vec![0], count: 1 });
        let fields = vec![field("pid", 12, 4), field("count", 16, 8)];
        vec![RecordLayout { size: SIZE, action: Action::Emit { sequence }, fields, span: Span::default() }]
    }

    fn push(orderer: &mut Orderer, cpu: u32, timestamp: u64, key: u32, count: u64) {
        let arena = orderer.arena();
        let offset = arena.bytes.len();
        arena.bytes.extend(timestamp.to_le_bytes());
        arena.bytes.extend(0_u32.to_le_bytes());
        arena.bytes.extend(key.to_le_bytes());
        arena.bytes.extend(count.to_le_bytes());
        arena.bytes.extend([0xee; 4]); // padding
        arena.entries.push(Entry { timestamp, offset, len: SIZE + 4, cpu });
    }

    type Seen = Vec<(u64, u32, u64)>;

    fn collect(seen: &mut Seen) -> impl FnMut(usize, &[u8]) -> ControlFlow<()> {
        |layout, bytes| {
            assert_eq!((layout, bytes.len()), (0, SIZE as usize));
            let at = |offset, len| read_integer(bytes, offset, len, false).expect("in the record") as u64;
            seen.push((at(0, 8), at(12, 4) as u32, at(16, 8)));
            ControlFlow::Continue(())
        }
    }

    fn all(orderer: &mut Orderer) -> Seen {
        let mut seen = Vec::new();
        assert!(orderer.release_all(collect(&mut seen)).is_continue());
        seen
    }

    #[test]
    fn cpus_are_merged_by_time() {
        let mut orderer = Orderer::new(&layouts());
        push(&mut orderer, 0, 10, 1, 1);
        push(&mut orderer, 0, 30, 1, 2);
        push(&mut orderer, 1, 20, 2, 1);
        assert_eq!(all(&mut orderer), [(10, 1, 1), (20, 2, 1), (30, 1, 2)]);
    }

    #[test]
    fn records_are_held_for_a_round() {
        let mut orderer = Orderer::new(&layouts());
        let mut seen = Vec::new();
        push(&mut orderer, 0, 100, 1, 1);
        assert!(orderer.release(HOLD + 50, collect(&mut seen)).is_continue());
        assert!(seen.is_empty() && orderer.is_holding());
        push(&mut orderer, 1, 90, 2, 1);
        push(&mut orderer, 1, HOLD + 60, 2, 2);
        assert!(orderer.release(2 * HOLD, collect(&mut seen)).is_continue());
        assert_eq!(seen, [(90, 2, 1), (100, 1, 1)]);
        assert_eq!(all(&mut orderer), [(HOLD + 60, 2, 2)]);
        assert_eq!(orderer.late(), 0);
    }

    #[test]
    fn a_late_record_is_counted_and_not_lost() {
        let mut orderer = Orderer::new(&layouts());
        push(&mut orderer, 0, 100, 1, 1);
        assert_eq!(all(&mut orderer).len(), 1);
        push(&mut orderer, 1, 90, 2, 1);
        assert_eq!(all(&mut orderer), [(90, 2, 1)]);
        assert_eq!(orderer.late(), 1);
    }

    #[test]
    fn inverted_counts_change_places_and_times_stay() {
        let mut orderer = Orderer::new(&layouts());
        push(&mut orderer, 0, 10, 1, 140);
        push(&mut orderer, 0, 15, 2, 7);
        push(&mut orderer, 1, 20, 1, 70);
        push(&mut orderer, 1, 30, 1, 210);
        assert_eq!(all(&mut orderer), [(10, 1, 70), (15, 2, 7), (20, 1, 140), (30, 1, 210)]);
    }

    #[test]
    fn an_inversion_across_the_border_of_a_round_is_put_right() {
        let mut orderer = Orderer::new(&layouts());
        let mut seen = Vec::new();
        push(&mut orderer, 0, 10, 1, 140);
        push(&mut orderer, 1, HOLD, 1, 70);
        push(&mut orderer, 1, 12, 1, 70);
        orderer.previous_look = 11;
        assert!(orderer.release(HOLD + 11, collect(&mut seen)).is_continue());
        assert_eq!(seen, [(10, 1, 70)]);
    }

    #[test]
    fn a_count_that_starts_anew_keeps_its_place() {
        let mut orderer = Orderer::new(&layouts());
        push(&mut orderer, 0, 10, 1, 70);
        push(&mut orderer, 0, 20, 1, 140); // then the element is deleted
        push(&mut orderer, 1, 30, 1, 70);
        push(&mut orderer, 0, 40, 1, 140);
        assert_eq!(all(&mut orderer).iter().map(|seen| seen.2).collect::<Vec<_>>(), [70, 140, 70, 140]);
        push(&mut orderer, 0, 100, 1, 210);
        push(&mut orderer, 1, 100 + MAX_SKEW + 1, 1, 70); // too long after
        assert_eq!(all(&mut orderer).iter().map(|seen| seen.2).collect::<Vec<_>>(), [210, 70]);
    }

    #[test]
    fn breaking_off_keeps_the_rest() {
        let mut orderer = Orderer::new(&layouts());
        for timestamp in [1, 2, 3] {
            push(&mut orderer, 0, timestamp, 1, timestamp);
        }
        let broken = orderer.release_all(|_, _| ControlFlow::Break("stop"));
        assert_eq!(broken, ControlFlow::Break("stop"));
        assert_eq!(all(&mut orderer), [(2, 1, 2), (3, 1, 3)]);
    }

    #[test]
    fn a_record_of_no_layout_is_counted() {
        let mut orderer = Orderer::new(&layouts());
        push(&mut orderer, 0, 1, 1, 1);
        orderer.arena().bytes[8] = 9;
        push(&mut orderer, 0, 2, 1, 2);
        orderer.arena().entries[1].len = 13;
        assert!(all(&mut orderer).is_empty());
        assert_eq!(orderer.malformed(), 2);
    }

    /// Many keys counted by several CPUs, timestamps a little off, drained in rounds: every count
    /// comes out once, ascending for its key, at ascending times.
    #[test]
    fn counts_ascend_whatever_the_clocks_say() {
        for seed in 1..40_u64 {
            let mut state = seed;
            let mut random = move |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let (mut seen, mut orderer) = (Vec::new(), Orderer::new(&layouts()));
            let (mut now, mut counts, mut total) = (0, [0_u64; 5], 0);
            let mut last_of_cpu = [0_u64; 4];
            for _round in 0..20 {
                for _ in 0..random(60) {
                    let (cpu, key) = (random(4) as usize, random(5) as usize);
                    now += random(3_000);
                    counts[key] += 1;
                    total += 1;
                    last_of_cpu[cpu] = (now + random(20_000)).max(last_of_cpu[cpu] + 1);
                    push(&mut orderer, cpu as u32, last_of_cpu[cpu], key as u32, counts[key]);
                }
                now += HOLD;
                assert!(orderer.release(now, collect(&mut seen)).is_continue());
            }
            assert!(orderer.release_all(collect(&mut seen)).is_continue());
            assert_eq!(seen.len(), total, "seed {seed}");
            assert!(seen.is_sorted_by_key(|seen| seen.0), "seed {seed}");
            let mut next = [1; 5];
            for (_, key, count) in seen {
                assert_eq!(count, next[key as usize], "seed {seed}");
                next[key as usize] += 1;
            }
        }
    }
}
