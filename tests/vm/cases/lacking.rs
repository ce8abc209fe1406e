//! `or` on kernels that lack something: the next alternative is taken, `-v` says why the ones before were
//! not, and when nothing is left that is an error which has each reason.

use super::counting::counted;
use super::{Case, Needs, shown};
use crate::machine::Transcript;

const NO_KPROBES: &str = "kprobe:handle_mm_fault: this kernel has no kprobes";
const NO_BTF: &str = "fentry:handle_mm_fault: /sys/kernel/btf/vmlinux: No such file";
const KPROBE_OR_FENTRY: &str = r#"trace -e 'kprobe:handle_mm_fault or fentry:handle_mm_fault { @n = count(); }'
                                  interrupt; echo "exit=$?"; said"#;

/// Neither kprobes nor BTF: the software event is left.
pub const BARE: &[Case] = &[
    Case {
        name: "bare_falls_to_software",
        needs: Needs::Guest,
        commands: "count $here/pagefault.pf 7 5000 --threads 2",
        check: &|seen| {
            counted(seen, &[7], 0)?;
            passed_over(seen, &[NO_KPROBES, NO_BTF])?;
            shown(seen, &["attached software:page-faults:1"])
        },
    },
    Case {
        name: "bare_has_nothing",
        needs: Needs::Guest,
        commands: KPROBE_OR_FENTRY,
        check: &|seen| shown(seen, &["exit=3", "none of the alternatives can be attached", NO_KPROBES, NO_BTF]),
    },
    Case {
        name: "bare_has_no_uprobes",
        needs: Needs::Guest,
        commands: r#"trace -e 'uprobe:/bin/page_fault_gen:main { @n = count(); }'; interrupt; echo "exit=$?"; said"#,
        check: &|seen| shown(seen, &["exit=3", "this kernel has no uprobes"]),
    },
];

/// No BTF: fentry is passed over.
pub const NO_BTF_CASES: &[Case] = &[Case {
    name: "no_btf_falls_to_kprobe",
    needs: Needs::Guest,
    commands: r#"see 'fentry:handle_mm_fault or kprobe:handle_mm_fault /comm == "page_fault_gen"/ { @[probe] = count(); }'"#,
    check: &|seen| {
        passed_over(seen, &[NO_BTF])?;
        shown(seen, &["attached kprobe:handle_mm_fault", "@[kprobe:handle_mm_fault]: ", "exit=0"])
    },
}];

/// Locked down: the kernel refuses kprobes when they are attached, and closes tracefs.
pub const LOCKED: &[Case] = &[
    Case {
        name: "locked_falls_to_fentry",
        needs: Needs::Guest,
        commands: r#"see 'kprobe:handle_mm_fault or fentry:handle_mm_fault /pid > 1/ { @[probe] = count(); }'"#,
        check: &|seen| {
            passed_over(
                seen,
                &["kprobe:handle_mm_fault: refused by the kernel, perf_event_open: operation not permitted"],
            )?;
            shown(seen, &["attached fentry:handle_mm_fault", "@[fentry:handle_mm_fault]: ", "exit=0"])
        },
    },
    Case {
        name: "locked_says_why",
        needs: Needs::Guest,
        commands: r#"trace pagefault; interrupt; echo "exit=$?"; said"#,
        check: &|seen| shown(seen, &["exit=3", "tracefs is closed: the kernel is locked down"]),
    },
];

/// Checks that `-v` told these reasons.
fn passed_over(seen: &Transcript, reasons: &[&str]) -> Result<(), String> {
    let texts: Vec<String> = reasons.iter().map(|reason| format!("passed over {reason}")).collect();
    shown(seen, &texts.iter().map(String::as_str).collect::<Vec<_>>())
}
