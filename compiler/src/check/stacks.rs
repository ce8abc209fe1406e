//! Stacks of a shape that the script says.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::program::Expr;
use super::types::Type;
use super::{Checked, Checker, Reported};
use crate::catalog::codes;
use crate::manifest::{STACK_DEPTH, StackNotation};

impl Checker<'_> {
    /// `kstack(depth)`, `kstack(notation)`, `kstack(notation, depth)`: what the builtin of that name
    /// gives, in another shape.
    pub(super) fn stack(&mut self, callee: &ast::Ident, args: &[ast::Arg], span: Span) -> Checked<Expr> {
        let stack = self.name(&callee.name, span)?;
        let Type::Stack { user, mut shape } = stack.ty else { return Err(Reported) };
        let (notation, depth) = match args {
            [only] => match notation(&only.value) {
                Some(notation) => (Some(notation), None),
                None if self.is_other_name(&only.value) => return self.unknown_notation(&only.value),
                None => (None, Some(&only.value)),
            },
            [first, second] => match notation(&first.value) {
                Some(notation) => (Some(notation), Some(&second.value)),
                None => return self.unknown_notation(&first.value),
            },
            _ => (None, None),
        };
        shape.notation = notation.unwrap_or(shape.notation);
        if let Some(depth) = depth {
            shape.depth = self.depth(depth)?;
        }
        Ok(Expr { ty: Type::Stack { user, shape }, ..stack })
    }

    fn is_other_name(&mut self, expr: &ast::Expr) -> bool {
        matches!(&expr.kind, ast::ExprKind::Name(name) if self.params.find(name).is_none())
    }

    fn depth(&mut self, expr: &ast::Expr) -> Checked<u32> {
        let frames = self.positive_constant(expr, "the depth of a stack")?;
        match u32::try_from(frames) {
            Ok(frames) if frames <= STACK_DEPTH => Ok(frames),
            _ => self.error(codes::TOO_LONG, expr.span, format!("a stack has at most {STACK_DEPTH} frames")),
        }
    }

    fn unknown_notation<T>(&mut self, expr: &ast::Expr) -> Checked<T> {
        let diagnostic = Diagnostic::error(codes::NOT_CONSTANT, expr.span, "no notation of stacks is called that");
        Err(self.note(
            diagnostic
                .help("it is bpftrace, perf or raw, as in `kstack(perf)` or `kstack(perf, 5)`; a depth is a constant"),
        ))
    }
}

fn notation(expr: &ast::Expr) -> Option<StackNotation> {
    let ast::ExprKind::Name(name) = &expr.kind else { return None };
    Some(match name.as_str() {
        "bpftrace" => StackNotation::Name,
        "perf" => StackNotation::Perf,
        "raw" => StackNotation::Raw,
        _ => return None,
    })
}
