//! What lies in the object's `.bss` section: counters of what is lost, the start of tracing, the
//! tallies of what was retired from maps, a stretch of zeros that new map elements are made from, and
//! one for what nobody wants to know.

use rustc_hash::FxHashMap;

use crate::manifest::{Counter, CounterKind, MapRef};

/// The layout of `.bss`, growing as programs need things in it.
#[derive(Clone, Debug, Default)]
pub struct Bss {
    /// Offset of the start of tracing, if a program wants it.
    pub start_time: Option<u32>,
    /// The counters.
    pub counters: Vec<Counter>,
    tallies: Vec<(MapRef, u32)>,
    offsets: FxHashMap<CounterKind, u32>,
    zeros: Option<(u32, u32)>,
    scratch: Option<(u32, u32)>,
    size: u32,
}

impl Bss {
    /// Bytes in all.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Offset of the start of tracing.
    pub fn start_time(&mut self) -> u32 {
        let offset = self.start_time.unwrap_or_else(|| self.reserve(8));
        self.start_time = Some(offset);
        offset
    }

    /// Offset of the counter of `what`.
    pub fn counter(&mut self, what: CounterKind) -> u32 {
        if let Some(&known) = self.offsets.get(&what) {
            return known;
        }
        let offset = self.reserve(8);
        self.counters.push(Counter { offset, what });
        self.offsets.insert(what, offset);
        offset
    }

    /// Offset of the tally of what was retired from `map`: how many elements, and 8 bytes further
    /// the sum of their values.
    pub fn tally(&mut self, map: MapRef) -> u32 {
        if let Some(&(_, offset)) = self.tallies.iter().find(|(known, _)| *known == map) {
            return offset;
        }
        let offset = self.reserve(16);
        self.tallies.push((map, offset));
        offset
    }

    /// Offset of at least `bytes` zeros.
    pub fn zeros(&mut self, bytes: u32) -> u32 {
        let known = self.zeros.filter(|&(_, length)| length >= bytes);
        let zeros = known.unwrap_or_else(|| (self.reserve(bytes.next_multiple_of(8)), bytes));
        self.zeros = Some(zeros);
        zeros.0
    }

    /// Offset of at least `bytes` that all programs write to at will and none reads: for helpers of
    /// which only the answer is wanted.
    pub fn scratch(&mut self, bytes: u32) -> u32 {
        let known = self.scratch.filter(|&(_, length)| length >= bytes);
        let scratch = known.unwrap_or_else(|| (self.reserve(bytes.next_multiple_of(8)), bytes));
        self.scratch = Some(scratch);
        scratch.0
    }

    fn reserve(&mut self, bytes: u32) -> u32 {
        let offset = self.size;
        self.size += bytes;
        offset
    }
}
