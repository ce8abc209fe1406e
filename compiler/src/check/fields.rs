//! Fields: of tracepoints' records, of functions' arguments, and of the kernel's structures, whose
//! layouts come from the kernel's BTF.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::expr::{binary_of, int, typed};
use super::program::{Expr, ExprKind};
use super::types::{INT64, Pointee, Type, UINT64};
use super::{Checked, Checker};
use crate::catalog::builtins::{self, Source};
use crate::catalog::{codes, nearest, probe_kinds};
use crate::ir::BinaryOp;
use crate::kernel::{FieldKind, KernelType, Signature, StructId, TracepointFormat, Unavailable};
use crate::manifest::AttachSpec;

/// The first bytes of a tracepoint's record, where the common fields are. Programs must not read
/// them: the kernel keeps a pointer of its own there (`tp_prog_is_valid_access` in
/// `kernel/trace/bpf_trace.c`).
const TRACEPOINT_RESERVED: u32 = 8;

impl Checker<'_> {
    /// `base.field` or `base->field`.
    pub(super) fn field(&mut self, base: &ast::Expr, field: &ast::Ident, span: Span) -> Checked<Expr> {
        if matches!(&base.kind, ast::ExprKind::Name(name) if name == "args") {
            return self.args_field(field, span);
        }
        let base = self.structured(base)?;
        match base.ty {
            Type::Struct(id) | Type::Pointer(Pointee::Struct(id)) => self.member(base, id, field, span),
            Type::Tuple(ref elements) => self.element_of(elements.clone(), base, field, span),
            _ => {
                let message = format!("{} has no fields", super::describe(&base.ty));
                let diagnostic = Diagnostic::error(codes::UNKNOWN_FIELD, base.span, message);
                Err(self.note(diagnostic.help("cast an address to its structure: `((struct task_struct *)x).pid`")))
            }
        }
    }

    /// An expression whose fields are asked for; `curtask` knows what it points to only then, so
    /// that nothing is read of the kernel's types before.
    fn structured(&mut self, base: &ast::Expr) -> Checked<Expr> {
        let checked = self.expr(base)?;
        match &base.kind {
            ast::ExprKind::Name(name) if name == "curtask" => {
                let task = self.structure("task_struct", base.span)?;
                Ok(Expr { ty: Type::Pointer(Pointee::Struct(task)), ..checked })
            }
            _ => Ok(checked),
        }
    }

    /// A field of the current task, as if it were written out.
    pub(super) fn task_field(&mut self, path: &[&str], span: Span) -> Checked<Expr> {
        let task = ast::Expr { kind: ast::ExprKind::Name("curtask".into()), span };
        let chain = path.iter().fold(task, |base, name| {
            let field = ast::Ident { name: (*name).to_owned(), span };
            ast::Expr { kind: ast::ExprKind::Field { base: Box::new(base), field }, span }
        });
        self.expr(&chain)
    }

    /// The structure of that name.
    pub(super) fn structure(&mut self, name: &str, span: Span) -> Checked<StructId> {
        match self.kernel.structure(name) {
            Ok(id) => Ok(id),
            Err(Unavailable::NotFound) => {
                self.error(codes::UNKNOWN_TYPE, span, format!("this kernel has no structure called `{name}`"))
            }
            Err(why) => self.error(codes::UNKNOWN_TYPE, span, format!("struct {name} is not known: {why}")),
        }
    }

    fn member(&mut self, base: Expr, id: StructId, field: &ast::Ident, span: Span) -> Checked<Expr> {
        let members = match self.kernel.members(id) {
            Ok(members) => members,
            Err(why) => return self.error(codes::UNKNOWN_FIELD, span, format!("its fields are not known: {why}")),
        };
        let Some(member) = members.iter().find(|member| member.name == field.name) else {
            let names = members.iter().map(|member| member.name.as_str());
            return self.unknown_field("the structure", field, names.collect());
        };
        let offset = int(member.offset.into(), INT64, span);
        let address = binary_of(BinaryOp::Add, Expr { ty: UINT64, ..base }, offset, UINT64, span);
        let whole = self.read_at(address, &member.ty, false, span)?;
        Ok(match (member.bits, &member.ty) {
            (Some(bits), &KernelType::Int { signed, .. }) => bit_field(whole, bits, signed, span),
            _ => whole,
        })
    }

    /// What is at an address of the kernel (or of the process), being of a type that the kernel's
    /// BTF says: of structures and arrays still the address.
    pub(super) fn read_at(&mut self, address: Expr, ty: &KernelType, user: bool, span: Span) -> Checked<Expr> {
        let Some(checked) = Type::of_kernel(ty) else {
            return self.not_supported(span, "a field that is no integer, text, address, structure or array");
        };
        let addr = Box::new(address);
        let (bytes, signed) = match ty {
            KernelType::Struct(_) | KernelType::Array { .. } => return Ok(Expr { ty: checked, span, ..*addr }),
            KernelType::CharArray { .. } => return Ok(typed(ExprKind::ReadStr { user, addr }, checked, span)),
            KernelType::Int { bytes, signed } => (*bytes, *signed),
            _ => (8, false),
        };
        Ok(typed(ExprKind::ReadInt { user, bytes, signed, addr }, checked, span))
    }

    fn args_field(&mut self, field: &ast::Ident, span: Span) -> Checked<Expr> {
        match self.probe.attach.clone() {
            AttachSpec::Tracepoint { .. } => self.record_field(field, span),
            AttachSpec::Fentry { function, .. } => {
                let signature = self.kernel.function(&function);
                self.parameter(signature, field, span)
            }
            AttachSpec::RawTracepoint { name } => {
                let signature = self.kernel.raw_tracepoint(&name);
                self.parameter(signature, field, span)
            }
            attach => {
                let kind = probe_kinds::of(&attach).name;
                let diagnostic =
                    Diagnostic::error(codes::NOT_HERE, span, format!("`args` has no fields in {kind} probes"));
                Err(self.note(match attach {
                    AttachSpec::Kprobe { ret: false, .. } | AttachSpec::Uprobe { ret: false, .. } => {
                        diagnostic.help("arguments are called arg0, arg1, ... here; fentry knows their names")
                    }
                    _ => diagnostic,
                }))
            }
        }
    }

    /// A field of a tracepoint's record.
    fn record_field(&mut self, field: &ast::Ident, span: Span) -> Checked<Expr> {
        let format: TracepointFormat = match self.probe.format.clone() {
            Some(Ok(format)) => format,
            Some(Err(unavailable)) => return self.unreadable_fields(&unavailable, span),
            None => return Err(super::Reported),
        };
        let Some(found) = format.fields.iter().find(|candidate| candidate.name == field.name) else {
            let text = self.probe.text.clone();
            return self.unknown_field(&text, field, format.fields.iter().map(|field| field.name.as_str()).collect());
        };
        if found.offset < TRACEPOINT_RESERVED {
            return self.reserved_field(field, span);
        }
        match (builtins::field_type(found.kind), i16::try_from(found.offset)) {
            (Some(ty), Ok(offset)) => Ok(typed(ExprKind::Read(Source::Context { offset, kind: found.kind }), ty, span)),
            _ => self.not_supported(span, "a field that is neither an integer nor text"),
        }
    }

    /// A field that is in the record, but not in what a program sees of it.
    fn reserved_field<T>(&mut self, field: &ast::Ident, span: Span) -> Checked<T> {
        let message = format!("the kernel shows programs no `{}`", field.name);
        let diagnostic = Diagnostic::error(codes::NOT_HERE, span, message);
        Err(self.note(match field.name.as_str() {
            "common_pid" => diagnostic.help("the thread is called `tid`"),
            _ => diagnostic.help("of a tracepoint's fields, programs see those behind the common ones"),
        }))
    }

    /// A parameter of a function or raw tracepoint: the context is an array of 64-bit words.
    fn parameter(
        &mut self,
        signature: Result<Signature, Unavailable>,
        field: &ast::Ident,
        span: Span,
    ) -> Checked<Expr> {
        let signature = match signature {
            Ok(signature) => signature,
            Err(unavailable) => return self.unreadable_fields(&unavailable, span),
        };
        let Some(index) = signature.params.iter().position(|(name, _)| *name == field.name) else {
            let text = self.probe.text.clone();
            return self.unknown_field(&text, field, signature.params.iter().map(|(name, _)| name.as_str()).collect());
        };
        self.context_word(index, &signature.params[index].1, span)
    }

    /// `retval` of an fexit probe: the word behind the arguments.
    pub(super) fn returned(&mut self, function: &str, span: Span) -> Checked<Expr> {
        match self.kernel.function(function) {
            Ok(Signature { returns: KernelType::Opaque { bytes: 0 }, .. }) => {
                self.error(codes::NOT_HERE, span, format!("{function} returns nothing"))
            }
            Ok(signature) => self.context_word(signature.params.len(), &signature.returns, span),
            Err(unavailable) => self.unreadable_fields(&unavailable, span),
        }
    }

    fn context_word(&mut self, index: usize, ty: &KernelType, span: Span) -> Checked<Expr> {
        let offset = (8 * index) as i16;
        let Some(checked) = Type::of_kernel(ty) else {
            return self.not_supported(span, "an argument that is neither an integer nor a pointer");
        };
        Ok(match ty {
            // The low bytes of the word, on a little-endian machine at its start.
            KernelType::Int { bytes, signed } => {
                let word = FieldKind::Int { bytes: 8, signed: false };
                let word = typed(ExprKind::Read(Source::Context { offset, kind: word }), UINT64, span);
                match bytes {
                    8 => Expr { ty: Type::Int { bytes: 8, signed: *signed }, ..word },
                    _ => typed(ExprKind::Cast(Box::new(word)), checked, span),
                }
            }
            _ => typed(ExprKind::Read(Source::ContextPointer { offset }), checked, span),
        })
    }

    fn unknown_field<T>(&mut self, of: &str, field: &ast::Ident, names: Vec<&str>) -> Checked<T> {
        let mut diagnostic =
            Diagnostic::error(codes::UNKNOWN_FIELD, field.span, format!("{of} has no field `{}`", field.name));
        diagnostic = match nearest(&field.name, names.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None if names.len() <= 24 => diagnostic.help(format!("its fields are {}", names.join(", "))),
            None => diagnostic,
        };
        Err(self.note(diagnostic))
    }

    fn unreadable_fields<T>(&mut self, unavailable: &Unavailable, span: Span) -> Checked<T> {
        let message = format!("the fields of {} are not known: {unavailable}", self.probe.text);
        self.error(codes::TRACEPOINT_UNREADABLE, span, message)
    }
}

/// The bits of a bit field, moved down, with its sign.
fn bit_field(whole: Expr, (lowest, count): (u8, u8), signed: bool, span: Span) -> Expr {
    let up = int(i64::from(64 - lowest - count), INT64, span);
    let down = int(i64::from(64 - count), INT64, span);
    let raised = binary_of(BinaryOp::Shl, whole, up, UINT64, span);
    let (op, ty) = if signed { (BinaryOp::Ashr, INT64) } else { (BinaryOp::Lshr, UINT64) };
    binary_of(op, raised, down, ty, span)
}
