//! Control flow between placed blocks: what can be left out.
//!
//! - Blocks that only jump on are skipped by those who jump to them.
//! - What nobody reaches any more is left out; the kernel refuses instructions that it cannot reach.
//! - Blocks that end alike share the end, which saves instructions and costs no jump. But those that
//!   enter a loop and those that go back in it share none: kernels before 6.8 let a program go back by
//!   a jump only, and the shared end may stand right before the loop.

use std::collections::HashMap;

use crate::bpf::inst::Inst;
use crate::bpf::vcode::VBlock;
use crate::place::{Body, Exit};

/// With how many blocks that jump to the same place a block is compared: more would make long
/// scripts slow, and short ones have no more.
const MAX_COMPARED: usize = 64;

/// Leaves out what can be; the answer is the blocks that stay, in the order of emission.
pub fn tidy(bodies: &mut Vec<Body>, layout: &[VBlock]) -> Vec<VBlock> {
    skip_empty_blocks(bodies);
    let mut layout = kept_blocks(bodies, layout);
    let mut goes_back = (0..).zip(&*bodies).map(|(index, body)| goes_back(index, body)).collect();
    share_ends(bodies, &mut layout, &mut goes_back);
    layout
}

/// Whether the block of that number jumps to one that it can be reached from: numbers are in reverse
/// post-order, and loops have one entry.
fn goes_back(index: usize, body: &Body) -> bool {
    matches!(body.exit, Exit::Jump(to) if to.index() <= index)
}

/// Turns what jumps to a block that only jumps on into a jump to that one's destination, and a
/// branch whose two sides meet at once into a jump.
fn skip_empty_blocks(bodies: &mut [Body]) {
    for index in 0..bodies.len() {
        bodies[index].exit = match bodies[index].exit {
            Exit::Jump(to) => Exit::Jump(destination(bodies, to)),
            Exit::Branch { test, then, otherwise } => {
                match (destination(bodies, then), destination(bodies, otherwise)) {
                    (then, otherwise) if then == otherwise => Exit::Jump(then),
                    (then, otherwise) => Exit::Branch { test, then, otherwise },
                }
            }
            Exit::Return(code) => Exit::Return(code),
        };
    }
}

/// Where a jump to `block` ends up. Blocks that do nothing but jump in a circle are left alone.
fn destination(bodies: &[Body], mut block: VBlock) -> VBlock {
    for _ in 0..bodies.len() {
        match &bodies[block.index()] {
            Body { insts, exit: Exit::Jump(next), .. } if insts.is_empty() => block = *next,
            _ => break,
        }
    }
    block
}

/// The blocks of `layout` that are still reached.
fn kept_blocks(bodies: &[Body], layout: &[VBlock]) -> Vec<VBlock> {
    let mut is_reached = vec![false; bodies.len()];
    let mut pending = vec![layout[0]];
    while let Some(block) = pending.pop() {
        if std::mem::replace(&mut is_reached[block.index()], true) {
            continue;
        }
        match bodies[block.index()].exit {
            Exit::Jump(to) => pending.push(to),
            Exit::Branch { then, otherwise, .. } => pending.extend([then, otherwise]),
            Exit::Return(_) => {}
        }
    }
    layout.iter().copied().filter(|block| is_reached[block.index()]).collect()
}

/// Makes a block whose last instructions are those of an earlier one, and that jumps to the same
/// place, jump to those instead; again, until there is none.
fn share_ends(bodies: &mut Vec<Body>, layout: &mut Vec<VBlock>, goes_back: &mut Vec<bool>) {
    while share_some_ends(bodies, layout, goes_back) {
        // What is left of a block may be nothing, and so may those that branch to it.
        skip_empty_blocks(bodies);
        *layout = kept_blocks(bodies, layout);
    }
}

