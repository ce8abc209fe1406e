//! The control flow graph: predecessors, reverse post-order, dominators.

use cranelift_entity::SecondaryMap;

use super::entities::Block;
use super::function::Function;

/// Facts about the control flow of a function, true until a terminator changes.
pub struct ControlFlow {
    /// Reachable blocks, each before its successors but for back edges.
    pub reverse_post_order: Vec<Block>,
    /// Reachable predecessors, one entry for each edge.
    pub predecessors: SecondaryMap<Block, Vec<Block>>,
    position: SecondaryMap<Block, Option<u32>>,
    immediate_dominator: SecondaryMap<Block, Option<Block>>,
    /// First and last moment of each block in a walk of the dominator tree.
    tree_times: SecondaryMap<Block, (u32, u32)>,
}

impl ControlFlow {
    /// Looks at `func` as it is now.
    pub fn of(func: &Function) -> Self {
        let reverse_post_order = reverse_post_order(func);
        let mut position = SecondaryMap::new();
        let mut predecessors: SecondaryMap<Block, Vec<Block>> = SecondaryMap::new();
        for (index, &block) in reverse_post_order.iter().enumerate() {
            position[block] = Some(index as u32);
            for successor in func.terminator(block).successors() {
                predecessors[successor.block].push(block);
            }
        }
        let mut flow = Self {
            reverse_post_order,
            predecessors,
            position,
            immediate_dominator: SecondaryMap::new(),
            tree_times: SecondaryMap::new(),
        };
        flow.compute_dominators();
        flow.number_dominator_tree();
        flow
    }

    /// Whether a path from the entry leads to `block`.
    pub fn is_reachable(&self, block: Block) -> bool {
        self.position[block].is_some()
    }

    /// The closest block that every path to `block` passes; none for the entry.
    pub fn immediate_dominator(&self, block: Block) -> Option<Block> {
        self.immediate_dominator[block].filter(|&dominator| dominator != block)
    }

    /// Whether every path to `block` passes `dominator`; each block dominates itself.
    pub fn dominates(&self, dominator: Block, block: Block) -> bool {
        let ((outer_first, outer_last), (first, last)) = (self.tree_times[dominator], self.tree_times[block]);
        self.is_reachable(dominator) && self.is_reachable(block) && outer_first <= first && last <= outer_last
    }

    /// Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm".
    fn compute_dominators(&mut self) {
        let entry = self.reverse_post_order[0];
        self.immediate_dominator[entry] = Some(entry);
        let mut changed = true;
        while changed {
            changed = false;
            for index in 1..self.reverse_post_order.len() {
                let block = self.reverse_post_order[index];
                let dominator = self.common_dominator_of_predecessors(block);
                changed |= self.immediate_dominator[block] != dominator;
                self.immediate_dominator[block] = dominator;
            }
        }
    }

    /// With the times of a depth-first walk of the tree, `dominates` is two comparisons.
    fn number_dominator_tree(&mut self) {
        let mut children: SecondaryMap<Block, Vec<Block>> = SecondaryMap::new();
        for &block in &self.reverse_post_order[1..] {
            if let Some(parent) = self.immediate_dominator[block] {
                children[parent].push(block);
            }
        }
        let mut time = 0;
        let mut stack = vec![(self.reverse_post_order[0], false)];
        while let Some((block, is_done)) = stack.pop() {
            time += 1;
            if is_done {
                self.tree_times[block].1 = time;
                continue;
            }
            self.tree_times[block].0 = time;
            stack.push((block, true));
            stack.extend(children[block].iter().map(|&child| (child, false)));
        }
    }

    fn common_dominator_of_predecessors(&self, block: Block) -> Option<Block> {
        let known = |&&pred: &&Block| self.immediate_dominator[pred].is_some();
        self.predecessors[block].iter().filter(known).copied().reduce(|a, b| self.intersect(a, b))
    }

    fn intersect(&self, mut a: Block, mut b: Block) -> Block {
        while a != b {
            while self.position[a] > self.position[b] {
                a = self.immediate_dominator[a].expect("a processed block has a dominator");
            }
            while self.position[b] > self.position[a] {
                b = self.immediate_dominator[b].expect("a processed block has a dominator");
            }
        }
        a
    }
}

/// Depth first without recursion: scripts of any length must not overflow the stack.
fn reverse_post_order(func: &Function) -> Vec<Block> {
    let mut visited: SecondaryMap<Block, bool> = SecondaryMap::new();
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
        stack.extend(func.terminator(block).successors().map(|call| (call.block, false)));
    }
    post_order.reverse();
    post_order
}
