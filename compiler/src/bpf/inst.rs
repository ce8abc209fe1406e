//! The instructions of eBPF that the compiler uses, as data.

use super::regs::Reg;
use crate::ir::CmpOp;

/// How much of a register an operation reads; a 32-bit result has zeros above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// The low half.
    W32,
    /// All of it.
    W64,
}

/// How much memory a load or store touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// One byte.
    B1,
    /// Two bytes.
    B2,
    /// Four bytes.
    B4,
    /// Eight bytes.
    B8,
}

impl Size {
    /// The size of so many bytes.
    pub fn of_bytes(bytes: u8) -> Self {
        match bytes {
            1 => Self::B1,
            2 => Self::B2,
            4 => Self::B4,
            _ => {
                debug_assert_eq!(bytes, 8, "memory is accessed 1, 2, 4 or 8 bytes at a time");
                Self::B8
            }
        }
    }
}

/// Two-operand arithmetic: `dst = dst op src`, and `Mov`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AluOp {
    /// Addition.
    Add,
    /// Subtraction.
    Sub,
    /// Multiplication.
    Mul,
    /// Unsigned division.
    Div,
    /// Bitwise or.
    Or,
    /// Bitwise and.
    And,
    /// Shift left.
    Lsh,
    /// Shift right, zeros in.
    Rsh,
    /// Unsigned remainder.
    Mod,
    /// Bitwise exclusive or.
    Xor,
    /// Assignment.
    Mov,
    /// Shift right, sign in.
    Arsh,
}

/// What a conditional jump tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cond {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Some bit is set in both.
    Set,
    /// Unsigned greater than.
    Gt,
    /// Unsigned greater than or equal.
    Ge,
    /// Unsigned less than.
    Lt,
    /// Unsigned less than or equal.
    Le,
    /// Signed greater than.
    Sgt,
    /// Signed greater than or equal.
    Sge,
    /// Signed less than.
    Slt,
    /// Signed less than or equal.
    Sle,
}

impl Cond {
    /// The condition that holds exactly when `self` does not; [`Cond::Set`] has none.
    pub fn inverse(self) -> Option<Self> {
        Some(match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Set => return None,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Sgt => Self::Sle,
            Self::Sge => Self::Slt,
            Self::Slt => Self::Sge,
            Self::Sle => Self::Sgt,
        })
    }
}

impl From<CmpOp> for Cond {
    fn from(op: CmpOp) -> Self {
        match op {
            CmpOp::Eq => Self::Eq,
            CmpOp::Ne => Self::Ne,
            CmpOp::Slt => Self::Slt,
            CmpOp::Sle => Self::Sle,
            CmpOp::Sgt => Self::Sgt,
            CmpOp::Sge => Self::Sge,
            CmpOp::Ult => Self::Lt,
            CmpOp::Ule => Self::Le,
            CmpOp::Ugt => Self::Gt,
            CmpOp::Uge => Self::Ge,
        }
    }
}

/// A second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Src {
    /// A register.
    Reg(Reg),
    /// A constant; sign-extended to the operation's width.
    Imm(i32),
}

/// An instruction. Jump offsets count 8-byte slots from the next instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inst {
    /// `r1 += r2`, `w1 = 5`
    Alu {
        /// Which operation.
        op: AluOp,
        /// On half or all of the registers.
        width: Width,
        /// First operand and result.
        dst: Reg,
        /// Second operand.
        src: Src,
    },
    /// `r1 = -r1`
    Neg {
        /// On half or all of the register.
        width: Width,
        /// Operand and result.
        dst: Reg,
    },
    /// `r1 = 0x123456789 ll`, two slots; also the place for a map's address.
    LoadImm64 {
        /// Result.
        dst: Reg,
        /// The constant.
        imm: i64,
    },
    /// `r1 = *(u64 *)(r6 +8)`
    Load {
        /// How much; zeros above.
        size: Size,
        /// Result.
        dst: Reg,
        /// Address.
        base: Reg,
        /// Bytes added to it.
        offset: i16,
    },
    /// `*(u64 *)(r6 +8) = r1`
    Store {
        /// How much.
        size: Size,
        /// Address.
        base: Reg,
        /// Bytes added to it.
        offset: i16,
        /// What is stored.
        src: Src,
    },
    /// `lock *(u64 *)(r6 +0) += r1` or `r1 = atomic64_fetch_add((u64 *)(r6 +0), r1)`
    AtomicAdd {
        /// Address.
        base: Reg,
        /// Bytes added to it.
        offset: i16,
        /// What is added.
        src: Reg,
        /// Whether `src` receives the old value.
        fetch: bool,
    },
    /// `goto pc+3`
    Jump {
        /// Where to.
        offset: i16,
    },
    /// `if r1 == 0x0 goto pc+3`
    Branch {
        /// What is tested.
        cond: Cond,
        /// On half or all of the registers.
        width: Width,
        /// First operand.
        dst: Reg,
        /// Second operand.
        src: Src,
        /// Where to, if it holds.
        offset: i16,
    },
    /// `call bpf_ktime_get_ns#5`
    Call {
        /// The helper's number.
        helper: u32,
    },
    /// `exit`
    Exit,
}

impl Inst {
    /// Slots of 8 bytes that it takes.
    pub fn slots(&self) -> usize {
        match self {
            Self::LoadImm64 { .. } => 2,
            _ => 1,
        }
    }
}
