//! Allocated code to bytes: blocks laid out one after another, jumps resolved.

use std::fmt;

use pfscript_grammar::Span;

use crate::bpf::encode::{SLOT_BYTES, encode};
use crate::bpf::inst::{AluOp, Inst, Src, Width};
use crate::bpf::regs::{R0, STACK_LIMIT};
use crate::bpf::vcode::{VBlock, VCode};
use crate::branches::tidy;
use crate::ir::inst::MapAddrOf;
use crate::place::{Body, Exit, Placed, Test, place};
use crate::regalloc::Allocation;

/// The code of one program or callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytecode {
    /// Instruction slots of 8 bytes each.
    pub bytes: Vec<u8>,
    /// For each slot the place in the script that it comes from.
    pub spans: Vec<Span>,
    /// The instructions that need an address.
    pub relocs: Vec<Reloc>,
    /// Bytes of stack that the program uses.
    pub stack_bytes: u32,
}

/// An instruction that needs an address: the first slot of a 64-bit load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloc {
    /// Index of the slot.
    pub slot: usize,
    /// Whose address.
    pub target: RelocTarget,
}

/// What an address is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocTarget {
    /// A map.
    Map(MapAddrOf),
    /// The callback of this number.
    Callback(u32),
    /// So many bytes into the section of the counters; also in the instruction's constant.
    Counter(u32),
}

/// Why a program cannot be emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmitError {
    /// It needs more stack than there is.
    StackTooLarge {
        /// Bytes needed; [`STACK_LIMIT`] is what there is.
        bytes: u32,
    },
    /// A jump is farther than an instruction can say.
    JumpTooFar {
        /// Slots between the jump and its destination.
        slots: usize,
    },
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StackTooLarge { bytes } => {
                write!(f, "the program needs {bytes} bytes of stack, and {STACK_LIMIT} are allowed")
            }
            Self::JumpTooFar { slots } => write!(f, "the program is too long: a jump spans {slots} instructions"),
        }
    }
}

impl std::error::Error for EmitError {}

/// Encodes `code` with the registers of `allocation`.
///
/// # Errors
/// The program needs too much stack, or is too long.
pub fn emit(code: &VCode, allocation: &Allocation) -> Result<Bytecode, EmitError> {
    let stack_bytes = code.frame_bytes + 8 * allocation.spill_slots;
    if stack_bytes > STACK_LIMIT {
        return Err(EmitError::StackTooLarge { bytes: stack_bytes });
    }
    let mut bodies = place(code, allocation);
    let layout = tidy(&mut bodies, &code.layout);
    let mut emitter = Emitter::new(stack_bytes, bodies.len());
    for (index, &block) in layout.iter().enumerate() {
        emitter.block(&bodies, block, layout.get(index + 1).copied());
    }
    emitter.finish()
}

/// Writes blocks one after another; jump offsets are filled in at the end.
struct Emitter {
    code: Bytecode,
    insts: Vec<Placed>,
    /// The slot that each block starts at, once it is written.
    starts: Vec<Option<usize>>,
    /// Instructions (by index and slot) that jump to a block.
    fixups: Vec<Fixup>,
    slot: usize,
}

struct Fixup {
    inst: usize,
    slot: usize,
    to: VBlock,
}

impl Emitter {
    fn new(stack_bytes: u32, blocks: usize) -> Self {
        let code = Bytecode { bytes: Vec::new(), spans: Vec::new(), relocs: Vec::new(), stack_bytes };
        Self { code, insts: Vec::new(), starts: vec![None; blocks], fixups: Vec::new(), slot: 0 }
    }

    fn block(&mut self, bodies: &[Body], block: VBlock, next: Option<VBlock>) {
        self.starts[block.index()] = Some(self.slot);
        let body = &bodies[block.index()];
        body.insts.iter().for_each(|&placed| self.push(placed));
        self.exit(body, next);
    }

    fn exit(&mut self, body: &Body, next: Option<VBlock>) {
        let span = body.span;
        match body.exit {
            Exit::Jump(to) => self.jump(to, next, span),
            Exit::Branch { test: Test { cond, width, dst, src }, then, otherwise } => {
                let (cond, then, otherwise) = match cond.inverse() {
                    Some(inverse) if next == Some(then) => (inverse, otherwise, then),
                    _ => (cond, then, otherwise),
                };
                self.push_jump(Inst::Branch { cond, width, dst, src, offset: 0 }, then, span);
                self.jump(otherwise, next, span);
            }
            Exit::Return(code) => {
                let inst = Inst::Alu { op: AluOp::Mov, width: Width::W64, dst: R0, src: Src::Imm(code) };
                self.push(Placed { inst, span, target: None });
                self.push(Placed { inst: Inst::Exit, span, target: None });
            }
        }
    }

    fn jump(&mut self, to: VBlock, next: Option<VBlock>, span: Span) {
        if next != Some(to) {
            self.push_jump(Inst::Jump { offset: 0 }, to, span);
        }
    }

    fn push_jump(&mut self, inst: Inst, to: VBlock, span: Span) {
        self.fixups.push(Fixup { inst: self.insts.len(), slot: self.slot, to });
        self.push(Placed { inst, span, target: None });
    }

    fn push(&mut self, placed: Placed) {
        self.insts.push(placed);
        self.slot += placed.inst.slots();
    }

    fn finish(mut self) -> Result<Bytecode, EmitError> {
        for fixup in std::mem::take(&mut self.fixups) {
            let to = self.starts[fixup.to.index()].expect("blocks that are reached are written");
            let distance = to as i64 - (fixup.slot as i64 + 1);
            let far = EmitError::JumpTooFar { slots: distance.unsigned_abs() as usize };
            let resolved = i16::try_from(distance).map_err(|_| far)?;
            match &mut self.insts[fixup.inst].inst {
                Inst::Jump { offset } | Inst::Branch { offset, .. } => *offset = resolved,
                other => unreachable!("{other:?} is no jump"),
            }
        }
        self.insts.iter().for_each(|placed| self.code.append(placed));
        Ok(self.code)
    }
}

impl Bytecode {
    /// The callbacks whose addresses it takes, in the order of its instructions.
    pub fn callbacks(&self) -> impl Iterator<Item = usize> {
        self.relocs.iter().filter_map(|reloc| match reloc.target {
            RelocTarget::Callback(callback) => Some(callback as usize),
            RelocTarget::Map(_) | RelocTarget::Counter(_) => None,
        })
    }

    fn append(&mut self, placed: &Placed) {
        let slot = self.spans.len();
        self.relocs.extend(placed.target.map(|target| Reloc { slot, target }));
        encode(placed.inst, &mut self.bytes);
        self.spans.resize(self.bytes.len() / SLOT_BYTES, placed.span);
    }
}
