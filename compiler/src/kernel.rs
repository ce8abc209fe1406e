//! What the compiler asks of the kernel it compiles for. Asked here, never read here.

use std::fmt;

use crate::manifest::AttachSpec;

/// Facts about the target kernel, given by the caller of the compiler.
pub trait KernelInfo {
    /// The record layout of `tracepoint:category:name`.
    ///
    /// # Errors
    /// Why the layout is not to be had: no such tracepoint, or nothing here may be read.
    fn tracepoint(&self, category: &str, name: &str) -> Result<TracepointFormat, Unavailable>;

    /// All tracepoints as `(category, name)`, for suggestions and wildcards; empty when unknown.
    fn tracepoints(&self) -> Vec<(String, String)>;

    /// Parameters and return value of the kernel function `name`, for fentry and fexit.
    ///
    /// # Errors
    /// Why they are not to be had: no such function, or no BTF.
    fn function(&self, name: &str) -> Result<Signature, Unavailable>;

    /// The functions whose names match `pattern` (`*` and `?`) and that a kprobe or fentry can be
    /// attached to, sorted; empty when unknown.
    fn functions(&self, pattern: &str) -> Vec<String>;

    /// The arguments of the raw tracepoint `name`.
    ///
    /// # Errors
    /// Why they are not to be had.
    fn raw_tracepoint(&self, name: &str) -> Result<Signature, Unavailable>;

    /// The structure (or union) called `name`, for casts to `struct name *`.
    ///
    /// # Errors
    /// Why it is not to be had.
    fn structure(&self, name: &str) -> Result<StructId, Unavailable>;

    /// The members of a structure or union, those of unnamed members among them.
    ///
    /// # Errors
    /// Why they are not to be had.
    fn members(&self, structure: StructId) -> Result<Vec<StructMember>, Unavailable>;

    /// The value of the constant `name` of one of the kernel's enumerations.
    ///
    /// # Errors
    /// Why it is not to be had.
    fn enumerator(&self, name: &str) -> Result<i128, Unavailable>;

    /// The address of what is called `name` in the kernel.
    ///
    /// # Errors
    /// Why it is not to be had: no such symbol, or addresses are hidden.
    fn symbol_address(&self, name: &str) -> Result<u64, Unavailable>;

    /// Whether this kernel surely offers the attach point, as far as can be told without attaching.
    ///
    /// # Errors
    /// Why it does not, or why that cannot be told.
    fn offers(&self, attach: &AttachSpec) -> Result<(), Unavailable>;

    /// `(major, minor)` of the kernel that the program is compiled for; zeroes when unknown.
    fn release(&self) -> (u32, u32);

    /// How many CPUs the machine may ever have: a per-CPU map holds so many values of a key.
    fn possible_cpus(&self) -> u32;
}

/// Why the kernel does not give something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// It is known not to exist.
    NotFound,
    /// It may exist, but cannot be read here; the text says why and what to do.
    Unknown(String),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("this kernel does not have it"),
            Self::Unknown(why) => f.write_str(why),
        }
    }
}

/// Where a [`TracepointFormat`] was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatSource {
    /// The format file in tracefs of the running kernel.
    Tracefs,
    /// `struct trace_event_raw_*` in the running kernel's BTF.
    KernelBtf,
    /// The layout of upstream kernels, known beforehand.
    BuiltIn,
}

impl fmt::Display for FormatSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tracefs => "tracefs",
            Self::KernelBtf => "the kernel's BTF",
            Self::BuiltIn => "the built-in layout",
        })
    }
}

/// The fields of a tracepoint's record, common fields included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointFormat {
    /// The fields in order of their offset.
    pub fields: Vec<TracepointField>,
    /// Where this was learnt.
    pub source: FormatSource,
}

/// A field of a tracepoint's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointField {
    /// Its name.
    pub name: String,
    /// Its offset in the record, in bytes.
    pub offset: u32,
    /// What it is.
    pub kind: FieldKind,
}

/// The kinds of fields a tracepoint's record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// An integer, enumeration or pointer of 1, 2, 4 or 8 bytes.
    Int {
        /// Width in bytes.
        bytes: u8,
        /// Whether it is sign-extended.
        signed: bool,
    },
    /// `char name[len]` in the record itself.
    CharArray {
        /// Bytes.
        len: u32,
    },
    /// `__data_loc char[]`: a `u32` whose low half is the string's offset from the record's start
    /// and whose high half is its length.
    DataLoc,
    /// Integers side by side in the record itself.
    IntArray {
        /// Width of each in bytes: 1, 2, 4 or 8.
        bytes: u8,
        /// Whether they are sign-extended.
        signed: bool,
        /// How many.
        len: u32,
    },
    /// Anything else (structures, arrays of them): has a size and no value.
    Opaque {
        /// Bytes.
        bytes: u32,
    },
}

/// A structure or union of the kernel: its type's number in the kernel's BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StructId(pub u32);

/// What a kernel function or raw tracepoint is called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its parameters in order. Of a raw tracepoint: without the leading `void *__data`.
    pub params: Vec<(String, KernelType)>,
    /// What it returns; opaque of 0 bytes for `void`.
    pub returns: KernelType,
}

/// A C type as far as scripts can use it; typedefs and qualifiers are looked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelType {
    /// An integer, enumeration or boolean of 1, 2, 4 or 8 bytes.
    Int {
        /// Width in bytes.
        bytes: u8,
        /// Two's complement.
        signed: bool,
    },
    /// A pointer to a structure or union.
    StructPointer(StructId),
    /// A pointer to `char`: text.
    TextPointer,
    /// A pointer to anything else.
    Pointer,
    /// A structure or union in place.
    Struct(StructId),
    /// `char name[len]` in place.
    CharArray {
        /// Bytes.
        len: u32,
    },
    /// Any other array in place.
    Array {
        /// What its elements are.
        element: Box<KernelType>,
        /// Bytes from one to the next.
        stride: u32,
        /// How many there are.
        len: u32,
    },
    /// Anything else.
    Opaque {
        /// Bytes.
        bytes: u32,
    },
}

/// A member of a structure or union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructMember {
    /// Its name.
    pub name: String,
    /// Bytes from the structure's start.
    pub offset: u32,
    /// Its type.
    pub ty: KernelType,
    /// Of a bit field: the number of the lowest bit in the integer of `ty` at `offset`, and how
    /// many bits.
    pub bits: Option<(u8, u8)>,
}
