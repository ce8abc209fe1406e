//! The target: eBPF instructions, and the selection of them for a function of the IR.
//!
//! ```text
//! ir::Function -select-> VCode -regalloc::allocate-> Allocation -emit::emit-> Bytecode
//! ```
//!
//! The instruction set is that of kernel 6.1 (what compilers call `-mcpu=v3`): no sign-extending
//! moves and loads, no signed division, no long jumps.

mod arrange;
pub mod decode;
pub mod disasm;
pub mod encode;
pub mod inst;
pub mod regs;
mod select;
mod select_inst;
mod signed_division;
mod split_webs;
pub mod vcode;

pub use select::select;
