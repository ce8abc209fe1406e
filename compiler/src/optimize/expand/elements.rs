//! Map elements: look-ups, insertions, additions.
//!
//! A new element is inserted as zero with `BPF_NOEXIST` and looked up again before anything is
//! added to it: of two processors that meet the new key at once one inserts, and both add to what
//! was inserted. What cannot be inserted because the map is full is counted.

use super::known::Address;
use super::{Expander, Place};
use crate::catalog::helpers::Helper;
use crate::ir::inst::MapAddrOf;
use crate::ir::{Block, CmpOp, Inst, InstData, Type, Value, Values, values};
use crate::manifest::{CounterKind, MapInfo, MapKind, MapRef, MapValue};

/// `BPF_ANY` and `BPF_NOEXIST` of `include/uapi/linux/bpf.h`.
const ANY: i64 = 0;
const NOEXIST: i64 = 1;

impl Expander<'_> {
    pub(super) fn info(&self, map: MapRef) -> &MapInfo {
        &self.tables.maps[map.0 as usize]
    }

    /// Builds the key in memory.
    pub(super) fn key(&mut self, inst: Inst, map: MapRef, parts: &[Value]) -> Place {
        let info = self.info(map);
        let (size, members) = (info.key_size, info.key.clone());
        let place = self.buffer(inst, size);
        self.fill(place, 0, size, &members, parts);
        place
    }

    pub(super) fn map_address(&mut self, map: MapRef) -> Value {
        self.push(InstData::MapAddr { map: MapAddrOf::Script(map) }, Type::Ptr)
    }

    pub(super) fn look_up(&mut self, map: MapRef, key: Place) -> Value {
        let (map, key) = (self.map_address(map), self.address(key));
        self.call(Helper::MapLookupElem, values![map, key], Type::Ptr)
    }

    fn update(&mut self, map: MapRef, key: Place, value: Value, flags: i64) -> Value {
        let (map, key, flags) = (self.map_address(map), self.address(key), self.iconst(flags));
        self.call(Helper::MapUpdateElem, values![map, key, value, flags], Type::I64)
    }

    /// The address of the element in a new current block, made if there was none. When it cannot
    /// be made that is counted, and the run goes on at `full`, or ends.
    ///
    /// ```text
    ///     jump look(0)
    /// look(tries):    element = map_lookup_elem(map, key)
    ///                 brif element, found, miss
    /// miss:           brif tries, fails, make
    /// make:           map_update_elem(map, key, zeros, NOEXIST); jump look(1)
    /// fails:          count; jump full
    /// ```
    ///
    /// What was looked up before is not looked up again: an element known to be there is just
    /// used, and one that may be missing comes in at `look` only when it is.
    fn found_or_made(&mut self, inst: Inst, map: MapRef, key: &[Value], full: Option<Block>) -> Value {
        let known = self.known(map, key);
        if let Some(Address::Found(element)) = known {
            return element;
        }
        let element = match known {
            Some(Address::Unproved(before)) if !self.is_array(map) => self.proved_or_made(inst, map, key, full, before),
            _ => {
                let key = self.key(inst, map, key);
                match self.is_array(map) {
                    true => self.found_or_gone(map, key, full),
                    false => self.looked_up_or_made(map, key, full),
                }
            }
        };
        // Behind a full map the run may go on, where the element is not known.
        if full.is_none() {
            self.note_element(map, key, Address::Found(element));
        }
        element
    }

    /// As `looked_up_or_made`, but for a look-up that was made before.
    fn proved_or_made(&mut self, inst: Inst, map: MapRef, key: &[Value], full: Option<Block>, before: Value) -> Value {
        let (look, found) = (self.cold_block(), self.func.blocks.push(Default::default()));
        let element = self.func.append_param(found, Type::Ptr);
        self.branch_on_pointer(before, (found, values![before]), (look, Values::new()));
        self.current = look;
        let cold = self.func.layout.len();
        let key = self.key(inst, map, key);
        let made = self.looked_up_or_made(map, key, full);
        self.jump(found, values![made]);
        for index in cold..self.func.layout.len() {
            let block = self.func.layout[index];
            self.func.blocks[block].is_cold = true;
        }
        self.func.layout.push(found);
        self.current = found;
        element
    }

    fn looked_up_or_made(&mut self, map: MapRef, key: Place, full: Option<Block>) -> Value {
        let (look, found) = (self.block_after(), self.block_after());
        let (miss, make, fails) = (self.cold_block(), self.cold_block(), self.cold_block());
        let tries = self.func.append_param(look, Type::I64);
        let zero = self.iconst(0);
        self.jump(look, values![zero]);
        self.current = look;
        let element = self.look_up(map, key);
        self.branch_on_pointer(element, (found, Values::new()), (miss, Values::new()));
        self.current = miss;
        self.brif(tries, (fails, Values::new()), (make, Values::new()));
        self.current = make;
        let zeros = self.zeros(map);
        self.update(map, key, zeros, NOEXIST);
        let one = self.iconst(1);
        self.jump(look, values![one]);
        self.current = fails;
        self.count(CounterKind::MapFull(map));
        self.give_up(full);
        self.current = found;
        element
    }

    /// The one element of an array is always there; the test for null is the verifier's wish.
    fn found_or_gone(&mut self, map: MapRef, key: Place, full: Option<Block>) -> Value {
        let element = self.look_up(map, key);
        let (found, gone) = (self.block_after(), self.cold_block());
        self.branch_on_pointer(element, (found, Values::new()), (gone, Values::new()));
        self.current = gone;
        self.give_up(full);
        self.current = found;
        element
    }

    fn give_up(&mut self, full: Option<Block>) {
        match full {
            Some(block) => self.jump(block, Values::new()),
            None => self.end_run(),
        }
    }

    fn is_array(&self, map: MapRef) -> bool {
        matches!(self.info(map).kind, MapKind::Array | MapKind::PercpuArray)
    }

    /// The address of a zero value of the map.
    fn zeros(&mut self, map: MapRef) -> Value {
        let offset = self.tables.bss.zeros(self.tables.maps[map.0 as usize].value_size);
        self.push(InstData::CounterAddr { offset }, Type::Ptr)
    }

    pub(super) fn map_fetch_add(&mut self, inst: Inst, map: MapRef, key: &[Value], delta: Value) {
        if self.is_used(inst) {
            let base = self.found_or_made(inst, map, key, None);
            self.become_here(inst, InstData::FetchAdd { value: delta, base, offset: 0 });
            return;
        }
        let after = self.func.blocks.push(Default::default());
        let base = self.found_or_made(inst, map, key, Some(after));
        self.effect(InstData::AtomicAdd { value: delta, base, offset: 0 });
        self.go_on_at(after);
    }

    /// Ends the current block with a jump to a block that is not laid out yet.
    fn go_on_at(&mut self, block: Block) {
        self.jump(block, Values::new());
        self.func.layout.push(block);
        self.current = block;
    }

    /// The address of the element, or null.
    fn looked_up(&mut self, inst: Inst, map: MapRef, key: &[Value]) -> Value {
        match self.known(map, key) {
            Some(Address::Found(known)) => return known,
            // That there was none is still true when this run makes none, under whatever key.
            Some(Address::Unproved(known)) if !self.makers.make(map) => return known,
            _ => {}
        }
        let place = self.key(inst, map, key);
        let pointer = self.look_up(map, place);
        self.note_element(map, key, Address::Unproved(pointer));
        pointer
    }

    pub(super) fn map_load(&mut self, inst: Inst, map: MapRef, key: &[Value]) {
        let pointer = self.looked_up(inst, map, key);
        let result = self.result(inst);
        let (found, missing) = (self.block_after(), self.block_after());
        let after = self.func.blocks.push(Default::default());
        self.branch_on_pointer(pointer, (found, Values::new()), (missing, Values::new()));
        match self.func.ty(result) {
            Type::Bytes(len) => {
                let place = Place { slot: self.func.create_slot(len), offset: 0 };
                self.places[result] = Some(place);
                let whole = len.next_multiple_of(8);
                self.current = missing;
                self.zero(place, whole);
                self.jump(after, Values::new());
                self.current = found;
                self.copy(pointer, 0, place, whole);
                self.go_on_at(after);
            }
            _ => {
                let value = self.func.append_param(after, Type::I64);
                self.current = missing;
                let zero = self.iconst(0);
                self.jump(after, values![zero]);
                self.current = found;
                let present = self.load(8, pointer, 0);
                self.jump(after, values![present]);
                self.func.layout.push(after);
                self.current = after;
                self.replacements.replace(result, value);
            }
        }
    }

    pub(super) fn map_has_key(&mut self, inst: Inst, map: MapRef, key: &[Value]) {
        let pointer = self.looked_up(inst, map, key);
        let zero = self.iconst(0);
        self.become_here(inst, InstData::Icmp { op: CmpOp::Ne, args: [pointer, zero] });
    }

    pub(super) fn map_store(&mut self, inst: Inst, map: MapRef, key: &[Value], value: Value, must: bool) {
        match &self.info(map).value {
            MapValue::Data(ty) if ty.is_bytes() => self.replace_element(inst, map, key, value, must),
            MapValue::Data(_) => self.store_number(inst, map, key, value, must),
            _ => unreachable!("the checker refuses plain values here"),
        }
    }

    /// A number is stored into the element that is there: no new element is allocated for it.
    fn store_number(&mut self, inst: Inst, map: MapRef, key: &[Value], value: Value, must: bool) {
        let after = self.func.blocks.push(Default::default());
        let base = self.found_or_made(inst, map, key, (!must).then_some(after));
        self.effect(InstData::Store { bytes: 8, value, base, offset: 0 });
        self.go_on_at(after);
    }

    /// A string or tuple is exchanged as a whole, so that no reader sees half of it.
    fn replace_element(&mut self, inst: Inst, map: MapRef, key: &[Value], value: Value, must: bool) {
        let key = self.key(inst, map, key);
        let content = self.padded(value, self.info(map).value_size);
        let content = self.address(content);
        let failed = self.update(map, key, content, ANY);
        let (fails, after) = (self.cold_block(), self.block_after());
        self.brif(failed, (fails, Values::new()), (after, Values::new()));
        self.current = fails;
        self.count(CounterKind::MapFull(map));
        self.give_up((!must).then_some(after));
        self.current = after;
    }

    pub(super) fn map_delete(&mut self, inst: Inst, map: MapRef, key: &[Value]) {
        let place = self.key(inst, map, key);
        if self.is_array(map) {
            // The one element of an array cannot be removed: it is zero again.
            let zeros = self.zeros(map);
            self.update(map, place, zeros, ANY);
            return self.become_here(inst, InstData::Iconst { imm: 1 });
        }
        let (map, key) = (self.map_address(map), self.address(place));
        let failed = self.call(Helper::MapDeleteElem, values![map, key], Type::I64);
        let zero = self.iconst(0);
        self.become_here(inst, InstData::Icmp { op: CmpOp::Eq, args: [failed, zero] });
    }

    pub(super) fn map_aggregate(&mut self, inst: Inst, map: MapRef, key: &[Value], value: Value) {
        let after = self.func.blocks.push(Default::default());
        let element = self.found_or_made(inst, map, key, Some(after));
        match self.info(map).value {
            MapValue::Count | MapValue::Sum { .. } => self.add(element, 0, value),
            MapValue::Avg { .. } | MapValue::Stats { .. } => {
                let one = self.iconst(1);
                self.add(element, 0, value);
                self.add(element, 8, one);
            }
            MapValue::Min { signed } => self.keep(element, value, if signed { CmpOp::Slt } else { CmpOp::Ult }, after),
            MapValue::Max { signed } => self.keep(element, value, if signed { CmpOp::Sgt } else { CmpOp::Ugt }, after),
            MapValue::Hist | MapValue::Lhist { .. } => self.add_to_bucket(element, map, value, after),
            MapValue::Data(_) => unreachable!("the checker aggregates only into aggregations"),
        }
        self.go_on_at(after);
    }

    /// Atomic, though each processor has its own: a program may interrupt another.
    fn add(&mut self, base: Value, offset: i16, value: Value) {
        self.effect(InstData::AtomicAdd { value, base, offset });
    }

    /// Stores `value` when it is the first, or `op` holds between it and the one stored.
    fn keep(&mut self, element: Value, value: Value, op: CmpOp, after: Block) {
        let (compare, replace) = (self.block_after(), self.block_after());
        let is_set = self.load(8, element, 8);
        self.brif(is_set, (compare, Values::new()), (replace, Values::new()));
        self.current = compare;
        let present = self.load(8, element, 0);
        let is_better = self.push(InstData::Icmp { op, args: [value, present] }, Type::I64);
        self.brif(is_better, (replace, Values::new()), (after, Values::new()));
        self.current = replace;
        self.effect(InstData::Store { bytes: 8, value, base: element, offset: 0 });
        let one = self.iconst(1);
        self.effect(InstData::Store { bytes: 8, value: one, base: element, offset: 8 });
    }

    /// The comparison tells the kernel's verifier what lowering made sure of: the bucket exists.
    fn add_to_bucket(&mut self, element: Value, map: MapRef, bucket: Value, after: Block) {
        let last = self.iconst(i64::from(self.tables.maps[map.0 as usize].value_size / 8) - 1);
        let inside = self.block_after();
        let exists = self.push(InstData::Icmp { op: CmpOp::Ule, args: [bucket, last] }, Type::I64);
        self.brif(exists, (inside, Values::new()), (after, Values::new()));
        self.current = inside;
        let three = self.iconst(3);
        let args = [bucket, three];
        let offset = self.push(InstData::Binary { op: crate::ir::BinaryOp::Shl, args }, Type::I64);
        let base = self.push(InstData::PtrAdd { base: element, offset }, Type::Ptr);
        let one = self.iconst(1);
        self.add(base, 0, one);
    }
}
