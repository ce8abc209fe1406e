//! Everything of pfscript that touches the world: the command line, the kernel, the clock, the terminal.

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
pub mod sys;
pub mod top;
