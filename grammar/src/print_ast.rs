//! The stable text form of a syntax tree, for `--dump-ast` and snapshots.
//!
//! One node a line, indented by two under its parent: the part it plays there if there are
//! several (`cond:`), what it is, and `line:column` of its first character.

use std::fmt::Write;

use crate::ast::*;
use crate::source::{SourceFile, Span};

/// The text form of `script`, which was parsed from `source`.
pub fn print_ast(script: &Script, source: &SourceFile) -> String {
    let mut printer = Printer { source, out: String::new(), indent: 0 };
    for item in &script.items {
        printer.item(item);
    }
    printer.out
}

struct Printer<'a> {
    source: &'a SourceFile,
    out: String,
    indent: usize,
}

impl Printer<'_> {
    fn line(&mut self, span: Span, text: &str) {
        let at = self.source.line_column(span.start);
        let (indent, line, column) = (self.indent * 2, at.line, at.column);
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "{:indent$}{text} {line}:{column}", "");
    }

    /// A node and, under it, what `children` prints.
    fn tree(&mut self, span: Span, text: &str, children: impl FnOnce(&mut Self)) {
        self.line(span, text);
        self.indent += 1;
        children(self);
        self.indent -= 1;
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Param(param) => self.param(param),
            Item::MapDecl(decl) => {
                let text = format!("map @{} {}", decl.name.name, decl.kind.name);
                self.tree(decl.span, &text, |p| p.optional("size: ", decl.size.as_ref()));
            }
            Item::Probe(probe) => self.probe(probe),
        }
    }

    fn param(&mut self, param: &Param) {
        let help = param.help.as_ref().map(|help| format!(" {help:?}")).unwrap_or_default();
        self.tree(param.span, &format!("param {}{help}", param.name.name), |p| {
            p.optional_type(param.ty.as_ref());
            p.optional("default: ", param.default.as_ref());
            if let Some(range) = &param.range {
                p.tree(range.span, "range", |p| {
                    p.optional("low: ", range.low.as_ref());
                    p.optional("high: ", range.high.as_ref());
                });
            }
        });
    }

    fn probe(&mut self, probe: &Probe) {
        self.tree(probe.span, "probe", |p| {
            for target in &probe.targets {
                p.target(target);
            }
            p.optional("predicate: ", probe.predicate.as_ref());
            p.block("", &probe.body);
        });
    }

    fn target(&mut self, target: &Target) {
        self.tree(target.span, "target", |p| {
            for point in &target.alternatives {
                let parts: String = point.parts.iter().map(|part| format!(":{}", part.name)).collect();
                p.line(point.span, &format!("attach {}{parts}", point.kind.name));
            }
        });
    }

    fn block(&mut self, role: &str, block: &Block) {
        self.tree(block.span, &format!("{role}block"), |p| {
            for stmt in &block.stmts {
                p.stmt(stmt);
            }
        });
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Expr(expr) => self.expr("", expr),
            StmtKind::Assign { place, op, value } => {
                let symbol = op.map(BinaryOp::symbol).unwrap_or_default();
                self.tree(stmt.span, &format!("assign {symbol}="), |p| p.exprs([place, value]));
            }
            StmtKind::Let { name, ty, value } => self.tree(stmt.span, &format!("let ${}", name.name), |p| {
                p.declared_type(ty.as_ref());
                p.optional("", value.as_ref());
            }),
            StmtKind::Return => self.line(stmt.span, "return"),
            StmtKind::Break => self.line(stmt.span, "break"),
            StmtKind::Continue => self.line(stmt.span, "continue"),
            StmtKind::Block(block) => self.block("", block),
            _ => self.compound(stmt),
        }
    }

    /// The statements that have blocks of their own.
    fn compound(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::If { cond, then, otherwise } => self.tree(stmt.span, "if", |p| {
                p.expr("cond: ", cond);
                p.block("then: ", then);
                if let Some(otherwise) = otherwise {
                    p.block("else: ", otherwise);
                }
            }),
            StmtKind::Every { step, of, body } => self.tree(stmt.span, "every", |p| {
                p.expr("step: ", step);
                p.expr("of: ", of);
                p.block("", body);
            }),
            StmtKind::ForRange { var, low, high, body } => {
                self.tree(stmt.span, &format!("for ${} in range", var.name), |p| {
                    p.expr("low: ", low);
                    p.expr("high: ", high);
                    p.block("", body);
                });
            }
            StmtKind::ForMap { var, map, body } => {
                self.tree(stmt.span, &format!("for ${} in map @{}", var.name, map.name), |p| p.block("", body));
            }
            StmtKind::Unroll { count, body } => self.tree(stmt.span, "unroll", |p| {
                p.expr("count: ", count);
                p.block("", body);
            }),
            // The simple ones are printed by `stmt`.
            _ => {}
        }
    }

    fn optional(&mut self, role: &str, expr: Option<&Expr>) {
        if let Some(expr) = expr {
            self.expr(role, expr);
        }
    }

    fn declared_type(&mut self, ty: Option<&DeclaredType>) {
        match ty {
            Some(DeclaredType::Named(ty)) => self.optional_type(Some(ty)),
            Some(tuple @ DeclaredType::Tuple { span, .. }) => {
                self.line(*span, &format!("type {}", declared_text(tuple)));
            }
            None => {}
        }
    }

    fn optional_type(&mut self, ty: Option<&TypeName>) {
        if let Some(ty) = ty {
            self.line(ty.span, &format!("type {}", type_text(ty)));
        }
    }

    fn exprs<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) {
        for expr in exprs {
            self.expr("", expr);
        }
    }

    fn expr(&mut self, role: &str, expr: &Expr) {
        let text = format!("{role}{}", head(&expr.kind));
        self.tree(expr.span, &text, |p| p.operands(&expr.kind));
    }

    fn operands(&mut self, kind: &ExprKind) {
        match kind {
            ExprKind::Map(element) => self.exprs(&element.keys),
            ExprKind::Tuple(elements) => self.exprs(elements),
            ExprKind::Field { base: operand, .. }
            | ExprKind::Unary { operand, .. }
            | ExprKind::Cast { operand, .. }
            | ExprKind::IncDec { place: operand, .. } => self.expr("", operand),
            ExprKind::Index { base, index } => self.exprs([&**base, &**index]),
            ExprKind::Binary { lhs, rhs, .. } => self.exprs([&**lhs, &**rhs]),
            ExprKind::Ternary { cond, then, otherwise } => self.exprs([&**cond, &**then, &**otherwise]),
            ExprKind::Call { args, .. } => {
                for arg in args {
                    let role = arg.name.as_ref().map(|name| format!("{} = ", name.name)).unwrap_or_default();
                    self.expr(&role, &arg.value);
                }
            }
            _ => {}
        }
    }
}

