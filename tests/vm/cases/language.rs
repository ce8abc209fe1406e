//! What of the language depends on the kernel: its types, its stacks, its map operations.

use super::{Case, Needs, shown};

/// Cases of the language.
pub const CASES: &[Case] = &[
    Case {
        name: "stack",
        needs: Needs::Kprobe,
        commands: r#"see 'kprobe:handle_mm_fault /comm == "page_fault_gen"/ { @[kstack] = count(); }'"#,
        check: &|seen| shown(seen, &["    handle_mm_fault+", "    asm_exc_page_fault+"]),
    },
    Case {
        name: "wildcard",
        needs: Needs::Kprobe,
        commands: r#"see 'kprobe:handle_mm_f*t /comm == "page_fault_gen"/ { @[probe] = count(); }'"#,
        check: &|seen| shown(seen, &["@[kprobe:handle_mm_fault]: "]),
    },
    Case {
        name: "map_loop",
        needs: Needs::Nothing,
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
        check: &|seen| match seen.lines.iter().any(|line| line.contains("never")) {
            true => Err("a program went on behind its end".to_owned()),
            false => shown(seen, &["n=2 s=a kept=5 pairs=3", "exit=0"]),
        },
    },
    Case {
        name: "aggregation",
        needs: Needs::Nothing,
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
        check: &|seen| shown(seen, &["ticks=1 same=1 cpus=1", "low=-7 len=2 sum=13", "do_exit 0", "exit=0"]),
    },
    Case {
        name: "arguments",
        needs: Needs::Fentry,
        commands: r#"see 'fentry:handle_mm_fault /comm == "page_fault_gen"/ {
                         @area[args.vma.vm_start <= args.address, args.address < args.vma.vm_end] = count(); }'
                     see 'fexit:handle_mm_fault /comm == "page_fault_gen"/ {
                         @ret[retval & 3, args.vma.vm_mm.map_count > 5] = count(); }'
                     see 'rawtracepoint:sched_process_exit /comm == "page_fault_gen"/ {
                         printf("%d %s\n", pid == args.p.tgid, args.p.group_leader.comm); }'"#,
        check: &|seen| shown(seen, &["@area[1, 1]: ", "@ret[0, 1]: ", "1 page_fault_gen"]),
    },
];
