//! Statements.

use super::{Loop, Lowering, Place};
use crate::check::program::{Expr, Stmt, StmtKind, Var};
use crate::ir::function::Type as IrType;
use crate::ir::{BinaryOp, CmpOp, InstData, Value};
use crate::manifest::{MapRef, MapValue};

impl Lowering<'_> {
    /// Statements up to the first that ends the block: nothing runs behind it.
    pub(super) fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            if self.builder.is_ended() {
                return;
            }
            let outer = self.builder.set_span(stmt.span);
            self.stmt(stmt);
            self.builder.set_span(outer);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Eval(expr) => {
                self.expr(expr);
            }
            StmtKind::SetVar { var, value } => self.set_var(*var, value),
            StmtKind::SetMap { element, value } => {
                let key = self.key(element);
                let value = self.expr(value);
                self.builder.effect(InstData::MapStore { map: element.map, key, value, must: false });
            }
            StmtKind::Retire { map, record, fields } => self.retire(*map, *record, fields),
            StmtKind::Aggregate { element, value } => {
                let key = self.key(element);
                let value = self.aggregated(&self.tables.maps[element.map.0 as usize].value.clone(), value);
                self.builder.effect(InstData::MapAggregate { map: element.map, key, value });
            }
            StmtKind::If { cond, then, otherwise } => self.if_stmt(cond, then, otherwise),
            StmtKind::Every { step, of, body } => self.every(*step, of, body),
            StmtKind::ForRange { var, low, high, body } => self.for_range(*var, *low, *high, body),
            StmtKind::ForMap { map, var, outer, body } => self.for_map(*map, *var, outer, body),
            StmtKind::Unroll { count, body } => (0..*count).for_each(|_| self.stmts(body)),
            StmtKind::Output { record, fields } => {
                let fields = fields.iter().map(|field| self.expr(field)).collect();
                self.output(*record, fields);
            }
            StmtKind::Return => self.builder.ret(),
            StmtKind::Break => match self.innermost() {
                Loop::Blocks { after, .. } => self.builder.jump(after),
                Loop::Callback => self.leave(false),
            },
            StmtKind::Continue => match self.innermost() {
                Loop::Blocks { next, .. } => self.builder.jump(next),
                Loop::Callback => self.leave(true),
            },
        }
    }

    fn retire(&mut self, map: MapRef, record: usize, fields: &[Expr]) {
        let fields: Vec<_> = fields.iter().map(|field| self.expr(field)).collect();
        let (one, base) = (self.builder.iconst(1), self.tally(map));
        self.builder.effect(InstData::AtomicAdd { value: one, base, offset: 0 });
        self.builder.effect(InstData::AtomicAdd { value: fields[0], base, offset: 8 });
        self.output(record, fields);
    }

    fn output(&mut self, record: usize, fields: Vec<Value>) {
        self.tables.uses_stage |= self.builder.func().stageable > 0;
        self.builder.effect(InstData::Output { record: record as u32, fields: fields.into() });
    }

    fn innermost(&self) -> Loop {
        *self.loops.last().expect("the checker refuses break and continue outside a loop")
    }

    fn set_var(&mut self, var: Var, value: &Expr) {
        let value = self.expr(value);
        self.assign(var, value);
    }

    /// Makes `value`, which has the variable's type, its value.
    pub(super) fn assign(&mut self, var: Var, value: Value) {
        match self.place(var) {
            Place::Variable(variable) => self.builder.define(variable, value),
            Place::Slot(slot, _) => {
                self.builder.effect(InstData::SlotStore { value, slot });
            }
            Place::Element(_) => unreachable!("the checker refuses to change a loop's element"),
        }
    }

    /// What a map's aggregation takes in: for a histogram the number of the bucket.
    fn aggregated(&mut self, map: &MapValue, value: &Expr) -> Value {
        let is_unsigned = value.ty.is_uint64();
        let value = self.expr(value);
        match map {
            MapValue::Hist => self.hist_bucket(value, is_unsigned),
            MapValue::Lhist { min, max, step } => self.lhist_bucket(value, [*min, *max, *step]),
            _ => value,
        }
    }

    fn if_stmt(&mut self, cond: &Expr, then: &[Stmt], otherwise: &[Stmt]) {
        let (then_block, after) = (self.builder.create_block(), self.builder.create_block());
        let else_block = if otherwise.is_empty() { after } else { self.builder.create_block() };
        self.branch(cond, then_block, else_block);
        self.arm(then_block, then, after);
        if !otherwise.is_empty() {
            self.arm(else_block, otherwise, after);
        }
        self.builder.seal(after);
        self.builder.switch_to(after);
    }

    fn arm(&mut self, block: crate::ir::Block, stmts: &[Stmt], after: crate::ir::Block) {
        self.builder.seal(block);
        self.builder.switch_to(block);
        self.stmts(stmts);
        self.builder.jump(after);
    }

    /// The rest of the program runs only when `predicate` is not zero.
    pub(super) fn skip_unless(&mut self, predicate: &Expr) {
        let (body, skip) = (self.builder.create_block(), self.builder.create_block());
        self.branch(predicate, body, skip);
        self.builder.seal(skip);
        self.builder.switch_to(skip);
        self.builder.ret();
        self.builder.seal(body);
        self.builder.switch_to(body);
    }

    /// `X > 0 && X % N == 0`, and X being positive the unsigned remainder will do.
    fn every(&mut self, step: i64, of: &Expr, body: &[Stmt]) {
        let is_unsigned = of.ty.is_uint64();
        let value = self.expr(of);
        let (positive, run, after) =
            (self.builder.create_block(), self.builder.create_block(), self.builder.create_block());
        let zero = self.builder.iconst(0);
        let is_positive = self.builder.icmp(if is_unsigned { CmpOp::Ne } else { CmpOp::Sgt }, value, zero);
        self.builder.brif(is_positive, positive, after);
        self.builder.seal(positive);
        self.builder.switch_to(positive);
        let step = self.builder.iconst(step);
        let rest = self.builder.binary(BinaryOp::Urem, value, step);
        let zero = self.builder.iconst(0);
        let is_multiple = self.builder.icmp(CmpOp::Eq, rest, zero);
        self.builder.brif(is_multiple, run, after);
        self.arm(run, body, after);
        self.builder.seal(after);
        self.builder.switch_to(after);
    }

    fn for_range(&mut self, var: Var, low: i64, high: i64, body: &[Stmt]) {
        let Place::Variable(variable) = self.place(var) else { return };
        // The body may change its variable, but not the number of rounds.
        let counter = self.builder.declare(IrType::I64);
        let (head, run, next, after) = (
            self.builder.create_block(),
            self.builder.create_block(),
            self.builder.create_block(),
            self.builder.create_block(),
        );
        let low = self.builder.iconst(low);
        self.builder.define(counter, low);
        self.builder.jump(head);
        self.builder.switch_to(head);
        let (present, high) = (self.builder.value_of(counter), self.builder.iconst(high));
        self.builder.define(variable, present);
        let goes_on = self.builder.icmp(CmpOp::Slt, present, high);
        self.builder.brif(goes_on, run, after);
        self.loops.push(Loop::Blocks { after, next });
        self.arm(run, body, next);
        self.loops.pop();
        self.builder.seal(next);
        self.builder.switch_to(next);
        let (present, one) = (self.builder.value_of(counter), self.builder.iconst(1));
        let following = self.builder.binary(BinaryOp::Add, present, one);
        self.builder.define(counter, following);
        self.builder.jump(head);
        self.builder.seal(head);
        self.builder.seal(after);
        self.builder.switch_to(after);
    }
}