/// Goes through the blocks once; false when none could be shortened.
fn share_some_ends(bodies: &mut Vec<Body>, layout: &mut Vec<VBlock>, goes_back: &mut Vec<bool>) -> bool {
    let mut jumping_to: HashMap<(VBlock, bool), Vec<VBlock>> = HashMap::new();
    let mut behind: HashMap<VBlock, VBlock> = HashMap::new();
    let mut is_shortened = false;
    for (at, &block) in layout.iter().enumerate() {
        let Exit::Jump(to) = bodies[block.index()].exit else { continue };
        let earlier = jumping_to.entry((to, goes_back[block.index()])).or_default();
        let is_next = layout.get(at + 1) == Some(&to);
        let Some((keeper, length)) = longest_common_end(bodies, earlier, block).filter(|_| !is_next) else {
            earlier.push(block);
            continue;
        };
        let end = cut_end(bodies, earlier[keeper], length);
        if end != earlier[keeper] {
            goes_back.push(goes_back[block.index()]);
            behind.insert(earlier[keeper], end);
            earlier[keeper] = end;
        }
        shorten(&mut bodies[block.index()], length, end);
        is_shortened = true;
    }
    let with_those_behind = |&block: &VBlock| std::iter::successors(Some(block), |block| behind.get(block).copied());
    *layout = layout.iter().flat_map(with_those_behind).collect();
    is_shortened
}

/// Among the latest of `earlier` the place of the block that ends like `block` for the most
/// instructions, and for how many.
fn longest_common_end(bodies: &[Body], earlier: &[VBlock], block: VBlock) -> Option<(usize, usize)> {
    let first = earlier.len().saturating_sub(MAX_COMPARED);
    let ends = earlier.iter().enumerate().skip(first).map(|(place, candidate)| {
        let length = common_end(&bodies[candidate.index()], &bodies[block.index()]);
        (place, length)
    });
    ends.filter(|&(_, length)| length > 0).max_by_key(|&(_, length)| length)
}

/// How many instructions at their ends two blocks have in common. A comparison's value is made by
/// a jump over one instruction: it is not cut between the two.
fn common_end(a: &Body, b: &Body) -> usize {
    let pairs = a.insts.iter().rev().zip(b.insts.iter().rev());
    let mut length = pairs.take_while(|(a, b)| a.does_the_same(b)).count();
    let is_cut = |body: &Body, length: usize| {
        let before = body.insts.len() - length;
        before > 0 && matches!(body.insts[before - 1].inst, Inst::Branch { .. })
    };
    while length > 0 && (is_cut(a, length) || is_cut(b, length)) {
        length -= 1;
    }
    length
}

/// The block of the last `length` instructions of `keeper`, cut off it unless it has no others.
fn cut_end(bodies: &mut Vec<Body>, keeper: VBlock, length: usize) -> VBlock {
    let end = VBlock(bodies.len() as u32);
    let kept = &mut bodies[keeper.index()];
    if length == kept.insts.len() {
        return keeper;
    }
    let insts = kept.insts.split_off(kept.insts.len() - length);
    let (exit, span) = (std::mem::replace(&mut kept.exit, Exit::Jump(end)), kept.span);
    bodies.push(Body { insts, exit, span });
    end
}

/// Lets a block jump to `end` instead of having its last `length` instructions too.
fn shorten(block: &mut Body, length: usize, end: VBlock) {
    block.insts.truncate(block.insts.len() - length);
    block.exit = Exit::Jump(end);
}

#[cfg(test)]
mod tests {
    use pfscript_grammar::Span;

    use super::*;
    use crate::bpf::inst::{AluOp, Cond, Src, Width};
    use crate::bpf::regs::{R0, R1};
    use crate::place::{Placed, Test};

    fn set(imm: i32) -> Placed {
        let inst = Inst::Alu { op: AluOp::Mov, width: Width::W64, dst: R1, src: Src::Imm(imm) };
        Placed { inst, span: Span::default(), target: None }
    }

