//! Everything of pfscript that touches the world: the command line, the kernel, the clock, the terminal.

#![deny(unsafe_code)]

pub mod action;
pub mod attach;
pub mod cli;
pub mod command;
pub mod datum;
pub mod event;
pub mod failure;
pub mod kernel;
pub mod load;
pub mod maps;
pub mod output;
pub mod privileges;
pub mod session;
pub mod sink;
pub mod symbols;
#[allow(unsafe_code, reason = "the one door to system calls that no crate has")]
pub mod sys;
pub mod top;
