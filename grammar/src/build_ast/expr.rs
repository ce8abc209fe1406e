//! The productions of expressions, literals and types.

use pest::iterators::Pair;

use super::{Builder, expect_next, expect_only, parts};
use crate::ast::*;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::limits::MAX_DEPTH;
use crate::literal::{self, BadLiteral};
use crate::parse_tree::{PRECEDENCE, Rule};
use crate::source::Span;

/// An expression on its way into another.
struct Node {
    expr: Expr,
    /// Where it is with the parentheses around it.
    outer: Span,
    /// How many levels its tree has.
    depth: u32,
}

impl Builder {
    pub(super) fn expr(&self, pair: Pair<'_, Rule>) -> Expr {
        self.expr_node(pair).expr
    }

    /// `o0 ? t1 : o1 ? t2 : o2 ...`, flat in the pairs, folded from the right.
    fn expr_node(&self, pair: Pair<'_, Rule>) -> Node {
        let mut nodes: Vec<Node> = parts(pair).map(|part| self.arm(part)).collect();
        let mut last = nodes.pop().expect("an expression has an operation");
        while let (Some(then), Some(cond)) = (nodes.pop(), nodes.pop()) {
            last = self.ternary(cond, then, last);
        }
        last
    }

    fn arm(&self, pair: Pair<'_, Rule>) -> Node {
        if pair.as_rule() == Rule::expr { self.expr_node(pair) } else { self.operation(pair) }
    }

    fn ternary(&self, cond: Node, then: Node, otherwise: Node) -> Node {
        let span = cond.outer.to(otherwise.outer);
        let below = cond.depth.max(then.depth).max(otherwise.depth);
        let (cond, then, otherwise) = (Box::new(cond.expr), Box::new(then.expr), Box::new(otherwise.expr));
        self.node(ExprKind::Ternary { cond, then, otherwise }, span, below)
    }

    fn operation(&self, pair: Pair<'_, Rule>) -> Node {
        if let Some(span) = self.long_prefix_chain(&pair) {
            self.refuse_depth(span);
            return placeholder(span);
        }
        PRECEDENCE
            .map_primary(|primary| self.primary(primary))
            .map_prefix(|op, operand| self.prefix(op, operand))
            .map_postfix(|operand, op| self.postfix(operand, op))
            .map_infix(|lhs, op, rhs| self.infix(lhs, &op, rhs))
            .parse(pair.into_inner())
    }

    /// Where a chain of prefix operators begins that the Pratt parser should not recurse into.
    fn long_prefix_chain(&self, pair: &Pair<'_, Rule>) -> Option<Span> {
        let mut length = 0;
        for part in pair.clone().into_inner() {
            length = if is_prefix(part.as_rule()) { length + 1 } else { 0 };
            if length > MAX_DEPTH {
                return Some(self.span(&part));
            }
        }
        None
    }

