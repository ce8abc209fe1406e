//! Integer expressions: made at random, written in the ways that matter, and evaluated by the rules
//! of the language in mathematical integers, without a line of the compiler's.
//!
//! The rules (grammar/README.md): a value is a number of its type. Arithmetic and comparisons
//! convert both sides to `uint64` if one of them is of that type, else to `int64`; results wrap.
//! Division truncates toward zero, by zero it gives 0, and the remainder by zero is the dividend. A
//! shift has the type of its left side, widened, and counts modulo 64. `-x` is signed.

use crate::rig::random::Random;

/// An integer type: its bits, and whether it has a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    pub bits: u32,
    pub signed: bool,
}

pub const INT64: Type = Type { bits: 64, signed: true };
pub const UINT64: Type = Type { bits: 64, signed: false };
const BOOL: Type = Type { bits: 8, signed: false };

impl Type {
    pub fn name(self) -> String {
        format!("{}int{}", if self.signed { "" } else { "u" }, self.bits)
    }

    /// The number of this type that has the low bits of `value`.
    pub fn wrap(self, value: i128) -> i128 {
        let low = value & ((1 << self.bits) - 1);
        if self.signed && low >> (self.bits - 1) == 1 { low - (1 << self.bits) } else { low }
    }

    fn widened(self) -> Self {
        if self == UINT64 { UINT64 } else { INT64 }
    }

    fn common(self, other: Self) -> Self {
        if self == UINT64 || other == UINT64 { UINT64 } else { INT64 }
    }
}

/// A number of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub ty: Type,
    pub value: i128,
}

/// An expression.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A number, and its place among the numbers of the whole expression.
    Leaf(Number, usize),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    Cast(Type, Box<Expr>),
}

const EDGES: &[i128] = &[
    0,
    1,
    -1,
    2,
    -2,
    3,
    5,
    7,
    -7,
    10,
    31,
    32,
    63,
    64,
    65,
    100,
    127,
    128,
    -128,
    255,
    256,
    1000,
    32767,
    -32768,
    65535,
    0x7fff_ffff,
    0x8000_0000,
    -0x8000_0000,
    -0x8000_0001,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as i128,
    i64::MIN as i128,
    i64::MIN as i128 + 1,
    1 << 63,
    u64::MAX as i128,
    u64::MAX as i128 - 1,
];
const UNARY: &[&str] = &["-", "!", "~"];
const BINARY: &[&str] = &[
    "+", "-", "*", "/", "%", "/", "%", "<<", ">>", "<<", ">>", "&", "|", "^", "==", "!=", "<", "<=", ">", ">=", "&&",
    "||",
];

/// An expression at most so deep.
pub fn random(random: &mut Random, depth: usize, leaves: &mut Vec<Number>) -> Expr {
    let inner = |source: &mut Random, leaves: &mut Vec<Number>| Box::new(self::random(source, depth - 1, leaves));
    match if depth == 0 { 0 } else { random.below(12) } {
        0 | 1 => {
            leaves.push(random_number(random));
            Expr::Leaf(leaves[leaves.len() - 1], leaves.len() - 1)
        }
        2 => Expr::Unary(random.pick(UNARY), inner(random, leaves)),
        3 => Expr::Cast(random_type(random), inner(random, leaves)),
        4 => Expr::Ternary(inner(random, leaves), inner(random, leaves), inner(random, leaves)),
        _ => Expr::Binary(random.pick(BINARY), inner(random, leaves), inner(random, leaves)),
    }
}

fn random_type(random: &mut Random) -> Type {
    Type { bits: random.pick(&[8, 16, 32, 64, 64]), signed: random.percent(50) }
}

fn random_number(random: &mut Random) -> Number {
    let ty = random_type(random);
    let value = if random.percent(70) { random.pick(EDGES) } else { i128::from(random.number()) };
    Number { ty, value: ty.wrap(value) }
}

