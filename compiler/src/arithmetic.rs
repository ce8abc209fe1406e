//! The one evaluator of integer arithmetic: what constant folding computes and what the checker
//! takes for a constant. It says what eBPF does at run time, so that folding never changes a
//! value: results wrap, division by zero gives 0, the remainder by zero the dividend, and shift
//! counts are taken modulo 64 (kernel: Documentation/bpf/standardization/instruction-set.rst).

use crate::ir::{BinaryOp, CmpOp};

/// The value of `a op b`.
pub fn binary(op: BinaryOp, a: i64, b: i64) -> i64 {
    let (ua, ub) = (a as u64, b as u64);
    match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::Udiv => ua.checked_div(ub).unwrap_or(0) as i64,
        BinaryOp::Sdiv if b == 0 => 0,
        BinaryOp::Sdiv => a.wrapping_div(b),
        BinaryOp::Urem => ua.checked_rem(ub).unwrap_or(ua) as i64,
        BinaryOp::Srem if b == 0 => a,
        BinaryOp::Srem => a.wrapping_rem(b),
        BinaryOp::And => a & b,
        BinaryOp::Or => a | b,
        BinaryOp::Xor => a ^ b,
        BinaryOp::Shl => a.wrapping_shl(b as u32),
        BinaryOp::Lshr => ua.wrapping_shr(b as u32) as i64,
        BinaryOp::Ashr => a.wrapping_shr(b as u32),
    }
}

/// Whether `a op b` holds.
pub fn compare(op: CmpOp, a: i64, b: i64) -> bool {
    let (ua, ub) = (a as u64, b as u64);
    match op {
        CmpOp::Eq => a == b,
        CmpOp::Ne => a != b,
        CmpOp::Slt => a < b,
        CmpOp::Sle => a <= b,
        CmpOp::Sgt => a > b,
        CmpOp::Sge => a >= b,
        CmpOp::Ult => ua < ub,
        CmpOp::Ule => ua <= ub,
        CmpOp::Ugt => ua > ub,
        CmpOp::Uge => ua >= ub,
    }
}

/// The low `bytes` of `value`, extended to 64 bits.
pub fn extend(signed: bool, bytes: u8, value: i64) -> i64 {
    match (signed, bytes) {
        (true, 1) => i64::from(value as i8),
        (true, 2) => i64::from(value as i16),
        (true, 4) => i64::from(value as i32),
        (false, 1) => i64::from(value as u8),
        (false, 2) => i64::from(value as u16),
        (false, 4) => i64::from(value as u32),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_those_of_ebpf() {
        assert_eq!(binary(BinaryOp::Sdiv, i64::MIN, -1), i64::MIN);
        assert_eq!(binary(BinaryOp::Srem, i64::MIN, -1), 0);
        assert_eq!(binary(BinaryOp::Sdiv, -7, 2), -3);
        assert_eq!(binary(BinaryOp::Srem, -7, 2), -1);
        assert_eq!(binary(BinaryOp::Udiv, 5, 0), 0);
        assert_eq!(binary(BinaryOp::Urem, 5, 0), 5);
        assert_eq!(binary(BinaryOp::Srem, -5, 0), -5);
        assert_eq!(binary(BinaryOp::Shl, 1, 64), 1);
        assert_eq!(binary(BinaryOp::Ashr, -8, 65), -4);
        assert!(compare(CmpOp::Ult, 1, -1) && compare(CmpOp::Sgt, 1, -1));
        assert_eq!(extend(true, 1, 0xff), -1);
        assert_eq!(extend(false, 4, -1), 0xffff_ffff);
    }
}