/// What an expression is, without its operands.
fn head(kind: &ExprKind) -> String {
    match kind {
        ExprKind::Int(value) => format!("int {value}"),
        ExprKind::Str(text) => format!("string {text:?}"),
        ExprKind::Positional(number) => format!("positional ${number}"),
        ExprKind::PositionalCount => "positional $#".into(),
        ExprKind::Var(name) => format!("var ${name}"),
        ExprKind::Map(element) => format!("map @{}", element.map.name),
        ExprKind::Name(name) => format!("name {name}"),
        ExprKind::Field { field, .. } => format!("field .{}", field.name),
        ExprKind::Index { .. } => "index".into(),
        ExprKind::Call { callee, .. } => format!("call {}", callee.name),
        ExprKind::Unary { op, .. } => format!("unary {}", op.symbol()),
        ExprKind::Binary { op, .. } => format!("binary {}", op.symbol()),
        ExprKind::Ternary { .. } => "ternary".into(),
        ExprKind::Cast { ty, .. } => format!("cast {}", type_text(ty)),
        ExprKind::IncDec { op, fix, .. } => inc_dec_text(*op, *fix).into(),
        ExprKind::Tuple(_) => "tuple".into(),
    }
}

fn inc_dec_text(op: IncDecOp, fix: Fix) -> &'static str {
    match (fix, op) {
        (Fix::Prefix, IncDecOp::Inc) => "prefix ++",
        (Fix::Prefix, IncDecOp::Dec) => "prefix --",
        (Fix::Postfix, IncDecOp::Inc) => "postfix ++",
        (Fix::Postfix, IncDecOp::Dec) => "postfix --",
    }
}

fn declared_text(ty: &DeclaredType) -> String {
    match ty {
        DeclaredType::Named(ty) => type_text(ty),
        DeclaredType::Tuple { elements, .. } => {
            let elements: Vec<String> = elements.iter().map(declared_text).collect();
            format!("({})", elements.join(", "))
        }
    }
}

/// A type as it is written.
fn type_text(ty: &TypeName) -> String {
    let prefix = if ty.is_struct { "struct " } else { "" };
    let length = ty.length.map(|length| format!("[{length}]")).unwrap_or_default();
    let gap = if ty.pointers > 0 { " " } else { "" };
    format!("{prefix}{}{length}{gap}{}", ty.name, "*".repeat(ty.pointers as usize))
}
