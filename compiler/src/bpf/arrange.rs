//! Puts selected blocks in the order of emission and numbers them.
//!
//! The order is that of the function's layout with cold blocks last. A block that was made for an
//! edge stands behind the block it comes from, or among the cold ones if it leads to one; the
//! return stands behind the last block that is not cold.

use std::collections::HashMap;

use cranelift_entity::SecondaryMap;
use pfscript_grammar::Span;

use super::select::{Selected, Target};
use super::vcode::{Edge, VBlock, VBlockData, VCode, VInst, VOp};
use crate::ir::{Block, Function};

/// Makes one [`VCode`] of the selected blocks; what was not selected is unreachable.
pub(super) fn arrange(
    func: &Function,
    selected: SecondaryMap<Block, Option<Selected>>,
    vreg_count: u32,
    frame_bytes: u32,
) -> VCode {
    let pieces = order(func, &selected);
    let numbers = pieces.iter().enumerate().map(|(index, &piece)| (piece, VBlock(index as u32))).collect();
    let code = VCode { insts: Vec::new(), blocks: Vec::with_capacity(pieces.len()), vreg_count, frame_bytes };
    let mut arrangement = Arrangement { selected, numbers, code };
    pieces.into_iter().for_each(|piece| arrangement.append(piece));
    link_predecessors(&mut arrangement.code);
    arrangement.code
}

/// A selected block's identity before it has a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Piece {
    Block(Block),
    Split(Block, usize),
    Exit,
}

fn order(func: &Function, selected: &SecondaryMap<Block, Option<Selected>>) -> Vec<Piece> {
    let is_cold = |block: Block| func.blocks[block].is_cold && block != func.entry();
    let (mut hot, mut cold) = (Vec::new(), Vec::new());
    let mut returns = false;
    for &block in &func.layout {
        let Some(chosen) = &selected[block] else { continue };
        returns |= chosen.edges.iter().any(|(target, _)| *target == Target::Exit);
        let place = if is_cold(block) { &mut cold } else { &mut hot };
        place.push(Piece::Block(block));
        for (index, split) in chosen.splits.iter().enumerate() {
            let place = if is_cold(block) || is_cold(split.dest) { &mut cold } else { &mut hot };
            place.push(Piece::Split(block, index));
        }
    }
    hot.extend(returns.then_some(Piece::Exit));
    hot.append(&mut cold);
    hot
}

struct Arrangement {
    selected: SecondaryMap<Block, Option<Selected>>,
    numbers: HashMap<Piece, VBlock>,
    code: VCode,
}

impl Arrangement {
    fn append(&mut self, piece: Piece) {
        let start = self.code.insts.len();
        let (params, successors) = match piece {
            Piece::Block(block) => self.append_block(block),
            Piece::Split(from, index) => (Vec::new(), vec![self.append_split(from, index)]),
            Piece::Exit => {
                self.append_return();
                (Vec::new(), Vec::new())
            }
        };
        let insts = start..self.code.insts.len();
        self.code.blocks.push(VBlockData { insts, params, successors, predecessors: Vec::new() });
    }

    fn append_block(&mut self, block: Block) -> (Vec<super::vcode::VReg>, Vec<Edge>) {
        let chosen = self.selected[block].as_mut().expect("only selected blocks are put in order");
        self.code.insts.append(&mut chosen.insts);
        let params = std::mem::take(&mut chosen.params);
        let number = |target| match target {
            Target::Block(dest) => self.numbers[&Piece::Block(dest)],
            Target::Exit => self.numbers[&Piece::Exit],
            Target::Split(index) => self.numbers[&Piece::Split(block, index)],
        };
        let edges = std::mem::take(&mut chosen.edges);
        (params, edges.into_iter().map(|(target, args)| Edge { block: number(target), args }).collect())
    }

    fn append_split(&mut self, from: Block, index: usize) -> Edge {
        let chosen = self.selected[from].as_mut().expect("only selected blocks are put in order");
        let split = &mut chosen.splits[index];
        self.code.insts.append(&mut split.insts);
        Edge { block: self.numbers[&Piece::Block(split.dest)], args: std::mem::take(&mut split.args) }
    }

    /// The return belongs to no place of its own; it is shown with the program's start.
    fn append_return(&mut self) {
        let span = self.code.insts.first().map_or_else(Span::default, |first| first.span);
        self.code.insts.push(VInst { op: VOp::Return, operands: Vec::new(), span });
    }
}

fn link_predecessors(code: &mut VCode) {
    for index in 0..code.blocks.len() {
        let successors: Vec<VBlock> = code.blocks[index].successors.iter().map(|edge| edge.block).collect();
        for successor in successors {
            code.blocks[successor.index()].predecessors.push(VBlock(index as u32));
        }
    }
}
