//! Instructions as the kernel's verifier writes them (`kernel/bpf/disasm.c`).

use super::inst::{AluOp, Cond, Inst, Size, Src, Width};
use super::regs::Reg;
use crate::catalog::helpers::Helper;

/// The text of `inst`. `symbol` is what a relocation points the instruction at, if one does.
pub fn disassemble(inst: Inst, symbol: Option<&str>) -> String {
    match inst {
        Inst::Alu { op, width, dst, src } => format!("{} {} {}", reg(dst, width), alu(op), operand(src, width)),
        Inst::Neg { width, dst } => format!("{0} = -{0}", reg(dst, width)),
        Inst::LoadImm64 { dst, imm } => match symbol {
            Some(symbol) => format!("{dst} = {symbol}"),
            None => format!("{dst} = {imm:#x}"),
        },
        Inst::Load { size, dst, base, offset } => format!("{dst} = {}", place(size, base, offset)),
        Inst::Store { size, base, offset, src } => {
            format!("{} = {}", place(size, base, offset), operand(src, Width::W64))
        }
        Inst::AtomicAdd { base, offset, src, fetch: false } => {
            format!("lock {} += {src}", place(Size::B8, base, offset))
        }
        Inst::AtomicAdd { base, offset, src, fetch: true } => {
            format!("{src} = atomic64_fetch_add((u64 *)({base} {offset:+}), {src})")
        }
        Inst::Jump { offset } => format!("goto pc{offset:+}"),
        Inst::Branch { cond, width, dst, src, offset } => {
            let src = match src {
                Src::Reg(src) => reg(src, width),
                Src::Imm(imm) => format!("{imm:#x}"),
            };
            format!("if {} {} {src} goto pc{offset:+}", reg(dst, width), condition(cond))
        }
        Inst::Call { helper } => format!("call {}#{helper}", helper_name(helper)),
        Inst::Exit => "exit".into(),
    }
}

fn reg(reg: Reg, width: Width) -> String {
    match width {
        Width::W32 => format!("w{}", reg.number()),
        Width::W64 => reg.to_string(),
    }
}

fn operand(src: Src, width: Width) -> String {
    match src {
        Src::Reg(src) => reg(src, width),
        Src::Imm(imm) => imm.to_string(),
    }
}

fn place(size: Size, base: Reg, offset: i16) -> String {
    let bits = match size {
        Size::B1 => 8,
        Size::B2 => 16,
        Size::B4 => 32,
        Size::B8 => 64,
    };
    format!("*(u{bits} *)({base} {offset:+})")
}

fn alu(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "+=",
        AluOp::Sub => "-=",
        AluOp::Mul => "*=",
        AluOp::Div => "/=",
        AluOp::Or => "|=",
        AluOp::And => "&=",
        AluOp::Lsh => "<<=",
        AluOp::Rsh => ">>=",
        AluOp::Mod => "%=",
        AluOp::Xor => "^=",
        AluOp::Mov => "=",
        AluOp::Arsh => "s>>=",
    }
}

fn condition(cond: Cond) -> &'static str {
    match cond {
        Cond::Eq => "==",
        Cond::Ne => "!=",
        Cond::Set => "&",
        Cond::Gt => ">",
        Cond::Ge => ">=",
        Cond::Lt => "<",
        Cond::Le => "<=",
        Cond::Sgt => "s>",
        Cond::Sge => "s>=",
        Cond::Slt => "s<",
        Cond::Sle => "s<=",
    }
}

fn helper_name(id: u32) -> String {
    match Helper::from_id(id) {
        Some(helper) => format!("bpf_{}", helper.info().name),
        None => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::decode;
    use super::*;

    /// The left column is what `bpftool prog dump xlated` printed for the bytes on the right.
    #[test]
    fn texts_are_the_kernels() {
        let cases: [(&str, [u8; 8]); 16] = [
            ("r1 = *(u64 *)(r6 +8)", [0x79, 0x61, 8, 0, 0, 0, 0, 0]),
            ("r1 = *(u8 *)(r10 -24)", [0x71, 0xa1, 0xe8, 0xff, 0, 0, 0, 0]),
            ("*(u32 *)(r10 -8) = r0", [0x63, 0x0a, 0xf8, 0xff, 0, 0, 0, 0]),
            ("*(u64 *)(r10 -8) = -1", [0x7a, 0x0a, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff]),
            ("if r0 == 0x0 goto pc+3", [0x15, 0x00, 3, 0, 0, 0, 0, 0]),
            ("if w1 s< 0xffffffff goto pc-2", [0xc6, 0x01, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]),
            ("if r1 & r2 goto pc+0", [0x4d, 0x21, 0, 0, 0, 0, 0, 0]),
            ("goto pc-1", [0x05, 0, 0xff, 0xff, 0, 0, 0, 0]),
            ("call bpf_get_current_comm#16", [0x85, 0, 0, 0, 16, 0, 0, 0]),
            ("r2 <<= 32", [0x67, 0x02, 0, 0, 32, 0, 0, 0]),
            ("w1 = w1", [0xbc, 0x11, 0, 0, 0, 0, 0, 0]),
            ("w3 = -1", [0xb4, 0x03, 0, 0, 0xff, 0xff, 0xff, 0xff]),
            ("r0 = -r0", [0x87, 0, 0, 0, 0, 0, 0, 0]),
            ("lock *(u64 *)(r0 +0) += r1", [0xdb, 0x10, 0, 0, 0, 0, 0, 0]),
            ("r1 = atomic64_fetch_add((u64 *)(r0 +0), r1)", [0xdb, 0x10, 0, 0, 1, 0, 0, 0]),
            ("exit", [0x95, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (text, bytes) in cases {
            assert_eq!(decode(&bytes).map(|inst| disassemble(inst, None)).as_deref(), Some(text));
        }
    }

    #[test]
    fn wide_constants_and_symbols() {
        let r1 = Reg::new(1).expect("a register");
        let inst = Inst::LoadImm64 { dst: r1, imm: -1 };
        assert_eq!(disassemble(inst, None), "r1 = 0xffffffffffffffff");
        assert_eq!(disassemble(inst, Some("map[events]")), "r1 = map[events]");
    }
}
