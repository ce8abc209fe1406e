//! `fentry:FUNCTION`, `fexit:FUNCTION`: by BPF trampoline.

use std::os::fd::AsFd;

use super::Link;
use crate::failure::Reason;
use crate::kernel::Kernel;
use crate::load::LoadedProgram;
use crate::sys::bpf;

/// The function's BTF id. Where a policy keeps ftrace closed, the answer comes before BTF is read.
pub fn btf_id(function: &str, kernel: &Kernel) -> Result<u32, Reason> {
    if kernel.tracefs().is_ok_and(|tracefs| tracefs.functions_forbidden()) {
        let text = "a policy of this machine keeps ftrace closed (available_filter_functions: EPERM)";
        return Err(Reason::new(text));
    }
    let missing = || Reason::new(format!("the kernel's BTF has no function {function}"));
    kernel.btf()?.function(function).ok_or_else(missing)
}

/// The function is the one that the program was loaded for.
pub fn attach(loaded: &LoadedProgram<'_>) -> Result<Link, Reason> {
    Ok(Link::direct(bpf::open_raw_tracepoint(None, loaded.as_fd())?, true))
}
