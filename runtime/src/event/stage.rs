//! Records that CPUs gather in a burst instead of sending each: switched on, fetched, switched off.
//! How it works on the side of the programs stands at [`Stage`].
//!
//! Staging is for bursts only: while few events come each is sent by itself, and nobody has to run
//! a program on an idle CPU. What is staged reaches the buffers with the next horizon, which is
//! asked for every [`poll`](super::poll) while anything is staged.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use aya::maps::MapData;
use pfscript_compiler::manifest::Stage;

use super::Arena;
use super::ring::index_sample;
use crate::load::LoadedProgram;
use crate::sys::bpf::test_run_on;
use crate::sys::map::RawMap;

/// So many records from one horizon to the next are a burst: 10 000 a second or more.
const BURST: usize = 256;
/// How long a program is at a stage, mostly much less.
const MOMENT: Duration = Duration::from_micros(50);

/// The stages of all CPUs, as the session sees them.
pub struct Stages<'a> {
    map: &'a MapData,
    fetcher: Arc<Mutex<Fetcher>>,
    /// Records that have come since the last horizon was asked for.
    seen: usize,
    armed: bool,
}

/// Fetches what is staged, on a thread of its own.
#[derive(Debug)]
pub struct Fetcher {
    program: OwnedFd,
    cpus: Vec<u32>,
    /// Whether the programs are detached, and the stages therefore read by another way.
    ended: bool,
}

impl<'a> Stages<'a> {
    /// The stages in `map` on `cpus`, sent by `program`.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn new(map: &'a MapData, program: &LoadedProgram<'_>, cpus: &[u32]) -> io::Result<Self> {
        let program = program.as_fd().try_clone_to_owned()?;
        let fetcher = Fetcher { program, cpus: cpus.to_vec(), ended: false };
        Ok(Self { map, fetcher: Arc::new(Mutex::new(fetcher)), seen: 0, armed: false })
    }

    /// Records have come.
    pub fn saw(&mut self, records: usize) {
        self.seen += records;
    }

    /// Whether there may be something on a stage.
    pub fn are_armed(&self) -> bool {
        self.armed
    }

    /// What is to be done for the next horizon.
    pub fn fetch(&mut self) -> Fetch {
        let was_armed = self.armed;
        self.armed = std::mem::take(&mut self.seen) >= BURST;
        let is_needed = was_armed || self.armed;
        Fetch { fetcher: is_needed.then(|| Arc::clone(&self.fetcher)), arm: self.armed }
    }

    /// Takes what is left on the stages, after the programs have ended, to `arena`.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn take_rest(&mut self, arena: &mut Arena) -> io::Result<()> {
        lock(&self.fetcher).ended = true;
        let map = RawMap::of(self.map).map_err(io::Error::other)?;
        let mut stages = vec![0; map.value_size()];
        map.lookup(&0_u32.to_ne_bytes(), &mut stages)?;
        for (cpu, stage) in (0..).zip(stages.chunks(Stage::SIZE as usize)) {
            let length = stage.get(Stage::LENGTH as usize..Stage::RECORDS as usize).and_then(|at| at.try_into().ok());
            let end = Stage::RECORDS as usize + u64::from_ne_bytes(length.unwrap_or_default()) as usize;
            let records = stage.get(Stage::RECORDS as usize..end).unwrap_or_default();
            let start = arena.bytes.len();
            arena.bytes.extend_from_slice(records);
            index_sample(cpu, start..arena.bytes.len(), arena);
        }
        Ok(())
    }
}

/// Something to do before a horizon is reached; or nothing.
#[derive(Debug, Default)]
pub struct Fetch {
    fetcher: Option<Arc<Mutex<Fetcher>>>,
    arm: bool,
}

impl Fetch {
    /// Has every CPU send what it has staged: when it returns, that is in the buffers.
    pub fn run(self) {
        let Some(fetcher) = self.fetcher else { return };
        let cpus = lock(&fetcher).cpus.clone();
        for cpu in cpus {
            // A program is at the stage, or the buffer is full and about to be emptied.
            while !lock(&fetcher).fetch(cpu, self.arm) {
                sleep(MOMENT);
            }
        }
    }
}

impl Fetcher {
    /// Whether no more need be done on this CPU. One that has gone offline is read at the end.
    fn fetch(&self, cpu: u32, arm: bool) -> bool {
        self.ended || test_run_on(self.program.as_fd(), cpu, u64::from(arm)).map_or(true, |code| code == 0)
    }
}

fn lock(fetcher: &Mutex<Fetcher>) -> MutexGuard<'_, Fetcher> {
    fetcher.lock().unwrap_or_else(PoisonError::into_inner)
}
