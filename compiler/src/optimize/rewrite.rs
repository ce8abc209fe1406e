//! What passes share: values that stand for others, blocks that nothing reaches.

use cranelift_entity::SecondaryMap;

use crate::ir::{Function, Inst, Value};

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

    /// Replaces them in one instruction. That is enough for a pass that visits blocks in reverse
    /// post-order: definitions come before their uses.
    pub fn apply_to(&self, func: &mut Function, inst: Inst) {
        if !self.is_empty {
            func.insts[inst].data.for_each_operand_mut(|operand| *operand = self.of(*operand));
        }
    }

    /// Replaces them in all instructions.
    pub fn apply(&self, func: &mut Function) {
        if !self.is_empty {
            func.replace_operands(|value| self.of(value));
        }
    }
}

/// Takes blocks that no path reaches out of the layout.
pub fn remove_unreachable(func: &mut Function) {
    let flow = func.flow();
    func.layout.retain(|&block| flow.is_reachable(block));
}
