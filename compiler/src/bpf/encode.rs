//! Instructions to bytes, by `Documentation/bpf/standardization/instruction-set.rst`.

use super::inst::{AluOp, Cond, Inst, Size, Src, Width};
use super::regs::{R0, Reg};

/// Bytes of an instruction slot.
pub const SLOT_BYTES: usize = 8;

// Instruction classes: the low three bits of the operation code.
pub(super) const LD: u8 = 0x00;
pub(super) const LDX: u8 = 0x01;
pub(super) const ST: u8 = 0x02;
pub(super) const STX: u8 = 0x03;
pub(super) const ALU: u8 = 0x04;
pub(super) const JMP: u8 = 0x05;
pub(super) const JMP32: u8 = 0x06;
pub(super) const ALU64: u8 = 0x07;

/// The second operand is a register.
pub(super) const SRC_REG: u8 = 0x08;

// Modes of loads and stores.
pub(super) const MODE_MEM: u8 = 0x60;
pub(super) const MODE_ATOMIC: u8 = 0xc0;

// Codes beside those of `AluOp` and `Cond`.
pub(super) const OP_NEG: u8 = 0x80;
pub(super) const OP_JUMP: u8 = 0x00;
pub(super) const OP_CALL: u8 = 0x80;
pub(super) const OP_EXIT: u8 = 0x90;

/// In the constant of an atomic operation: the old value is wanted.
pub(super) const ATOMIC_FETCH: i32 = 0x01;

/// The fields of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub code: u8,
    pub dst: u8,
    pub src: u8,
    pub offset: i16,
    pub imm: i32,
}

impl Slot {
    pub(super) fn to_bytes(self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[0] = self.code;
        bytes[1] = self.src << 4 | self.dst;
        bytes[2..4].copy_from_slice(&self.offset.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.imm.to_le_bytes());
        bytes
    }
}

/// Appends the encoding of `inst` to `bytes`.
pub fn encode(inst: Inst, bytes: &mut Vec<u8>) {
    let first = first_slot(inst);
    bytes.extend(first.to_bytes());
    if let Inst::LoadImm64 { imm, .. } = inst {
        let second = Slot { code: 0, dst: 0, src: 0, offset: 0, imm: (imm >> 32) as i32 };
        bytes.extend(second.to_bytes());
    }
}

fn first_slot(inst: Inst) -> Slot {
    match inst {
        Inst::Alu { op, width, dst, src } => slot(alu_class(width) | alu_code(op), dst, src, 0),
        Inst::Neg { width, dst } => slot(alu_class(width) | OP_NEG, dst, Src::Imm(0), 0),
        Inst::LoadImm64 { dst, imm } => slot(LD | size_code(Size::B8), dst, Src::Imm(imm as i32), 0),
        Inst::Load { size, dst, base, offset } => {
            let code = LDX | MODE_MEM | size_code(size);
            Slot { code, dst: dst.number(), src: base.number(), offset, imm: 0 }
        }
        Inst::Store { size, base, offset, src: Src::Imm(imm) } => {
            slot(ST | MODE_MEM | size_code(size), base, Src::Imm(imm), offset)
        }
        Inst::Store { size, base, offset, src: Src::Reg(src) } => {
            let code = STX | MODE_MEM | size_code(size);
            Slot { code, dst: base.number(), src: src.number(), offset, imm: 0 }
        }
        Inst::AtomicAdd { base, offset, src, fetch } => {
            let code = STX | MODE_ATOMIC | size_code(Size::B8);
            let imm = if fetch { ATOMIC_FETCH } else { 0 };
            Slot { code, dst: base.number(), src: src.number(), offset, imm }
        }
        Inst::Jump { offset } => slot(JMP | OP_JUMP, R0, Src::Imm(0), offset),
        Inst::Branch { cond, width, dst, src, offset } => slot(jump_class(width) | cond_code(cond), dst, src, offset),
        Inst::Call { helper } => slot(JMP | OP_CALL, R0, Src::Imm(helper as i32), 0),
        Inst::Exit => slot(JMP | OP_EXIT, R0, Src::Imm(0), 0),
    }
}

/// A slot whose second operand says by itself whether it is a register.
fn slot(code: u8, dst: Reg, src: Src, offset: i16) -> Slot {
    match src {
        Src::Reg(src) => Slot { code: code | SRC_REG, dst: dst.number(), src: src.number(), offset, imm: 0 },
        Src::Imm(imm) => Slot { code, dst: dst.number(), src: 0, offset, imm },
    }
}

fn alu_class(width: Width) -> u8 {
    match width {
        Width::W32 => ALU,
        Width::W64 => ALU64,
    }
}

fn jump_class(width: Width) -> u8 {
    match width {
        Width::W32 => JMP32,
        Width::W64 => JMP,
    }
}

pub(super) fn size_code(size: Size) -> u8 {
    match size {
        Size::B4 => 0x00,
        Size::B2 => 0x08,
        Size::B1 => 0x10,
        Size::B8 => 0x18,
    }
}

pub(super) fn alu_code(op: AluOp) -> u8 {
    match op {
        AluOp::Add => 0x00,
        AluOp::Sub => 0x10,
        AluOp::Mul => 0x20,
        AluOp::Div => 0x30,
        AluOp::Or => 0x40,
        AluOp::And => 0x50,
        AluOp::Lsh => 0x60,
        AluOp::Rsh => 0x70,
        AluOp::Mod => 0x90,
        AluOp::Xor => 0xa0,
        AluOp::Mov => 0xb0,
        AluOp::Arsh => 0xc0,
    }
}

pub(super) fn cond_code(cond: Cond) -> u8 {
    match cond {
        Cond::Eq => 0x10,
        Cond::Gt => 0x20,
        Cond::Ge => 0x30,
        Cond::Set => 0x40,
        Cond::Ne => 0x50,
        Cond::Sgt => 0x60,
        Cond::Sge => 0x70,
        Cond::Lt => 0xa0,
        Cond::Le => 0xb0,
        Cond::Slt => 0xc0,
        Cond::Sle => 0xd0,
    }
}
