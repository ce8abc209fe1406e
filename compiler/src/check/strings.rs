//! Functions of strings. What is known of their arguments is computed here.

use pfscript_grammar::{Span, ast};

use super::expr::{int, typed};
use super::program::{Expr, ExprKind};
use super::types::{BOOL, DEFAULT_STRING_LEN, INT64, Pointee, Type};
use super::{Checked, Checker};
use crate::catalog::codes;

/// A string has fewer bytes than this.
const MAX_STRING_LEN: i64 = 256;

impl Checker<'_> {
    /// `str(x)` of a string literal or positional parameter is that text.
    pub(super) fn read_string(&mut self, args: &[ast::Arg], user: bool, span: Span) -> Checked<Expr> {
        let addr = self.expr(&args[0].value)?;
        let most = args.get(1).map(|most| self.string_length(&most.value)).transpose()?;
        match (&addr.kind, most) {
            (ExprKind::Str(text), Some(most)) => {
                // No character is cut in two.
                let text = text[..text.floor_char_boundary(most as usize)].to_owned();
                return Ok(Expr { kind: ExprKind::Str(text), ..addr });
            }
            (_, None) if addr.ty.is_str() => return Ok(addr),
            _ => {}
        }
        // What the kernel's own types call text lies in the kernel.
        let user = user && addr.ty != Type::Pointer(Pointee::Text);
        if !addr.ty.is_int() && !matches!(addr.ty, Type::Pointer(_)) {
            return self.mismatch(&addr, "an address");
        }
        // One byte more than the text, for the NUL that the kernel puts behind it.
        let ty = Type::Str { len: most.map_or(DEFAULT_STRING_LEN, |most| most + 1) };
        Ok(Expr { kind: ExprKind::ReadStr { user, addr: Box::new(addr) }, ty, span })
    }

    fn string_length(&mut self, expr: &ast::Expr) -> Checked<u32> {
        match self.positive_constant(expr, "the length of a string")? {
            most @ 1..MAX_STRING_LEN => Ok(most as u32),
            _ => self.error(codes::TOO_LONG, expr.span, format!("a string has at most {} bytes", MAX_STRING_LEN - 1)),
        }
    }

    fn two_strings(&mut self, args: &[ast::Arg]) -> [Checked<Box<Expr>>; 2] {
        [0, 1].map(|index| {
            let text = self.data_expr(&args[index].value)?;
            if text.ty.is_str() { Ok(Box::new(text)) } else { self.mismatch(&text, "a string") }
        })
    }

    /// 0 when two texts begin alike.
    pub(super) fn strncmp(&mut self, args: &[ast::Arg], span: Span) -> Checked<Expr> {
        let [lhs, rhs] = self.two_strings(args);
        let most = self.string_length(&args[2].value);
        let (lhs, rhs, most) = (lhs?, rhs?, most?);
        Ok(typed(ExprKind::BytesCompare { equal: false, most: Some(most), lhs, rhs }, BOOL, span))
    }

    /// 1 when one text is somewhere in the other.
    pub(super) fn strcontains(&mut self, args: &[ast::Arg], span: Span) -> Checked<Expr> {
        let [text, part] = self.two_strings(args);
        let (text, part) = (text?, part?);
        Ok(match (&text.kind, &part.kind) {
            (ExprKind::Str(text), ExprKind::Str(part)) => int(text.contains(part.as_str()).into(), BOOL, span),
            (_, ExprKind::Str(part)) if part.is_empty() => int(1, BOOL, span),
            _ => typed(ExprKind::Contains { text, part }, BOOL, span),
        })
    }

    /// The bytes of a text in front of its NUL.
    pub(super) fn string_len(&mut self, text: Expr, span: Span) -> Expr {
        match &text.kind {
            ExprKind::Str(text) => int(text.len() as i64, INT64, span),
            _ => typed(ExprKind::StrLen(Box::new(text)), INT64, span),
        }
    }
}
