//! Visits every expression of a script, parents before children.

use crate::ast::{Block, Expr, ExprKind, Script, Stmt, StmtKind};

/// Calls `visit` with each expression of the probes of `script`, in the order of the text.
pub fn for_each_expr(script: &Script, visit: &mut dyn FnMut(&Expr)) {
    for probe in script.probes() {
        probe.predicate.iter().for_each(|predicate| expr(predicate, visit));
        block(&probe.body, visit);
    }
}

fn block(body: &Block, visit: &mut dyn FnMut(&Expr)) {
    body.stmts.iter().for_each(|inner| stmt(inner, visit));
}

fn stmt(stmt: &Stmt, visit: &mut dyn FnMut(&Expr)) {
    match &stmt.kind {
        StmtKind::Expr(value) => expr(value, visit),
        StmtKind::Assign { place, value, .. } => {
            expr(place, visit);
            expr(value, visit);
        }
        StmtKind::Let { value, .. } => value.iter().for_each(|value| expr(value, visit)),
        StmtKind::If { cond, then, otherwise } => {
            expr(cond, visit);
            block(then, visit);
            otherwise.iter().for_each(|otherwise| block(otherwise, visit));
        }
        StmtKind::Every { step, of, body } => {
            expr(step, visit);
            expr(of, visit);
            block(body, visit);
        }
        StmtKind::ForRange { low, high, body, .. } => {
            expr(low, visit);
            expr(high, visit);
            block(body, visit);
        }
        StmtKind::ForMap { body, .. } | StmtKind::Block(body) => block(body, visit),
        StmtKind::Unroll { count, body } => {
            expr(count, visit);
            block(body, visit);
        }
        StmtKind::Return | StmtKind::Break | StmtKind::Continue => {}
    }
}

/// Calls `visit` with `outer` and each expression in it.
pub fn expr(outer: &Expr, visit: &mut dyn FnMut(&Expr)) {
    visit(outer);
    match &outer.kind {
        ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Positional(_)
        | ExprKind::PositionalCount
        | ExprKind::Var(_)
        | ExprKind::Name(_) => {}
        ExprKind::Map(element) => element.keys.iter().for_each(|key| expr(key, visit)),
        ExprKind::Field { base, .. } => expr(base, visit),
        ExprKind::Index { base, index } => {
            expr(base, visit);
            expr(index, visit);
        }
        ExprKind::Call { args, .. } => args.iter().for_each(|arg| expr(&arg.value, visit)),
        ExprKind::Unary { operand, .. } | ExprKind::Cast { operand, .. } => expr(operand, visit),
        ExprKind::IncDec { place, .. } => expr(place, visit),
        ExprKind::Binary { lhs, rhs, .. } => {
            expr(lhs, visit);
            expr(rhs, visit);
        }
        ExprKind::Ternary { cond, then, otherwise } => {
            expr(cond, visit);
            expr(then, visit);
            expr(otherwise, visit);
        }
        ExprKind::Tuple(elements) => elements.iter().for_each(|element| expr(element, visit)),
    }
}
