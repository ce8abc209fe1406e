//! The checked program: every name resolved, every expression typed, every constant known.
//! Whatever lowering meets here can be lowered.

use cranelift_entity::{PrimaryMap, entity_impl};
use pfscript_grammar::{Diagnostic, Span};

use super::types::Type;
use crate::catalog::builtins::Source;
use crate::ir::{BinaryOp, CmpOp};
use crate::manifest::{AttachSpec, MapInfo, MapRef, RecordLayout};

/// A script that means something.
#[derive(Clone, Debug, Default)]
pub struct CheckedProgram {
    /// One for each element of the probes' comma lists, in the script's order.
    pub targets: Vec<CheckedTarget>,
    /// The maps with their final layouts.
    pub maps: Vec<MapInfo>,
    /// The records with their final layouts.
    pub records: Vec<RecordLayout>,
    /// How many values of a key a per-CPU map holds; 0 when no program wants to know.
    pub possible_cpus: u32,
    /// Remarks for `-v` and the dumps.
    pub notes: Vec<String>,
    /// What is legal but surely not meant.
    pub warnings: Vec<Diagnostic>,
}

/// `A or B or C` with the body, checked for each alternative.
#[derive(Clone, Debug)]
pub struct CheckedTarget {
    /// In order of preference.
    pub alternatives: Vec<CheckedProbe>,
    /// Where it is written.
    pub span: Span,
}

/// What becomes one eBPF program.
#[derive(Clone, Debug)]
pub struct CheckedProbe {
    /// The program's symbol.
    pub symbol: String,
    /// What it is attached to.
    pub attach: AttachSpec,
    /// The attach point spelled out in full.
    pub probe: String,
    /// Where the attach point is written.
    pub span: Span,
    /// The body runs when this is not zero.
    pub predicate: Option<Expr>,
    /// The statements.
    pub body: Vec<Stmt>,
    /// The scratch variables.
    pub vars: PrimaryMap<Var, VarData>,
}

/// A scratch variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(u32);
entity_impl!(Var, "$");

/// A scratch variable's contents.
#[derive(Clone, Debug)]
pub struct VarData {
    /// Its name, without `$`.
    pub name: String,
    /// Its type: anything but a narrow integer.
    pub ty: Type,
    /// Where it is first assigned.
    pub span: Span,
}

/// A typed expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its type.
    pub ty: Type,
    /// Where it is written.
    pub span: Span,
}

/// Which value an addition in place has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddResult {
    /// The one before (`x++`).
    Old,
    /// The one after (`++x`).
    New,
}

