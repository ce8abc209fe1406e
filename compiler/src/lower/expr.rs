//! Expressions.

use super::tuples::{ir_type_of_data, members};
use super::{Lowering, Place};
use crate::catalog::builtins::Source;
use crate::catalog::helpers::Helper;
use crate::check::program::{AddResult, Element, Expr, ExprKind, Var};
use crate::check::types::Type;
use crate::ir::function::Type as IrType;
use crate::ir::inst::MapAddrOf;
use crate::ir::{BinaryOp, Block, CmpOp, InstData, Value, Values, values};
use crate::kernel::FieldKind;
use crate::manifest::{CounterKind, DataType, MapRef, Member, StackShape};

/// `BPF_F_USER_STACK` of `include/uapi/linux/bpf.h`.
const USER_STACK: i64 = 1 << 8;
/// `-EFAULT`: what `bpf_get_stackid` says where there is no stack.
const NO_STACK: i64 = -14;

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
            ExprKind::MapKey(element) => {
                let parts = self.key(element);
                self.builder.push(InstData::Tuple { members: members(&expr.ty).into(), parts }, ir_type(&expr.ty))
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
            ExprKind::MapFind { element, ty, var, is_new } => self.find(element, ty, *var, *is_new),
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
                self.builder.push(InstData::Tuple { members: members(&expr.ty).into(), parts }, ir_type(&expr.ty))
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
            ExprKind::FieldElement { offset, bytes, signed, len, index } => {
                let index = self.expr(index);
                self.field_element(*offset, (*bytes, *signed), *len, index)
            }
            ExprKind::StrByte { text, index } => {
                let (text, index) = (self.expr(text), self.expr(index));
                self.builder.push(InstData::StrByte { text, index }, IrType::I64)
            }
            ExprKind::StrLen(text) => {
                let text = self.expr(text);
                self.builder.push(InstData::StrLen { text }, IrType::I64)
            }
            ExprKind::Contains { text, part } => {
                let args = [self.expr(text), self.expr(part)];
                self.builder.push(InstData::Contains { args }, IrType::I64)
            }
            ExprKind::StackLen { user, depth } => self.stack_len(*user, *depth),
            ExprKind::OfProcess(address) => {
                let address = self.expr(address);
                self.of_process(address)
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
                let data = InstData::Tuple { members: members(ty).into(), parts: parts[..].into() };
                self.builder.push(data, ir_type(ty))
            }
        }
    }

    fn read(&mut self, source: Source, ty: &Type) -> Value {
        match source {
            Source::Helper(helper) => self.builder.call(helper, Values::new()),
            Source::HelperLow(helper) => {
                let whole = self.builder.call(helper, Values::new());
                self.builder.push(InstData::Extend { signed: false, bytes: 4, arg: whole }, IrType::I64)
            }
            Source::HelperHigh(helper) => {
                let whole = self.builder.call(helper, Values::new());
                let half = self.builder.iconst(32);
                self.builder.binary(BinaryOp::Lshr, whole, half)
            }
            Source::Comm => self.builder.push(InstData::Comm, ir_type(ty)),
            Source::Elapsed => self.elapsed(),
            Source::RecordTime => self.builder.call(Helper::KtimeGetNs, Values::new()),
            Source::Stack { user } => {
                let Type::Stack { shape, .. } = *ty else { unreachable!("a stack has the type of one") };
                let number = self.stack(user, shape);
                if user { self.of_process(number) } else { number }
            }
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
        let now = self.builder.call(Helper::KtimeGetNs, Values::new());
        let offset = self.tables.bss.start_time();
        let base = self.builder.push(InstData::CounterAddr { offset }, IrType::Ptr);
        let start = self.builder.push(InstData::Load { bytes: 8, signed: false, base, offset: 0 }, IrType::I64);
        self.builder.binary(BinaryOp::Sub, now, start)
    }

    /// The stack's number, and one: 0 is none, as in a map's element that nobody wrote.
    fn stack(&mut self, user: bool, StackShape { depth, .. }: StackShape) -> Value {
        self.tables.stack_depths.insert(depth);
        let context = self.context();
        let stacks = self.builder.push(InstData::MapAddr { map: MapAddrOf::Stacks { depth } }, IrType::Ptr);
        let flags = self.builder.iconst(if user { USER_STACK } else { 0 });
        let number = self.builder.call(Helper::GetStackid, values![context, stacks, flags]);
        self.count_lost_stack(number);
        self.binary_with(BinaryOp::Add, number, 1)
    }

    /// Counts a stack for which the map had no room, or that fell on the place of another. Where
    /// there just is no stack, as of a process in a thread of the kernel, nothing is lost.
    fn count_lost_stack(&mut self, number: Value) {
        let [refused, lost, after] = [0; 3].map(|_| self.builder.create_block());
        for block in [refused, lost] {
            self.builder.func_mut().blocks[block].is_cold = true;
        }
        let zero = self.builder.iconst(0);
        let is_refused = self.builder.icmp(CmpOp::Slt, number, zero);
        self.builder.brif(is_refused, refused, after);
        self.builder.seal(refused);
        self.builder.switch_to(refused);
        let none = self.builder.iconst(NO_STACK);
        let is_none = self.builder.icmp(CmpOp::Eq, number, none);
        self.builder.brif(is_none, after, lost);
        self.builder.seal(lost);
        self.builder.switch_to(lost);
        let offset = self.tables.bss.counter(CounterKind::StacksLost);
        let base = self.builder.push(InstData::CounterAddr { offset }, IrType::Ptr);
        let one = self.builder.iconst(1);
        self.builder.effect(InstData::AtomicAdd { value: one, base, offset: 0 });
        self.builder.jump(after);
        self.builder.seal(after);
        self.builder.switch_to(after);
    }

    /// How many addresses the kernel copies of a stack, to where nobody looks; none where it refuses,
    /// which is a negative number.
    fn stack_len(&mut self, user: bool, depth: u32) -> Value {
        let (context, bytes) = (self.context(), 8 * depth);
        let offset = self.tables.bss.scratch(bytes);
        let copy = self.builder.push(InstData::CounterAddr { offset }, IrType::Ptr);
        let size = self.builder.iconst(bytes.into());
        let flags = self.builder.iconst(if user { USER_STACK } else { 0 });
        let copied = self.builder.call(Helper::GetStack, values![context, copy, size, flags]);
        let sign = self.binary_with(BinaryOp::Ashr, copied, 63);
        let no_sign = self.binary_with(BinaryOp::Xor, sign, -1);
        let copied = self.builder.binary(BinaryOp::And, copied, no_sign);
        self.binary_with(BinaryOp::Lshr, copied, 3)
    }

    /// An element of an array in the context. The kernel lets no program read there at a place that
    /// is not known before, but a helper.
    fn field_element(&mut self, offset: i16, (bytes, signed): (u8, bool), len: u32, index: Value) -> Value {
        let element = self.builder.declare(IrType::I64);
        let [inside, after] = [0; 2].map(|_| self.builder.create_block());
        let (none, end) = (self.builder.iconst(0), self.builder.iconst(len.into()));
        self.builder.define(element, none);
        let is_inside = self.builder.icmp(CmpOp::Ult, index, end);
        self.builder.brif(is_inside, inside, after);
        self.builder.seal(inside);
        self.builder.switch_to(inside);
        let distance = self.binary_with(BinaryOp::Shl, index, i64::from(bytes.trailing_zeros()));
        let distance = self.binary_with(BinaryOp::Add, distance, offset.into());
        let base = self.context();
        let addr = self.builder.push(InstData::PtrAdd { base, offset: distance }, IrType::Ptr);
        let found = self.builder.push(InstData::ReadInt { user: false, bytes, signed, addr }, IrType::I64);
        self.builder.define(element, found);
        self.builder.jump(after);
        self.builder.seal(after);
        self.builder.switch_to(after);
        self.builder.value_of(element)
    }

    /// An address or the number of a stack, and the process that it belongs to.
    fn of_process(&mut self, value: Value) -> Value {
        let ids = self.builder.call(Helper::GetCurrentPidTgid, Values::new());
        let pid = self.binary_with(BinaryOp::Lshr, ids, 32);
        let word = DataType::Int { bytes: 8, signed: false };
        let members = [0, 8].map(|offset| Member { offset, ty: word.clone() }).to_vec();
        self.builder.push(InstData::Tuple { members: members.into(), parts: values![value, pid] }, IrType::Bytes(16))
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
            FieldKind::CharArray { .. } | FieldKind::IntArray { .. } | FieldKind::Opaque { .. } => {
                self.builder.push(InstData::LoadBytes { base, offset }, ir_type(ty))
            }
        }
    }

    /// Whether there is an element; if so, the variable gets its value.
    fn find(&mut self, element: &Element, ty: &Type, var: Var, is_new: bool) -> Value {
        if is_new {
            self.clear_var(var);
        }
        let key = self.key(element);
        let is_there = self.builder.push(InstData::MapHasKey { map: element.map, key: key.clone() }, IrType::I64);
        let [found, after] = [0; 2].map(|_| self.builder.create_block());
        self.builder.brif(is_there, found, after);
        self.builder.seal(found);
        self.builder.switch_to(found);
        let value = self.builder.push(InstData::MapLoad { map: element.map, key }, ir_type(ty));
        let value = self.converted(value, ty, &self.vars[var].ty);
        self.assign(var, value);
        self.builder.jump(after);
        self.builder.seal(after);
        self.builder.switch_to(after);
        is_there
    }

    /// Nothing: 0, or zeros all over.
    fn clear_var(&mut self, var: Var) {
        let nothing = match ir_type(&self.vars[var].ty) {
            bytes @ IrType::Bytes(_) => self.builder.push(InstData::StringConst { text: String::new() }, bytes),
            _ => self.builder.iconst(0),
        };
        self.assign(var, nothing);
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
        self.converted(arg, &operand.ty, ty)
    }

    /// A value of type `from` as one of type `ty`.
    fn converted(&mut self, arg: Value, from: &Type, ty: &Type) -> Value {
        match *ty {
            _ if from == ty => arg,
            Type::Tuple(_) => self.laid_out_as(arg, members(from), members(ty), ir_type(ty)),
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
    ty.data().map_or(IrType::I64, |data| ir_type_of_data(&data))
}
