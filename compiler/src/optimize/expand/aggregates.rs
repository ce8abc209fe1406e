//! What an aggregation came to so far: the values of all CPUs, folded as the reader in user space
//! folds them.
//!
//! The kernel's verifier walks the loop over the CPUs round by round, and what it puts off until
//! later adds up: it gives up when 8192 branches wait. So a round folds without branches; its one
//! branch leaves the loop where it falls through, which is the side that the verifier walks first;
//! and the totals start as zeros from memory, of which it knows no more than of any later total: so
//! it walks what follows the loop only once.

use super::{Expander, Place};
use crate::catalog::helpers::Helper;
use crate::ir::{BinaryOp, CmpOp, Inst, InstData, Type, Value, Values, values};
use crate::manifest::{MapRef, MapValue};

/// How the values of several CPUs become one. Each has one or two words.
#[derive(Clone, Copy)]
enum Fold {
    /// The first words are added up.
    Sum,
    /// Both words are added up; the result is the quotient, signed or not.
    Average { signed: bool },
    /// The first word that `op` prefers to all others, of those whose second word is not 0.
    Best { op: CmpOp, worst: i64 },
}

impl Fold {
    fn of(value: &MapValue) -> Self {
        match *value {
            MapValue::Count | MapValue::Sum { .. } => Self::Sum,
            MapValue::Avg { signed } => Self::Average { signed },
            MapValue::Min { signed: true } => Self::Best { op: CmpOp::Slt, worst: i64::MAX },
            MapValue::Min { signed: false } => Self::Best { op: CmpOp::Ult, worst: -1 },
            MapValue::Max { signed: true } => Self::Best { op: CmpOp::Sgt, worst: i64::MIN },
            MapValue::Max { signed: false } => Self::Best { op: CmpOp::Ugt, worst: 0 },
            MapValue::Data(_) | MapValue::Stats { .. } | MapValue::Hist | MapValue::Lhist { .. } => {
                unreachable!("the checker lets only aggregations to one number be read")
            }
        }
    }
}

