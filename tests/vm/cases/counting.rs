//! The main job by each of its sources, compared with what the kernel says of the same process.
//!
//! `handle_mm_fault` is not called exactly as often as getrusage counts a fault: also for a retry
//! of a fault, and for pages that the kernel touches for the process (get_user_pages). On an idle
//! guest that was at most 7 calls in 20 000 faults. The software event is what getrusage counts.
//! docs/page-faults.md tells more, and `sources` holds it.
//!
//! A tracing program (fentry) can be preempted; what another thread does on that processor
//! meanwhile is skipped by the kernel. pfscript says how much, and only that much may be missing.

use super::{Case, Needs, ended};
use crate::machine::Transcript;
use crate::rig::multiples::check_multiples;

/// Calls of `handle_mm_fault` beyond the faults of one run of the generator.
const RETRIES: u64 = 32;

/// Cases of counting.
pub const CASES: &[Case] = &[
    Case {
        name: "by_fentry",
        needs: Needs::Fentry,
        commands: "count $here/fentry.pf 1 4000; count $here/fentry.pf 50 20000 --threads 4",
        check: &|seen| counted(seen, &[1, 50], RETRIES),
    },
    Case {
        name: "by_kprobe",
        needs: Needs::Kprobe,
        commands: "count $here/kprobe.pf 1 4000; count $here/kprobe.pf 50 20000 --threads 4",
        check: &|seen| counted(seen, &[1, 50], RETRIES),
    },
    Case {
        name: "by_software",
        needs: Needs::Nothing,
        commands: "count $here/software.pf 1 4000; count $here/software.pf 50 20000 --threads 4",
        check: &|seen| counted(seen, &[1, 50], 0),
    },
    Case {
        name: "by_choice",
        needs: Needs::Kprobe,
        commands: "count $here/pagefault.pf 70 20000",
        check: &|seen| {
            counted(seen, &[70], RETRIES)?;
            let attached = seen.lines.iter().find(|line| line.contains("attached"));
            match attached {
                Some(line) if line.contains("attached kprobe:handle_mm_fault") => Ok(()),
                other => Err(format!("kprobe is here and was not taken: {other:?}")),
            }
        },
    },
    Case {
        name: "sources_software",
        needs: Needs::Nothing,
        commands: "count $here/software.pf 1 500 --by populate; count $here/software.pf 1 500 --by fail",
        // Only what the processor raised, but all of that.
        check: &|seen| counted_beside(seen, &[-500, 500], 0),
    },
    Case {
        name: "sources_kprobe",
        needs: Needs::Kprobe,
        commands: "count $here/kprobe.pf 1 500 --by populate; count $here/kprobe.pf 1 500 --by fail",
        check: &|seen| counted_beside(seen, &[0, 0], RETRIES),
    },
    Case {
        name: "sources_fentry",
        needs: Needs::Fentry,
        commands: "count $here/fentry.pf 1 500 --by populate; count $here/fentry.pf 1 500 --by fail",
        check: &|seen| counted_beside(seen, &[0, 0], RETRIES),
    },
];

/// Checks runs at step 1 of a source which counts so many more faults than getrusage.
pub fn counted_beside(seen: &Transcript, more: &[i64], slack: u64) -> Result<(), String> {
    let mut more_of_run = more.iter();
    let mut lines = Vec::new();
    for line in &seen.lines {
        lines.push(match line.starts_with("pid=") {
            true => with_faults(line, *more_of_run.next().ok_or("more runs than expected")?),
            false => line.clone(),
        });
    }
    counted(&Transcript { lines, exit: seen.exit }, &vec![1; more.len()], slack)
}

/// The generator's line with so many more faults.
fn with_faults(line: &str, more: i64) -> String {
    let word = |word: &str| match word.strip_prefix("faults=").and_then(|count| count.parse::<u64>().ok()) {
        Some(count) => format!("faults={}", count.saturating_add_signed(more)),
        None => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Checks the runs of `count` in a transcript, one for each of `steps`.
pub fn counted(seen: &Transcript, steps: &[u64], slack: u64) -> Result<(), String> {
    ended(seen, steps.len())?;
    let runs = seen.lines.split(|line| line.starts_with("exit=")).skip(1);
    for (run, step) in runs.zip(steps) {
        let run = Transcript { lines: run.to_vec(), exit: None };
        let &[own] = &run.values("faults")[..] else { return Err("the generator told no total".to_owned()) };
        let skipped = skipped(&run);
        // An emulated processor may stand still in the midst of a program for longer than what is put in order
        // makes up for: each multiple once is tested here, the order on the host by `live`.
        let mut reported = run.values("reported");
        reported.sort_unstable();
        check_multiples(&reported, *step, own - skipped, slack + skipped)?;
    }
    Ok(())
}

/// The runs of the counting probe that the tracer said were skipped.
fn skipped(run: &Transcript) -> u64 {
    let of_probe = run.lines.iter().filter(|line| line.contains("handle_mm_fault"));
    let mut told = of_probe.filter_map(|line| line.split_once("the kernel skipped "));
    told.next().and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).unwrap_or(0)
}
