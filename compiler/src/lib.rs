//! The pfscript compiler: syntax tree to eBPF object and manifest.
//!
//! Pure: no files, no clock, no environment, no printing. What it must know of the machine it
//! asks of [`KernelInfo`]; what it finds it returns in the [`Artifact`] or as diagnostics.

mod arithmetic;
pub mod artifact;
#[allow(dead_code, reason = "the stages before it are not there yet")]
mod bpf;
mod btf;
mod catalog;
#[cfg(test)]
mod codegen_tests;
mod emit;
mod ir;
pub mod kernel;
pub mod manifest;
pub mod params;
mod regalloc;
mod write_object;

pub use artifact::{Alternatives, Artifact, Options};
pub use kernel::KernelInfo;
pub use manifest::Manifest;
