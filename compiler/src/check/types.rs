//! The types of the language.

use std::fmt;

use crate::kernel::{KernelType, StructId};
use crate::manifest::{DataType, Member, STACK_DEPTH, StackNotation, StackShape};

/// The type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// An integer. A value of it is always 64 bits wide in a register, extended by its sign.
    Int {
        /// Width in bytes: 1, 2, 4 or 8.
        bytes: u8,
        /// Two's complement.
        signed: bool,
    },
    /// A text of at most so many bytes, NUL-padded in memory.
    Str {
        /// Bytes.
        len: u32,
    },
    /// The moment of an event, shown as wall-clock time. Only in records.
    Time,
    /// A moment that is shown by a `strftime` format.
    Moment(String),
    /// An address, of what is known about it: an integer with fields.
    Pointer(Pointee),
    /// A structure in the kernel's memory: only its fields can be used.
    Struct(StructId),
    /// An array in the kernel's memory or in a tracepoint's record: only its elements can be used.
    Array {
        /// What its elements are.
        element: Box<KernelType>,
        /// Bytes from one to the next.
        stride: u32,
        /// How many there are.
        len: u32,
    },
    /// A stack, of the kernel or of the process.
    Stack {
        /// Of the process.
        user: bool,
        /// How deep it is, and how it is shown.
        shape: StackShape,
    },
    /// The number of a user, shown by the user's name.
    UserName,
    /// Several values side by side.
    Tuple(Vec<Type>),
    /// An address that is shown by its name, in the kernel or in the process.
    Symbol {
        /// In the process.
        user: bool,
    },
}

/// What is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointee {
    /// A structure of the kernel.
    Struct(StructId),
    /// Text.
    Text,
    /// An integer.
    Int {
        /// Width in bytes.
        bytes: u8,
        /// Two's complement.
        signed: bool,
    },
    /// Nobody knows.
    Unknown,
}

/// `int64`, the type of integer literals.
pub const INT64: Type = Type::Int { bytes: 8, signed: true };
/// `uint64`
pub const UINT64: Type = Type::Int { bytes: 8, signed: false };
/// `uint32`
pub const UINT32: Type = Type::Int { bytes: 4, signed: false };
/// The type of comparisons: 0 or 1.
pub const BOOL: Type = Type::Int { bytes: 1, signed: false };
/// The shape of a stack of which nothing is said.
pub const WHOLE_STACK: StackShape = StackShape { depth: STACK_DEPTH, notation: StackNotation::Name };
/// The bytes of a string whose length nothing else says.
pub const DEFAULT_STRING_LEN: u32 = 64;

impl Type {
    /// Whether it is an integer.
    pub fn is_int(&self) -> bool {
        matches!(self, Self::Int { .. })
    }

    /// Whether it is a string.
    pub fn is_str(&self) -> bool {
        matches!(self, Self::Str { .. })
    }

    /// Whether values of it lie in memory: strings, tuples, and what is of a process, with which
    /// the process is kept.
    pub fn is_bytes(&self) -> bool {
        self.data().is_some_and(|data| data.is_bytes())
    }

