//! Runs bytecode as the kernel does, and is as strict as its verifier about what is never set.
//!
//! The rules are those of `Documentation/bpf/standardization/instruction-set.rst`. What rbpf does
//! otherwise, and why both are used, is said in [`super::runs_on_rbpf`].

use super::{arity, mix};
use crate::bpf::decode::decode;
use crate::bpf::encode::SLOT_BYTES;
use crate::bpf::inst::{AluOp, Cond, Inst, Size, Src, Width};
use crate::bpf::regs::{FP, R0, R1, Reg, STACK_LIMIT};

const STACK_TOP: u64 = 0x2000_0000;
const CONTEXT: u64 = 0x1000_0000;

/// A machine about to run one program.
pub struct Vm<'a> {
    regs: [Option<u64>; 11],
    stack: Vec<Option<u8>>,
    context: &'a mut [u8],
}

impl<'a> Vm<'a> {
    /// A machine whose context is `context`.
    pub fn new(context: &'a mut [u8]) -> Self {
        let mut regs = [None; 11];
        regs[usize::from(R1.number())] = Some(CONTEXT);
        regs[usize::from(FP.number())] = Some(STACK_TOP);
        Self { regs, stack: vec![None; STACK_LIMIT as usize], context }
    }

    /// Runs `code` to its exit and gives the exit code.
    pub fn run(&mut self, code: &[u8]) -> u64 {
        let mut slot = 0;
        for _ in 0..1_000_000 {
            let inst = decode(&code[slot * SLOT_BYTES..]).expect("only instructions that the compiler knows");
            slot += inst.slots();
            match inst {
                Inst::Jump { offset } => slot = slot.wrapping_add_signed(offset.into()),
                Inst::Branch { cond, width, dst, src, offset } => {
                    if self.holds(cond, width, dst, src) {
                        slot = slot.wrapping_add_signed(offset.into());
                    }
                }
                Inst::Exit => return self.read(R0),
                _ => self.step(inst),
            }
        }
        panic!("the program does not end");
    }

    fn read(&self, reg: Reg) -> u64 {
        self.regs[usize::from(reg.number())].unwrap_or_else(|| panic!("{reg} is read but never set"))
    }

    fn write(&mut self, reg: Reg, value: u64) {
        assert_ne!(reg, FP, "the frame pointer is read-only");
        self.regs[usize::from(reg.number())] = Some(value);
    }

    fn operand(&self, src: Src) -> u64 {
        match src {
            Src::Reg(reg) => self.read(reg),
            Src::Imm(imm) => i64::from(imm) as u64,
        }
    }

    fn step(&mut self, inst: Inst) {
        match inst {
            Inst::Alu { op, width, dst, src } => {
                let a = if op == AluOp::Mov { 0 } else { self.read(dst) };
                self.write(dst, alu(op, width, a, self.operand(src)));
            }
            Inst::Neg { width: Width::W64, dst } => self.write(dst, self.read(dst).wrapping_neg()),
            Inst::LoadImm64 { dst, imm } => self.write(dst, imm as u64),
            Inst::Load { size, dst, base, offset } => {
                let value = self.load(self.read(base).wrapping_add_signed(offset.into()), size);
                self.write(dst, value);
            }
            Inst::Store { size, base, offset, src } => {
                self.store(self.read(base).wrapping_add_signed(offset.into()), size, self.operand(src));
            }
            Inst::AtomicAdd { base, offset, src, fetch } => {
                let address = self.read(base).wrapping_add_signed(offset.into());
                let (old, added) = (self.load(address, Size::B8), self.read(src));
                self.store(address, Size::B8, old.wrapping_add(added));
                if fetch {
                    self.write(src, old);
                }
            }
            Inst::Call { helper } => {
                let args: Vec<u64> = (0..arity(helper)).map(|index| self.read(Reg::argument(index))).collect();
                let result = mix(&args);
                Reg::clobbered_by_calls().for_each(|reg| self.regs[usize::from(reg.number())] = None);
                self.write(R0, result);
            }
            other => unreachable!("{other:?} is not selected, or is a jump"),
        }
    }

    fn holds(&self, cond: Cond, width: Width, dst: Reg, src: Src) -> bool {
        let (mut a, mut b) = (self.read(dst), self.operand(src));
        if width == Width::W32 {
            let extend = |value: u64| match cond {
                Cond::Sgt | Cond::Sge | Cond::Slt | Cond::Sle => i64::from(value as i32) as u64,
                _ => u64::from(value as u32),
            };
            (a, b) = (extend(a), extend(b));
        }
        let (signed_a, signed_b) = (a as i64, b as i64);
        match cond {
            Cond::Eq => a == b,
            Cond::Ne => a != b,
            Cond::Set => a & b != 0,
            Cond::Gt => a > b,
            Cond::Ge => a >= b,
            Cond::Lt => a < b,
            Cond::Le => a <= b,
            Cond::Sgt => signed_a > signed_b,
            Cond::Sge => signed_a >= signed_b,
            Cond::Slt => signed_a < signed_b,
            Cond::Sle => signed_a <= signed_b,
        }
    }

    fn load(&self, address: u64, size: Size) -> u64 {
        (0..bytes_of(size)).rev().fold(0, |value, index| value << 8 | u64::from(self.load_byte(address + index)))
    }

    fn store(&mut self, address: u64, size: Size, value: u64) {
        assert_eq!(address % bytes_of(size), 0, "a misaligned store");
        (0..bytes_of(size)).for_each(|index| self.store_byte(address + index, (value >> (8 * index)) as u8));
    }

    fn load_byte(&self, address: u64) -> u8 {
        match self.stack_index(address) {
            Some(index) => self.stack[index].expect("stack is read but never set"),
            None => self.context[(address - CONTEXT) as usize],
        }
    }

    fn store_byte(&mut self, address: u64, byte: u8) {
        match self.stack_index(address) {
            Some(index) => self.stack[index] = Some(byte),
            None => self.context[(address - CONTEXT) as usize] = byte,
        }
    }

    fn stack_index(&self, address: u64) -> Option<usize> {
        let bottom = STACK_TOP - u64::from(STACK_LIMIT);
        (bottom..STACK_TOP).contains(&address).then(|| (address - bottom) as usize)
    }
}

fn bytes_of(size: Size) -> u64 {
    match size {
        Size::B1 => 1,
        Size::B2 => 2,
        Size::B4 => 4,
        Size::B8 => 8,
    }
}

fn alu(op: AluOp, width: Width, a: u64, b: u64) -> u64 {
    match width {
        Width::W64 => alu64(op, a, b),
        Width::W32 => {
            let (a, b) = (u64::from(a as u32), u64::from(b as u32));
            match op {
                AluOp::And | AluOp::Mov => alu64(op, a, b) & 0xffff_ffff,
                _ => unreachable!("{op:?} is not selected on 32 bits"),
            }
        }
    }
}

fn alu64(op: AluOp, a: u64, b: u64) -> u64 {
    match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div => a.checked_div(b).unwrap_or(0),
        AluOp::Mod => a.checked_rem(b).unwrap_or(a),
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Xor => a ^ b,
        AluOp::Lsh => a << (b & 63),
        AluOp::Rsh => a >> (b & 63),
        AluOp::Arsh => ((a as i64) >> (b & 63)) as u64,
        AluOp::Mov => b,
    }
}
