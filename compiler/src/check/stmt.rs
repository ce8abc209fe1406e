//! Statements.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::constant::constant;
use super::maps::Value;
use super::program::{AddResult, Expr, ExprKind, Stmt, StmtKind, Var};
use super::tuples::converted;
use super::types::{INT64, Pointee, Type};
use super::{Checked, Checker};
use crate::catalog::codes;

impl Checker<'_> {
    /// Checks a statement and adds what it becomes to `out`.
    pub(super) fn stmt(&mut self, stmt: &ast::Stmt, out: &mut Vec<Stmt>) -> Checked<()> {
        let span = stmt.span;
        self.warn_of_unreachable(out, span);
        let kind = match &stmt.kind {
            ast::StmtKind::Expr(expr) => return self.expr_stmt(expr, out),
            ast::StmtKind::Assign { place, op, value } => self.assign(place, *op, value, span)?,
            ast::StmtKind::Let { name, ty, value } => self.let_stmt(name, ty.as_ref(), value.as_ref(), span)?,
            ast::StmtKind::If { cond, then, otherwise } => {
                let cond = self.condition(cond);
                let then = self.block(then);
                let otherwise = otherwise.as_ref().map(|block| self.block(block)).unwrap_or_default();
                StmtKind::If { cond: cond?, then, otherwise }
            }
            ast::StmtKind::Every { step, of, body } => {
                let step = self.step(step);
                let of = self.int_expr(of);
                let body = self.block(body);
                let of = of?;
                self.warn_of_inexact_multiples(&of);
                StmtKind::Every { step: step?, of, body }
            }
            ast::StmtKind::ForRange { var, low, high, body } => self.for_range(var, low, high, body)?,
            ast::StmtKind::Unroll { count, body } => self.unroll(count, body)?,
            ast::StmtKind::ForMap { var, map, body } => self.for_map(var, map, body)?,
            ast::StmtKind::Return => StmtKind::Return,
            ast::StmtKind::Break => self.in_loop(StmtKind::Break, span)?,
            ast::StmtKind::Continue => self.in_loop(StmtKind::Continue, span)?,
            ast::StmtKind::Block(block) => {
                out.extend(self.block(block));
                return Ok(());
            }
        };
        out.push(Stmt { kind, span });
        Ok(())
    }

    /// The N of `every`, as the bits of a number without a sign: nothing is divided by it that has one.
    fn step(&mut self, step: &ast::Expr) -> Checked<i64> {
        let checked = self.int_expr(step)?;
        match constant(&checked) {
            Some(bits) if bits < 0 && checked.ty.is_uint64() => Ok(bits),
            _ => self.positive_constant(step, "the step of `every`"),
        }
    }

    fn warn_of_unreachable(&mut self, before: &[Stmt], span: Span) {
        if let Some(Stmt { kind: StmtKind::Return | StmtKind::Break | StmtKind::Continue, .. }) = before.last() {
            self.note(Diagnostic::warning(codes::UNREACHABLE, span, "this statement can never run"));
        }
    }

    fn warn_of_inexact_multiples(&mut self, of: &Expr) {
        if let ExprKind::MapAggregated(_) = of.kind {
            let message = "this is added up while all CPUs go on counting: a multiple may be passed over, or met twice";
            let warning = Diagnostic::warning(codes::INEXACT_MULTIPLES, of.span, message);
            self.note(warning.help("`every N of ++@map[key]` meets each multiple exactly once"));
        }
    }

    fn in_loop(&mut self, kind: StmtKind, span: Span) -> Checked<StmtKind> {
        match self.probe.loops {
            0 => {
                let diagnostic = Diagnostic::error(codes::OUTSIDE_LOOP, span, "there is no loop around this");
                Err(self.note(diagnostic.help("`return` leaves the probe")))
            }
            _ => Ok(kind),
        }
    }

    fn expr_stmt(&mut self, expr: &ast::Expr, out: &mut Vec<Stmt>) -> Checked<()> {
        if let ast::ExprKind::Call { callee, args } = &expr.kind
            && self.call_stmt(callee, args, expr.span, out)?
        {
            return Ok(());
        }
        let checked = self.expr(expr)?;
        out.push(Stmt { kind: StmtKind::Eval(checked), span: expr.span });
        Ok(())
    }

    fn assign(
        &mut self,
        place: &ast::Expr,
        op: Option<ast::BinaryOp>,
        value: &ast::Expr,
        span: Span,
    ) -> Checked<StmtKind> {
        if let (ast::ExprKind::Map(element), None, ast::ExprKind::Call { callee, args }) =
            (&place.kind, op, &value.kind)
            && let Some(aggregate) = self.aggregate(element, callee, args, value.span)?
        {
            return Ok(aggregate);
        }
        if let ast::ExprKind::Map(element) = &place.kind {
            self.note_assigned(element);
        }
        match op {
            None => self.plain_assign(place, value, span),
            Some(ast::BinaryOp::Add | ast::BinaryOp::Sub) => {
                let value = self.int_expr(value)?;
                let delta = match op {
                    Some(ast::BinaryOp::Add) => value,
                    _ => self.int_binary(ast::BinaryOp::Sub, zero(span), value, span)?,
                };
                Ok(StmtKind::Eval(self.add_in_place(place, delta, AddResult::New, span)?))
            }
            Some(op) => {
                let present = self.int_expr(place)?;
                let value = self.int_expr(value)?;
                let changed = self.int_binary(op, present, value, span)?;
                self.store(place, changed, span)
            }
        }
    }

    fn plain_assign(&mut self, place: &ast::Expr, value: &ast::Expr, span: Span) -> Checked<StmtKind> {
        match &place.kind {
            ast::ExprKind::Map(_) => match self.data_expr(value) {
                Ok(value) => self.store(place, value, span),
                // The place may have its errors too.
                Err(reported) => self.keys_of(place).and(Err(reported)),
            },
            ast::ExprKind::Var(_) => {
                let value = self.kept_expr(value)?;
                self.store(place, value, span)
            }
            _ => self.not_a_place(place),
        }
    }

    fn keys_of(&mut self, place: &ast::Expr) -> Checked<Vec<Expr>> {
        match &place.kind {
            ast::ExprKind::Map(element) => Ok(self.element(element)?.key),
            _ => Ok(Vec::new()),
        }
    }

    fn store(&mut self, place: &ast::Expr, value: Expr, span: Span) -> Checked<StmtKind> {
        match &place.kind {
            ast::ExprKind::Map(element) => {
                // Before the key, which may hold an element of this very map.
                let map = self.map_named(&element.map);
                self.learn_value(map, Value::Data(value.ty.widened()), span)?;
                let value = match self.maps.value(map) {
                    Some(Value::Data(ty)) => converted(value, ty),
                    _ => value,
                };
                let element = self.element(element)?;
                Ok(StmtKind::SetMap { element, value })
            }
            ast::ExprKind::Var(name) => {
                let var = match self.probe.find(name) {
                    Some(var) => var,
                    None => self.probe.declare(name, variable_type(&value.ty), place.span),
                };
                self.set_variable(var, value)
            }
            _ => self.not_a_place(place),
        }
    }

    pub(super) fn set_variable(&mut self, var: Var, value: Expr) -> Checked<StmtKind> {
        if self.probe.map_loops.iter().any(|map_loop| map_loop.var == var) {
            let message =
                format!("${} is the element that the loop is at, it cannot be changed", self.probe.vars[var].name);
            let diagnostic = Diagnostic::error(codes::NOT_A_PLACE, value.span, message);
            return Err(self.note(diagnostic.help("change the map's element, `@m[$kv.0] = ...`, or another variable")));
        }
        self.probe.note_use(var, true);
        let ty = self.probe.vars[var].ty.clone();
        let value = match (&ty, &value.ty) {
            (known, found) if known == found => value,
            (Type::Int { bytes: 8, .. }, Type::Int { .. }) => value,
            (Type::Int { .. }, Type::Int { .. }) => {
                let span = value.span;
                Expr { kind: ExprKind::Cast(Box::new(value)), ty, span }
            }
            (Type::Str { len }, Type::Str { len: found }) if found <= len => value,
            (Type::Tuple(_), Type::Tuple(_)) if ty.holds(&value.ty) => converted(value, &ty),
            (Type::Str { len }, Type::Str { .. }) => {
                let name = self.probe.vars[var].name.clone();
                let message = format!("${name} holds at most {len} bytes, this is a {}", value.ty);
                let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, value.span, message)
                    .help(format!("declare it with `let ${name}: {};`", value.ty));
                return Err(self.note(diagnostic));
            }
            (Type::Pointer(_), Type::Int { .. } | Type::Pointer(Pointee::Unknown)) => value,
            (Type::Pointer(_), Type::Pointer(_)) => {
                let message = format!("${} points to something else than this", self.probe.vars[var].name);
                let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, value.span, message)
                    .also(self.probe.vars[var].span, "what it points to is said here");
                return Err(self.note(diagnostic.help("use another variable, or a cast")));
            }
            (Type::Int { .. }, Type::Pointer(_)) => {
                let number = super::expr::as_number(value);
                return self.set_variable(var, number);
            }
            (ty, _) => {
                let wanted = format!("{}, the type of ${},", super::describe(ty), self.probe.vars[var].name);
                return self.mismatch(&value, &wanted);
            }
        };
        Ok(StmtKind::SetVar { var, value })
    }

    fn let_stmt(
        &mut self,
        name: &ast::Ident,
        ty: Option<&ast::DeclaredType>,
        value: Option<&ast::Expr>,
        span: Span,
    ) -> Checked<StmtKind> {
        let declared = ty.map(|ty| self.declared_type(ty)).transpose()?;
        let value = value.map(|value| self.kept_expr(value)).transpose()?;
        let ty = declared.or_else(|| value.as_ref().map(|value| variable_type(&value.ty))).unwrap_or(INT64);
        let value = value.unwrap_or_else(|| zero_of(&ty, span));
        let var = self.probe.declare(&name.name, ty, name.span);
        self.set_variable(var, value)
    }

    fn declared_type(&mut self, written: &ast::DeclaredType) -> Checked<Type> {
        match written {
            ast::DeclaredType::Named(name) => self.named_type(name),
            ast::DeclaredType::Tuple { elements, .. } => {
                let elements: Vec<Checked<Type>> = elements.iter().map(|ty| self.declared_type(ty)).collect();
                Ok(Type::Tuple(elements.into_iter().collect::<Checked<_>>()?))
            }
        }
    }

    /// An expression whose value is known now.
    pub(super) fn constant_expr(&mut self, expr: &ast::Expr, what: &str) -> Checked<i64> {
        let checked = self.int_expr(expr)?;
        match constant(&checked) {
            Some(value) => Ok(value),
            None => {
                let message = format!("{what} must be known when the script is compiled");
                let diagnostic = Diagnostic::error(codes::NOT_CONSTANT, expr.span, message);
                Err(self.note(diagnostic.help("use a literal, a `param`, or arithmetic on them")))
            }
        }
    }
}

fn zero(span: Span) -> Expr {
    super::expr::int(0, INT64, span)
}

/// What a variable of that type is before anything is assigned to it.
fn zero_of(ty: &Type, span: Span) -> Expr {
    let kind = match ty {
        Type::Str { .. } => return super::expr::text_literal("", span),
        Type::Tuple(elements) => ExprKind::Tuple(elements.iter().map(|ty| zero_of(ty, span)).collect()),
        _ => return zero(span),
    };
    Expr { kind, ty: ty.clone(), span }
}

/// The type of a variable that is given a value of `ty` first: integers are kept whole.
fn variable_type(ty: &Type) -> Type {
    ty.widened()
}
