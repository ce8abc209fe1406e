//! The tool on real kernels: boots each kernel of the matrix under qemu and runs every case in it.
//!
//! One boot runs all cases of a kernel, and each case is one test, `KERNEL/CASE`. A guest that does
//! not boot fails all of them. See tests/README.md for what it takes and how to add to it.

mod cases;
mod guest;
mod initramfs;
mod kernels;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "every test crate takes its part of the rig")]
mod rig;
mod tool;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, OnceLock};

use libtest_mimic::{Arguments, Failed};

use crate::cases::CASES;
use crate::guest::Transcript;
use crate::kernels::{KERNELS, Kernel};
use crate::rig::need::{self, Need};
use crate::rig::toolbox::TOOLBOX;

const NEEDS: &[Need] = &[
    Need::Command("qemu-system-x86_64", "qemu-system-x86"),
    Need::Command("busybox", "busybox-static"),
    Need::Command("apt-get", "apt"),
];

/// What the cases of one guest printed, or why it did not get so far.
type Results = Result<BTreeMap<String, Transcript>, String>;

/// What must be true of what a case printed.
type Check = dyn Fn(&Transcript) -> Result<(), String> + Send;

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for kernel in KERNELS {
        let booted = Arc::new(OnceLock::new());
        let mut add = |name: String, check: Box<Check>| {
            let booted = Arc::clone(&booted);
            let trial = format!("{}/{name}", kernel.name);
            let run = move || verdict(&name, &check, booted.get_or_init(|| boot(kernel)));
            trials.push(need::trial(trial, NEEDS, run));
        };
        for case in CASES {
            add(case.name.to_owned(), Box::new(case.check));
        }
        for tool in TOOLBOX {
            add(cases::name_of(tool), Box::new(|seen| cases::check_tool(tool, seen)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn boot(kernel: &Kernel) -> Results {
    static INITRAMFS: LazyLock<Result<PathBuf, String>> = LazyLock::new(tool::build_initramfs);
    guest::run(&kernel.image()?, INITRAMFS.as_ref().map_err(Clone::clone)?)
}

fn verdict(name: &str, check: &Check, results: &Results) -> Result<(), Failed> {
    let cases = results.as_ref().map_err(|why| Failed::from(why.as_str()))?;
    let seen = cases.get(name).ok_or("the guest ended before this case")?;
    let checked = match seen.exit {
        Some(0) => check(seen),
        code => Err(format!("exit code {code:?}")),
    };
    checked.map_err(|why| format!("{why}\n--- what it printed:\n{}", abridged(&seen.lines)).into())
}

/// The lines without the middle of a long list.
fn abridged(lines: &[String]) -> String {
    const ENDS: usize = 20;
    if lines.len() <= 2 * ENDS {
        return lines.join("\n");
    }
    let left_out = lines.len() - 2 * ENDS;
    let (first, last) = (&lines[..ENDS], &lines[lines.len() - ENDS..]);
    format!("{}\n... {left_out} lines ...\n{}", first.join("\n"), last.join("\n"))
}
