//! Operators: what they may stand between, which type the result has, and whether the sign matters.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::constant::constant;
use super::expr::{binary_of, int, typed};
use super::program::{Expr, ExprKind};
use super::tuples::converted;
use super::types::{BOOL, INT64, Pointee, Type, UINT64};
use super::{Checked, Checker};
use crate::catalog::codes;
use crate::ir::{BinaryOp, CmpOp};
use crate::manifest::AttachSpec;

impl Checker<'_> {
    pub(super) fn unary(&mut self, op: ast::UnaryOp, operand: &ast::Expr, span: Span) -> Checked<Expr> {
        if op == ast::UnaryOp::Deref {
            return self.dereference(operand, span);
        }
        let operand = self.int_expr(operand)?;
        let ty = operand.ty.widened();
        Ok(match op {
            ast::UnaryOp::Neg => binary_of(BinaryOp::Sub, int(0, INT64, span), operand, INT64, span),
            ast::UnaryOp::BitNot => binary_of(BinaryOp::Xor, operand, int(-1, INT64, span), ty, span),
            ast::UnaryOp::Not | ast::UnaryOp::Deref => compare_of(CmpOp::Eq, operand, int(0, INT64, span), span),
        })
    }

    /// `*x`: what is at an address whose kind is known.
    pub(super) fn dereference(&mut self, operand: &ast::Expr, span: Span) -> Checked<Expr> {
        let pointer = self.expr(operand)?;
        let user = matches!(self.probe.attach, AttachSpec::Uprobe { .. });
        match pointer.ty {
            Type::Pointer(Pointee::Int { bytes, signed }) => {
                let addr = Box::new(pointer);
                Ok(typed(ExprKind::ReadInt { user, bytes, signed, addr }, Type::Int { bytes, signed }, span))
            }
            Type::Pointer(Pointee::Struct(id)) => Ok(Expr { ty: Type::Struct(id), ..pointer }),
            _ => {
                let message = format!("{} does not say what it points to", super::describe(&pointer.ty));
                let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, operand.span, message);
                Err(self.note(diagnostic.help("cast it: `*(uint64 *)x`")))
            }
        }
    }

    pub(super) fn binary(&mut self, op: ast::BinaryOp, lhs: &ast::Expr, rhs: &ast::Expr, span: Span) -> Checked<Expr> {
        if let ast::BinaryOp::And | ast::BinaryOp::Or = op {
            let (lhs, rhs) = (self.int_expr(lhs), self.int_expr(rhs));
            let (lhs, rhs) = (Box::new(lhs?), Box::new(rhs?));
            return Ok(typed(ExprKind::Logical { is_and: op == ast::BinaryOp::And, lhs, rhs }, BOOL, span));
        }
        let (lhs, rhs) = (self.value(lhs), self.value(rhs));
        let (lhs, rhs) = (lhs?, rhs?);
        match (&lhs.ty, &rhs.ty) {
            (Type::Str { .. }, Type::Str { .. }) => self.string_binary(op, lhs, rhs, span),
            (Type::Int { .. }, Type::Int { .. }) => self.int_binary(op, lhs, rhs, span),
            (Type::Tuple(_), Type::Tuple(_)) => self.tuple_binary(op, lhs, rhs, span),
            (Type::Int { .. }, Type::Str { .. }) | (Type::Str { .. }, Type::Int { .. }) => self.unlike(op, &lhs, &rhs),
            (Type::Tuple(_), _) => self.mismatch(&rhs, "a tuple"),
            (Type::Int { .. } | Type::Str { .. }, _) => self.mismatch(&rhs, "an integer"),
            _ => self.mismatch(&lhs, "an integer"),
        }
    }

    /// An integer and a string.
    pub(super) fn unlike<T>(&mut self, op: ast::BinaryOp, lhs: &Expr, rhs: &Expr) -> Checked<T> {
        let message = format!("`{}` cannot have a string on one side and an integer on the other", op.symbol());
        let (text, number) = if lhs.ty.is_str() { (lhs, rhs) } else { (rhs, lhs) };
        let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, text.span, message)
            .label("this is a string")
            .also(number.span, format!("this is {}", super::describe(&number.ty)));
        let is_comm = matches!(text.kind, ExprKind::Str(_)) && matches!(op, ast::BinaryOp::Eq | ast::BinaryOp::Ne);
        Err(self.note(match is_comm {
            true => diagnostic.help(format!("names are compared with names: `comm {} \"...\"`", op.symbol())),
            false => diagnostic.help("strings can only be compared, `==` or `!=`, with other strings"),
        }))
    }

    pub(super) fn string_binary(&mut self, op: ast::BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Checked<Expr> {
        let equal = match op {
            ast::BinaryOp::Eq => true,
            ast::BinaryOp::Ne => false,
            _ => {
                let message = format!("`{}` is not for strings", op.symbol());
                let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, span, message);
                return Err(self.note(diagnostic.help(
                    "strings can only be compared, with `==` or `!=`; \
                     printf and emit put several into one line",
                )));
            }
        };
        Ok(typed(ExprKind::BytesCompare { equal, most: None, lhs: Box::new(lhs), rhs: Box::new(rhs) }, BOOL, span))
    }

    /// Arithmetic and comparison of two checked integers.
    pub(super) fn int_binary(&mut self, op: ast::BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Checked<Expr> {
        let is_division = matches!(op, ast::BinaryOp::Div | ast::BinaryOp::Rem);
        if is_division && constant(&rhs) == Some(0) {
            let diagnostic = Diagnostic::error(codes::DIVISION_BY_ZERO, rhs.span, "this divides by zero");
            return Err(self.note(diagnostic.help(
                "a parameter is kept from being 0 by its range, `param n = 5 in 1..;`; a variable that is 0 gives 0",
            )));
        }
        let is_unsigned = lhs.ty.is_uint64() || rhs.ty.is_uint64();
        if let Some(op) = comparison(op, is_unsigned) {
            return Ok(compare_of(op, lhs, rhs, span));
        }
        // The left operand alone decides about a shift, as in C.
        let ty = match op {
            ast::BinaryOp::Shl | ast::BinaryOp::Shr => lhs.ty.widened(),
            _ if is_unsigned => UINT64,
            _ => INT64,
        };
        Ok(binary_of(arithmetic(op, ty == UINT64), lhs, rhs, ty, span))
    }

    pub(super) fn ternary(
        &mut self,
        cond: &ast::Expr,
        then: &ast::Expr,
        otherwise: &ast::Expr,
        span: Span,
    ) -> Checked<Expr> {
        let cond = self.condition(cond);
        let (then, otherwise) = (self.value(then), self.value(otherwise));
        let (cond, then, otherwise) = match (cond, then, otherwise) {
            // `@m = new ? comm : @m`: one side tells what the other is going to be.
            (_, Ok(known), Err(_)) | (_, Err(_), Ok(known)) if !self.is_settled => return Ok(known),
            (cond, then, otherwise) => (cond?, then?, otherwise?),
        };
        let ty = match then.ty.join(&otherwise.ty) {
            Some(ty) if ty.data().is_some() => ty.widened(),
            Some(_) => return self.mismatch(&then, "an integer or a string"),
            None => return self.mismatch(&otherwise, &format!("{} as on the left of `:`", super::describe(&then.ty))),
        };
        let [then, otherwise] = [then, otherwise].map(|arm| Box::new(converted(arm, &ty)));
        let cond = Box::new(cond);
        Ok(typed(ExprKind::Ternary { cond, then, otherwise }, ty, span))
    }
}

