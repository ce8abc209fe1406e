//! Calls: those with a value, those that are statements, and aggregations.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::maps::{Value, lhist_steps};
use super::program::{Element, Expr, ExprKind, Stmt, StmtKind};
use super::types::{BOOL, DEFAULT_STRING_LEN, INT64, Pointee, Type, UINT64};
use super::{Checked, Checker};
use crate::catalog::builtins::Source;
use crate::catalog::functions::{self, Aggregation, FUNCTIONS, FunctionKind, FunctionRow};
use crate::catalog::helpers::Helper;
use crate::catalog::{codes, nearest};
use crate::format;
use crate::kernel::Unavailable;
use crate::manifest::{Action, MapRef, MapValue};

/// A string has fewer bytes than this.
const MAX_STRING_LEN: i64 = 256;

/// The most buckets of a linear histogram.
const MAX_BUCKETS: u64 = 1000;

impl Checker<'_> {
    fn function(&mut self, callee: &ast::Ident, args: &[ast::Arg], span: Span) -> Checked<&'static FunctionRow> {
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
        if let Some(near) = nearest(&callee.name, FUNCTIONS.iter().map(|row| row.name)) {
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
            FunctionKind::HasKey => (ExprKind::MapHasKey(self.element_argument(row, args, span)?), BOOL),
            FunctionKind::Str { kernel } => return self.read_string(args, !kernel, span),
            FunctionKind::Len => (ExprKind::MapLen(self.map_with_key(row, &args[0])?), INT64),
            FunctionKind::Strncmp => return self.strncmp(args, span),
            FunctionKind::Getopt => return self.getopt(args, span),
            FunctionKind::Nsecs => return self.nsecs_of(&args[0].value, span),
            FunctionKind::Symbol { user } => {
                let address = self.int_expr(&args[0].value)?;
                return Ok(Expr { ty: Type::Symbol { user }, span, ..address });
            }
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

    /// `str(x)` of a string literal or positional parameter is that text.
    fn read_string(&mut self, args: &[ast::Arg], user: bool, span: Span) -> Checked<Expr> {
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

    /// 0 when two texts begin alike.
    fn strncmp(&mut self, args: &[ast::Arg], span: Span) -> Checked<Expr> {
        let texts = [0, 1].map(|index| {
            let text = self.data_expr(&args[index].value)?;
            if text.ty.is_str() { Ok(text) } else { self.mismatch(&text, "a string") }
        });
        let most = self.string_length(&args[2].value);
        let [lhs, rhs] = texts;
        let (lhs, rhs, most) = (Box::new(lhs?), Box::new(rhs?), most?);
        Ok(Expr { kind: ExprKind::BytesCompare { equal: false, most: Some(most), lhs, rhs }, ty: BOOL, span })
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

    fn whole_map(&mut self, row: &FunctionRow, arg: &ast::Arg) -> Checked<MapRef> {
        match &arg.value.kind {
            ast::ExprKind::Map(element) if element.keys.is_empty() => Ok(self.map_named(&element.map)),
            _ => {
                let message = format!("{} needs a map", row.name);
                let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, arg.value.span, message);
                Err(self.note(diagnostic.help(format!("it is called `{}`", row.syntax))))
            }
        }
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
            | FunctionKind::Len
            | FunctionKind::Nsecs
            | FunctionKind::Strftime
            | FunctionKind::Symbol { .. }
            | FunctionKind::Kaddr
            | FunctionKind::HasKey
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

    /// `print(value)` is a `printf` of its own making.
    fn print_value(&mut self, value: &ast::Expr, span: Span) -> Checked<StmtKind> {
        let value = self.shown_expr(value)?;
        let format = if value.ty.is_int() { "%d\n" } else { "%s\n" };
        let format = format::parse(format).expect("a good format");
        Ok(self.record(Action::Printf(format), vec![(String::new(), value)], span))
    }

    fn print(&mut self, row: &FunctionRow, args: &[ast::Arg], span: Span) -> Checked<StmtKind> {
        match &args[0].value.kind {
            ast::ExprKind::Map(element) if element.keys.is_empty() => {}
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

    fn exit(&mut self, args: &[ast::Arg], span: Span) -> Checked<StmtKind> {
        let code = match args.first() {
            Some(code) => self.int_expr(&code.value)?,
            None => super::expr::int(0, INT64, span),
        };
        Ok(self.record(Action::Exit, vec![("code".to_owned(), code)], span))
    }

    /// `@m[k] = count()` and its kind; none when the call is not an aggregation.
    pub(super) fn aggregate(
        &mut self,
        element: &ast::MapElement,
        callee: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Checked<Option<StmtKind>> {
        let Some(FunctionRow { kind: FunctionKind::Aggregate(aggregation), .. }) = functions::find(&callee.name) else {
            return Ok(None);
        };
        self.function(callee, args, span)?;
        let value = match args.first() {
            Some(value) => self.int_expr(&value.value),
            None => Ok(super::expr::int(1, INT64, span)),
        };
        if value.is_err() && !self.is_settled {
            // It may be the map itself that the value is not known for.
            let supposed = self.aggregation(*aggregation, &INT64, args, span)?;
            self.suppose_value(element, supposed);
        }
        let value = match value {
            Ok(value) => value,
            // The place may have its errors too, and tell what the value is not known for.
            Err(reported) => return self.element(element).and(Err(reported)),
        };
        let map_value = self.aggregation(*aggregation, &value.ty, args, span)?;
        // Before the key, which may hold an element of this very map.
        let map = self.map_named(&element.map);
        self.learn_value(map, Value::Aggregate(map_value), span)?;
        let element = self.element(element)?;
        Ok(Some(StmtKind::Aggregate { element, value }))
    }

    fn aggregation(&mut self, aggregation: Aggregation, ty: &Type, args: &[ast::Arg], span: Span) -> Checked<MapValue> {
        let signed = !ty.is_uint64();
        Ok(match aggregation {
            Aggregation::Count => MapValue::Count,
            Aggregation::Sum => MapValue::Sum { signed },
            Aggregation::Min => MapValue::Min { signed },
            Aggregation::Max => MapValue::Max { signed },
            Aggregation::Avg => MapValue::Avg { signed },
            Aggregation::Stats => MapValue::Stats { signed },
            Aggregation::Hist => MapValue::Hist,
            Aggregation::Lhist => {
                let min = self.constant_expr(&args[1].value, "the lower end")?;
                let max = self.constant_expr(&args[2].value, "the upper end")?;
                let step = self.positive_constant(&args[3].value, "the step of lhist")?;
                if min >= max {
                    return self.error(codes::NOT_POSITIVE, span, format!("the range {min} to {max} is empty"));
                }
                if lhist_steps(min, max, step) > MAX_BUCKETS {
                    let message = format!("a linear histogram has at most {MAX_BUCKETS} buckets");
                    return self.error(codes::TOO_LONG, span, message);
                }
                MapValue::Lhist { min, max, step }
            }
        })
    }
}
