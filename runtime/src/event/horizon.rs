//! Up to when everything that happened is known to be in the buffers.
//!
//! A program takes its timestamp some time before its record is in the buffer, and a processor
//! that is interrupted, or a virtual one that is not run, can be late by any amount. So nothing is
//! guessed: programs run inside RCU read sections, and `membarrier(MEMBARRIER_CMD_GLOBAL)` returns
//! when all that had begun before it have ended. Whoever reads the clock, then waits for that, then
//! looks into the buffers has all records up to the time read. It takes 8 to 16 ms at 250 Hz.
//! In a burst programs leave their records on a stage; these are fetched after the wait, when all
//! up to the time read are there.

use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};

use super::stage::Fetch;
use crate::sys;

/// What is waited instead where the kernel has no such barrier (`nohz_full`): long compared with
/// any run of a program, though no proof.
const WITHOUT_BARRIER: Duration = Duration::from_millis(20);

/// The wait for a horizon, at most one at a time.
#[derive(Debug, Default)]
pub struct Horizon {
    running: Option<JoinHandle<u64>>,
}

impl Horizon {
    /// Begins to wait for the programs that run now, unless such a wait is on already. To be
    /// called inside the tokio runtime. What `fetch` gives is done before the horizon is reached.
    pub fn advance(&mut self, fetch: impl FnOnce() -> Fetch) {
        self.running.get_or_insert_with(|| {
            let fetch = fetch();
            spawn_blocking(|| wait(fetch))
        });
    }

    /// Completes with the time (CLOCK_MONOTONIC ns) up to which all records are in the buffers;
    /// never when nothing is waited for. Can be dropped and called again.
    pub async fn reached(&mut self) -> u64 {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let horizon = running.await;
        self.running = None;
        horizon.unwrap_or_default()
    }
}

fn wait(fetch: Fetch) -> u64 {
    let now = sys::monotonic_now();
    if sys::process::wait_for_programs().is_err() {
        std::thread::sleep(WITHOUT_BARRIER);
    }
    fetch.run();
    now
}
