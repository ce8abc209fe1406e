//! Calls: those with a value, those that are statements, and aggregations.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::maps::Value;
use super::program::{Element, Expr, ExprKind, Stmt, StmtKind};
use super::types::{BOOL, INT64, Type, UINT64};
use super::{Checked, Checker};
use crate::catalog::builtins::Source;
use crate::catalog::functions::{self, FUNCTIONS, FunctionKind, FunctionRow};
use crate::catalog::helpers::Helper;
use crate::catalog::{absent, codes, nearest};
use crate::kernel::Unavailable;
use crate::manifest::{Action, Format, FormatPiece, MapRef};

impl Checker<'_> {
    pub(super) fn function(
        &mut self,
        callee: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Checked<&'static FunctionRow> {
        let Some(row) = functions::find(&callee.name) else { return self.unknown_function(callee) };
        let (least, most) = row.arity;
        if (least..=most).contains(&args.len()) {
            return self.without_names(row, args);
        }
        let expected = match (least, most) {
            (0, 0) => "no arguments".to_owned(),
            (1, 1) => "one argument".to_owned(),
            (_, usize::MAX) => format!("at least {least} argument{}", if least == 1 { "" } else { "s" }),
            (least, most) if least == most => format!("{least} arguments"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        let message = format!("{} takes {expected}, {} given", row.name, args.len());
        let diagnostic = Diagnostic::error(codes::ARGUMENT_COUNT, span, message);
        Err(self.note(diagnostic.help(format!("it is called `{}`", row.syntax))))
    }

    fn without_names(&mut self, row: &'static FunctionRow, args: &[ast::Arg]) -> Checked<&'static FunctionRow> {
        match args.iter().find_map(|arg| arg.name.as_ref()) {
            Some(name) if row.kind != FunctionKind::Emit => {
                let message = format!("the arguments of {} have no names", row.name);
                let diagnostic = Diagnostic::error(codes::ARGUMENT_COUNT, name.span, message);
                Err(self.note(diagnostic.help("`==` compares; named fields are for emit()")))
            }
            _ => Ok(row),
        }
    }

    fn unknown_function<T>(&mut self, callee: &ast::Ident) -> Checked<T> {
        let message = format!("no function is called `{}`", callee.name);
        let mut diagnostic = Diagnostic::error(codes::UNKNOWN_FUNCTION, callee.span, message);
        if let Some(instead) = absent::instead_of(&callee.name) {
            diagnostic = diagnostic.help(instead);
        } else if let Some(near) = nearest(&callee.name, FUNCTIONS.iter().map(|row| row.name)) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        } else {
            let names: Vec<&str> = FUNCTIONS.iter().map(|row| row.name).collect();
            diagnostic = diagnostic.help(format!("the functions are {}", names.join(", ")));
        }
        Err(self.note(diagnostic))
    }

    /// A call as an expression.
    pub(super) fn call(&mut self, callee: &ast::Ident, args: &[ast::Arg], span: Span) -> Checked<Expr> {
        let row = self.function(callee, args, span)?;
        let (kind, ty) = match row.kind {
            FunctionKind::Delete => (ExprKind::MapDelete(self.element_argument(row, args, span)?), BOOL),
            FunctionKind::Find => return self.find_element(row, args, span),
            FunctionKind::HasKey => (ExprKind::MapHasKey(self.element_argument(row, args, span)?), BOOL),
            FunctionKind::Str { kernel } => return self.read_string(args, !kernel, span),
            FunctionKind::Len => return self.len(row, &args[0], span),
            FunctionKind::Strncmp => return self.strncmp(args, span),
            FunctionKind::Strcontains => return self.strcontains(args, span),
            FunctionKind::Getopt => return self.getopt(args, span),
            FunctionKind::Nsecs => return self.nsecs_of(&args[0].value, span),
            FunctionKind::Symbol { user } => {
                let address = self.int_expr(&args[0].value)?;
                let kind = if user { ExprKind::OfProcess(Box::new(address)) } else { address.kind };
                (kind, Type::Symbol { user })
            }
            FunctionKind::Stack => return self.stack(callee, args, span),
            FunctionKind::Kaddr => return self.kernel_address(&args[0].value, span),
            FunctionKind::Strftime => {
                let format = self.literal_text(&args[0].value, "the format")?;
                let moment = self.int_expr(&args[1].value)?;
                return Ok(Expr { ty: Type::Moment(format), ..moment });
            }
            FunctionKind::Aggregate(_) => {
                let message = format!("{}() only stands on the right of `@map = `", row.name);
                let diagnostic = Diagnostic::error(codes::NOT_HERE, span, message);
                return Err(self.note(diagnostic.help(format!("it is written `{}`", row.syntax))));
            }
            _ => {
                let diagnostic = Diagnostic::error(codes::NO_VALUE, span, format!("{}() has no value", row.name));
                return Err(self.note(diagnostic.help("call it in a statement of its own")));
            }
        };
        Ok(Expr { kind, ty, span })
    }

    /// `f(@m[k])` or `f(@m, k)`.
    fn element_argument(&mut self, row: &FunctionRow, args: &[ast::Arg], span: Span) -> Checked<Element> {
        match (&args[0].value.kind, args.get(1)) {
            (ast::ExprKind::Map(element), None) => self.element(element),
            (ast::ExprKind::Map(element), Some(key_ast)) if element.keys.is_empty() => {
                let map = self.map_named(&element.map);
                let key = self.key_parts(std::slice::from_ref(&key_ast.value))?;
                self.learn_key(map, &key, element.map.span)?;
                self.learn_key_names(map, std::slice::from_ref(&key_ast.value));
                Ok(Element { map, key })
            }
            _ => {
                let message = format!("{} needs an element of a map", row.name);
                let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, span, message);
                Err(self.note(diagnostic.help(format!("it is called `{}`", row.syntax))))
            }
        }
    }

    /// `find(@m, k, $x)`
    fn find_element(&mut self, row: &FunctionRow, args: &[ast::Arg], span: Span) -> Checked<Expr> {
        let ast::ExprKind::Var(name) = &args[2].value.kind else {
            let diagnostic =
                Diagnostic::error(codes::NOT_A_PLACE, args[2].value.span, "find needs a variable to assign to");
            return Err(self.note(diagnostic.help(format!("it is called `{}`", row.syntax))));
        };
        let element = self.element_argument(row, &args[..2], span)?;
        let ty = self.element_type(element.map, span)?;
        let known = self.probe.find(name);
        let var = known.unwrap_or_else(|| self.probe.declare(name, ty.widened(), args[2].value.span));
        // Whether the variable takes such a value; what it is does not matter.
        self.set_variable(var, Expr { kind: ExprKind::MapLoad(element.clone()), ty: ty.clone(), span })?;
        Ok(Expr { kind: ExprKind::MapFind { element, ty, var, is_new: known.is_none() }, ty: BOOL, span })
    }

    pub(super) fn whole_map(&mut self, row: &FunctionRow, arg: &ast::Arg) -> Checked<MapRef> {
        match &arg.value.kind {
            ast::ExprKind::Map(element) if element.keys.is_empty() => Ok(self.map_named(&element.map)),
            _ => {
                let message = format!("{} needs a map", row.name);
                let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, arg.value.span, message);
                Err(self.note(diagnostic.help(format!("it is called `{}`", row.syntax))))
            }
        }
    }

    /// `len(@m)`, `len(kstack)`, `len("text")`
    fn len(&mut self, row: &FunctionRow, arg: &ast::Arg, span: Span) -> Checked<Expr> {
        if self.is_whole_map(&arg.value) {
            return Ok(Expr { kind: ExprKind::MapLen(self.map_with_key(row, arg)?), ty: INT64, span });
        }
        let of = self.expr(&arg.value)?;
        match (&of.ty, &of.kind) {
            (Type::Str { .. }, _) => Ok(self.string_len(of, span)),
            (&Type::Stack { user, shape }, ExprKind::Read(_)) => {
                Ok(Expr { kind: ExprKind::StackLen { user, depth: shape.depth }, ty: INT64, span })
            }
            (Type::Stack { .. }, _) => {
                let diagnostic =
                    Diagnostic::error(codes::NOT_HERE, of.span, "of a stack that was kept only the number is known");
                Err(self.note(diagnostic.help("ask where it is taken, `len(kstack)`, and keep the answer")))
            }
            _ => self.mismatch(&of, "a map, a string or a stack"),
        }
    }

    /// `@m`, unless it is known for a map of one string.
    fn is_whole_map(&mut self, expr: &ast::Expr) -> bool {
        let ast::ExprKind::Map(element) = &expr.kind else { return false };
        let map = self.map_named(&element.map);
        let is_string = matches!(self.maps.value(map), Some(Value::Data(Type::Str { .. })));
        element.keys.is_empty() && !(is_string && self.maps.key(map) == Some(&[]))
    }

    pub(super) fn map_with_key(&mut self, row: &FunctionRow, arg: &ast::Arg) -> Checked<MapRef> {
        let map = self.whole_map(row, arg)?;
        match self.maps.key(map) {
            Some([]) => {
                let message = "this map has no key: it is one value, and has no elements to be counted";
                self.error(codes::KEY_SHAPE, arg.value.span, message)
            }
            None if self.is_settled => self.never_written(map, arg.value.span),
            // The key may be what is asked for here: `@m[len(@m)] = ...`.
            Some(_) | None => Ok(map),
        }
    }

    /// A call as a statement; false when it is an expression like any other.
    pub(super) fn call_stmt(
        &mut self,
        callee: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
        out: &mut Vec<Stmt>,
    ) -> Checked<bool> {
        let row = self.function(callee, args, span)?;
        let output = match row.kind {
            FunctionKind::Emit => self.emit(args, span)?,
            FunctionKind::Printf => self.printf(args, span)?,
            FunctionKind::Print => self.print(row, args, span)?,
            FunctionKind::Exit => self.exit(args, span)?,
            FunctionKind::Complain { is_error } => self.complain(is_error, args, span)?,
            FunctionKind::Assert => self.assert(args, span)?,
            FunctionKind::Clear => {
                let map = self.whole_map(row, &args[0])?;
                self.record(Action::Clear(map), Vec::new(), span)
            }
            FunctionKind::Zero => {
                let map = self.whole_map(row, &args[0])?;
                self.record(Action::Zero(map), Vec::new(), span)
            }
            FunctionKind::Retire => self.retire(row, args, span)?,
            FunctionKind::Summary => self.summary(row, &args[0], span)?,
            FunctionKind::Time => {
                let format = match args.first() {
                    Some(format) => self.literal_text(&format.value, "the format")?,
                    None => "%H:%M:%S\n".to_owned(),
                };
                self.record(Action::Time(format), Vec::new(), span)
            }
            FunctionKind::Delete
            | FunctionKind::Getopt
            | FunctionKind::Strncmp
            | FunctionKind::Strcontains
            | FunctionKind::Len
            | FunctionKind::Nsecs
            | FunctionKind::Strftime
            | FunctionKind::Symbol { .. }
            | FunctionKind::Kaddr
            | FunctionKind::Stack
            | FunctionKind::HasKey
            | FunctionKind::Find
            | FunctionKind::Str { .. }
            | FunctionKind::Aggregate(_) => {
                return Ok(false);
            }
        };
        out.push(Stmt { kind: output, span });
        if row.kind == FunctionKind::Exit {
            out.push(Stmt { kind: StmtKind::Return, span });
        }
        Ok(true)
    }

    /// `assert(condition, "text")`: an `if`.
    fn assert(&mut self, args: &[ast::Arg], span: Span) -> Checked<StmtKind> {
        let (cond, text) = (self.condition(&args[0].value), self.literal_text(&args[1].value, "the text"));
        let (cond, text) = (cond?, text?);
        let format = Format { pieces: vec![FormatPiece::Literal(text)] };
        let complaint = self.record(Action::Complain { is_error: true, format }, Vec::new(), span);
        let exit = self.record(Action::Exit, vec![("code".to_owned(), super::expr::int(1, INT64, span))], span);
        let otherwise = [complaint, exit, StmtKind::Return].map(|kind| Stmt { kind, span }).to_vec();
        Ok(StmtKind::If { cond, then: Vec::new(), otherwise })
    }

    fn literal_text(&mut self, expr: &ast::Expr, what: &str) -> Checked<String> {
        match &expr.kind {
            ast::ExprKind::Str(text) => Ok(text.clone()),
            _ => self.error(codes::NOT_CONSTANT, expr.span, format!("{what} is a string literal")),
        }
    }

    fn getopt(&mut self, args: &[ast::Arg], span: Span) -> Checked<Expr> {
        let name = self.literal_text(&args[0].value, "the name of an option")?;
        match self.params.find(&name) {
            Some((ty, value)) => Ok(super::expr::param_constant(ty, &value, span)),
            None => Err(super::Reported), // its declaration was refused
        }
    }

    fn kernel_address(&mut self, name: &ast::Expr, span: Span) -> Checked<Expr> {
        let symbol = self.literal_text(name, "the name of a symbol")?;
        match self.kernel.symbol_address(&symbol) {
            Ok(address) => Ok(super::expr::int(address as i64, UINT64, span)),
            Err(Unavailable::NotFound) => {
                let message = format!("nothing in this kernel is called `{symbol}`");
                self.error(codes::UNKNOWN_NAME, name.span, message)
            }
            Err(Unavailable::Unknown(why)) => {
                let message = format!("the address of `{symbol}` cannot be learnt: {why}");
                self.error(codes::UNKNOWN_NAME, name.span, message)
            }
        }
    }

    fn nsecs_of(&mut self, kind: &ast::Expr, span: Span) -> Checked<Expr> {
        let helper = match &kind.kind {
            ast::ExprKind::Name(name) if name == "monotonic" => Helper::KtimeGetNs,
            ast::ExprKind::Name(name) if name == "boot" => Helper::KtimeGetBootNs,
            _ => {
                let diagnostic = Diagnostic::error(codes::NOT_CONSTANT, kind.span, "no clock is called that");
                return Err(self.note(diagnostic.help("write `nsecs(monotonic)` or `nsecs(boot)`")));
            }
        };
        Ok(Expr { kind: ExprKind::Read(Source::Helper(helper)), ty: UINT64, span })
    }

    fn exit(&mut self, args: &[ast::Arg], span: Span) -> Checked<StmtKind> {
        let code = match args.first() {
            Some(code) => self.int_expr(&code.value)?,
            None => super::expr::int(0, INT64, span),
        };
        Ok(self.record(Action::Exit, vec![("code".to_owned(), code)], span))
    }
}
