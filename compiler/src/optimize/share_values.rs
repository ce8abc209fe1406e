//! Computes equal things once: an instruction whose like stands on every path to it takes that
//! one's value. Helpers whose answer cannot change in one run (`get_current_pid_tgid`) count as
//! computations, so `pid` written twice is one call.

use std::collections::HashMap;

use super::rewrite::Replacements;
use crate::ir::flow::ControlFlow;
use crate::ir::function::Type;
use crate::ir::{Block, Function, InstData, Value};

/// Shares values along the dominator tree.
pub fn share_values(func: &mut Function) {
    let flow = ControlFlow::of(func);
    let mut replacements = Replacements::new();
    let mut seen: HashMap<(InstData, Type), Vec<(Block, Value)>> = HashMap::new();
    for &block in &flow.reverse_post_order {
        let mut kept = Vec::with_capacity(func.blocks[block].insts.len());
        for inst in func.blocks[block].insts.clone() {
            func.insts[inst].data.for_each_operand_mut(|operand| *operand = replacements.of(*operand));
            let node = &func.insts[inst];
            let (Some(result), true) = (node.result, node.data.is_shareable()) else {
                kept.push(inst);
                continue;
            };
            let places = seen.entry((node.data.clone(), func.ty(result))).or_default();
            match places.iter().find(|(earlier, _)| flow.dominates(*earlier, block)) {
                Some(&(_, value)) => replacements.replace(result, value),
                None => {
                    places.push((block, result));
                    kept.push(inst);
                }
            }
        }
        func.blocks[block].insts = kept;
    }
    replacements.apply(func);
}
