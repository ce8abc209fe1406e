//! What passes share: values that stand for others, what is known where, blocks that nothing reaches.

use std::hash::Hash;
use std::rc::Rc;

use cranelift_entity::SecondaryMap;
use rustc_hash::FxHashMap;

use crate::ir::flow::ControlFlow;
use crate::ir::{Block, Function, Inst, Value};

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

/// What was noted in blocks and holds in all that they dominate. For passes that visit blocks in
/// reverse post-order: what can never be found again is forgotten, so that finding takes no longer
/// the longer the function is.
pub struct Noted<K, T> {
    flow: Rc<ControlFlow>,
    entries: FxHashMap<K, Vec<(Block, T)>>,
}

impl<K: Hash + Eq, T> Noted<K, T> {
    /// Nothing is known.
    pub fn new(flow: Rc<ControlFlow>) -> Self {
        Self { flow, entries: FxHashMap::default() }
    }

    /// From the end of `block` on, `it` is known of `key`.
    pub fn note(&mut self, key: K, block: Block, it: T) {
        self.entries.entry(key).or_default().push((block, it));
    }

    /// What is known of `key` in `block`, in the order in which it was noted.
    pub fn find(&mut self, key: &K, block: Block) -> impl Iterator<Item = &T> {
        let flow = &self.flow;
        let entries = self.entries.get_mut(key);
        let known = entries.map(|entries| {
            entries.retain(|&(origin, _)| !flow.is_left_behind(origin, block));
            entries.iter().filter(move |&&(origin, _)| flow.dominates(origin, block)).map(|(_, it)| it)
        });
        known.into_iter().flatten()
    }
}

/// Takes blocks that no path reaches out of the layout.
pub fn remove_unreachable(func: &mut Function) {
    let flow = func.flow();
    func.layout.retain(|&block| flow.is_reachable(block));
}
