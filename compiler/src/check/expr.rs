//! Expressions: names resolved, types inferred, signs decided.

use pfscript_grammar::{Diagnostic, Span, ast, walk};

use super::constant::constant;
use super::maps::Value;
use super::params::text_len;
use super::program::{AddResult, Expr, ExprKind};
use super::types::{DEFAULT_STRING_LEN, INT64, Pointee, Type, UINT64};
use super::{Checked, Checker, Reported};
use crate::catalog::{codes, nearest};
use crate::ir::BinaryOp;
use crate::params::ParamValue;

/// An expression of known type.
pub fn typed(kind: ExprKind, ty: Type, span: Span) -> Expr {
    Expr { kind, ty, span }
}

/// An integer constant.
pub fn int(value: i64, ty: Type, span: Span) -> Expr {
    typed(ExprKind::Int(value), ty, span)
}

/// Arithmetic.
pub fn binary_of(op: BinaryOp, lhs: Expr, rhs: Expr, ty: Type, span: Span) -> Expr {
    typed(ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, ty, span)
}

impl Checker<'_> {
    /// Any expression.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        let span = expr.span;
        match &expr.kind {
            ast::ExprKind::Int(value) => Ok(int_literal(*value, span)),
            ast::ExprKind::Str(text) => Ok(text_literal(text, span)),
            ast::ExprKind::Positional(number) => Ok(self.positional(*number, span)),
            ast::ExprKind::PositionalCount => Ok(int(self.positional.len() as i64, INT64, span)),
            ast::ExprKind::Var(name) => self.variable(name, span),
            ast::ExprKind::Map(element) => self.map_load(element, span),
            ast::ExprKind::Name(name) => self.name(name, span),
            ast::ExprKind::Field { base, field } => self.field(base, field, span),
            ast::ExprKind::Call { callee, args } => self.call(callee, args, span),
            ast::ExprKind::Unary { op, operand } => self.unary(*op, operand, span),
            ast::ExprKind::Binary { op, lhs, rhs } => self.binary(*op, lhs, rhs, span),
            ast::ExprKind::Ternary { cond, then, otherwise } => self.ternary(cond, then, otherwise, span),
            ast::ExprKind::Cast { ty, operand } => self.cast(ty, operand, span),
            ast::ExprKind::IncDec { op, fix, place } => self.inc_dec(*op, *fix, place, span),
            ast::ExprKind::Tuple(elements) => self.tuple(elements, span),
            ast::ExprKind::Index { base, index } => self.index(base, index, span),
        }
    }

    pub(super) fn not_supported<T>(&mut self, span: Span, what: &str) -> Checked<T> {
        self.error(codes::NOT_SUPPORTED, span, format!("{what} is not supported by this version of pfscript"))
    }

    /// An expression as a plain value: an address is a number.
    pub(super) fn value(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        Ok(as_number(self.expr(expr)?))
    }

    /// An expression that is an integer.
    pub(super) fn int_expr(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        let checked = self.value(expr)?;
        if checked.ty.is_int() { Ok(checked) } else { self.mismatch(&checked, "an integer") }
    }

    /// An expression that has bytes, and so can be kept and shown.
    pub(super) fn data_expr(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        let checked = self.expr(expr)?;
        self.data(checked)
    }

    /// The same of an expression that is checked already.
    pub(super) fn data(&mut self, checked: Expr) -> Checked<Expr> {
        let checked = as_number(checked);
        if checked.ty.data().is_some() { Ok(checked) } else { self.mismatch(&checked, "an integer or a string") }
    }

    /// An expression that a variable can keep: data, or an address of which it is known what is there.
    pub(super) fn kept_expr(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        match self.expr(expr)? {
            address if matches!(address.ty, Type::Pointer(_)) => Ok(address),
            other => self.data(other),
        }
    }

    /// A condition: an integer that is compared with zero.
    pub(super) fn condition(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        let cond = self.int_expr(expr)?;
        if let (Some(value), true) = (constant(&cond), is_written_out(expr)) {
            let message = format!("the condition is always {}", if value != 0 { "true" } else { "false" });
            self.note(Diagnostic::warning(codes::CONSTANT_CONDITION, expr.span, message));
        }
        Ok(cond)
    }

    /// A constant of 1 or more.
    pub(super) fn positive_constant(&mut self, expr: &ast::Expr, what: &str) -> Checked<i64> {
        let checked = self.int_expr(expr)?;
        match constant(&checked) {
            Some(value) if value > 0 => Ok(value),
            Some(value) if checked.ty.is_uint64() && value < 0 => {
                self.error(codes::NOT_POSITIVE, expr.span, format!("{what} is at most {}", i64::MAX))
            }
            Some(value) => {
                self.error(codes::NOT_POSITIVE, expr.span, format!("{what} must be 1 or more, this is {value}"))
            }
            None => {
                let message = format!("{what} must be known when the script is compiled");
                let diagnostic = Diagnostic::error(codes::NOT_CONSTANT, expr.span, message)
                    .help("use a literal, a `param`, or arithmetic on them");
                Err(self.note(diagnostic))
            }
        }
    }

    pub(super) fn map_load(&mut self, element: &ast::MapElement, span: Span) -> Checked<Expr> {
        let element = self.element(element)?;
        if let Some(Value::Aggregate(value)) = self.maps.value(element.map).cloned() {
            let ty = self.aggregated_type(&value, span)?;
            return Ok(typed(ExprKind::MapAggregated(element), ty, span));
        }
        let ty = self.element_type(element.map, span)?;
        Ok(typed(ExprKind::MapLoad(element), ty, span))
    }

    /// The type that is written.
    pub(super) fn named_type(&mut self, written: &ast::TypeName) -> Checked<Type> {
        if written.is_struct || written.pointers > 0 {
            return self.pointer_type(written);
        }
        if written.length.is_some() && written.name != "string" {
            let diagnostic = Diagnostic::error(codes::UNKNOWN_TYPE, written.span, "only strings have a length");
            return Err(
                self.note(diagnostic.help("an array in the kernel is read from its address: `((uint8 *)x)[1]`"))
            );
        }
        if written.name == "string" {
            let len = written.length.unwrap_or(DEFAULT_STRING_LEN.into());
            return match u32::try_from(len) {
                Ok(len @ 1..=256) => Ok(Type::Str { len }),
                _ => self.error(codes::UNKNOWN_TYPE, written.span, "a string has 1 to 256 bytes"),
            };
        }
        if let Some(ty) = Type::int_named(&written.name) {
            return Ok(ty);
        }
        let mut diagnostic =
            Diagnostic::error(codes::UNKNOWN_TYPE, written.span, format!("no type is called `{}`", written.name));
        if let Some(near) = nearest(&written.name, Type::INT_NAMES.into_iter().chain(["string"])) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        Err(self.note(diagnostic))
    }

    /// `struct name *`, `uint32 *`, `char *`
    fn pointer_type(&mut self, written: &ast::TypeName) -> Checked<Type> {
        let pointee = match (written.pointers, written.is_struct) {
            (0, true) => return self.not_supported(written.span, "a structure by value"),
            (1, true) => Pointee::Struct(self.structure(&written.name, written.span)?),
            (1, false) => match (written.name.as_str(), Type::int_named(&written.name)) {
                ("char", _) => Pointee::Text,
                (_, Some(Type::Int { bytes, signed })) => Pointee::Int { bytes, signed },
                // bpftrace lets the word `struct` be left out.
                _ => Pointee::Struct(self.structure(&written.name, written.span)?),
            },
            _ => Pointee::Unknown,
        };
        Ok(Type::Pointer(pointee))
    }

    fn cast(&mut self, ty: &ast::TypeName, operand: &ast::Expr, span: Span) -> Checked<Expr> {
        let ty = self.named_type(ty)?;
        let operand = self.value(operand)?;
        match (&ty, &operand.ty) {
            (Type::Int { .. }, Type::Int { .. }) => Ok(typed(ExprKind::Cast(Box::new(operand)), ty, span)),
            (Type::Pointer(_), Type::Int { .. }) => Ok(Expr { ty, span, ..operand }),
            (Type::Int { .. } | Type::Pointer(_), _) => self.mismatch(&operand, "an integer"),
            _ => self.not_supported(span, "a cast to a string"),
        }
    }

    fn inc_dec(&mut self, op: ast::IncDecOp, fix: ast::Fix, place: &ast::Expr, span: Span) -> Checked<Expr> {
        let delta = int(if op == ast::IncDecOp::Inc { 1 } else { -1 }, INT64, span);
        let result = if fix == ast::Fix::Prefix { AddResult::New } else { AddResult::Old };
        self.add_in_place(place, delta, result, span)
    }

    /// `place += delta`, with the value before or after it.
    pub(super) fn add_in_place(
        &mut self,
        place: &ast::Expr,
        delta: Expr,
        result: AddResult,
        span: Span,
    ) -> Checked<Expr> {
        match &place.kind {
            ast::ExprKind::Map(element) => {
                // Before the key, which may hold an element of this very map.
                self.note_assigned(element);
                let map = self.map_named(&element.map);
                self.learn_value(map, Value::Data(delta.ty.widened()), span)?;
                let element = self.element(element)?;
                let ty = self.element_type(element.map, span)?;
                Ok(typed(ExprKind::MapAdd { element, delta: Box::new(delta), result }, ty, span))
            }
            ast::ExprKind::Var(name) => {
                let read = self.variable(name, place.span)?;
                let ExprKind::Var(var) = read.kind else { return Err(Reported) };
                let read = as_number(read);
                if !read.ty.is_int() {
                    return self.mismatch(&read, "an integer");
                }
                self.probe.note_use(var, true);
                Ok(typed(ExprKind::VarAdd { var, delta: Box::new(delta), result }, read.ty, span))
            }
            _ => self.not_a_place(place),
        }
    }

    pub(super) fn not_a_place<T>(&mut self, place: &ast::Expr) -> Checked<T> {
        let mut diagnostic =
            Diagnostic::error(codes::NOT_A_PLACE, place.span, "only variables and map elements can be changed");
        if let ast::ExprKind::Name(name) = &place.kind {
            diagnostic = match self.params.find(name) {
                Some(_) => diagnostic.help(format!("`{name}` is a parameter: a constant of the compilation")),
                None => diagnostic.help(format!("a variable is written `${name}`, a map `@{name}`")),
            };
        } else if let ast::ExprKind::Index { base, .. } = &place.kind
            && let ast::ExprKind::Name(name) = &base.kind
        {
            diagnostic = diagnostic.help(format!("a map is written with `@`: `@{name}[...]`"));
        } else {
            diagnostic = diagnostic.help("a variable is written `$x`, a map `@x` or `@x[key]`");
        }
        Err(self.note(diagnostic))
    }
}

