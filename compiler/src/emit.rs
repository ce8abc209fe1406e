//! Allocated code to bytes: moves and spills put in, blocks laid out, jumps resolved.
//!
//! Every emitted instruction is reachable (the kernel refuses others): blocks that only jump on
//! are skipped by those who jump to them, and what nobody reaches any more is left out.

use std::fmt;

use pfscript_grammar::Span;

use crate::bpf::encode::{SLOT_BYTES, encode};
use crate::bpf::inst::{AluOp, Cond, Inst, Size, Src, Width};
use crate::bpf::regs::{FP, R0, Reg, STACK_LIMIT};
use crate::bpf::vcode::{Base, VBlock, VCode, VOp};
use crate::ir::inst::MapAddrOf;
use crate::regalloc::{Allocation, Location, Move};

/// The code of one program.
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
    let bodies = bodies(code, allocation);
    let mut emitter = Emitter::new(stack_bytes, bodies.len());
    let kept = kept_blocks(&bodies);
    for (index, &block) in kept.iter().enumerate() {
        emitter.block(&bodies, block, kept.get(index + 1).copied());
    }
    emitter.finish()
}

/// An instruction with its register numbers.
#[derive(Clone, Copy, Debug)]
struct Placed {
    inst: Inst,
    span: Span,
    target: Option<RelocTarget>,
}

/// How a block ends.
#[derive(Clone, Copy, Debug)]
enum Exit {
    Jump(VBlock),
    Branch { cond: Cond, width: Width, dst: Reg, src: Src, then: VBlock, otherwise: VBlock },
    Return,
}

/// A block with its moves, and with its destinations resolved.
struct Body {
    insts: Vec<Placed>,
    exit: Exit,
    span: Span,
}

fn bodies(code: &VCode, allocation: &Allocation) -> Vec<Body> {
    let mut moves = allocation.moves.iter().peekable();
    let mut bodies = Vec::with_capacity(code.blocks.len());
    for (block, data) in code.blocks.iter().enumerate() {
        let mut placer = Placer { frame_bytes: code.frame_bytes, span: Span::default(), insts: Vec::new() };
        for index in data.insts.clone() {
            let inst = &code.insts[index];
            placer.span = inst.span;
            while let Some(edit) = moves.next_if(|edit| edit.inst == index && edit.is_before) {
                placer.transfer(edit);
            }
            placer.inst(inst.op, allocation.regs(index));
            while let Some(edit) = moves.next_if(|edit| edit.inst == index) {
                placer.transfer(edit);
            }
        }
        let exit = exit(code, allocation, block);
        bodies.push(Body { insts: placer.insts, exit, span: placer.span });
    }
    skip_empty_blocks(&mut bodies);
    bodies
}

fn exit(code: &VCode, allocation: &Allocation, block: usize) -> Exit {
    let data = &code.blocks[block];
    let last = data.insts.end - 1;
    let to = |index: usize| data.successors[index].block;
    match code.insts[last].op {
        VOp::Jump => Exit::Jump(to(0)),
        VOp::Branch { cond, width, imm } => {
            let regs = allocation.regs(last);
            let src = imm.map_or_else(|| Src::Reg(regs[1]), Src::Imm);
            Exit::Branch { cond, width, dst: regs[0], src, then: to(0), otherwise: to(1) }
        }
        VOp::Return => Exit::Return,
        op => unreachable!("a block ends in a jump, branch or return, not in {op:?}"),
    }
}

/// Turns what jumps to a block that only jumps on into a jump to that one's destination, and a
/// branch whose two sides meet at once into a jump.
fn skip_empty_blocks(bodies: &mut [Body]) {
    let destination = |bodies: &[Body], mut block: VBlock| {
        for _ in 0..bodies.len() {
            match &bodies[block.index()] {
                Body { insts, exit: Exit::Jump(next), .. } if insts.is_empty() => block = *next,
                _ => break,
            }
        }
        block
    };
    for index in 0..bodies.len() {
        let exit = match bodies[index].exit {
            Exit::Jump(to) => Exit::Jump(destination(bodies, to)),
            Exit::Branch { cond, width, dst, src, then, otherwise } => {
                let (then, otherwise) = (destination(bodies, then), destination(bodies, otherwise));
                match then == otherwise {
                    true => Exit::Jump(then),
                    false => Exit::Branch { cond, width, dst, src, then, otherwise },
                }
            }
            Exit::Return => Exit::Return,
        };
        bodies[index].exit = exit;
    }
}

/// The blocks that are still reached, in their order.
fn kept_blocks(bodies: &[Body]) -> Vec<VBlock> {
    let mut is_reached = vec![false; bodies.len()];
    let mut pending = vec![VBlock(0)];
    while let Some(block) = pending.pop() {
        if std::mem::replace(&mut is_reached[block.index()], true) {
            continue;
        }
        match bodies[block.index()].exit {
            Exit::Jump(to) => pending.push(to),
            Exit::Branch { then, otherwise, .. } => pending.extend([then, otherwise]),
            Exit::Return => {}
        }
    }
    (0..bodies.len() as u32).map(VBlock).filter(|block| is_reached[block.index()]).collect()
}

/// Makes machine instructions of allocated ones.
struct Placer {
    frame_bytes: u32,
    span: Span,
    insts: Vec<Placed>,
}

impl Placer {
    fn push(&mut self, inst: Inst) {
        self.insts.push(Placed { inst, span: self.span, target: None });
    }

    fn push_address(&mut self, dst: Reg, target: RelocTarget) {
        let imm = match target {
            RelocTarget::Map(_) => 0,
            RelocTarget::Counter(offset) => offset.into(),
        };
        self.insts.push(Placed { inst: Inst::LoadImm64 { dst, imm }, span: self.span, target: Some(target) });
    }

