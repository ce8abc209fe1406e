//! Divides without a division: by powers of two with shifts and masks, and asks whether a number
//! is a multiple of a constant by multiplying with the inverse.
//!
//! For odd d the multiples of d are exactly the x for which x * d⁻¹ (mod 2⁶⁴) is at most
//! (2⁶⁴ - 1) / d; for d * 2ᵏ the product is first rotated right by k (Granlund and Montgomery,
//! "Division by Invariant Integers using Multiplication", section 9; Hacker's Delight, 10-17).

use pfscript_grammar::Span;

use crate::ir::function::Type;
use crate::ir::{BinaryOp, Block, CmpOp, Function, Inst, InstData, Value};

/// Rewrites divisions by constants.
pub fn divide_by_constant(func: &mut Function) {
    for index in 0..func.layout.len() {
        let block = func.layout[index];
        for inst in func.blocks[block].insts.clone() {
            let mut rewrite = Rewrite { func, block, before: inst };
            if let Some(data) = rewrite.cheaper(inst) {
                rewrite.func.insts[inst].data = data;
            }
        }
    }
}

struct Rewrite<'a> {
    func: &'a mut Function,
    block: Block,
    before: Inst,
}

impl Rewrite<'_> {
    fn cheaper(&mut self, inst: Inst) -> Option<InstData> {
        match self.func.insts[inst].data {
            InstData::Binary { op, args: [a, b] } => {
                let divisor = self.func.constant(b)? as u64;
                self.by_power_of_two(op, a, divisor)
            }
            InstData::Icmp { op: op @ (CmpOp::Eq | CmpOp::Ne), args: [rest, zero] }
                if self.func.constant(zero) == Some(0) =>
            {
                let &InstData::Binary { op: BinaryOp::Urem, args: [a, b] } = self.func.def(rest)? else {
                    return None;
                };
                let divisor = self.func.constant(b)? as u64;
                self.is_multiple(op, a, divisor)
            }
            _ => None,
        }
    }

    fn by_power_of_two(&mut self, op: BinaryOp, a: Value, divisor: u64) -> Option<InstData> {
        if !divisor.is_power_of_two() {
            return None;
        }
        let (op, number) = match op {
            BinaryOp::Udiv => (BinaryOp::Lshr, i64::from(divisor.trailing_zeros())),
            BinaryOp::Mul => (BinaryOp::Shl, i64::from(divisor.trailing_zeros())),
            BinaryOp::Urem => (BinaryOp::And, (divisor - 1) as i64),
            _ => return None,
        };
        let number = self.constant(number);
        Some(InstData::Binary { op, args: [a, number] })
    }

    /// `a % divisor == 0`, or `!= 0`. Powers of two are masks already.
    fn is_multiple(&mut self, op: CmpOp, a: Value, divisor: u64) -> Option<InstData> {
        if divisor == 0 || divisor.is_power_of_two() {
            return None;
        }
        let shift = divisor.trailing_zeros();
        let odd = divisor >> shift;
        let inverse = self.constant(inverse(odd) as i64);
        let mut product = self.binary(BinaryOp::Mul, a, inverse);
        if shift > 0 {
            product = self.rotate_right(product, shift);
        }
        let limit = self.constant((u64::MAX / divisor) as i64);
        let op = if op == CmpOp::Eq { CmpOp::Ule } else { CmpOp::Ugt };
        Some(InstData::Icmp { op, args: [product, limit] })
    }

    fn rotate_right(&mut self, value: Value, shift: u32) -> Value {
        let (right, left) = (self.constant(i64::from(shift)), self.constant(i64::from(64 - shift)));
        let low = self.binary(BinaryOp::Lshr, value, right);
        let high = self.binary(BinaryOp::Shl, value, left);
        self.binary(BinaryOp::Or, low, high)
    }

    fn constant(&mut self, imm: i64) -> Value {
        self.insert(InstData::Iconst { imm })
    }

    fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Value {
        self.insert(InstData::Binary { op, args: [a, b] })
    }

    fn insert(&mut self, data: InstData) -> Value {
        let span: Span = self.func.insts[self.before].span;
        let inst = self.func.make_inst(data, Some(Type::I64), span);
        let insts = &mut self.func.blocks[self.block].insts;
        let position = insts.iter().position(|&other| other == self.before).expect("the instruction is in its block");
        insts.insert(position, inst);
        self.func.insts[inst].result.expect("made with a result")
    }
}

/// The x with x * odd = 1 (mod 2⁶⁴), by Newton's iteration: each step doubles the right bits,
/// and an odd number is its own inverse in the lowest three.
fn inverse(odd: u64) -> u64 {
    (0..5).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverses_invert() {
        for odd in [1, 3, 5, 25, 35, 1_000_001, u64::MAX] {
            assert_eq!(odd.wrapping_mul(inverse(odd)), 1, "{odd}");
        }
    }

    /// The rule that the rewritten comparison relies on, against the division.
    #[test]
    fn multiples_are_recognised() {
        for divisor in [3_u64, 6, 7, 50, 70, 96, 1000, 12_345, u64::MAX - 1] {
            let shift = divisor.trailing_zeros();
            let is_multiple =
                |x: u64| x.wrapping_mul(inverse(divisor >> shift)).rotate_right(shift) <= u64::MAX / divisor;
            let near = |x: u64| (x.saturating_sub(3)..=x.saturating_add(3)).collect::<Vec<_>>();
            let samples = [0, divisor, divisor.wrapping_mul(7), u64::MAX / divisor * divisor, u64::MAX / 2];
            for x in samples.into_iter().flat_map(near) {
                assert_eq!(is_multiple(x), x % divisor == 0, "{x} % {divisor}");
            }
        }
    }
}