    fn primary(&self, pair: Pair<'_, Rule>) -> Node {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::integer => ExprKind::Int(self.integer(&pair)),
            Rule::string => ExprKind::Str(self.string(&pair)),
            Rule::positional_count => ExprKind::PositionalCount,
            Rule::positional => ExprKind::Positional(self.positional(&pair)),
            Rule::variable => ExprKind::Var(self.sigil_name(&pair).name),
            Rule::map => return self.map(pair),
            Rule::call => return self.call(pair),
            Rule::group => return self.group(pair),
            _ => ExprKind::Name(pair.as_str().to_owned()),
        };
        Node { expr: Expr { kind, span }, outer: span, depth: 1 }
    }

    fn map(&self, pair: Pair<'_, Rule>) -> Node {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let map = self.sigil_name(&expect_next(&mut parts));
        let (keys, below) = split(parts.map(|key| self.expr_node(key)));
        self.node(ExprKind::Map(MapElement { map, keys }), span, below)
    }

    fn call(&self, pair: Pair<'_, Rule>) -> Node {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let callee = self.name(&expect_next(&mut parts));
        let mut below = 0;
        let args = parts.map(|arg| self.arg(arg, &mut below)).collect();
        self.node(ExprKind::Call { callee, args }, span, below)
    }

    fn arg(&self, pair: Pair<'_, Rule>, below: &mut u32) -> Arg {
        let mut parts = parts(pair);
        let first = expect_next(&mut parts);
        let (name, value) = match parts.next() {
            Some(value) => (Some(self.name(&first)), value),
            None => (None, first),
        };
        let node = self.expr_node(value);
        *below = node.depth.max(*below);
        Arg { name, value: node.expr }
    }

    fn group(&self, pair: Pair<'_, Rule>) -> Node {
        let span = self.span(&pair);
        let mut nodes: Vec<Node> = parts(pair).map(|part| self.expr_node(part)).collect();
        if nodes.len() == 1 {
            return Node { outer: span, ..nodes.pop().expect("there is one") };
        }
        let (elements, below) = split(nodes.into_iter());
        self.node(ExprKind::Tuple(elements), span, below)
    }

    fn prefix(&self, op: Pair<'_, Rule>, operand: Node) -> Node {
        let span = self.span(&op).to(operand.outer);
        let below = operand.depth;
        let operand = Box::new(operand.expr);
        let kind = match op.as_rule() {
            Rule::cast => ExprKind::Cast { ty: self.type_name(expect_only(op)), operand },
            Rule::pre_inc => self.inc_dec(IncDecOp::Inc, Fix::Prefix, operand),
            Rule::pre_dec => self.inc_dec(IncDecOp::Dec, Fix::Prefix, operand),
            Rule::neg => ExprKind::Unary { op: UnaryOp::Neg, operand },
            Rule::not => ExprKind::Unary { op: UnaryOp::Not, operand },
            Rule::bit_not => ExprKind::Unary { op: UnaryOp::BitNot, operand },
            _ => ExprKind::Unary { op: UnaryOp::Deref, operand },
        };
        self.node(kind, span, below)
    }

    fn postfix(&self, operand: Node, op: Pair<'_, Rule>) -> Node {
        let span = operand.outer.to(self.span(&op));
        let mut below = operand.depth;
        let operand = Box::new(operand.expr);
        let kind = match op.as_rule() {
            Rule::post_inc => self.inc_dec(IncDecOp::Inc, Fix::Postfix, operand),
            Rule::post_dec => self.inc_dec(IncDecOp::Dec, Fix::Postfix, operand),
            Rule::index => {
                let index = self.expr_node(expect_only(op));
                below = below.max(index.depth);
                ExprKind::Index { base: operand, index: Box::new(index.expr) }
            }
            _ => self.field(operand, op),
        };
        self.node(kind, span, below)
    }

    fn inc_dec(&self, op: IncDecOp, fix: Fix, place: Box<Expr>) -> ExprKind {
        self.check_sigil(&place);
        ExprKind::IncDec { op, fix, place }
    }

    fn field(&self, base: Box<Expr>, pair: Pair<'_, Rule>) -> ExprKind {
        let field = self.name(&expect_only(pair));
        if matches!(base.kind, ExprKind::Int(_)) {
            self.error(
                Diagnostic::error(codes::INTEGER, base.span.to(field.span), "there are no numbers with a fraction")
                    .help("all numbers are 64-bit integers: count in a smaller unit, for example in ns or per mille"),
            );
        }
        ExprKind::Field { base, field }
    }

    fn infix(&self, lhs: Node, op: &Pair<'_, Rule>, rhs: Node) -> Node {
        let span = lhs.outer.to(rhs.outer);
        let below = lhs.depth.max(rhs.depth);
        let (lhs, rhs) = (Box::new(lhs.expr), Box::new(rhs.expr));
        self.node(ExprKind::Binary { op: binary_op(op.as_rule()), lhs, rhs }, span, below)
    }

    /// A node above others of which the deepest has `below` levels.
    fn node(&self, kind: ExprKind, span: Span, below: u32) -> Node {
        if below >= MAX_DEPTH {
            self.refuse_depth(span);
            return placeholder(span);
        }
        Node { expr: Expr { kind, span }, outer: span, depth: below + 1 }
    }

    /// An integer, possibly negated, a string, or `true` or `false`.
    pub(super) fn literal(&self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let mut parts = pair.into_inner();
        let first = expect_next(&mut parts);
        if first.as_rule() == Rule::boolean {
            return Expr { kind: ExprKind::Name(first.as_str().to_owned()), span };
        }
        match parts.next() {
            Some(integer) => {
                let operand = Box::new(self.primary(integer).expr);
                Expr { kind: ExprKind::Unary { op: UnaryOp::Neg, operand }, span }
            }
            None => self.primary(first).expr,
        }
    }

    pub(super) fn string(&self, pair: &Pair<'_, Rule>) -> String {
        literal::string(pair.as_str()).unwrap_or_else(|bad| {
            self.bad_literal(codes::ESCAPE, pair, bad);
            String::new()
        })
    }

    fn integer(&self, pair: &Pair<'_, Rule>) -> u64 {
        literal::integer(pair.as_str()).unwrap_or_else(|bad| {
            self.bad_literal(codes::INTEGER, pair, bad);
            0
        })
    }

    fn bad_literal(&self, code: crate::Code, pair: &Pair<'_, Rule>, bad: BadLiteral) {
        let start = self.span(pair).start as usize;
        let span = Span::new(start + bad.at.start, start + bad.at.end);
        self.error(Diagnostic::error(code, span, bad.message).help(bad.help));
    }

    fn positional(&self, pair: &Pair<'_, Rule>) -> u32 {
        match pair.as_str()[1..].parse() {
            Ok(number @ 1..) => number,
            _ => {
                let message = format!("there is no positional parameter `{}`", pair.as_str());
                let help = "they are numbered from `$1`; `$#` is how many there are";
                self.error(Diagnostic::error(codes::INTEGER, self.span(pair), message).help(help));
                1
            }
        }
    }

    /// What a variable is declared to be: a type by its name, or a tuple of such.
    pub(super) fn declared_type(&self, pair: Pair<'_, Rule>) -> DeclaredType {
        match pair.as_rule() {
            Rule::tuple_type => DeclaredType::Tuple {
                span: self.span(&pair),
                elements: parts(pair).map(|element| self.declared_type(element)).collect(),
            },
            _ => DeclaredType::Named(self.type_name(pair)),
        }
    }

    pub(super) fn type_name(&self, pair: Pair<'_, Rule>) -> TypeName {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let base = expect_next(&mut parts);
        let is_struct = base.as_rule() == Rule::struct_type;
        let name = if base.as_rule() == Rule::basic_type { base } else { expect_only(base) };
        let mut ty = TypeName { name: name.as_str().to_owned(), is_struct, length: None, pointers: 0, span };
        for part in parts {
            match part.as_rule() {
                Rule::pointer => ty.pointers += 1,
                _ => ty.length = Some(self.integer(&expect_only(part))),
            }
        }
        ty
    }
}

