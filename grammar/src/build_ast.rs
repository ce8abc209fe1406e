//! Parse tree to syntax tree: one function per production, named as the production.
//!
//! What pest accepts always becomes a tree. What is wrong with it all the same (an integer too
//! large, an assignment to a bare name, a tree too deep) is recorded in [`Builder::errors`], and a
//! placeholder stands in the tree, which is then not shown to anyone.

mod expr;

use std::cell::{Cell, RefCell};

use pest::iterators::{Pair, Pairs};

use crate::ast::*;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::limits::MAX_DEPTH;
use crate::parse_tree::Rule;
use crate::source::Span;

/// Builds trees from the pairs of one text.
#[derive(Default)]
pub(crate) struct Builder {
    /// Where the parsed text begins in the source.
    base: usize,
    /// Blocks around the current place.
    depth: Cell<u32>,
    /// Whether the depth has been complained about.
    too_deep: Cell<bool>,
    errors: RefCell<Vec<Diagnostic>>,
}

impl Builder {
    /// A builder for pairs of a text that begins at byte `base` of the source.
    pub(crate) fn new(base: usize) -> Self {
        Self { base, ..Self::default() }
    }

    /// What was found wrong.
    pub(crate) fn into_errors(self) -> Vec<Diagnostic> {
        self.errors.into_inner()
    }

    pub(crate) fn script(&self, script: Pair<'_, Rule>) -> Script {
        Script { items: script.into_inner().filter_map(|pair| self.item(pair)).collect() }
    }

    fn item(&self, pair: Pair<'_, Rule>) -> Option<Item> {
        match pair.as_rule() {
            Rule::param => Some(Item::Param(self.param(pair))),
            Rule::map_decl => Some(Item::MapDecl(self.map_decl(pair))),
            Rule::probe => Some(Item::Probe(self.probe(pair))),
            _ => None,
        }
    }

    fn param(&self, pair: Pair<'_, Rule>) -> Param {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let name = self.name(&expect_next(&mut parts));
        let mut param = Param { name, ty: None, default: None, range: None, help: None, span };
        for part in parts {
            match part.as_rule() {
                Rule::type_name => param.ty = Some(self.type_name(part)),
                Rule::literal => param.default = Some(self.literal(part)),
                Rule::range => param.range = Some(self.range(part)),
                _ => param.help = Some(self.string(&expect_only(part))),
            }
        }
        param
    }

    fn range(&self, pair: Pair<'_, Rule>) -> ParamRange {
        let form = expect_only(pair);
        let (rule, span) = (form.as_rule(), self.span(&form));
        let mut ends = parts(form).map(|end| self.literal(end));
        let low = if rule == Rule::range_up_to { None } else { ends.next() };
        ParamRange { low, high: ends.next(), span }
    }

    fn map_decl(&self, pair: Pair<'_, Rule>) -> MapDecl {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let name = self.sigil_name(&expect_next(&mut parts));
        let kind = self.name(&expect_next(&mut parts));
        MapDecl { name, kind, size: parts.next().map(|size| self.expr(size)), span }
    }

    fn probe(&self, pair: Pair<'_, Rule>) -> Probe {
        let span = self.span(&pair);
        let (mut targets, mut predicate, mut body) = (Vec::new(), None, None);
        for part in parts(pair) {
            match part.as_rule() {
                Rule::target => targets.push(self.target(part)),
                Rule::predicate => predicate = Some(self.predicate(part)),
                _ => body = Some(self.block(part)),
            }
        }
        Probe { targets, predicate, body: body.expect("a probe ends with its block"), span }
    }

    fn target(&self, pair: Pair<'_, Rule>) -> Target {
        let span = self.span(&pair);
        Target { alternatives: parts(pair).map(|point| self.attach_point(point)).collect(), span }
    }

    fn attach_point(&self, pair: Pair<'_, Rule>) -> AttachPoint {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let kind = self.name(&expect_next(&mut parts));
        AttachPoint { kind, parts: parts.map(|part| self.attach_part(&part)).collect(), span }
    }

    fn attach_part(&self, pair: &Pair<'_, Rule>) -> Ident {
        let quoted = pair.as_str().starts_with('"');
        let name = if quoted { self.string(pair) } else { pair.as_str().to_owned() };
        Ident { name, span: self.span(pair) }
    }

    fn predicate(&self, pair: Pair<'_, Rule>) -> Expr {
        self.expr(expect_only(pair))
    }

    fn block(&self, pair: Pair<'_, Rule>) -> Block {
        let span = self.span(&pair);
        let stmts = self.nested(span, || self.statements(pair.into_inner()));
        Block { stmts: stmts.unwrap_or_default(), span }
    }

