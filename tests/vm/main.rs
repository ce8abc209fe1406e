//! The tool on real kernels: the host's own, and each of the matrix, booted under qemu.
//!
//! One boot runs a set of cases on a kernel, and each case is one test, `KERNEL/CASE`. A guest that
//! does not boot fails all of its cases. At the end there is a table. See tests/README.md for what it
//! takes and how to add to it.

mod cases;
mod initramfs;
mod kernels;
mod machine;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "every test crate takes its part of the rig")]
mod rig;
mod table;
mod tool;

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::cases::{Case, Set};
use crate::kernels::{KERNELS, Kernel};
use crate::machine::Transcripts;
use crate::rig::need::{self, Need};
use crate::table::Table;
use crate::tool::Tool;

const GUEST_NEEDS: &[Need] = &[
    Need::Command("qemu-system-x86_64", "qemu-system-x86"),
    Need::Command("busybox", "busybox-static"),
    Need::Other(kernels::missing),
];
const HOST_NEEDS: &[Need] = &[Need::Root, Need::Tracefs, Need::Command("busybox", "busybox-static")];

static TOOL: LazyLock<Result<Tool, String>> = LazyLock::new(Tool::build);
static TABLE: LazyLock<Table> = LazyLock::new(Table::default);

/// A machine that runs a set of cases, once, when the first of them is asked for.
struct Machine {
    /// No kernel: the host's.
    kernel: Option<&'static Kernel>,
    set: Set,
    /// Of the table.
    column: usize,
    results: OnceLock<Result<Transcripts, String>>,
}

fn main() {
    let arguments = Arguments::from_args();
    let started = Instant::now();
    let mut queues: Vec<Vec<Trial>> = machines().into_iter().map(|machine| trials(&machine)).collect();
    let kinds = Trial::test("every_kind_of_probe_is_tried", || match cases::untried() {
        untried if untried.is_empty() => Ok(()),
        untried => Err(format!("no case tries {}", untried.join(", ")).into()),
    });
    queues.push(vec![kinds]);
    let conclusion = libtest_mimic::run(&arguments, in_turn(queues));
    if !arguments.list {
        let guests = KERNELS.iter().map(|kernel| kernel.name.to_owned());
        let columns: Vec<String> = ["host".to_owned()].into_iter().chain(guests).collect();
        println!("{}", TABLE.text(&columns, started.elapsed()));
    }
    conclusion.exit();
}

/// The host, and each kernel with each set.
fn machines() -> Vec<Arc<Machine>> {
    let machine = |kernel, set, column| Arc::new(Machine { kernel, set, column, results: OnceLock::new() });
    let mut machines = vec![machine(None, Set::Host, 0)];
    for set in Set::GUESTS {
        machines.extend((1..).zip(KERNELS).map(|(column, kernel)| machine(Some(kernel), set, column)));
    }
    machines
}

fn trials(machine: &Arc<Machine>) -> Vec<Trial> {
    let needs = if machine.kernel.is_some() { GUEST_NEEDS } else { HOST_NEEDS };
    let trial = |case: &'static Case| {
        let name = format!("{}/{}", machine.kernel.map_or("host", |kernel| kernel.name), case.name);
        let machine = Arc::clone(machine);
        need::trial(name, needs, move || machine.verdict(case))
    };
    machine.set.cases().map(trial).collect()
}

/// The first of each queue, the second of each, and so on: then as many machines run at once as there are
/// threads, instead of all threads waiting for one machine.
fn in_turn(queues: Vec<Vec<Trial>>) -> Vec<Trial> {
    let mut queues: Vec<_> = queues.into_iter().map(Vec::into_iter).collect();
    let mut trials = Vec::new();
    loop {
        let row: Vec<Trial> = queues.iter_mut().filter_map(Iterator::next).collect();
        if row.is_empty() {
            return trials;
        }
        trials.extend(row);
    }
}

impl Machine {
    fn run(&self) -> Result<Transcripts, String> {
        let tool = TOOL.as_ref().map_err(Clone::clone)?;
        match self.kernel {
            Some(kernel) => machine::in_guest(&kernel.image()?, self.set, tool),
            None => machine::on_host(tool),
        }
    }

    fn verdict(&self, case: &Case) -> Result<(), Failed> {
        let verdict = self.judge(case);
        TABLE.enter(case.name, self.column, verdict.is_ok());
        verdict
    }

    fn judge(&self, case: &Case) -> Result<(), Failed> {
        let results = self.results.get_or_init(|| self.run());
        let transcripts = results.as_ref().map_err(|why| Failed::from(why.as_str()))?;
        let seen = transcripts.get(case.name).ok_or("the machine ended before this case")?;
        for (part, passed) in cases::parts(seen) {
            TABLE.enter(&format!("{} {part}", case.name), self.column, passed);
        }
        let checked = match seen.exit {
            Some(0) => (case.check)(seen),
            code => Err(format!("exit code {code:?}")),
        };
        checked.map_err(|why| format!("{why}\n--- what it printed:\n{}", abridged(&seen.lines)).into())
    }
}

/// The lines without the middle of a long list.
fn abridged(lines: &[String]) -> String {
    const ENDS: usize = 40;
    if lines.len() <= 2 * ENDS {
        return lines.join("\n");
    }
    let left_out = lines.len() - 2 * ENDS;
    let (first, last) = (&lines[..ENDS], &lines[lines.len() - ENDS..]);
    format!("{}\n... {left_out} lines ...\n{}", first.join("\n"), last.join("\n"))
}
