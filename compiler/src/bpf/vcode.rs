//! Machine code before registers are allocated: target instructions on virtual registers.
//!
//! Invariants, which register allocation relies on:
//! - block 0 is the entry and has neither predecessors nor parameters;
//! - blocks are numbered in reverse post-order, whatever the layout for emission is;
//! - each block ends in its only branch, jump or return;
//! - an edge from a block with two successors leads to a block with one predecessor (critical
//!   edges are split), so that moves for an edge have a place of their own;
//! - every virtual register is defined once.

use std::ops::Range;

use pfscript_grammar::Span;
use smallvec::{SmallVec, smallvec};

use super::inst::{AluOp, Cond, Size, Width};
use super::regs::Reg;
use crate::catalog::helpers::Helper;
use crate::ir::inst::MapAddrOf;

/// A virtual register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VReg(pub u32);

impl VReg {
    /// Its place in a table of all registers.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A block of a [`VCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VBlock(pub u32);

impl VBlock {
    /// Its place in [`VCode::blocks`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a load or store finds its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// In the instruction's operand for it.
    Operand,
    /// The frame pointer.
    Frame,
}

/// What an instruction does; the comments name its operands in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VOp {
    /// The function's start. Operands: what it is given and uses (def).
    Entry,
    /// `dst = a op b`. Operands: a, b unless `imm` stands for it, dst (def, in the place of a).
    Alu {
        /// Which operation, not `Mov`.
        op: AluOp,
        /// On half or all of the registers.
        width: Width,
        /// The second operand, if constant.
        imm: Option<i32>,
    },
    /// `dst = -a`. Operands: a, dst (def, in the place of a).
    Neg,
    /// `dst = a`, or its low half. Operands: a, dst (def).
    Mov {
        /// How much is taken; zeros above.
        width: Width,
    },
    /// `dst = imm`. Operands: dst (def).
    LoadImm {
        /// The constant.
        imm: i64,
    },
    /// `dst = r10 + offset`. Operands: dst (def).
    FrameAddr {
        /// Bytes from the frame pointer, negative.
        offset: i32,
    },
    /// `dst = map`. Operands: dst (def).
    MapAddr {
        /// The map.
        map: MapAddrOf,
    },
    /// `dst = .bss + offset`. Operands: dst (def).
    CounterAddr {
        /// Bytes from the section's start.
        offset: u32,
    },
    /// `dst = callback`. Operands: dst (def).
    CallbackAddr {
        /// Index into the module's callbacks.
        callback: u32,
    },
    /// `dst = *(base + offset)`. Operands: base if it is one, dst (def).
    Load {
        /// How much; zeros above.
        size: Size,
        /// Where the address is.
        base: Base,
        /// Bytes added to it.
        offset: i32,
    },
    /// `*(base + offset) = value`. Operands: base if it is one, value unless `imm` stands for it.
    Store {
        /// How much.
        size: Size,
        /// Where the address is.
        base: Base,
        /// Bytes added to it.
        offset: i32,
        /// The value, if constant.
        imm: Option<i32>,
    },
    /// `lock *(base + offset) += value`. Operands: value, base if it is one.
    AtomicAdd {
        /// Where the address is.
        base: Base,
        /// Bytes added to it.
        offset: i32,
    },
    /// [`VOp::AtomicAdd`] with the old value. Operands: as there, then dst (def, in the place of value).
    FetchAdd {
        /// Where the address is.
        base: Base,
        /// Bytes added to it.
        offset: i32,
    },
    /// A helper call. Operands: the arguments (in r1, r2, ...) unless they are loaded right before it,
    /// dst (def, in r0) if it is wanted.
    Call {
        /// Which helper.
        helper: Helper,
        /// The arguments, if register allocation need not know of them.
        loads: Loads,
    },
    /// `dst = a cond b` as 0 or 1. Operands: a, b unless `imm` stands for it, dst (def, before the
    /// others are read).
    Compare {
        /// Which comparison.
        cond: Cond,
        /// On half or all of the registers.
        width: Width,
        /// The second operand, if constant.
        imm: Option<i32>,
    },
    /// To the block's first successor if the condition holds, else to the second. Operands: a, b
    /// unless `imm` stands for it.
    Branch {
        /// Which comparison.
        cond: Cond,
        /// On half or all of the registers.
        width: Width,
        /// The second operand, if constant.
        imm: Option<i32>,
    },
    /// To the block's successor.
    Jump,
    /// The function ends.
    Return {
        /// With this in `r0`.
        code: i32,
    },
}

/// Some of [`VCode::loads`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loads {
    start: u32,
    count: u32,
}