    /// Itself, or the elements of a tuple and of tuples in it: the parts of a key.
    pub fn spread(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::Tuple(elements) => Box::new(elements.iter().flat_map(Self::spread)),
            _ => Box::new(std::iter::once(self)),
        }
    }

    /// Whether arithmetic on it is unsigned. Narrower unsigned integers fit into `int64`, so
    /// only `uint64` decides, as C's usual arithmetic conversions have it.
    pub fn is_uint64(&self) -> bool {
        *self == UINT64
    }

    /// The 64-bit type that arithmetic on it gives; of a tuple, the type with such elements.
    pub fn widened(&self) -> Self {
        match self {
            Self::Int { .. } if self.is_uint64() => UINT64,
            Self::Int { .. } => INT64,
            Self::Tuple(elements) => Self::Tuple(elements.iter().map(Self::widened).collect()),
            other => other.clone(),
        }
    }

    /// The type of a value of the kernel; none when scripts cannot use it.
    pub fn of_kernel(ty: &KernelType) -> Option<Self> {
        Some(match *ty {
            KernelType::Array { ref element, stride, len } => Self::Array { element: element.clone(), stride, len },
            KernelType::Int { bytes, signed } => Self::Int { bytes, signed },
            KernelType::StructPointer(id) => Self::Pointer(Pointee::Struct(id)),
            KernelType::TextPointer => Self::Pointer(Pointee::Text),
            KernelType::Pointer => Self::Pointer(Pointee::Unknown),
            KernelType::Struct(id) => Self::Struct(id),
            KernelType::CharArray { len } => Self::Str { len },
            KernelType::Opaque { .. } => return None,
        })
    }

    /// The type that holds the values of both, if there is one.
    pub fn join(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a.clone()),
            (Self::Int { .. }, Self::Int { .. }) if self.is_uint64() || other.is_uint64() => Some(UINT64),
            (Self::Int { .. }, Self::Int { .. }) => Some(INT64),
            (Self::Str { len: a }, Self::Str { len: b }) => Some(Self::Str { len: *a.max(b) }),
            (Self::Tuple(a), Self::Tuple(b)) if a.len() == b.len() => {
                let elements = a.iter().zip(b).map(|(a, b)| a.join(b));
                elements.collect::<Option<Vec<_>>>().map(Self::Tuple)
            }
            _ => None,
        }
    }

    /// Whether a variable of this type takes a value of type `other`.
    pub fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int { .. } | Self::Pointer(_), Self::Int { .. }) => true,
            (Self::Str { len }, Self::Str { len: found }) => found <= len,
            (Self::Tuple(own), Self::Tuple(others)) => {
                own.len() == others.len() && own.iter().zip(others).all(|(own, other)| own.holds(other))
            }
            _ => self == other,
        }
    }

    /// How it is stored in a record, key or map value; none for what has no bytes there.
    pub fn data(&self) -> Option<DataType> {
        match self {
            Self::Int { bytes, signed } => Some(DataType::Int { bytes: *bytes, signed: *signed }),
            Self::Str { len } => Some(DataType::Str { len: *len }),
            Self::Stack { user: true, shape } => Some(DataType::UserStack(*shape)),
            Self::Stack { user: false, shape } => Some(DataType::KernelStack(*shape)),
            Self::Symbol { user: true } => Some(DataType::UserSymbol),
            Self::Symbol { user: false } => Some(DataType::KernelSymbol),
            Self::Moment(format) => Some(DataType::Moment(format.clone())),
            Self::UserName => Some(DataType::UserName),
            Self::Pointer(_) => UINT64.data(),
            Self::Tuple(elements) => {
                let elements = elements.iter().map(Self::data).collect::<Option<Vec<_>>>()?;
                Some(DataType::Tuple(side_by_side(elements).0))
            }
            Self::Time | Self::Struct(_) | Self::Array { .. } => None,
        }
    }

    /// The integer type of that name.
    pub fn int_named(name: &str) -> Option<Self> {
        let (bytes, signed) = match name {
            "bool" | "uint8" => (1, false),
            "int8" => (1, true),
            "uint16" => (2, false),
            "int16" => (2, true),
            "uint32" => (4, false),
            "int32" => (4, true),
            "uint64" => (8, false),
            "int64" => (8, true),
            _ => return None,
        };
        Some(Self::Int { bytes, signed })
    }

    /// The names that [`Type::int_named`] knows.
    pub const INT_NAMES: [&str; 9] = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"];
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int { bytes, signed } => write!(f, "{}int{}", if *signed { "" } else { "u" }, u32::from(*bytes) * 8),
            Self::Str { len } => write!(f, "string[{len}]"),
            Self::Time | Self::Moment(_) => write!(f, "time"),
            Self::UserName => write!(f, "username"),
            Self::Pointer(_) => write!(f, "pointer"),
            Self::Struct(_) => write!(f, "struct"),
            Self::Array { .. } => write!(f, "array"),
            Self::Symbol { user } => write!(f, "{}", if *user { "usym" } else { "ksym" }),
            Self::Stack { user, shape } => {
                let name = if *user { "ustack" } else { "kstack" };
                let notation = match shape.notation {
                    StackNotation::Name => None,
                    StackNotation::Perf => Some("perf".to_owned()),
                    StackNotation::Raw => Some("raw".to_owned()),
                };
                let depth = (shape.depth != STACK_DEPTH).then(|| shape.depth.to_string());
                match notation.into_iter().chain(depth).collect::<Vec<_>>() {
                    said if said.is_empty() => write!(f, "{name}"),
                    said => write!(f, "{name}({})", said.join(", ")),
                }
            }
            Self::Tuple(elements) => {
                let elements: Vec<String> = elements.iter().map(Self::to_string).collect();
                write!(f, "({})", elements.join(", "))
            }
        }
    }
}

impl DataType {
    /// Whether values of it lie in memory, else in a register.
    pub fn is_bytes(&self) -> bool {
        matches!(self, Self::Str { .. } | Self::UserStack(_) | Self::UserSymbol | Self::Tuple(_))
    }

    /// Bytes it takes.
    pub fn size(&self) -> u32 {
        match self {
            Self::Int { bytes, .. } => u32::from(*bytes),
            Self::Str { len } => *len,
            Self::KernelStack(_) | Self::KernelSymbol | Self::UserName | Self::Moment(_) => 8,
            Self::UserStack(_) | Self::UserSymbol => 16,
            Self::Tuple(members) => {
                let end = members.last().map_or(0, |last| last.offset + last.ty.size());
                end.next_multiple_of(self.align())
            }
        }
    }

    /// What its offset must be a multiple of.
    pub fn align(&self) -> u32 {
        match self {
            Self::Int { bytes, .. } => u32::from(*bytes),
            Self::Str { .. } => 1,
            Self::KernelStack(_)
            | Self::UserStack(_)
            | Self::KernelSymbol
            | Self::UserSymbol
            | Self::UserName
            | Self::Moment(_) => 8,
            Self::Tuple(members) => members.iter().map(|member| member.ty.align()).max().unwrap_or(1),
        }
    }
}

/// Lays values out one after another, each at its alignment, as C does in a structure; also the
/// bytes of the whole.
pub fn side_by_side(types: Vec<DataType>) -> (Vec<Member>, u32) {
    let mut end = 0u32;
    let member = |ty: DataType| {
        let offset = end.next_multiple_of(ty.align());
        end = offset + ty.size();
        Member { offset, ty }
    };
    let whole = DataType::Tuple(types.into_iter().map(member).collect());
    let size = whole.size();
    let DataType::Tuple(members) = whole else { unreachable!("made as a tuple") };
    (members, size)
}
