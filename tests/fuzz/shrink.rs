//! Makes a failing script small: one edit after the other that keeps it failing.
//!
//! The edits come from the script's tree, so that most of them leave a script that parses; whether
//! it is still well typed shows when it is tried.

use std::ops::Range;
use std::time::{Duration, Instant};

use pfscript_grammar::ast::{Block, Expr, ExprKind, Item, Script, Stmt, StmtKind};
use pfscript_grammar::{SourceFile, parse};

/// How many edits are tried at most, and for how long: what the kernel takes a second to refuse
/// takes hours to shrink.
const MAX_TRIES: usize = 3000;
const PATIENCE: Duration = Duration::from_secs(60);

/// A part of the text, and what takes its place.
type Edit = (Range<usize>, String);

/// The smallest script that edits of `text` lead to and that still `fails`.
pub fn shrink(text: &str, mut fails: impl FnMut(&str) -> bool) -> String {
    let mut smallest = text.to_owned();
    let mut tries = 0;
    let start = Instant::now();
    let mut fails = |text: &str| start.elapsed() < PATIENCE && fails(text);
    while let Some(smaller) = smaller(&smallest, &mut tries, &mut fails) {
        smallest = smaller;
    }
    smallest
}

fn smaller(text: &str, tries: &mut usize, fails: &mut impl FnMut(&str) -> bool) -> Option<String> {
    let script = parse(&SourceFile::new("shrink", text)).ok()?;
    let mut edits = edits(&script, text);
    edits.sort_by_key(|(range, with)| std::cmp::Reverse(range.len() - with.len().min(range.len())));
    for (range, with) in edits.into_iter().filter(|(range, with)| with.len() < range.len()) {
        *tries += 1;
        if *tries > MAX_TRIES {
            return None;
        }
        let edited = format!("{}{with}{}", &text[..range.start], &text[range.end..]);
        if fails(&edited) {
            return Some(edited);
        }
    }
    None
}

fn edits(script: &Script, text: &str) -> Vec<Edit> {
    let mut collector = Collector { text, edits: Vec::new() };
    for item in &script.items {
        let span = match item {
            Item::Param(param) => param.span,
            Item::MapDecl(decl) => decl.span,
            Item::Probe(probe) => {
                probe.targets.iter().flat_map(|target| &target.alternatives).for_each(|point| {
                    collector.replace(point.span.range(), "BEGIN");
                    collector.replace(point.span.range(), "s:faults:1");
                });
                if let (Some(predicate), Some(last)) = (&probe.predicate, probe.targets.last()) {
                    let between = last.span.range().end..probe.body.span.range().start;
                    collector.replace(between, " ");
                    collector.expr(predicate);
                }
                collector.block(&probe.body);
                probe.span
            }
        };
        collector.remove(span.range());
    }
    collector.edits
}

struct Collector<'a> {
    text: &'a str,
    edits: Vec<Edit>,
}

impl Collector<'_> {
    fn replace(&mut self, range: Range<usize>, with: &str) {
        self.edits.push((range, with.to_owned()));
    }

    /// With the semicolon behind it.
    fn remove(&mut self, range: Range<usize>) {
        let rest = &self.text[range.end..];
        let semicolon = rest.len() - rest.trim_start().strip_prefix(';').unwrap_or(rest).len();
        self.replace(range.start..range.end + semicolon, "");
    }

    fn block(&mut self, block: &Block) {
        block.stmts.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let (exprs, blocks) = parts(stmt);
        self.remove(stmt.span.range());
        for block in blocks {
            self.replace(stmt.span.range(), &self.text[block.span.range()]);
            let inside = block.span.start as usize + 1..block.span.end as usize - 1;
            self.replace(stmt.span.range(), &self.text[inside]);
            self.block(block);
        }
        exprs.into_iter().for_each(|expr| self.expr(expr));
    }

    fn expr(&mut self, expr: &Expr) {
        for simple in ["1", "pid", "comm"] {
            self.replace(expr.span.range(), simple);
        }
        for child in children(expr) {
            self.replace(expr.span.range(), &format!("({})", &self.text[child.span.range()]));
            self.replace(expr.span.range(), &self.text[child.span.range()]);
            self.expr(child);
        }
    }
}

fn parts(stmt: &Stmt) -> (Vec<&Expr>, Vec<&Block>) {
    match &stmt.kind {
        StmtKind::Expr(expr) => (vec![expr], vec![]),
        StmtKind::Assign { place, value, .. } => (children(place).into_iter().chain([value]).collect(), vec![]),
        StmtKind::Let { value, .. } => (value.iter().collect(), vec![]),
        StmtKind::If { cond, then, otherwise } => (vec![cond], [then].into_iter().chain(otherwise).collect()),
        StmtKind::Every { step, of, body } => (vec![step, of], vec![body]),
        StmtKind::ForRange { low, high, body, .. } => (vec![low, high], vec![body]),
        StmtKind::Unroll { count, body } => (vec![count], vec![body]),
        StmtKind::ForMap { body, .. } => (vec![], vec![body]),
        StmtKind::Block(block) => (vec![], vec![block]),
        StmtKind::Return | StmtKind::Break | StmtKind::Continue => (vec![], vec![]),
    }
}

fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Map(element) => element.keys.iter().collect(),
        ExprKind::Call { args, .. } => args.iter().map(|arg| &arg.value).collect(),
        ExprKind::Field { base, .. } => vec![base],
        ExprKind::Index { base, index } => vec![base, index],
        ExprKind::Unary { operand, .. } | ExprKind::Cast { operand, .. } => vec![operand],
        ExprKind::Binary { lhs, rhs, .. } => vec![lhs, rhs],
        ExprKind::Ternary { cond, then, otherwise } => vec![cond, then, otherwise],
        ExprKind::IncDec { place, .. } => vec![place],
        ExprKind::Tuple(elements) => elements.iter().collect(),
        _ => vec![],
    }
}
