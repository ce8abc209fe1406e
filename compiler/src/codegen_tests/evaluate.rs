//! Runs a function of the IR by its definition, to compare with.

use std::collections::HashMap;

use super::mix;
use crate::arithmetic;
use crate::ir::{BlockCall, Function, InstData, StackSlot, Value};

/// An address in the evaluation: what it points into, and where.
#[derive(Clone, Copy)]
enum Place {
    Context,
    Slot(StackSlot, u32),
}

struct Evaluation<'a> {
    func: &'a Function,
    values: HashMap<Value, i64>,
    slots: HashMap<StackSlot, Vec<u8>>,
    context: &'a mut [u8],
}

/// Runs `func` on `context`.
pub fn evaluate(func: &Function, context: &mut [u8]) {
    let slots = func.slots.iter().map(|(slot, data)| (slot, vec![0; data.size as usize])).collect();
    let mut evaluation = Evaluation { func, values: HashMap::new(), slots, context };
    let mut block = func.entry();
    loop {
        let (&last, others) = func.blocks[block].insts.split_last().expect("a verified block has a terminator");
        others.iter().for_each(|&inst| evaluation.inst(&func.insts[inst].data, func.insts[inst].result));
        let taken = match &func.insts[last].data {
            InstData::Jump { dest } => dest,
            InstData::Brif { cond, then, otherwise } => {
                if evaluation.values[cond] != 0 {
                    then
                } else {
                    otherwise
                }
            }
            _ => return,
        };
        evaluation.enter(taken);
        block = taken.block;
    }
}

impl Evaluation<'_> {
    fn enter(&mut self, call: &BlockCall) {
        let args: Vec<i64> = call.args.iter().map(|arg| self.values[arg]).collect();
        self.values.extend(self.func.blocks[call.block].params.iter().copied().zip(args));
    }

    fn inst(&mut self, data: &InstData, result: Option<Value>) {
        let value = match data {
            InstData::Iconst { imm } => *imm,
            InstData::Binary { op, args: [a, b] } => arithmetic::binary(*op, self.values[a], self.values[b]),
            InstData::Icmp { op, args: [a, b] } => arithmetic::compare(*op, self.values[a], self.values[b]).into(),
            InstData::Extend { signed, bytes, arg } => arithmetic::extend(*signed, *bytes, self.values[arg]),
            InstData::Load { bytes, signed, base, offset } => {
                let raw = self.bytes(*base, *offset, *bytes).iter().rev().fold(0, |raw, &b| raw << 8 | i64::from(b));
                arithmetic::extend(*signed, *bytes, raw)
            }
            InstData::Store { bytes, value, base, offset } => {
                let value = self.values[value].to_le_bytes();
                self.bytes(*base, *offset, *bytes).copy_from_slice(&value[..usize::from(*bytes)]);
                0
            }
            InstData::FetchAdd { value, base, offset } | InstData::AtomicAdd { value, base, offset } => {
                let added = self.values[value];
                let memory = self.bytes(*base, *offset, 8);
                let old = i64::from_le_bytes((&*memory).try_into().expect("eight bytes"));
                memory.copy_from_slice(&old.wrapping_add(added).to_le_bytes());
                old
            }
            InstData::Call { args, .. } => {
                let args: Vec<u64> = args.iter().map(|arg| self.values[arg] as u64).collect();
                mix(&args) as i64
            }
            InstData::StackAddr { .. } => 0,
            other => unreachable!("{other:?} is not among what is tested"),
        };
        if let Some(result) = result {
            self.values.insert(result, value);
        }
    }

    fn bytes(&mut self, base: Value, offset: i16, bytes: u8) -> &mut [u8] {
        let place = match self.func.def(base) {
            Some(&InstData::StackAddr { slot, offset }) => Place::Slot(slot, offset),
            _ => Place::Context,
        };
        let (memory, start) = match place {
            Place::Context => (&mut *self.context, 0),
            Place::Slot(slot, start) => {
                (self.slots.get_mut(&slot).expect("a slot of the function").as_mut_slice(), start)
            }
        };
        let start = start as usize + offset as usize;
        &mut memory[start..start + usize::from(bytes)]
    }
}
