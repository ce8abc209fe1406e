//! Computes equal things once: an instruction whose like stands on every path to it takes that
//! one's value. Helpers whose answer cannot change in one run (`get_current_pid_tgid`) count as
//! computations, so `pid` written twice is one call.

use std::collections::HashMap;

use super::rewrite::Replacements;
use crate::ir::function::Type;
use crate::ir::{Block, Function, InstData, Value};

/// Shares values along the dominator tree.
pub fn share_values(func: &mut Function) {
    let flow = func.flow();
    let mut replacements = Replacements::new();
    let mut seen: HashMap<(InstData, Type), Vec<(Block, Value)>> = HashMap::new();
    for &block in &flow.reverse_post_order {
        let mut insts = std::mem::take(&mut func.blocks[block].insts);
        insts.retain(|&inst| {
            replacements.apply_to(func, inst);
            let node = &func.insts[inst];
            let (Some(result), true) = (node.result, node.data.is_shareable()) else { return true };
            let places = seen.entry((node.data.clone(), func.ty(result))).or_default();
            match places.iter().find(|(earlier, _)| flow.dominates(*earlier, block)) {
                Some(&(_, value)) => replacements.replace(result, value),
                None => places.push((block, result)),
            }
            places.last() == Some(&(block, result))
        });
        func.blocks[block].insts = insts;
    }
}
