//! Which bucket of a histogram a number falls into. Without branches, of which the kernel's verifier
//! would follow every combination.

use super::Lowering;
use crate::ir::{BinaryOp, Value};

impl Lowering<'_> {
    /// The bucket of `hist()`: 0 for negative numbers, 1 for zero, and 2 + log2 for others. Without
    /// a branch, of which the kernel's verifier would follow every combination.
    pub(super) fn hist_bucket(&mut self, value: Value, is_unsigned: bool) -> Value {
        let (mut rest, mut bucket) = (value, self.builder.iconst(1));
        for shift in [32_i64, 16, 8, 4, 2, 1] {
            let beyond = self.binary_with(BinaryOp::Lshr, rest, shift);
            let reaches = self.is_nonzero(beyond);
            let step = self.binary_with(BinaryOp::Shl, reaches, i64::from(shift.trailing_zeros()));
            rest = self.builder.binary(BinaryOp::Lshr, rest, step);
            bucket = self.builder.binary(BinaryOp::Add, bucket, step);
        }
        let is_nonzero = self.is_nonzero(value);
        let bucket = self.builder.binary(BinaryOp::Add, bucket, is_nonzero);
        if is_unsigned {
            return bucket;
        }
        let sign = self.binary_with(BinaryOp::Ashr, value, 63);
        let no_sign = self.binary_with(BinaryOp::Xor, sign, -1);
        self.builder.binary(BinaryOp::And, bucket, no_sign)
    }

    /// 1 or 0 by arithmetic: a number or its negative has the top bit, unless it is 0.
    fn is_nonzero(&mut self, value: Value) -> Value {
        let zero = self.builder.iconst(0);
        let negative = self.builder.binary(BinaryOp::Sub, zero, value);
        let either = self.builder.binary(BinaryOp::Or, value, negative);
        self.binary_with(BinaryOp::Lshr, either, 63)
    }

    /// 1 or 0 by arithmetic: whether `a` is less than `b` as signed numbers. That is the sign of
    /// their difference, unless it overflows.
    fn is_less(&mut self, a: Value, b: Value) -> Value {
        let difference = self.builder.binary(BinaryOp::Sub, a, b);
        let differ = self.builder.binary(BinaryOp::Xor, a, b);
        let turned = self.builder.binary(BinaryOp::Xor, difference, a);
        let overflows = self.builder.binary(BinaryOp::And, differ, turned);
        let sign = self.builder.binary(BinaryOp::Xor, difference, overflows);
        self.binary_with(BinaryOp::Lshr, sign, 63)
    }

    /// The bucket of `lhist()`: 0 below `min`, then the steps, and one for `max` and above.
    pub(super) fn lhist_bucket(&mut self, value: Value, [min, max, step]: [i64; 3]) -> Value {
        let steps = crate::check::lhist_steps(min, max, step) as i64;
        let (min, max, step) = (self.builder.iconst(min), self.builder.iconst(max), self.builder.iconst(step));
        let distance = self.builder.binary(BinaryOp::Sub, value, min);
        let index = self.builder.binary(BinaryOp::Udiv, distance, step);
        let one = self.builder.iconst(1);
        let inside = self.builder.binary(BinaryOp::Add, index, one);
        let (is_below, is_not_above) = (self.is_less(value, min), self.is_less(value, max));
        let (is_not_below, is_above) =
            (self.binary_with(BinaryOp::Xor, is_below, 1), self.binary_with(BinaryOp::Xor, is_not_above, 1));
        let within = self.builder.binary(BinaryOp::Mul, inside, is_not_below);
        let within = self.builder.binary(BinaryOp::Mul, within, is_not_above);
        let last = self.builder.iconst(steps + 1);
        let above = self.builder.binary(BinaryOp::Mul, last, is_above);
        self.builder.binary(BinaryOp::Add, within, above)
    }
}
