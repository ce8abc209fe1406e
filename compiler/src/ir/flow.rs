//! The control flow graph: predecessors, reverse post-order, dominators.
//!
//! A function keeps what was found until its control flow changes (see [`Function::flow`]).

use std::cell::OnceCell;
use std::ops::Range;

use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;

use super::entities::Block;
use super::function::Function;

/// Facts about the control flow of a function, true until a terminator changes.
#[derive(Debug)]
pub struct ControlFlow {
    /// Reachable blocks, each before its successors but for back edges.
    pub reverse_post_order: Vec<Block>,
    position: SecondaryMap<Block, Option<u32>>,
    /// The predecessors of all blocks, block after block, and where those of each are.
    predecessors: Vec<Block>,
    predecessors_of: SecondaryMap<Block, Range<u32>>,
    /// Made when first asked for.
    dominators: OnceCell<DominatorTree>,
}

impl ControlFlow {
    /// Looks at `func` as it is now.
    pub fn of(func: &Function) -> Self {
        let (reverse_post_order, successors) = reverse_post_order(func);
        let mut position = SecondaryMap::new();
        position.resize(func.blocks.len());
        for (index, &block) in reverse_post_order.iter().enumerate() {
            position[block] = Some(index as u32);
        }
        let (predecessors, predecessors_of) = predecessors(&reverse_post_order, &successors);
        Self { reverse_post_order, position, predecessors, predecessors_of, dominators: OnceCell::new() }
    }

    /// Whether a path from the entry leads to `block`.
    pub fn is_reachable(&self, block: Block) -> bool {
        self.position[block].is_some()
    }

    /// Whether the edge leads back to where the block comes from, or to the block itself.
    pub fn is_back_edge(&self, from: Block, to: Block) -> bool {
        self.position[to] <= self.position[from]
    }

    /// Reachable predecessors, one entry for each edge.
    pub fn predecessors(&self, block: Block) -> &[Block] {
        let Range { start, end } = self.predecessors_of[block];
        &self.predecessors[start as usize..end as usize]
    }

    /// The closest block that every path to `block` passes; none for the entry.
    pub fn immediate_dominator(&self, block: Block) -> Option<Block> {
        self.dominators().immediate[block].expand().filter(|&dominator| dominator != block)
    }

    /// Whether every path to `block` passes `dominator`; each block dominates itself.
    pub fn dominates(&self, dominator: Block, block: Block) -> bool {
        let times = &self.dominators().times;
        let ((outer_first, outer_last), (first, last)) = (times[dominator], times[block]);
        self.is_reachable(dominator) && self.is_reachable(block) && outer_first <= first && last <= outer_last
    }

    /// Whether in reverse post-order all that `dominator` dominates comes before `block`.
    pub fn is_left_behind(&self, dominator: Block, block: Block) -> bool {
        self.position[block] > Some(self.dominators().last[dominator])
    }

    /// Whether both are of the same graph.
    pub fn is_same_graph(&self, other: &Self) -> bool {
        let same_predecessors = |&block: &Block| self.predecessors(block) == other.predecessors(block);
        self.reverse_post_order == other.reverse_post_order && self.reverse_post_order.iter().all(same_predecessors)
    }

    fn dominators(&self) -> &DominatorTree {
        self.dominators.get_or_init(|| DominatorTree::of(self))
    }
}

/// Where each reachable block leads, so that its terminator is looked at only once.
type Successors = SecondaryMap<Block, [PackedOption<Block>; 2]>;

/// Depth first without recursion: scripts of any length must not overflow the stack.
fn reverse_post_order(func: &Function) -> (Vec<Block>, Successors) {
    let mut successors = Successors::new();
    successors.resize(func.blocks.len());
    let mut visited: SecondaryMap<Block, bool> = SecondaryMap::new();
    visited.resize(func.blocks.len());
    let mut post_order = Vec::with_capacity(func.layout.len());
    let mut stack = vec![(func.entry(), false)];
    while let Some((block, is_done)) = stack.pop() {
        if is_done {
            post_order.push(block);
            continue;
        }
        if std::mem::replace(&mut visited[block], true) {
            continue;
        }
        stack.push((block, true));
        // The last pushed is visited first and so comes last in the order: with this the `then`
        // side of a branch comes directly behind it.
        for (call, place) in func.terminator(block).successors().zip(&mut successors[block]) {
            *place = call.block.into();
            stack.push((call.block, false));
        }
    }
    post_order.reverse();
    (post_order, successors)
}

