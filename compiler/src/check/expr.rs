//! Expressions: names resolved, types inferred, signs decided.

use pfscript_grammar::{Diagnostic, Span, ast, walk};

use super::constant::constant;
use super::maps::Value;
use super::params::text_len;
use super::program::{AddResult, Expr, ExprKind};
use super::types::{BOOL, DEFAULT_STRING_LEN, INT64, Pointee, Type, UINT64};
use super::{Checked, Checker, Reported};
use crate::catalog::builtins::{self, Origin};
use crate::catalog::{codes, functions, nearest, probe_kinds};
use crate::ir::{BinaryOp, CmpOp};
use crate::manifest::AttachSpec;
use crate::params::ParamValue;

/// An expression of known type.
pub fn typed(kind: ExprKind, ty: Type, span: Span) -> Expr {
    Expr { kind, ty, span }
}

/// An integer constant.
pub fn int(value: i64, ty: Type, span: Span) -> Expr {
    typed(ExprKind::Int(value), ty, span)
}

/// Arithmetic.
pub fn binary_of(op: BinaryOp, lhs: Expr, rhs: Expr, ty: Type, span: Span) -> Expr {
    typed(ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, ty, span)
}

fn compare_of(op: CmpOp, lhs: Expr, rhs: Expr, span: Span) -> Expr {
    typed(ExprKind::Compare { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, BOOL, span)
}

impl Checker<'_> {
    /// Any expression.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        let span = expr.span;
        match &expr.kind {
            ast::ExprKind::Int(value) => Ok(int_literal(*value, span)),
            ast::ExprKind::Str(text) => Ok(text_literal(text, span)),
            ast::ExprKind::Positional(number) => Ok(self.positional(*number, span)),
            ast::ExprKind::PositionalCount => Ok(int(self.positional.len() as i64, INT64, span)),
            ast::ExprKind::Var(name) => self.variable(name, span),
            ast::ExprKind::Map(element) => self.map_load(element, span),
            ast::ExprKind::Name(name) => self.name(name, span),
            ast::ExprKind::Field { base, field } => self.field(base, field, span),
            ast::ExprKind::Call { callee, args } => self.call(callee, args, span),
            ast::ExprKind::Unary { op, operand } => self.unary(*op, operand, span),
            ast::ExprKind::Binary { op, lhs, rhs } => self.binary(*op, lhs, rhs, span),
            ast::ExprKind::Ternary { cond, then, otherwise } => self.ternary(cond, then, otherwise, span),
            ast::ExprKind::Cast { ty, operand } => self.cast(ty, operand, span),
            ast::ExprKind::IncDec { op, fix, place } => self.inc_dec(*op, *fix, place, span),
            ast::ExprKind::Tuple(elements) => self.tuple(elements, span),
            ast::ExprKind::Index { .. } => self.not_supported(span, "an index into something that is not a map"),
        }
    }

    pub(super) fn not_supported<T>(&mut self, span: Span, what: &str) -> Checked<T> {
        self.error(codes::NOT_SUPPORTED, span, format!("{what} is not supported by this version of pfscript"))
    }

    /// An expression as a plain value: an address is a number.
    fn value(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        Ok(as_number(self.expr(expr)?))
    }

    /// An expression that is an integer.
    pub(super) fn int_expr(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        let checked = self.value(expr)?;
        if checked.ty.is_int() { Ok(checked) } else { self.mismatch(&checked, "an integer") }
    }

    /// `(a, b)`
    fn tuple(&mut self, elements: &[ast::Expr], span: Span) -> Checked<Expr> {
        // All of them, for each may have its errors, or teach a map something.
        let elements: Vec<Checked<Expr>> = elements.iter().map(|element| self.shown_expr(element)).collect();
        let elements = elements.into_iter().collect::<Checked<Vec<_>>>()?;
        let ty = Type::Tuple(elements.iter().map(|element| element.ty.clone()).collect());
        Ok(typed(ExprKind::Tuple(elements), ty, span))
    }

    /// An expression that has bytes: an integer, a string or a tuple.
    pub(super) fn data_expr(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        let checked = self.value(expr)?;
        self.data(checked)
    }

    fn data(&mut self, checked: Expr) -> Checked<Expr> {
        match checked.ty {
            Type::Int { .. } | Type::Str { .. } | Type::Tuple(_) => Ok(checked),
            _ => self.mismatch(&checked, "an integer or a string"),
        }
    }

    /// An expression that a variable can keep: data, or an address of which it is known what is there.
    pub(super) fn kept_expr(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        match self.expr(expr)? {
            address if matches!(address.ty, Type::Pointer(_)) => Ok(address),
            other => self.data(other),
        }
    }

    /// An expression that can be part of a key or be printed: data, or a stack.
    pub(super) fn shown_expr(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        let checked = self.expr(expr)?;
        self.shown(checked)
    }

    /// The same of an expression that is checked already.
    pub(super) fn shown(&mut self, checked: Expr) -> Checked<Expr> {
        let checked = as_number(checked);
        match checked.ty {
            Type::Int { .. }
            | Type::Str { .. }
            | Type::Stack { .. }
            | Type::Symbol { .. }
            | Type::Moment(_)
            | Type::Tuple(_) => Ok(checked),
            _ => self.mismatch(&checked, "an integer or a string"),
        }
    }

    /// A condition: an integer that is compared with zero.
    pub(super) fn condition(&mut self, expr: &ast::Expr) -> Checked<Expr> {
        let cond = self.int_expr(expr)?;
        if let (Some(value), true) = (constant(&cond), is_written_out(expr)) {
            let message = format!("the condition is always {}", if value != 0 { "true" } else { "false" });
            self.note(Diagnostic::warning(codes::CONSTANT_CONDITION, expr.span, message));
        }
        Ok(cond)
    }

    /// A constant of 1 or more.
    pub(super) fn positive_constant(&mut self, expr: &ast::Expr, what: &str) -> Checked<i64> {
        let checked = self.int_expr(expr)?;
        match constant(&checked) {
            Some(value) if value > 0 => Ok(value),
            Some(value) if checked.ty.is_uint64() && value < 0 => {
                self.error(codes::NOT_POSITIVE, expr.span, format!("{what} is at most {}", i64::MAX))
            }
            Some(value) => {
                self.error(codes::NOT_POSITIVE, expr.span, format!("{what} must be 1 or more, this is {value}"))
            }
            None => {
                let message = format!("{what} must be known when the script is compiled");
                let diagnostic = Diagnostic::error(codes::NOT_CONSTANT, expr.span, message)
                    .help("use a literal, a `param`, or arithmetic on them");
                Err(self.note(diagnostic))
            }
        }
    }

    fn positional(&mut self, number: u32, span: Span) -> Expr {
        match self.positional.get(number as usize - 1) {
            None => int(0, INT64, span),
            Some(text) => match text.parse::<i64>() {
                Ok(value) => int(value, INT64, span),
                Err(_) => text_literal(text, span),
            },
        }
    }

    fn variable(&mut self, name: &str, span: Span) -> Checked<Expr> {
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

    fn map_load(&mut self, element: &ast::MapElement, span: Span) -> Checked<Expr> {
        let element = self.element(element)?;
        if let Some(Value::Aggregate(value)) = self.maps.value(element.map).cloned() {
            let ty = self.aggregated_type(&value, span)?;
            return Ok(typed(ExprKind::MapAggregated(element), ty, span));
        }
        let ty = self.element_type(element.map, span)?;
        Ok(typed(ExprKind::MapLoad(element), ty, span))
    }

    fn name(&mut self, name: &str, span: Span) -> Checked<Expr> {
        if let Some((ty, value)) = self.params.find(name) {
            return Ok(param_constant(ty, &value, span));
        }
        let Some(builtin) = builtins::find(name) else { return self.unknown_name(name, span) };
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

    fn builtin(&mut self, origin: Origin, ty: &Type, span: Span) -> Checked<Expr> {
        match (origin, self.probe.attach.clone()) {
            (Origin::Read(source), _) => Ok(typed(ExprKind::Read(source), ty.clone(), span)),
            (Origin::PossibleCpus, _) => Ok(int(self.kernel.possible_cpus().into(), ty.clone(), span)),
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

    fn unknown_name<T>(&mut self, name: &str, span: Span) -> Checked<T> {
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
        } else if let Some(near) = near {
            diagnostic.help(format!("did you mean `{near}`?"))
        } else {
            diagnostic.help(format!(
                "a variable is written `${name}`, a map `@{name}`, a parameter is declared with `param {name} = ...;`"
            ))
        };
        Err(self.note(diagnostic))
    }

    fn unary(&mut self, op: ast::UnaryOp, operand: &ast::Expr, span: Span) -> Checked<Expr> {
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
    fn dereference(&mut self, operand: &ast::Expr, span: Span) -> Checked<Expr> {
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

    fn binary(&mut self, op: ast::BinaryOp, lhs: &ast::Expr, rhs: &ast::Expr, span: Span) -> Checked<Expr> {
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
    fn unlike<T>(&mut self, op: ast::BinaryOp, lhs: &Expr, rhs: &Expr) -> Checked<T> {
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

    fn string_binary(&mut self, op: ast::BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Checked<Expr> {
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

    /// `(a, b) == (c, d)`: two tuples of one type are equal when their bytes are.
    fn tuple_binary(&mut self, op: ast::BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Checked<Expr> {
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

    fn ternary(&mut self, cond: &ast::Expr, then: &ast::Expr, otherwise: &ast::Expr, span: Span) -> Checked<Expr> {
        let cond = self.condition(cond);
        let (then, otherwise) = (self.value(then), self.value(otherwise));
        let (cond, then, otherwise) = match (cond, then, otherwise) {
            // `@m = new ? comm : @m`: one side tells what the other is going to be.
            (_, Ok(known), Err(_)) | (_, Err(_), Ok(known)) if !self.is_settled => return Ok(known),
            (cond, then, otherwise) => (cond?, then?, otherwise?),
        };
        let ty = match then.ty.join(&otherwise.ty) {
            Some(ty) if ty.is_int() => ty.widened(),
            Some(ty) if ty.is_str() => ty,
            Some(ty @ Type::Tuple(_)) => ty.widened(),
            Some(_) => return self.mismatch(&then, "an integer or a string"),
            None => return self.mismatch(&otherwise, &format!("{} as on the left of `:`", super::describe(&then.ty))),
        };
        let [then, otherwise] = [then, otherwise].map(|arm| Box::new(converted(arm, &ty)));
        let cond = Box::new(cond);
        Ok(typed(ExprKind::Ternary { cond, then, otherwise }, ty, span))
    }

    /// The type that is written.
    pub(super) fn named_type(&mut self, written: &ast::TypeName) -> Checked<Type> {
        if written.is_struct || written.pointers > 0 {
            return self.pointer_type(written);
        }
        if written.name == "string" {
            let len = written.length.unwrap_or(DEFAULT_STRING_LEN.into());
            return match u32::try_from(len) {
                Ok(len @ 1..=256) => Ok(Type::Str { len }),
                _ => self.error(codes::UNKNOWN_TYPE, written.span, "a string has 1 to 256 bytes"),
            };
        }
        if let Some(ty) = Type::int_named(&written.name) {
            return Ok(ty);
        }
        let mut diagnostic =
            Diagnostic::error(codes::UNKNOWN_TYPE, written.span, format!("no type is called `{}`", written.name));
        if let Some(near) = nearest(&written.name, Type::INT_NAMES.into_iter().chain(["string"])) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        Err(self.note(diagnostic))
    }

    /// `struct name *`, `uint32 *`, `char *`
    fn pointer_type(&mut self, written: &ast::TypeName) -> Checked<Type> {
        let pointee = match (written.pointers, written.is_struct) {
            (0, true) => return self.not_supported(written.span, "a structure by value"),
            (1, true) => Pointee::Struct(self.structure(&written.name, written.span)?),
            (1, false) => match (written.name.as_str(), Type::int_named(&written.name)) {
                ("char", _) => Pointee::Text,
                (_, Some(Type::Int { bytes, signed })) => Pointee::Int { bytes, signed },
                // bpftrace lets the word `struct` be left out.
                _ => Pointee::Struct(self.structure(&written.name, written.span)?),
            },
            _ => Pointee::Unknown,
        };
        Ok(Type::Pointer(pointee))
    }

    fn cast(&mut self, ty: &ast::TypeName, operand: &ast::Expr, span: Span) -> Checked<Expr> {
        let ty = self.named_type(ty)?;
        let operand = self.value(operand)?;
        match (&ty, &operand.ty) {
            (Type::Int { .. }, Type::Int { .. }) => Ok(typed(ExprKind::Cast(Box::new(operand)), ty, span)),
            (Type::Pointer(_), Type::Int { .. }) => Ok(Expr { ty, span, ..operand }),
            (Type::Int { .. } | Type::Pointer(_), _) => self.mismatch(&operand, "an integer"),
            _ => self.not_supported(span, "a cast to a string"),
        }
    }

    fn inc_dec(&mut self, op: ast::IncDecOp, fix: ast::Fix, place: &ast::Expr, span: Span) -> Checked<Expr> {
        let delta = int(if op == ast::IncDecOp::Inc { 1 } else { -1 }, INT64, span);
        let result = if fix == ast::Fix::Prefix { AddResult::New } else { AddResult::Old };
        self.add_in_place(place, delta, result, span)
    }

    /// `place += delta`, with the value before or after it.
    pub(super) fn add_in_place(
        &mut self,
        place: &ast::Expr,
        delta: Expr,
        result: AddResult,
        span: Span,
    ) -> Checked<Expr> {
        match &place.kind {
            ast::ExprKind::Map(element) => {
                // Before the key, which may hold an element of this very map.
                self.note_assigned(element);
                let map = self.map_named(&element.map);
                self.learn_value(map, Value::Data(delta.ty.widened()), span)?;
                let element = self.element(element)?;
                let ty = self.element_type(element.map, span)?;
                Ok(typed(ExprKind::MapAdd { element, delta: Box::new(delta), result }, ty, span))
            }
            ast::ExprKind::Var(name) => {
                let read = self.variable(name, place.span)?;
                let ExprKind::Var(var) = read.kind else { return Err(Reported) };
                let read = as_number(read);
                if !read.ty.is_int() {
                    return self.mismatch(&read, "an integer");
                }
                self.probe.note_use(var, true);
                Ok(typed(ExprKind::VarAdd { var, delta: Box::new(delta), result }, read.ty, span))
            }
            _ => self.not_a_place(place),
        }
    }

    pub(super) fn not_a_place<T>(&mut self, place: &ast::Expr) -> Checked<T> {
        let mut diagnostic =
            Diagnostic::error(codes::NOT_A_PLACE, place.span, "only variables and map elements can be changed");
        if let ast::ExprKind::Name(name) = &place.kind {
            diagnostic = match self.params.find(name) {
                Some(_) => diagnostic.help(format!("`{name}` is a parameter: a constant of the compilation")),
                None => diagnostic.help(format!("a variable is written `${name}`, a map `@{name}`")),
            };
        } else if let ast::ExprKind::Index { base, .. } = &place.kind
            && let ast::ExprKind::Name(name) = &base.kind
        {
            diagnostic = diagnostic.help(format!("a map is written with `@`: `@{name}[...]`"));
        } else {
            diagnostic = diagnostic.help("a variable is written `$x`, a map `@x` or `@x[key]`");
        }
        Err(self.note(diagnostic))
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

/// An address is a number.
pub(super) fn as_number(expr: Expr) -> Expr {
    match expr.ty {
        Type::Pointer(_) => Expr { ty: UINT64, ..expr },
        _ => expr,
    }
}

/// Whether the value of `expr` is for all to see: no parameter, which others may set differently,
/// has a part in it, and it is more than a `1` that switches something on.
fn is_written_out(expr: &ast::Expr) -> bool {
    let mut is_written_out = !matches!(expr.kind, ast::ExprKind::Int(_));
    walk::expr(expr, &mut |part| {
        is_written_out &= !matches!(
            part.kind,
            ast::ExprKind::Name(_)
                | ast::ExprKind::Call { .. }
                | ast::ExprKind::Positional(_)
                | ast::ExprKind::PositionalCount
        );
    });
    is_written_out
}

fn int_literal(value: u64, span: Span) -> Expr {
    let ty = if value > i64::MAX as u64 { UINT64 } else { INT64 };
    int(value as i64, ty, span)
}

fn text_literal(text: &str, span: Span) -> Expr {
    typed(ExprKind::Str(text.to_owned()), Type::Str { len: text_len(text) }, span)
}

/// A parameter's value.
pub fn param_constant(ty: Type, value: &ParamValue, span: Span) -> Expr {
    match value {
        ParamValue::Int(value) => int(*value as i64, ty, span),
        ParamValue::Str(text) => text_literal(text, span),
    }
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
