//! Divides without a division: by powers of two with shifts and masks, and asks whether a number
//! is a multiple of a constant by multiplying with the inverse.
//!
//! For odd d the multiples of d are exactly the x for which x * d⁻¹ (mod 2⁶⁴) is at most
//! (2⁶⁴ - 1) / d; for d * 2ᵏ the product is first rotated right by k (Granlund and Montgomery,
//! "Division by Invariant Integers using Multiplication", section 9; Hacker's Delight, 10-17).
//!
//! A number that is not negative has, if it is a multiple, a quotient of at most (2⁶³ - 1) / d,
//! and between that and (2⁶⁴ - 1) / d lies a power of two: so a shift takes the place of the
//! comparison with a 64-bit constant, and a test of the low k bits that of the rotation.

use pfscript_grammar::Span;

use crate::ir::flow::ControlFlow;
use crate::ir::function::Type;
use crate::ir::{BinaryOp, Block, BlockCall, CmpOp, Function, Inst, InstData, Tables, Value, Values};

/// Rewrites divisions by constants.
pub fn divide_by_constant(func: &mut Function, tables: &mut Tables) {
    let flow = func.flow();
    for &block in &flow.reverse_post_order {
        for inst in func.blocks[block].insts.clone() {
            if let Some((value, divisor, sides)) = remainder_branch(func, inst)
                && is_not_negative(func, &flow, tables, block, value)
            {
                branch_on_multiple(func, block, inst, (value, divisor), sides);
                continue;
            }
            let mut rewrite = Rewrite { func, block, before: inst };
            if let Some(data) = rewrite.cheaper(inst) {
                rewrite.func.insts[inst].data = data;
            }
        }
    }
}

/// `brif (x % d), other, multiple` with a constant d that is no power of two.
fn remainder_branch(func: &Function, inst: Inst) -> Option<(Value, u64, [BlockCall; 2])> {
    let InstData::Brif { cond, then, otherwise } = &func.insts[inst].data else { return None };
    let &InstData::Binary { op: BinaryOp::Urem, args: [value, divisor] } = func.def(*cond)? else { return None };
    let divisor = func.constant(divisor)? as u64;
    let is_plain = divisor != 0 && !divisor.is_power_of_two();
    is_plain.then(|| (value, divisor, [then.clone(), otherwise.clone()]))
}

/// A count in a map that only grows, or a number that the branch to this block found positive.
fn is_not_negative(func: &Function, flow: &ControlFlow, tables: &Tables, block: Block, value: Value) -> bool {
    if tables.is_growing_count(func, value) {
        return true;
    }
    let &[pred] = flow.predecessors(block) else { return false };
    match func.terminator(pred) {
        InstData::Brif { cond, then, .. } if then.block == block => match func.def(*cond) {
            Some(&InstData::Icmp { op: CmpOp::Sgt, args: [tested, zero] }) => {
                tested == value && func.constant(zero) == Some(0)
            }
            _ => false,
        },
        _ => false,
    }
}

/// Ends `block` with a test of the low bits (if the divisor has any) and one of the quotient.
fn branch_on_multiple(
    func: &mut Function,
    block: Block,
    branch: Inst,
    (value, divisor): (Value, u64),
    [other, multiple]: [BlockCall; 2],
) {
    let odd = divisor >> divisor.trailing_zeros();
    let mask = (divisor & divisor.wrapping_neg()) - 1;
    let mut last = block;
    if mask != 0 {
        last = func.blocks.push(Default::default());
        let position = func.layout.iter().position(|&other| other == block).expect("the block is laid out");
        func.layout.insert(position + 1, last);
        let second = func.make_inst(func.insts[branch].data.clone(), None, func.insts[branch].span);
        func.blocks[last].insts.push(second);
        let mut rewrite = Rewrite { func, block, before: branch };
        let mask = rewrite.constant(mask as i64);
        let cond = rewrite.binary(BinaryOp::And, value, mask);
        let otherwise = BlockCall::new(last, Values::new());
        func.insts[branch].data = InstData::Brif { cond, then: other.clone(), otherwise };
    }
    let before = *func.blocks[last].insts.last().expect("ends in the branch");
    let mut rewrite = Rewrite { func, block: last, before };
    let inverse = rewrite.constant(inverse(odd) as i64);
    let product = rewrite.binary(BinaryOp::Mul, value, inverse);
    let bits = rewrite.constant(i64::from(quotient_bits(odd)));
    let cond = rewrite.binary(BinaryOp::Lshr, product, bits);
    func.insts[before].data = InstData::Brif { cond, then: other, otherwise: multiple };
    func.flow_changes();
}

/// The t with (2⁶³ - 1) / d < 2ᵗ <= (2⁶⁴ - 1) / d + 1.
fn quotient_bits(divisor: u64) -> u32 {
    64 - (i64::MAX as u64 / divisor).leading_zeros()
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

    /// The rule for numbers that are not negative, against the division.
    #[test]
    fn multiples_that_are_not_negative_are_recognised() {
        for divisor in [3_u64, 5, 6, 7, 50, 70, 96, 1000, 12_345, 1 << 40 | 1, i64::MAX as u64] {
            let odd = divisor >> divisor.trailing_zeros();
            let mask = (divisor & divisor.wrapping_neg()) - 1;
            let is_multiple = |x: u64| x & mask == 0 && x.wrapping_mul(inverse(odd)) >> quotient_bits(odd) == 0;
            let near = |x: u64| (x.saturating_sub(3)..=(x + 3).min(i64::MAX as u64)).collect::<Vec<_>>();
            let largest = i64::MAX as u64 / divisor * divisor;
            for x in [0, divisor, largest / 2, largest, i64::MAX as u64 / 3].into_iter().flat_map(near) {
                assert_eq!(is_multiple(x), x % divisor == 0, "{x} % {divisor}");
            }
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
