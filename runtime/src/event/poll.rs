//! The buffers of all CPUs: when to look into them, and looking.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aya::maps::MapData;
use tokio::io::unix::AsyncFd;

use super::Arena;
use super::ring::Ring;
use crate::failure::{Failure, Reason};
use crate::sys::map::RawMap;
use crate::sys::{self, page_size};

/// Bytes of a CPU's buffer unless the caller says otherwise: a burst of 10 000 events at least.
const DEFAULT_SIZE: usize = 1 << 20;
/// How often to look while events come.
const BUSY: Duration = Duration::from_millis(10);
/// How often to look when none have come for a while: with the wait for the horizon, which is what
/// releases a record, output still appears within 50 ms.
const IDLE: Duration = Duration::from_millis(30);
/// How long after the last event the pace slows down.
const BUSY_FOR: Duration = Duration::from_millis(500);

/// The buffers of all online CPUs.
#[derive(Debug)]
pub struct Rings {
    rings: Vec<Ring>,
    /// A descriptor of each ring's event, by which tokio waits for it.
    waits: Vec<AsyncFd<OwnedFd>>,
}

impl Rings {
    /// Opens a buffer of `pages` pages (rounded up to a power of two) on each of `cpus` and makes
    /// it known in `events`. To be called inside the tokio runtime.
    ///
    /// # Errors
    /// The kernel refuses a buffer.
    pub fn open(events: &MapData, cpus: &[u32], pages: Option<usize>) -> Result<Self, Failure> {
        let pages = pages.unwrap_or(DEFAULT_SIZE / page_size()).max(1).next_power_of_two();
        let map = RawMap::of(events).map_err(|error| Failure::Buffers(Reason::new(error.to_string())))?;
        let open = |&cpu: &u32| {
            let ring = Ring::open(cpu, pages).map_err(|refused| Failure::Buffers(refused.into()))?;
            let (key, value) = (cpu.to_ne_bytes(), ring.as_fd().as_raw_fd().to_ne_bytes());
            map.update(&key, &value).map_err(|refused| Failure::Buffers(refused.into()))?;
            let wait = sys::await_readable(ring.as_fd().try_clone_to_owned()?)?;
            Ok((ring, wait))
        };
        let (rings, waits) = cpus.iter().map(open).collect::<Result<_, Failure>>()?;
        Ok(Self { rings, waits })
    }

    /// No buffers, for scripts that send nothing.
    pub fn none() -> Self {
        Self { rings: Vec::new(), waits: Vec::new() }
    }

    /// Moves all waiting records to `arena`. Returns how many the kernel says it dropped.
    pub fn drain(&self, arena: &mut Arena) -> u64 {
        self.rings.iter().map(|ring| ring.drain(arena)).sum()
    }

    /// Completes when a buffer has filled up to its watermark; never without buffers.
    ///
    /// # Errors
    /// Waiting itself failed.
    pub async fn filled(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_filled(cx)).await
    }

    fn poll_filled(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut filled = false;
        for wait in &self.waits {
            // Polled again after the readiness was cleared, so that the next one wakes the task.
            while let Poll::Ready(guard) = wait.poll_read_ready(cx) {
                guard?.clear_ready();
                filled = true;
            }
        }
        if filled { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

/// When to look next, by when events last came.
#[derive(Debug)]
pub struct Pace {
    last_event: Instant,
}

impl Pace {
    /// A pace that starts out busy.
    pub fn new(now: Instant) -> Self {
        Self { last_event: now }
    }

    /// Events have come, or are still held back.
    pub fn saw_events(&mut self, now: Instant) {
        self.last_event = now;
    }

    /// How long to wait before the next look.
    pub fn wait(&self, now: Instant) -> Duration {
        if now.duration_since(self.last_event) < BUSY_FOR { BUSY } else { IDLE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_slows_down_and_picks_up() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.wait(start + BUSY_FOR / 2), BUSY);
        assert_eq!(pace.wait(start + BUSY_FOR), IDLE);
        pace.saw_events(start + BUSY_FOR);
        assert_eq!(pace.wait(start + BUSY_FOR), BUSY);
    }

    #[test]
    fn a_lone_event_is_out_within_50_ms() {
        // It arrives just after an idle look, is seen at the next, and waits for the horizon: two
        // ticks of a timer at 250 Hz and what the rest of the machine adds.
        assert!(IDLE + Duration::from_millis(16) < Duration::from_millis(50));
    }
}
