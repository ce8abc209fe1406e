//! Everything of pfscript that touches the world: the kernel, the clock, the terminal.

pub mod action;
pub mod attach;
pub mod event;
pub mod failure;
pub mod kernel;
pub mod load;
pub mod session;
pub mod sys;
