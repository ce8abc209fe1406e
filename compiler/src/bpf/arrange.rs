//! Numbers selected blocks for register allocation, and lays them out for emission.
//!
//! Numbers go by reverse post-order: with others regalloc2 0.15 makes wrong moves between blocks
//! (its checker and the tests with random functions see it). The layout is the function's with cold
//! blocks last. In both a block that was made for an edge follows the block it comes from (in the
//! layout it is among the cold ones if it leads to one), and the return is the last block, but for
//! cold ones.

use cranelift_entity::SecondaryMap;
use pfscript_grammar::Span;
use smallvec::{SmallVec, smallvec};

use super::select::{Selected, Target};
use super::vcode::{Edge, Operands, VBlock, VBlockData, VCode, VInst, VOp, VReg};
use crate::ir::flow::ControlFlow;
use crate::ir::{Block, Function};

/// Makes one [`VCode`] of the selected blocks; what was not selected is unreachable.
pub(super) fn arrange(
    func: &Function,
    flow: &ControlFlow,
    selected: SecondaryMap<Block, Option<Selected>>,
    vreg_count: u32,
    frame_bytes: u32,
) -> VCode {
    let pieces = pieces(&flow.reverse_post_order, &selected);
    let numbers = Numbers::of(&pieces);
    let layout = layout(func, &selected).iter().map(|&piece| numbers.of_piece(piece)).collect();
    let (insts, blocks) = (Vec::new(), Vec::with_capacity(pieces.len()));
    let code = VCode { insts, blocks, loads: Vec::new(), layout, vreg_count, frame_bytes };
    let mut arrangement = Arrangement { selected, numbers, code };
    pieces.into_iter().for_each(|piece| arrangement.append(piece));
    link_predecessors(&mut arrangement.code);
    arrangement.code
}

/// A selected block's identity before it has a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Block(Block),
    Split(Block, usize),
    Exit { code: i32 },
}

/// The numbers of all pieces. A block's splits follow it.
#[derive(Default)]
struct Numbers {
    blocks: SecondaryMap<Block, u32>,
    exits: Vec<(i32, u32)>,
}

impl Numbers {
    fn of(pieces: &[Piece]) -> Self {
        let mut numbers = Self::default();
        for (&piece, number) in pieces.iter().zip(0..) {
            match piece {
                Piece::Block(block) => numbers.blocks[block] = number,
                Piece::Split(..) => {}
                Piece::Exit { code } => numbers.exits.push((code, number)),
            }
        }
        numbers
    }

    fn of_piece(&self, piece: Piece) -> VBlock {
        let exit_of = |wanted: i32| self.exits.iter().find(|&&(code, _)| code == wanted);
        VBlock(match piece {
            Piece::Block(block) => self.blocks[block],
            Piece::Split(block, index) => self.blocks[block] + 1 + index as u32,
            Piece::Exit { code } => exit_of(code).expect("every exit is a piece").1,
        })
    }
}

fn pieces(blocks: &[Block], selected: &SecondaryMap<Block, Option<Selected>>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut exits: Vec<Piece> = Vec::new();
    for &block in blocks {
        let Some(chosen) = &selected[block] else { continue };
        for (target, _) in &chosen.edges {
            match *target {
                Target::Exit { code } if !exits.contains(&Piece::Exit { code }) => exits.push(Piece::Exit { code }),
                _ => {}
            }
        }
        pieces.push(Piece::Block(block));
        pieces.extend((0..chosen.splits.len()).map(|index| Piece::Split(block, index)));
    }
    pieces.append(&mut exits);
    pieces
}

fn layout(func: &Function, selected: &SecondaryMap<Block, Option<Selected>>) -> Vec<Piece> {
    let is_cold = |block: Block| func.blocks[block].is_cold && block != func.entry();
    let (mut hot, mut cold) = (Vec::new(), Vec::new());
    for piece in pieces(&func.layout, selected) {
        let is_cold = match piece {
            Piece::Block(block) => is_cold(block),
            Piece::Split(from, index) => {
                let split = selected[from].as_ref().map(|chosen| &chosen.splits[index]);
                is_cold(from) || split.is_some_and(|split| is_cold(split.dest))
            }
            Piece::Exit { .. } => false,
        };
        if is_cold { &mut cold } else { &mut hot }.push(piece);
    }
    hot.append(&mut cold);
    hot
}

struct Arrangement {
    selected: SecondaryMap<Block, Option<Selected>>,
    numbers: Numbers,
    code: VCode,
}

impl Arrangement {
    fn append(&mut self, piece: Piece) {
        let start = self.code.insts.len();
        let (params, successors) = match piece {
            Piece::Block(block) => self.append_block(block),
            Piece::Split(from, index) => (Vec::new(), smallvec![self.append_split(from, index)]),
            Piece::Exit { code } => {
                self.append_return(code);
                (Vec::new(), SmallVec::new())
            }
        };
        let insts = start..self.code.insts.len();
        self.code.blocks.push(VBlockData { insts, params, successors, predecessors: SmallVec::new() });
    }

    fn append_block(&mut self, block: Block) -> (Vec<VReg>, SmallVec<[Edge; 2]>) {
        let chosen = self.selected[block].as_mut().expect("only selected blocks are put in order");
        self.code.insts.append(&mut chosen.insts);
        let params = std::mem::take(&mut chosen.params);
        let number = |target| match target {
            Target::Block(dest) => self.numbers.of_piece(Piece::Block(dest)),
            Target::Exit { code } => self.numbers.of_piece(Piece::Exit { code }),
            Target::Split(index) => self.numbers.of_piece(Piece::Split(block, index)),
        };
        let edges = std::mem::take(&mut chosen.edges);
        (params, edges.into_iter().map(|(target, args)| Edge { block: number(target), args }).collect())
    }

    fn append_split(&mut self, from: Block, index: usize) -> Edge {
        let chosen = self.selected[from].as_mut().expect("only selected blocks are put in order");
        let split = &mut chosen.splits[index];
        self.code.insts.append(&mut split.insts);
        Edge { block: self.numbers.of_piece(Piece::Block(split.dest)), args: std::mem::take(&mut split.args) }
    }

    /// The return belongs to no place of its own; it is shown with the program's start.
    fn append_return(&mut self, code: i32) {
        let span = self.code.insts.first().map_or_else(Span::default, |first| first.span);
        self.code.insts.push(VInst { op: VOp::Return { code }, operands: Operands::new(), span });
    }
}

fn link_predecessors(code: &mut VCode) {
    for index in 0..code.blocks.len() {
        for edge in 0..code.blocks[index].successors.len() {
            let successor = code.blocks[index].successors[edge].block;
            code.blocks[successor.index()].predecessors.push(VBlock(index as u32));
        }
    }
}