/// An address is a number.
pub(super) fn as_number(expr: Expr) -> Expr {
    match expr.ty {
        Type::Pointer(_) => Expr { ty: UINT64, ..expr },
        _ => expr,
    }
}

/// Whether the value of `expr` is for all to see: no parameter, which others may set differently,
/// has a part in it, and it is more than a `1` that switches something on.
fn is_written_out(expr: &ast::Expr) -> bool {
    let mut is_written_out = !matches!(expr.kind, ast::ExprKind::Int(_));
    walk::expr(expr, &mut |part| {
        is_written_out &= !matches!(
            part.kind,
            ast::ExprKind::Name(_)
                | ast::ExprKind::Call { .. }
                | ast::ExprKind::Positional(_)
                | ast::ExprKind::PositionalCount
        );
    });
    is_written_out
}

fn int_literal(value: u64, span: Span) -> Expr {
    let ty = if value > i64::MAX as u64 { UINT64 } else { INT64 };
    int(value as i64, ty, span)
}

/// A text that is known.
pub fn text_literal(text: &str, span: Span) -> Expr {
    typed(ExprKind::Str(text.to_owned()), Type::Str { len: text_len(text) }, span)
}

/// A parameter's value.
pub fn param_constant(ty: Type, value: &ParamValue, span: Span) -> Expr {
    match value {
        ParamValue::Int(value) => int(*value as i64, ty, span),
        ParamValue::Str(text) => text_literal(text, span),
    }
}
