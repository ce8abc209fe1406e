//! Joins a block to the one that alone jumps to it, and jumps past blocks that only jump on.

use super::fold_constants::remove_unreachable;
use super::rewrite::Replacements;
use crate::ir::flow::ControlFlow;
use crate::ir::{Block, BlockCall, Function, InstData};

/// Straightens the control flow; the layout becomes the reverse post-order.
pub fn straighten_blocks(func: &mut Function) {
    skip_empty_blocks(func);
    remove_unreachable(func);
    join_chains(func);
    func.layout = ControlFlow::of(func).reverse_post_order;
}

/// A block without parameters that holds only a jump is passed by.
fn skip_empty_blocks(func: &mut Function) {
    for index in 0..func.layout.len() {
        let block = func.layout[index];
        let last = *func.blocks[block].insts.last().expect("every block ends in a terminator");
        let mut terminator = func.insts[last].data.clone();
        for call in terminator.successors_mut() {
            while let Some(onward) = passed_by(func, call) {
                *call = onward;
            }
        }
        func.insts[last].data = terminator;
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
    let flow = ControlFlow::of(func);
    let mut replacements = Replacements::new();
    let mut joined: Vec<Block> = Vec::new();
    for &block in &flow.reverse_post_order {
        if joined.contains(&block) {
            continue;
        }
        while let Some((next, args)) = only_successor(func, &flow, block) {
            for (param, arg) in func.blocks[next].params.clone().into_iter().zip(args) {
                replacements.replace(param, arg);
            }
            func.blocks[block].insts.pop();
            let moved = std::mem::take(&mut func.blocks[next].insts);
            func.blocks[block].insts.extend(moved);
            joined.push(next);
        }
    }
    func.layout.retain(|block| !joined.contains(block));
    replacements.apply(func);
}

/// The block that `block` jumps to, when no other does.
fn only_successor(func: &Function, flow: &ControlFlow, block: Block) -> Option<(Block, Vec<crate::ir::Value>)> {
    match func.terminator(block) {
        InstData::Jump { dest } if flow.predecessors[dest.block].len() == 1 && dest.block != block => {
            Some((dest.block, dest.args.clone()))
        }
        _ => None,
    }
}
