//! One CPU's perf buffer, read without a wake-up per record.
//!
//! The kernel wakes the reader when a quarter of the buffer is full; a timer looks in between
//! (`poll.rs`). Draining copies what is there in one go and gives the room back at once, so a
//! record that wraps around the end of the ring needs no care.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya_obj::generated::perf_event_type::{PERF_RECORD_LOST, PERF_RECORD_SAMPLE};
use pfscript_compiler::manifest::RecordHeader;

use super::{Arena, Entry};
use crate::sys::memory::RingMemory;
use crate::sys::{Refused, page_size, perf};

/// Fewest pages that a buffer is halved down to where less memory may be locked than asked for.
const LEAST_PAGES: usize = 8;
/// Bytes of `struct perf_event_header`.
const HEADER: usize = 8;

/// The perf buffer of a CPU.
#[derive(Debug)]
pub struct Ring {
    cpu: u32,
    event: OwnedFd,
    memory: RingMemory,
}

impl Ring {
    /// Opens a buffer of `pages` pages (a power of two), or as many as the kernel grants.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn open(cpu: u32, mut pages: usize) -> Result<Self, Refused> {
        loop {
            let event = perf::open_output(cpu, (pages * page_size() / 4) as u32)?;
            match RingMemory::new(event.as_fd(), pages) {
                Ok(memory) => {
                    perf::enable(event.as_fd())?;
                    return Ok(Self { cpu, event, memory });
                }
                Err(refused) if pages > LEAST_PAGES && matches!(refused.errno, libc::EPERM | libc::ENOMEM) => {
                    pages /= 2
                }
                Err(refused) => return Err(refused),
            }
        }
    }

    /// The CPU.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Bytes of the buffer.
    pub fn size(&self) -> usize {
        self.memory.size()
    }

    /// Moves all waiting records to `arena`. Returns how many records the kernel says it dropped.
    pub fn drain(&self, arena: &mut Arena) -> u64 {
        let (head, tail) = (self.memory.head(), self.memory.tail());
        if head == tail {
            return 0;
        }
        let start = arena.bytes.len();
        self.memory.copy(tail, head, &mut arena.bytes);
        self.memory.set_tail(head);
        index_records(self.cpu, start, arena)
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Adds an entry for each sample in the arena's bytes from `start` on. Returns the number of lost
/// records that the kernel noted there.
fn index_records(cpu: u32, start: usize, arena: &mut Arena) -> u64 {
    let (mut at, mut lost) = (start, 0);
    while let Some((kind, size)) = header(&arena.bytes, at) {
        let body = &arena.bytes[at + HEADER..at + size];
        if kind == PERF_RECORD_LOST as u32 {
            lost += u64_at(body, 8).unwrap_or(0);
        } else if kind == PERF_RECORD_SAMPLE as u32 {
            // `u32 size`, then as many bytes of ours, padding included.
            let len = body.get(..4).map_or(0, |len| u32::from_ne_bytes(len.try_into().unwrap_or_default()) as usize);
            let start = at + HEADER + 4;
            index_sample(cpu, start..(start + len).min(at + size), arena);
        }
        at += size;
    }
    lost
}

/// Type and size of the perf record at `at`, if all of it is there.
fn header(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let header = bytes.get(at..at + HEADER)?;
    let kind = u32::from_ne_bytes(header[..4].try_into().ok()?);
    let size = usize::from(u16::from_ne_bytes(header[6..].try_into().ok()?));
    (size >= HEADER && at + size <= bytes.len()).then_some((kind, size))
}

/// Adds an entry for each record in these bytes of the arena: one, or several that were staged.
/// What is left at the end, less than a header, is padding.
pub fn index_sample(cpu: u32, bytes: Range<usize>, arena: &mut Arena) {
    let Range { start: mut offset, end } = bytes;
    while let Some(rest) = arena.bytes.get(offset..end).filter(|rest| rest.len() >= RecordHeader::SIZE as usize) {
        let id = rest[RecordHeader::ID as usize..].first_chunk().map_or(0, |id| u32::from_le_bytes(*id));
        // A record of no layout is for the orderer to find.
        let size = arena.sizes.get(id as usize).map_or(rest.len(), |&size| rest.len().min(size as usize));
        let timestamp = u64_at(rest, RecordHeader::TIMESTAMP as usize).unwrap_or(0);
        arena.entries.push(Entry { timestamp, offset, len: size as u32, cpu });
        offset += size.max(RecordHeader::SIZE as usize);
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn perf_record(kind: u32, body: &[u8]) -> Vec<u8> {
        let size = (HEADER + body.len()) as u16;
        [&kind.to_ne_bytes()[..], &[0, 0], &size.to_ne_bytes(), body].concat()
    }

    fn raw_sample(timestamp: u64, payload: &[u8]) -> Vec<u8> {
        let len = (8 + payload.len()) as u32;
        let body = [&len.to_ne_bytes()[..], &timestamp.to_ne_bytes(), payload].concat();
        perf_record(PERF_RECORD_SAMPLE as u32, &body)
    }

    #[test]
    fn samples_are_indexed_and_losses_counted() {
        let lost = perf_record(PERF_RECORD_LOST as u32, &[7_u64.to_ne_bytes(), 429_u64.to_ne_bytes()].concat());
        let bytes = [vec![0xaa; 3], raw_sample(5, &[1; 8]), lost, raw_sample(9, &[2; 4])].concat();
        let mut arena = Arena { bytes, ..Arena::default() };
        assert_eq!(index_records(1, 3, &mut arena), 429);
        let expected = [
            Entry { timestamp: 5, offset: 15, len: 16, cpu: 1 },
            Entry { timestamp: 9, offset: 3 + 28 + 24 + 12, len: 12, cpu: 1 },
        ];
        assert_eq!(arena.entries, expected);
        assert_eq!(arena.bytes[15..23], 5_u64.to_ne_bytes());
    }

    #[test]
    fn staged_records_are_told_apart() {
        let record =
            |timestamp: u64, id: u32, rest: &[u8]| [&timestamp.to_ne_bytes()[..], &id.to_ne_bytes(), rest].concat();
        // The padding is the kernel's: size and records together fill whole words.
        let records = [record(5, 1, &[1; 12]), record(6, 0, &[2; 4]), record(7, 1, &[3; 12]), vec![0; 4]].concat();
        let bytes =
            perf_record(PERF_RECORD_SAMPLE as u32, &[&(records.len() as u32).to_ne_bytes()[..], &records].concat());
        let mut arena = Arena { bytes, sizes: vec![16, 24], ..Arena::default() };
        assert_eq!(index_records(3, 0, &mut arena), 0);
        let entry = |timestamp, offset, len| Entry { timestamp, offset, len, cpu: 3 };
        assert_eq!(arena.entries, [entry(5, 12, 24), entry(6, 36, 16), entry(7, 52, 24)]);
    }

    #[test]
    fn a_damaged_buffer_ends_the_walk_without_panic() {
        let good = [raw_sample(5, &[1; 8]), raw_sample(9, &[2; 4])].concat();
        for at in 0..good.len() {
            for value in [0, 1, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                index_records(0, 0, &mut Arena { bytes, ..Arena::default() });
            }
            index_records(0, 0, &mut Arena { bytes: good[..at].to_vec(), ..Arena::default() });
        }
    }

    #[test]
    fn a_sample_too_short_for_a_header_is_none() {
        let mut arena = Arena { bytes: raw_sample(5, &[]), ..Arena::default() };
        index_records(0, 0, &mut arena);
        assert!(arena.entries.is_empty());
    }
}