    /// The statements among `pairs`.
    pub(crate) fn statements<'i>(&self, pairs: impl Iterator<Item = Pair<'i, Rule>>) -> Vec<Stmt> {
        let is_statement = |pair: &Pair<'_, Rule>| pair.as_rule() != Rule::EOI && !is_glue(pair.as_rule());
        pairs.filter(is_statement).map(|pair| self.statement(pair)).collect()
    }

    fn statement(&self, pair: Pair<'_, Rule>) -> Stmt {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::if_stmt => self.if_stmt(pair),
            Rule::every_stmt => self.every_stmt(pair),
            Rule::for_stmt => self.for_stmt(pair),
            Rule::unroll_stmt => self.unroll_stmt(pair),
            Rule::block_stmt => StmtKind::Block(self.block(expect_only(pair))),
            Rule::let_stmt => self.let_stmt(pair),
            Rule::return_stmt => StmtKind::Return,
            Rule::break_stmt => StmtKind::Break,
            Rule::continue_stmt => StmtKind::Continue,
            _ => self.effect_stmt(pair),
        };
        Stmt { kind, span }
    }

    fn if_stmt(&self, pair: Pair<'_, Rule>) -> StmtKind {
        let mut parts = parts(pair);
        let cond = self.expr(expect_next(&mut parts));
        let then = self.block(expect_next(&mut parts));
        StmtKind::If { cond, then, otherwise: self.otherwise(parts) }
    }

    /// What follows the first block of an `if`: `else if`s, and perhaps an `else` block.
    fn otherwise(&self, mut rest: Parts<'_>) -> Option<Block> {
        let next = rest.next()?;
        if next.as_rule() == Rule::block {
            return Some(self.block(next));
        }
        let start = self.span(&next);
        let stmt = self.nested(start, || self.else_if(next, rest))?;
        Some(Block { span: stmt.span, stmts: vec![stmt] })
    }

    fn else_if(&self, pair: Pair<'_, Rule>, rest: Parts<'_>) -> Stmt {
        let mut parts = pair.into_inner().filter(|part| part.as_rule() != Rule::keyword_else);
        let start = self.span(&expect_next(&mut parts));
        let cond = self.expr(expect_next(&mut parts));
        let then = self.block(expect_next(&mut parts));
        let otherwise = self.otherwise(rest);
        let end = otherwise.as_ref().map_or(then.span, |block| block.span);
        Stmt { kind: StmtKind::If { cond, then, otherwise }, span: start.to(end) }
    }

    fn every_stmt(&self, pair: Pair<'_, Rule>) -> StmtKind {
        let mut parts = parts(pair);
        let step = self.expr(expect_next(&mut parts));
        let of = self.expr(expect_next(&mut parts));
        StmtKind::Every { step, of, body: self.block(expect_next(&mut parts)) }
    }

    fn for_stmt(&self, pair: Pair<'_, Rule>) -> StmtKind {
        let mut parts = parts(pair);
        let var = self.sigil_name(&expect_next(&mut parts));
        let first = self.expr(expect_next(&mut parts));
        let next = expect_next(&mut parts);
        if next.as_rule() == Rule::expr {
            let high = self.expr(next);
            return StmtKind::ForRange { var, low: first, high, body: self.block(expect_next(&mut parts)) };
        }
        let map = self.iterated_map(first);
        StmtKind::ForMap { var, map, body: self.block(next) }
    }

    /// The map in `for ($kv : @m)`.
    fn iterated_map(&self, expr: Expr) -> Ident {
        match expr.kind {
            ExprKind::Map(MapElement { map, keys }) if keys.is_empty() => map,
            _ => {
                self.error(
                    Diagnostic::error(codes::UNEXPECTED, expr.span, "`for` runs over a range or over a whole map")
                        .help("write `for ($i : 0..10) { ... }` or `for ($kv : @m) { ... }`"),
                );
                Ident { name: String::new(), span: expr.span }
            }
        }
    }

    fn unroll_stmt(&self, pair: Pair<'_, Rule>) -> StmtKind {
        let mut parts = parts(pair);
        let count = self.expr(expect_next(&mut parts));
        StmtKind::Unroll { count, body: self.block(expect_next(&mut parts)) }
    }

    fn let_stmt(&self, pair: Pair<'_, Rule>) -> StmtKind {
        let mut parts = parts(pair).peekable();
        let name = self.sigil_name(&expect_next(&mut parts));
        let is_type = |part: &Pair<'_, Rule>| matches!(part.as_rule(), Rule::type_name | Rule::tuple_type);
        let ty = parts.next_if(is_type).map(|ty| self.declared_type(ty));
        StmtKind::Let { name, ty, value: parts.next().map(|value| self.expr(value)) }
    }

    fn effect_stmt(&self, pair: Pair<'_, Rule>) -> StmtKind {
        let mut parts = pair.into_inner();
        let place = self.expr(expect_next(&mut parts));
        let Some(op) = parts.next() else { return StmtKind::Expr(place) };
        self.check_sigil(&place);
        StmtKind::Assign { place, op: assign_op(op.as_rule()), value: self.expr(expect_next(&mut parts)) }
    }

    /// `x = 1` where `$x = 1` or `@x = 1` was meant.
    fn check_sigil(&self, place: &Expr) {
        if let ExprKind::Name(name) = &place.kind {
            self.error(
                Diagnostic::error(codes::SIGIL, place.span, format!("`{name}` cannot be assigned to"))
                    .label("a name without `$` or `@` is a builtin or a parameter")
                    .help(format!(
                        "write `${name}` for a variable of this probe, `@{name}` for a map that outlives it"
                    )),
            );
        }
    }

    /// Runs `build` one level deeper, unless that is too deep.
    fn nested<T>(&self, span: Span, build: impl FnOnce() -> T) -> Option<T> {
        if self.depth.get() == MAX_DEPTH {
            self.refuse_depth(span);
            return None;
        }
        self.depth.set(self.depth.get() + 1);
        let built = build();
        self.depth.set(self.depth.get() - 1);
        Some(built)
    }

    /// Says once that `span` goes too deep.
    fn refuse_depth(&self, span: Span) {
        if !self.too_deep.replace(true) {
            self.error(codes::too_deep(span));
        }
    }

    fn error(&self, diagnostic: Diagnostic) {
        self.errors.borrow_mut().push(diagnostic);
    }

    fn name(&self, pair: &Pair<'_, Rule>) -> Ident {
        Ident { name: pair.as_str().to_owned(), span: self.span(pair) }
    }

    /// The name behind `$` or `@`.
    fn sigil_name(&self, pair: &Pair<'_, Rule>) -> Ident {
        Ident { name: pair.as_str()[1..].to_owned(), span: self.span(pair) }
    }

    /// Where the pair is in the source, without the layout that pest may count to its end.
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        Span::new(self.base + pair.as_span().start(), self.base + end(pair.clone()))
    }
}