impl Expr {
    /// Its type and value.
    pub fn evaluate(&self) -> Number {
        match self {
            Self::Leaf(number, _) => *number,
            Self::Unary(op, operand) => unary(op, operand.evaluate()),
            Self::Binary(op, lhs, rhs) => binary(op, lhs.evaluate(), rhs.evaluate()),
            Self::Ternary(cond, then, otherwise) => {
                let (then, otherwise) = (then.evaluate(), otherwise.evaluate());
                let ty = then.ty.common(otherwise.ty);
                let chosen = if cond.evaluate().value != 0 { then } else { otherwise };
                Number { ty, value: ty.wrap(chosen.value) }
            }
            Self::Cast(ty, operand) => Number { ty: *ty, value: ty.wrap(operand.evaluate().value) },
        }
    }

    /// Whether a divisor in it is zero: such an expression cannot be written with literals only.
    pub fn divides_by_zero(&self) -> bool {
        match self {
            Self::Leaf(..) => false,
            Self::Unary(_, operand) | Self::Cast(_, operand) => operand.divides_by_zero(),
            Self::Binary(op, lhs, rhs) => {
                (matches!(*op, "/" | "%") && rhs.evaluate().value == 0)
                    || lhs.divides_by_zero()
                    || rhs.divides_by_zero()
            }
            Self::Ternary(cond, then, otherwise) => {
                cond.divides_by_zero() || then.divides_by_zero() || otherwise.divides_by_zero()
            }
        }
    }

    /// As the language writes it, its numbers written by `leaf`.
    pub fn write(&self, leaf: &dyn Fn(Number, usize) -> String) -> String {
        match self {
            Self::Leaf(number, place) => leaf(*number, *place),
            Self::Unary(op, operand) => format!("{op}({})", operand.write(leaf)),
            Self::Binary(op, lhs, rhs) => format!("({} {op} {})", lhs.write(leaf), rhs.write(leaf)),
            Self::Ternary(cond, then, otherwise) => {
                format!("({} ? {} : {})", cond.write(leaf), then.write(leaf), otherwise.write(leaf))
            }
            Self::Cast(ty, operand) => format!("({})({})", ty.name(), operand.write(leaf)),
        }
    }
}

impl Number {
    /// The number as a literal of its type.
    pub fn literal(self) -> String {
        let plain = if self.value < 0 { format!("(-{})", -self.value) } else { self.value.to_string() };
        let literal_type = if self.value > i128::from(i64::MAX) { UINT64 } else { INT64 };
        if literal_type == self.ty { plain } else { format!("({}){plain}", self.ty.name()) }
    }
}

fn unary(op: &str, operand: Number) -> Number {
    match op {
        "-" => Number { ty: INT64, value: INT64.wrap(-operand.value) },
        "~" => Number { ty: operand.ty.widened(), value: operand.ty.widened().wrap(!operand.value) },
        _ => truth(operand.value == 0),
    }
}

fn truth(holds: bool) -> Number {
    Number { ty: BOOL, value: holds.into() }
}

fn binary(op: &str, lhs: Number, rhs: Number) -> Number {
    let ty = if matches!(op, "<<" | ">>") { lhs.ty.widened() } else { lhs.ty.common(rhs.ty) };
    let (a, b) = (ty.wrap(lhs.value), ty.wrap(rhs.value));
    let count = (rhs.value & 63) as u32;
    let value = match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a.wrapping_mul(b),
        "/" => a.checked_div(b).unwrap_or(0),
        "%" => a.checked_rem(b).unwrap_or(a),
        "<<" => a.wrapping_mul(1 << count),
        ">>" => a >> count,
        "&" => a & b,
        "|" => a | b,
        "^" => a ^ b,
        "==" => return truth(a == b),
        "!=" => return truth(a != b),
        "<" => return truth(a < b),
        "<=" => return truth(a <= b),
        ">" => return truth(a > b),
        ">=" => return truth(a >= b),
        "&&" => return truth(lhs.value != 0 && rhs.value != 0),
        "||" => return truth(lhs.value != 0 || rhs.value != 0),
        _ => unreachable!("{op} is no operator"),
    };
    Number { ty, value: ty.wrap(value) }
}
