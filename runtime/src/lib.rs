//! Everything of pfscript that touches the world: the command line, the kernel, the output.

pub mod cli;
pub mod event;
pub mod maps;
pub mod output;
