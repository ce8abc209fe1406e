//! The syntax tree: what was written, one type per production, a [`Span`] on every node.
//!
//! Names are not resolved and types not known here. `$x = 1` and `@m[k] += 2` are both an
//! [`Assign`](StmtKind::Assign); whether `pid` is a builtin or a parameter is the compiler's
//! question.

use crate::source::Span;

/// A whole script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// Parameters, map declarations and probes in the order in which they were written.
    pub items: Vec<Item>,
}

/// One top-level item.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `param log_step: uint64 = 50 in 1.. "help";`
    Param(Param),
    /// `let @m = lruhash(1024);`
    MapDecl(MapDecl),
    /// `kprobe:f or software:page-faults:1 /pid == 1/ { ... }`
    Probe(Probe),
}

/// A name where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The name: without `$` for a variable, without `@` for a map.
    pub name: String,
    /// Where, sigil included.
    pub span: Span,
}

/// A typed script parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: Ident,
    /// The type; absent when it is to be taken from the default.
    pub ty: Option<TypeName>,
    /// The default: an integer literal, possibly negated, a string, or the name `true` or `false`;
    /// absent when a value is required.
    pub default: Option<Expr>,
    /// The range of allowed values.
    pub range: Option<ParamRange>,
    /// The help text, unquoted.
    pub help: Option<String>,
    /// The whole declaration.
    pub span: Span,
}

/// `low..=high`, `low..`, `..=high`; both ends belong to the range.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamRange {
    /// The smallest allowed value.
    pub low: Option<Expr>,
    /// The largest allowed value.
    pub high: Option<Expr>,
    /// The range without `in`.
    pub span: Span,
}

/// `let @name = kind(size);`
#[derive(Clone, Debug, PartialEq)]
pub struct MapDecl {
    /// The map's name, without `@`.
    pub name: Ident,
    /// `hash`, `lruhash`, `percpuhash`, ...
    pub kind: Ident,
    /// How many entries it holds at most.
    pub size: Option<Expr>,
    /// The whole declaration.
    pub span: Span,
}

/// Attach points, predicate and body.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The comma list: the body is attached to each element of it.
    pub targets: Vec<Target>,
    /// `/expr/`
    pub predicate: Option<Expr>,
    /// `{ ... }`
    pub body: Block,
    /// The whole probe.
    pub span: Span,
}

/// `A or B or C`: the first that the kernel offers is attached. At least one element.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The alternatives in order of preference.
    pub alternatives: Vec<AttachPoint>,
    /// From the first to the last alternative.
    pub span: Span,
}

/// `kind:part:part`, for example `tracepoint:sched:sched_switch` or `BEGIN`.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachPoint {
    /// The probe kind as written (`kprobe`, `k`, `BEGIN`, ...).
    pub kind: Ident,
    /// What follows, split at the colons; parts may hold `*`, `-`, `.`, `/`, `+`.
    pub parts: Vec<Ident>,
    /// The whole attach point.
    pub span: Span,
}

/// Statements between braces.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The statements in order.
    pub stmts: Vec<Stmt>,
    /// With the braces.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// Without the semicolon.
    pub span: Span,
}

