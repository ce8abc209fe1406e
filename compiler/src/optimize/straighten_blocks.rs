//! Joins a block to the one that alone jumps to it, and jumps past blocks that only jump on.

use cranelift_entity::EntitySet;

use super::rewrite::{Replacements, remove_unreachable};
use crate::ir::flow::ControlFlow;
use crate::ir::{Block, BlockCall, Function, InstData, Values};

/// Straightens the control flow; the layout becomes the reverse post-order.
pub fn straighten_blocks(func: &mut Function) {
    skip_empty_blocks(func);
    remove_unreachable(func);
    join_chains(func);
    func.layout.clone_from(&func.flow().reverse_post_order);
}

/// A block without parameters that holds only a jump is passed by. The last comes first, so that a
/// row of such blocks is gone through only once.
fn skip_empty_blocks(func: &mut Function) {
    for index in (0..func.layout.len()).rev() {
        let last = *func.blocks[func.layout[index]].insts.last().expect("every block ends in a terminator");
        for side in 0..func.insts[last].data.successors().count() {
            let passed_by = |func: &Function| passed_by(func, func.insts[last].data.successors().nth(side)?);
            while let Some(onward) = passed_by(func) {
                *func.insts[last].data.successors_mut().nth(side).expect("there are as many as before") = onward;
                func.flow_changes();
            }
        }
    }
}

fn passed_by(func: &Function, call: &BlockCall) -> Option<BlockCall> {
    let target = &func.blocks[call.block];
    match (target.params.as_slice(), target.insts.as_slice()) {
        ([], [only]) => match &func.insts[*only].data {
            InstData::Jump { dest } if dest.block != call.block => Some(dest.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn join_chains(func: &mut Function) {
    let flow = func.flow();
    let mut replacements = Replacements::new();
    let mut joined = EntitySet::new();
    for &block in &flow.reverse_post_order {
        if joined.contains(block) {
            continue;
        }
        while let Some((next, args)) = only_successor(func, &flow, block) {
            let params = std::mem::take(&mut func.blocks[next].params);
            params.into_iter().zip(args).for_each(|(param, arg)| replacements.replace(param, arg));
            func.blocks[block].insts.pop();
            let moved = std::mem::take(&mut func.blocks[next].insts);
            func.blocks[block].insts.extend(moved);
            func.flow_changes();
            joined.insert(next);
        }
    }
    func.layout.retain(|&block| !joined.contains(block));
    replacements.apply(func);
}

/// The block that `block` jumps to, when no other does.
fn only_successor(func: &Function, flow: &ControlFlow, block: Block) -> Option<(Block, Values)> {
    match func.terminator(block) {
        InstData::Jump { dest } if flow.predecessors(dest.block).len() == 1 && dest.block != block => {
            Some((dest.block, dest.args.clone()))
        }
        _ => None,
    }
}