    fn transfer(&mut self, edit: &Move) {
        match (edit.from, edit.to) {
            (Location::Reg(from), Location::Reg(to)) => self.mov(Width::W64, to, Src::Reg(from)),
            (Location::Reg(from), Location::Spill(slot)) => {
                let offset = self.spill_offset(slot);
                self.push(Inst::Store { size: Size::B8, base: FP, offset, src: Src::Reg(from) });
            }
            (Location::Spill(slot), Location::Reg(to)) => {
                let offset = self.spill_offset(slot);
                self.push(Inst::Load { size: Size::B8, dst: to, base: FP, offset });
            }
            (Location::Spill(_), Location::Spill(_)) => unreachable!("moves between spill slots are never made"),
        }
    }

    /// Spill slots lie below the stack slots; the whole is within the stack's limit.
    fn spill_offset(&self, slot: u32) -> i16 {
        -((self.frame_bytes + 8 * (slot + 1)) as i16)
    }

    fn mov(&mut self, width: Width, dst: Reg, src: Src) {
        if width == Width::W64 && src == Src::Reg(dst) {
            return;
        }
        self.push(Inst::Alu { op: AluOp::Mov, width, dst, src });
    }

    fn inst(&mut self, op: VOp, regs: &[Reg]) {
        match op {
            VOp::Entry | VOp::Jump | VOp::Branch { .. } | VOp::Return => {}
            VOp::Alu { op, width, imm } => {
                let src = imm.map_or_else(|| Src::Reg(regs[1]), Src::Imm);
                self.push(Inst::Alu { op, width, dst: regs[0], src });
            }
            VOp::Neg => self.push(Inst::Neg { width: Width::W64, dst: regs[0] }),
            VOp::Mov { width } => self.mov(width, regs[1], Src::Reg(regs[0])),
            VOp::LoadImm { imm } => self.load_imm(regs[0], imm),
            VOp::FrameAddr { offset } => {
                self.mov(Width::W64, regs[0], Src::Reg(FP));
                self.push(Inst::Alu { op: AluOp::Add, width: Width::W64, dst: regs[0], src: Src::Imm(offset) });
            }
            VOp::MapAddr { map } => self.push_address(regs[0], RelocTarget::Map(map)),
            VOp::CounterAddr { offset } => self.push_address(regs[0], RelocTarget::Counter(offset)),
            VOp::Load { size, base, offset } => {
                let (base, rest) = base_of(base, regs);
                self.push(Inst::Load { size, dst: rest[0], base, offset: offset as i16 });
            }
            VOp::Store { size, base, offset, imm } => {
                let (base, rest) = base_of(base, regs);
                let src = imm.map_or_else(|| Src::Reg(rest[0]), Src::Imm);
                self.push(Inst::Store { size, base, offset: offset as i16, src });
            }
            VOp::AtomicAdd { base, offset } => self.atomic_add(base, offset, regs, false),
            VOp::FetchAdd { base, offset } => self.atomic_add(base, offset, regs, true),
            VOp::Call { helper } => self.push(Inst::Call { helper: helper.id() }),
            VOp::Compare { cond, width, imm } => self.compare(cond, width, imm, regs),
        }
    }

    fn load_imm(&mut self, dst: Reg, imm: i64) {
        match (i32::try_from(imm), u32::try_from(imm)) {
            (Ok(small), _) => self.mov(Width::W64, dst, Src::Imm(small)),
            (_, Ok(half)) => self.mov(Width::W32, dst, Src::Imm(half as i32)),
            _ => self.push(Inst::LoadImm64 { dst, imm }),
        }
    }

    fn atomic_add(&mut self, base: Base, offset: i32, regs: &[Reg], fetch: bool) {
        let (base, _) = base_of(base, &regs[1..]);
        self.push(Inst::AtomicAdd { base, offset: offset as i16, src: regs[0], fetch });
    }

    /// `dst = 1; if a cond b goto pc+1; dst = 0`
    fn compare(&mut self, cond: Cond, width: Width, imm: Option<i32>, regs: &[Reg]) {
        let dst = *regs.last().expect("a comparison has a result");
        let src = imm.map_or_else(|| Src::Reg(regs[1]), Src::Imm);
        self.mov(Width::W64, dst, Src::Imm(1));
        self.push(Inst::Branch { cond, width, dst: regs[0], src, offset: 1 });
        self.mov(Width::W64, dst, Src::Imm(0));
    }
}

/// The register with the address, and the operands after it.
fn base_of(base: Base, regs: &[Reg]) -> (Reg, &[Reg]) {
    match base {
        Base::Operand => (regs[0], &regs[1..]),
        Base::Frame => (FP, regs),
    }
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
            Exit::Branch { cond, width, dst, src, then, otherwise } => {
                let (cond, then, otherwise) = match cond.inverse() {
                    Some(inverse) if next == Some(then) => (inverse, otherwise, then),
                    _ => (cond, then, otherwise),
                };
                self.push_jump(Inst::Branch { cond, width, dst, src, offset: 0 }, then, span);
                self.jump(otherwise, next, span);
            }
            Exit::Return => {
                let inst = Inst::Alu { op: AluOp::Mov, width: Width::W64, dst: R0, src: Src::Imm(0) };
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
    fn append(&mut self, placed: &Placed) {
        let slot = self.spans.len();
        self.relocs.extend(placed.target.map(|target| Reloc { slot, target }));
        encode(placed.inst, &mut self.bytes);
        self.spans.resize(self.bytes.len() / SLOT_BYTES, placed.span);
    }
}
