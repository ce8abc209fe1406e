//! Lets stack slots that are never needed at the same time share their bytes.
//!
//! What is in a slot never outlives a pass through the place that dominates all its uses: a slot
//! is a temporary, filled and used again each time, or a variable of a block, set before it is
//! read. So a slot is needed from that place to its uses, and not from one round of a loop to the
//! next unless that place is outside of the loop. Slots are coloured greedily, the largest first.

use cranelift_entity::{EntityRef, EntitySet, PrimaryMap, SecondaryMap};

use crate::ir::entities::StackSlot;
use crate::ir::flow::ControlFlow;
use crate::ir::function::StackSlotData;
use crate::ir::{Block, Function, InstData, Value};

/// Renumbers the slots so that those with disjoint lives become one, and drops those without use.
pub fn share_stack_slots(func: &mut Function) {
    if func.slots.is_empty() {
        return;
    }
    let flow = func.flow();
    let lives = lives(func, &flow);
    let colours = colour(func, &conflicts(func, &lives));
    rename(func, &colours);
}

/// A part of a slot's life: from one instruction of a block to another, both included.
#[derive(Clone, Copy)]
struct Life {
    slot: StackSlot,
    first: usize,
    last: usize,
}

/// Where a slot is used: in which blocks, from which instruction to which.
type Uses = Vec<(Block, (usize, usize))>;

/// The lives in each block.
fn lives(func: &Function, flow: &ControlFlow) -> SecondaryMap<Block, Vec<Life>> {
    let mut lives: SecondaryMap<Block, Vec<Life>> = SecondaryMap::new();
    let mut trace = Trace::default();
    for (slot, uses) in &uses(func, flow) {
        if let Some(birth) = common_dominator(flow, uses) {
            trace.go_back(flow, birth, uses);
            trace.lives(func, birth, |block, first, last| lives[block].push(Life { slot, first, last }));
        }
    }
    lives
}

/// The uses of each slot, by the addresses among the operands of instructions.
fn uses(func: &Function, flow: &ControlFlow) -> PrimaryMap<StackSlot, Uses> {
    let mut slot_of: SecondaryMap<Value, Option<StackSlot>> = SecondaryMap::new();
    for node in func.insts.values() {
        if let (InstData::StackAddr { slot, .. }, Some(result)) = (&node.data, node.result) {
            slot_of[result] = Some(*slot);
        }
    }
    let mut uses: PrimaryMap<StackSlot, Uses> = func.slots.keys().map(|_| Uses::new()).collect();
    for &block in &flow.reverse_post_order {
        for (index, &inst) in func.blocks[block].insts.iter().enumerate() {
            func.insts[inst].data.for_each_operand(|operand| {
                let Some(slot) = slot_of[operand] else { return };
                match uses[slot].last_mut() {
                    Some((known, (_, last))) if *known == block => *last = index,
                    _ => uses[slot].push((block, (index, index))),
                }
            });
        }
    }
    uses
}

/// The closest block that every path to a use passes; none without uses.
fn common_dominator(flow: &ControlFlow, uses: &Uses) -> Option<Block> {
    uses.iter().map(|&(block, _)| block).reduce(|mut dominator, block| {
        while !flow.dominates(dominator, block) {
            dominator = flow.immediate_dominator(dominator).expect("the entry dominates all");
        }
        dominator
    })
}

/// The blocks that one slot is needed in. Kept from slot to slot, for it is as large as the function.
#[derive(Default)]
struct Trace {
    blocks: Vec<Block>,
    at: SecondaryMap<Block, Need>,
}

/// Why a slot is needed in a block.
#[derive(Clone, Copy, Default)]
struct Need {
    is_noted: bool,
    from_start: bool,
    to_end: bool,
    uses: Option<(usize, usize)>,
}

impl Trace {
    /// Goes from the uses back to the birth.
    fn go_back(&mut self, flow: &ControlFlow, birth: Block, uses: &Uses) {
        self.blocks.drain(..).for_each(|block| self.at[block] = Need::default());
        let mut pending = Vec::new();
        for &(block, span) in uses {
            self.note(block).uses = Some(span);
            pending.push(block);
        }
        while let Some(block) = pending.pop() {
            if block == birth || std::mem::replace(&mut self.note(block).from_start, true) {
                continue;
            }
            for &pred in flow.predecessors(block) {
                self.note(pred).to_end = true;
                pending.push(pred);
            }
        }
    }

    fn note(&mut self, block: Block) -> &mut Need {
        if !std::mem::replace(&mut self.at[block].is_noted, true) {
            self.blocks.push(block);
        }
        &mut self.at[block]
    }

    /// For each block the first and last instruction that the slot is needed at.
    fn lives(&self, func: &Function, birth: Block, mut add: impl FnMut(Block, usize, usize)) {
        for &block in &self.blocks {
            let (need, end) = (self.at[block], func.blocks[block].insts.len() - 1);
            let (first, last) = need.uses.unwrap_or((end, end));
            add(block, if block == birth { first } else { 0 }, if need.to_end { end } else { last });
        }
    }
}

type Conflicts = SecondaryMap<StackSlot, EntitySet<StackSlot>>;

/// The slots that each slot shares a moment with.
fn conflicts(func: &Function, lives: &SecondaryMap<Block, Vec<Life>>) -> Conflicts {
    let mut conflicts = Conflicts::new();
    for &block in &func.layout {
        let mut lives = lives[block].clone();
        lives.sort_by_key(|life| life.first);
        let mut present: Vec<Life> = Vec::new();
        for life in lives {
            present.retain(|other| other.last >= life.first);
            for other in &present {
                conflicts[life.slot].insert(other.slot);
                conflicts[other.slot].insert(life.slot);
            }
            conflicts[life.slot].insert(life.slot);
            present.push(life);
        }
    }
    conflicts
}

/// The new slot of each slot, and the new slots' sizes.
struct Colours {
    of: SecondaryMap<StackSlot, Option<StackSlot>>,
    slots: PrimaryMap<StackSlot, StackSlotData>,
}

fn colour(func: &Function, conflicts: &Conflicts) -> Colours {
    let mut order: Vec<StackSlot> = func.slots.keys().filter(|&slot| conflicts[slot].contains(slot)).collect();
    order.sort_by_key(|&slot| (std::cmp::Reverse(func.slots[slot].size), slot.index()));
    let mut colours = Colours { of: SecondaryMap::new(), slots: PrimaryMap::new() };
    for slot in order {
        let taken: Vec<StackSlot> = conflicts[slot].iter().filter_map(|other| colours.of[other]).collect();
        let free = colours.slots.keys().find(|colour| !taken.contains(colour));
        let chosen = free.unwrap_or_else(|| colours.slots.push(StackSlotData { size: func.slots[slot].size }));
        colours.of[slot] = Some(chosen);
    }
    colours
}

fn rename(func: &mut Function, colours: &Colours) {
    for index in 0..func.layout.len() {
        let block = func.layout[index];
        for inst in func.blocks[block].insts.clone() {
            if let InstData::StackAddr { slot, .. } = &mut func.insts[inst].data
                && let Some(shared) = colours.of[*slot]
            {
                *slot = shared;
            }
        }
    }
    func.slots = colours.slots.clone();
}
