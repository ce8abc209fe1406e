//! Script parameters as the command line sees them: names, types, ranges, and values parsed from text.

use std::fmt;

/// A parameter that a script declares (`param` or `getopt()`), ready for `--name VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// The name as declared, for example `log_step`.
    pub name: String,
    /// Its type.
    pub ty: ParamType,
    /// The value when none is given; absent when one is required.
    pub default: Option<ParamValue>,
    /// What it is for; may be empty.
    pub help: String,
}

/// The type and range of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamType {
    /// An integer.
    Int {
        /// The type's name in the language, for example `uint64`.
        name: &'static str,
        /// Smallest allowed value (declared, or the type's own).
        low: i128,
        /// Largest allowed value (declared, or the type's own).
        high: i128,
        /// Whether the script declares a range of its own.
        ranged: bool,
    },
    /// `bool`: `true`, `false`, `1`, `0`; a bare `--name` is `true`.
    Bool,
    /// A string.
    Str,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamValue {
    /// An integer, within its type's range; a `bool` is 0 or 1.
    Int(i128),
    /// A string.
    Str(String),
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Str(text) => f.write_str(text),
        }
    }
}
