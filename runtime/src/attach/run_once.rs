//! `BEGIN` and `END`: raw tracepoint programs that are attached to nothing and run once.

use std::os::fd::AsFd;

use crate::failure::Failure;
use crate::load::LoadedProgram;
use crate::sys::bpf;

/// Runs a program once, on the calling thread's CPU.
///
/// # Errors
/// Why the kernel refuses.
pub fn run_once(loaded: &LoadedProgram<'_>) -> Result<(), Failure> {
    let failure =
        |refused: crate::sys::Refused| Failure::Run { probe: loaded.program.probe.clone(), reason: refused.into() };
    bpf::test_run(loaded.as_fd()).map_err(failure)
}
