//! Reads of a map element that this run has just written or read take that value: no second
//! look-up, and, since additions are atomic, the very number that this run's addition produced.
//!
//! What is known of an element holds from one instruction to the next, and at the start of a
//! block if all its predecessors end with it. A write to another key of the same map might be a
//! write to the same element, so it ends the knowledge about the others.
//!
//! What this run has written must be forwarded: that the number is this run's is promised. What it
//! has only read is forwarded while it pays: a value that waits takes a register or 8 bytes of
//! stack, so it is read anew when many others were read since.

use std::rc::Rc;

use cranelift_entity::SecondaryMap;

use super::rewrite::Replacements;
use crate::catalog::helpers::Helper;
use crate::ir::flow::ControlFlow;
use crate::ir::function::Type;
use crate::ir::{BinaryOp, Block, Function, Inst, InstData, Value, Values};
use crate::manifest::MapRef;

/// A value that was read serves until so many others are known.
const RECENT: u32 = 24;

/// Forwards along the control flow.
pub fn forward_map_values(func: &mut Function) {
    let flow = func.flow();
    let mut at_end: SecondaryMap<Block, Option<Known>> = SecondaryMap::new();
    let mut forwarding = Forwarding { replacements: Replacements::new(), facts: 0 };
    for &block in &flow.reverse_post_order {
        let mut known = at_start(&flow, &at_end, block);
        for inst in func.blocks[block].insts.clone() {
            forwarding.replacements.apply_to(func, inst);
            forwarding.step(func, inst, &mut known);
        }
        at_end[block] = Some(known);
    }
}

/// What all predecessors agree on; nothing when one of them comes later, as in a loop.
fn at_start(flow: &ControlFlow, at_end: &SecondaryMap<Block, Option<Known>>, block: Block) -> Known {
    let mut preds = flow.predecessors(block).iter().map(|&pred| at_end[pred].as_ref());
    let Some(Some(first)) = preds.next() else { return Known::default() };
    preds.try_fold(first.clone(), |common, pred| Some(common.intersect(pred?))).unwrap_or_default()
}

/// What is known of map elements at one point.
#[derive(Clone, Default)]
struct Known {
    /// In the order of their numbers.
    facts: Vec<Rc<Fact>>,
}

struct Fact {
    /// Which it is of all that were noted; others in other blocks are not the same.
    number: u32,
    map: MapRef,
    key: Values,
    content: Content,
}

#[derive(Clone)]
enum Content {
    /// The element's value, which a read gave.
    Read(Value),
    /// The value that this instruction stored.
    Stored(Value, Inst),
    /// The sum of the two.
    Sum(Value, Value),
    /// There is no such element.
    Nothing,
}

impl Known {
    fn intersect(mut self, other: &Self) -> Self {
        let mut others = other.facts.iter().peekable();
        self.facts.retain(|fact| {
            while others.next_if(|other| other.number < fact.number).is_some() {}
            others.next_if(|other| other.number == fact.number).is_some()
        });
        self
    }

    fn find(&self, map: MapRef, key: &[Value]) -> Option<&Content> {
        self.facts.iter().find(|fact| fact.map == map && fact.key == key).map(|fact| &fact.content)
    }

    fn forget(&mut self, map: MapRef) {
        self.facts.retain(|fact| fact.map != map);
    }

    fn forget_old_reads(&mut self, number: u32) {
        let is_old = |fact: &Fact| matches!(fact.content, Content::Read(_)) && number - fact.number >= RECENT;
        self.facts.retain(|fact| !is_old(fact));
    }
}

struct Forwarding {
    replacements: Replacements,
    /// How many facts were noted so far.
    facts: u32,
}

impl Forwarding {
    fn note(&mut self, known: &mut Known, map: MapRef, key: Values, content: Content) {
        self.facts += 1;
        known.facts.push(Rc::new(Fact { number: self.facts, map, key, content }));
    }

    /// The element was written: forget what is known of the map, then note the new content.
    fn write(&mut self, known: &mut Known, map: MapRef, key: Values, content: Content) {
        known.forget(map);
        self.note(known, map, key, content);
    }

    fn step(&mut self, func: &mut Function, inst: Inst, known: &mut Known) {
        let result = func.insts[inst].result;
        match (func.insts[inst].data.clone(), result) {
            (InstData::MapLoad { map, key }, Some(result)) => match known.find(map, &key).cloned() {
                Some(content) => forward(func, inst, result, content, &mut self.replacements),
                None => {
                    known.forget_old_reads(self.facts);
                    self.note(known, map, key, Content::Read(result));
                }
            },
            (InstData::MapHasKey { map, key }, _) => {
                if let Some(Content::Nothing) = known.find(map, &key) {
                    func.insts[inst].data = InstData::Iconst { imm: 0 };
                }
            }
            (InstData::MapStore { map, key, value, .. }, _) => {
                self.write(known, map, key, Content::Stored(value, inst))
            }
            (InstData::MapFetchAdd { map, key, delta }, Some(old)) => {
                self.write(known, map, key, Content::Sum(old, delta));
            }
            (InstData::MapDelete { map, key }, _) => self.write(known, map, key, Content::Nothing),
            (InstData::MapAggregate { map, .. }, _) => known.forget(map),
            // Whatever the loop's body writes.
            (InstData::Call { helper: Helper::ForEachMapElem, .. }, _) => known.facts.clear(),
            _ => {}
        }
    }
}

/// Serves the load with what is known.
fn forward(func: &mut Function, load: Inst, result: Value, content: Content, replacements: &mut Replacements) {
    match content {
        Content::Read(value) if func.ty(value) == func.ty(result) => replacements.replace(result, value),
        // A variable may hold something else by now.
        Content::Stored(value, _) if matches!(func.def(value), Some(InstData::SlotLoad { .. })) => {}
        Content::Stored(value, store) if func.ty(value) == func.ty(result) => {
            if let InstData::MapStore { must, .. } = &mut func.insts[store].data {
                *must = true;
            }
            replacements.replace(result, value);
        }
        Content::Sum(old, delta) => {
            func.insts[load].data = InstData::Binary { op: BinaryOp::Add, args: [old, delta] };
        }
        Content::Nothing if func.ty(result) == Type::I64 => {
            func.insts[load].data = InstData::Iconst { imm: 0 };
        }
        Content::Read(..) | Content::Stored(..) | Content::Nothing => {}
    }
}
