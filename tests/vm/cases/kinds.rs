//! Every kind of probe that the language has fires.

use super::{Case, Needs, ended, shown};

/// Cases of the kinds; between them they name every kind of the reference.
pub const CASES: &[Case] = &[
    Case {
        name: "kinds",
        needs: Needs::Nothing,
        commands: r#"see 'BEGIN { printf("fired BEGIN\n"); }
                 tracepoint:sched:sched_process_exit /comm == "page_fault_gen"/ { @[probe] = count(); }
                 rawtracepoint:sched_process_exit /comm == "page_fault_gen"/ { @[probe] = count(); }
                 software:page-faults:1 /comm == "page_fault_gen"/ { @[probe] = count(); }
                 interval:ms:10 { @[probe] = count(); }
                 profile:hz:99 { @[probe] = count(); }
                 uprobe:'$here'/page_fault_gen:main { @[probe] = count(); }
                 uprobe:'$here'/page_fault_gen:main+0 { @[probe] = count(); }
                 uretprobe:'$here'/page_fault_gen:main { @[probe] = count(); }
                 END { printf("fired END\n"); }'"#,
        check: &|seen| {
            ended(seen, 1)?;
            shown(seen, &["fired BEGIN", "fired END", "@[uprobe:", "@[uretprobe:", "@[tracepoint:sched:"])?;
            shown(
                seen,
                &["@[rawtracepoint:", "@[software:page-faults:1]: ", "@[interval:ms:10]: ", "@[profile:hz:99]: "],
            )
        },
    },
    Case {
        name: "kinds_of_functions",
        needs: Needs::Both,
        commands: r#"see 'kprobe:handle_mm_fault /comm == "page_fault_gen"/ { @[probe] = count(); }
                 kprobe:do_exit+0 /comm == "page_fault_gen"/ { @[probe] = count(); }
                 kretprobe:handle_mm_fault /comm == "page_fault_gen"/ { @result[probe, retval & 3] = count(); }
                 fentry:handle_mm_fault /comm == "page_fault_gen"/ { @[probe] = count(); }
                 fexit:handle_mm_fault /comm == "page_fault_gen"/ { @result[probe, retval & 3] = count(); }'"#,
        check: &|seen| {
            ended(seen, 1)?;
            shown(
                seen,
                &["@[kprobe:handle_mm_fault]: ", "@[kprobe:do_exit", "@result[kretprobe:handle_mm_fault, 0]: "],
            )?;
            shown(seen, &["@[fentry:handle_mm_fault]: ", "@result[fexit:handle_mm_fault, 0]: "])
        },
    },
    Case {
        name: "kinds_hardware",
        needs: Needs::Nothing,
        commands: r#"pfscript -e 'hardware:cpu-cycles:1000000 { @ = count(); }' --duration 1s; echo "exit=$?""#,
        // An emulated machine may have no counters: then that must be said.
        check: &|seen| match seen.values("exit")[..] {
            [0] => Ok(()),
            [3] => shown(seen, &["this machine has no such hardware counter"]),
            _ => Err("neither counted nor told why not".to_owned()),
        },
    },
];

/// Kinds of probes that no case here names.
pub fn untried() -> Vec<String> {
    let reference = pfscript_compiler::reference();
    let rows = reference.lines().skip(1).take_while(|line| !line.is_empty());
    let kinds = rows.filter_map(|row| row.trim_start().split([':', ' ']).next());
    let named = |kind: &&str| CASES.iter().any(|case| case.commands.contains(&format!("{kind}:")));
    let kinds = kinds.filter(|kind| !matches!(*kind, "BEGIN" | "END"));
    kinds.filter(|kind| !named(kind)).map(str::to_owned).collect()
}