/// A comparison.
pub fn compare_of(op: CmpOp, lhs: Expr, rhs: Expr, span: Span) -> Expr {
    typed(ExprKind::Compare { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, BOOL, span)
}

fn comparison(op: ast::BinaryOp, is_unsigned: bool) -> Option<CmpOp> {
    Some(match (op, is_unsigned) {
        (ast::BinaryOp::Eq, _) => CmpOp::Eq,
        (ast::BinaryOp::Ne, _) => CmpOp::Ne,
        (ast::BinaryOp::Lt, false) => CmpOp::Slt,
        (ast::BinaryOp::Lt, true) => CmpOp::Ult,
        (ast::BinaryOp::Le, false) => CmpOp::Sle,
        (ast::BinaryOp::Le, true) => CmpOp::Ule,
        (ast::BinaryOp::Gt, false) => CmpOp::Sgt,
        (ast::BinaryOp::Gt, true) => CmpOp::Ugt,
        (ast::BinaryOp::Ge, false) => CmpOp::Sge,
        (ast::BinaryOp::Ge, true) => CmpOp::Uge,
        _ => return None,
    })
}

fn arithmetic(op: ast::BinaryOp, is_unsigned: bool) -> BinaryOp {
    match (op, is_unsigned) {
        (ast::BinaryOp::Mul, _) => BinaryOp::Mul,
        (ast::BinaryOp::Div, false) => BinaryOp::Sdiv,
        (ast::BinaryOp::Div, true) => BinaryOp::Udiv,
        (ast::BinaryOp::Rem, false) => BinaryOp::Srem,
        (ast::BinaryOp::Rem, true) => BinaryOp::Urem,
        (ast::BinaryOp::Add, _) => BinaryOp::Add,
        (ast::BinaryOp::Sub, _) => BinaryOp::Sub,
        (ast::BinaryOp::BitAnd, _) => BinaryOp::And,
        (ast::BinaryOp::BitXor, _) => BinaryOp::Xor,
        (ast::BinaryOp::BitOr, _) => BinaryOp::Or,
        (ast::BinaryOp::Shl, _) => BinaryOp::Shl,
        (ast::BinaryOp::Shr, false) => BinaryOp::Ashr,
        (ast::BinaryOp::Shr, true) => BinaryOp::Lshr,
        _ => unreachable!("comparisons and logical operators are handled before"),
    }
}
