//! What passes share: values that stand for others.

use cranelift_entity::SecondaryMap;

use crate::ir::{Function, Value};

/// Values to be replaced by others, all over a function.
#[derive(Default)]
pub struct Replacements {
    map: SecondaryMap<Value, Option<Value>>,
    is_empty: bool,
}

impl Replacements {
    /// No value replaced yet.
    pub fn new() -> Self {
        Self { map: SecondaryMap::new(), is_empty: true }
    }

    /// `value` is to be replaced by `by`.
    pub fn replace(&mut self, value: Value, by: Value) {
        let by = self.of(by);
        if value != by {
            self.map[value] = Some(by);
            self.is_empty = false;
        }
    }

    /// What stands for `value` now.
    pub fn of(&self, mut value: Value) -> Value {
        while let Some(by) = self.map[value] {
            value = by;
        }
        value
    }

    /// Whether no value is to be replaced.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Replaces them in all instructions.
    pub fn apply(&self, func: &mut Function) {
        if !self.is_empty {
            func.replace_operands(|value| self.of(value));
        }
    }
}
