//! Least privilege: once everything is attached, what is not needed any more is given up for good.
//!
//! What remains goes by descriptors that are open already: reading maps and buffers, running `END`,
//! fetching what is staged. Only names of addresses are looked up later, in files of other
//! processes, and a command of another user is told to end.

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl::set_no_new_privs;
use pfscript_compiler::manifest::{DataType, Manifest};

use crate::symbols::stacks::holds;

/// What naming addresses takes: those of the kernel, and the mappings and files of other users' processes.
const NAMING: [Capability; 4] = [
    Capability::CAP_SYSLOG,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_CHECKPOINT_RESTORE,
];

/// The capabilities that a session needs while it traces.
#[derive(Clone, Debug, Default)]
pub struct Needs(CapsHashSet);

impl Needs {
    /// Those of a session with this script, which `runs_command` or does not.
    pub fn of(manifest: &Manifest, runs_command: bool) -> Self {
        let naming = NAMING.into_iter().filter(|_| holds(manifest, shows_names));
        Self(naming.chain(runs_command.then_some(Capability::CAP_KILL)).collect())
    }

    /// Gives up all others, for this process and whatever it should execute. To be called while it
    /// has one thread: capabilities are a thread's.
    ///
    /// # Errors
    /// What was not given up, and why.
    pub fn keep_only(&self) -> Result<(), String> {
        set_no_new_privs().map_err(|error| format!("no_new_privs: {error}"))?;
        let fail = |error: caps::errors::CapsError| error.to_string();
        // The bounding set can be made smaller only by who may set capabilities; without that, and with
        // no_new_privs, it is of no use to anybody.
        if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(fail)? {
            for capability in caps::all().into_iter().filter(|capability| !self.0.contains(capability)) {
                caps::drop(None, CapSet::Bounding, capability).map_err(fail)?;
            }
        }
        let kept: CapsHashSet =
            caps::read(None, CapSet::Permitted).map_err(fail)?.intersection(&self.0).copied().collect();
        caps::clear(None, CapSet::Ambient).map_err(fail)?;
        caps::clear(None, CapSet::Inheritable).map_err(fail)?;
        caps::set(None, CapSet::Effective, &kept).map_err(fail)?;
        caps::set(None, CapSet::Permitted, &kept).map_err(fail)
    }
}

/// Whether values of this type are addresses that are shown by name.
fn shows_names(ty: &DataType) -> bool {
    match ty {
        DataType::KernelStack(_) | DataType::UserStack(_) | DataType::KernelSymbol | DataType::UserSymbol => true,
        DataType::Tuple(members) => members.iter().any(|member| shows_names(&member.ty)),
        _ => false,
    }
}
