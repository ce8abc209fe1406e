//! The intermediate representation: typed SSA, one [`Function`] per eBPF program.
//!
//! Blocks take parameters instead of phi instructions, a handle's `Display` is its name in the
//! textual form (`block0`, `v3`, `ss1`), and every instruction carries the place in the script
//! that it comes from. Integers are always 64 bits wide in a value: narrow types exist only in
//! memory and in casts, where `extend` says what happens to the upper bits.
//!
//! There are two levels in one representation. Lowering produces instructions on *map elements,
//! strings and records* (`map_fetch_add`, `comm`, `output`); `optimize::expand_*` rewrites those
//! into calls, loads, stores and branches. Only this second level reaches the target.
//!
//! Deliberately absent: floating point, 32-bit arithmetic, indirect calls, recursion, phi nodes,
//! undefined values.

pub mod bss;
pub mod builder;
pub mod display;
pub mod entities;
pub mod flow;
pub mod function;
pub mod inst;
pub mod operands;
pub mod operators;
pub mod verify;

pub use entities::{Block, Inst, StackSlot, Value};
pub use function::{Function, Module, Tables, Type};
pub use inst::{BlockCall, InstData, Values};
pub use operators::{BinaryOp, CmpOp};
/// A list of values, as `vec!` makes a vector.
pub use thin_vec::thin_vec as values;
