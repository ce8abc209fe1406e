//! What is run on every machine of the matrix, and what must come of it.

mod counting;
mod kinds;
mod lacking;
mod language;
mod lives;
mod suites;
mod toolbox;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::machine::Transcript;

pub use kinds::untried;
pub use suites::parts;

/// One case: a script of the machine's shell, and the check of what it printed.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name in the table of results.
    pub name: &'static str,
    /// What a machine has to have for it.
    pub needs: Needs,
    /// What the shell runs; `case_functions` are at hand.
    pub commands: &'static str,
    /// What must be true of what it printed.
    pub check: Check,
}

/// Says what is wrong with what a case printed.
pub type Check = &'static (dyn Fn(&Transcript) -> Result<(), String> + Sync);

/// What the host may lack; the guests have it, but where a set is for those that do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// kprobes.
    Kprobe,
    /// fentry.
    Fentry,
    /// Both.
    Both,
    /// That its settings may be changed, as only a guest's may.
    Guest,
}

impl Needs {
    /// Whether the running kernel has it.
    fn met_by_host(self) -> bool {
        let kprobe = || Path::new("/sys/bus/event_source/devices/kprobe/type").exists();
        // A policy may keep the file closed, and fentry with it.
        let fentry = || {
            let list = File::open("/sys/kernel/tracing/available_filter_functions");
            list.is_ok_and(|mut list| list.read(&mut [0; 1]).is_ok())
        };
        match self {
            Self::Nothing => true,
            Self::Kprobe => kprobe(),
            Self::Fentry => fentry(),
            Self::Both => kprobe() && fentry(),
            Self::Guest => false,
        }
    }
}

/// Cases that run together on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// What the running kernel offers of [`Set::All`].
    Host,
    /// On a kernel as it is.
    All,
    /// On a kernel that shows neither kprobes nor BTF.
    Bare,
    /// On a kernel that shows no BTF.
    NoBtf,
    /// On a kernel that is locked down.
    Locked,
}

impl Set {
    /// Those of the guests.
    pub const GUESTS: [Self; 4] = [Self::All, Self::Bare, Self::NoBtf, Self::Locked];

    /// Its name, and the folder of its cases in a guest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::All => "all",
            Self::Bare => "bare",
            Self::NoBtf => "no_btf",
            Self::Locked => "locked",
        }
    }

    /// What makes a kernel so, on its command line.
    pub fn boot_options(self) -> &'static str {
        match self {
            Self::Host | Self::All => "",
            // What makes the files in /sys by which a kernel shows that it has BTF and kprobes is left out.
            Self::Bare => "initcall_blacklist=btf_vmlinux_init,perf_event_sysfs_init",
            Self::NoBtf => "initcall_blacklist=btf_vmlinux_init",
            Self::Locked => "lockdown=confidentiality",
        }
    }

    /// Its cases.
    pub fn cases(self) -> Box<dyn Iterator<Item = &'static Case>> {
        let all = || {
            let tables: [&'static [Case]; 6] =
                [counting::CASES, kinds::CASES, language::CASES, lives::CASES, suites::CASES, &toolbox::CASES];
            tables.into_iter().flatten()
        };
        match self {
            Self::Host => Box::new(all().filter(|case| case.needs.met_by_host())),
            Self::All => Box::new(all()),
            Self::Bare => Box::new(lacking::BARE.iter()),
            Self::NoBtf => Box::new(lacking::NO_BTF_CASES.iter()),
            Self::Locked => Box::new(lacking::LOCKED.iter()),
        }
    }
}

/// The attach point that a script of [`scripts`] keeps, by the script's name.
const ALTERNATIVES: &[(&str, &str)] = &[
    ("kprobe", "kprobe:handle_mm_fault"),
    ("fentry", "fentry:handle_mm_fault"),
    ("software", "software:page-faults:1"),
];

/// pagefault.pf as it is, and with each of its alternatives alone: `(file name, text)`.
/// `lives.pf` is the last of them that also tells how many counters there are in the end.
///
/// # Panics
/// When pagefault.pf does not have what this takes apart.
pub fn scripts() -> Vec<(String, String)> {
    let whole = include_str!("../../../scripts/pagefault.pf");
    let chain = ALTERNATIVES.iter().map(|(_, probe)| *probe).collect::<Vec<_>>().join(" or ");
    assert!(whole.contains(&chain), "scripts/pagefault.pf no longer has `{chain}`");
    let alone = |(name, probe): &(&str, &str)| (format!("{name}.pf"), whole.replace(&chain, probe));
    let mut scripts: Vec<_> = ALTERNATIVES.iter().map(alone).collect();
    let (_, software) = scripts.last().expect("there are alternatives");
    let lives = software.replace("END { ", "END { printf(\"counters=%d\\n\", len(@faults)); ");
    assert_ne!(&lives, software, "scripts/pagefault.pf no longer has `END {{ `");
    scripts.extend([("lives.pf".to_owned(), lives), ("pagefault.pf".to_owned(), whole.to_owned())]);
    scripts
}

/// Checks that a transcript has each of `texts` in some line.
fn shown(seen: &Transcript, texts: &[&str]) -> Result<(), String> {
    match texts.iter().find(|text| !seen.lines.iter().any(|line| line.contains(**text))) {
        Some(missing) => Err(format!("{missing:?} was not printed")),
        None => Ok(()),
    }
}

/// Checks that all runs of a tracer ended as they should: `count` of them, by the signal.
fn ended(seen: &Transcript, count: usize) -> Result<(), String> {
    let codes = seen.values("exit");
    if seen.lines.iter().any(|line| line.contains("unheard=1")) {
        return Err("SIGINT did not end it".to_owned());
    }
    match codes.len() == count && codes.iter().all(|code| *code == 0) {
        true => Ok(()),
        false => Err(format!("{} of {count} runs ended, exit codes {codes:?}", codes.len())),
    }
}
