//! The pfscript compiler: syntax tree to eBPF object and manifest.
//!
//! Pure: no files, no clock, no environment, no printing. What it must know of the machine it
//! asks of [`KernelInfo`]; what it finds it returns in the [`Artifact`] or as diagnostics.

mod arithmetic;
pub mod artifact;
mod catalog;
mod check;
mod format;
mod ir;
pub mod kernel;
mod lower;
pub mod manifest;
mod optimize;
pub mod params;

pub use artifact::{Alternatives, Artifact, Options};
pub use check::params::declared_params;
pub use kernel::KernelInfo;
pub use manifest::Manifest;
