//! Computes equal things once: an instruction whose like stands on every path to it takes that
//! one's value. Helpers whose answer cannot change in one run (`get_current_pid_tgid`) count as
//! computations, so `pid` written twice is one call.

use super::rewrite::{Noted, Replacements};
use crate::ir::function::Type;
use crate::ir::{Block, Function, Inst, InstData, Value};

/// Shares values along the dominator tree.
pub fn share_values(func: &mut Function) {
    let flow = func.flow();
    let mut sharing = Sharing { seen: Noted::new(flow.clone()), replacements: Replacements::new() };
    for &block in &flow.reverse_post_order {
        let mut insts = std::mem::take(&mut func.blocks[block].insts);
        insts.retain(|&inst| !sharing.is_shared(func, block, inst));
        func.blocks[block].insts = insts;
    }
}

struct Sharing {
    seen: Noted<(InstData, Type), Value>,
    replacements: Replacements,
}

impl Sharing {
    /// Whether an earlier instruction serves as well; what is seen for the first time is noted.
    fn is_shared(&mut self, func: &mut Function, block: Block, inst: Inst) -> bool {
        self.replacements.apply_to(func, inst);
        let node = &func.insts[inst];
        let (Some(result), true) = (node.result, node.data.is_shareable()) else { return false };
        let key = (node.data.clone(), func.ty(result));
        if let Some(&value) = self.seen.find(&key, block).next() {
            self.replacements.replace(result, value);
            return true;
        }
        self.seen.note(key, block, result);
        false
    }
}
