//! Removes stores into stack slots that nobody reads: the key of an element whose address was known
//! already, the copy of a string that went elsewhere.
//!
//! A slot is read when its address is anything but the place of a store: the base of a load, or an
//! argument of a helper.

use cranelift_entity::EntitySet;

use super::eliminate_dead_code::eliminate_dead_code;
use crate::ir::entities::StackSlot;
use crate::ir::{Function, InstData, Value};

/// Removes the stores, and what was computed only for them.
pub fn eliminate_dead_stores(func: &mut Function) {
    let read = read_slots(func);
    let mut is_changed = false;
    for index in 0..func.layout.len() {
        let block = func.layout[index];
        let mut insts = std::mem::take(&mut func.blocks[block].insts);
        let before = insts.len();
        insts.retain(|&inst| match func.insts[inst].data {
            InstData::Store { base, .. } => slot_of(func, base).is_none_or(|slot| read.contains(slot)),
            _ => true,
        });
        is_changed |= insts.len() != before;
        func.blocks[block].insts = insts;
    }
    if is_changed {
        eliminate_dead_code(func);
    }
}

fn read_slots(func: &Function) -> EntitySet<StackSlot> {
    let mut read = EntitySet::new();
    for inst in func.layout.iter().flat_map(|&block| &func.blocks[block].insts) {
        let data = &func.insts[*inst].data;
        let place = if let InstData::Store { base, .. } = data { Some(*base) } else { None };
        data.for_each_operand(|operand| {
            if let (Some(slot), true) = (slot_of(func, operand), Some(operand) != place) {
                read.insert(slot);
            }
        });
    }
    read
}

fn slot_of(func: &Function, address: Value) -> Option<StackSlot> {
    match func.def(address) {
        Some(InstData::StackAddr { slot, .. }) => Some(*slot),
        _ => None,
    }
}
