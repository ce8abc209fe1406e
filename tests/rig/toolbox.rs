//! What each script of `scripts/` says of a work whose outcome is known, on the host as in a guest.

/// A script of the toolbox.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its name: `scripts/NAME.pf`, and the built-in script.
    pub name: &'static str,
    /// Its arguments.
    pub arguments: &'static str,
    /// What a shell runs while it traces, with `page_fault_gen` in its `PATH` and a folder `$SCRATCH`
    /// in which files have a page cache.
    pub work: &'static str,
    /// It needs kprobes or fentry, which not every kernel has.
    pub needs_function_probes: bool,
    /// What it must have said then.
    pub says: &'static [Said],
}

/// Something said: a line that holds a text and, if asked for, a number.
#[derive(Clone, Copy, Debug)]
pub struct Said(pub &'static str, pub Number);

/// A number of a line.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// Any.
    Any,
    /// The word that is so far from the end (0 is the last) is at least this.
    AtLeast(usize, u64),
}

use Number::{Any, AtLeast};

/// The pages that the generator touches. Starting up makes it some more faults.
const FAULTS: u64 = 2000;
const GENERATE: &str = "page_fault_gen 2000 >/dev/null";
/// Half a second more, for what is told at intervals.
const GENERATE_AND_WAIT: &str = "page_fault_gen 2000 >/dev/null; sleep 0.5";
/// A group of processes with too little memory for the generator.
const RUN_OUT_OF_MEMORY: &str = r#"
    root=/sys/fs/cgroup
    if [ -d $root/memory ]; then root=$root/memory limit=memory.limit_in_bytes
    else limit=memory.max; echo +memory >$root/cgroup.subtree_control; fi
    group=$root/pfscript.$$
    mkdir $group && echo 1M >$group/$limit
    (echo 0 >$group/cgroup.procs; page_fault_gen 1024 >/dev/null 2>&1)
    rmdir $group"#;

const TOOL: Tool = Tool { name: "", arguments: "", work: GENERATE, needs_function_probes: false, says: &[] };

/// Every script.
pub const TOOLBOX: &[Tool] = &[
    Tool { name: "pagefault", says: &[Said("page_fault_gen   2000", Any)], ..TOOL },
    Tool { name: "minor-major", says: &[Said(" page_fault_gen   2000 ", Any)], ..TOOL },
    Tool {
        name: "faults-per-second",
        work: "page_fault_gen 2000 >/dev/null; sleep 1.2",
        says: &[Said("FAULTS_IN_ALL", Any), Said(":", AtLeast(0, FAULTS))],
        ..TOOL
    },
    Tool {
        name: "faults-by-comm",
        arguments: "--most 1000",
        says: &[Said("@faults[page_fault_gen]: ", AtLeast(0, FAULTS))],
        ..TOOL
    },
    Tool {
        name: "faults-by-access",
        arguments: "--most 1000",
        says: &[Said("@faults[page_fault_gen, program, write, absent]: ", AtLeast(0, FAULTS))],
        ..TOOL
    },
    Tool {
        name: "faults-by-file",
        arguments: "--who page_fault_gen",
        needs_function_probes: true,
        says: &[
            Said("@faults[page_fault_gen, [anon]]: ", AtLeast(0, FAULTS)),
            Said("@faults[page_fault_gen, page_fault_gen]: ", AtLeast(0, 1)),
        ],
        ..TOOL
    },
    Tool {
        name: "faults-by-stack",
        arguments: "--who page_fault_gen",
        says: &[Said("@faults[page_fault_gen, ", Any), Said("]: ", AtLeast(0, FAULTS - 1))],
        ..TOOL
    },
    Tool {
        name: "fault-latency",
        arguments: "--who page_fault_gen",
        needs_function_probes: true,
        says: &[Said("@ns[minor]:", Any), Said(" |@", Any)],
        ..TOOL
    },
    Tool {
        name: "exec-faults",
        arguments: "--within 200ms",
        work: GENERATE_AND_WAIT,
        says: &[Said(" page_fault_gen ", AtLeast(0, 10)), Said(" page_fault_gen ", AtLeast(1, 1))],
        ..TOOL
    },
    Tool { name: "rss-growth", arguments: "--step 1", says: &[Said(" page_fault_gen ", AtLeast(2, 3))], ..TOOL },
    Tool {
        name: "page-cache",
        arguments: "--most 1000",
        work: "dd if=/dev/zero of=$SCRATCH/cached bs=4k count=100 2>/dev/null; rm $SCRATCH/cached",
        says: &[Said("@pages[dd]: ", AtLeast(0, 1))],
        ..TOOL
    },
    Tool { name: "oom-kills", work: RUN_OUT_OF_MEMORY, says: &[Said(" page_fault_gen", Any)], ..TOOL },
    Tool { name: "off-cpu", says: &[Said("@us[page_fault_gen, ", Any)], ..TOOL },
    Tool { name: "run-queue", says: &[Said("@us:", Any), Said(" |@", Any)], ..TOOL },
    Tool {
        name: "syscalls",
        arguments: "--most 10000",
        says: &[Said("@syscalls[page_fault_gen, ", AtLeast(0, 1))],
        ..TOOL
    },
];

impl Tool {
    /// Checks what it printed.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self, printed: &str) -> Result<(), String> {
        match self.says.iter().find(|said| !printed.lines().any(|line| said.is_in(line))) {
            Some(missing) => Err(format!("no line with {missing:?}")),
            None => Ok(()),
        }
    }
}

impl Said {
    fn is_in(&self, line: &str) -> bool {
        let number = |from_end| line.split_whitespace().nth_back(from_end)?.parse::<u64>().ok();
        line.contains(self.0)
            && match self.1 {
                Any => true,
                AtLeast(from_end, least) => number(from_end).is_some_and(|number| number >= least),
            }
    }
}
