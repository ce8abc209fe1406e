//! One order for the records of all CPUs.
//!
//! Records are held back until nothing earlier can still come: up to the horizon that
//! `horizon.rs` finds. A record that should come later than that all the same is released at
//! once, out of order, and counted.
//! Where two CPUs' clocks contradict the counts that records carry, `sequence.rs` puts it right.

use std::ops::ControlFlow;

use pfscript_compiler::manifest::RecordLayout;

use super::Arena;
use super::sequence::Sequencer;

/// An arena larger than this is given back when it has become idle.
const KEEP_BYTES: usize = 1 << 20;

/// Records on their way into one order.
#[derive(Debug)]
pub struct Orderer {
    sequencer: Sequencer,
    arena: Arena,
    /// Where what is still held is copied to when the rest has been released.
    spare: Vec<u8>,
    /// Entries that were there before the last drain.
    old: usize,
    last_released: u64,
    /// Up to when records were handed out: before a later horizon there is nothing to be done.
    horizon: u64,
    late: u64,
    malformed: u64,
}

impl Orderer {
    /// An order for records of `layouts`.
    pub fn new(layouts: &[RecordLayout]) -> Self {
        Self {
            sequencer: Sequencer::new(layouts),
            arena: Arena { sizes: layouts.iter().map(|layout| layout.size).collect(), ..Arena::default() },
            spare: Vec::new(),
            old: 0,
            last_released: 0,
            horizon: 0,
            late: 0,
            malformed: 0,
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

    /// Whether all up to `horizon` has been handed out.
    pub fn has_released(&self, horizon: u64) -> bool {
        horizon <= self.horizon
    }

    /// Records that came after later ones had been released.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Records that fit no layout; a bug if there is one.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Hands out everything: nothing more will come.
    pub fn release_all<B>(&mut self, take: impl FnMut(usize, &[u8]) -> ControlFlow<B>) -> ControlFlow<B> {
        self.release(u64::MAX, take)
    }

    /// Drops everything that is held.
    pub fn discard(&mut self) {
        self.forget(self.arena.entries.len());
    }

    /// Hands out, in order, all records up to `horizon` (CLOCK_MONOTONIC ns). `take` gets the
    /// layout's index and the record's bytes; when it breaks, that record counts as taken and the
    /// rest stays. Nothing is looked at before a later horizon than the last.
    pub fn release<B>(&mut self, horizon: u64, mut take: impl FnMut(usize, &[u8]) -> ControlFlow<B>) -> ControlFlow<B> {
        if self.has_released(horizon) {
            return ControlFlow::Continue(());
        }
        self.sort();
        let ripe = self.arena.entries.partition_point(|entry| entry.timestamp <= horizon);
        let (mut taken, mut flow) = (0, ControlFlow::Continue(()));
        while taken < ripe && flow.is_continue() {
            let entry = self.arena.entries[taken];
            self.last_released = self.last_released.max(entry.timestamp);
            taken += 1;
            match self.sequencer.record(&self.arena.bytes, &entry) {
                Some((layout, bytes)) => flow = take(layout, bytes),
                None => self.malformed += 1,
            }
        }
        self.forget(taken);
        if flow.is_continue() && horizon != u64::MAX {
            self.horizon = horizon;
        }
        flow
    }

    /// Sorts by time (each CPU's records are nearly sorted already: a merge), then by sequence.
    fn sort(&mut self) {
        let Arena { bytes, entries, .. } = &mut self.arena;
        let fresh = &entries[self.old..];
        self.late += fresh.iter().filter(|entry| entry.timestamp < self.last_released).count() as u64;
        if fresh.is_empty() {
            return;
        }
        entries.sort_by_key(|entry| entry.timestamp);
        self.sequencer.put_right(bytes, entries);
    }

    /// Drops the first `taken` entries and moves the bytes of the others together.
    fn forget(&mut self, taken: usize) {
        let Arena { bytes, entries, .. } = &mut self.arena;
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

#[cfg(test)]
mod tests {
    use pfscript_compiler::manifest::{Action, DataType, FieldPlace, RecordField, Sequence};
    use pfscript_grammar::Span;

    use super::*;
    use crate::event::sequence::MAX_SKEW;
    use crate::event::{Entry, read_integer};

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
        assert!(orderer.release(99, collect(&mut seen)).is_continue());
        assert!(seen.is_empty() && orderer.is_holding());
        push(&mut orderer, 1, 90, 2, 1);
        push(&mut orderer, 1, 160, 2, 2);
        assert!(orderer.release(159, collect(&mut seen)).is_continue());
        assert_eq!(seen, [(90, 2, 1), (100, 1, 1)]);
        assert_eq!(all(&mut orderer), [(160, 2, 2)]);
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
        push(&mut orderer, 1, 12, 1, 70);
        assert!(orderer.release(11, collect(&mut seen)).is_continue());
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
                now += 20_000;
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