impl Loads {
    /// Those from `start` to `end`.
    pub fn between(start: usize, end: usize) -> Self {
        Self { start: start as u32, count: (end - start) as u32 }
    }

    /// Their places in the table.
    pub fn range(self) -> Range<usize> {
        self.start as usize..(self.start + self.count) as usize
    }
}

/// A constant or fixed address for an argument. Its register is free: the call spoils it.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Where it goes.
    pub to: Reg,
    /// What loads it: an operation whose only operand is its result.
    pub op: VOp,
}

/// Where an operand must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// In some register.
    Any,
    /// In this register.
    Fixed(Reg),
    /// In the register of the operand of this index.
    SameAs(u8),
}

/// What happens to an operand, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read, before anything is written.
    Use,
    /// Written, after everything is read.
    Def,
    /// Written while the operands that are read are still needed.
    EarlyDef,
}

/// A virtual register in an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Which.
    pub vreg: VReg,
    /// What happens to it.
    pub access: Access,
    /// Where it must be.
    pub constraint: Constraint,
}

impl Operand {
    /// Read from any register.
    pub fn reads(vreg: VReg) -> Self {
        Self { vreg, access: Access::Use, constraint: Constraint::Any }
    }

    /// Read from `reg`.
    pub fn reads_in(vreg: VReg, reg: Reg) -> Self {
        Self { vreg, access: Access::Use, constraint: Constraint::Fixed(reg) }
    }

    /// Written to any register.
    pub fn writes(vreg: VReg) -> Self {
        Self { vreg, access: Access::Def, constraint: Constraint::Any }
    }

    /// Written to `reg`.
    pub fn writes_in(vreg: VReg, reg: Reg) -> Self {
        Self { vreg, access: Access::Def, constraint: Constraint::Fixed(reg) }
    }

    /// Written over the instruction's first operand.
    pub fn overwrites_first(vreg: VReg) -> Self {
        Self { vreg, access: Access::Def, constraint: Constraint::SameAs(0) }
    }

    /// Written before the instruction's other operands are read.
    pub fn writes_early(vreg: VReg) -> Self {
        Self { vreg, access: Access::EarlyDef, constraint: Constraint::Any }
    }
}

/// The operands of an instruction; only calls have more than three.
pub type Operands = SmallVec<[Operand; 3]>;

/// An instruction.
#[derive(Clone, Debug)]
pub struct VInst {
    /// What it does.
    pub op: VOp,
    /// Its operands, in the order that `op` documents.
    pub operands: Operands,
    /// The place in the script that it comes from.
    pub span: Span,
}

impl VInst {
    /// Whether the call's result is in nobody's register, so that `r0` is only spoilt.
    pub fn discards_result(&self) -> bool {
        !self.operands.iter().any(|operand| operand.access != Access::Use)
    }

    /// The function's start, with what it is given in `r1`, `r2`, ...; what it does not use has no
    /// register.
    pub fn entry(params: &[Option<VReg>], span: Span) -> Self {
        let given = |(index, param): (usize, &Option<VReg>)| Some(Operand::writes_in((*param)?, Reg::argument(index)));
        Self { op: VOp::Entry, operands: params.iter().enumerate().filter_map(given).collect(), span }
    }

    /// A copy of all of a register.
    pub fn mov(from: VReg, to: VReg, span: Span) -> Self {
        let op = VOp::Mov { width: Width::W64 };
        Self { op, operands: smallvec![Operand::reads(from), Operand::writes(to)], span }
    }
}

/// An edge to another block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where it leads.
    pub block: VBlock,
    /// One register for each of the block's parameters.
    pub args: Vec<VReg>,
}

/// A block.
#[derive(Clone, Debug)]
pub struct VBlockData {
    /// Its instructions, in [`VCode::insts`]; never empty.
    pub insts: Range<usize>,
    /// Registers that each edge to the block brings along.
    pub params: Vec<VReg>,
    /// The edges out of it, in the order that its last instruction documents.
    pub successors: SmallVec<[Edge; 2]>,
    /// The blocks it is reached from, once for each edge.
    pub predecessors: SmallVec<[VBlock; 2]>,
}

/// The machine code of one program on virtual registers.
#[derive(Clone, Debug)]
pub struct VCode {
    /// All instructions, block after block.
    pub insts: Vec<VInst>,
    /// All blocks.
    pub blocks: Vec<VBlockData>,
    /// What calls load.
    pub loads: Vec<Load>,
    /// All blocks in the order of emission, the entry first.
    pub layout: Vec<VBlock>,
    /// Virtual registers are numbered from 0 to this.
    pub vreg_count: u32,
    /// Bytes of the frame that stack slots take, from the frame pointer downward.
    pub frame_bytes: u32,
}
