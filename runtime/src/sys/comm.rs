//! The names of processes that are there now.

use std::fs;

/// The kernel's initial PID namespace (`PROC_PID_INIT_INO` of `include/linux/proc_ns.h`).
const INITIAL_NAMESPACE: &str = "pid:[4026531836]";

/// Asks /proc for the names of processes.
#[derive(Clone, Copy, Debug)]
pub struct Comms {
    /// A PID that a program in the kernel has seen is the same here: in a PID namespace of its own
    /// it would be that of another process.
    knows_pids: bool,
}

impl Comms {
    /// For this process.
    pub fn new() -> Self {
        let namespace = fs::read_link("/proc/self/ns/pid");
        Self { knows_pids: namespace.is_ok_and(|namespace| namespace.as_os_str() == INITIAL_NAMESPACE) }
    }

    /// The name of the process (or thread) `pid`, whatever bytes it is of; none when it is gone.
    pub fn of(self, pid: u32) -> Option<Vec<u8>> {
        let mut name = self.knows_pids.then(|| fs::read(format!("/proc/{pid}/comm")).ok())??;
        name.pop_if(|last| *last == b'\n');
        Some(name)
    }
}

impl Default for Comms {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_there_has_a_name() {
        let comms = Comms { knows_pids: true };
        let own = comms.of(std::process::id()).expect("this process is there");
        assert!(!own.is_empty() && !own.ends_with(b"\n"), "{own:?}");
        assert_eq!(comms.of(u32::MAX), None);
        assert_eq!(Comms { knows_pids: false }.of(std::process::id()), None);
    }
}
