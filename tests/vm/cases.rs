//! What is run in every guest and what must come of it.
//!
//! `handle_mm_fault` is not called exactly as often as getrusage counts a fault: also for a retry
//! of a fault, and for pages that the kernel touches for the process (get_user_pages). On an idle
//! guest that was at most 7 calls in 20 000 faults. The software event is what getrusage counts.
//!
//! A tracing program (fentry) can be preempted; what another thread does on that processor
//! meanwhile is skipped by the kernel. pfscript says how much, and only that much may be missing.

use crate::guest::Transcript;
use crate::rig::multiples::check_multiples;
use crate::rig::toolbox::Tool;

/// Calls of `handle_mm_fault` beyond the faults of one run of the generator.
const RETRIES: u64 = 32;

/// One case: a script of the guest's shell, and the check of what it printed.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name in the table of results.
    pub name: &'static str,
    /// What the guest runs; `case_functions` are at hand.
    pub commands: &'static str,
    /// What must be true of what it printed.
    pub check: fn(&Transcript) -> Result<(), String>,
}

/// Every case of every kernel.
pub const CASES: &[Case] = &[
    Case {
        name: "kernel",
        commands: "test -r /sys/kernel/btf/vmlinux && test -r /sys/bus/event_source/devices/kprobe/type &&
                   test -r /sys/kernel/tracing/events/sched/sched_process_free/format",
        check: |_| Ok(()),
    },
    Case {
        name: "fentry",
        commands: "count /scripts/fentry.pf 1 4000 1; count /scripts/fentry.pf 50 20000 4",
        check: |seen| counted(seen, &[1, 50], RETRIES),
    },
    Case {
        name: "kprobe",
        commands: "count /scripts/kprobe.pf 1 4000 1; count /scripts/kprobe.pf 50 20000 4",
        check: |seen| counted(seen, &[1, 50], RETRIES),
    },
    Case {
        name: "software",
        commands: "count /scripts/software.pf 1 4000 1; count /scripts/software.pf 50 20000 4",
        check: |seen| counted(seen, &[1, 50], 0),
    },
    Case {
        name: "choice",
        commands: "count /scripts/pagefault.pf 70 20000 1",
        check: |seen| {
            counted(seen, &[70], RETRIES)?;
            let attached = seen.lines.iter().find(|line| line.contains("attached"));
            match attached {
                Some(line) if line.contains("attached kprobe:handle_mm_fault") => Ok(()),
                other => Err(format!("kprobe is here and was not taken: {other:?}")),
            }
        },
    },
    Case {
        name: "kretprobe",
        commands: r#"see 'kretprobe:handle_mm_fault /comm == "page_fault_gen"/ { @[retval & 3] = count(); }'"#,
        check: |seen| shown(seen, &["@[0]: "]),
    },
    Case {
        name: "arguments",
        commands: r#"see 'fentry:handle_mm_fault /comm == "page_fault_gen"/ {
                         @area[args.vma.vm_start <= args.address, args.address < args.vma.vm_end] = count(); }'
                     see 'fexit:handle_mm_fault /comm == "page_fault_gen"/ {
                         @ret[retval & 3, args.vma.vm_mm.map_count > 5] = count(); }'
                     see 'rawtracepoint:sched_process_exit /comm == "page_fault_gen"/ {
                         printf("%d %s\n", pid == args.p.tgid, args.p.group_leader.comm); }'"#,
        check: |seen| shown(seen, &["@area[1, 1]: ", "@ret[0, 1]: ", "1 page_fault_gen"]),
    },
    Case {
        name: "stack",
        commands: r#"see 'kprobe:handle_mm_fault /comm == "page_fault_gen"/ { @[kstack] = count(); }'"#,
        check: |seen| shown(seen, &["    handle_mm_fault+", "    asm_exc_page_fault+"]),
    },
    Case {
        name: "wildcard",
        commands: r#"see 'kprobe:handle_mm_f*t /comm == "page_fault_gen"/ { @[probe] = count(); }'"#,
        check: |seen| shown(seen, &["@[kprobe:handle_mm_fault]: "]),
    },
    Case {
        name: "map_loop",
        // The first round must not stand for all, nor some round for an empty map's none.
        commands: r#"pfscript -e 'interval:ms:100 {
                         @m[1] = 10; @m[2] = 20; @m[3] = 30; @none[1] = 1; delete(@none[1]);
                         $n = 0; $s = "a"; $pairs = 0; $kept = 5;
                         for ($kv : @m) { $n++; $s = $s == "a" ? "b" : "a"; if ($n == 2) { break; } }
                         for ($kv : @none) { $kept = 0; }
                         for ($a : @m) { for ($b : @m) { if ($a.0 < $b.0) { $pairs++; printf("%d\n", $pairs); } } }
                         printf("n=%d s=%s kept=%d pairs=%d\n", $n, $s, $kept, $pairs);
                         for ($kv : @m) { exit(); }
                         printf("never\n"); }'; echo "exit=$?""#,
        check: |seen| match seen.lines.iter().any(|line| line.contains("never")) {
            true => Err("a program went on behind its end".to_owned()),
            false => shown(seen, &["n=2 s=a kept=5 pairs=3", "exit=0"]),
        },
    },
    Case {
        name: "aggregation",
        // What a program reads is what all CPUs came to, and as many elements as there are.
        commands: r#"pfscript -e 'BEGIN { @low = min(5); @low = min(-7); @mean[1, "a"] = avg(4); @mean[2, "b"] = avg(9); }
                         profile:hz:99 { @ticks = count(); @exact++; @cpus = max(cpu); }
                         interval:ms:500 { exit(); }
                         END {
                             $sum = 0;
                             for ($kv : @mean) { $sum += $kv.1; }
                             printf("ticks=%d same=%d cpus=%d\n", @ticks > 5, @ticks == @exact, @cpus);
                             printf("low=%d len=%d sum=%d\n", @low, len(@mean), $sum);
                             printf("%s %d\n", ksym(kaddr("do_exit")), strncmp(comm, "pfscripts", 3));
                         }'; echo "exit=$?""#,
        check: |seen| shown(seen, &["ticks=1 same=1 cpus=1", "low=-7 len=2 sum=13", "do_exit 0", "exit=0"]),
    },
    Case {
        name: "hardware",
        commands: r#"pfscript -e 'hardware:cpu-cycles:1000000 { @ = count(); }' --duration 1s; echo "exit=$?""#,
        // An emulated machine may have no counters: then that must be said.
        check: |seen| match seen.values("exit")[..] {
            [0] => Ok(()),
            [3] => shown(seen, &["this machine has no such hardware counter"]),
            _ => Err("neither counted nor told why not".to_owned()),
        },
    },
];

