//! Perf's side band: what processes map from now on, told by the kernel as it happens.
//!
//! A process that has ended takes /proc/PID/maps along; this is how its addresses keep their
//! names. Watched are the mappings of executable files, forks and execs.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya_obj::generated::perf_event_type::{PERF_RECORD_COMM, PERF_RECORD_FORK, PERF_RECORD_MMAP2};

use super::mappings::Mapping;
use crate::sys::memory::RingMemory;
use crate::sys::{Refused, page_size, perf};

/// Bytes of each CPU's buffer: some thousand mappings between two looks.
const SIZE: usize = 256 * 1024;
/// Bytes of `struct perf_event_header`.
const HEADER: usize = 8;
/// `PERF_RECORD_MISC_COMM_EXEC`: the name changed because of an exec.
const IS_EXEC: u16 = 1 << 13;
/// `PROT_EXEC`
const EXECUTABLE: u32 = libc::PROT_EXEC as u32;

/// Something that changed what a process has mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file was mapped.
    Mapped {
        /// The process.
        pid: u32,
        /// What and where.
        mapping: Mapping,
    },
    /// All was replaced by another program, whose mappings follow.
    Exec {
        /// The process.
        pid: u32,
    },
    /// A process began as a copy of another.
    Fork {
        /// The new one.
        pid: u32,
        /// The other.
        parent: u32,
    },
}

/// The buffers of all CPUs.
#[derive(Debug)]
pub struct Watch {
    rings: Vec<(OwnedFd, RingMemory)>,
    bytes: Vec<u8>,
}

impl Watch {
    /// Watches from now on.
    ///
    /// # Errors
    /// The kernel refuses a buffer.
    pub fn open(cpus: &[u32]) -> Result<Self, Refused> {
        let open = |&cpu: &u32| {
            let event = perf::open_side_band(cpu)?;
            let memory = RingMemory::new(event.as_fd(), (SIZE / page_size()).max(1).next_power_of_two())?;
            perf::enable(event.as_fd())?;
            Ok((event, memory))
        };
        Ok(Self { rings: cpus.iter().map(open).collect::<Result<_, _>>()?, bytes: Vec::new() })
    }

    /// Takes what has happened since the last call, in the order in which it happened.
    pub fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (_, memory) in &self.rings {
            let (head, tail) = (memory.head(), memory.tail());
            self.bytes.clear();
            memory.copy(tail, head, &mut self.bytes);
            memory.set_tail(head);
            changes.extend(timed_changes(&self.bytes));
        }
        changes.sort_by_key(|&(time, _)| time);
        changes.into_iter().map(|(_, change)| change).collect()
    }
}

/// The changes among the records in `bytes`, with their times.
fn timed_changes(bytes: &[u8]) -> impl Iterator<Item = (u64, Change)> {
    Records(bytes).filter_map(|(kind, misc, body)| {
        let time = long(body, body.len().checked_sub(8)?)?;
        Some((time, change(kind, misc, body)?))
    })
}

/// The perf records in some bytes: kind, flags, body.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = (u32, u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, size) = (word(self.0, 0)?, usize::from((word(self.0, 4)? >> 16) as u16));
        let misc = word(self.0, 4)? as u16;
        let body = self.0.get(HEADER..size)?;
        self.0 = &self.0[size..];
        Some((kind, misc, body))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

fn change(kind: u32, misc: u16, body: &[u8]) -> Option<Change> {
    let pid = word(body, 0)?;
    if kind == PERF_RECORD_MMAP2 as u32 {
        return Some(Change::Mapped { pid, mapping: mapping(body)? });
    }
    if kind == PERF_RECORD_COMM as u32 {
        return (misc & IS_EXEC != 0).then_some(Change::Exec { pid });
    }
    let parent = word(body, 4)?;
    // A thread shares its process's memory.
    (kind == PERF_RECORD_FORK as u32 && pid != parent).then_some(Change::Fork { pid, parent })
}

/// `u32 pid, tid; u64 addr, len, pgoff; u32 maj, min; u64 ino, ino_generation; u32 prot, flags;
/// char filename[]`
fn mapping(body: &[u8]) -> Option<Mapping> {
    let (start, len, offset, inode) = (long(body, 8)?, long(body, 16)?, long(body, 24)?, long(body, 40)?);
    let name = body.get(64..)?;
    let name = &name[..name.iter().position(|&byte| byte == 0)?];
    let path = Path::new(std::ffi::OsStr::from_bytes(name)).into();
    let mapping = Mapping { start, end: start.checked_add(len)?, offset, inode, path };
    (word(body, 56)? & EXECUTABLE != 0).then_some(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, misc: u16, body: &[u8]) -> Vec<u8> {
        let size = (HEADER + body.len() + 8) as u16;
        let time = 5_u64.to_ne_bytes();
        [&kind.to_ne_bytes()[..], &misc.to_ne_bytes(), &size.to_ne_bytes(), body, &time].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn sample() -> Vec<u8> {
        let mut body = words(&[7, 7]);
        body.extend([0x1000_u64, 0x2000, 0x3000].map(u64::to_ne_bytes).concat());
        body.extend(words(&[8, 1, 42, 0, 0, 0, EXECUTABLE, 0]));
        body.extend(b"/lib/a.so\0\0\0\0\0\0\0");
        [
            record(PERF_RECORD_COMM as u32, IS_EXEC, &words(&[7, 7, 0, 0])),
            record(PERF_RECORD_MMAP2 as u32, 2, &body),
            record(PERF_RECORD_FORK as u32, 0, &words(&[9, 7, 9, 7, 0, 0])),
            record(PERF_RECORD_FORK as u32, 0, &words(&[7, 7, 10, 7, 0, 0])),
            record(PERF_RECORD_COMM as u32, 0, &words(&[7, 7, 0, 0])),
        ]
        .concat()
    }

    fn changes(bytes: &[u8]) -> Vec<Change> {
        timed_changes(bytes).map(|(_, change)| change).collect()
    }

    #[test]
    fn execs_mappings_and_forks_are_understood() {
        let path = Path::new("/lib/a.so").into();
        let mapping = Mapping { start: 0x1000, end: 0x3000, offset: 0x3000, inode: 42, path };
        let expected =
            [Change::Exec { pid: 7 }, Change::Mapped { pid: 7, mapping }, Change::Fork { pid: 9, parent: 7 }];
        assert_eq!(changes(&sample()), expected);
    }

    #[test]
    fn damage_ends_the_walk_without_panic() {
        let good = sample();
        for at in 0..good.len() {
            for value in [0, 1, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                changes(&bad);
            }
            changes(&good[..at]);
        }
    }
}
