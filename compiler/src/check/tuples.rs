//! Tuples: made, taken apart, compared, and laid out as a variable or map wants them.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::expr::typed;
use super::program::{Expr, ExprKind};
use super::types::{BOOL, Type};
use super::{Checked, Checker};
use crate::catalog::codes;

impl Checker<'_> {
    /// `(a, b)`
    pub(super) fn tuple(&mut self, elements: &[ast::Expr], span: Span) -> Checked<Expr> {
        // All of them, for each may have its errors, or teach a map something.
        let elements: Vec<Checked<Expr>> = elements.iter().map(|element| self.data_expr(element)).collect();
        let elements = elements.into_iter().collect::<Checked<Vec<_>>>()?;
        let ty = Type::Tuple(elements.iter().map(|element| element.ty.clone()).collect());
        Ok(typed(ExprKind::Tuple(elements), ty, span))
    }

    /// `tuple.0`
    pub(super) fn element_of(
        &mut self,
        mut elements: Vec<Type>,
        tuple: Expr,
        field: &ast::Ident,
        span: Span,
    ) -> Checked<Expr> {
        match field.name.parse::<usize>() {
            Ok(index) if index < elements.len() => {
                let ty = elements.swap_remove(index);
                Ok(typed(ExprKind::Element { tuple: Box::new(tuple), index }, ty, span))
            }
            _ => {
                let message = format!("the tuple {} has no element `{}`", tuple.ty, field.name);
                let diagnostic = Diagnostic::error(codes::UNKNOWN_FIELD, field.span, message);
                Err(self.note(diagnostic.help(format!("its elements are `.0` to `.{}`", elements.len() - 1))))
            }
        }
    }

    /// `(a, b) == (c, d)`: two tuples of one type are equal when their bytes are.
    pub(super) fn tuple_binary(&mut self, op: ast::BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Checked<Expr> {
        let equal = match op {
            ast::BinaryOp::Eq => true,
            ast::BinaryOp::Ne => false,
            _ => {
                let message = format!("`{}` is not for tuples", op.symbol());
                let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, span, message);
                return Err(self.note(diagnostic.help("compare their elements: `$t.0 < $u.0`")));
            }
        };
        let Some(ty) = lhs.ty.join(&rhs.ty).map(|ty| ty.widened()) else {
            return self.mismatch(&rhs, &format!("a tuple {}, as on the left,", lhs.ty));
        };
        let [lhs, rhs] = [lhs, rhs].map(|side| Box::new(converted(side, &ty)));
        Ok(typed(ExprKind::BytesCompare { equal, most: None, lhs, rhs }, BOOL, span))
    }
}

/// A tuple with the elements of `ty`, which holds all values of its own type; anything else as it is.
pub fn converted(expr: Expr, ty: &Type) -> Expr {
    match (expr.kind, ty) {
        (ExprKind::Tuple(elements), Type::Tuple(types)) => {
            let elements = elements.into_iter().zip(types).map(|(element, ty)| converted(element, ty)).collect();
            Expr { kind: ExprKind::Tuple(elements), ty: ty.clone(), span: expr.span }
        }
        (kind, Type::Tuple(_)) if expr.ty != *ty => {
            let span = expr.span;
            typed(ExprKind::Cast(Box::new(Expr { kind, ..expr })), ty.clone(), span)
        }
        (kind, _) => Expr { kind, ..expr },
    }
}
