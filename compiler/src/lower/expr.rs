//! Expressions.

use super::tuples::{ir_type_of_data, members};
use super::{Lowering, Place};
use crate::check::program::{AddResult, Element, Expr, ExprKind, Var};
use crate::check::types::Type;
use crate::ir::function::Type as IrType;
use crate::ir::{BinaryOp, Block, CmpOp, InstData, Value};

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

    pub(super) fn binary_with(&mut self, op: BinaryOp, value: Value, number: i64) -> Value {
        let number = self.builder.iconst(number);
        self.builder.binary(op, value, number)
    }
}

/// The IR's type of a value of type `ty`.
pub(super) fn ir_type(ty: &Type) -> IrType {
    ty.data().map_or(IrType::I64, |data| ir_type_of_data(&data))
}