/// The kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// An expression for its effect: a call, `@m[k]++`.
    Expr(Expr),
    /// `place = value;`, or `place op= value;` with `op`.
    Assign {
        /// A variable, a map element, or anything else, which the checker refuses.
        place: Expr,
        /// The operator of a compound assignment.
        op: Option<BinaryOp>,
        /// The right-hand side.
        value: Expr,
    },
    /// `let $x: type = value;` with at least one of type and value... or neither.
    Let {
        /// The variable, without `$`.
        name: Ident,
        /// The declared type.
        ty: Option<DeclaredType>,
        /// The first value.
        value: Option<Expr>,
    },
    /// `if cond { } else { }`; an `else if` is an `otherwise` block holding one `If`.
    If {
        /// The condition, without parentheses.
        cond: Expr,
        /// Run when it is not zero.
        then: Block,
        /// Run when it is zero.
        otherwise: Option<Block>,
    },
    /// `every step of value { }`
    Every {
        /// The constant N.
        step: Expr,
        /// The X that must be a multiple of N.
        of: Expr,
        /// Run then.
        body: Block,
    },
    /// `for ($i : low..high) { }`, `high` excluded.
    ForRange {
        /// The loop variable, without `$`.
        var: Ident,
        /// First value.
        low: Expr,
        /// One past the last value.
        high: Expr,
        /// Run for each value.
        body: Block,
    },
    /// `for ($kv : @m) { }`
    ForMap {
        /// The variable that holds key and value, without `$`.
        var: Ident,
        /// The map, without `@`.
        map: Ident,
        /// Run for each entry.
        body: Block,
    },
    /// `unroll (n) { }`
    Unroll {
        /// The constant number of copies.
        count: Expr,
        /// The body.
        body: Block,
    },
    /// `return;`
    Return,
    /// `break;`
    Break,
    /// `continue;`
    Continue,
    /// A block with its own scope.
    Block(Block),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where; a parenthesised expression has the span of what is inside.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// An integer literal, its duration suffix applied (`5ms` is 5000000), never negative.
    Int(u64),
    /// A string literal with its escapes resolved.
    Str(String),
    /// `$1`: the positional parameter of that number, from 1.
    Positional(u32),
    /// `$#`
    PositionalCount,
    /// `$x`, the name without `$`.
    Var(String),
    /// `@m` or `@m[k, ...]`, the name without `@` (the anonymous map `@` has the empty name).
    Map(MapElement),
    /// A bare name: a builtin or a parameter.
    Name(String),
    /// `base.field`, also `base->field`; a tuple's element has a number for its name.
    Field {
        /// What has the field.
        base: Box<Expr>,
        /// The field.
        field: Ident,
    },
    /// `base[index]` of something that is not a map.
    Index {
        /// The array.
        base: Box<Expr>,
        /// Which element.
        index: Box<Expr>,
    },
    /// `callee(args)`
    Call {
        /// The function's name.
        callee: Ident,
        /// Its arguments.
        args: Vec<Arg>,
    },
    /// `-x`, `!x`, `~x`, `*x`
    Unary {
        /// The operator.
        op: UnaryOp,
        /// The operand.
        operand: Box<Expr>,
    },
    /// `a op b`
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// `cond ? then : otherwise`
    Ternary {
        /// The condition.
        cond: Box<Expr>,
        /// Value when it is not zero.
        then: Box<Expr>,
        /// Value when it is zero.
        otherwise: Box<Expr>,
    },
    /// `(type)x`
    Cast {
        /// The type.
        ty: TypeName,
        /// The operand.
        operand: Box<Expr>,
    },
    /// `place++`, `--place`, ...
    IncDec {
        /// `++` or `--`.
        op: IncDecOp,
        /// Before or after the place.
        fix: Fix,
        /// A variable or map element.
        place: Box<Expr>,
    },
    /// `(a, b)`; at least two elements.
    Tuple(Vec<Expr>),
}

/// `@name[keys]`
#[derive(Clone, Debug, PartialEq)]
pub struct MapElement {
    /// The map's name with the span of `@name`.
    pub map: Ident,
    /// The keys; empty for a map without a key.
    pub keys: Vec<Expr>,
}

/// An argument of a call: `value`, or `name = value` (in `emit`).
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// The given name.
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}

/// A type as written: `uint64`, `string`, `string[16]`, `struct task_struct *`.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeName {
    /// The name; of a struct without the word `struct`.
    pub name: String,
    /// Written with `struct` in front.
    pub is_struct: bool,
    /// The length in `string[16]`.
    pub length: Option<u64>,
    /// How many `*` follow.
    pub pointers: u32,
    /// Where.
    pub span: Span,
}

/// What a variable is declared to be.
#[derive(Clone, Debug, PartialEq)]
pub enum DeclaredType {
    /// `uint64`
    Named(TypeName),
    /// `(uint64, string[16])`
    Tuple {
        /// The types of its elements.
        elements: Vec<DeclaredType>,
        /// Where.
        span: Span,
    },
}

/// Unary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
    /// `~`
    BitNot,
    /// `*`
    Deref,
}

/// Binary operators, in C's order of precedence from tight to loose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `&`
    BitAnd,
    /// `^`
    BitXor,
    /// `|`
    BitOr,
    /// `&&`
    And,
    /// `||`
    Or,
}

/// `++` or `--`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncDecOp {
    /// `++`
    Inc,
    /// `--`
    Dec,
}

/// Where an [`IncDecOp`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Before the place: the value is the new one.
    Prefix,
    /// After the place: the value is the old one.
    Postfix,
}

impl UnaryOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Neg => "-",
            Self::Not => "!",
            Self::BitNot => "~",
            Self::Deref => "*",
        }
    }
}

impl BinaryOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Shl => "<<",
            Self::Shr => ">>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::BitAnd => "&",
            Self::BitXor => "^",
            Self::BitOr => "|",
            Self::And => "&&",
            Self::Or => "||",
        }
    }
}

impl Script {
    /// The parameters in order.
    pub fn params(&self) -> impl Iterator<Item = &Param> {
        self.items.iter().filter_map(|item| match item {
            Item::Param(param) => Some(param),
            _ => None,
        })
    }

    /// The map declarations in order.
    pub fn map_decls(&self) -> impl Iterator<Item = &MapDecl> {
        self.items.iter().filter_map(|item| match item {
            Item::MapDecl(decl) => Some(decl),
            _ => None,
        })
    }

    /// The probes in order.
    pub fn probes(&self) -> impl Iterator<Item = &Probe> {
        self.items.iter().filter_map(|item| match item {
            Item::Probe(probe) => Some(probe),
            _ => None,
        })
    }
}