/// Counts the predecessors of each block, which tells where its part of the list begins, and then
/// fills the list.
fn predecessors(blocks: &[Block], successors: &Successors) -> (Vec<Block>, SecondaryMap<Block, Range<u32>>) {
    let successors = |block: Block| successors[block].iter().filter_map(|successor| successor.expand());
    let mut ranges: SecondaryMap<Block, Range<u32>> = SecondaryMap::new();
    for block in blocks.iter().flat_map(|&block| successors(block)) {
        ranges[block].end += 1;
    }
    let mut edges = 0;
    for &block in blocks {
        let count = ranges[block].end;
        ranges[block] = edges..edges;
        edges += count;
    }
    let mut list = vec![blocks[0]; edges as usize];
    for &block in blocks {
        for successor in successors(block) {
            let range = &mut ranges[successor];
            list[range.end as usize] = block;
            range.end += 1;
        }
    }
    (list, ranges)
}

#[derive(Debug)]
struct DominatorTree {
    /// The parent of each block; the entry's is itself.
    immediate: SecondaryMap<Block, PackedOption<Block>>,
    /// First and last moment of each block in a walk of the tree: with these `dominates` is two
    /// comparisons.
    times: SecondaryMap<Block, (u32, u32)>,
    /// The last position of what each block dominates.
    last: SecondaryMap<Block, u32>,
}

impl DominatorTree {
    /// Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm".
    fn of(flow: &ControlFlow) -> Self {
        let (&entry, others) = flow.reverse_post_order.split_first().expect("the entry is reachable");
        let mut tree = Self { immediate: SecondaryMap::new(), times: SecondaryMap::new(), last: SecondaryMap::new() };
        tree.immediate[entry] = entry.into();
        let mut changed = true;
        while changed {
            changed = false;
            for &block in others {
                let dominator = tree.common_dominator_of_predecessors(flow, block);
                changed |= tree.immediate[block] != dominator;
                tree.immediate[block] = dominator;
            }
        }
        tree.number(entry, others);
        tree.note_last_positions(&flow.reverse_post_order);
        tree
    }

    fn note_last_positions(&mut self, blocks: &[Block]) {
        for (position, &block) in blocks.iter().enumerate().rev() {
            let last = self.last[block].max(position as u32);
            let parent = self.immediate[block].expect("a reachable block has a dominator");
            self.last[block] = last;
            self.last[parent] = self.last[parent].max(last);
        }
    }

    fn common_dominator_of_predecessors(&self, flow: &ControlFlow, block: Block) -> PackedOption<Block> {
        let known = |&&pred: &&Block| self.immediate[pred].is_some();
        let preds = flow.predecessors(block).iter().filter(known).copied();
        preds.reduce(|a, b| self.intersect(flow, a, b)).into()
    }

    fn intersect(&self, flow: &ControlFlow, mut a: Block, mut b: Block) -> Block {
        while a != b {
            while flow.position[a] > flow.position[b] {
                a = self.immediate[a].expect("a processed block has a dominator");
            }
            while flow.position[b] > flow.position[a] {
                b = self.immediate[b].expect("a processed block has a dominator");
            }
        }
        a
    }

    /// Walks the tree. The children of a block are a list: the first, and of each the next.
    fn number(&mut self, entry: Block, others: &[Block]) {
        let mut first: SecondaryMap<Block, PackedOption<Block>> = SecondaryMap::new();
        let mut next: SecondaryMap<Block, PackedOption<Block>> = SecondaryMap::new();
        for &block in others {
            let parent = self.immediate[block].expect("a reachable block has a dominator");
            next[block] = std::mem::replace(&mut first[parent], block.into());
        }
        let (mut time, mut path) = (1, vec![entry]);
        self.times[entry].0 = time;
        while let Some(&block) = path.last() {
            time += 1;
            match first[block].take() {
                Some(child) => {
                    first[block] = next[child];
                    self.times[child].0 = time;
                    path.push(child);
                }
                None => {
                    self.times[block].1 = time;
                    path.pop();
                }
            }
        }
    }
}