/// The expressions and the depth of the deepest.
fn split(nodes: impl Iterator<Item = Node>) -> (Vec<Expr>, u32) {
    let mut below = 0;
    let exprs = nodes.map(|node| {
        below = node.depth.max(below);
        node.expr
    });
    (exprs.collect(), below)
}

fn placeholder(span: Span) -> Node {
    Node { expr: Expr { kind: ExprKind::Int(0), span }, outer: span, depth: 1 }
}

fn is_prefix(rule: Rule) -> bool {
    use Rule::*;
    matches!(rule, cast | pre_inc | pre_dec | neg | not | bit_not | deref)
}

fn binary_op(rule: Rule) -> BinaryOp {
    match rule {
        Rule::mul => BinaryOp::Mul,
        Rule::div => BinaryOp::Div,
        Rule::rem => BinaryOp::Rem,
        Rule::add => BinaryOp::Add,
        Rule::sub => BinaryOp::Sub,
        Rule::shl => BinaryOp::Shl,
        Rule::shr => BinaryOp::Shr,
        Rule::lt => BinaryOp::Lt,
        Rule::le => BinaryOp::Le,
        Rule::gt => BinaryOp::Gt,
        Rule::ge => BinaryOp::Ge,
        Rule::eq => BinaryOp::Eq,
        Rule::ne => BinaryOp::Ne,
        Rule::bit_and => BinaryOp::BitAnd,
        Rule::bit_xor => BinaryOp::BitXor,
        Rule::bit_or => BinaryOp::BitOr,
        Rule::and => BinaryOp::And,
        _ => BinaryOp::Or,
    }
}
