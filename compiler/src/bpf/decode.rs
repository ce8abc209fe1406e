//! Bytes to instructions: the inverse of [`encode`](super::encode), for the dump and for tests.

use super::encode::{
    ALU, ALU64, ATOMIC_FETCH, JMP, JMP32, LD, LDX, MODE_ATOMIC, MODE_MEM, OP_CALL, OP_EXIT, OP_JUMP, OP_NEG,
    SLOT_BYTES, SRC_REG, ST, STX, Slot, alu_code, cond_code, size_code,
};
use super::inst::{AluOp, Cond, Inst, Size, Src, Width};
use super::regs::Reg;

const ALU_OPS: [AluOp; 12] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::Or,
    AluOp::And,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Mod,
    AluOp::Xor,
    AluOp::Mov,
    AluOp::Arsh,
];
const CONDS: [Cond; 11] =
    [Cond::Eq, Cond::Ne, Cond::Set, Cond::Gt, Cond::Ge, Cond::Lt, Cond::Le, Cond::Sgt, Cond::Sge, Cond::Slt, Cond::Sle];
const SIZES: [Size; 4] = [Size::B1, Size::B2, Size::B4, Size::B8];

/// The first instruction of `bytes`; none when it is not one that the compiler writes.
pub fn decode(bytes: &[u8]) -> Option<Inst> {
    let slot = read_slot(bytes)?;
    let (class, operation) = (slot.code & 0x07, slot.code & 0xf0);
    let (dst, src) = (Reg::new(slot.dst)?, Reg::new(slot.src)?);
    let operand = if slot.code & SRC_REG != 0 { Src::Reg(src) } else { Src::Imm(slot.imm) };
    match class {
        ALU => alu(operation, Width::W32, dst, operand),
        ALU64 => alu(operation, Width::W64, dst, operand),
        JMP => jump(operation, dst, operand, slot),
        JMP32 => branch(operation, Width::W32, dst, operand, slot.offset),
        _ => memory(class, slot, dst, src, bytes),
    }
}

/// All instructions of a program.
pub fn decode_all(mut bytes: &[u8]) -> Option<Vec<Inst>> {
    let mut insts = Vec::new();
    while !bytes.is_empty() {
        let inst = decode(bytes)?;
        bytes = bytes.get(inst.slots() * SLOT_BYTES..)?;
        insts.push(inst);
    }
    Some(insts)
}

fn read_slot(bytes: &[u8]) -> Option<Slot> {
    let &[code, regs, offset_low, offset_high, imm @ ..] = bytes.first_chunk::<SLOT_BYTES>()?;
    let offset = i16::from_le_bytes([offset_low, offset_high]);
    Some(Slot { code, dst: regs & 0x0f, src: regs >> 4, offset, imm: i32::from_le_bytes(imm) })
}

fn alu(operation: u8, width: Width, dst: Reg, src: Src) -> Option<Inst> {
    if operation == OP_NEG {
        return Some(Inst::Neg { width, dst });
    }
    let op = ALU_OPS.into_iter().find(|&op| alu_code(op) == operation)?;
    Some(Inst::Alu { op, width, dst, src })
}

fn jump(operation: u8, dst: Reg, src: Src, slot: Slot) -> Option<Inst> {
    match operation {
        OP_JUMP => Some(Inst::Jump { offset: slot.offset }),
        OP_CALL => Some(Inst::Call { helper: slot.imm as u32 }),
        OP_EXIT => Some(Inst::Exit),
        _ => branch(operation, Width::W64, dst, src, slot.offset),
    }
}

fn branch(operation: u8, width: Width, dst: Reg, src: Src, offset: i16) -> Option<Inst> {
    let cond = CONDS.into_iter().find(|&cond| cond_code(cond) == operation)?;
    Some(Inst::Branch { cond, width, dst, src, offset })
}

fn memory(class: u8, slot: Slot, dst: Reg, src: Reg, bytes: &[u8]) -> Option<Inst> {
    let size = SIZES.into_iter().find(|&size| size_code(size) == slot.code & 0x18)?;
    let offset = slot.offset;
    match (class, slot.code & 0xe0, size) {
        (LD, 0, Size::B8) => {
            let high = read_slot(&bytes[SLOT_BYTES..])?.imm;
            Some(Inst::LoadImm64 { dst, imm: i64::from(high) << 32 | i64::from(slot.imm as u32) })
        }
        (LDX, MODE_MEM, _) => Some(Inst::Load { size, dst, base: src, offset }),
        (ST, MODE_MEM, _) => Some(Inst::Store { size, base: dst, offset, src: Src::Imm(slot.imm) }),
        (STX, MODE_MEM, _) => Some(Inst::Store { size, base: dst, offset, src: Src::Reg(src) }),
        (STX, MODE_ATOMIC, Size::B8) => {
            Some(Inst::AtomicAdd { base: dst, offset, src, fetch: slot.imm == ATOMIC_FETCH })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::encode;
    use super::*;

    fn every_form() -> Vec<Inst> {
        let (r3, r10) = (Reg::new(3).expect("a register"), Reg::new(10).expect("a register"));
        let mut forms = vec![
            Inst::LoadImm64 { dst: r3, imm: 0x1234_5678_9abc_def0 },
            Inst::LoadImm64 { dst: r3, imm: -2 },
            Inst::AtomicAdd { base: r10, offset: -8, src: r3, fetch: false },
            Inst::AtomicAdd { base: r10, offset: 8, src: r3, fetch: true },
            Inst::Jump { offset: -3 },
            Inst::Call { helper: 16 },
            Inst::Exit,
        ];
        for src in [Src::Reg(r10), Src::Imm(-7), Src::Imm(i32::MIN)] {
            for width in [Width::W32, Width::W64] {
                forms.extend(ALU_OPS.map(|op| Inst::Alu { op, width, dst: r3, src }));
                forms.extend(CONDS.map(|cond| Inst::Branch { cond, width, dst: r3, src, offset: 300 }));
                forms.push(Inst::Neg { width, dst: r3 });
            }
            forms.extend(SIZES.map(|size| Inst::Store { size, base: r10, offset: i16::MIN, src }));
        }
        forms.extend(SIZES.map(|size| Inst::Load { size, dst: r3, base: r10, offset: 12 }));
        forms
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let forms = every_form();
        let mut bytes = Vec::new();
        forms.iter().for_each(|&inst| encode(inst, &mut bytes));
        assert_eq!(decode_all(&bytes), Some(forms));
    }

    #[test]
    fn foreign_instructions_are_refused() {
        assert_eq!(decode(&[0x20, 0, 0, 0, 0, 0, 0, 0]), None, "BPF_LD_ABS");
        assert_eq!(decode(&[0xbf, 0x0b, 0, 0, 0, 0, 0, 0]), None, "r11");
        assert_eq!(decode(&[0x95, 0, 0]), None, "cut short");
    }
}
