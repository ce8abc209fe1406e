//! `rawtracepoint:NAME`: with the tracepoint's own arguments.

use std::os::fd::AsFd;

use super::{Link, c_name, or_missing};
use crate::failure::Reason;
use crate::load::LoadedProgram;
use crate::sys::bpf;

pub fn attach(loaded: &LoadedProgram<'_>, name: &str) -> Result<Link, Reason> {
    let tie = bpf::open_raw_tracepoint(Some(&c_name(name)?), loaded.as_fd())
        .map_err(|refused| or_missing(refused, || format!("this kernel has no tracepoint {name}")))?;
    Ok(Link::direct(tie, false))
}
