//! Allocated code to machine instructions, block by block, with moves and spills put in.

use pfscript_grammar::Span;

use crate::bpf::inst::{AluOp, Cond, Inst, Size, Src, Width};
use crate::bpf::regs::{FP, Reg};
use crate::bpf::vcode::{Base, Load, VBlock, VCode, VOp};
use crate::emit::RelocTarget;
use crate::regalloc::{Allocation, Location, Move};

/// An instruction with its register numbers.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// The instruction; jumps between blocks are not among them.
    pub inst: Inst,
    /// The place in the script that it comes from.
    pub span: Span,
    /// The address that it loads, if it loads one.
    pub target: Option<RelocTarget>,
}

impl Placed {
    /// Whether it does the same, wherever it comes from.
    pub fn does_the_same(&self, other: &Self) -> bool {
        self.inst == other.inst && self.target == other.target
    }
}

/// What a branch tests.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// The condition.
    pub cond: Cond,
    /// On half or all of the registers.
    pub width: Width,
    /// First operand.
    pub dst: Reg,
    /// Second operand.
    pub src: Src,
}

/// How a block ends.
#[derive(Clone, Copy, Debug)]
pub enum Exit {
    /// Always to one block.
    Jump(VBlock),
    /// To one of two.
    Branch {
        /// What is tested.
        test: Test,
        /// Where to if it holds.
        then: VBlock,
        /// Where to if not.
        otherwise: VBlock,
    },
    /// The function ends with this in `r0`.
    Return(i32),
}

/// A block with its moves.
#[derive(Clone, Debug)]
pub struct Body {
    /// Its instructions but for the last.
    pub insts: Vec<Placed>,
    /// What the last does.
    pub exit: Exit,
    /// Where the last comes from.
    pub span: Span,
}

/// Places all blocks of `code`. The stack must be within its limit.
pub fn place(code: &VCode, allocation: &Allocation) -> Vec<Body> {
    let mut moves = allocation.moves.iter().peekable();
    let mut bodies = Vec::with_capacity(code.blocks.len());
    for (block, data) in code.blocks.iter().enumerate() {
        let mut placer =
            Placer { frame_bytes: code.frame_bytes, loads: &code.loads, span: Span::default(), insts: Vec::new() };
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
            Exit::Branch { test: Test { cond, width, dst: regs[0], src }, then: to(0), otherwise: to(1) }
        }
        VOp::Return { code } => Exit::Return(code),
        op => unreachable!("a block ends in a jump, branch or return, not in {op:?}"),
    }
}

/// Makes machine instructions of allocated ones.
struct Placer<'a> {
    frame_bytes: u32,
    loads: &'a [Load],
    span: Span,
    insts: Vec<Placed>,
}

impl Placer<'_> {
    fn push(&mut self, inst: Inst) {
        self.insts.push(Placed { inst, span: self.span, target: None });
    }

    fn push_address(&mut self, dst: Reg, target: RelocTarget) {
        let imm = match target {
            RelocTarget::Map(_) | RelocTarget::Callback(_) => 0,
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
            VOp::Entry | VOp::Jump | VOp::Branch { .. } | VOp::Return { .. } => {}
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
            VOp::CallbackAddr { callback } => self.push_address(regs[0], RelocTarget::Callback(callback)),
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
            VOp::Call { helper, loads } => {
                self.loads[loads.range()].iter().for_each(|load| self.inst(load.op, &[load.to]));
                self.push(Inst::Call { helper: helper.id() });
            }
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