impl Expander<'_> {
    /// A map that all CPUs share has one value: nothing is to be looped over.
    pub(super) fn map_aggregated(&mut self, inst: Inst, map: MapRef, key: &[Value]) {
        let info = self.info(map);
        let (fold, is_percpu) = (Fold::of(&info.value), info.kind.is_percpu());
        let key = self.key(inst, map, key);
        let start = self.start(fold);
        let totals = match is_percpu {
            true => self.fold_each_cpu(map, key, fold, start),
            false => self.fold_one(map, key, fold, start),
        };
        self.finish_fold(inst, fold, totals);
    }

    /// The totals before anything is taken in.
    fn start(&mut self, fold: Fold) -> [Value; 2] {
        let offset = self.tables.bss.zeros(8);
        let zeros = self.push(InstData::CounterAddr { offset }, Type::Ptr);
        let zero = self.load(8, zeros, 0);
        match fold {
            Fold::Best { worst, .. } => {
                let worst = self.iconst(worst);
                [self.binary(BinaryOp::Xor, [zero, worst]), zero]
            }
            _ => [zero, zero],
        }
    }

    /// ```text
    ///     jump head(0, start)
    /// head(cpu, totals): brif cpu < cpus, look, done
    /// look:              element = map_lookup_percpu_elem(map, key, cpu)
    ///                    brif element, found, done
    /// done:              ...
    /// found, far off:    fold; jump head(cpu + 1, totals')
    /// ```
    fn fold_each_cpu(&mut self, map: MapRef, key: Place, fold: Fold, [a, b]: [Value; 2]) -> [Value; 2] {
        let (head, look, done) = (self.block_after(), self.block_after(), self.block_after());
        let found = self.cold_block();
        let [cpu, total, count] = [(); 3].map(|()| self.func.append_param(head, Type::I64));
        let first = self.iconst(0);
        self.jump(head, values![first, a, b]);
        self.current = head;
        let cpus = self.iconst(self.tables.possible_cpus.into());
        let goes_on = self.push(InstData::Icmp { op: CmpOp::Ult, args: [cpu, cpus] }, Type::I64);
        self.brif(goes_on, (look, Values::new()), (done, Values::new()));
        self.current = look;
        let args = values![self.map_address(map), self.address(key), cpu];
        let element = self.call(Helper::MapLookupPercpuElem, args, Type::Ptr);
        self.branch_on_pointer(element, (found, Values::new()), (done, Values::new()));
        self.current = found;
        let [more, number] = self.fold_in(element, fold, [total, count]);
        let one = self.iconst(1);
        let next = self.binary(BinaryOp::Add, [cpu, one]);
        self.jump(head, values![next, more, number]);
        self.current = done;
        [total, count]
    }

    fn fold_one(&mut self, map: MapRef, key: Place, fold: Fold, start: [Value; 2]) -> [Value; 2] {
        let element = self.look_up(map, key);
        let (found, done) = (self.block_after(), self.func.blocks.push(Default::default()));
        let totals = [(); 2].map(|()| self.func.append_param(done, Type::I64));
        self.branch_on_pointer(element, (found, Values::new()), (done, start.into_iter().collect()));
        self.current = found;
        let folded = self.fold_in(element, fold, start);
        self.jump(done, folded.into_iter().collect());
        self.func.layout.push(done);
        self.current = done;
        totals
    }

    /// Takes the value at `element` in.
    fn fold_in(&mut self, element: Value, fold: Fold, [total, count]: [Value; 2]) -> [Value; 2] {
        let first = self.load(8, element, 0);
        match fold {
            Fold::Sum => [self.binary(BinaryOp::Add, [total, first]), count],
            Fold::Average { .. } => {
                let number = self.load(8, element, 8);
                [self.binary(BinaryOp::Add, [total, first]), self.binary(BinaryOp::Add, [count, number])]
            }
            Fold::Best { op, .. } => {
                let is_set = self.load(8, element, 8);
                let zero = self.iconst(0);
                let if_set = self.binary(BinaryOp::Sub, [zero, is_set]);
                let if_better = self.ones_if(op, first, total);
                let taken = self.binary(BinaryOp::And, [if_set, if_better]);
                let change = self.binary(BinaryOp::Xor, [first, total]);
                let change = self.binary(BinaryOp::And, [change, taken]);
                [self.binary(BinaryOp::Xor, [total, change]), self.binary(BinaryOp::Or, [count, is_set])]
            }
        }
    }

    /// All ones when `op` (less or greater) holds between `a` and `b`, else zero; no branch in it.
    ///
    /// Less is the sign of the difference, but where that overflows: Warren, "Hacker's Delight" 2-12.
    fn ones_if(&mut self, op: CmpOp, a: Value, b: Value) -> Value {
        let (a, b) = if matches!(op, CmpOp::Sgt | CmpOp::Ugt) { (b, a) } else { (a, b) };
        let difference = self.binary(BinaryOp::Sub, [a, b]);
        let unlike = self.binary(BinaryOp::Xor, [a, b]);
        // Signed: where the signs are unlike, that of `a` decides; unsigned: that of `b`.
        let decisive = if matches!(op, CmpOp::Slt | CmpOp::Sgt) { a } else { b };
        let correction = self.binary(BinaryOp::Xor, [difference, decisive]);
        let correction = self.binary(BinaryOp::And, [unlike, correction]);
        let less = self.binary(BinaryOp::Xor, [difference, correction]);
        let last_bit = self.iconst(63);
        self.binary(BinaryOp::Ashr, [less, last_bit])
    }

    /// Turns the two totals into the one number, in place of the value of `inst`.
    fn finish_fold(&mut self, inst: Inst, fold: Fold, [total, count]: [Value; 2]) {
        let result = self.result(inst);
        match fold {
            Fold::Sum => self.replacements.replace(result, total),
            Fold::Average { signed } => {
                let op = if signed { BinaryOp::Sdiv } else { BinaryOp::Udiv };
                self.become_here(inst, InstData::Binary { op, args: [total, count] });
            }
            Fold::Best { .. } => {
                // Where nothing was set, the number is 0.
                let after = self.func.blocks.push(Default::default());
                let number = self.func.append_param(after, Type::I64);
                let zero = self.iconst(0);
                self.brif(count, (after, values![total]), (after, values![zero]));
                self.func.layout.push(after);
                self.current = after;
                self.replacements.replace(result, number);
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, args: [Value; 2]) -> Value {
        self.push(InstData::Binary { op, args }, Type::I64)
    }
}
