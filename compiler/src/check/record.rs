//! Records: what `emit`, `printf` and their kind send, laid out once for both sides.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::maps::Value;
use super::program::{Expr, ExprKind, StmtKind};
use super::types::Type;
use super::{Checked, Checker};
use crate::catalog::codes;
use crate::catalog::functions::FunctionRow;
use crate::format;
use crate::manifest::{
    Action, Constant, ConversionKind, FieldPlace, Format, FormatPiece, RecordField, RecordHeader, RecordLayout,
};

impl Checker<'_> {
    /// `emit(time, pid, n = @count)`
    pub(super) fn emit(&mut self, args: &[ast::Arg], span: Span) -> Checked<StmtKind> {
        let fields: Vec<Checked<_>> = args.iter().map(|arg| self.field_of(arg)).collect();
        let fields = fields.into_iter().collect::<Checked<Vec<(String, Expr)>>>()?;
        for (index, (name, value)) in fields.iter().enumerate() {
            if fields[..index].iter().any(|(taken, _)| taken == name) {
                let message = format!("two fields are called `{name}`");
                let diagnostic = Diagnostic::error(codes::FIELD_NAME, value.span, message);
                return Err(self.note(diagnostic.help("give one of them a name of its own: `name = value`")));
            }
        }
        Ok(self.record(Action::Emit { sequence: None }, fields, span))
    }

    /// An argument of `emit`: its name and value.
    fn field_of(&mut self, arg: &ast::Arg) -> Checked<(String, Expr)> {
        let (name, value) = (self.field_name(arg), self.expr(&arg.value));
        let (name, value) = (name?, value?);
        match value.ty {
            Type::Time => Ok((name, value)),
            _ => Ok((name, self.data(value)?)),
        }
    }

    /// The given name, or the last name of what is written.
    fn field_name(&mut self, arg: &ast::Arg) -> Checked<String> {
        if let Some(name) = &arg.name {
            return Ok(name.name.clone());
        }
        match name_of(&arg.value) {
            Some(name) => Ok(name.to_owned()),
            None => {
                let diagnostic = Diagnostic::error(codes::FIELD_NAME, arg.value.span, "this field needs a name");
                Err(self.note(diagnostic.help("write `name = value`")))
            }
        }
    }

    /// `printf("format", ...)`
    pub(super) fn printf(&mut self, args: &[ast::Arg], span: Span) -> Checked<StmtKind> {
        let (format, fields) = self.formatted("printf", args)?;
        Ok(self.record(Action::Printf(format), fields, span))
    }

    /// `errorf("format", ...)`, `warnf("format", ...)`
    pub(super) fn complain(&mut self, is_error: bool, args: &[ast::Arg], span: Span) -> Checked<StmtKind> {
        let (format, fields) = self.formatted(if is_error { "errorf" } else { "warnf" }, args)?;
        Ok(self.record(Action::Complain { is_error, format }, fields, span))
    }

    /// A format and what it shows.
    fn formatted(&mut self, name: &str, args: &[ast::Arg]) -> Checked<(Format, Vec<(String, Expr)>)> {
        let ast::ExprKind::Str(text) = &args[0].value.kind else {
            let message = "the format must be a string literal";
            let diagnostic = Diagnostic::error(codes::FORMAT, args[0].value.span, message);
            return Err(self.note(diagnostic.help(format!(r#"write `{name}("%d\n", x)`, or `print(x)`"#))));
        };
        let parsed = match format::parse(text) {
            Ok(parsed) => parsed,
            Err(why) => return self.error(codes::FORMAT, args[0].value.span, why),
        };
        let fields: Vec<Checked<_>> = args[1..].iter().map(|arg| self.data_expr(&arg.value)).collect();
        let fields = fields.into_iter().map(|field| Ok((String::new(), field?))).collect::<Checked<Vec<_>>>()?;
        let conversions: Vec<ConversionKind> = parsed
            .pieces
            .iter()
            .filter_map(|piece| match piece {
                FormatPiece::Conversion(conversion) => Some(conversion.kind),
                FormatPiece::Literal(_) => None,
            })
            .collect();
        self.conversions_fit(&conversions, &fields, args[0].value.span)?;
        Ok((parsed, fields))
    }

    fn conversions_fit(&mut self, kinds: &[ConversionKind], fields: &[(String, Expr)], at: Span) -> Checked<()> {
        if kinds.len() != fields.len() {
            let message = format!("the format has {}, {} given", conversions(kinds.len()), arguments(fields.len()));
            let diagnostic = Diagnostic::error(codes::FORMAT, at, message);
            return Err(self.note(diagnostic.help("each conversion (`%d`, `%s`, ...) shows one argument")));
        }
        for (kind, (_, value)) in kinds.iter().zip(fields) {
            match (kind, !value.ty.is_int()) {
                (ConversionKind::Str, true) => {}
                (ConversionKind::Str, false) => {
                    return self.unfit(value, "`%s` shows a string", "integers are shown by `%d`");
                }
                (_, true) => {
                    return self.unfit(
                        value,
                        "this conversion shows an integer",
                        "strings and tuples are shown by `%s`",
                    );
                }
                (_, false) => {}
            }
        }
        Ok(())
    }

    fn unfit(&mut self, value: &Expr, rule: &str, help: &str) -> Checked<()> {
        let message = format!("{rule}, this is {}", super::describe(&value.ty));
        let diagnostic = Diagnostic::error(codes::FORMAT, value.span, message);
        Err(self.note(diagnostic.help(help)))
    }

    /// `print(value)`: as text a `printf` of its own making.
    fn print_value(&mut self, value: &ast::Expr, span: Span) -> Checked<StmtKind> {
        let value = self.data_expr(value)?;
        let format = if value.ty.is_int() { "%d\n" } else { "%s\n" };
        let format = format::parse(format).expect("a good format");
        Ok(self.record(Action::PrintValue(format), vec![(String::new(), value)], span))
    }

    /// `print(@m[k])`: what it holds now, or, of an aggregation, when user space looks.
    fn print_element(&mut self, element: &ast::MapElement, span: Span) -> Checked<StmtKind> {
        let element = self.element(element)?;
        let map = element.map;
        let key = Type::Tuple(self.maps.key(map).unwrap_or_default().to_vec());
        let mut fields = vec![("key".to_owned(), Expr { kind: ExprKind::MapKey(element.clone()), ty: key, span })];
        match self.maps.value(map).cloned() {
            None if self.is_settled => return self.never_written(map, span),
            None => return Err(super::Reported),
            Some(Value::Aggregate(_)) => {}
            Some(Value::Data(ty)) => {
                fields.push(("value".to_owned(), Expr { kind: ExprKind::MapLoad(element), ty, span }));
            }
        }
        Ok(self.record(Action::PrintElement(map), fields, span))
    }

    /// `print(@m, top, div)`, `print(@m[k])`, `print(value)`
    pub(super) fn print(&mut self, row: &FunctionRow, args: &[ast::Arg], span: Span) -> Checked<StmtKind> {
        match &args[0].value.kind {
            ast::ExprKind::Map(element) if element.keys.is_empty() => {}
            ast::ExprKind::Map(element) if args.len() == 1 => return self.print_element(element, span),
            _ if args.len() == 1 => return self.print_value(&args[0].value, span),
            _ => {}
        }
        let map = self.whole_map(row, &args[0])?;
        let mut fields = Vec::new();
        for (arg, name) in args[1..].iter().zip(["top", "div"]) {
            fields.push((name.to_owned(), self.int_expr(&arg.value)?));
        }
        Ok(self.record(Action::PrintMap(map), fields, span))
    }

    /// Lays out a record, or finds the one that the same call got for another attach point.
    pub(super) fn record(&mut self, action: Action, fields: Vec<(String, Expr)>, span: Span) -> StmtKind {
        let (layout, fields) = lay_out(action, fields, span);
        let found = self.records.iter().position(|known| known.span == layout.span && *known == layout);
        let record = found.unwrap_or_else(|| {
            self.records.push(layout);
            self.records.len() - 1
        });
        StmtKind::Output { record, fields }
    }
}

/// The last name of what is written, if it ends in one.
pub(super) fn name_of(expr: &ast::Expr) -> Option<&str> {
    match &expr.kind {
        ast::ExprKind::Name(name) | ast::ExprKind::Var(name) => Some(name),
        ast::ExprKind::Field { field, .. } => {
            Some(field.name.as_str()).filter(|name| !name.starts_with(|c: char| c.is_ascii_digit()))
        }
        ast::ExprKind::Map(element) => Some(element.map.name.as_str()).filter(|name| !name.is_empty()),
        _ => None,
    }
}

fn lay_out(action: Action, fields: Vec<(String, Expr)>, span: Span) -> (RecordLayout, Vec<Expr>) {
    let mut end = RecordHeader::SIZE;
    let mut places = Vec::with_capacity(fields.len());
    let mut values = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let place = match (&value.kind, value.ty.data()) {
            (ExprKind::Int(number), _) if value.ty.is_int() => {
                FieldPlace::Constant(Constant::Int(shown(*number, &value.ty)))
            }
            (ExprKind::Str(text), _) => FieldPlace::Constant(Constant::Str(text.clone())),
            (_, None) => FieldPlace::Timestamp,
            (_, Some(ty)) => {
                let offset = end.next_multiple_of(ty.align());
                end = offset + ty.size();
                values.push(value);
                FieldPlace::At { offset, ty }
            }
        };
        places.push(RecordField { name, place });
    }
    let layout = RecordLayout { size: end.next_multiple_of(8), action, fields: places, span };
    (layout, values)
}

/// The number that the bits of a constant mean.
fn shown(bits: i64, ty: &Type) -> i128 {
    if ty.is_uint64() { i128::from(bits as u64) } else { i128::from(bits) }
}

fn conversions(count: usize) -> String {
    format!("{count} conversion{}", if count == 1 { "" } else { "s" })
}

fn arguments(count: usize) -> String {
    format!("{count} argument{}", if count == 1 { " is" } else { "s are" })
}