/// The end of the last token in `pair`.
fn end(pair: Pair<'_, Rule>) -> usize {
    let own = pair.as_span().end();
    pair.into_inner().next_back().map_or(own, end)
}

fn assign_op(rule: Rule) -> Option<BinaryOp> {
    Some(match rule {
        Rule::assign_add => BinaryOp::Add,
        Rule::assign_sub => BinaryOp::Sub,
        Rule::assign_mul => BinaryOp::Mul,
        Rule::assign_div => BinaryOp::Div,
        Rule::assign_rem => BinaryOp::Rem,
        Rule::assign_shl => BinaryOp::Shl,
        Rule::assign_shr => BinaryOp::Shr,
        Rule::assign_and => BinaryOp::BitAnd,
        Rule::assign_xor => BinaryOp::BitXor,
        Rule::assign_or => BinaryOp::BitOr,
        _ => return None,
    })
}

/// The children of a pair without the tokens that only hold it together.
type Parts<'i> = std::iter::Filter<Pairs<'i, Rule>, fn(&Pair<'i, Rule>) -> bool>;

fn parts(pair: Pair<'_, Rule>) -> Parts<'_> {
    pair.into_inner().filter(|part| !is_glue(part.as_rule()))
}

fn is_glue(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        keyword_param
            | keyword_in
            | keyword_let
            | keyword_or
            | keyword_if
            | keyword_else
            | keyword_every
            | keyword_of
            | keyword_for
            | keyword_unroll
            | keyword_struct
            | semicolon
            | comma
            | colon
            | question
            | assign
            | dots
            | dot
            | open_paren
            | close_paren
            | open_bracket
            | close_bracket
            | open_brace
            | close_brace
            | open_predicate
            | end_predicate
    )
}

fn expect_next<'i>(parts: &mut impl Iterator<Item = Pair<'i, Rule>>) -> Pair<'i, Rule> {
    parts.next().expect("the grammar has this part in the production")
}

fn expect_only(pair: Pair<'_, Rule>) -> Pair<'_, Rule> {
    expect_next(&mut parts(pair))
}
