//! Expressions.

use super::tuples::members;
use super::{Lowering, Place};
use crate::catalog::builtins::Source;
use crate::catalog::helpers::Helper;
use crate::check::program::{AddResult, Element, Expr, ExprKind, Var};
use crate::check::types::Type;
use crate::ir::function::Type as IrType;
use crate::ir::inst::MapAddrOf;
use crate::ir::{BinaryOp, Block, CmpOp, InstData, Value};
use crate::kernel::FieldKind;
use crate::manifest::MapRef;

impl Lowering<'_> {
    /// The value of `expr`; of a call without a value the number 0.
    pub(super) fn expr(&mut self, expr: &Expr) -> Value {
        let outer = self.builder.set_span(expr.span);
        let value = self.expr_kind(expr);
        self.builder.set_span(outer);
        value
    }

    fn expr_kind(&mut self, expr: &Expr) -> Value {
        match &expr.kind {
            ExprKind::Int(value) => self.builder.iconst(*value),
            ExprKind::Str(text) => {
                let data = InstData::StringConst { text: text.clone() };
                self.builder.push(data, ir_type(&expr.ty))
            }
            ExprKind::Var(var) => self.read_var(*var),
            ExprKind::Read(source) => self.read(*source, &expr.ty),
            ExprKind::MapLoad(element) => {
                let key = self.key(element);
                self.builder.push(InstData::MapLoad { map: element.map, key }, ir_type(&expr.ty))
            }
            ExprKind::MapAggregated(element) => {
                let key = self.key(element);
                self.builder.push(InstData::MapAggregated { map: element.map, key }, IrType::I64)
            }
            ExprKind::MapLen(map) => self.map_len(*map),
            ExprKind::MapHasKey(element) => {
                let key = self.key(element);
                self.builder.push(InstData::MapHasKey { map: element.map, key }, IrType::I64)
            }
            ExprKind::MapDelete(element) => {
                let key = self.key(element);
                self.builder.push(InstData::MapDelete { map: element.map, key }, IrType::I64)
            }
            ExprKind::RetiredCount(map) => self.retired(*map, 0),
            ExprKind::RetiredSum(map) => self.retired(*map, 8),
            ExprKind::MapAdd { element, delta, result } => self.map_add(element, delta, *result),
            ExprKind::VarAdd { var, delta, result } => self.var_add(*var, delta, *result),
            ExprKind::Binary { op, lhs, rhs } => {
                let (lhs, rhs) = (self.expr(lhs), self.expr(rhs));
                self.builder.binary(*op, lhs, rhs)
            }
            ExprKind::Compare { op, lhs, rhs } => {
                let (lhs, rhs) = (self.expr(lhs), self.expr(rhs));
                self.builder.icmp(*op, lhs, rhs)
            }
            ExprKind::BytesCompare { equal, most, lhs, rhs } => {
                let args = [self.expr(lhs), self.expr(rhs)];
                let is_equal = self.builder.push(InstData::BytesEq { args, most: *most }, IrType::I64);
                if *equal { is_equal } else { self.is_zero(is_equal) }
            }
            ExprKind::Logical { .. } => self.choice(expr, |this| this.builder.iconst(1), |this| this.builder.iconst(0)),
            ExprKind::Tuple(elements) => {
                let parts = elements.iter().map(|element| self.expr(element)).collect();
                self.builder.push(InstData::Tuple { members: members(&expr.ty), parts }, ir_type(&expr.ty))
            }
            ExprKind::Element { tuple, index } => {
                if let ExprKind::Var(var) = tuple.kind
                    && let Place::Element(parts) = self.place(var)
                {
                    return parts[*index];
                }
                let (value, mut members) = (self.expr(tuple), members(&tuple.ty));
                self.element(value, members.swap_remove(*index))
            }
            ExprKind::Ternary { cond, then, otherwise } if expr.ty.is_bytes() => {
                self.choice_of_bytes(cond, [then, otherwise], ir_type(&expr.ty))
            }
            ExprKind::Ternary { cond, then, otherwise } => {
                self.choice(cond, |this| this.expr(then), |this| this.expr(otherwise))
            }
            ExprKind::Cast(operand) => self.cast(operand, &expr.ty),
            ExprKind::ReadInt { user, bytes, signed, addr } => {
                let addr = self.expr(addr);
                let data = InstData::ReadInt { user: *user, bytes: *bytes, signed: *signed, addr };
                self.builder.push(data, IrType::I64)
            }
            ExprKind::ReadStr { user, addr } => {
                let addr = self.expr(addr);
                self.builder.push(InstData::ReadStr { user: *user, addr }, ir_type(&expr.ty))
            }
        }
    }

    fn is_zero(&mut self, value: Value) -> Value {
        let zero = self.builder.iconst(0);
        self.builder.icmp(CmpOp::Eq, value, zero)
    }

    pub(super) fn read_var(&mut self, var: Var) -> Value {
        match self.place(var) {
            Place::Variable(variable) => self.builder.value_of(variable),
            Place::Slot(slot, len) => self.builder.push(InstData::SlotLoad { slot }, IrType::Bytes(len)),
            Place::Element(parts) => {
                let ty = &self.vars[var].ty;
                let data = InstData::Tuple { members: members(ty), parts: parts.to_vec() };
                self.builder.push(data, ir_type(ty))
            }
        }
    }

    fn read(&mut self, source: Source, ty: &Type) -> Value {
        match source {
            Source::Helper(helper) => self.builder.call(helper, Vec::new()),
            Source::HelperLow(helper) => {
                let whole = self.builder.call(helper, Vec::new());
                self.builder.push(InstData::Extend { signed: false, bytes: 4, arg: whole }, IrType::I64)
            }
            Source::HelperHigh(helper) => {
                let whole = self.builder.call(helper, Vec::new());
                let half = self.builder.iconst(32);
                self.builder.binary(BinaryOp::Lshr, whole, half)
            }
            Source::Comm => self.builder.push(InstData::Comm, ir_type(ty)),
            Source::Elapsed => self.elapsed(),
            Source::RecordTime => self.builder.call(Helper::KtimeGetNs, Vec::new()),
            Source::Stack { user } => self.stack(user),
            Source::ContextPointer { offset } => {
                let (base, offset) = (self.context(), self.builder.iconst(offset.into()));
                let addr = self.builder.push(InstData::PtrAdd { base, offset }, IrType::Ptr);
                let data = InstData::ReadInt { user: false, bytes: 8, signed: false, addr };
                self.builder.push(data, IrType::I64)
            }
            Source::Context { offset, kind } => self.context_field(offset, kind, ty),
        }
    }

    fn retired(&mut self, map: MapRef, offset: i16) -> Value {
        let base = self.tally(map);
        self.builder.push(InstData::Load { bytes: 8, signed: false, base, offset }, IrType::I64)
    }

    /// Where the tally of what was retired from a map lies.
    pub(super) fn tally(&mut self, map: MapRef) -> Value {
        let offset = self.tables.bss.tally(map);
        self.builder.push(InstData::CounterAddr { offset }, IrType::Ptr)
    }

    fn elapsed(&mut self) -> Value {
        let now = self.builder.call(Helper::KtimeGetNs, Vec::new());
        let offset = self.tables.bss.start_time();
        let base = self.builder.push(InstData::CounterAddr { offset }, IrType::Ptr);
        let start = self.builder.push(InstData::Load { bytes: 8, signed: false, base, offset: 0 }, IrType::I64);
        self.builder.binary(BinaryOp::Sub, now, start)
    }

    fn stack(&mut self, user: bool) -> Value {
        /// `BPF_F_USER_STACK` of `include/uapi/linux/bpf.h`.
        const USER_STACK: i64 = 1 << 8;
        self.tables.uses_stacks = true;
        let context = self.context();
        let stacks = self.builder.push(InstData::MapAddr { map: MapAddrOf::Stacks }, IrType::Ptr);
        let flags = self.builder.iconst(if user { USER_STACK } else { 0 });
        self.builder.call(Helper::GetStackid, vec![context, stacks, flags])
    }

    fn context_field(&mut self, offset: i16, kind: FieldKind, ty: &Type) -> Value {
        let base = self.context();
        match kind {
            FieldKind::Int { bytes, signed } => {
                self.builder.push(InstData::Load { bytes, signed, base, offset }, IrType::I64)
            }
            FieldKind::DataLoc => {
                // The low half says where in the record the text begins.
                let place = InstData::Load { bytes: 2, signed: false, base, offset };
                let place = self.builder.push(place, IrType::I64);
                let addr = self.builder.push(InstData::PtrAdd { base, offset: place }, IrType::Ptr);
                self.builder.push(InstData::ReadStr { user: false, addr }, ir_type(ty))
            }
            FieldKind::CharArray { .. } | FieldKind::Opaque { .. } => {
                self.builder.push(InstData::LoadBytes { base, offset }, ir_type(ty))
            }
        }
    }

    fn map_add(&mut self, element: &Element, delta: &Expr, result: AddResult) -> Value {
        let key = self.key(element);
        let delta = self.expr(delta);
        let old = self.builder.push(InstData::MapFetchAdd { map: element.map, key, delta }, IrType::I64);
        match result {
            AddResult::Old => old,
            AddResult::New => self.builder.binary(BinaryOp::Add, old, delta),
        }
    }

    fn var_add(&mut self, var: Var, delta: &Expr, result: AddResult) -> Value {
        let Place::Variable(variable) = self.place(var) else { unreachable!("the checker refuses strings here") };
        let delta = self.expr(delta);
        let old = self.builder.value_of(variable);
        let new = self.builder.binary(BinaryOp::Add, old, delta);
        self.builder.define(variable, new);
        if result == AddResult::Old { old } else { new }
    }

    fn cast(&mut self, operand: &Expr, ty: &Type) -> Value {
        let arg = self.expr(operand);
        match *ty {
            Type::Tuple(_) => self.laid_out_as(arg, members(&operand.ty), members(ty), ir_type(ty)),
            Type::Int { bytes, signed } if bytes < 8 => {
                self.builder.push(InstData::Extend { signed, bytes, arg }, IrType::I64)
            }
            _ => arg,
        }
    }

    /// One of two values, by a condition; only the chosen one is computed.
    fn choice(
        &mut self,
        cond: &Expr,
        then: impl FnOnce(&mut Self) -> Value,
        otherwise: impl FnOnce(&mut Self) -> Value,
    ) -> Value {
        let chosen = self.builder.declare(IrType::I64);
        let (then_block, else_block, after) =
            (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        self.branch(cond, then_block, else_block);
        self.builder.seal(then_block);
        self.builder.switch_to(then_block);
        let value = then(self);
        self.builder.define(chosen, value);
        self.builder.jump(after);
        self.builder.seal(else_block);
        self.builder.switch_to(else_block);
        let value = otherwise(self);
        self.builder.define(chosen, value);
        self.builder.jump(after);
        self.builder.seal(after);
        self.builder.switch_to(after);
        self.builder.value_of(chosen)
    }

    /// A choice between strings or tuples is a variable of its own.
    fn choice_of_bytes(&mut self, cond: &Expr, arms: [&Expr; 2], ty: IrType) -> Value {
        let IrType::Bytes(len) = ty else { unreachable!("strings and tuples have bytes") };
        let slot = self.builder.func_mut().create_slot(len);
        let blocks = arms.map(|_| self.builder.create_block());
        let after = self.builder.create_block();
        self.branch(cond, blocks[0], blocks[1]);
        for (block, arm) in blocks.into_iter().zip(arms) {
            self.builder.seal(block);
            self.builder.switch_to(block);
            let value = self.expr(arm);
            self.builder.effect(InstData::SlotStore { value, slot });
            self.builder.jump(after);
        }
        self.builder.seal(after);
        self.builder.switch_to(after);
        self.builder.push(InstData::SlotLoad { slot }, ty)
    }

    /// Ends the block: on to `then` when `cond` is not zero, else to `otherwise`.
    pub(super) fn branch(&mut self, cond: &Expr, then: Block, otherwise: Block) {
        let ExprKind::Logical { is_and, lhs, rhs } = &cond.kind else {
            let cond = self.expr(cond);
            self.builder.brif(cond, then, otherwise);
            return;
        };
        let second = self.builder.create_block();
        match is_and {
            true => self.branch(lhs, second, otherwise),
            false => self.branch(lhs, then, second),
        }
        self.builder.seal(second);
        self.builder.switch_to(second);
        self.branch(rhs, then, otherwise);
    }

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

    fn binary_with(&mut self, op: BinaryOp, value: Value, number: i64) -> Value {
        let number = self.builder.iconst(number);
        self.builder.binary(op, value, number)
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

/// The IR's type of a value of type `ty`.
pub(super) fn ir_type(ty: &Type) -> IrType {
    match ty {
        Type::Str { len } => IrType::Bytes(*len),
        Type::Tuple(_) => IrType::Bytes(ty.data().map_or(0, |data| data.size())),
        _ => IrType::I64,
    }
}
