//! Names: variables, positional parameters, parameters and builtins.

use pfscript_grammar::{Diagnostic, Span};

use super::expr::{binary_of, int, param_constant, text_literal, typed};
use super::operators::compare_of;
use super::program::{Expr, ExprKind};
use super::types::{INT64, Type, UINT64};
use super::{Checked, Checker, Reported};
use crate::artifact::Traced;
use crate::catalog::builtins::{self, Origin, PT_REGS_CS, Source};
use crate::catalog::{absent, codes, functions, nearest, probe_kinds};
use crate::ir::{BinaryOp, CmpOp};
use crate::kernel::FieldKind;
use crate::manifest::AttachSpec;

impl Checker<'_> {
    pub(super) fn positional(&mut self, number: u32, span: Span) -> Expr {
        match self.positional.get(number as usize - 1) {
            None => int(0, INT64, span),
            Some(text) => match text.parse::<i64>() {
                Ok(value) => int(value, INT64, span),
                Err(_) => text_literal(text, span),
            },
        }
    }

    pub(super) fn variable(&mut self, name: &str, span: Span) -> Checked<Expr> {
        if let Some(var) = self.probe.find(name) {
            self.probe.read.insert(var);
            self.probe.note_use(var, false);
            return Ok(typed(ExprKind::Var(var), self.probe.vars[var].ty.clone(), span));
        }
        if self.probe.spoiled.iter().any(|spoiled| spoiled == name) {
            return Err(Reported);
        }
        let message = format!("variable ${name} is used before it is assigned");
        let mut diagnostic = Diagnostic::error(codes::UNKNOWN_VARIABLE, span, message);
        if let Some(gone) = self.probe.find_gone(name) {
            diagnostic = diagnostic
                .also(self.probe.vars[gone].span, "assigned here, in a block that has ended")
                .help("assign it before that block");
        } else if let Some(near) = nearest(name, self.probe.vars.values().map(|var| var.name.as_str())) {
            diagnostic = diagnostic.help(format!("did you mean `${near}`?"));
        } else {
            diagnostic = diagnostic
                .help(format!("a variable lives for one run of one probe; what is to last longer is a map, `@{name}`"));
        }
        Err(self.note(diagnostic))
    }

    pub(super) fn name(&mut self, name: &str, span: Span) -> Checked<Expr> {
        if let Some((ty, value)) = self.params.find(name) {
            return Ok(param_constant(ty, &value, span));
        }
        let Some(builtin) = builtins::find(name) else {
            return match self.enumerator(name) {
                Some(value) => Ok(int(value as i64, if value > i64::MAX.into() { UINT64 } else { INT64 }, span)),
                None => self.unknown_name(name, span),
            };
        };
        match (builtin.origin)(&self.probe.attach) {
            Some(origin) => self.builtin(origin, &builtin.ty, span),
            None => {
                let kind = probe_kinds::of(&self.probe.attach).name;
                let message = format!("{kind} probes have no `{name}`");
                let diagnostic = Diagnostic::error(codes::NOT_HERE, span, message);
                Err(self.note(diagnostic.help(format!("it is the {}", builtin.doc))))
            }
        }
    }

    pub(super) fn builtin(&mut self, origin: Origin, ty: &Type, span: Span) -> Checked<Expr> {
        match (origin, self.probe.attach.clone()) {
            (Origin::Read(source), _) => Ok(typed(ExprKind::Read(source), ty.clone(), span)),
            (Origin::PossibleCpus, _) => Ok(int(self.kernel.possible_cpus().into(), ty.clone(), span)),
            (Origin::Command, _) => match self.traced {
                Traced::Command(pid) => Ok(int((*pid).into(), ty.clone(), span)),
                Traced::All | Traced::Processes(_) => {
                    let diagnostic =
                        Diagnostic::error(codes::NOT_HERE, span, "there is no command whose process this could be");
                    Err(self.note(diagnostic.help("run one with -c COMMAND")))
                }
            },
            (Origin::UserMode, _) => Ok(user_mode(span)),
            (Origin::Constant(number), _) => Ok(int(number, ty.clone(), span)),
            (Origin::TaskField(path), _) => self.task_field(path, span),
            (Origin::Returned, AttachSpec::Fentry { function, .. }) => self.returned(&function, span),
            (
                Origin::FunctionText,
                AttachSpec::Kprobe { function, .. }
                | AttachSpec::Fentry { function, .. }
                | AttachSpec::Uprobe { function, .. },
            ) => Ok(text_literal(&function, span)),
            (Origin::ProbeText | Origin::FunctionText | Origin::Returned, _) => {
                Ok(text_literal(&self.probe.text.clone(), span))
            }
        }
    }

    /// The value of a constant of the kernel's enumerations, whose names are in capitals.
    fn enumerator(&self, name: &str) -> Option<i128> {
        is_in_capitals(name).then(|| self.kernel.enumerator(name).ok()).flatten()
    }

    pub(super) fn unknown_name<T>(&mut self, name: &str, span: Span) -> Checked<T> {
        let mut diagnostic = Diagnostic::error(codes::UNKNOWN_NAME, span, format!("nothing is called `{name}`"));
        let builtins = builtins::BUILTINS
            .iter()
            .map(|builtin| builtin.name)
            .chain(["args", "false", "func", "pcomm", "ppid", "probe", "true"]);
        let near = nearest(name, builtins.chain(self.params.names()));
        diagnostic = if self.probe.find(name).is_some() {
            diagnostic.help(format!("the variable is written `${name}`"))
        } else if let Some(row) = functions::find(name) {
            diagnostic.help(format!("the function is called `{}`", row.syntax))
        } else if name == "args" {
            diagnostic.help("a field of it is written `args.FIELD`")
        } else if let Some(instead) = absent::instead_of(name) {
            diagnostic.help(instead)
        } else if let Some(near) = near {
            diagnostic.help(format!("did you mean `{near}`?"))
        } else if is_in_capitals(name) {
            diagnostic.help(format!(
                "constants of the kernel's enumerations are known, macros of C headers are not: write the number, \
                 or `param {name} = ...;`"
            ))
        } else {
            diagnostic.help(format!(
                "a variable is written `${name}`, a map `@{name}`, a parameter is declared with `param {name} = ...;`"
            ))
        };
        Err(self.note(diagnostic))
    }
}

fn is_in_capitals(name: &str) -> bool {
    !name.contains(|c: char| c.is_ascii_lowercase())
}

/// The lowest two bits of the code segment are the privilege level: 3 is that of processes.
fn user_mode(span: Span) -> Expr {
    let kind = FieldKind::Int { bytes: 8, signed: false };
    let segment = typed(ExprKind::Read(Source::Context { offset: PT_REGS_CS, kind }), UINT64, span);
    let level = binary_of(BinaryOp::And, segment, int(3, INT64, span), UINT64, span);
    compare_of(CmpOp::Eq, level, int(3, INT64, span), span)
}
