//! The registers, and what the calling convention of the kernel's helpers does to them.

use std::fmt;

/// A machine register, `r0` to `r10`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(u8);

/// A helper's result, and the program's exit code.
pub const R0: Reg = Reg(0);
/// The context at entry, and a helper's first argument.
pub const R1: Reg = Reg(1);
/// The frame pointer; read-only. The stack is the 512 bytes below it.
pub const FP: Reg = Reg(10);

/// Bytes of stack that a program has.
pub const STACK_LIMIT: u32 = 512;

impl Reg {
    /// The register of number `number`, if there is one.
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 10 { Some(Self(number)) } else { None }
    }

    /// Its number in the encoding.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The register that takes a helper's argument `index`, from 0 to 4.
    pub fn argument(index: usize) -> Self {
        debug_assert!(index < 5, "a helper takes at most five arguments");
        Self(R1.0 + index as u8)
    }

    /// Registers that a helper call leaves without a value, but for its result in `r0`.
    pub fn clobbered_by_calls() -> impl Iterator<Item = Self> {
        (0..=5).map(Self)
    }

    /// Registers that keep their values across a helper call.
    pub fn kept_by_calls() -> impl Iterator<Item = Self> {
        (6..=9).map(Self)
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
