//! The pfscript compiler: syntax tree to eBPF object and manifest.
//!
//! Pure: no files, no clock, no environment, no printing. What it must know of the machine it
//! asks of [`KernelInfo`]; what it finds it returns in the [`Artifact`] or as diagnostics.

#![forbid(unsafe_code)]

mod arithmetic;
pub mod artifact;
mod assemble;
#[cfg(any(test, debug_assertions))]
mod back_edges;
mod bpf;
mod branches;
mod btf;
mod catalog;
mod check;
#[cfg(test)]
mod codegen_tests;
mod dump;
mod effort;
mod emit;
mod format;
pub mod glob;
mod ir;
pub mod kernel;
mod limits;
mod lower;
pub mod manifest;
mod optimize;
pub mod params;
mod pipeline;
mod place;
mod read_object;
mod regalloc;
mod write_object;

pub use artifact::{Alternatives, Artifact, Options, Traced};
pub use catalog::codes::EXPLANATIONS;
pub use catalog::probe_kinds::perf_events;
pub use catalog::reference::{names, reference};
pub use check::params::declared_params;
pub use dump::dump_bytecode;
pub use kernel::KernelInfo;
pub use manifest::Manifest;
pub use optimize::pass_names;
pub use pipeline::{compile, dump_ir};
