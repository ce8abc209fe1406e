//! Lets stack slots that are never needed at the same time share their bytes.
//!
//! A slot is needed at a point when it was touched on some way there and will be touched on some
//! way on. Slots are coloured greedily, the largest first.

use cranelift_entity::{EntityRef, EntitySet, PrimaryMap, SecondaryMap};

use crate::ir::entities::StackSlot;
use crate::ir::flow::ControlFlow;
use crate::ir::function::StackSlotData;
use crate::ir::{Block, Function, Inst, InstData, Value};

/// Renumbers the slots so that those with disjoint lives become one.
pub fn share_stack_slots(func: &mut Function) {
    if func.slots.len() < 2 {
        return;
    }
    let lives = Lives::of(func);
    let colours = colour(func, &lives);
    rename(func, &colours);
}

type Slots = EntitySet<StackSlot>;

/// The slots needed at each point, numbered through the layout.
struct Lives {
    points: Vec<Vec<StackSlot>>,
}

impl Lives {
    fn of(func: &Function) -> Self {
        let flow = ControlFlow::of(func);
        let touched = touched_slots(func);
        let before = flood(&flow, func, &touched, Direction::Forward);
        let after = flood(&flow, func, &touched, Direction::Backward);
        let mut points = Vec::new();
        for &block in &flow.reverse_post_order {
            let mut past = before[block].clone();
            let mut later = suffixes(func, block, &touched, &after[block]);
            for &inst in &func.blocks[block].insts {
                touched[inst].iter().for_each(|&slot| {
                    past.insert(slot);
                });
                let future = later.pop().expect("one suffix for each instruction");
                points.push(past.iter().filter(|&slot| future.contains(slot)).collect());
            }
        }
        Self { points }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Forward,
    Backward,
}

/// The slots whose memory each instruction touches, by the addresses among its operands.
fn touched_slots(func: &Function) -> SecondaryMap<Inst, Vec<StackSlot>> {
    let mut slot_of: SecondaryMap<Value, Option<StackSlot>> = SecondaryMap::new();
    for node in func.insts.values() {
        if let (InstData::StackAddr { slot, .. }, Some(result)) = (&node.data, node.result) {
            slot_of[result] = Some(*slot);
        }
    }
    let mut touched: SecondaryMap<Inst, Vec<StackSlot>> = SecondaryMap::new();
    for &block in &func.layout {
        for &inst in &func.blocks[block].insts {
            func.insts[inst].data.for_each_operand(|operand| touched[inst].extend(slot_of[operand]));
        }
    }
    touched
}

/// For each block the slots touched on some way to its start, or from its end.
fn flood(
    flow: &ControlFlow,
    func: &Function,
    touched: &SecondaryMap<Inst, Vec<StackSlot>>,
    direction: Direction,
) -> SecondaryMap<Block, Slots> {
    let mut result: SecondaryMap<Block, Slots> = SecondaryMap::new();
    let mut changed = true;
    while changed {
        changed = false;
        let order: Box<dyn Iterator<Item = &Block>> = match direction {
            Direction::Forward => Box::new(flow.reverse_post_order.iter()),
            Direction::Backward => Box::new(flow.reverse_post_order.iter().rev()),
        };
        for &block in order {
            let mut through = result[block].clone();
            func.blocks[block].insts.iter().flat_map(|&inst| &touched[inst]).for_each(|&slot| {
                through.insert(slot);
            });
            let neighbours: Vec<Block> = match direction {
                Direction::Forward => func.terminator(block).successors().map(|call| call.block).collect(),
                Direction::Backward => flow.predecessors[block].clone(),
            };
            for neighbour in neighbours {
                for slot in through.iter() {
                    changed |= result[neighbour].insert(slot);
                }
            }
        }
    }
    result
}

/// The slots touched by each instruction of a block or later, in reverse order of the instructions.
fn suffixes(func: &Function, block: Block, touched: &SecondaryMap<Inst, Vec<StackSlot>>, after: &Slots) -> Vec<Slots> {
    let mut future = after.clone();
    let mut suffixes = Vec::with_capacity(func.blocks[block].insts.len());
    for &inst in func.blocks[block].insts.iter().rev() {
        touched[inst].iter().for_each(|&slot| {
            future.insert(slot);
        });
        suffixes.push(future.clone());
    }
    suffixes
}

/// The new slot of each slot, and the new slots' sizes.
struct Colours {
    of: SecondaryMap<StackSlot, Option<StackSlot>>,
    slots: PrimaryMap<StackSlot, StackSlotData>,
}

fn colour(func: &Function, lives: &Lives) -> Colours {
    let mut conflicts: SecondaryMap<StackSlot, Slots> = SecondaryMap::new();
    for point in &lives.points {
        for &slot in point {
            point.iter().for_each(|&other| {
                conflicts[slot].insert(other);
            });
        }
    }
    let mut order: Vec<StackSlot> = func.slots.keys().filter(|&slot| !conflicts[slot].is_empty()).collect();
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