/// The name of a script's case.
pub fn name_of(tool: &Tool) -> String {
    format!("script_{}", tool.name)
}

/// What the guest runs to try a script.
pub fn commands_of(tool: &Tool) -> String {
    format!("work() {{\n{}\n}}\ntool {} {}\n", tool.work, tool.name, tool.arguments)
}

/// Checks what a script said.
pub fn check_tool(tool: &Tool, seen: &Transcript) -> Result<(), String> {
    tool.check(&seen.lines.join("\n"))
}

/// Checks that a transcript has each of `texts` in some line.
fn shown(seen: &Transcript, texts: &[&str]) -> Result<(), String> {
    match texts.iter().find(|text| !seen.lines.iter().any(|line| line.contains(**text))) {
        Some(missing) => Err(format!("{missing:?} was not printed")),
        None => Ok(()),
    }
}

/// The attach point that a script of [`scripts`] keeps, by the script's name.
const ALTERNATIVES: &[(&str, &str)] = &[
    ("kprobe", "kprobe:handle_mm_fault"),
    ("fentry", "fentry:handle_mm_fault"),
    ("software", "software:page-faults:1"),
];

/// pagefault.pf as it is, and with each of its alternatives alone: `(file name, text)`.
///
/// # Panics
/// When pagefault.pf does not have the chain of alternatives that this takes apart.
pub fn scripts() -> Vec<(String, String)> {
    let whole = include_str!("../../scripts/pagefault.pf");
    let chain = ALTERNATIVES.iter().map(|(_, probe)| *probe).collect::<Vec<_>>().join(" or ");
    assert!(whole.contains(&chain), "scripts/pagefault.pf no longer has `{chain}`");
    let alone = ALTERNATIVES.iter().map(|(name, probe)| (format!("{name}.pf"), whole.replace(&chain, probe)));
    alone.chain([("pagefault.pf".to_owned(), whole.to_owned())]).collect()
}

/// Checks the runs of `count` in a transcript, one for each of `steps`.
fn counted(seen: &Transcript, steps: &[u64], slack: u64) -> Result<(), String> {
    let runs = seen.lines.split(|line| line.starts_with("exit=")).skip(1).collect::<Vec<_>>();
    if runs.len() != steps.len() || seen.values("exit").iter().any(|code| *code != 0) {
        return Err(format!("{} of {} runs ended, exit codes {:?}", runs.len(), steps.len(), seen.values("exit")));
    }
    if !seen.values("unheard").is_empty() {
        return Err("SIGINT did not end it".to_owned());
    }
    for (run, step) in runs.iter().zip(steps) {
        let run = Transcript { lines: run.to_vec(), exit: None };
        let &[own] = &run.values("faults")[..] else { return Err("the generator told no total".to_owned()) };
        let skipped = skipped(&run);
        check_multiples(&run.values("reported"), *step, own - skipped, slack + skipped)?;
    }
    Ok(())
}

/// The runs that the tracer said were skipped.
fn skipped(run: &Transcript) -> u64 {
    let told = run.lines.iter().find_map(|line| line.split_once("the kernel skipped "));
    told.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).unwrap_or(0)
}
