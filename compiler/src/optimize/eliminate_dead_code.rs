//! Removes instructions that change nothing and whose value nobody wants, and blocks that
//! nothing reaches. An addition to a map element whose old value nobody wants stays.

use cranelift_entity::EntitySet;

use super::rewrite::remove_unreachable;
use crate::ir::function::ValueDef;
use crate::ir::{Function, InstData, Value};

/// Marks from the instructions with an effect backwards, then sweeps.
pub fn eliminate_dead_code(func: &mut Function) {
    remove_unreachable(func);
    let mut wanted = EntitySet::new();
    let mut work = Vec::new();
    for &block in &func.layout {
        for &inst in &func.blocks[block].insts {
            if !func.insts[inst].data.is_removable() {
                func.insts[inst].data.for_each_operand(|operand| work.push(operand));
            }
        }
    }
    while let Some(value) = work.pop() {
        if wanted.insert(value) {
            operands_of_definition(func, value, &mut work);
        }
    }
    sweep(func, &wanted);
}

fn operands_of_definition(func: &Function, value: Value, work: &mut Vec<Value>) {
    if let ValueDef::Result(inst) = func.values[value].def {
        func.insts[inst].data.for_each_operand(|operand| work.push(operand));
    }
}

fn sweep(func: &mut Function, wanted: &EntitySet<Value>) {
    for index in 0..func.layout.len() {
        let block = func.layout[index];
        let insts = std::mem::take(&mut func.blocks[block].insts);
        let is_kept = |node: &crate::ir::function::InstNode| {
            !node.data.is_removable() || node.result.is_some_and(|result| wanted.contains(result))
        };
        func.blocks[block].insts = insts.into_iter().filter(|&inst| is_kept(&func.insts[inst])).collect();
        for &inst in &func.blocks[block].insts {
            let node = &mut func.insts[inst];
            let is_wanted = node.result.is_some_and(|result| wanted.contains(result));
            if let (InstData::FetchAdd { value, base, offset }, false) = (&node.data, is_wanted) {
                node.data = InstData::AtomicAdd { value: *value, base: *base, offset: *offset };
                node.result = None;
            }
        }
    }
}