    fn skip_one(imm: i32) -> Placed {
        let inst = Inst::Branch { cond: Cond::Eq, width: Width::W64, dst: R0, src: Src::Imm(imm), offset: 1 };
        Placed { inst, ..set(0) }
    }

    fn body(insts: &[Placed], exit: Exit) -> Body {
        Body { insts: insts.to_vec(), exit, span: Span::default() }
    }

    fn branch(then: u32, otherwise: u32) -> Exit {
        let test = Test { cond: Cond::Eq, width: Width::W64, dst: R0, src: Src::Imm(0) };
        Exit::Branch { test, then: VBlock(then), otherwise: VBlock(otherwise) }
    }

    fn tidied(mut bodies: Vec<Body>) -> (Vec<u32>, Vec<usize>) {
        let layout: Vec<VBlock> = (0..bodies.len() as u32).map(VBlock).collect();
        let layout = tidy(&mut bodies, &layout);
        let lengths = layout.iter().map(|block| bodies[block.index()].insts.len()).collect();
        (layout.iter().map(|block| block.0).collect(), lengths)
    }

    #[test]
    fn empty_blocks_and_what_only_they_reach_go() {
        let empty = |to| body(&[], Exit::Jump(VBlock(to)));
        let bodies = vec![body(&[set(1)], branch(1, 2)), empty(3), empty(3), body(&[], Exit::Return(0))];
        assert_eq!(tidied(bodies), (vec![0, 3], vec![1, 0]));
    }

    #[test]
    fn a_circle_of_jumps_is_left_alone() {
        let bodies = vec![body(&[set(1)], Exit::Jump(VBlock(1))), body(&[], Exit::Jump(VBlock(1)))];
        assert_eq!(tidied(bodies), (vec![0, 1], vec![1, 0]));
    }

    #[test]
    fn common_ends_are_shared() {
        let end = |first| body(&[set(first), set(7), set(8)], Exit::Jump(VBlock(1)));
        let bodies = vec![body(&[set(1)], branch(2, 3)), body(&[], Exit::Return(0)), end(2), end(3)];
        assert_eq!(tidied(bodies), (vec![0, 1, 2, 4, 3], vec![1, 0, 1, 2, 1]));
    }

    #[test]
    fn what_sharing_an_end_leaves_empty_goes() {
        // Block 2 only chooses between two equal blocks, and only block 5 goes there.
        let end = || body(&[set(7), set(8)], Exit::Jump(VBlock(1)));
        let bodies = vec![
            body(&[set(1)], branch(5, 1)),
            body(&[], Exit::Return(0)),
            body(&[], branch(3, 4)),
            end(),
            end(),
            body(&[set(2)], Exit::Jump(VBlock(2))),
        ];
        assert_eq!(tidied(bodies), (vec![0, 1, 3, 5], vec![1, 0, 2, 1]));
    }

    #[test]
    fn who_enters_a_loop_shares_nothing_with_who_goes_back() {
        let bodies = vec![
            body(&[set(1)], branch(1, 2)),
            body(&[set(5), set(7)], Exit::Jump(VBlock(2))),
            body(&[set(9)], branch(3, 4)),
            body(&[set(6), set(7)], Exit::Jump(VBlock(2))),
            body(&[], Exit::Return(0)),
        ];
        assert_eq!(tidied(bodies), (vec![0, 1, 2, 3, 4], vec![1, 2, 1, 2, 0]));
    }

    #[test]
    fn a_comparison_is_not_cut_in_two() {
        let end = |first| body(&[set(1), skip_one(first), set(0)], Exit::Jump(VBlock(1)));
        let bodies = vec![body(&[set(1)], branch(2, 3)), body(&[], Exit::Return(0)), end(2), end(3)];
        assert_eq!(tidied(bodies), (vec![0, 1, 2, 3], vec![1, 0, 3, 3]));
    }
}