/// The kinds of typed expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number, as the bits of its 64-bit value.
    Int(i64),
    /// A text.
    Str(String),
    /// A variable.
    Var(Var),
    /// A builtin or field, read from where its row says.
    Read(Source),
    /// A map element's value.
    MapLoad(Element),
    /// A map element's key, as the kernel has it: a tuple.
    MapKey(Element),
    /// What an element's aggregation came to so far, of all CPUs.
    MapAggregated(Element),
    /// How many elements a map has.
    MapLen(MapRef),
    /// 1 when there is such an element.
    MapHasKey(Element),
    /// 1 when there is such an element, whose value becomes the variable's.
    MapFind {
        /// The element.
        element: Element,
        /// The type of its value.
        ty: Type,
        /// The variable.
        var: Var,
        /// It has no value before.
        is_new: bool,
    },
    /// Removes the element; 1 when there was one.
    MapDelete(Element),
    /// How many elements were retired from a map.
    RetiredCount(MapRef),
    /// The sum of their values.
    RetiredSum(MapRef),
    /// One atomic addition to a map element.
    MapAdd {
        /// The element.
        element: Element,
        /// What is added.
        delta: Box<Expr>,
        /// Which value it has.
        result: AddResult,
    },
    /// An addition to a variable.
    VarAdd {
        /// The variable.
        var: Var,
        /// What is added.
        delta: Box<Expr>,
        /// Which value it has.
        result: AddResult,
    },
    /// Arithmetic, the sign resolved.
    Binary {
        /// Which operation.
        op: BinaryOp,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// A comparison of integers, the sign resolved.
    Compare {
        /// Which comparison.
        op: CmpOp,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// A comparison of two strings, or of two tuples of the same type.
    BytesCompare {
        /// `==`, else `!=`.
        equal: bool,
        /// Only so many bytes matter.
        most: Option<u32>,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// `&&` or `||`: the right side runs only when the left does not decide.
    Logical {
        /// `&&`, else `||`.
        is_and: bool,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `tuple.0`
    Element {
        /// The tuple.
        tuple: Box<Expr>,
        /// Which element, from 0.
        index: usize,
    },
    /// `cond ? then : otherwise`, both of the expression's type.
    Ternary {
        /// The condition.
        cond: Box<Expr>,
        /// Value when it is not zero.
        then: Box<Expr>,
        /// Value when it is zero.
        otherwise: Box<Expr>,
    },
    /// An integer cut to the width of the expression's type, or a tuple laid out as it.
    Cast(Box<Expr>),
    /// An integer at an address; 0 when it cannot be read.
    ReadInt {
        /// In user space, else in the kernel.
        user: bool,
        /// Width in bytes.
        bytes: u8,
        /// Sign-extended, else zero-extended.
        signed: bool,
        /// The address.
        addr: Box<Expr>,
    },
    /// An integer in an array in the context; 0 behind its end.
    FieldElement {
        /// Bytes from the context's start to the array.
        offset: i16,
        /// Width of an element in bytes.
        bytes: u8,
        /// Sign-extended, else zero-extended.
        signed: bool,
        /// How many elements there are.
        len: u32,
        /// Which.
        index: Box<Expr>,
    },
    /// A byte of a string; 0 behind its end.
    StrByte {
        /// The string.
        text: Box<Expr>,
        /// Which.
        index: Box<Expr>,
    },
    /// The length of a string.
    StrLen(Box<Expr>),
    /// 1 when a string is somewhere in another.
    Contains {
        /// The other.
        text: Box<Expr>,
        /// The one.
        part: Box<Expr>,
    },
    /// The number of frames of the stack at the probe.
    StackLen {
        /// Of the process, else of the kernel.
        user: bool,
        /// The most frames.
        depth: u32,
    },
    /// An address, with the process that it is in.
    OfProcess(Box<Expr>),
    /// `str(address)`
    ReadStr {
        /// In user space, else in the kernel.
        user: bool,
        /// The address.
        addr: Box<Expr>,
    },
}

/// `@map[key]`
#[derive(Clone, Debug)]
pub struct Element {
    /// The map.
    pub map: MapRef,
    /// The key's parts; a tuple among them stands for its elements.
    pub key: Vec<Expr>,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// Where it is written.
    pub span: Span,
}

/// A variable from outside a loop's body that the body uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterVar {
    /// The variable.
    pub var: Var,
    /// The body changes it.
    pub is_changed: bool,
}

/// The kinds of statements.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// An expression for its effect.
    Eval(Expr),
    /// `$x = value`
    SetVar {
        /// The variable.
        var: Var,
        /// The value.
        value: Expr,
    },
    /// `@m[k] = value`
    SetMap {
        /// The element.
        element: Element,
        /// The value.
        value: Expr,
    },
    /// Adds an element of a map to the tally of those that were retired, and tells of it.
    Retire {
        /// The map.
        map: MapRef,
        /// The layout of the record that tells of it.
        record: usize,
        /// Its fields that have bytes in it; the first is the element's value.
        fields: Vec<Expr>,
    },
    /// `@m[k] = count()` and its kind.
    Aggregate {
        /// The element.
        element: Element,
        /// The value taken in.
        value: Expr,
    },
    /// `if`
    If {
        /// The condition.
        cond: Expr,
        /// Run when it is not zero.
        then: Vec<Stmt>,
        /// Run when it is zero.
        otherwise: Vec<Stmt>,
    },
    /// `every step of value`
    Every {
        /// N, not zero: the bits of a `uint64`.
        step: i64,
        /// X.
        of: Expr,
        /// Run when X is a positive multiple of N.
        body: Vec<Stmt>,
    },
    /// `for ($i : low..high)`
    ForRange {
        /// The loop variable.
        var: Var,
        /// First value.
        low: i64,
        /// One past the last value.
        high: i64,
        /// Run for each value.
        body: Vec<Stmt>,
    },
    /// `for ($kv : @m)`
    ForMap {
        /// The map.
        map: MapRef,
        /// The variable that holds key and value.
        var: Var,
        /// The variables from outside that the body uses.
        outer: Vec<OuterVar>,
        /// Run for each element.
        body: Vec<Stmt>,
    },
    /// `unroll(n)`
    Unroll {
        /// How many copies.
        count: u32,
        /// The body.
        body: Vec<Stmt>,
    },
    /// Sends a record.
    Output {
        /// Index into [`CheckedProgram::records`].
        record: usize,
        /// The values of the fields that have bytes in the record, in order.
        fields: Vec<Expr>,
    },
    /// Ends the program.
    Return,
    /// Leaves the loop.
    Break,
    /// Goes to the loop's next round.
    Continue,
}
