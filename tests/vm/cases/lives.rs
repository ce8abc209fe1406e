//! Which end of a process frees its counter: a PID that comes back starts at zero, the end of a thread
//! does not reset its process, exec keeps the count, and a long run does not fill the map.
//!
//! All by the software event, whose counts are exact: the smallest error shows.

use super::counting::{counted, counted_beside};
use super::{Case, Needs, ended};
use crate::machine::Transcript;

/// Counters that may be left when hundreds of processes have come and gone: of those that live on, and
/// of those whose end the kernel told while another program ran on that CPU (it skips it then).
const LEFT_AT_MOST: u64 = 60;

/// Cases of the lives of processes.
pub const CASES: &[Case] = &[
    Case {
        name: "lives_many",
        needs: Needs::Nothing,
        commands: "lives $here/lives.pf page_fault_gen 2 --processes 300",
        check: &|seen| {
            exact(seen, 300)?;
            match seen.values("counters")[..] {
                [left] if left <= LEFT_AT_MOST => Ok(()),
                ref left => Err(format!("300 processes have left {left:?} counters")),
            }
        },
    },
    Case {
        name: "lives_of_reused_pids",
        needs: Needs::Guest,
        // Six PIDs for 300 processes: each is given away again before the kernel has freed its last owner.
        commands: "storm() {
                       echo 306 >/proc/sys/kernel/pid_max
                       page_fault_gen 2 --processes 300
                       echo 32768 >/proc/sys/kernel/pid_max
                   }
                   lives $here/lives.pf storm",
        check: &|seen| {
            exact(seen, 300)?;
            match seen.values("pids")[..] {
                [pids] if pids <= 6 => Ok(()),
                ref pids => Err(format!("the PIDs did not come back: {pids:?}")),
            }
        },
    },
    Case {
        name: "lives_without_first_thread",
        needs: Needs::Nothing,
        commands: "count $here/software.pf 1 3000 --threads 3 --life leave",
        check: &|seen| counted(seen, &[1], 0),
    },
    Case {
        name: "lives_of_threads",
        needs: Needs::Nothing,
        // Each thread ends when it has done its share, long before the last one.
        commands: "count $here/software.pf 1 5000 --threads 50",
        check: &|seen| counted(seen, &[1], 0),
    },
    Case {
        name: "lives_through_exec",
        needs: Needs::Nothing,
        // getrusage has one fault more: the arguments, which the kernel writes to the new stack.
        commands: "count $here/software.pf 1 3000 --life exec",
        check: &|seen| counted_beside(seen, &[-1], 1),
    },
];

/// Each count of each life came, and nothing else.
fn exact(seen: &Transcript, lives: u64) -> Result<(), String> {
    ended(seen, 1)?;
    match ["lives", "wrong", "extra"].map(|key| seen.values(key)) {
        [told, wrong, extra] if told == [lives] && wrong == [0] && extra == [0] => Ok(()),
        told => Err(format!("lives, wrong and unexpected counts are {told:?}")),
    }
}
