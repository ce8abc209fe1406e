//! What the generator knows of a script: the kinds of values, the maps, and what the present
//! place can name.

/// What a value is, as far as an operator, key or assignment minds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An integer of any width and sign.
    Int,
    /// A string.
    Text,
    /// A tuple of an integer and a string.
    Pair,
    /// The name of an address in the process.
    Symbol,
}

/// What a map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Plain values.
    Data(Kind),
    /// What the function of that name gathers.
    Aggregate(&'static str),
}

impl Value {
    /// Whether it is an aggregation that can be read as an integer.
    pub fn is_aggregated_number(self) -> bool {
        matches!(self, Self::Aggregate("count" | "sum" | "min" | "max" | "avg"))
    }
}

/// A map.
#[derive(Clone, Debug)]
pub struct Map {
    pub name: String,
    pub keys: Vec<Kind>,
    pub value: Value,
}

/// What can be named at a place.
#[derive(Default)]
pub struct Scope {
    /// Builtins that are integers.
    pub builtins: Vec<&'static str>,
    /// Fields of the context and parts of a loop's element that are integers, as written.
    pub int_fields: Vec<String>,
    /// The same of strings.
    pub text_fields: Vec<String>,
    /// Fields of the context that are arrays of integers.
    pub arrays: Vec<String>,
    /// Whether there are `kstack` and `ustack`.
    pub has_stacks: bool,
    /// The variables, outer ones first, without `$`.
    pub variables: Vec<(String, Kind)>,
    /// How many loops are around.
    pub loops: usize,
}

impl Scope {
    /// The variables of a kind.
    pub fn variables_of(&self, kind: Kind) -> Vec<String> {
        self.variables.iter().filter(|(_, own)| *own == kind).map(|(name, _)| format!("${name}")).collect()
    }
}
