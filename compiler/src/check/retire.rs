//! `retire(@m[k])` and `summary(@m)`: what a map has held, elements that are gone included.
//!
//! What an element came to is added to a tally in the kernel when it is retired, so that sum and
//! number are exact whatever becomes of the record that tells user space which element it was.

use pfscript_grammar::{Diagnostic, Span, ast};

use super::maps::{Value, describe_shape};
use super::program::{Element, Expr, ExprKind, Stmt, StmtKind};
use super::types::{BOOL, Type, UINT64};
use super::{Checked, Checker};
use crate::catalog::codes;
use crate::catalog::functions::FunctionRow;
use crate::manifest::{Action, MapRef, MapValue, RETIRED_NAME};

impl Checker<'_> {
    /// Where there is such an element: adds it to the tally, tells of it, deletes it.
    pub(super) fn retire(&mut self, row: &FunctionRow, args: &[ast::Arg], span: Span) -> Checked<StmtKind> {
        let ast::ExprKind::Map(written) = &args[0].value.kind else {
            let message = format!("{} needs an element of a map", row.name);
            let diagnostic = Diagnostic::error(codes::TYPE_MISMATCH, args[0].value.span, message);
            return Err(self.note(diagnostic.help(format!("it is called `{}`", row.syntax))));
        };
        let name = args.get(1).map(|name| self.name_shown(&name.value)).transpose();
        let value = self.map_load(written, args[0].value.span)?;
        let element = self.element(written)?;
        if element.key.is_empty() {
            let message = "this map has no key: it is one value, and has no elements to be taken out";
            return self.error(codes::KEY_SHAPE, args[0].value.span, message);
        }
        self.adds_up(row, element.map, args[0].value.span)?;
        let mut fields: Vec<_> = element.key.iter().map(|part| (String::new(), part.clone())).collect();
        fields.insert(0, (String::new(), value));
        fields.extend(name?.map(|name| (RETIRED_NAME.to_owned(), name)));
        let StmtKind::Output { record, fields } = self.record(Action::Retire(element.map), fields, span) else {
            unreachable!("a record is put out")
        };
        Ok(StmtKind::If {
            cond: about(ExprKind::MapHasKey(element.clone()), BOOL, span),
            then: vec![
                Stmt { kind: StmtKind::Retire { map: element.map, record, fields }, span },
                Stmt { kind: StmtKind::Eval(deletion(element, span)), span },
            ],
            otherwise: Vec::new(),
        })
    }

    /// `summary(@m)`
    pub(super) fn summary(&mut self, row: &FunctionRow, arg: &ast::Arg, span: Span) -> Checked<StmtKind> {
        let map = self.map_with_key(row, arg)?;
        self.adds_up(row, map, arg.value.span)?;
        let retired = [ExprKind::RetiredCount(map), ExprKind::RetiredSum(map)];
        let fields = retired.map(|kind| (String::new(), about(kind, UINT64, span)));
        Ok(self.record(Action::Summary(map), fields.into(), span))
    }

    fn name_shown(&mut self, name: &ast::Expr) -> Checked<Expr> {
        let name = self.kept_expr(name)?;
        if name.ty.is_str() { Ok(name) } else { self.mismatch(&name, "a string") }
    }

    /// Only of what can be added up a sum says anything.
    fn adds_up(&mut self, row: &FunctionRow, map: MapRef, span: Span) -> Checked<()> {
        let value = match self.maps.value(map) {
            None | Some(Value::Data(Type::Int { .. })) => return Ok(()),
            Some(Value::Aggregate(MapValue::Count | MapValue::Sum { .. })) => return Ok(()),
            Some(value) => describe_shape(value),
        };
        let message = format!("{}() is for maps whose values add up, this one holds {value}", row.name);
        let diagnostic = Diagnostic::error(codes::VALUE_SHAPE, span, message);
        Err(self.note(diagnostic.help("integers, `count()` and `sum()` add up")))
    }
}

fn deletion(element: Element, span: Span) -> Expr {
    about(ExprKind::MapDelete(element), BOOL, span)
}

fn about(kind: ExprKind, ty: Type, span: Span) -> Expr {
    Expr { kind, ty, span }
}
