//! Expressions whose value is known when the script is compiled.

use super::program::{Expr, ExprKind};
use super::types::Type;
use crate::arithmetic;

/// The value of `expr`, if it does not depend on the moment.
pub fn constant(expr: &Expr) -> Option<i64> {
    match &expr.kind {
        ExprKind::Int(value) => Some(*value),
        ExprKind::Binary { op, lhs, rhs } => Some(arithmetic::binary(*op, constant(lhs)?, constant(rhs)?)),
        ExprKind::Compare { op, lhs, rhs } => Some(arithmetic::compare(*op, constant(lhs)?, constant(rhs)?).into()),
        ExprKind::Ternary { cond, then, otherwise } => constant(if constant(cond)? != 0 { then } else { otherwise }),
        ExprKind::Logical { is_and, lhs, rhs } => match (constant(lhs)? != 0, is_and) {
            (false, true) => Some(0),
            (true, false) => Some(1),
            _ => Some((constant(rhs)? != 0).into()),
        },
        ExprKind::Cast(operand) => match expr.ty {
            Type::Int { bytes, signed } => Some(arithmetic::extend(signed, bytes, constant(operand)?)),
            _ => None,
        },
        _ => None,
    }
}
