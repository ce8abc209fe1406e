//! `x[i]`: elements of the kernel's arrays and of tracepoints' fields, what follows an address, and
//! the bytes of strings.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::constant::constant;
use super::expr::{binary_of, int, typed};
use super::program::{Expr, ExprKind};
use super::types::{INT64, Pointee, Type, UINT64};
use super::{Checked, Checker};
use crate::catalog::builtins::{self, Source};
use crate::catalog::codes;
use crate::ir::BinaryOp;
use crate::kernel::{FieldKind, KernelType};
use crate::manifest::AttachSpec;

/// A byte of a text, which is C's `char`.
const CHAR: KernelType = KernelType::Int { bytes: 1, signed: true };

impl Checker<'_> {
    pub(super) fn index(&mut self, base: &ast::Expr, index: &ast::Expr, span: Span) -> Checked<Expr> {
        if let ast::ExprKind::Name(name) = &base.kind
            && builtins::find(name).is_none()
            && self.params.find(name).is_none()
        {
            let diagnostic = Diagnostic::error(codes::UNKNOWN_NAME, base.span, format!("nothing is called `{name}`"));
            return Err(self.note(diagnostic.help(format!("a map is written with `@`: `@{name}[...]`"))));
        }
        let (base, index) = (self.expr(base), self.int_expr(index));
        let (base, index) = (base?, index?);
        match base.ty.clone() {
            Type::Array { element, stride, len } => {
                self.is_inside(&index, len)?;
                match base.kind {
                    ExprKind::Read(Source::Context { offset, .. }) => {
                        self.field_element(offset, &element, len, index, span)
                    }
                    _ => self.element_at(base, &element, stride, index, span),
                }
            }
            Type::Str { len } => {
                self.is_inside(&index, len)?;
                match base.kind {
                    ExprKind::Read(Source::Context { offset, kind: FieldKind::CharArray { .. } }) => {
                        self.field_element(offset, &CHAR, len, index, span)
                    }
                    _ => Ok(byte_of(base, index, span)),
                }
            }
            Type::Pointer(Pointee::Int { bytes, signed }) => {
                self.element_at(base, &KernelType::Int { bytes, signed }, bytes.into(), index, span)
            }
            Type::Pointer(Pointee::Text) => self.element_at(base, &CHAR, 1, index, span),
            _ => self.no_elements(&base),
        }
    }

    fn is_inside(&mut self, index: &Expr, len: u32) -> Checked<()> {
        match constant(index) {
            Some(at) if !(0..i64::from(len)).contains(&at) => {
                let message = format!("there is no element {at}: they are numbered 0 to {}", i64::from(len) - 1);
                self.error(codes::NO_ELEMENT, index.span, message)
            }
            _ => Ok(()),
        }
    }

    /// An element of a field of a tracepoint's record, which lies in the context.
    fn field_element(&mut self, offset: i16, element: &KernelType, len: u32, index: Expr, span: Span) -> Checked<Expr> {
        let &KernelType::Int { bytes, signed } = element else { return Err(super::Reported) };
        let ty = Type::Int { bytes, signed };
        let kind = FieldKind::Int { bytes, signed };
        Ok(match constant(&index) {
            Some(at) => {
                let offset = offset + at as i16 * i16::from(bytes);
                typed(ExprKind::Read(Source::Context { offset, kind }), ty, span)
            }
            None => typed(ExprKind::FieldElement { offset, bytes, signed, len, index: Box::new(index) }, ty, span),
        })
    }

    /// What lies `index` elements behind an address.
    fn element_at(&mut self, base: Expr, element: &KernelType, stride: u32, index: Expr, span: Span) -> Checked<Expr> {
        let is_kernel = matches!(base.ty, Type::Array { .. } | Type::Pointer(Pointee::Text));
        let user = !is_kernel && matches!(self.probe.attach, AttachSpec::Uprobe { .. });
        let offset = binary_of(BinaryOp::Mul, index, int(stride.into(), INT64, span), INT64, span);
        let address = binary_of(BinaryOp::Add, Expr { ty: UINT64, ..base }, offset, UINT64, span);
        self.read_at(address, element, user, span)
    }

    fn no_elements<T>(&mut self, base: &Expr) -> Checked<T> {
        let message = format!("{} has no elements to be counted off", super::describe(&base.ty));
        let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, base.span, message);
        Err(self.note(match base.ty {
            Type::Tuple(_) => diagnostic.help("the elements of a tuple are `.0`, `.1` and so on"),
            Type::Int { .. } | Type::Pointer(_) => {
                diagnostic.help("an address is cast to what it points to: `((uint64 *)x)[1]`; a map is written `@x[1]`")
            }
            _ => diagnostic.help("arrays and strings have elements, `x[0]`; a map is written `@x[key]`"),
        }))
    }
}

/// A byte of a text that is known or lies in memory; 0 behind its end.
fn byte_of(text: Expr, index: Expr, span: Span) -> Expr {
    let ty = Type::Int { bytes: 1, signed: true };
    match (&text.kind, constant(&index)) {
        (ExprKind::Str(known), Some(at)) => {
            int(known.as_bytes().get(at as usize).map_or(0, |&byte| i64::from(byte as i8)), ty, span)
        }
        _ => typed(ExprKind::StrByte { text: Box::new(text), index: Box::new(index) }, ty, span),
    }
}
