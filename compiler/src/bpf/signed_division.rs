//! Signed division of unsigned division: the target has the former only from kernel 6.6 on.
//!
//! With `s(x) = x >> 63` (all ones when negative), `(x ^ s(x)) - s(x)` is the magnitude of `x`, and
//! the same with another sign gives a magnitude that sign. So
//!
//! ```text
//! sdiv a, b = signed(|a| / |b|, s(a) ^ s(b))        srem a, b = signed(|a| % |b|, s(a))
//! ```
//!
//! This is right at the edges without a branch: the magnitude of the smallest integer is 2^63 as
//! an unsigned number, so dividing it by -1 wraps to itself with remainder 0; and as the target's
//! unsigned division by zero gives 0 and its remainder the dividend, so do these.

use super::inst::AluOp;
use super::select::Selector;
use super::vcode::VReg;
use crate::ir::{BinaryOp, Value};

impl Selector<'_> {
    /// `dst = a op b` for `Sdiv` and `Srem`.
    pub(super) fn divide_signed(&mut self, op: BinaryOp, a: Value, b: Value, dst: VReg) {
        let a = self.reg(a);
        match (op, self.func.constant(b)) {
            (BinaryOp::Sdiv, Some(divisor)) => self.quotient_by_constant(a, divisor, dst),
            (_, Some(divisor)) => {
                let (magnitude, sign) = self.magnitude(a);
                let remainder = self.fresh();
                self.binary_imm(BinaryOp::Urem, magnitude, divisor.unsigned_abs() as i64, remainder);
                self.give_sign(remainder, sign, dst);
            }
            (_, None) => {
                let b = self.reg(b);
                self.divide_by_register(op, a, b, dst);
            }
        }
    }

    fn quotient_by_constant(&mut self, a: VReg, divisor: i64, dst: VReg) {
        let (magnitude, mut sign) = self.magnitude(a);
        let quotient = self.fresh();
        self.binary_imm(BinaryOp::Udiv, magnitude, divisor.unsigned_abs() as i64, quotient);
        if divisor < 0 {
            let flipped = self.fresh();
            self.alu(AluOp::Xor, sign, -1, flipped);
            sign = flipped;
        }
        self.give_sign(quotient, sign, dst);
    }

    fn divide_by_register(&mut self, op: BinaryOp, a: VReg, b: VReg, dst: VReg) {
        let (magnitude, mut sign) = self.magnitude(a);
        let (divisor, divisor_sign) = self.magnitude(b);
        let unsigned = self.fresh();
        if op == BinaryOp::Sdiv {
            self.alu_reg(AluOp::Div, magnitude, divisor, unsigned);
            let both = self.fresh();
            self.alu_reg(AluOp::Xor, sign, divisor_sign, both);
            sign = both;
        } else {
            self.alu_reg(AluOp::Mod, magnitude, divisor, unsigned);
        }
        self.give_sign(unsigned, sign, dst);
    }

    /// `|value|`, and all ones if `value` is negative, else zero.
    fn magnitude(&mut self, value: VReg) -> (VReg, VReg) {
        let (sign, magnitude) = (self.fresh(), self.fresh());
        self.alu(AluOp::Arsh, value, 63, sign);
        self.give_sign(value, sign, magnitude);
        (magnitude, sign)
    }

    /// `dst = -value` if `sign` is all ones, `value` if it is zero.
    fn give_sign(&mut self, value: VReg, sign: VReg, dst: VReg) {
        let flipped = self.fresh();
        self.alu_reg(AluOp::Xor, value, sign, flipped);
        self.alu_reg(AluOp::Sub, flipped, sign, dst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formulas above on the host, against the language's definition.
    fn by_magnitudes(op: BinaryOp, a: i64, b: i64) -> i64 {
        let signed = |value: u64, sign: i64| (value ^ sign as u64).wrapping_sub(sign as u64) as i64;
        let (x, y) = (a.unsigned_abs(), b.unsigned_abs());
        match op {
            BinaryOp::Sdiv => signed(x.checked_div(y).unwrap_or(0), (a >> 63) ^ (b >> 63)),
            _ => signed(x.checked_rem(y).unwrap_or(x), a >> 63),
        }
    }

    #[test]
    fn edges() {
        let numbers = [i64::MIN, i64::MIN + 1, -7, -2, -1, 0, 1, 2, 7, i64::MAX];
        for a in numbers {
            for b in numbers {
                let (quotient, remainder) = if b == 0 { (0, a) } else { (a.wrapping_div(b), a.wrapping_rem(b)) };
                assert_eq!(by_magnitudes(BinaryOp::Sdiv, a, b), quotient, "{a} / {b}");
                assert_eq!(by_magnitudes(BinaryOp::Srem, a, b), remainder, "{a} % {b}");
            }
        }
    }
}
